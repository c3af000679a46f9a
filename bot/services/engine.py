"""The worker that moves runs on: one claim, one move, and the row says what is next.

A run that waits is a row with a time; it holds no task, slot or thread. A run
that is being moved is held by a lease that a heartbeat prolongs, and every
write carries the claim's fencing token, so that a worker which lost its lease
can no longer write. What a move is stands in `bot/services/moves.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from dataclasses import dataclass
from datetime import timedelta

from bot.domain.errors import Stale
from bot.domain.runs import RunId, RunState
from bot.ports import Claim, Clock, Database
from bot.services.actions import ActionGate
from bot.services.governing import Governor
from bot.services.moves import RunMoves
from bot.services.planning import Planner

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How the worker works; times in seconds.

    A run whose move breaks off `attempts` times in a row, by an error of ours,
    is given up rather than tried for ever.
    """

    lease: float = 15.0
    poll: float = 0.5
    parallel: int = 4
    attempts: int = 5


class RunWorker:
    """Claims due runs and moves each by one step of its life at a time."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        gate: ActionGate,
        planner: Planner,
        governor: Governor,
        pace: Pace = Pace(),  # frozen
    ) -> None:
        self._database = database
        self._clock = clock
        self._moves = RunMoves(database, clock, gate=gate, planner=planner, governor=governor)
        self._pace = pace
        self._name = uuid.uuid4().hex[:8]
        self._due = asyncio.Event()
        self._slots = asyncio.Semaphore(pace.parallel)
        self._moving: set[asyncio.Task[None]] = set()
        self._held: set[RunId] = set()
        self._broken: dict[RunId, int] = {}
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to work."""
        self._loop = asyncio.create_task(self._work(), name="runs")

    async def stop(self) -> None:
        """Stop claiming and wait for the moves under way."""
        if self._loop is not None:
            self._loop.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._loop
        if self._moving:
            await asyncio.wait(self._moving, timeout=self._pace.lease)

    def wake(self) -> None:
        """Say that something may be due, so that nobody waits for the next poll."""
        self._due.set()

    async def _work(self) -> None:
        while True:
            await self._slots.acquire()
            claim = await self._claim_if_possible()
            if claim is None:
                self._slots.release()
                await self._rest()
                continue
            task = asyncio.create_task(self._hold(claim), name=f"run {claim.run.id}")
            self._moving.add(task)
            task.add_done_callback(self._released)

    def _released(self, task: asyncio.Task[None]) -> None:
        self._moving.discard(task)
        self._slots.release()
        self._due.set()

    async def _rest(self) -> None:
        with contextlib.suppress(TimeoutError):
            # Not wait_for: in Python 3.11 it can swallow the cancellation that stops us.
            async with asyncio.timeout(self._pace.poll):
                await self._due.wait()
        self._due.clear()

    async def _claim_if_possible(self) -> Claim | None:
        """Claim a run; a database that fails for a while does not end the worker."""
        try:
            return await self._claim()
        except Exception:
            log.exception("no run could be claimed")
            return None

    async def _claim(self) -> Claim | None:
        now = self._clock.now()
        async with self._database.transaction() as tx:
            claim = await tx.runs.claim(
                now=now, lease=self._pace.lease, worker=self._name, but=frozenset(self._held)
            )
        if claim is not None:
            self._held.add(claim.run.id)
        return claim

    async def _hold(self, claim: Claim) -> None:
        """Move a claimed run while a heartbeat keeps the claim."""
        heart = asyncio.create_task(self._beat(claim))
        try:
            await self.move(claim)
            self._broken.pop(claim.run.id, None)
        except Stale:
            log.warning("run %s was taken over by another worker", claim.run.id)
        except Exception:  # the lease runs out and the run is tried again
            log.exception("run %s could not be moved", claim.run.id)
            await self._broke_off(claim)
        finally:
            heart.cancel()
            self._held.discard(claim.run.id)

    async def _broke_off(self, claim: Claim) -> None:
        """Count a move that broke off, and give the run up when it does so again and again."""
        count = self._broken.get(claim.run.id, 0) + 1
        self._broken[claim.run.id] = count
        if count < self._pace.attempts or claim.run.state is RunState.AWAITING:
            return
        try:
            await self._moves.give_up(claim, f"given up after {count} attempts; see the bot's log")
        except Exception:
            log.exception("run %s could not be given up", claim.run.id)

    async def _beat(self, claim: Claim) -> None:
        while True:
            await asyncio.sleep(self._pace.lease / 3)
            until = self._clock.now() + timedelta(seconds=self._pace.lease)
            try:
                async with self._database.transaction() as tx:
                    if not await tx.runs.extend(claim.run.id, fence=claim.fence, until=until):
                        return
            except Exception:  # the next beat may still come in time
                log.exception("the claim on run %s could not be prolonged", claim.run.id)

    async def move(self, claim: Claim) -> None:
        """Make the one move of a claimed run that is due."""
        await self._moves.move(claim)
