"""Which runbooks fit an alert, and why: direct matches first, then the search."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bot.domain.alerts import AlertGroup
from bot.domain.documents import Document, Found, Kind
from bot.domain.findings import Evidence, Finding, FindingKind
from bot.domain.relevance import named, why, worth_showing
from bot.domain.runbooks import Runbook, alert_names, matches

KIND = Kind.RUNBOOK


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """A runbook with the reason why it may fit. `direct` ones say so themselves.

    `confidence` is the calibrated probability that a searched one is right;
    only the first hit of a search has one. `model` names what ranked it.
    """

    runbook: Runbook
    reason: str
    direct: bool
    confidence: float | None = None
    model: str = ""


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
    found: Found, runbooks: Mapping[str, Runbook], *, names: Sequence[str]
) -> list[Suggestion]:
    """Return what a search found, where it is sure enough to say so unasked.

    `names` are those of the alert, by which hits are judged while nothing is
    calibrated.
    """
    measured = None if named(found) else found.confidence
    return [
        Suggestion(
            runbook=runbooks[hit.document.id],
            reason=why(hit),
            direct=False,
            confidence=measured if hit is found.hits[0] else None,
            model=found.model,
        )
        for hit in worth_showing(found, names)
        if hit.document.id in runbooks
    ]


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
        claim=_claim(best),
        value=book.id,
        evidence=tuple(evidence),
        confidence=best.confidence,
        detail=_also(others),
        model="" if best.direct else best.model or "search",
    )


def _claim(best: Suggestion) -> str:
    """Say how sure it is in words where there is no number for it."""
    sure = best.direct or best.confidence is not None
    return best.runbook.title if sure else f"{best.runbook.title} (may fit)"


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
    """Return a runbook as the search keeps it: Markdown, so that sections count by their name."""
    sections = dict(runbook.sections)
    if runbook.match.tags:
        sections["Tags"] = " ".join(runbook.match.tags)
    return Document(
        id=runbook.id,
        kind=KIND,
        title=runbook.title,
        text="\n\n".join(f"## {name}\n\n{text.strip()}" for name, text in sections.items()),
        names=alert_names(runbook.match),
        services=runbook.match.services,
    )
