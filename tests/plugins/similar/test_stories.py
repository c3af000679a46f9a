"""What is told of past incidents: as the records have it, and nothing more."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from bot.domain.alerts import Severity
from bot.domain.catalog import PastIncident
from bot.domain.documents import Kind, Outcome
from bot.domain.incidents import (
    Incident,
    IncidentId,
    IncidentStatus,
    Milestone,
    MilestoneKind,
)
from bot.domain.people import Person, PersonId
from bot.domain.runs import Plan, Run, RunId, RunState
from bot.domain.timeline import TimelineEntry, TimelineKind
from bot.search.sections import sections
from plugins.similar.stories import Story, lived, told

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
DANA = Person(id=PersonId("U1"), name="Dana")
PLAN = cast(Plan, object())  # only that there is one counts here


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def ended(minutes: float | None = 30, detected: float | None = 1) -> Incident:
    reached = {MilestoneKind.DETECTED: detected, MilestoneKind.RESOLVED: minutes}
    return Incident(
        id=IncidentId("INC-7"),
        number=7,
        title="Search answers slowly",
        severity=Severity.SEV2,
        status=IncidentStatus.RESOLVED,
        service="search",
        declared_by=DANA,
        declared_at=at(2),
        milestones=tuple(
            Milestone(kind=kind, at=at(when), by="system")
            for kind, when in reached.items()
            if when is not None
        ),
        summary="Queries take ten seconds.",
    )


def run(state: RunState, minutes: float | None, title: str = "Restart it", **more: Any) -> Run:
    return Run(
        id=RunId(f"r{minutes}"),
        runbook="restart",
        title=title,
        parameters={},
        requester=DANA,
        subject="INC-7",
        incident="INC-7",
        service="search",
        created_at=at((minutes or 5) - 1),
        ended_at=None if minutes is None else at(minutes),
        state=state,
        plan=more.pop("plan", PLAN if state is RunState.FAILED else None),
        **more,
    )


def story(*runs: Run, incident: Incident | None = None, **more: Any) -> Story:
    given = {"names": (), "timeline": (), "postmortem": None, **more}
    return lived(incident or ended(), runs=runs, **given)


@pytest.mark.parametrize(
    ("runs", "outcome", "resolution"),
    (
        ((), Outcome.UNKNOWN, ""),
        ((run(RunState.SUCCEEDED, 20),), Outcome.WORKED, "“Restart it” was run and succeeded"),
        ((run(RunState.FAILED, 20),), Outcome.FAILED, "“Restart it” was run and did not work"),
        ((run(RunState.ROLLED_BACK, 20),), Outcome.FAILED, "“Restart it” was run and did not work"),
        ((run(RunState.FAILED, 20, plan=None),), Outcome.UNKNOWN, ""),
        ((run(RunState.DENIED, 20),), Outcome.UNKNOWN, ""),
        ((run(RunState.IN_DOUBT, 20),), Outcome.UNKNOWN, ""),
        ((run(RunState.SUCCEEDED, 31),), Outcome.UNKNOWN, ""),
        ((run(RunState.SUCCEEDED, 20, parent=RunId("x")),), Outcome.UNKNOWN, ""),
        (
            (run(RunState.FAILED, 10), run(RunState.SUCCEEDED, 20, "Second")),
            Outcome.WORKED,
            "“Second” was run and succeeded",
        ),
        (
            (run(RunState.SUCCEEDED, 10), run(RunState.ROLLED_BACK, 20, "Second")),
            Outcome.FAILED,
            "“Second” was run and did not work",
        ),
        (
            (run(RunState.SUCCEEDED, 10), run(RunState.FAILED, 40, "Too late")),
            Outcome.WORKED,
            "“Restart it” was run and succeeded",
        ),
    ),
)
def test_what_worked_is_the_last_run_that_ended_before_the_incident_did(
    runs: tuple[Run, ...], outcome: Outcome, resolution: str
) -> None:
    made = story(*runs)
    assert (made.outcome, made.resolution) == (outcome, resolution)
    assert made.document.outcome is outcome


@pytest.mark.parametrize(
    ("incident", "seconds"),
    (
        (ended(30, detected=1), 29 * 60),
        (ended(30, detected=None), 28 * 60),
        (ended(None), None),
        (ended(1, detected=None), None),
    ),
)
def test_the_time_to_resolve_is_between_milestones(
    incident: Incident, seconds: float | None
) -> None:
    assert story(incident=incident).seconds == seconds


def test_the_document_has_a_section_for_what_is_known_and_none_for_what_is_not() -> None:
    note = TimelineEntry(subject="INC-7", at=NOON, kind=TimelineKind.NOTE, text="the heap is full")
    joined = replace(note, kind=TimelineKind.JOIN, text="Dana joined")
    made = story(
        run(RunState.SUCCEEDED, 20),
        timeline=(note, joined),
        names=("SearchSlow", "SearchSlow", "HeapFull"),
        services=("search", "index"),
    )
    cut = {section.heading: section.text for section in sections(made.document.text)}
    assert cut == {
        "Summary": "Queries take ten seconds.",
        "Resolution": "“Restart it” was run and succeeded",
        "Notes": "the heap is full",
    }
    assert made.document.names == ("SearchSlow", "HeapFull")
    assert made.document.services == ("search", "index")
    assert made.document.kind is Kind.INCIDENT


def test_a_post_mortem_makes_it_one_and_does_not_stand_beside_it() -> None:
    made = story(postmortem="The heap filled up.", cause="A leak in the parser.")
    assert (made.kind, made.document.id) == (Kind.POSTMORTEM, "INC-7")
    cut = {section.heading: section.text for section in sections(made.document.text)}
    assert cut["Summary"] == "Queries take ten seconds.\n\nThe heap filled up."
    assert cut["Cause"] == "A leak in the parser."


def test_pages_are_told_with_what_their_author_wrote() -> None:
    page = PastIncident(
        id="EX-1",
        title="Full",
        service="db",
        severity="sev2",
        started_at=NOON,
        resolved_after_minutes=23,
        summary="It was full.",
        cause="A slot.",
        resolution="The slot was dropped.",
    )
    made = told(page, run="Disk is full")
    assert (made.outcome, made.lasted, made.run) == (
        Outcome.WORKED,
        "resolved in 23 min",
        "Disk is full",
    )
    assert told(replace(page, resolution=" ")).outcome is Outcome.UNKNOWN
