from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.plugin import Job, JobRun
from bot.scheduler import Scheduler, slot_of
from bot.storage.sqlite import SqliteDatabase
from tests.fakes import NOON, FakeClock


class Worked:
    """A job's handler that keeps its slots."""

    def __init__(self) -> None:
        self.slots: list[datetime] = []

    async def __call__(self, run: JobRun) -> None:
        self.slots.append(run.slot)


def open_database(folder: Path) -> SqliteDatabase:
    database = SqliteDatabase(folder / "tocsin.db", FakeClock())
    database.open()
    return database


async def test_a_slot_is_run_once_by_two_replicas(tmp_path: Path) -> None:
    worked = Worked()
    job = Job(name="sweep", every=60, handler=worked)
    databases = [open_database(tmp_path) for _ in range(2)]
    clocks = [FakeClock(NOON), FakeClock(NOON + timedelta(seconds=1))]
    replicas = [
        Scheduler(database, clock, [("plugin", job)])
        for database, clock in zip(databases, clocks, strict=True)
    ]
    for _ in range(5):
        await asyncio.gather(*(r.fire("plugin", job) for r in replicas for _ in range(3)))
        for clock in clocks:
            clock.advance(seconds=60)
    assert worked.slots == [NOON + timedelta(minutes=n) for n in range(5)]
    for database in databases:
        await database.close()


async def test_what_only_a_replica_itself_holds_is_done_by_each(tmp_path: Path) -> None:
    worked, clock = Worked(), FakeClock(NOON)
    job = Job(name="vectors", every=60, handler=worked, everywhere=True)
    databases = [open_database(tmp_path) for _ in range(2)]
    replicas = [Scheduler(database, clock, [("search", job)]) for database in databases]
    for replica in replicas:
        await replica.fire("search", job)
    assert worked.slots == [NOON, NOON]
    for database in databases:
        await database.close()


async def test_equal_jobs_of_two_plugins_are_two_jobs(tmp_path: Path) -> None:
    worked, database = Worked(), open_database(tmp_path)
    job = Job(name="sweep", every=60, handler=worked)
    scheduler = Scheduler(database, FakeClock(), [("a", job), ("b", job)])
    for owner in ("a", "b", "a"):
        await scheduler.fire(owner, job)
    assert worked.slots == [NOON, NOON]
    await database.close()


async def test_a_failing_job_is_run_again_in_its_next_slot(tmp_path: Path) -> None:
    ran = 0

    async def fail(run: JobRun) -> None:
        nonlocal ran
        ran += 1
        raise RuntimeError("no")

    database, clock = open_database(tmp_path), FakeClock()
    job = Job(name="sweep", every=60, handler=fail)
    scheduler = Scheduler(database, clock, [("a", job)])
    await scheduler.fire("a", job)
    await scheduler.fire("a", job)
    clock.advance(seconds=60)
    await scheduler.fire("a", job)
    assert ran == 2
    await database.close()


class WallClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


async def test_a_started_scheduler_misses_no_slot(tmp_path: Path) -> None:
    worked, database = Worked(), open_database(tmp_path)
    job = Job(name="tick", every=0.1, handler=worked)
    scheduler = Scheduler(database, WallClock(), [("a", job)])
    scheduler.start()
    deadline = time.monotonic() + 10
    while len(worked.slots) < 8:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    await scheduler.stop()
    await scheduler.stop()
    gaps = {
        round((b - a).total_seconds(), 3)
        for a, b in zip(worked.slots, worked.slots[1:], strict=False)
    }
    assert all(gap >= 0.099 for gap in gaps), "a slot is run once"
    assert all(abs(gap / 0.1 - round(gap / 0.1)) < 0.01 for gap in gaps)
    await database.close()


@pytest.mark.parametrize(
    ("now", "every", "slot"),
    (
        (NOON, 3600, NOON),
        (NOON + timedelta(seconds=59.999), 60, NOON),
        (NOON - timedelta(seconds=0.001), 60, NOON - timedelta(minutes=1)),
        (NOON + timedelta(hours=3), 86400, NOON - timedelta(hours=12)),
    ),
)
def test_a_slot_is_the_same_on_every_replica(now: datetime, every: float, slot: datetime) -> None:
    assert slot_of(now, every) == slot
