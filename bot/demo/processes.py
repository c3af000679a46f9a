"""Child processes that write to a log file, end with us and are ended politely."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from asyncio.subprocess import Process
from collections.abc import Sequence
from pathlib import Path

from bot.demo.guard import guarded

_PATIENCE = 5.0  # seconds between the request to end and the kill


class NotStarted(Exception):
    """A program did not start; the text says which and what it said last."""


def free_port() -> int:
    """Return a port of 127.0.0.1 that is free now.

    Another program may take it before it is used: whoever uses it tries again then.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class LoggedProcess:
    """One guarded child process with a log file of its own."""

    def __init__(self, process: Process, log: Path) -> None:
        self.process = process
        self.log = log

    @classmethod
    async def start(cls, command: Sequence[str], log: Path) -> LoggedProcess:
        """Start `command`, its output written to `log`."""
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *guarded(command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for us, and we end it in our own order
            )
        return cls(process, log)

    @property
    def alive(self) -> bool:
        """Tell whether it still runs."""
        return self.process.returncode is None

    def last_words(self) -> str:
        """Return the last line of its log."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return lines[-1] if lines else "it said nothing"

    async def stop(self) -> None:
        """Ask it to end, wait, and kill it when it does not."""
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        try:
            await asyncio.wait_for(self.process.wait(), _PATIENCE)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()
