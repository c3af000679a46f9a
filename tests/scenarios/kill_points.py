"""The points at which a worker dies or is stopped: around every transaction, read and effect.

All bots of a round count their points together, in a file, so that the one which
reaches the chosen point dies there, whichever of them it is, and dies only once.
What they do is in a journal that they all append to.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bot.domain.runs import Run, RunId
from bot.ports import Database, Transaction

JOURNAL, COUNT = "journal.jsonl", "points"
NEVER = 0  # the point of a bot that lives, and writes down every point it passes
Line = dict[str, Any]


@dataclass
class Held:
    """The run that a move is about, and whether its lease still is the bot's."""

    run: RunId
    fence: int
    lease: bool = True


HELD: ContextVar[Held | None] = ContextVar("held", default=None)


def append(path: Path, data: bytes) -> int:
    """Append to a file that others append to as well; return its length right after."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, data)
        return os.lseek(file, 0, os.SEEK_CUR)
    finally:
        os.close(file)


class Journal:
    """Writes down what one bot does."""

    def __init__(self, folder: Path, bot: str) -> None:
        self._path, self._bot = folder / JOURNAL, bot

    def write(self, what: str, **more: object) -> None:
        """Append one line."""
        held = HELD.get()
        run = {"run": held.run, "fence": held.fence, "lease": held.lease} if held else {}
        line = {"what": what, "bot": self._bot, "at": time.time(), **run, **more}
        append(self._path, json.dumps(line).encode() + b"\n")


def journal_of(folder: Path) -> list[Line]:
    """Return every whole line that the bots of a round have written."""
    path = folder / JOURNAL
    if not path.exists():
        return []
    whole = path.read_text().rpartition("\n")[0]
    return [json.loads(line) for line in whole.splitlines()]


class Points:
    """Counts points, and sends its own process the signal at the chosen one."""

    def __init__(self, folder: Path, journal: Journal, *, at: int, signal: int) -> None:
        self._count, self._journal = folder / COUNT, journal
        self._at, self._signal = at, signal

    def reach(self, name: str) -> None:
        """Pass a point of a move, or do not pass it."""
        if HELD.get() is None:
            return
        number = append(self._count, b".")
        if self._at == NEVER:
            self._journal.write("passes", number=number, name=name)
        if number != self._at:
            return
        self._journal.write("dies", number=number, name=name)
        os.kill(os.getpid(), self._signal)


class Noted:
    """Passes on to the runs of a transaction, and notes what becomes of them."""

    def __init__(self, runs: Any) -> None:
        self._runs = runs
        self.changes: list[tuple[str, str]] = []
        self.released = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runs, name)

    async def save(self, run: Run, *, due_at: datetime | None, fence: int | None = None) -> None:
        """Replace a run, and note that the claim ends with it."""
        await self._note(run)
        await self._runs.save(run, due_at=due_at, fence=fence)
        self.released = self.released or fence is not None

    async def keep(self, run: Run, *, fence: int) -> None:
        """Replace a run that is held on to."""
        await self._note(run)
        await self._runs.keep(run, fence=fence)

    async def _note(self, run: Run) -> None:
        before = (await self._runs.get(run.id)).state
        if before is not run.state:
            self.changes.append((before.name, run.state.name))


class Pointed:
    """A database with points before, inside and after each transaction, and after each read."""

    def __init__(self, database: Database, journal: Journal, points: Points) -> None:
        self._database, self._journal, self._points = database, journal, points

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Transaction]:
        """Read, and reach a point."""
        async with self._database.reading() as view:
            yield view
        self._points.reach("after a read")

    @asynccontextmanager
    async def transaction(self, once: str | None = None) -> AsyncIterator[Transaction]:
        """Open a transaction; those of no move (claims, heartbeats) have no points."""
        held = HELD.get()
        if held is None:
            async with self._database.transaction(once) as tx:
                yield tx
            return
        self._points.reach("before a transaction")
        async with self._database.transaction(once) as tx:
            noted: Any = Noted(tx.runs)
            tx.runs = noted  # type: ignore[misc]  # of this one transaction only
            yield tx
            self._points.reach("before a commit")
        held.lease = held.lease and not noted.released
        for before, after in noted.changes:
            self._journal.write("changes", before=before, after=after)
        self._points.reach("after a commit")
