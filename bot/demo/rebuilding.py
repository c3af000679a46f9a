"""Rebuilds of checkout's order queue: built beside it piece by piece, put in place at the end.

Nothing changes before the last piece is ready, so a rebuild that is stopped has
changed nothing. It goes on only while somebody watches it: whoever asked for it
may be gone, and then nobody would know what became of it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from bot.demo.orders import PARTITIONS, OrderBook

_log = logging.getLogger(__name__)

HALVES = {"first": PARTITIONS[: len(PARTITIONS) // 2], "second": PARTITIONS[len(PARTITIONS) // 2 :]}


class RebuildState(StrEnum):
    """What has become of a rebuild."""

    BUILDING = "building"
    DONE = "done"
    STOPPED = "stopped"


class RevisionMismatch(Exception):
    """The caller decided on the ground of another queue than the present one."""

    def __init__(self, current: int) -> None:
        super().__init__(f"the queue's revision is {current}")
        self.current = current


class RebuildUnderWay(Exception):
    """One rebuild at a time."""


@dataclass
class Rebuild:
    """One rebuild that was asked for. `watched` is on the monotonic clock."""

    key: str
    partitions: Sequence[str]
    began_at: datetime
    watched: float
    state: RebuildState = RebuildState.BUILDING
    built: int = 0
    dropped: int = 0
    reason: str = ""
    ended_at: datetime | None = None
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    def as_json(self) -> dict[str, object]:
        """Return the rebuild as the interface shows it."""
        return {
            "idempotency_key": self.key,
            "state": self.state.value,
            "built": self.built,
            "of": len(self.partitions),
            "dropped": self.dropped,
            "reason": self.reason,
            "began_at": self.began_at.isoformat(),
            "ended_at": self.ended_at.isoformat() if self.ended_at else None,
        }


class QueueRebuilder:
    """Rebuilds partitions of the order queue, one after the other.

    `pace` are the seconds that one partition takes; a rebuild that nobody
    watched for `patience` seconds stops.
    """

    def __init__(self, book: OrderBook, *, pace: float = 1.0, patience: float = 3.0) -> None:
        self.revision = 1
        self.pace = pace
        self.patience = patience
        self._book = book
        self._rebuilds: dict[str, Rebuild] = {}

    @property
    def rebuilds(self) -> Sequence[Rebuild]:
        """Return every rebuild there was, oldest first."""
        return tuple(self._rebuilds.values())

    def begin(self, key: str, partitions: Sequence[str], expected_revision: int) -> Rebuild:
        """Begin a rebuild, once per key; one that was stopped may be begun again.

        Raises:
            RevisionMismatch: the queue is not the one the caller means.
            RebuildUnderWay: another one has not ended.
        """
        known = self._rebuilds.get(key)
        if known is not None and known.state is not RebuildState.STOPPED:
            return known
        if any(r.state is RebuildState.BUILDING for r in self._rebuilds.values()):
            raise RebuildUnderWay
        if expected_revision != self.revision:
            raise RevisionMismatch(self.revision)
        rebuild = Rebuild(key, partitions, datetime.now(UTC), time.monotonic())
        self._rebuilds[key] = rebuild
        rebuild.task = asyncio.create_task(self._build(rebuild))
        return rebuild

    def watch(self, key: str) -> Rebuild | None:
        """Show a rebuild to who asked for it, and let it go on."""
        rebuild = self._rebuilds.get(key)
        if rebuild is not None:
            rebuild.watched = time.monotonic()
        return rebuild

    def stop(self, key: str, reason: str) -> Rebuild | None:
        """Stop a rebuild, unless it has ended; what it had built is thrown away."""
        rebuild = self._rebuilds.get(key)
        if rebuild is not None and rebuild.state is RebuildState.BUILDING:
            self._end(rebuild, RebuildState.STOPPED, reason)
            if rebuild.task is not None:
                rebuild.task.cancel()
        return rebuild

    def sweep(self, partition: str) -> int:
        """Drop what should not be in one partition, and count it; at once, and as often as told."""
        dropped = self._book.rebuild([partition])
        if dropped:
            self.revision += 1
        return dropped

    async def close(self) -> None:
        """Stop whatever is under way."""
        for rebuild in self.rebuilds:
            self.stop(rebuild.key, "checkout ends")
        tasks = {r.task for r in self.rebuilds if r.task is not None}
        if tasks:
            await asyncio.wait(tasks)

    async def _build(self, rebuild: Rebuild) -> None:
        for _ in rebuild.partitions:
            await self._one(rebuild)
            if rebuild.state is not RebuildState.BUILDING:
                return
        # No await from here on: the new queue is in place as a whole, or not at all.
        rebuild.dropped = self._book.rebuild(rebuild.partitions)
        self.revision += 1
        self._end(rebuild, RebuildState.DONE, "")

    async def _one(self, rebuild: Rebuild) -> None:
        """Build one partition, as long as somebody watches."""
        ready = time.monotonic() + self.pace
        while (now := time.monotonic()) < ready:
            left = rebuild.watched + self.patience - now
            if left <= 0:
                self._end(rebuild, RebuildState.STOPPED, "nobody watched it any more")
                return
            await asyncio.sleep(min(left, ready - now))
        rebuild.built += 1

    def _end(self, rebuild: Rebuild, state: RebuildState, reason: str) -> None:
        rebuild.state, rebuild.reason, rebuild.ended_at = state, reason, datetime.now(UTC)
        _log.info("rebuild %s: %s after %d partitions", rebuild.key, state.value, rebuild.built)
