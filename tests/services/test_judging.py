"""What people say of hits: kept once, by pseudonym, counted by their newest word, never made up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.documents import Acceptance, Document, Found, Hit, Kind, Query
from bot.domain.errors import AlreadyDone, Refused
from bot.domain.people import BOT, Caller, Person, PersonId
from bot.domain.relevance import Judged
from bot.ledger.subjects import SubjectKeys
from bot.ports import Judgement, SearchLabel
from bot.services.judging import LONGEST_REASON, JudgingService, accepted
from bot.storage.sqlite import SqliteDatabase
from tests.fakes import NOON, FakeClock
from tests.storage.opened import opened

DANA = Person(id=PersonId("U1"), name="Dana")
RAVI = Person(id=PersonId("U2"), name="Ravi")


def hit(id: str) -> Hit:
    document = Document(id=id, kind=Kind.INCIDENT, title=id, text="")
    return Hit(document=document, score=1, lexical=1, dense=None, matched=(), passage="")


FOUND = Found(hits=(hit("A"), hit("B")), confidence=0.7, model="ranker-7")
QUERY = Query(text="the queue is full", names=("QueueFull",), services=("checkout",))


def judged(document: str, subject: str = "g1") -> Judged:
    return Judged(query=QUERY, found=FOUND, document=document, subject=subject)


def by(person: Person, request: str) -> Caller:
    return Caller(person=person, request=request)


class Desk:
    def __init__(self, database: SqliteDatabase, keys: SubjectKeys) -> None:
        self.database = database
        self.service = JudgingService(database, FakeClock(), keys)

    async def labels(self) -> Sequence[SearchLabel]:
        async with self.database.reading() as view:
            return await view.labels.all()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with opened(tmp_path) as database:
        yield Desk(database, SubjectKeys(tmp_path / "keys"))


async def test_a_label_holds_what_was_searched_what_was_shown_and_what_they_thought(
    desk: Desk,
) -> None:
    reason = "other  cause:\n" + "x" * 1000
    await desk.service.judge(judged("B"), Judgement.USELESS, reason=reason, by=by(DANA, "r1"))
    (label,) = await desk.labels()
    assert (label.query, label.names, label.services) == (QUERY.text, ("QueueFull",), ("checkout",))
    assert (label.subject, label.document, label.kind, label.place) == ("g1", "B", "incident", 2)
    assert (label.judgement, label.confidence, label.model) == (Judgement.USELESS, 0.7, "ranker-7")
    assert label.reason.startswith("other cause: xxx")
    assert len(label.reason) == LONGEST_REASON
    assert label.at == NOON


async def test_people_stand_there_by_pseudonym(desk: Desk) -> None:
    for person in (DANA, RAVI):
        await desk.service.judge(judged("A"), Judgement.USEFUL, by=by(person, person.id))
    dana, ravi = await desk.labels()
    assert dana.person != ravi.person
    assert not {"U1", "U2", "person:U1", "person:U2"} & {dana.person, ravi.person}


async def test_a_repeated_request_writes_nothing(desk: Desk) -> None:
    await desk.service.judge(judged("A"), Judgement.USEFUL, by=by(DANA, "r1"))
    with pytest.raises(AlreadyDone):
        await desk.service.judge(judged("A"), Judgement.USELESS, by=by(DANA, "r1"))
    (label,) = await desk.labels()
    assert label.judgement is Judgement.USEFUL


async def test_software_judges_nothing(desk: Desk) -> None:
    with pytest.raises(Refused, match="Only people"):
        await desk.service.judge(judged("A"), Judgement.USEFUL, by=by(BOT, "r1"))
    assert await desk.labels() == []


@pytest.mark.parametrize("what", ({"guest": True}, {"stranger": True}, {"active": False}))
async def test_guests_strangers_and_who_has_left_judge_nothing(
    desk: Desk, what: dict[str, bool]
) -> None:
    person = replace(DANA, **what)  # type: ignore[arg-type]  # the fields are all bool
    with pytest.raises(Refused, match="Only full members of this workspace say whether a hit"):
        await desk.service.judge(judged("A"), Judgement.USEFUL, by=by(person, "r1"))
    assert await desk.labels() == []


async def test_only_what_was_found_is_judged(desk: Desk) -> None:
    with pytest.raises(Refused, match="not found any more"):
        await desk.service.judge(judged("C"), Judgement.USEFUL, by=by(DANA, "r1"))
    assert await desk.labels() == []


async def test_the_newest_word_of_a_person_counts(desk: Desk) -> None:
    words = (
        ("r1", DANA, "A", Judgement.USEFUL),
        ("r2", RAVI, "A", Judgement.USEFUL),
        ("r3", DANA, "A", Judgement.USELESS),
        ("r4", DANA, "B", Judgement.USEFUL),
        ("r5", DANA, "B", Judgement.USEFUL),
    )
    for request, person, document, judgement in words:
        await desk.service.judge(judged(document), judgement, by=by(person, request))
    assert await desk.service.acceptances() == {
        "A": Acceptance(useful=1, useless=1),
        "B": Acceptance(useful=1, useless=0),
    }
    said = await desk.service.said("g1", by=by(DANA, "look"))
    assert {id: label.judgement for id, label in said.items()} == {
        "A": Judgement.USELESS,
        "B": Judgement.USEFUL,
    }
    assert set(await desk.service.said("g1", by=by(RAVI, "look"))) == {"A"}
    assert await desk.service.said("g2", by=by(DANA, "look")) == {}


async def test_another_subject_is_another_word(desk: Desk) -> None:
    for subject in ("g1", "g2"):
        await desk.service.judge(
            judged("A", subject), Judgement.USEFUL, by=by(DANA, f"r-{subject}")
        )
    assert await desk.service.acceptances() == {"A": Acceptance(useful=2)}


async def test_nothing_of_it_is_in_the_ledger_or_told(desk: Desk) -> None:
    await desk.service.judge(judged("A"), Judgement.USEFUL, by=by(DANA, "r1"))
    assert await desk.database.archive.size() == 0
    async with desk.database.reading() as view:
        assert await view.outbox.due(now=NOON, limit=9) == []


def label(person: str, subject: str, document: str, judgement: Judgement) -> SearchLabel:
    return SearchLabel(
        id="", query="", names=(), services=(), subject=subject, document=document, kind="",
        judgement=judgement, reason="", place=1, confidence=None, model="", person=person, at=NOON,
    )  # fmt: skip


LABELS = st.lists(
    st.builds(
        label,
        st.sampled_from(("p", "q", "r")),
        st.sampled_from(("g", "h")),
        st.sampled_from(("A", "B")),
        st.sampled_from(Judgement),
    ),
    max_size=30,
)


@given(LABELS)
def test_however_often_people_press_each_has_one_word(labels: list[SearchLabel]) -> None:
    counted = accepted(labels)
    voices = {(each.person, each.subject, each.document) for each in labels}
    assert sum(a.useful + a.useless for a in counted.values()) == len(voices)
    assert set(counted) == {each.document for each in labels}
    assert accepted([*labels, *labels[-1:]]) == counted
