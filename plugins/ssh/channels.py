"""The channel a program runs in on the other side, and what comes out of it."""

from __future__ import annotations

import asyncio
import secrets

import asyncssh
from typing_extensions import override

from bot.domain.printing import Printed, Stream

_LONGEST_GREETING = 65_536  # bytes that a login shell may print before our line
ABSENT = "absent"


class Channel(asyncssh.SSHClientSession[bytes]):
    """What we know of a program on the other side.

    `channel` is there once the program may have been asked for, `group` once it
    has `begun`; `absent` says that there is no such program, `over` that it has
    ended, and `closed` that nothing more will come.
    """

    def __init__(self, printed: Printed) -> None:
        self.mark = f"tocsin-{secrets.token_hex(8)}"
        self.channel: asyncssh.SSHClientChannel[bytes] | None = None
        self.group: int | None = None
        self.absent = False
        self.status: int | None = None
        self.signal = ""
        self.begun = asyncio.Event()
        self.over = asyncio.Event()
        self.closed = asyncio.Event()
        self.out = Stream(printed)
        self._err = Stream(printed)
        self._greeting = b""

    @property
    def sent(self) -> bool:
        """Say whether the other side may have been asked to run it."""
        return self.channel is not None

    @property
    def running(self) -> bool:
        """Say whether the program may be at work."""
        return self.sent and not self.over.is_set()

    @property
    def told(self) -> bool:
        """Say whether the other side told how the program ended."""
        return self.status is not None or bool(self.signal)

    @override
    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self.channel = chan

    @override
    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        if datatype == asyncssh.EXTENDED_DATA_STDERR:
            self._err.feed(data)
        elif self.group is None:
            self._greeted(self._greeting + data)
        else:
            self.out.feed(data)

    def _greeted(self, data: bytes) -> None:
        """Look for the line with our mark, and take what follows it."""
        _, found, rest = data.partition(f"{self.mark} ".encode())
        line, ended, rest = rest.partition(b"\n")
        if not (found and ended):
            self._greeting = data[-_LONGEST_GREETING:]
            return
        self.absent = line == ABSENT.encode()
        if line.isdigit():
            self.group = int(line)
            self.begun.set()
            self.out.feed(rest)

    @override
    def exit_status_received(self, status: int) -> None:
        self.status = status
        self.over.set()

    @override
    def exit_signal_received(self, signal: str, core_dumped: object, msg: str, lang: str) -> None:
        self.signal = signal
        self.over.set()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.out.close()
        self._err.close()
        self.over.set()
        self.closed.set()
