"""What was found, as findings."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bot.domain.documents import Hit
from bot.domain.findings import Evidence, Finding, FindingKind
from bot.domain.relevance import telling
from plugins.similar.stories import Story, age, first_sentence

WORDS_ONLY = "found by words only, meaning is not compared yet"

_LONGEST_TITLE = 90


def similar(story: Story, hit: Hit, *, now: datetime, dense_ready: bool) -> Finding:
    """Claim that a past incident resembles this, and say what resolved it."""
    example = ", example" if story.example else ""
    resolution = first_sentence(story.resolution) or "how it was resolved is not recorded"
    title = first_sentence(story.title, _LONGEST_TITLE)
    claim = f"{title} ({story.id}, {age(now - story.at)}{example}): {resolution}"
    words = ", ".join(telling(hit) or hit.matched)
    doubt = "" if dense_ready else f" ({WORDS_ONLY})"
    evidence = [Evidence(kind="incident", ref=story.id, label=story.id)]
    if words:
        evidence.append(Evidence(kind="words", ref=story.id, label=f"shared words: {words}{doubt}"))
    return Finding(
        kind=FindingKind.SIMILAR,
        claim=claim,
        value=story.id,
        evidence=tuple(evidence),
        model="words+meaning" if hit.dense is not None else "words",
        detail=_detail(hit),
    )


def nothing_similar(hits: Sequence[Hit], *, searched: int, dense_ready: bool) -> Finding:
    """Say that there is none, and behind "Details" how near the nearest was."""
    detail = f"{searched} past incidents were searched."
    if hits:
        nearest = hits[0]
        shared = ", ".join(nearest.matched) or "no words"
        detail += f" The nearest, {nearest.document.id}, shares too little: {shared}."
    if not dense_ready:
        detail += " They were compared by words only; meaning is not compared yet."
    return Finding(kind=FindingKind.SIMILAR, claim="No similar incident found", detail=detail)


def _detail(hit: Hit) -> str:
    numbers = f"Words {hit.lexical:.1f} (BM25)"
    if hit.dense is not None:
        numbers += f", meaning {hit.dense:.2f} (cosine)"
    return f"“{hit.passage}” {numbers}." if hit.passage else f"{numbers}."
