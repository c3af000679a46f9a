"""Measure the engine: runs per second, approval to the next step, and what waiting runs cost.

    python -m tests.benchmarks.runs [--count N] [--postgres [URL]] [--profile FILE]

The real gate, planner, worker and store, with bodies encrypted as in production,
a chat platform in memory, and actions that do nothing. A run is asked for,
planned, and takes three steps. SQLite is measured in a folder, PostgreSQL at a
URL whose database is empty, or on a server of its own with its usual safety.
Last come the commits alone: small transactions with one ledger entry each, from
fifty tasks at once, and one after the other.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import sys
import tempfile
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bot.domain.actions import ActionCall
from bot.domain.breakers import BreakerRules
from bot.domain.runbooks import Runbook
from bot.domain.runs import RunId
from bot.ledger.subjects import SubjectKeys
from bot.services.engine import RunWorker
from bot.storage.stores import Store
from tests.benchmarks.figures import Figure, percentile, show
from tests.services.gate_world import DANA, runbook, step
from tests.storage.fleet import RealClock
from tests.storage.opened import entry, scalar
from tests.storage.stores import postgres
from tests.storage.worlds import StoreWorld

COUNT = 600
ANSWERS = 200
WAITING = 1000
COMMITS = 2000
AT_ONCE = 50
# As PostgreSQL comes: what is committed is on the disk.
SAFE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
GOALS = {"sqlite": "165", "postgres": "296"}


class Engine(StoreWorld):
    """A world on any store, with a clock that runs and brakes that never stop anything."""

    def __init__(self, folder: Path, where: str) -> None:
        super().__init__(
            folder,
            where,
            clock=RealClock(),
            privacy=SubjectKeys(folder / "keys"),
            rules=BreakerRules(fleet=10**9, fleet_window=0.1, loop_window=0.1),
        )
        self.lamp.before = self._stamp
        self.called: dict[str, float] = {}
        self.asked = 0
        self.book = three()

    async def _stamp(self, call: ActionCall) -> None:
        self.called.setdefault(call.key, time.perf_counter())

    @asynccontextmanager
    async def working(self, parallel: int = 8) -> AsyncIterator[RunWorker]:
        """Let a worker move runs, woken by commits as in the bot."""
        worker = self.worker(parallel=parallel)
        self.database.on_commit(worker.wake)
        worker.start()
        try:
            yield worker
        finally:
            await worker.stop()

    async def wish(self, number: int) -> RunId:
        """Ask for a run of three steps."""
        run = await self.runs.request(
            self.book, {}, subject=f"group {number}", labels={}, incident=None, service=None,
            by=self.caller(DANA),
        )  # fmt: skip
        return run.id

    async def left(self) -> int:
        """Count the runs that still have a move to come."""
        async with self.database.reading() as view:
            return int(await scalar(view, "SELECT count(*) FROM runs WHERE due_at IS NOT NULL"))


def three(uses: str = "lamp.look@1") -> Runbook:
    """Return a runbook of three steps that do nothing."""
    return runbook(*(step(id, uses) for id in ("one", "two", "three")))


async def throughput(engine: Engine, count: int) -> tuple[float, float]:
    """Return how many runs a second are asked for, planned and moved to their end.

    And how many milliseconds of this process's processor each took, which says
    more where others use the machine too.
    """
    numbers = iter(range(engine.asked, engine.asked + count))
    engine.asked += count

    async def asking() -> None:
        for number in numbers:
            await engine.wish(number)

    began, used = time.perf_counter(), time.process_time()
    async with engine.working():
        await asyncio.gather(*(asking() for _ in range(8)))
        while await engine.left():  # noqa: ASYNC110  # it becomes so in rows
            await asyncio.sleep(0.02)
    used = (time.process_time() - used) / count * 1000
    return count / (time.perf_counter() - began), used


async def answered(engine: Engine, count: int) -> list[float]:
    """Return the milliseconds from each approval to the call of the first step."""
    engine.book = three("lamp.on@1")
    waits: list[float] = []
    async with engine.working():
        for number in range(count):
            id = await engine.wish(10**6 + number)
            while (await engine.run(id)).plan is None:  # noqa: ASYNC110  # as above
                await asyncio.sleep(0.002)
            pressed = time.perf_counter()
            await engine.approve(id)
            key = f"{id}:one"
            while key not in engine.called:  # noqa: ASYNC110  # an event would cost it time
                await asyncio.sleep(0.0005)
            waits.append((engine.called[key] - pressed) * 1000)
            while await engine.left():  # noqa: ASYNC110  # it becomes so in rows
                await asyncio.sleep(0.002)
    return waits


async def waiting(engine: Engine, count: int) -> tuple[int, float]:
    """Return how many tasks and MiB so many runs cost that wait for an approval."""
    engine.book = three("lamp.on@1")
    async with engine.working():
        await engine.wish(2 * 10**6)  # whatever is made once is made
        await _settled(engine)
        gc.collect()
        tracemalloc.start()
        tasks, (memory, _) = await _fewest_tasks(), tracemalloc.get_traced_memory()
        for number in range(count):
            await engine.wish(2 * 10**6 + 1 + number)
        await _settled(engine)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - memory
        tracemalloc.stop()
        return await _fewest_tasks() - tasks, grown / 2**20


async def _fewest_tasks() -> int:
    """Count the tasks there are while the worker rests, not those of a look at what is due."""
    counts = []
    for _ in range(50):
        counts.append(len(asyncio.all_tasks()))
        await asyncio.sleep(0.01)
    return min(counts)


async def _settled(engine: Engine) -> None:
    """Wait until every run waits for an answer that is not due for long."""
    soon = "SELECT count(*) FROM runs WHERE due_at < '{}'"
    while True:
        at = datetime.now(UTC) + timedelta(seconds=60)
        async with engine.database.reading() as view:
            if not await scalar(view, soon.format(at.strftime("%Y-%m-%d %H:%M:%S.%f"))):
                return
        await asyncio.sleep(0.05)


async def commits(store: Store, count: int) -> tuple[float, list[float]]:
    """Return small transactions a second from fifty tasks, and how long each took, in ms."""
    numbers, took = iter(range(count)), []

    async def write() -> None:
        for number in numbers:
            began = time.perf_counter()
            async with store.transaction() as tx:
                await tx.slots.take("benchmark", f"{id(store)}-{number}-{began}")
                await tx.ledger.append(entry(number))
            took.append((time.perf_counter() - began) * 1000)

    began = time.perf_counter()
    await asyncio.gather(*(write() for _ in range(AT_ONCE)))
    return count / (time.perf_counter() - began), took


async def one_by_one(store: Store, count: int) -> float:
    """Return transactions a second where each waits for the one before."""
    began = time.perf_counter()
    for number in range(count):
        async with store.transaction() as tx:
            await tx.slots.take("alone", f"{id(store)}-{number}-{began}")
            await tx.ledger.append(entry(number))
    return count / (time.perf_counter() - began)


async def measured(name: str, where: str, count: int) -> list[Figure]:
    """Measure everything on one store."""
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(Path(folder), where)
        try:
            await throughput(engine, 20)  # what is made once is made
            runs, used = await throughput(engine, count)
            waits = await answered(engine, ANSWERS)
            rate, took = await commits(engine.database, COMMITS)
            alone = await one_by_one(engine.database, COMMITS // 10)
            tasks, memory = await waiting(engine, WAITING)
        finally:
            await engine.done()
    return [
        Figure(f"{name}: runs of three steps", f"{runs:.0f}", "runs/s", GOALS[name]),
        Figure(f"{name}: processor time of a run", f"{used:.1f}", "ms"),
        Figure(f"{name}: approval to step, p50", f"{percentile(waits, 0.5):.1f}", "ms"),
        Figure(f"{name}: approval to step, p99", f"{percentile(waits, 0.99):.1f}", "ms", "100"),
        Figure(f"{name}: commits, {AT_ONCE} at once", f"{rate:.0f}", "/s", "250"),
        Figure(f"{name}: commits, {AT_ONCE} at once, p99", f"{percentile(took, 0.99):.1f}", "ms"),
        Figure(f"{name}: commits, one by one", f"{alone:.0f}", "/s"),
        Figure(f"{name}: tasks of {WAITING} waiting runs", f"{tasks}", "", "0"),
        Figure(f"{name}: memory of {WAITING} waiting runs", f"{memory:.2f}", "MiB", "5"),
    ]


@contextmanager
def _profiled(path: str | None) -> Iterator[None]:
    if path is None:
        yield
        return
    with cProfile.Profile() as profile:
        yield
    profile.dump_stats(path)


def main(arguments: list[str] | None = None) -> list[Figure]:
    """Measure SQLite, and PostgreSQL where it is asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--postgres", nargs="?", const="", help="a URL, or a server of its own")
    parser.add_argument("--only", choices=("sqlite", "postgres"))
    parser.add_argument("--profile")
    asked = parser.parse_args(arguments or [])
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder, _profiled(asked.profile):
        if asked.only != "postgres":
            where = str(Path(folder) / "tocsin.db")
            figures += asyncio.run(measured("sqlite", where, asked.count))
        if asked.postgres:
            figures += asyncio.run(measured("postgres", asked.postgres, asked.count))
        elif asked.postgres is not None:
            with postgres(Path(folder), programs=(), **SAFE) as server:
                figures += asyncio.run(measured("postgres", server.migrated(), asked.count))
    return figures


if __name__ == "__main__":
    show(main(sys.argv[1:]))
