"""Two bots on one PostgreSQL: they share the work, and one dies in the middle of it.

`TOCSIN_FLEET_ROUNDS` says how often.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from bot.domain.runs import RunId, RunState
from bot.ledger.subjects import SubjectKeys
from bot.storage.postgres import verify_url
from tests.services.gate_world import DANA, until
from tests.storage.fleet import EFFECTS, LEASE, TIMEOUT, effects, world_of
from tests.storage.stores import Postgres
from tests.storage.worlds import StoreWorld

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = int(os.environ.pop("TOCSIN_FLEET_ROUNDS", "10"))
RUNS = 6
NAMES = ("one", "other")
PATIENCE = 60.0  # seconds; the machine may be busy


class Fleet:
    """The processes of the bots."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self.bots: dict[str, subprocess.Popen[str]] = {}

    def start(self, name: str) -> None:
        argv = [sys.executable, "-m", "tests.storage.fleet", self.url, str(self.folder), name]
        bot = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert bot.stdout is not None
        assert bot.stdout.readline() == "ready\n"
        self.bots[name] = bot

    def kill(self, name: str) -> None:
        self.bots[name].kill()
        self.bots[name].wait()

    def end(self) -> None:
        for bot in self.bots.values():
            bot.kill()
            bot.wait()


@pytest.fixture
def fleet(server: Postgres, tmp_path: Path) -> Iterator[Fleet]:
    SubjectKeys(tmp_path / "keys").pseudonym("person:U1")  # makes what all bots share
    fleet = Fleet(server.migrated(), tmp_path)
    yield fleet
    fleet.end()


async def asked(world: StoreWorld, count: int) -> list[RunId]:
    """Ask for runs, and approve each as soon as a bot has planned it."""
    ids = []
    for number in range(count):
        run = await world.runs.request(
            world.book, {}, subject=f"group {time.time_ns()} {number}", labels={}, incident=None,
            service=None, by=world.caller(DANA),
        )  # fmt: skip
        ids.append(run.id)
    for id in ids:
        await until(partial(planned, world, id), seconds=PATIENCE)
        await world.approve(id)
    return ids


async def planned(world: StoreWorld, id: RunId) -> bool:
    return (await world.run(id)).plan is not None


async def ended(world: StoreWorld, ids: list[RunId]) -> None:
    for id in ids:
        await until(partial(over, world, id), seconds=PATIENCE)


async def over(world: StoreWorld, id: RunId) -> bool:
    return (await world.run(id)).state.over


async def test_two_bots_share_the_work_and_one_takes_over_from_the_other(fleet: Fleet) -> None:
    for name in NAMES:
        await asyncio.to_thread(fleet.start, name)
    world = world_of(fleet.url, fleet.folder, "people")
    world._numbers = itertools.count(10**9)
    every: list[RunId] = []
    slowest = 0.0
    try:
        for number in range(ROUNDS):
            ids = await asked(world, RUNS)
            await asyncio.sleep(random.uniform(0, 0.2))
            dead = NAMES[number % 2]
            fleet.kill(dead)
            died = time.monotonic()
            await ended(world, ids)
            slowest = max(slowest, time.monotonic() - died)
            every += ids
            await asyncio.to_thread(fleet.start, dead)
        states = Counter([(await world.run(id)).state for id in every])
        await world.check()
    finally:
        await world.done()
    assert states == {RunState.SUCCEEDED: ROUNDS * RUNS}
    done = effects(fleet.folder / EFFECTS)
    assert Counter(key for key, _ in done) == {
        f"{id}:{step}": 1 for id in every for step in ("one", "two", "three")
    }
    assert {name for _, name in done} == {*NAMES}
    assert verify_url(fleet.url, SubjectKeys(fleet.folder / "keys")).ok
    # A lease, the time for which the dead bot's call might be under way, and the work itself.
    assert slowest < LEASE + TIMEOUT + 10
    print(f"{ROUNDS} rounds, {len(every)} runs, {len(done)} effects, slowest {slowest:.1f} s")
