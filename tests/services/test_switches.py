"""The kill switch as a use case: who pulls it, who releases it, and the file that works alone."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from bot.domain.canonical import canonical
from bot.domain.errors import AlreadyDone, Refused
from bot.domain.people import Caller, Person, PersonId
from bot.domain.switches import GLOBAL, SCOPES, Halt, Reach, refusal
from bot.services.halt_file import NO_REASON, UNKNOWN, UNREADABLE, HaltFile, tidy
from bot.services.switches import SwitchService
from bot.storage.sqlite import SqliteDatabase, read_entries
from tests.fakes import NOON, FakeClock
from tests.storage.opened import opened

DANA = Person(id=PersonId("U1"), name="Dana")
PRIYA = Person(id=PersonId("U2"), name="Priya")
MARCUS = Person(id=PersonId("U3"), name="Marcus")
PEOPLE = (DANA, PRIYA, MARCUS)
REACH = Reach(
    runbook="light", service="hall", teams=frozenset({"house"}), plugins=frozenset({"lamp"})
)
NOBODIES = (
    replace(DANA, bot=True),
    replace(DANA, guest=True),
    replace(DANA, stranger=True),
    replace(DANA, active=False),
)

_numbers = itertools.count()


def by(person: Person) -> Caller:
    """Let a person ask, by a request of its own."""
    return Caller(person=person, request=f"request-{next(_numbers)}")


class House:
    """A database, a clock that stands, and the switches."""

    def __init__(self, folder: Path, database: SqliteDatabase, clock: FakeClock) -> None:
        self.path, self.database, self.clock = folder / "tocsin.db", database, clock
        self.file = HaltFile(folder / "HALT")
        self.switches = SwitchService(database, clock, by_file=self.file)

    async def standing(self) -> Halt | None:
        """Return what stands in the way, in a transaction as the gate has one."""
        async with self.database.transaction() as tx:
            return await self.switches.standing(tx, REACH)

    async def epoch(self) -> int:
        """Count pulls and releases."""
        async with self.database.reading() as view:
            return await view.switches.epoch()

    async def told(self) -> list[tuple[str, str]]:
        """Return every event that waits."""
        async with self.database.reading() as view:
            due = await view.outbox.due(now=self.clock.now(), limit=1000)
        assert {queued.happening.kind for queued in due} <= {"governance"}
        return [(queued.happening.subject, queued.happening.change) for queued in due]

    def recorded(self) -> list[tuple[Any, Any]]:
        """Return type and scope of every ledger entry."""
        return [(entry["type"], entry["outcome"]) for entry in self.entries()]

    def entries(self) -> list[Mapping[str, Any]]:
        """Return every ledger entry."""
        return list(read_entries(self.path, incident="", last=100_000))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Open a house."""
    clock = FakeClock()
    async with opened(tmp_path, clock) as database:
        yield House(tmp_path, database, clock)


async def test_a_pulled_switch_stands_in_the_way_until_two_people_release_it(house: House) -> None:
    assert await house.standing() is None
    pulled = await house.switches.halt("smoke", by=by(DANA))
    assert await house.standing() == pulled == Halt(by="Dana", at=NOON, reason="smoke")
    asked = await house.switches.release(by=by(DANA))
    assert asked == replace(pulled, releases=(DANA,))
    assert await house.standing() == asked
    assert await house.switches.release(by=by(PRIYA)) is None
    assert await house.standing() is None
    assert list(await house.switches.state()) == []


async def test_every_pull_and_wish_is_recorded_and_told_with_its_scope(house: House) -> None:
    scope = "service:hall"
    await house.switches.halt("smoke", scope=scope, by=by(DANA))
    await house.switches.release(scope=scope, by=by(PRIYA))
    await house.switches.release(scope=scope, by=by(MARCUS))
    assert house.recorded() == [
        ("switch.halted", scope),
        ("switch.release_asked", scope),
        ("switch.released", scope),
    ]
    subject = f"switch:{scope}"
    assert await house.told() == [
        (subject, "halted"),
        (subject, "release asked"),
        (subject, "released"),
    ]
    assert await house.epoch() == 3


async def test_the_record_names_nobody_in_the_clear(house: House) -> None:
    await house.switches.halt("smoke", by=by(DANA))
    leaves = await house.database.archive.entries()
    assert b"Dana" not in leaves[0].leaf
    assert b"U1" not in leaves[0].leaf


async def test_pulling_twice_keeps_the_first_record(house: House) -> None:
    first = await house.switches.halt("smoke", by=by(DANA))
    house.clock.advance(seconds=60)
    assert await house.switches.halt("fire", by=by(PRIYA)) == first
    assert await house.switches.state() == [first]
    assert house.recorded() == [("switch.halted", GLOBAL)]


async def test_a_second_pull_takes_back_the_wish_for_a_release(house: House) -> None:
    first = await house.switches.halt("smoke", by=by(DANA))
    await house.switches.release(by=by(PRIYA))
    assert await house.switches.halt("it still burns", by=by(MARCUS)) == first
    asked = await house.switches.release(by=by(DANA))
    assert asked is not None
    assert asked.releases == (DANA,)
    assert house.recorded()[2] == ("switch.halted", GLOBAL)


async def test_the_same_envelope_pulls_and_releases_once(house: House) -> None:
    once = by(DANA)
    await house.switches.halt("smoke", by=once)
    with pytest.raises(AlreadyDone):
        await house.switches.halt("smoke", by=once)
    again = by(PRIYA)
    await house.switches.release(by=again)
    with pytest.raises(AlreadyDone):
        await house.switches.release(by=again)
    assert await house.standing() is not None


@pytest.mark.parametrize("again", (PRIYA, replace(MARCUS, account="U2")))
async def test_one_human_being_does_not_release_it_alone(house: House, again: Person) -> None:
    await house.switches.halt("smoke", by=by(DANA))
    await house.switches.release(by=by(PRIYA))
    with pytest.raises(Refused, match="a second person"):
        await house.switches.release(by=by(again))
    assert await house.standing() is not None


@pytest.mark.parametrize("nobody", NOBODIES)
async def test_only_full_members_pull_or_release_it(house: House, nobody: Person) -> None:
    with pytest.raises(Refused, match="Only"):
        await house.switches.halt("smoke", by=by(nobody))
    assert house.recorded() == []
    await house.switches.halt("smoke", by=by(PRIYA))
    with pytest.raises(Refused, match="Only"):
        await house.switches.release(by=by(nobody))
    assert house.recorded() == [("switch.halted", GLOBAL)]


async def test_releasing_what_is_not_pulled_says_what_is(house: House) -> None:
    with pytest.raises(Refused, match=r"^The kill switch is not pulled\.$"):
        await house.switches.release(by=by(DANA))
    await house.switches.halt("smoke", scope="service:hall", by=by(DANA))
    with pytest.raises(Refused, match="is not pulled; pulled is that of service:hall"):
        await house.switches.release(by=by(DANA))
    with pytest.raises(Refused, match="is not a scope"):
        await house.switches.release(scope="hall", by=by(DANA))
    with pytest.raises(Refused, match="is not a scope"):
        await house.switches.halt("smoke", scope="hall", by=by(DANA))


async def test_scopes_are_pulled_and_released_apart_the_widest_first(house: House) -> None:
    for scope in ("service:hall", "plugin:lamp", "service:cellar", GLOBAL):
        await house.switches.halt("smoke", scope=scope, by=by(DANA))
    scopes = [halt.scope for halt in await house.switches.state()]
    assert scopes == [GLOBAL, "plugin:lamp", "service:cellar", "service:hall"]
    for scope in (GLOBAL, "plugin:lamp"):
        await house.switches.release(scope=scope, by=by(DANA))
        await house.switches.release(scope=scope, by=by(PRIYA))
    left = await house.standing()
    assert left is not None
    assert left.scope == "service:hall"
    for person in (DANA, PRIYA):
        await house.switches.release(scope="service:hall", by=by(person))
    assert await house.standing() is None


async def test_a_reason_is_one_line_the_record_can_hold(house: House) -> None:
    halt = await house.switches.halt(" it \ud800\nburns\u202e ", by=by(DANA))
    assert halt.reason == "it ? burns"
    scoped = await house.switches.halt("   ", scope="plugin:lamp", by=by(DANA))
    assert scoped.reason == NO_REASON
    long = await house.switches.halt("x" * 9000, scope="team:house", by=by(DANA))
    assert long.reason == "x" * 500
    assert (await house.database.archive.verify()).ok


async def test_of_two_releases_at_once_none_is_lost(house: House) -> None:
    await house.switches.halt("smoke", by=by(DANA))
    wishes = [house.switches.release(by=by(person)) for person in (DANA, PRIYA)]
    results = await asyncio.gather(*wishes)
    assert [result is None for result in results].count(True) == 1
    assert await house.standing() is None


async def test_a_hundred_pulls_at_once_are_one(house: House) -> None:
    wishes = [house.switches.halt(f"smoke {n}", by=by(PEOPLE[n % 3])) for n in range(100)]
    halts = await asyncio.gather(*wishes)
    assert len(set(halts)) == 1
    assert house.recorded() == [("switch.halted", GLOBAL)]


# The file.


async def test_a_file_stops_everything_as_soon_as_it_is_there(house: House) -> None:
    assert await house.standing() is None
    house.file.path.write_text("Slack is down\n and so\tare we", encoding="utf-8")
    halt = await house.standing()
    assert halt is not None
    assert halt.reason == "Slack is down and so are we"
    assert halt.by == f"the file {house.file.path}"
    assert f"pulled by the file {house.file.path}" in refusal(halt).reason
    assert await house.switches.state() == [halt]
    house.file.path.unlink()
    assert await house.standing() is None


async def test_a_file_is_released_on_the_host_alone(house: House) -> None:
    house.file.path.touch()
    for _ in range(2):
        with pytest.raises(Refused, match=f"remove the file {house.file.path} on the host"):
            await house.switches.release(by=by(DANA))
    await house.switches.halt("smoke", scope="service:hall", by=by(DANA))
    for person in (DANA, PRIYA):
        await house.switches.release(scope="service:hall", by=by(person))
    assert await house.standing() is not None


async def test_a_switch_that_people_pulled_outlives_the_file(house: House) -> None:
    house.file.path.touch()
    await house.switches.halt("smoke", by=by(DANA))
    assert len(await house.switches.state()) == 2
    house.file.path.unlink()
    standing = await house.standing()
    assert standing is not None
    assert standing.by == "Dana"


def test_a_file_tells_when_it_was_made(tmp_path: Path) -> None:
    path = tmp_path / "HALT"
    path.write_bytes(b"")
    os.utime(path, (NOON.timestamp(), (NOON - timedelta(hours=1)).timestamp()))
    halt = HaltFile(path)()
    assert halt == Halt(by=f"the file {path}", at=NOON - timedelta(hours=1), reason=NO_REASON)


@pytest.mark.parametrize("content", (b"\xff\xfe" * 4000, b"\x00" * 10, bytes(range(256)) * 20))
def test_whatever_is_in_the_file_can_be_shown_and_recorded(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "HALT").write_bytes(content)
    halt = HaltFile(tmp_path / "HALT")()
    assert halt is not None
    assert 0 < len(halt.reason) <= 500
    assert halt.reason.isprintable()
    canonical({"reason": halt.reason})


def test_a_link_to_nowhere_stops_everything(tmp_path: Path) -> None:
    (tmp_path / "HALT").symlink_to(tmp_path / "gone")
    halt = HaltFile(tmp_path / "HALT")()
    assert halt is not None
    assert halt.reason == UNREADABLE


def test_a_link_to_itself_stops_everything(tmp_path: Path) -> None:
    (tmp_path / "HALT").symlink_to(tmp_path / "HALT")
    assert HaltFile(tmp_path / "HALT")() is not None


def test_a_folder_of_that_name_stops_everything(tmp_path: Path) -> None:
    (tmp_path / "HALT").mkdir()
    halt = HaltFile(tmp_path / "HALT")()
    assert halt is not None
    assert halt.reason == UNREADABLE


def test_nobody_waits_for_a_pipe_of_that_name(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "HALT")
    halt = HaltFile(tmp_path / "HALT")()
    assert halt is not None
    assert halt.reason == UNREADABLE


@pytest.mark.parametrize("name", ("file/HALT", "x" * 5000, "nul\0byte"))
def test_when_nobody_can_say_whether_it_is_there_it_stops(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    halt = HaltFile(tmp_path / name)()
    assert halt is not None
    assert halt.at == UNKNOWN
    assert "nobody can say" in halt.reason
    canonical({"by": halt.by})


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable to root")
def test_a_file_that_may_not_be_read_stops_everything(tmp_path: Path) -> None:
    path = tmp_path / "HALT"
    path.write_text("secret")
    path.chmod(0)
    halt = HaltFile(path)()
    assert halt is not None
    assert halt.reason == UNREADABLE


@given(st.text())
def test_a_tidy_line_stays_as_it_is(text: str) -> None:
    line = tidy(text)
    assert tidy(line) == line
    assert line.isprintable()
    assert len(line) <= 500


def test_a_line_that_is_cut_off_ends_with_a_word() -> None:
    assert tidy("x" * 499 + " y") == "x" * 499


# Everything together, against a plain account of it.

SCOPE = st.sampled_from([GLOBAL, *(f"{kind}:{name}" for kind in SCOPES for name in ("a", "b"))])
MOVE = st.tuples(st.sampled_from(("halt", "release", "file", "no file")), SCOPE,
                 st.sampled_from([*PEOPLE, *NOBODIES]))  # fmt: skip
WIDE = Reach(runbook="a", service="a", teams=frozenset({"a", "b"}), plugins=frozenset({"a"}))


def test_effects_stand_still_exactly_as_long_as_a_switch_is_pulled(tmp_path: Path) -> None:
    folders = itertools.count()

    @settings(max_examples=40, deadline=None)
    @given(st.lists(MOVE, max_size=25))
    def holds(moves: list[tuple[str, str, Person]]) -> None:
        folder = tmp_path / str(next(folders))
        folder.mkdir()
        asyncio.run(_play(folder, moves))

    holds()


async def _play(folder: Path, moves: list[tuple[str, str, Person]]) -> None:
    async with opened(folder) as database:
        house = House(folder, database, FakeClock())
        pulled: dict[str, set[str]] = {}
        for what, scope, person in moves:
            allowed = person in PEOPLE
            if what == "halt" and await _done(house.switches.halt("x", scope=scope, by=by(person))):
                assert allowed
                pulled[scope] = set()
            elif what == "release":
                done = await _done(house.switches.release(scope=scope, by=by(person)))
                wishes = pulled.get(scope)
                blocked = scope == GLOBAL and house.file.path.exists()
                new = wishes is not None and person.human not in wishes
                assert done == (allowed and new and not blocked)
                if done and wishes is not None:
                    wishes.add(person.human)
                    if len(wishes) == 2:
                        del pulled[scope]
            elif what == "file":
                house.file.path.touch()
            elif what == "no file":
                house.file.path.unlink(missing_ok=True)
            async with database.reading() as view:
                found = await house.switches.standing(view, WIDE)
            covered = WIDE.scopes & pulled.keys()
            assert (found is not None) == (bool(covered) or house.file.path.exists())
        states = {halt.scope for halt in await house.switches.state()}
        assert states == pulled.keys() | ({GLOBAL} if house.file.path.exists() else set())


async def _done(wish: Any) -> bool:
    try:
        await wish
    except Refused:
        return False
    return True
