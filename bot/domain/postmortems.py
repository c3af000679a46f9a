"""The post-mortem: what happened, what it cost, what the assistant did in it.

Drafted from records only. The summary alone may come from a language model; it
is marked as such then, and everything it says can be checked in the sections
below it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from bot.domain.approvals import ANYONE, Answer, Place, Verdict
from bot.domain.incidents import Incident, IncidentId, Measure, measures
from bot.domain.lessons import (
    ActionItem,
    Suggestion,
    action_items,
    did_badly,
    did_well,
    suggestions,
)
from bot.domain.people import Person
from bot.domain.prose import impact, summary
from bot.domain.records import Records, called, exact, milestones, names, outcome
from bot.domain.runs import Run
from bot.domain.timeline import TimelineEntry

__all__ = [
    "FROM_RECORDS",
    "ActionItem",
    "CatchUp",
    "Consent",
    "Postmortem",
    "Prose",
    "Records",
    "Suggestion",
    "draft",
]

FROM_RECORDS = "records"


@dataclass(frozen=True, kw_only=True)
class Prose:
    """Running text and who wrote it: `records`, or the name of a language model."""

    text: str
    writer: str = FROM_RECORDS

    @property
    def by_model(self) -> bool:
        """Say whether a language model wrote it."""
        return self.writer != FROM_RECORDS


@dataclass(frozen=True, kw_only=True)
class CatchUp:
    """What a person who joins an incident needs to know first."""

    incident: Incident
    at: datetime
    prose: Prose
    latest: tuple[TimelineEntry, ...]


@dataclass(frozen=True, kw_only=True)
class Consent:
    """One plan: who asked for it, whose consent it needed, who answered, what became of it."""

    run: str
    title: str
    digest: str
    requester: str
    answers: tuple[str, ...]
    verdict: str
    outcome: str = ""
    demanded: str = ""


@dataclass(frozen=True, kw_only=True)
class Postmortem:
    """A draft for people to finish. `writer` wrote the summary, as in `Prose`."""

    incident: IncidentId
    title: str
    drafted_at: datetime
    drafted_by: str
    writer: str
    summary: str
    impact: str
    severity: str
    service: str
    status: str
    roles: tuple[tuple[str, str], ...]
    milestones: tuple[tuple[str, datetime, str], ...]
    measures: tuple[Measure, ...]
    timeline: tuple[TimelineEntry, ...]
    suggestions: tuple[Suggestion, ...]
    assistant_good: tuple[str, ...]
    assistant_bad: tuple[str, ...]
    consents: tuple[Consent, ...]
    action_items: tuple[ActionItem, ...]

    @property
    def by_model(self) -> bool:
        """Say whether a language model wrote the summary."""
        return self.writer != FROM_RECORDS

    @property
    def digest(self) -> str:
        """Return the SHA-256 (hex) of the whole document, for the ledger.

        Over JSON with sorted keys; a document may be larger than what RFC 8785
        JSON is bounded to here.
        """
        text = json.dumps(asdict(self), sort_keys=True, default=_json, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def _json(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def draft(records: Records, *, at: datetime, by: Person, prose: Prose | None = None) -> Postmortem:
    """Draft the post-mortem of an incident from its records.

    `prose` is a summary that a language model wrote; without one the records
    tell it themselves.
    """
    incident = records.incident
    known, reached = names(records), milestones(records)
    prose = prose or Prose(text=summary(records))
    return Postmortem(
        incident=incident.id,
        title=incident.title,
        drafted_at=at,
        drafted_by=by.name,
        writer=prose.writer,
        summary=prose.text,
        impact=impact(records),
        severity=incident.severity.value,
        service=incident.service,
        status=incident.status.value,
        roles=tuple((role.title, person.name) for role, person in incident.roles.items()),
        milestones=tuple((m.kind.value, m.at, called(m.by, known)) for m in reached),
        measures=measures(reached),
        timeline=records.timeline,
        suggestions=suggestions(records),
        assistant_good=did_well(records),
        assistant_bad=did_badly(records),
        consents=tuple(_consents(records)),
        action_items=action_items(records, at=at),
    )


def _consents(records: Records) -> Iterator[Consent]:
    for run in records.runs:
        if run.plan is None or run.approval is None:
            continue
        yield Consent(
            run=run.id,
            title=run.title,
            digest=run.approval.digest,
            requester=run.requester.name,
            answers=tuple(map(_answered, run.approval.answers)),
            verdict=_verdict(run),
            outcome=outcome(run),
            demanded=f"{run.plan.risk.name}: {_demanded(run.approval.quorum)}",
        )


def _demanded(quorum: Sequence[Place]) -> str:
    places = [
        f"{place.count} of @{place.group}" if place.group != ANYONE else f"{place.count} of anyone"
        for place in quorum
        if place.count
    ]
    return f"{' and '.join(places)}, not the requester" if places else "nobody's consent"


def _answered(answer: Answer) -> str:
    word = "approved" if answer.approve else "denied"
    reason = f": {answer.reason}" if answer.reason else ""
    return f"{answer.person.name} {word} at {exact(answer.at)}{reason}"


def _verdict(run: Run) -> str:
    if run.plan is not None and run.plan.authorised_by is not None:
        return f"covered by the approved plan {run.plan.authorised_by[:12]}"
    if run.approval is None:
        return "not asked for"
    if run.approval.verdict is Verdict.GRANTED and not run.approval.answers:
        return "not needed"
    return run.approval.verdict.value
