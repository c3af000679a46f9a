"""Incidents: statuses, milestones that are written once, roles, and the times between."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from bot.domain.alerts import Severity
from bot.domain.errors import Refused
from bot.domain.incidents import (
    TITLE_LENGTH,
    Incident,
    IncidentId,
    IncidentStatus,
    Milestone,
    MilestoneKind,
    check_title,
    claim,
    measures,
    move,
    reach,
    respond,
)
from bot.domain.people import Person, PersonId, Role

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
DANA = Person(id=PersonId("U1"), name="Dana")
PRIYA = Person(id=PersonId("U2"), name="Priya")
ROBOT = Person(id=PersonId("B1"), name="Robot", bot=True)


def incident(**changes: Any) -> Incident:
    made = Incident(
        id=IncidentId("INC-1"),
        number=1,
        title="Checkout refuses orders",
        severity=Severity.SEV2,
        status=IncidentStatus.INVESTIGATING,
        service="checkout",
        declared_by=DANA,
        declared_at=NOON,
    )
    return replace(made, **changes)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def moved(*statuses: IncidentStatus) -> Incident:
    made = incident()
    for number, status in enumerate(statuses, start=1):
        made = move(made, status, by="person:U1", at=at(number))
    return made


def test_an_incident_goes_through_its_statuses_and_keeps_their_milestones() -> None:
    made = moved(
        IncidentStatus.IDENTIFIED,
        IncidentStatus.MONITORING,
        IncidentStatus.RESOLVED,
        IncidentStatus.CLOSED,
    )
    assert made.status is IncidentStatus.CLOSED
    assert [m.kind for m in made.milestones] == [
        MilestoneKind.IDENTIFIED,
        MilestoneKind.MITIGATED,
        MilestoneKind.RESOLVED,
        MilestoneKind.CLOSED,
    ]


def test_steps_may_be_left_out() -> None:
    assert moved(IncidentStatus.RESOLVED).status is IncidentStatus.RESOLVED


def test_an_incident_that_breaks_out_again_is_worked_on_again() -> None:
    made = moved(IncidentStatus.RESOLVED, IncidentStatus.INVESTIGATING)
    assert made.status.open
    resolved = made.milestone(MilestoneKind.RESOLVED)
    assert resolved is not None
    assert resolved.at == at(1)


@pytest.mark.parametrize("status", IncidentStatus)
def test_nothing_becomes_what_it_is(status: IncidentStatus) -> None:
    with pytest.raises(Refused, match=f"already {status}"):
        move(incident(status=status), status, by="x", at=NOON)


@pytest.mark.parametrize("status", [s for s in IncidentStatus if s is not IncidentStatus.CLOSED])
def test_what_is_closed_stays_closed(status: IncidentStatus) -> None:
    with pytest.raises(Refused, match="is closed"):
        move(incident(status=IncidentStatus.CLOSED), status, by="x", at=NOON)


@pytest.mark.parametrize("status", [s for s in IncidentStatus if s.open])
def test_nothing_is_closed_unresolved(status: IncidentStatus) -> None:
    with pytest.raises(Refused, match="resolve it before"):
        move(incident(status=status), IncidentStatus.CLOSED, by="x", at=NOON)


@given(
    kinds=st.lists(st.tuples(st.sampled_from(MilestoneKind), st.integers(0, 10_000)), max_size=20)
)
def test_a_milestone_is_written_once(kinds: list[tuple[MilestoneKind, int]]) -> None:
    made = incident()
    first: dict[MilestoneKind, datetime] = {}
    for kind, seconds in kinds:
        made = reach(made, Milestone(kind=kind, at=at(seconds), by="x"))
        first.setdefault(kind, at(seconds))
    assert {m.kind: m.at for m in made.milestones} == first
    assert len(made.milestones) == len(first)


def test_a_role_is_claimed_and_handed_over() -> None:
    made = claim(incident(), Role.COMMANDER, DANA)
    assert made.roles == {Role.COMMANDER: DANA}
    assert made.responders == (DANA,)
    with pytest.raises(Refused, match="already"):
        claim(made, Role.COMMANDER, DANA)
    made = claim(made, Role.COMMANDER, PRIYA)
    assert made.roles == {Role.COMMANDER: PRIYA}
    assert made.responders == (DANA, PRIYA)


def test_one_person_may_hold_two_roles_and_is_one_responder() -> None:
    made = claim(claim(incident(), Role.COMMANDER, DANA), Role.SCRIBE, DANA)
    assert set(made.roles) == {Role.COMMANDER, Role.SCRIBE}
    assert made.responders == (DANA,)


def test_bots_hold_no_role_and_are_no_responders() -> None:
    with pytest.raises(Refused, match="people"):
        claim(incident(), Role.SCRIBE, ROBOT)
    assert respond(incident(), ROBOT).responders == ()


@pytest.mark.parametrize("status", (IncidentStatus.RESOLVED, IncidentStatus.CLOSED))
def test_roles_are_not_given_when_it_is_over(status: IncidentStatus) -> None:
    with pytest.raises(Refused, match="no longer"):
        claim(incident(status=status), Role.SCRIBE, DANA)


def test_a_title_is_one_line_of_a_length() -> None:
    assert check_title("  Checkout\n is   down ") == "Checkout is down"
    assert check_title("x" * TITLE_LENGTH)
    with pytest.raises(Refused, match="needs a title"):
        check_title(" \n ")
    with pytest.raises(Refused, match="121 characters"):
        check_title("x" * (TITLE_LENGTH + 1))


@given(title=st.text(max_size=200), number=st.integers(1, 10**6))
def test_a_channel_name_is_always_one_slack_takes(title: str, number: int) -> None:
    slug = incident(title=title, number=number).slug
    assert re.fullmatch(r"inc-\d+(-[a-z0-9]+)*", slug)
    assert len(slug) <= 80


def test_times_are_measured_between_milestones() -> None:
    reached = {
        MilestoneKind.STARTED: 0,
        MilestoneKind.DETECTED: 30,
        MilestoneKind.ACKNOWLEDGED: 90,
        MilestoneKind.MITIGATED: 300,
        MilestoneKind.RESOLVED: 600,
    }
    found = measures(Milestone(kind=k, at=at(s), by="x") for k, s in reached.items())
    expected = {"TTD": 30.0, "TTA": 60.0, "TTM": 270.0, "TTR": 570.0}
    assert {m.name: m.seconds for m in found} == expected


def test_a_time_without_its_ends_or_backwards_is_unknown() -> None:
    assert {m.seconds for m in measures([])} == {None}
    backwards = [
        Milestone(kind=MilestoneKind.STARTED, at=at(60), by="x"),
        Milestone(kind=MilestoneKind.DETECTED, at=at(0), by="x"),
    ]
    assert next(m for m in measures(backwards) if m.name == "TTD").seconds is None
