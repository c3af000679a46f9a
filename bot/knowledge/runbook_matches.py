"""The `match` of a runbook page: which alerts it is for."""

from __future__ import annotations

from bot.domain.runbooks import Match
from bot.knowledge.conditions import LABELS, Conditions
from bot.knowledge.fields import Fields


def read_match(front: Fields) -> Match:
    """Read the table `match` of a page's front matter."""
    part = front.table("match")
    if part is None:
        return Match()
    match = Match(
        alerts=part.texts("alerts"),
        labels=_labels(part),
        services=part.texts("services"),
        tags=part.texts("tags"),
        any=tuple(_alternative(each) for each in part.tables("any")),
        not_when=Conditions(LABELS).read(part, "not_when", default=""),
    )
    part.finish()
    if "any" in part and not match.any:
        part.note("any", "names no alternative; leave it out")
    if match.not_when == "true":
        part.note("not_when", "always holds, so that the page would fit nothing")
    return match


def _alternative(part: Fields) -> Match:
    match = Match(
        alerts=part.texts("alerts"), labels=_labels(part), services=part.texts("services")
    )
    part.finish()
    if not (match.alerts or match.labels or match.services):
        part.note_here("says nothing; give alerts, labels or services")
    return match


def _labels(part: Fields) -> dict[str, str]:
    labels = part.table("labels", required=False)
    return {key: labels.text(key) for key in part.nodes("labels")} if labels else {}
