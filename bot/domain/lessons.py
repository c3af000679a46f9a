"""What an incident teaches: what became of suggestions, where the assistant did well or badly,
and what to do next. Every line follows from a record; nothing is guessed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bot.domain.alerts import AlertStatus
from bot.domain.approvals import Verdict
from bot.domain.findings import Finding, FindingKind
from bot.domain.incidents import MilestoneKind
from bot.domain.messages import duration
from bot.domain.people import Role
from bot.domain.records import Records, called, milestones, names, outcome, verified
from bot.domain.runs import Run, RunState
from bot.domain.timeline import TimelineKind

LATE = timedelta(minutes=15)

_UNKNOWN = "unknown"
_ALWAYS_CLAIM = (FindingKind.NOTE, FindingKind.KNOWN_ERROR)
_SAID = (TimelineKind.NOTE, TimelineKind.PIN)


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """Something the assistant suggested, and what became of it.

    `good` is None where the record does not tell.
    """

    claim: str
    evidence: str
    fate: str
    good: bool | None


@dataclass(frozen=True, kw_only=True)
class ActionItem:
    """Something to do so that it does not happen again."""

    text: str
    reason: str


def findings(records: Records) -> tuple[Finding, ...]:
    """Return what the assistant claimed about the alerts, each claim once."""
    every = (finding for group in records.groups for finding in group.findings)
    return tuple({(f.kind, f.claim): f for f in every}.values())


def suggestions(records: Records) -> tuple[Suggestion, ...]:
    """Return what the assistant suggested and what became of it; abstentions are none."""
    return tuple(_followed(f, records) for f in findings(records) if not _abstains(f))


def _abstains(finding: Finding) -> bool:
    return finding.kind not in _ALWAYS_CLAIM and finding.value in ("", _UNKNOWN)


def _followed(finding: Finding, records: Records) -> Suggestion:
    fate, good = _fate(finding, records)
    evidence = ", ".join(e.label for e in finding.evidence)
    return Suggestion(claim=finding.claim, evidence=evidence, fate=fate, good=good)


def _fate(finding: Finding, records: Records) -> tuple[str, bool | None]:
    match finding.kind:
        case FindingKind.RUNBOOK:
            return _runbook_fate(runs_of(finding, records))
        case FindingKind.SEVERITY:
            severity = records.incident.severity
            same = finding.value == severity.value
            return f"the incident is {severity}{'' if same else ' by the word of people'}", same
        case FindingKind.SIMILAR:
            return _similar_fate(finding.value, records)
        case FindingKind.NOTE | FindingKind.KNOWN_ERROR:
            return "shown for information", None


def runs_of(finding: Finding, records: Records) -> tuple[Run, ...]:
    """Return the runs of a suggested runbook, without rollbacks and undoings."""
    return tuple(r for r in records.runs if r.runbook == finding.value and r.parent is None)


def _runbook_fate(runs: tuple[Run, ...]) -> tuple[str, bool | None]:
    if not runs:
        return "nobody used it", False
    states = {run.state for run in runs}
    bad = any(state.failed or state is RunState.IN_DOUBT for state in states)
    good = True if RunState.SUCCEEDED in states else False if bad else None
    return "; then ".join(outcome(run) for run in runs), good


def _similar_fate(id: str, records: Records) -> tuple[str, bool | None]:
    word = re.compile(rf"(?<![\w-]){re.escape(id)}(?![\w-])", re.IGNORECASE)
    for entry in records.timeline:
        if entry.kind in _SAID and word.search(entry.text):
            return f"{called(entry.actor, names(records))} referred to it", True
    return "the record does not say whether it helped", None


def did_well(records: Records) -> tuple[str, ...]:
    """Return what the assistant did well in this incident."""
    return tuple(_well(records))


def _well(records: Records) -> Iterator[str]:
    for finding in findings(records):
        yield from _well_suggested(finding, records)
    consented = [r for r in records.runs if r.records and _consented(r) and _begun(r)]
    if consented:
        yield (
            f"{_count(len(consented), 'run')} began only after somebody else had agreed to "
            f"exactly {'its plan' if len(consented) == 1 else 'their plans'}."
        )
    told = sum(group.notifications for group in records.groups)
    if told > len(records.groups):
        yield f"{told} notifications were kept on {_count(len(records.groups), 'card')}."


def _well_suggested(finding: Finding, records: Records) -> Iterator[str]:
    if _abstains(finding):
        return
    if finding.kind is FindingKind.RUNBOOK:
        done = [r for r in runs_of(finding, records) if r.state is RunState.SUCCEEDED]
        if done:
            word = "verified" if verified(done[-1]) else "succeeded"
            yield f"It suggested the runbook “{done[-1].title}”, which was run and {word}."
    elif finding.kind is FindingKind.SEVERITY and finding.value == records.incident.severity.value:
        yield f"It proposed {finding.value}, the severity people settled on."
    elif finding.kind is FindingKind.SIMILAR and _similar_fate(finding.value, records)[1]:
        yield f"It found {finding.value}, which people referred to."


def _consented(run: Run) -> bool:
    approval = run.approval
    return approval is not None and bool(approval.answers) and approval.verdict is Verdict.GRANTED


def _begun(run: Run) -> bool:
    idle = (
        RunState.DRAFT,
        RunState.AWAITING,
        RunState.APPROVED,
        RunState.EXPIRED,
        RunState.SUPERSEDED,
    )
    return run.state not in idle and (run.state is not RunState.CANCELLED or run.position > 0)


def did_badly(records: Records) -> tuple[str, ...]:
    """Return where the assistant was wrong, idle, or of no help in this incident."""
    return tuple(dict.fromkeys(_badly(records)))


def _badly(records: Records) -> Iterator[str]:
    for finding in findings(records):
        yield from _badly_suggested(finding, records)
    for run in records.runs:
        if run.state.failed:
            yield f"The run “{run.title}” failed: {run.reason or 'no reason is recorded'}."
        if run.state is RunState.IN_DOUBT:
            yield f"It does not know whether “{run.title}” took effect; a person has to look."
    left_out = max((group.truncated for group in records.groups), default=0)
    if left_out:
        yield f"Its card was incomplete: the sender left out {_count(left_out, 'alert')}."


def _badly_suggested(finding: Finding, records: Records) -> Iterator[str]:
    said = f"{finding.claim} {finding.detail}"
    if finding.kind is FindingKind.RUNBOOK:
        if not finding.value:
            yield "It knew no runbook for the alert."
        elif not runs_of(finding, records):
            yield f"It suggested the runbook “{_page(finding, records)}”, and nobody used it."
    elif finding.kind is FindingKind.SEVERITY:
        if finding.value in ("", _UNKNOWN):
            yield "It could not tell a severity."
        elif finding.value != records.incident.severity.value:
            severity = records.incident.severity
            yield f"It proposed {finding.value}; people settled on {severity}."
    elif finding.kind is FindingKind.SIMILAR and (
        finding.model == "words" or "by words only" in said
    ):
        yield "It compared past incidents by words only; their meaning was not taken into account."


def _page(finding: Finding, records: Records) -> str:
    titles = {book.id: book.title for book in records.runbooks}
    return titles.get(finding.value, finding.value)


def action_items(records: Records, *, at: datetime) -> tuple[ActionItem, ...]:
    """Return what to do next, each with the fact it follows from."""
    found = (*_about_response(records), *_about_runs(records), *_about_knowledge(records, at))
    return tuple({item.text: item for item in found}.values())


def _about_response(records: Records) -> Iterator[ActionItem]:
    incident, service = records.incident, records.incident.service or "this service"
    when = {m.kind: m.at for m in milestones(records)}
    if not records.groups:
        yield _item(f"Add an alert that finds this on {service}", "people found it, no alert did")
    detected, taken = when[MilestoneKind.DETECTED], when.get(MilestoneKind.ACKNOWLEDGED)
    if taken is None:
        yield _item(f"Agree who acknowledges alerts of {service}", "nobody acknowledged this one")
    elif taken - detected > LATE:
        waited = duration((taken - detected).total_seconds())
        yield _item(
            f"Find out why alerts of {service} wait for somebody",
            f"it took {waited} until it was acknowledged",
        )
    open_roles = [role.title.lower() for role in Role if role not in incident.roles]
    if open_roles:
        yield _item("Hand out the roles early", f"nobody was {' or '.join(open_roles)}")
    for group in records.groups:
        if group.status is AlertStatus.FIRING and not incident.status.open:
            yield _item(f"Look after {group.name}", f"it still fires while {incident.id} is over")


def _about_runs(records: Records) -> Iterator[ActionItem]:
    for run in records.runs:
        reason = run.reason or "no reason is recorded"
        if run.state.failed:
            yield _item(f"Repair the runbook “{run.title}”", f"it failed: {reason}")
        elif run.state is RunState.IN_DOUBT:
            yield _item(f"Find out whether “{run.title}” took effect", reason)
        elif run.state is RunState.EXPIRED:
            yield _item(f"Make sure that “{run.title}” finds approvers in time", reason)
        elif run.state is RunState.DENIED:
            yield _item(f"Settle what was wrong with the plan of “{run.title}”", reason)


def _about_knowledge(records: Records, at: datetime) -> Iterator[ActionItem]:
    used = {run.runbook for run in records.runs}
    for group in records.groups:
        for finding in group.findings:
            if finding.kind is FindingKind.RUNBOOK and not finding.value:
                yield _item(f"Write a runbook for {group.name}", finding.claim)
            elif finding.kind is FindingKind.RUNBOOK:
                used.add(finding.value)
            elif finding.kind is FindingKind.SIMILAR and finding.value:
                text = f"Find out whether {finding.value} came back, and why"
                yield _item(text, "it looked similar when the alert came in")
    for book in records.runbooks:
        if book.id in used and book.review.stale(at.astimezone(UTC).date()):
            yield _item(f"Review the runbook “{book.title}”", f"last reviewed {book.review.at}")


def _item(text: str, reason: str) -> ActionItem:
    return ActionItem(text=text, reason=reason)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
