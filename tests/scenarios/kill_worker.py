"""One bot of a round, as a process of its own: it moves what is due until it is killed.

Where the round wants it, it kills or stops itself at one of its points.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from typing_extensions import override

from bot.domain.breakers import BreakerRules
from bot.domain.runs import RunState
from bot.ports import Claim
from bot.services import drafting
from bot.services.engine import RunWorker
from bot.storage import postgres_writer
from tests.fakes import FakeClock
from tests.scenarios.kill_disk import Disk, disk_actions
from tests.scenarios.kill_points import HELD, Held, Journal, Pointed, Points
from tests.scenarios.kill_stories import BY_NAME, TIMEOUT, Story, freeze
from tests.services import gate_world
from tests.storage.worlds import StoreWorld

LEASE = 2.0  # seconds
POLL = 0.1  # seconds
# For which a bot may sleep within a transaction on PostgreSQL, in seconds: as of the lease that
# is usual, a third, so that whoever is stopped there does not hold the store past its lease.
IDLE = 1.0
FRESH = "fresh.db"  # the name of a migrated file of which each bot gets a copy


class RealClock(FakeClock):
    """The machine's clock, for a world that was made for a clock that stands."""

    @override
    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a bot is told: where everything is, its name, and at which point what happens to it."""

    where: str
    folder: Path
    bot: str
    story: str
    at: int
    signal: int


def world_of(where: str, folder: Path, name: str, story: Story) -> StoreWorld:
    """Return what a bot sees, or people do."""
    own = folder / name
    own.mkdir()
    shutil.copy(folder.parent / FRESH, own / "unused.db")
    rules = BreakerRules(troubles=10**9, fleet=10**9, fleet_window=0.1, loop=10**9)
    world = StoreWorld(own, where, clock=RealClock(), rules=rules)
    world.book, world.policy = story.book, story.policy
    return world


class Moving(RunWorker):
    """A worker that writes down each of its moves, and changes the world before some."""

    journal: Journal
    points: Points
    world: StoreWorld
    story: Story

    @override
    async def move(self, claim: Claim) -> None:
        HELD.set(Held(claim.run.id, claim.fence))
        self.journal.write("moves", state=claim.run.state.name)
        self.points.reach("a claim")
        if claim.run.state is RunState.APPROVED:
            self._change()
        try:
            await super().move(claim)
        finally:
            self.journal.write("leaves")

    def _change(self) -> None:
        if self.story.meanwhile == "freeze":
            self.world.calendars.windows.append(freeze(self.world.clock.now()))
        if self.story.meanwhile == "page":
            pages: Any = self._moves._planner._runbooks
            pages[self.world.book.id] = replace(self.world.book, digest="1" * 64)


def work(job: Job) -> None:
    """Work for ever."""
    logging.getLogger("bot").setLevel(logging.CRITICAL)
    story = BY_NAME[job.story]
    gate_world.LEASE = LEASE
    postgres_writer.IDLE_SECONDS = IDLE
    gate_world.ANSWER_WITHIN = story.answer_within
    gate_world.EXECUTE_WITHIN = story.execute_within
    drafting.LEAST_BY_HAND, drafting.UNDO_SECONDS = 0.0, TIMEOUT
    gate_world.RunWorker = Moving  # type: ignore[attr-defined]  # this process does nothing else
    asyncio.run(_work_on(job, story))


async def _work_on(job: Job, story: Story) -> None:
    journal = Journal(job.folder, job.bot)
    points = Points(job.folder, journal, at=job.at, signal=job.signal)
    world = world_of(job.where, job.folder, job.bot, story)
    world.actions = {a.reference: a for a in disk_actions(Disk(job.folder, points))}
    Moving.journal, Moving.points, Moving.world, Moving.story = journal, points, world, story
    worker = world.worker(Pointed(world.database, journal, points), poll=POLL)
    world.database.on_commit(worker.wake)
    worker.start()
    journal.write("ready")
    await asyncio.Event().wait()
