"""One sshd for each test that wants one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.plugins.ssh.served import Sshd


@pytest.fixture
async def sshd(tmp_path: Path) -> AsyncIterator[Sshd]:
    server = Sshd(tmp_path / "sshd")
    await server.start()
    yield server
    server.cut()
    await server.stop()
