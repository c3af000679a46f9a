"""Incidents: their states, roles and milestones.

Milestones are immutable: each is recorded once, with the time at which it
happened, and every figure (time to acknowledge, time to resolve) is computed
from them and from nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import NewType

from bot.domain.alerts import Severity
from bot.domain.errors import Refused
from bot.domain.people import ChannelId, Person, Role

IncidentId = NewType("IncidentId", str)

TITLE_LENGTH = 120


class IncidentStatus(StrEnum):
    """The status page's order."""

    INVESTIGATING = "investigating"
    IDENTIFIED = "identified"
    MONITORING = "monitoring"
    RESOLVED = "resolved"
    CLOSED = "closed"

    @property
    def open(self) -> bool:
        """Say whether people still work on it."""
        return self not in (IncidentStatus.RESOLVED, IncidentStatus.CLOSED)


class MilestoneKind(StrEnum):
    """Moments every incident is measured by."""

    STARTED = "started"
    DETECTED = "detected"
    ACKNOWLEDGED = "acknowledged"
    DECLARED = "declared"
    IDENTIFIED = "identified"
    MITIGATED = "mitigated"
    RESOLVED = "resolved"
    CLOSED = "closed"


@dataclass(frozen=True, kw_only=True)
class Milestone:
    """One moment of an incident, never changed once it is written."""

    kind: MilestoneKind
    at: datetime
    by: str


@dataclass(frozen=True, kw_only=True)
class Incident:
    """Something that affects users and that people work on together."""

    id: IncidentId
    number: int
    title: str
    severity: Severity
    status: IncidentStatus
    service: str
    declared_by: Person
    declared_at: datetime
    channel: ChannelId | None = None
    roles: Mapping[Role, Person] = field(default_factory=dict)
    responders: tuple[Person, ...] = ()
    groups: tuple[str, ...] = ()
    milestones: tuple[Milestone, ...] = ()
    summary: str = ""

    @property
    def slug(self) -> str:
        """Return the channel name of the incident: lower case, hyphens, 80 characters at most."""
        words = re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")
        return f"inc-{self.number}-{words}"[:80].rstrip("-")

    def milestone(self, kind: MilestoneKind) -> Milestone | None:
        """Return the milestone of a kind, if it was reached."""
        return next((m for m in self.milestones if m.kind is kind), None)


def check_title(title: str) -> str:
    """Return a usable title.

    Raises:
        Refused: it is empty or too long.
    """
    clean = " ".join(title.split())
    if not clean:
        raise Refused("An incident needs a title.")
    if len(clean) > TITLE_LENGTH:
        raise Refused(f"The title has {len(clean)} characters; {TITLE_LENGTH} are the most.")
    return clean


def reach(incident: Incident, milestone: Milestone) -> Incident:
    """Record a milestone once; a second of the same kind changes nothing."""
    if incident.milestone(milestone.kind) is not None:
        return incident
    return replace(incident, milestones=(*incident.milestones, milestone))


_MILESTONE_OF = {
    IncidentStatus.IDENTIFIED: MilestoneKind.IDENTIFIED,
    IncidentStatus.MONITORING: MilestoneKind.MITIGATED,
    IncidentStatus.RESOLVED: MilestoneKind.RESOLVED,
    IncidentStatus.CLOSED: MilestoneKind.CLOSED,
}


def move(incident: Incident, status: IncidentStatus, *, by: str, at: datetime) -> Incident:
    """Move an incident to a status and record the milestone that belongs to it.

    Raises:
        Refused: it is closed, or already there, or would be closed unresolved.
    """
    if incident.status is status:
        raise Refused(f"{incident.id} is already {status}.")
    if incident.status is IncidentStatus.CLOSED:
        raise Refused(f"{incident.id} is closed.")
    if status is IncidentStatus.CLOSED and incident.status is not IncidentStatus.RESOLVED:
        raise Refused(f"{incident.id} is {incident.status}; resolve it before closing it.")
    moved = replace(incident, status=status)
    kind = _MILESTONE_OF.get(status)
    return reach(moved, Milestone(kind=kind, at=at, by=by)) if kind else moved


def claim(incident: Incident, role: Role, person: Person) -> Incident:
    """Give a role to a person who asks for it.

    Raises:
        Refused: the incident is over, they hold it already, or a bot asks.
    """
    if not incident.status.open:
        raise Refused(f"{incident.id} is {incident.status}; roles are no longer given.")
    if person.bot:
        raise Refused("Roles are held by people.")
    held = incident.roles.get(role)
    if held is not None and held.id == person.id:
        raise Refused(f"You are the {role.title.lower()} already.")
    return respond(replace(incident, roles={**incident.roles, role: person}), person)


def respond(incident: Incident, person: Person) -> Incident:
    """Count a person among the responders."""
    if person.bot or any(p.id == person.id for p in incident.responders):
        return incident
    return replace(incident, responders=(*incident.responders, person))


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A time between two milestones, in seconds; None where one was not reached."""

    name: str
    meaning: str
    seconds: float | None


_MEASURES = (
    ("TTD", "time to detect", MilestoneKind.STARTED, MilestoneKind.DETECTED),
    ("TTA", "time to acknowledge", MilestoneKind.DETECTED, MilestoneKind.ACKNOWLEDGED),
    ("TTM", "time to mitigate", MilestoneKind.DETECTED, MilestoneKind.MITIGATED),
    ("TTR", "time to resolve", MilestoneKind.DETECTED, MilestoneKind.RESOLVED),
)


def measures(milestones: Iterable[Milestone]) -> tuple[Measure, ...]:
    """Compute the usual times between milestones; one that would be negative is unknown."""
    at = {m.kind: m.at for m in milestones}

    def seconds(start: MilestoneKind, end: MilestoneKind) -> float | None:
        if start not in at or end not in at or at[end] < at[start]:
            return None
        return (at[end] - at[start]).total_seconds()

    return tuple(
        Measure(name=name, meaning=meaning, seconds=seconds(start, end))
        for name, meaning, start, end in _MEASURES
    )
