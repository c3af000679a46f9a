"""What a connection that breaks in the midst of its encryption leaves open."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bot.domain.actions import ActionCall, OutcomeUnknown
from tests.plugins.kubernetes.shop import CHECKOUT, cluster_actions
from tests.servers import needed

GARBAGE = b"\x17\x03\x03\x00\x20" + bytes(32)  # a record of TLS that nobody can decrypt


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for loopback that signs itself, with its key beside it."""
    argv = [needed("openssl", package="openssl"), "req", "-x509", "-newkey", "ec"]
    argv += ["-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=x"]
    argv += ["-keyout", "key.pem", "-out", "cert.pem", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(argv, cwd=tmp_path, check=True, capture_output=True)
    return tmp_path / "cert.pem"


def kubeconfig(folder: Path, port: int, certificate: Path) -> Path:
    authority = base64.b64encode(certificate.read_bytes()).decode()
    server = {"server": f"https://127.0.0.1:{port}", "certificate-authority-data": authority}
    path = folder / "kubeconfig"
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [{"name": "c", "cluster": server}],
                "users": [{"name": "u", "user": {"token": "t"}}],
            }
        )
    )
    return path


async def test_a_record_that_cannot_be_decrypted_behind_the_change_is_a_doubt(
    certificate: Path, tmp_path: Path
) -> None:
    scale: dict[str, Any] = {
        "kind": "Scale",
        "metadata": {"uid": "u", "resourceVersion": "1", "name": "checkout"},
        "spec": {"replicas": 2},
    }

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            lengths = [
                int(line.split(b":")[1])
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length")
            ]
            body = await reader.readexactly(sum(lengths))
            if head.startswith(b"PATCH"):
                scale["spec"] = json.loads(body)["spec"]
                os.write(writer.get_extra_info("socket").fileno(), GARBAGE)
                return
            shown = json.dumps(scale).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(shown) + shown)

    trust = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trust.load_cert_chain(certificate, certificate.with_name("key.pem"))
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=trust)
    port = server.sockets[0].getsockname()[1]
    _, actions = cluster_actions(kubeconfig(tmp_path, port, certificate))
    arguments = {**CHECKOUT, "replicas": 7, "uid": "u", "expected": 2}
    with pytest.raises(OutcomeUnknown, match="SSLError"):
        await actions["kubernetes.scale@1"].handler(
            ActionCall(key="k", arguments=arguments, timeout=5)
        )
    server.close()
    assert scale["spec"] == {"replicas": 7}
