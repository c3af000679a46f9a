"""What was found, as findings."""

from __future__ import annotations

from datetime import datetime

from bot.domain.documents import Found, Hit, Kind
from bot.domain.findings import Evidence, Finding, FindingKind
from bot.domain.relevance import reasons
from plugins.similar.stories import Story, age, first_sentence

WORDS_ONLY = "found by words only, meaning is not compared yet"

_LONGEST_TITLE = 90


def similar(
    story: Story, hit: Hit, *, found: Found, now: datetime, dense_ready: bool, url: str = ""
) -> Finding:
    """Claim that a past incident resembles this, and say what was done then and why it is like it.

    Only the first hit has a confidence, and only a measured one.
    """
    evidence = [Evidence(kind="incident", ref=story.id, label=story.id, url=url)]
    if story.cause:
        cause = f"cause: {first_sentence(story.cause)}"
        evidence.append(Evidence(kind="cause", ref=story.id, label=cause))
    claim = _claim(story, now=now)
    # What the claim says already is not told twice.
    why = [reason for reason in reasons(hit) if reason not in claim]
    if not dense_ready:
        why.append(WORDS_ONLY)
    if why:
        evidence.append(Evidence(kind="why", ref=story.id, label="; ".join(why)))
    first = found.hits[:1] == (hit,)
    return Finding(
        kind=FindingKind.SIMILAR,
        claim=claim,
        value=story.id,
        evidence=tuple(evidence),
        confidence=measured(found) if first and found.sure else None,
        model=found.model or ("words+meaning" if hit.dense is not None else "words"),
        detail=_detail(hit),
    )


def measured(found: Found) -> float | None:
    """Return the probability that the first hit is right, None where nobody has measured it.

    The calibration saw alerts without their names, and no known errors. Where
    the first hit has the alert's very name, or is a known error, it says
    how far the search may go, but no number that a person could rely on.
    """
    first = found.hits[0] if found.hits else None
    if first is None or first.document.kind == Kind.KNOWN_ERROR or first.signals.get("name", 0):
        return None
    return found.confidence


def _claim(story: Story, *, now: datetime) -> str:
    facts = [story.id, age(now - story.at), story.lasted, "example" if story.example else ""]
    title = first_sentence(story.title, _LONGEST_TITLE)
    return f"{title} ({', '.join(filter(None, facts))}): {_done(story)}"


def _done(story: Story) -> str:
    """Say in one sentence what was done then; what did not work says so itself."""
    resolution = first_sentence(story.resolution)
    if not resolution:
        return "how it was resolved is not recorded"
    if story.run and story.run not in resolution:
        resolution += f" (runbook “{story.run}”)"
    return resolution


def nothing_similar(found: Found, *, searched: int, dense_ready: bool) -> Finding:
    """Say that there is none, and behind "Details" how near the nearest was."""
    detail = f"{searched} past incidents were searched."
    if found.hits:
        detail += f" {_nearest(found)}"
    if not dense_ready:
        detail += " They were compared by words only; meaning is not compared yet."
    return Finding(
        kind=FindingKind.SIMILAR,
        claim="No similar incident found",
        detail=detail,
        model=found.model,
    )


def _nearest(found: Found) -> str:
    nearest = found.hits[0]
    name = f"{nearest.document.id} ({first_sentence(nearest.document.title, _LONGEST_TITLE)})"
    if found.confidence is None:
        shared = ", ".join(nearest.matched) or "no words"
        return f"The nearest, {name}, shares too little: {shared}."
    probability = measured(found)
    if probability is None:
        return f"The nearest, {name}, goes by the same name; the rest of it is too little alike."
    return (
        f"The nearest, {name}, is the same with a probability of {probability:.0%}; "
        f"from {found.threshold:.0%} on it would be shown."
    )


def _detail(hit: Hit) -> str:
    numbers = f"Words {hit.lexical:.1f} (BM25)"
    if hit.dense is not None:
        numbers += f", meaning {hit.dense:.2f} (cosine)"
    return f"“{hit.passage}” {numbers}." if hit.passage else f"{numbers}."
