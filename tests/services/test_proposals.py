"""A draft from an incident can be read at once, says what was done, and believes nobody."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.alerts import Severity
from bot.domain.errors import NotFound, Refused
from bot.domain.incidents import Incident, IncidentId, IncidentStatus
from bot.domain.people import Person, PersonId
from bot.domain.runbooks import Runbook
from bot.domain.timeline import TimelineEntry, TimelineKind
from bot.knowledge import load
from bot.services.proposals import ProposalService, Story, draft, place_of
from tests.stage import Stage, alert, stage_in

TODAY = date(2026, 11, 21)
AT = datetime(2026, 11, 21, 3, 12, tzinfo=UTC)
DANA = Person(id=PersonId("U1"), name="Dana Ito")


def incident(title: str = "Orders fail", service: str = "checkout") -> Incident:
    return Incident(
        id=IncidentId("INC-7"),
        number=7,
        title=title,
        severity=Severity.SEV2,
        status=IncidentStatus.RESOLVED,
        service=service,
        declared_by=DANA,
        declared_at=AT,
        summary=title,
    )


def note(text: str, kind: TimelineKind = TimelineKind.NOTE) -> TimelineEntry:
    return TimelineEntry(
        subject="INC-7", at=AT, kind=kind, text=text, actor="person:U1", actor_name="Dana Ito"
    )


def read(folder: Path, text: str) -> Runbook:
    path = folder / "runbooks" / "proposed" / "x.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    (book,) = load(folder).runbooks.values()
    return book


def drafted(*entries: TimelineEntry, **told: str) -> str:
    return draft(Story(incident=incident(**told), timeline=entries, alerts=()), today=TODAY)


def instructions(book: Runbook) -> Sequence[str]:
    return [str(step.arguments["instruction"]) for step in book.steps]


def test_commands_become_steps_for_people(tmp_path: Path) -> None:
    book = read(
        tmp_path,
        drafted(
            note("looked around"),
            note("ran `kubectl rollout restart deploy/checkout` and it helped"),
            note("$ systemctl restart nginx\nthen waited", TimelineKind.PIN),
            note("again `kubectl rollout restart deploy/checkout`"),
            note("`word`"),
        ),
    )
    assert book.id == "inc-7"
    assert {step.uses for step in book.steps} == {"human.do@1"}
    assert instructions(book) == [
        "Run: kubectl rollout restart deploy/checkout",
        "Run: systemctl restart nginx",
    ]
    assert "Noted at 03:12 UTC" in book.steps[0].explanation or book.steps[0].explanation


def test_without_commands_notes_become_steps(tmp_path: Path) -> None:
    book = read(tmp_path, drafted(note("failed over"), note("joined", TimelineKind.JOIN)))
    assert instructions(book) == ["Do: failed over"]


def test_an_incident_of_which_nothing_was_noted_is_a_page_to_read(tmp_path: Path) -> None:
    assert not read(tmp_path, drafted()).executable


def test_no_name_of_a_person_is_in_a_draft() -> None:
    text = drafted(note("did it"), note("joined the channel", TimelineKind.JOIN))
    assert "Dana" not in text


HOSTILE = (
    "---\nid: other\n---",
    "`rm -rf / ${facts.x}`",
    "do it {#step-1}",
    "## Mitigation",
    "```\nopen",
    "{{ 7*7 }} <script>alert(1)</script> *bold*",
    '"}\n    uses: command.run@1\n    with: {program: sh}',
    "a\u202eb\u0000c\ud800d",
    "$ " + "x" * 5000,
    "===\n---",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_what_strangers_wrote_stays_text(tmp_path: Path, text: str) -> None:
    book = read(tmp_path, drafted(note(text), note(f"`{text}`"), title=text, service=text))
    assert book.id == "inc-7"
    assert {step.uses for step in book.steps} <= {"human.do@1"}
    assert book.match.services == ()
    assert all(len(instruction) <= 500 for instruction in instructions(book))


@given(st.lists(st.text(max_size=200), max_size=8), st.text(max_size=100))
def test_every_draft_can_be_read(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], title: str
) -> None:
    text = drafted(*map(note, texts), title=title)
    assert read(tmp_path_factory.mktemp("draft"), text).id == "inc-7"


async def resolved(stage: Stage) -> IncidentId:
    group = await stage.fire(alert("ValveShut"))
    made = await stage.context.incidents.declare(
        "Orders fail", Severity.SEV2, service="checkout", by=stage.by(stage.dana), group=group.id
    )
    await stage.context.timelines.note(made.id, "ran `fix the thing`", by=stage.by(stage.dana))
    await stage.context.incidents.move(made.id, IncidentStatus.RESOLVED, by=stage.by(stage.dana))
    return made.id


async def test_a_proposal_is_written_beside_the_data_and_once(tmp_path: Path) -> None:
    async with stage_in(tmp_path) as stage:
        id = await resolved(stage)
        data = tmp_path / "data"
        service = ProposalService(stage.database, stage.clock, data=data, services=["checkout"])
        path = await service.propose(id)
        assert path == place_of(data, id)
        assert path.relative_to(data).as_posix() == (
            "proposals/runbook-inc-1/knowledge/runbooks/proposed/inc-1.md"
        )
        book = load(data / "proposals" / "runbook-inc-1" / "knowledge").runbooks["inc-1"]
        assert instructions(book) == ["Run: fix the thing"]
        assert book.match.alerts == ("ValveShut",)
        assert book.match.services == ("checkout",)
        path.write_text("edited")
        with pytest.raises(Refused, match="is there already"):
            await service.propose(id)
        assert path.read_text() == "edited"


async def test_a_service_that_is_not_known_is_left_out(tmp_path: Path) -> None:
    async with stage_in(tmp_path) as stage:
        id = await resolved(stage)
        text = await ProposalService(stage.database, stage.clock, services=["x"]).draft(id)
        assert read(tmp_path / "read", text).match.services == ()


async def test_an_open_or_unknown_incident_gets_no_draft(tmp_path: Path) -> None:
    async with stage_in(tmp_path) as stage:
        made = await stage.context.incidents.declare(
            "Orders fail", Severity.SEV2, service="checkout", by=stage.by(stage.dana)
        )
        service = ProposalService(stage.database, stage.clock)
        with pytest.raises(Refused, match="a draft is made when it is resolved"):
            await service.draft(made.id)
        with pytest.raises(NotFound):
            await service.draft(IncidentId("INC-99"))
