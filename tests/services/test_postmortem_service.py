"""Post-mortems on the real database: kept, told and recorded in one transaction, or not at all."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from bot.domain.errors import AlreadyDone, NotFound
from bot.domain.incidents import IncidentId
from bot.domain.people import Caller
from bot.domain.postmortems import FROM_RECORDS
from bot.ports import LanguageModel, ModelUnavailable
from bot.prompts import JinjaPrompts
from bot.services.postmortems import SUMMARY_PROMPT, PostmortemService
from bot.storage.sqlite import SqliteDatabase
from tests.fakes import FakeClock
from tests.incident_records import CLEO, GROUP, INCIDENT, PAGE, RUN, TIMELINE, minutes

ID = INCIDENT.id


class Absent:
    """No language model."""

    name = "none"

    async def write(self, prompt: str) -> str:
        raise ModelUnavailable("no language model is configured")


class Telling:
    """A model that says the same whatever it is asked, and keeps what it was asked."""

    name = "Telling 1"

    def __init__(self, answer: str) -> None:
        self.answer = answer
        self.asked: list[str] = []

    async def write(self, prompt: str) -> str:
        self.asked.append(prompt)
        return self.answer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tocsin.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(path, FakeClock(minutes(30)))
    database.open()
    async with database.transaction() as tx:
        await tx.groups.save(GROUP)
        await tx.incidents.save(INCIDENT)
        await tx.runs.add(RUN, due_at=None)
        for entry in TIMELINE:
            await tx.timeline.add(entry)
    yield database
    await database.close()


@pytest.fixture
def service(database: SqliteDatabase) -> Callable[[LanguageModel], PostmortemService]:
    def made(model: LanguageModel) -> PostmortemService:
        clock = FakeClock(minutes(30))
        return PostmortemService(database, clock, JinjaPrompts(), model, runbooks=(PAGE,))

    return made


def entries(path: Path) -> list[tuple[dict[str, object], dict[str, object]]]:
    """Return the headers and bodies of the ledger."""
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT leaf, body FROM ledger_entries ORDER BY seq")).all()
    engine.dispose()
    return [(json.loads(leaf), json.loads(body)) for leaf, body in rows]


async def test_a_draft_is_kept_told_and_recorded(
    service: Callable[[LanguageModel], PostmortemService], database: SqliteDatabase, path: Path
) -> None:
    postmortems = service(Absent())
    pm = await postmortems.draft(ID, by=Caller(person=CLEO, request="q1"))
    assert pm.writer == FROM_RECORDS
    assert pm.consents[0].run == RUN.id
    assert await postmortems.get(ID) == pm
    async with database.reading() as view:
        told = (await view.timeline.of([ID]))[-1]
        (event,) = await view.outbox.due(now=minutes(31), limit=10)
    assert (told.text, told.actor_name) == ("drafted the post-mortem", "Cleo")
    assert (event.happening.subject, event.happening.change) == (ID, "postmortem drafted")
    ((header, body),) = entries(path)
    assert header["type"] == "postmortem.drafted"
    assert header["incident"] == ID
    assert "model_version" not in header
    assert body["document_sha256"] == pm.digest
    assert "prompt_sha256" not in body
    assert (await database.archive.verify()).ok


async def test_a_models_prose_is_recorded_with_its_prompt(
    service: Callable[[LanguageModel], PostmortemService], path: Path
) -> None:
    model = Telling("Orders waited from 09:00 UTC until the worker was restarted.")
    pm = await service(model).draft(ID, by=Caller(person=CLEO, request="q1"))
    assert (pm.summary, pm.writer) == (model.answer, "Telling 1")
    assert "Looks like EX-7 all over again" in model.asked[0]
    ((header, body),) = entries(path)
    assert header["model_version"] == "Telling 1"
    assert body["prompt"] == SUMMARY_PROMPT
    assert body["prompt_sha256"] == JinjaPrompts().digest(SUMMARY_PROMPT)


async def test_prose_with_numbers_of_its_own_is_not_used(
    service: Callable[[LanguageModel], PostmortemService], path: Path
) -> None:
    model = Telling("About 4,500 orders were lost.")
    pm = await service(model).draft(ID, by=Caller(person=CLEO, request="q1"))
    assert pm.writer == FROM_RECORDS
    assert "4,500" not in pm.summary
    ((header, _),) = entries(path)
    assert "model_version" not in header


async def test_the_same_request_drafts_once(
    service: Callable[[LanguageModel], PostmortemService], path: Path
) -> None:
    postmortems = service(Absent())
    await postmortems.draft(ID, by=Caller(person=CLEO, request="q1"))
    with pytest.raises(AlreadyDone):
        await postmortems.draft(ID, by=Caller(person=CLEO, request="q1"))
    assert len(entries(path)) == 1


async def test_a_later_draft_replaces_the_earlier_and_both_are_recorded(
    service: Callable[[LanguageModel], PostmortemService], database: SqliteDatabase, path: Path
) -> None:
    postmortems = service(Absent())
    await postmortems.draft(ID, by=Caller(person=CLEO, request="q1"))
    async with database.transaction() as tx:
        await tx.timeline.add(replace(TIMELINE[3], text="The cause was a leaked lock"))
    later = await postmortems.draft(ID, by=Caller(person=CLEO, request="q2"))
    assert await postmortems.get(ID) == later
    assert "The cause was a leaked lock" in {entry.text for entry in later.timeline}
    assert len({body["document_sha256"] for _, body in entries(path)}) == 2


async def test_no_incident_has_no_post_mortem(
    service: Callable[[LanguageModel], PostmortemService],
) -> None:
    postmortems = service(Absent())
    assert await postmortems.get(IncidentId("INC-9")) is None
    with pytest.raises(NotFound):
        await postmortems.draft(IncidentId("INC-9"), by=Caller(person=CLEO, request="q1"))


async def test_no_transaction_is_open_while_the_model_writes(
    database: SqliteDatabase,
    service: Callable[[LanguageModel], PostmortemService],
) -> None:
    class Writing(Telling):
        async def write(self, prompt: str) -> str:  # type: ignore[explicit-override]  # a fake
            async with database.transaction() as tx:
                await tx.timeline.add(replace(TIMELINE[0], text="written meanwhile"))
            return await super().write(prompt)

    pm = await service(Writing("It broke.")).draft(ID, by=Caller(person=CLEO, request="q1"))
    assert pm.by_model


async def test_a_catch_up_is_told_from_the_records_or_by_the_model(
    service: Callable[[LanguageModel], PostmortemService], path: Path
) -> None:
    plain = await service(Absent()).catch_up(ID)
    assert not plain.prose.by_model
    assert plain.prose.text.startswith("INC-1 “Checkout is stuck” is sev2 and resolved")
    assert plain.latest == TIMELINE[-5:]
    told = await service(Telling("It is over.")).catch_up(ID)
    assert (told.prose.text, told.prose.writer) == ("It is over.", "Telling 1")
    assert entries(path) == []
