"""The records of one incident: what every summary and post-mortem is made of, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from bot.domain.alerts import AlertGroup
from bot.domain.incidents import Incident, Milestone, MilestoneKind
from bot.domain.people import Person
from bot.domain.runbooks import Runbook
from bot.domain.runs import Run, RunState
from bot.domain.timeline import TimelineEntry

# How the summary begins of a step that took effect and was not proved to have helped.
UNVERIFIED = "not verified within"


@dataclass(frozen=True, kw_only=True)
class Records:
    """Everything that is known of an incident. `runbooks` are the pages as they stand now."""

    incident: Incident
    groups: tuple[AlertGroup, ...]
    runs: tuple[Run, ...]
    timeline: tuple[TimelineEntry, ...]
    runbooks: tuple[Runbook, ...] = ()


def milestones(records: Records) -> tuple[Milestone, ...]:
    """Return the incident's milestones in order of time, completed from its alerts.

    What the incident itself recorded counts first. An alert that was
    acknowledged or resolved only after the declaration tells the rest. Somebody
    always noticed: at the latest whoever declared it.
    """
    incident = records.incident
    declared = Milestone(
        kind=MilestoneKind.DECLARED, at=incident.declared_at, by=incident.declared_by.actor
    )
    told = (replace(declared, kind=MilestoneKind.DETECTED), declared)
    reached = {m.kind: m for m in (*told, *_told_by_alerts(records), *incident.milestones)}
    order = list(MilestoneKind)
    return tuple(sorted(reached.values(), key=lambda m: (m.at, order.index(m.kind))))


def _told_by_alerts(records: Records) -> Iterator[Milestone]:
    groups = records.groups
    if not groups:
        return
    first = min(groups, key=lambda g: g.first_seen)
    source = f"plugin:{first.source}"
    start = min(min(g.starts_at, g.first_seen) for g in groups)
    yield Milestone(kind=MilestoneKind.STARTED, at=start, by=source)
    yield Milestone(kind=MilestoneKind.DETECTED, at=first.first_seen, by=source)
    taken = [
        (g.acknowledged_at, g.acknowledged_by.actor)
        for g in groups
        if g.acknowledged_at is not None and g.acknowledged_by is not None
    ]
    if taken:
        at, actor = min(taken)
        yield Milestone(kind=MilestoneKind.ACKNOWLEDGED, at=at, by=actor)
    ends = [g.ended_at for g in groups if g.ended_at is not None]
    if len(ends) == len(groups):
        yield Milestone(kind=MilestoneKind.MITIGATED, at=max(ends), by="system")


def names(records: Records) -> Mapping[str, str]:
    """Return the name of everybody the records mention, by their reference."""
    known = {entry.actor: entry.actor_name for entry in records.timeline if entry.actor_name}
    return known | {person.actor: person.name for person in _people(records)}


def _people(records: Records) -> Iterator[Person]:
    incident = records.incident
    yield from (incident.declared_by, *incident.responders, *incident.roles.values())
    for group in records.groups:
        yield from (p for p in (group.acknowledged_by, group.silenced_by) if p is not None)
    for run in records.runs:
        yield run.requester
        if run.approval is not None:
            yield from (answer.person for answer in run.approval.answers)


def called(actor: str, known: Mapping[str, str]) -> str:
    """Return how to call somebody (or some software) by its reference."""
    if actor in ("bot", "system"):
        return "Tocsin"
    return known.get(actor) or actor.partition(":")[2] or actor


def verified(run: Run) -> bool:
    """Say whether every step of a run that has a check was confirmed by it."""
    if run.state is not RunState.SUCCEEDED or run.plan is None:
        return False
    checked = {step.id for step in run.plan.steps if step.verify is not None}
    told = [record.summary for record in run.records if record.id in checked]
    return bool(told) and all(summary.startswith("verified") for summary in told)


def outcome(run: Run) -> str:
    """Say in a few words what became of a run."""
    reason = f": {run.reason}" if run.reason else ""
    match run.state:
        case RunState.SUCCEEDED:
            return "run and verified" if verified(run) else "run, and it succeeded"
        case RunState.FAILED:
            return f"{'run, and it failed' if run.plan else 'it could not be planned'}{reason}"
        case RunState.ROLLED_BACK:
            return f"run, and rolled back{reason}"
        case RunState.SUPERSEDED:
            return "asked for, and its runbook was changed"
        case RunState.DENIED:
            return f"asked for and denied{reason}"
        case RunState.EXPIRED:
            return f"asked for and expired{reason}"
        case RunState.CANCELLED:
            return _cancelled(run)
        case RunState.IN_DOUBT:
            return f"run, and it is not known whether it took effect{reason}"
        case _:
            return f"still {run.state}"


def _cancelled(run: Run) -> str:
    if run.reason.startswith("nothing to do"):
        return f"asked for, and there was {run.reason}"
    begun = any(record.started_at is not None for record in run.records)
    return "run, and stopped before its end" if begun else "asked for and stopped"


def moment(at: datetime) -> str:
    """Write a time with its date, in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def exact(at: datetime) -> str:
    """Write a time with its date to the second, in UTC: what evidence is read by."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def clock(at: datetime) -> str:
    """Write the time of day, in UTC."""
    return f"{at.astimezone(UTC):%H:%M} UTC"
