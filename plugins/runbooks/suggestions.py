"""Which runbooks fit an alert, and why: direct matches first, then the search."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bot.domain.alerts import AlertGroup
from bot.domain.documents import Document, Hit
from bot.domain.findings import Evidence, Finding, FindingKind
from bot.domain.relevance import convincing, telling
from bot.domain.runbooks import Runbook, alert_names, matches

KIND = "runbook"


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """A runbook with the reason why it may fit. `direct` ones say so themselves."""

    runbook: Runbook
    reason: str
    direct: bool


def shared_labels(group: AlertGroup) -> Mapping[str, str]:
    """Return the labels on which all firing alerts agree (all alerts, when none fires).

    Where they differ there is no one value to act on, so none is taken.
    """
    alerts = group.firing or group.alerts
    if not alerts:
        return dict(group.labels)
    first, *others = (alert.labels for alert in alerts)
    return {k: v for k, v in first.items() if all(labels.get(k) == v for labels in others)}


def direct(runbooks: Iterable[Runbook], group: AlertGroup) -> list[Suggestion]:
    """Return the runbooks that say themselves that they are for these alerts.

    One that names the alert comes before one that only names a label or a service.
    """
    found = [
        Suggestion(runbook=runbook, reason=reason, direct=True)
        for runbook in runbooks
        if (reason := _reason(runbook, group)) is not None
    ]
    return sorted(
        found, key=lambda s: (not alert_names(s.runbook.match), not s.runbook.match.labels)
    )


def _reason(runbook: Runbook, group: AlertGroup) -> str | None:
    reasons = (matches(runbook, alert.labels) for alert in group.firing or group.alerts)
    return next((reason for reason in reasons if reason is not None), None)


def searched(
    hits: Sequence[Hit], runbooks: Mapping[str, Runbook], *, name: str
) -> list[Suggestion]:
    """Return the convincing hits of a search as suggestions."""
    return [
        Suggestion(runbook=runbooks[hit.document.id], reason=_shared(hit), direct=False)
        for hit in hits
        if hit.document.id in runbooks and convincing(hit, name)
    ]


def _shared(hit: Hit) -> str:
    words = telling(hit) or hit.matched
    return f"shares the words {', '.join(words[:4])}" if words else "is close in meaning"


def finding(suggestions: Sequence[Suggestion], group: AlertGroup) -> Finding:
    """Claim the best fitting runbook; others stay behind "Details"."""
    link = group.annotation("runbook_url")
    if not suggestions:
        return _none(link)
    best, *others = suggestions
    book = best.runbook
    reason = f"matches {best.reason}" if best.direct else best.reason
    evidence = [Evidence(kind=KIND, ref=book.id, label=reason)]
    if link:
        evidence.append(Evidence(kind="link", ref=link, label="the alert's own link", url=link))
    return Finding(
        kind=FindingKind.RUNBOOK,
        claim=book.title if best.direct else f"{book.title} (may fit)",
        value=book.id,
        evidence=tuple(evidence),
        detail=_also(others),
        model="" if best.direct else "search",
    )


def _also(others: Sequence[Suggestion]) -> str:
    named = "; ".join(f"“{s.runbook.title}” ({s.reason})" for s in others)
    return f"Also: {named}" if named else ""


def _none(link: str) -> Finding:
    if not link:
        return Finding(kind=FindingKind.RUNBOOK, claim="No fitting runbook found")
    evidence = Evidence(kind="link", ref=link, label="the alert's own link", url=link)
    claim = "No runbook of ours fits; the alert links to one"
    return Finding(kind=FindingKind.RUNBOOK, claim=claim, evidence=(evidence,))


def document(runbook: Runbook) -> Document:
    """Return a runbook as the search keeps it."""
    sections = (f"{name}\n{text}" for name, text in runbook.sections.items())
    return Document(
        id=runbook.id,
        kind="runbook",
        title=runbook.title,
        text="\n\n".join((*sections, " ".join(runbook.match.tags))).strip(),
        names=alert_names(runbook.match),
        services=runbook.match.services,
    )
