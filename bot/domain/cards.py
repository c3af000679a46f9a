"""The alert card: everything one needs to decide, and nothing else.

The order never changes, so that the eye learns where things are: what fired,
for how long, how serious and why, what was like it, what to do, who has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bot.domain.alerts import AlertGroup, AlertStatus
from bot.domain.findings import Finding, FindingKind
from bot.domain.freezes import Window
from bot.domain.messages import (
    Bold,
    Button,
    Buttons,
    Facts,
    Heading,
    Message,
    Moment,
    Paragraph,
    Part,
    PersonName,
    Quiet,
    Span,
    Tone,
    duration,
)

_TITLES = {
    FindingKind.KNOWN_ERROR: "Known error",
    FindingKind.SIMILAR: "Similar",
    FindingKind.RUNBOOK: "Runbook",
    FindingKind.NOTE: "Note",
}
EVIDENCE_SHOWN = 3


def alert_card(
    group: AlertGroup, buttons: Sequence[Button], *, at: datetime, muted: Window | None = None
) -> Message:
    """Draw the card of an alert group as of a moment, perhaps within announced maintenance."""
    parts: list[Part] = [Heading(_title(group))]
    if summary := group.annotation("summary") or group.annotation("description"):
        parts.append(Paragraph((summary,)))
    parts.append(_facts(group, at))
    for kind in _TITLES:
        parts += _claims(group, kind)
    if standing := (*_standing(group, at), *_maintenance(muted)):
        parts.append(Quiet(standing))
    if buttons:
        parts.append(Buttons(tuple(buttons)))
    return Message(summary=_summary(group, at), parts=tuple(parts), tone=_tone(group, at, muted))


def _title(group: AlertGroup) -> str:
    word = "Firing" if group.status is AlertStatus.FIRING else "Resolved"
    where = f" · {group.service}" if group.service else ""
    return f"{word}: {group.name}{where}"


def _summary(group: AlertGroup, at: datetime) -> str:
    return f"{_title(group)} ({_lasted(group, at)})"


def _lasted(group: AlertGroup, at: datetime) -> str:
    end = group.resolved_at or at
    return duration((end - min(group.starts_at, end)).total_seconds())


def _facts(group: AlertGroup, at: datetime) -> Facts:
    lasting = "Fired for" if group.resolved_at else "Firing for"
    pairs: list[tuple[str, tuple[Span, ...]]] = [
        ("Severity", (_severity(group),)),
        (lasting, (f"{_lasted(group, at)}, since ", Moment(group.starts_at))),
    ]
    if len(group.alerts) > 1:
        pairs.append(("Alerts", (f"{len(group.firing)} of {len(group.alerts)} firing",)))
    if group.incident:
        pairs.append(("Incident", (group.incident,)))
    return Facts(tuple(pairs))


def _severity(group: AlertGroup) -> str:
    for finding in group.findings:
        if finding.kind is FindingKind.SEVERITY:
            return finding.claim + _confidence(finding)
    return "not judged yet"


def _confidence(finding: Finding) -> str:
    return "" if finding.confidence is None else f" ({finding.confidence:.0%} sure)"


def _claims(group: AlertGroup, kind: FindingKind) -> list[Part]:
    """Show the first claim of a kind with its evidence; the rest is behind Details."""
    for finding in group.findings:
        if finding.kind is kind:
            parts: list[Part] = [
                Paragraph((Bold(f"{_TITLES[kind]}: "), finding.claim, _confidence(finding)))
            ]
            shown = finding.evidence[:EVIDENCE_SHOWN]
            # An id that stands in the claim is not told twice.
            labels = [e.label for e in shown if e.label not in finding.claim]
            return [*parts, Quiet((" · ".join(labels),))] if labels else parts
    return []


def _standing(group: AlertGroup, at: datetime) -> tuple[Span, ...]:
    spans: list[Span] = []
    if group.acknowledged_by and group.acknowledged_at:
        person = group.acknowledged_by
        spans += ["Acknowledged by ", PersonName(person.id, person.name), ", "]
        spans += [Moment(group.acknowledged_at), ". "]
    if group.silenced_until and group.silenced(at):
        spans += ["Silenced until ", Moment(group.silenced_until), ". "]
    if group.resolved_at:
        spans += ["Resolved ", Moment(group.resolved_at), ". "]
    if group.truncated:
        spans.append(f"The sender left out {group.truncated} more alerts. ")
    return tuple(spans)


def _maintenance(muted: Window | None) -> tuple[Span, ...]:
    if muted is None:
        return ()
    return (f"In maintenance ({muted.title}) until ", Moment(muted.ends_at), ". ")


def _tone(group: AlertGroup, at: datetime, muted: Window | None) -> Tone:
    if group.status is AlertStatus.RESOLVED:
        return Tone.GOOD
    if muted is not None or group.silenced(at):
        return Tone.MUTED
    return Tone.WAITING if group.acknowledged_by else Tone.FIRING
