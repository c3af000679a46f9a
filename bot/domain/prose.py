"""What an incident comes to in a few sentences, written from the records alone.

This is what people read where no language model is configured, or where its
text was refused. Times are UTC, since a document is read in many places.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime

from bot.domain.alerts import AlertGroup
from bot.domain.incidents import Milestone, MilestoneKind
from bot.domain.lessons import suggestions
from bot.domain.messages import duration
from bot.domain.records import Records, called, clock, milestones, moment, names, outcome
from bot.domain.runs import Run, RunState
from bot.domain.timeline import TimelineEntry

_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_LATEST = 5
_MOST_ENTRIES = 120
_LONGEST_ENTRY = 300


def summary(records: Records) -> str:
    """Tell the incident from its start to where it stands."""
    return " ".join(_story(records))


def _story(records: Records) -> Iterator[str]:
    incident, known = records.incident, names(records)
    at = {m.kind: m for m in milestones(records)}
    service = f" of {incident.service}" if incident.service else ""
    yield f"“{incident.title}” {_tense(records)} a {incident.severity} incident{service}."
    yield _beginning(at, known=called(at[MilestoneKind.DETECTED].by, known))
    yield _taken(at, records, known)
    for run in records.runs:
        yield _told(run)
    yield _ending(records, at)


def _tense(records: Records) -> str:
    return "is" if records.incident.status.open else "was"


def _beginning(at: Mapping[MilestoneKind, Milestone], *, known: str) -> str:
    detected, started = at[MilestoneKind.DETECTED], at.get(MilestoneKind.STARTED)
    if started is None:
        return f"It was noticed at {moment(detected.at)}."
    waited = duration((detected.at - started.at).total_seconds())
    return f"It began at {moment(started.at)}, and {known} reported it {waited} later."


def _taken(
    at: Mapping[MilestoneKind, Milestone], records: Records, known: Mapping[str, str]
) -> str:
    taken, declared = at.get(MilestoneKind.ACKNOWLEDGED), at[MilestoneKind.DECLARED]
    words = f"declared the incident at {clock(declared.at)}"
    if taken is None:
        idle = "; nobody acknowledged the alert" if records.groups else ""
        return f"{called(declared.by, known)} {words}{idle}."
    first = f"{called(taken.by, known)} acknowledged it at {clock(taken.at)}"
    same = taken.by == declared.by and taken.at <= declared.at
    return f"{first} and {words}." if same else f"{first}; {called(declared.by, known)} {words}."


def _told(run: Run) -> str:
    agreed = [a.person.name for a in run.approval.answers if a.approve] if run.approval else []
    consent = f", approved by {_listed(agreed)}" if agreed else ""
    ended = f" ({clock(run.ended_at)})" if run.ended_at else ""
    kind = "The runbook " if run.parent is None else ""
    asked = f"{kind}“{run.title}”, asked for by {run.requester.name}"
    return f"{asked}{consent}: {outcome(run)}{ended}."


def _ending(records: Records, at: Mapping[MilestoneKind, Milestone]) -> str:
    incident, detected = records.incident, at[MilestoneKind.DETECTED].at
    ends = (
        (MilestoneKind.MITIGATED, "mitigated"),
        (MilestoneKind.RESOLVED, "resolved"),
    )
    told = [
        f"{words} {duration((at[kind].at - detected).total_seconds())}"
        for kind, words in ends
        if kind in at
    ]
    now = f"It is {incident.status}." if incident.status.open else ""
    ended = f"The incident was {_listed(told)} after it was noticed." if told else ""
    return f"{ended} {now}".strip()


def _listed(words: list[str]) -> str:
    return " and ".join((", ".join(words[:-1]), words[-1])) if len(words) > 1 else "".join(words)


def impact(records: Records) -> str:
    """Say whom it affected and for how long, as far as the record knows."""
    severity = records.incident.severity
    lines = [f"{severity}: {severity.meaning}.", *map(_fired, records.groups)]
    for words in dict.fromkeys(_own_words(g) for g in records.groups):
        if words:
            lines.append(f"The alert's own words: {words.rstrip('.')}.")
    lines.append("How many users were affected is not on record; add it by hand.")
    return " ".join(lines)


def _own_words(group: AlertGroup) -> str:
    return group.annotation("impact") or group.annotation("summary")


def _fired(group: AlertGroup) -> str:
    alerts = f"{len(group.alerts)} alert{'' if len(group.alerts) == 1 else 's'}"
    if group.ended_at is None:
        return f"{group.name} ({alerts}) has been firing since {moment(group.starts_at)}."
    length = duration((group.ended_at - group.starts_at).total_seconds())
    return f"{group.name} ({alerts}) fired for {length} from {moment(group.starts_at)}."


def catch_up(records: Records, *, at: datetime) -> str:
    """Tell a person who joins now what they need to take part."""
    incident = records.incident
    first = f"{incident.id} “{incident.title}” is {incident.severity} and {incident.status}"
    age = duration((at - incident.declared_at).total_seconds())
    lines = [f"{first}, declared {age} ago by {incident.declared_by.name}."]
    firing = [group.name for group in records.groups if group.firing]
    if records.groups:
        lines.append(
            f"Still firing: {', '.join(firing)}." if firing else "No alert fires any more."
        )
    held = [f"{role.title.lower()} is {person.name}" for role, person in incident.roles.items()]
    lines.append(f"{_upper(', '.join(held))}." if held else "Nobody has taken a role yet.")
    lines += [_told(run) for run in records.runs if not _undone(run)]
    return " ".join(lines)


_UNDONE = (RunState.DENIED, RunState.EXPIRED, RunState.CANCELLED, RunState.SUPERSEDED)


def _undone(run: Run) -> bool:
    return run.state in _UNDONE


def _upper(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def latest(records: Records) -> tuple[TimelineEntry, ...]:
    """Return the last few things that happened, in order."""
    return records.timeline[-_LATEST:]


def facts(records: Records, *, at: datetime) -> str:
    """Write down, one line each, what a language model may tell; it gets nothing else."""
    return "\n".join(" ".join(line.split()) for line in _facts(records, at))


def _facts(records: Records, at: datetime) -> Iterator[str]:
    incident, known = records.incident, names(records)
    yield f"now: {moment(at)}"
    yield f"incident: {incident.id} “{incident.title}”, {incident.severity}, {incident.status}"
    yield f"service: {incident.service or 'not named'}"
    yield f"impact: {impact(records)}"
    for role, person in incident.roles.items():
        yield f"{role.title.lower()}: {person.name}"
    for milestone in milestones(records):
        yield f"{milestone.kind}: {moment(milestone.at)} by {called(milestone.by, known)}"
    yield f"in short: {summary(records)}"
    for suggestion in suggestions(records):
        yield f"suggestion: {suggestion.claim}; {suggestion.fate}"
    for entry in records.timeline[-_MOST_ENTRIES:]:
        text = _entry(entry, called(entry.actor, known))[:_LONGEST_ENTRY]
        yield f"timeline {moment(entry.at)}: {text}"


def _entry(entry: TimelineEntry, name: str) -> str:
    text = " ".join(entry.text.split()).rstrip(".")
    return text if entry.actor == "system" else f"{name}: {text}"


def invented(text: str, facts: str) -> tuple[str, ...]:
    """Return the numbers of a text that the facts do not have.

    A language model that tells a time or a count of its own makes the whole
    text useless in a post-mortem, so such a text is not used.
    """
    known = set(_NUMBER.findall(facts))
    return tuple(dict.fromkeys(n for n in _NUMBER.findall(text) if n not in known))
