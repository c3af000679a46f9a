"""Which clusters are spoken to, and over which connections."""

from __future__ import annotations

import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from lightkube.config.kubeconfig import KubeConfig

from bot.domain.actions import ActionFailed, Transient
from plugins.kubernetes.clusters import Cluster


def kubeconfig(folder: Path, *, cluster: dict[str, Any], user: dict[str, Any] | None) -> Path:
    """Write a kubeconfig with one context."""
    context = {"cluster": "c"} | ({"user": "u"} if user is not None else {})
    content = {
        "clusters": [{"name": "c", "cluster": cluster}],
        "contexts": [{"name": "only", "context": context}],
        "users": [{"name": "u", "user": user}] if user is not None else [],
        "current-context": "only",
    }
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump(content))
    return file


async def asked(file: Path, *, timeout: float = 5) -> Any:
    async with Cluster(file).talk(timeout) as talk:
        return await talk.get("version")


@pytest.mark.parametrize(
    ("cluster", "user", "said"),
    (
        ({"server": "http://10.0.0.1:8080"}, {"token": "t"}, "HTTPS"),
        ({"server": "https://10.0.0.1", "insecure-skip-tls-verify": True}, {"token": "t"}, "HTTPS"),
        ({"server": "ftp://10.0.0.1"}, {"token": "t"}, "HTTPS"),
        (
            {"server": "https://10.0.0.1"},
            {"exec": {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "/bin/id"}},
            "runs a program",
        ),
        ({"server": "https://10.0.0.1"}, {"auth-provider": {"name": "gcp"}}, "cannot be used"),
        (
            {"server": "https://10.0.0.1", "certificate-authority-data": "bm90IGEgY2VydA=="},
            {"token": "t"},
            "cannot be used",
        ),
    ),
)
async def test_a_connection_that_is_not_safe_is_refused_before_anything_is_sent(
    tmp_path: Path, cluster: dict[str, Any], user: dict[str, Any], said: str
) -> None:
    with pytest.raises(ActionFailed, match=said) as no:
        await asked(kubeconfig(tmp_path, cluster=cluster, user=user))
    assert no.value.transient is None


def certificate() -> tuple[bytes, bytes]:
    """Return a certificate for loopback that vouches for itself, and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(pem), private


@asynccontextmanager
async def serving(folder: Path, tokens: list[str]) -> AsyncIterator[tuple[str, bytes]]:
    """Serve over TLS below a path, as Rancher does; yield the address and the certificate."""
    public, private = certificate()
    (folder / "tls.pem").write_bytes(public + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.pem")

    async def answer(request: web.Request) -> web.Response:
        tokens.append(request.headers.get("Authorization", ""))
        return web.json_response({"path": request.path})

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield f"https://127.0.0.1:{runner.addresses[0][1]}/k8s/clusters/c-1", public
    finally:
        await runner.cleanup()


async def test_only_a_server_whose_certificate_is_vouched_for_gets_the_token(
    tmp_path: Path,
) -> None:
    tokens: list[str] = []
    async with serving(tmp_path, tokens) as (url, public):
        known = {
            "server": url,
            "certificate-authority-data": base64.b64encode(public).decode(),
        }
        file = kubeconfig(tmp_path, cluster=known, user={"token": "s3cret"})
        assert await asked(file) == {"path": "/k8s/clusters/c-1/version"}
        assert tokens == ["Bearer s3cret"]
        file = kubeconfig(tmp_path, cluster={"server": url}, user={"token": "s3cret"})
        with pytest.raises(ActionFailed, match="cannot be reached") as no:
            await asked(file)
        assert no.value.transient is Transient.UNREACHABLE
        assert tokens == ["Bearer s3cret"]
        other, _ = certificate()
        wrong = {**known, "certificate-authority-data": base64.b64encode(other).decode()}
        with pytest.raises(ActionFailed, match="cannot be reached"):
            await asked(kubeconfig(tmp_path, cluster=wrong, user={"token": "s3cret"}))
        assert len(tokens) == 1


async def test_a_token_file_is_read_again_for_each_conversation(tmp_path: Path) -> None:
    tokens: list[str] = []
    async with serving(tmp_path, tokens) as (url, public):
        (tmp_path / "ca.pem").write_bytes(public)
        known = {"server": url, "certificate-authority": "ca.pem"}
        token = tmp_path / "token"
        file = kubeconfig(tmp_path, cluster=known, user={"tokenFile": str(token)})
        for text in ("first", "second"):
            token.write_text(text)
            await asked(file)
        assert tokens == ["Bearer first", "Bearer second"]
        token.unlink()
        with pytest.raises(ActionFailed, match="credentials for Kubernetes cannot be read"):
            await asked(file)


async def test_without_a_user_nothing_is_sent_as_one(tmp_path: Path) -> None:
    tokens: list[str] = []
    async with serving(tmp_path, tokens) as (url, public):
        known = {"server": url, "certificate-authority-data": base64.b64encode(public).decode()}
        await asked(kubeconfig(tmp_path, cluster=known, user=None))
    assert tokens == [""]


async def test_proxies_of_the_environment_are_not_for_us(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    tokens: list[str] = []
    async with serving(tmp_path, tokens) as (url, public):
        known = {"server": url, "certificate-authority-data": base64.b64encode(public).decode()}
        await asked(kubeconfig(tmp_path, cluster=known, user={"token": "t"}))
    assert tokens == ["Bearer t"]


async def test_inside_of_a_cluster_the_service_account_of_the_pod_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kubelet renews the token under our hands; its folder is lightkube's default argument."""
    method = vars(KubeConfig)["from_service_account"].__func__
    monkeypatch.setattr(method, "__defaults__", (str(tmp_path),))
    tokens: list[str] = []
    async with serving(tmp_path, tokens) as (url, public):
        address = urlsplit(url)
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", str(address.hostname))
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(address.port))
        (tmp_path / "ca.crt").write_bytes(public)
        (tmp_path / "namespace").write_text("ops")
        for text in ("first", "second"):
            (tmp_path / "token").write_text(text)
            async with Cluster().talk(5) as talk:
                assert await talk.get("version") == {"path": "/version"}
    assert tokens == ["Bearer first", "Bearer second"]
