"""SIGKILL and SIGSTOP at every transition that a worker makes, in one process and in two.

A first telling of each story, in which nobody dies, numbers its points: before,
inside and after each transaction, after each read, and around each effect. Then
each round is one story with one death at one point: first those around every
transition of the table and around effects, then all others. By default a few
rounds are played; `TOCSIN_TRANSITION_ROUNDS` says how many, or `all`.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bot.domain.runs import TRANSITIONS
from bot.storage.sqlite import SqliteDatabase
from tests.fakes import FakeClock
from tests.scenarios.kill_disk import effects_of
from tests.scenarios.kill_points import Line, journal_of
from tests.scenarios.kill_rounds import KILL, STOP, Death, Round
from tests.scenarios.kill_stories import BY_NAME, STORIES, Story
from tests.scenarios.kill_worker import FRESH, LEASE, POLL
from tests.storage.stores import Postgres, postgres

# Not the name of test_kill.py's, which takes that one out of the environment.
ROUNDS = os.environ.pop("TOCSIN_TRANSITION_ROUNDS", "8")
PARALLEL = 8  # rounds at once: they wait for leases most of the time
BUSY = 1.5  # seconds by which a busy machine may be late
ONE_PROCESS, TWO_PROCESSES = 1, 2
COMMIT = "before a commit"
EFFECTS = ("a handler begins", "before the effect", "after the effect", "before a failure")
# Made by people and by the change of a page, in their own transactions; no worker makes them.
BY_PEOPLE = {
    ("DRAFT", "SUPERSEDED"), ("AWAITING", "DENIED"), ("AWAITING", "CANCELLED"),
    ("AWAITING", "SUPERSEDED"), ("APPROVED", "CANCELLED"), ("IN_DOUBT", "RUNNING"),
    ("MANUAL", "RUNNING"),
}  # fmt: skip
# Ways that the table has and no call of today takes.
UNUSED = {("MANUAL", "CANCELLED"), ("IN_DOUBT", "VERIFYING"), ("IN_DOUBT", "FAILED")}


@dataclass
class Told:
    """A story as it was told without a death: its points by number, and its transitions."""

    story: Story
    points: dict[int, str] = field(default_factory=dict)
    around: dict[tuple[str, str], list[int]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rounds")

    async def make() -> None:
        database = SqliteDatabase(folder / FRESH, FakeClock())
        database.open()
        await database.close()

    asyncio.run(make())
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with postgres(tmp_path_factory.mktemp("postgres"), max_connections="600") as running:
        yield running


@pytest.fixture(scope="module", params=("sqlite", "postgres"))
def store(request: pytest.FixtureRequest) -> Postgres | None:
    """Return the server, or None for files."""
    found: Postgres | None = (
        request.getfixturevalue("server") if request.param == "postgres" else None
    )
    return found


@pytest.fixture(scope="module")
def tellings(place: Path, store: Postgres | None) -> list[Told]:
    return asyncio.run(_tell_all(place, store))


async def _tell_all(place: Path, store: Postgres | None) -> list[Told]:
    rounds = [_round(Death(story=story), place, ONE_PROCESS, store) for story in STORIES]
    gate = asyncio.Semaphore(PARALLEL)

    async def tell(one: Round) -> Told:
        async with gate:
            await one.play()
        return _told(one.death.story, journal_of(one.folder))

    return list(await asyncio.gather(*(tell(one) for one in rounds)))


def _told(story: Story, lines: list[Line]) -> Told:
    told, last = Told(story), {"before a transaction": 0, COMMIT: 0}
    open_changes: list[tuple[str, str]] = []
    for line in lines:
        if line["what"] == "changes":
            open_changes.append((line["before"], line["after"]))
        if line["what"] != "passes":
            continue
        number, name = line["number"], line["name"]
        told.points[number] = name
        last[name] = number
        if name == "after a commit":
            for change in open_changes:
                told.around.setdefault(change, [*[*last.values()][:2], number])
            open_changes = []
    return told


def _round(death: Death, place: Path, count: int, server: Postgres | None) -> Round:
    folder = place / f"{death.story.name}-{death.at}-{death.signal.name}-{time.monotonic_ns()}"
    folder = place / folder.name.replace(" ", "-")
    folder.mkdir()
    if server is not None:
        return Round(death, server.migrated(), folder, count)
    shutil.copy(place / FRESH, folder / "store.db")
    return Round(death, str(folder / "store.db"), folder, count)


def deaths(tellings: list[Told]) -> list[Death]:
    """Return every death there is: around transitions first, then around effects, then the rest."""
    first: dict[tuple[str, int], None] = {}
    known: set[tuple[str, str]] = set()
    for told in tellings:
        for change in told.around.keys() - known:
            known.add(change)
            first |= {(told.story.name, number): None for number in told.around[change]}
    for told in tellings:
        first |= {(told.story.name, n): None for n, name in told.points.items() if name in EFFECTS}
    rest = [(told.story.name, n) for told in tellings for n in told.points]
    random.Random(4).shuffle(rest)
    return [
        Death(story=BY_NAME[name], at=at, signal=signal, late=at % 2 == 0)
        for name, at in first | dict.fromkeys(rest)
        for signal in (KILL, STOP)
    ]


def chosen(every: list[Death]) -> list[Death]:
    """Return the deaths to play: all, as many as were asked for, or a few that are far apart."""
    if ROUNDS == "all":
        return every
    count = int(ROUNDS)
    return every[:count] if count >= 50 else every[:: len(every) // count | 1]  # both signals


def test_the_stories_make_every_transition_that_a_worker_makes(tellings: list[Told]) -> None:
    table = {(a.name, b.name) for a, others in TRANSITIONS.items() for b in others}
    made = {change for told in tellings for change in told.around}
    assert made | BY_PEOPLE | UNUSED >= table, table - made - BY_PEOPLE - UNUSED
    assert not made & UNUSED
    assert made <= table


@pytest.mark.parametrize("count", (ONE_PROCESS, TWO_PROCESSES), ids=("one", "two"))
async def test_a_death_at_any_transition_loses_nothing_and_does_nothing_twice(
    count: int, place: Path, store: Postgres | None, tellings: list[Told]
) -> None:
    began, gate, played = time.monotonic(), asyncio.Semaphore(PARALLEL), list[Round]()

    async def play(death: Death) -> None:
        async with gate:
            one = await asyncio.to_thread(_round, death, place, count, store)
            try:
                await one.play()
            except BaseException as error:
                print(f"\n{death}, in {one.folder}: {error!r:.900}")
                raise
            played.append(one)

    wanted = chosen(deaths(tellings))
    failures = await asyncio.gather(*(play(d) for d in wanted), return_exceptions=True)
    _tell(f"{count} on {'files' if store is None else 'PostgreSQL'}", played, len(wanted), began)
    wrong = [f for f in failures if isinstance(f, BaseException)]
    if wrong:
        raise BaseExceptionGroup(f"{len(wanted)} rounds", wrong)
    late = [str(one.death) for one in played if (one.takeover or 0) > _most(one, store)]
    assert not late


async def test_a_bot_stopped_right_before_its_handler_wakes_too_late_to_act(
    place: Path, store: Postgres | None, tellings: list[Told]
) -> None:
    told = next(t for t in tellings if t.story.name == "rolled back")
    handler = next(n for n, name in told.points.items() if name == "a handler begins")
    look = max(n for n, name in told.points.items() if n < handler and name == "after a read")
    death = Death(story=told.story, at=look, signal=STOP, late=True)
    one = _round(death, place, TWO_PROCESSES, store)
    await one.play()
    assert one.dead is not None


def _most(one: Round, store: Postgres | None) -> float:
    """Return how long a take-over may take, in seconds.

    A bot that is stopped within a transaction, were it a claim beside its move, holds the
    store itself: PostgreSQL's lock until the server ends its session, which is sooner than
    its lease ends, and SQLite's file, which is made for one bot, until it goes on.
    """
    holds = store is None and one.count == TWO_PROCESSES and one.death.signal is STOP
    return math.inf if holds else LEASE + POLL + BUSY


def _tell(what: str, played: list[Round], wanted: int, began: float) -> None:
    """Print the numbers of the proof."""
    died = [one for one in played if one.dead is not None]
    effects = sum(len(effects_of(one.folder)) for one in played)
    where = Counter(f"{one.death.signal.name} {one.dead['name']}" for one in died if one.dead)
    seconds = time.monotonic() - began
    print(f"\nprocesses: {what}: {len(played)} of {wanted} rounds held in {seconds:.0f} s")
    print(
        f"  {len(died)} deaths, {effects} effects, none twice, {wanted - len(played)} rounds wrong"
    )
    for signal in (KILL, STOP):
        times = sorted(t for one in died if one.death.signal is signal and (t := one.takeover))
        if times:
            half, past = times[len(times) // 2], sum(t > LEASE + POLL for t in times)
            print(f"  {signal.name}: {len(times)} take-overs, median {half:.2f} s, "
                  f"slowest {times[-1]:.2f} s, {past} after {LEASE + POLL:.1f} s")  # fmt: skip
    print("  " + ", ".join(f"{name}: {count}" for name, count in sorted(where.items())))
