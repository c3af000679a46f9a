"""A real sshd on loopback, with keys of its own, that can be taken away and brought back."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from plugins.ssh.hosts import Host

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
PASSPHRASE = "hunter2/hunter2+hunter2"

CONFIG = """
ListenAddress 127.0.0.1:{port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/client.pub
PidFile {folder}/pid
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxStartups 100
{more}
"""


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


class Sshd:
    """One server. Whoever runs the tests may sign in with the key `client`."""

    def __init__(self, folder: Path, *, more: str = "") -> None:
        if not Path(SSHD).exists():
            pytest.skip("openssh-server is not installed")
        folder.mkdir(parents=True)
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # Debian's unit makes it, too
        self.folder = folder
        self.port = free_port()
        self.process: asyncio.subprocess.Process | None = None
        self._keys()
        (folder / "config").write_text(CONFIG.format(port=self.port, folder=folder, more=more))

    def _keys(self) -> None:
        host = asyncssh.generate_private_key("ssh-ed25519")
        host.write_private_key(self.folder / "host")
        (self.folder / "host").chmod(0o600)
        public = host.export_public_key().decode()
        (self.folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {public}")
        client = asyncssh.generate_private_key("ssh-ed25519")
        # OpenSSH's own form of a key with a passphrase wants bcrypt, which is an extra of asyncssh.
        client.write_private_key(
            self.folder / "client", "pkcs8-pem", passphrase=PASSPHRASE, cipher_name="aes256-cbc"
        )
        client.write_public_key(self.folder / "client.pub")

    async def start(self) -> None:
        """Listen, and return when somebody answers."""
        self.process = await asyncio.create_subprocess_exec(
            *(SSHD, "-D", "-e", "-f", str(self.folder / "config")),
            stderr=subprocess.PIPE,
        )
        assert self.process.stderr is not None
        said = b""
        while b"Server listening" not in said:
            line = await self.process.stderr.readline()
            if not line:
                pytest.skip(f"sshd does not run here: {said.decode()[-200:]}")
            said += line

    async def stop(self) -> None:
        """Stop listening; connections that stand are not touched."""
        if self.process is not None and self.process.returncode is None:
            self.process.terminate()
            await self.process.wait()

    def cut(self) -> None:
        """Kill the processes that serve connections, like a machine that loses power."""
        for pid in self.serving():
            with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
                os.kill(pid, signal.SIGKILL)

    def serving(self) -> list[int]:
        """Return the server's children, one or two for each connection."""
        assert self.process is not None
        found, asked = list[int](), [self.process.pid]
        while asked:
            parent = asked.pop(0)
            children = _told(Path(f"/proc/{parent}/task/{parent}/children"))
            pids = [int(pid) for pid in children.split()]
            sshd = [pid for pid in pids if b"sshd" in _told(Path(f"/proc/{pid}/cmdline"))]
            found += sshd
            asked += sshd
        return found

    def connections(self) -> list[str]:
        """Return the connections with the server that stand."""
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        port = f":{self.port:04X}"
        return [line for line in lines if port in line and line.split()[3] == "01"]

    def host(self, **other: Any) -> Host:
        """Return the server as it stands in the settings."""
        given = {
            "address": "127.0.0.1",
            "port": self.port,
            "username": getpass.getuser(),
            "known_hosts": str(self.folder / "known_hosts"),
            "key": str(self.folder / "client"),
        }
        return Host.model_validate(given | other)


def _told(path: Path) -> bytes:
    """Read what is told of a process; nothing of one that has just ended."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
