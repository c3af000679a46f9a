"""What is noted of the use of runbooks: once, by pseudonym, and outside of the record."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.domain.errors import AlreadyDone, Refused
from bot.domain.people import BOT, Caller, Person, PersonId
from bot.ledger.subjects import SubjectKeys
from bot.ports import RunbookUse, Use
from bot.services.feedback import FeedbackService
from bot.storage.sqlite import SqliteDatabase
from tests.fakes import FakeClock
from tests.storage.opened import opened

DANA = Person(id=PersonId("U1"), name="Dana")
RAVI = Person(id=PersonId("U2"), name="Ravi")


class Desk:
    def __init__(self, database: SqliteDatabase, keys: SubjectKeys) -> None:
        self.database = database
        self.service = FeedbackService(database, FakeClock(), keys)

    async def uses(self) -> list[RunbookUse]:
        async with self.database.reading() as view:
            return list(await view.usage.since(FakeClock().now()))


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with opened(tmp_path) as database:
        yield Desk(database, SubjectKeys(tmp_path / "keys"))


def by(person: Person, request: str) -> Caller:
    return Caller(person=person, request=request)


async def test_a_suggestion_counts_once_for_its_subject(desk: Desk) -> None:
    for _ in range(3):
        await desk.service.suggested(["disk", "memory"], subject="g1")
    await desk.service.suggested(["disk"], subject="g2")
    await desk.service.suggested([], subject="g3")
    found = sorted((use.subject, use.runbook, use.what, use.person) for use in await desk.uses())
    assert found == [
        ("g1", "disk", Use.SUGGESTED, None),
        ("g1", "memory", Use.SUGGESTED, None),
        ("g2", "disk", Use.SUGGESTED, None),
    ]


async def test_opening_counts_every_time_but_a_repeated_delivery_does_not(desk: Desk) -> None:
    for request in ("r1", "r1", "r2"):
        await desk.service.opened("disk", subject="g1", by=by(DANA, request))
    assert [use.what for use in await desk.uses()] == [Use.OPENED, Use.OPENED]


async def test_people_change_their_minds_and_stand_there_by_pseudonym(desk: Desk) -> None:
    for request, person, helpful in (("r1", DANA, "yes"), ("r2", RAVI, "yes"), ("r3", DANA, "no")):
        await desk.service.judge("disk", subject="run:1", helpful=helpful, by=by(person, request))
    dana, ravi, again = await desk.uses()
    assert [use.what for use in (dana, ravi, again)] == [Use.HELPFUL, Use.HELPFUL, Use.UNHELPFUL]
    assert dana.person == again.person != ravi.person
    assert "U1" not in str(dana.person)
    with pytest.raises(AlreadyDone):
        await desk.service.judge("disk", subject="run:1", helpful="no", by=by(DANA, "r3"))


@pytest.mark.parametrize("what", ({"guest": True}, {"stranger": True}, {"active": False}))
async def test_only_members_say_whether_a_runbook_helped(desk: Desk, what: dict[str, bool]) -> None:
    person = replace(DANA, **what)  # type: ignore[arg-type]  # the fields are all bool
    with pytest.raises(Refused):
        await desk.service.judge("disk", subject="run:1", helpful="yes", by=by(person, "r1"))
    assert await desk.uses() == []


async def test_bots_and_other_words_are_no_judgement(desk: Desk) -> None:
    with pytest.raises(Refused, match="Only people"):
        await desk.service.judge("disk", subject="run:1", helpful="yes", by=by(BOT, "r1"))
    with pytest.raises(Refused, match="yes or no"):
        await desk.service.judge("disk", subject="run:1", helpful="maybe", by=by(DANA, "r2"))
    assert await desk.uses() == []


async def test_nothing_of_it_is_in_the_ledger_or_told(desk: Desk) -> None:
    await desk.service.judge("disk", subject="run:1", helpful="yes", by=by(DANA, "r1"))
    assert await desk.database.archive.size() == 0
    async with desk.database.reading() as view:
        assert await view.outbox.due(now=FakeClock().now(), limit=9) == []
