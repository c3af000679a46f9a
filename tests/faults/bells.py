"""What the runs of these tests act on: bells and cards in files that outlive any crash."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from typing_extensions import override

from bot.domain.actions import (
    Action,
    ActionCall,
    ActionResult,
    DryRun,
    Effect,
    Happened,
    Reconciliation,
    Risk,
)
from bot.domain.messages import Message
from bot.domain.people import ChannelId
from bot.ports import MessageRef
from tests.fakes import FakeChat


def append(path: Path, line: str) -> None:
    """Add a line to a file, on the disk when this returns."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(file, f"{line}\n".encode())
        os.fsync(file)
    finally:
        os.close(file)


def lines(path: Path) -> list[str]:
    """Return the lines of a file, none where there is no file."""
    return path.read_text().splitlines() if path.exists() else []


class Bells:
    """The world out there: every stroke is a line with its key.

    `before` is called right before a stroke, `after` right after it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.before: Callable[[ActionCall], Awaitable[None]] | None = None
        self.after: Callable[[], Awaitable[None]] | None = None

    @property
    def strokes(self) -> Counter[str]:
        """Count the strokes by key."""
        return Counter(lines(self.path))

    async def ring(self, call: ActionCall) -> ActionResult:
        """Ring once."""
        if self.before is not None:
            await self.before(call)
        append(self.path, call.key)
        if self.after is not None:
            await self.after()
        return ActionResult(summary="rang", value=1.0)

    async def listen(self, call: ActionCall) -> Reconciliation:
        """Say whether a stroke was heard."""
        happened = Happened.YES if self.strokes[call.key] else Happened.NO
        return Reconciliation(happened=happened, detail=f"listened: {happened.value}")

    def actions(self) -> tuple[Action, ...]:
        """Return what can be done with bells; none of it may be repeated blindly."""
        ring = Action(
            name="bell.ring",
            version=1,
            summary="Ring the bell.",
            effect=Effect.MUTATE,
            risk=Risk.R1,
            idempotent=False,
            arguments={"type": "object"},
            handler=self.ring,
            dry_run=_foreseen,
            reconcile=self.listen,
        )
        return (
            ring,
            replace(ring, name="bell.unheard", reconcile=None),
            replace(ring, name="bell.peal", risk=Risk.R3),
        )


async def _foreseen(_call: ActionCall) -> DryRun:
    return DryRun(diff="one more peal")


class FileChat(FakeChat):
    """A chat platform whose posts are lines in a file: `post key text` or `update key text`.

    `posted` is called when a line is there and nobody has been told so yet.
    """

    def __init__(self, path: Path, posted: Callable[[], None]) -> None:
        super().__init__()
        self._path = path
        self._posted = posted

    @override
    async def post(
        self, channel: ChannelId, message: Message, *, key: str, thread: MessageRef | None = None
    ) -> MessageRef:
        append(self._path, f"post {key} {message.summary}")
        self._posted()
        return MessageRef(channel=channel, id=key)

    @override
    async def find(self, channel: ChannelId, key: str) -> MessageRef | None:
        found = any(line.startswith(f"post {key} ") for line in lines(self._path))
        return MessageRef(channel=channel, id=key) if found else None

    @override
    async def update(self, ref: MessageRef, message: Message, *, key: str) -> None:
        append(self._path, f"update {key} {message.summary}")
        self._posted()
