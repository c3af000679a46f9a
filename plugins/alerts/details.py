"""Everything about an alert group: what is claimed and why, what its source sent, what happened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from bot.domain.alerts import Alert, AlertGroup, AlertStatus
from bot.domain.findings import Evidence, Finding
from bot.domain.messages import (
    Bold,
    Button,
    Buttons,
    Code,
    Divider,
    Form,
    Link,
    Moment,
    Paragraph,
    Part,
    Quiet,
    Span,
    paragraph,
    quiet,
)
from bot.domain.timeline import TimelineEntry
from plugins.alerts.messages import DETAILS

ALERTS_SHOWN = 20
ENTRIES_SHOWN = 20

_LONGEST_VALUE = 300
_LONGEST_TEXT = 2_000


def details_form(
    group: AlertGroup, timeline: Sequence[TimelineEntry], offered: Sequence[Button] = ()
) -> Form:
    """Show all of it, in the order of the card; nothing is to be filled in.

    What plugins offer for a closer look stands below what they claim.
    """
    labels = shared([alert.labels for alert in group.alerts])
    annotations = shared([alert.annotations for alert in group.alerts])
    sections: tuple[list[Part], ...] = (
        [paragraph(Bold(group.name)), *_links(group)],
        [part for finding in group.findings for part in _finding(finding)],
        [Buttons(tuple(offered))] if offered else [],
        _pairs("Labels", labels),
        _pairs("Annotations", annotations),
        _alerts(group, labels, annotations),
        _timeline(timeline),
    )
    parts: list[Part] = []
    for section in filter(None, sections):
        parts += [Divider()] if parts else []
        parts += section
    return Form(title="Alert details", interaction=DETAILS, value=group.id, parts=tuple(parts))


def shared(mappings: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return the pairs on which all mappings agree."""
    if not mappings:
        return {}
    first, *others = mappings
    return {k: v for k, v in first.items() if all(other.get(k) == v for other in others)}


def _links(group: AlertGroup) -> list[Part]:
    graphs = dict.fromkeys(alert.generator_url for alert in group.alerts if alert.generator_url)
    spans: list[Span] = []
    if group.external_url:
        spans.append(Link("Where it came from", group.external_url))
    if len(graphs) == 1:
        spans += [" · "] if spans else []
        spans.append(Link("The rule's graph", next(iter(graphs))))
    source = quiet(f"From {group.source}, told {group.notifications} times.")
    if group.notifications == 1:
        source = quiet(f"From {group.source}, told once.")
    return [Paragraph(tuple(spans)), source] if spans else [source]


def _finding(finding: Finding) -> list[Part]:
    sure = "" if finding.confidence is None else f" ({finding.confidence:.0%} sure)"
    parts: list[Part] = [
        paragraph(Bold(f"{finding.kind.value.capitalize()}: "), finding.claim, sure)
    ]
    if finding.detail:
        parts.append(paragraph(finding.detail[:_LONGEST_TEXT]))
    if finding.evidence:
        parts.append(Quiet(_evidence(finding.evidence)))
    told = " · ".join(part for part in (finding.plugin, finding.model) if part)
    return [*parts, quiet(f"Method: {told}.")] if told else parts


def _evidence(evidence: Iterable[Evidence]) -> tuple[Span, ...]:
    spans: list[Span] = []
    for item in evidence:
        spans.append(" · " if spans else "Evidence: ")
        spans.append(Link(item.label, item.url) if item.url else item.label)
    return tuple(spans)


def _pairs(title: str, pairs: Mapping[str, str]) -> list[Part]:
    if not pairs:
        return []
    lines = (f"{key}: {_short(value)}" for key, value in sorted(pairs.items()))
    return [paragraph(Bold(title)), Code("\n".join(lines))]


def _alerts(
    group: AlertGroup, labels: Mapping[str, str], annotations: Mapping[str, str]
) -> list[Part]:
    firing_first = sorted(group.alerts, key=lambda alert: alert.status is AlertStatus.RESOLVED)
    title = f"{len(group.firing)} of {len(group.alerts)} firing"
    parts: list[Part] = [paragraph(Bold(title))]
    parts += [_alert(alert, labels, annotations) for alert in firing_first[:ALERTS_SHOWN]]
    left = len(group.alerts) - ALERTS_SHOWN
    if left > 0:
        parts.append(quiet(f"And {left} more."))
    if group.truncated:
        parts.append(quiet(f"The sender left out {group.truncated} more."))
    return parts


def _alert(alert: Alert, labels: Mapping[str, str], annotations: Mapping[str, str]) -> Paragraph:
    own = {**_others(alert.labels, labels), **_others(alert.annotations, annotations)}
    said = ", ".join(f"{key}: {_short(value)}" for key, value in sorted(own.items()))
    spans: list[Span] = [alert.status.value, " since ", Moment(alert.starts_at)]
    if alert.status is AlertStatus.RESOLVED and alert.ends_at is not None:
        spans += [" until ", Moment(alert.ends_at)]
    if said:
        spans += [" · ", said]
    if alert.generator_url:
        spans += [" · ", Link("graph", alert.generator_url)]
    return Paragraph(tuple(spans))


def _others(pairs: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in pairs.items() if key not in known}


def _timeline(entries: Sequence[TimelineEntry]) -> list[Part]:
    if not entries:
        return []
    lines = [
        quiet(Moment(entry.at), " ", _short(entry.sentence)) for entry in entries[-ENTRIES_SHOWN:]
    ]
    return [paragraph(Bold("Timeline")), *lines]


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"
