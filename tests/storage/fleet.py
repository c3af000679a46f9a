"""One bot of several on one PostgreSQL, as a process of its own.

    python -m tests.storage.fleet URL FOLDER NAME

It moves the runs that are due until it is killed. Its lamp is a file in the
folder that all bots write to: one line for each time that an effect took place.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from datetime import UTC, datetime
from pathlib import Path

from typing_extensions import override

from bot.domain.actions import ActionCall, ActionResult, Happened, Reconciliation
from bot.domain.breakers import BreakerRules
from bot.domain.runbooks import Runbook
from bot.ledger.subjects import SubjectKeys
from tests.fakes import FakeClock
from tests.services import gate_world
from tests.services.gate_world import Lamp, lamp_actions, runbook, step
from tests.storage.worlds import StoreWorld

LEASE = 2.0  # seconds
TIMEOUT = 1.0  # of a step, in seconds: for which a dead bot's call may be under way still
EFFECTS = "effects.txt"


class RealClock(FakeClock):
    """The machine's clock, for a world that was made for a clock that stands."""

    @override
    def now(self) -> datetime:
        return datetime.now(UTC)


class Shared(Lamp):
    """A lamp that all bots see: what took effect stands in a file."""

    def __init__(self, path: Path, name: str) -> None:
        super().__init__()
        self.path, self.name = path, name

    @override
    async def handle(self, call: ActionCall) -> ActionResult:
        await asyncio.sleep(random.uniform(0, 0.03))
        line = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(line, f"{call.key} {self.name}\n".encode())
        os.close(line)
        await asyncio.sleep(random.uniform(0, 0.03))
        return ActionResult(summary="done", value=1.0)

    @override
    async def find(self, call: ActionCall) -> Reconciliation:
        there = any(key == call.key for key, _ in effects(self.path))
        return Reconciliation(happened=Happened.YES if there else Happened.NO, detail="looked")


def effects(path: Path) -> list[tuple[str, str]]:
    """Return what took effect: the key of each, and the name of its bot."""
    if not path.exists():
        return []
    return [(k, n) for k, n in (line.split(" ") for line in path.read_text().splitlines())]


def world_of(url: str, folder: Path, name: str) -> StoreWorld:
    """Return what a bot sees."""
    gate_world.LEASE = LEASE
    own = folder / name
    own.mkdir(exist_ok=True)
    world = StoreWorld(
        own,
        url,
        clock=RealClock(),
        privacy=SubjectKeys(folder / "keys"),
        rules=BreakerRules(fleet=10**9, fleet_window=0.1, loop_window=0.1),
    )
    world.lamp = Shared(folder / EFFECTS, name)
    world.actions = {a.reference: a for a in lamp_actions(world.lamp)}
    world.book = three()
    return world


def three() -> Runbook:
    """Return a runbook of three effects, none of which may be repeated."""
    return runbook(*(step(id, timeout=TIMEOUT) for id in ("one", "two", "three")))


async def main(url: str, folder: Path, name: str) -> None:
    """Move what is due, for ever."""
    world = world_of(url, folder, name)
    worker = world.worker(poll=0.1)
    world.database.on_commit(worker.wake)
    worker.start()
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
