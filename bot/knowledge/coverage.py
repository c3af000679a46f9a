"""Where pages are missing, useless, stale, broken or twice: what a knowledge manager mends next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from bot.domain.runbooks import Runbook, matches
from bot.knowledge.links import dead_links
from bot.knowledge.problems import Problem
from bot.services.usage import SeenAlert

NEAR = 0.8
SHORTEST = 80  # characters; shorter sections are alike without being copies
MOST_SECTIONS = 20_000


@dataclass(frozen=True, kw_only=True)
class Uncovered:
    """An alert for which there is no page, and in how many groups it was seen."""

    alert: str
    count: int


@dataclass(frozen=True, kw_only=True)
class Twins:
    """Two sections that are nearly the same; `score` is the cosine of their TF-IDF vectors."""

    section: str
    one: str
    other: str
    score: float


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """What a folder of pages covers, and what it does not.

    `seen` counts alerts, each name once for each group. `unmatched` are pages that none of them
    fits, `stale` those whose review has lapsed, with the day.
    """

    seen: int
    uncovered: tuple[Uncovered, ...]
    unmatched: tuple[str, ...]
    stale: tuple[tuple[str, date], ...]
    dead: tuple[Problem, ...]
    twins: tuple[Twins, ...]


def coverage(
    root: Path, runbooks: Mapping[str, Runbook], seen: Sequence[SeenAlert], *, today: date
) -> Coverage:
    """Hold the pages against the alerts that came, and against each other."""
    fitting = [_fitting(runbooks, alert) for alert in seen]
    missing = Counter(
        alert.name for alert, fits in zip(seen, fitting, strict=True) if not fits and alert.name
    )
    used = {id for fits in fitting for id in fits}
    files = sorted(runbook.path for runbook in runbooks.values())
    return Coverage(
        seen=len(seen),
        uncovered=tuple(
            Uncovered(alert=name, count=count)
            for name, count in sorted(missing.items(), key=lambda item: (-item[1], item[0]))
        ),
        unmatched=tuple(sorted(set(runbooks) - used)),
        stale=tuple(_stale(runbooks, today)),
        dead=tuple(dead_links(root, files)),
        twins=tuple(near_duplicates(runbooks)),
    )


def _fitting(runbooks: Mapping[str, Runbook], alert: SeenAlert) -> frozenset[str]:
    """Return the pages that fit any instance of an alert; without labels, its name has to do."""
    variants = alert.labels or ({"alertname": alert.name},)
    return frozenset(
        id
        for id, runbook in runbooks.items()
        if any(matches(runbook, labels) is not None for labels in variants)
    )


def _stale(runbooks: Mapping[str, Runbook], today: date) -> Iterator[tuple[str, date]]:
    for id, runbook in sorted(runbooks.items()):
        if runbook.review.stale(today):
            yield id, runbook.review.at + timedelta(days=runbook.review.max_age_days)


def near_duplicates(runbooks: Mapping[str, Runbook], *, least: float = NEAR) -> Sequence[Twins]:
    """Return the sections of different pages that say nearly the same, most alike first.

    The measure is the cosine between TF-IDF vectors of words and pairs of words,
    over sections of one name (Salton and Buckley, 1988). Short ones are left out.
    """
    names = dict.fromkeys(name for runbook in runbooks.values() for name in runbook.sections)
    found = [twins for name in names for twins in _alike(runbooks, name, least)]
    return sorted(found, key=lambda t: (-t.score, t.one, t.other, t.section))


def _alike(runbooks: Mapping[str, Runbook], section: str, least: float) -> Iterator[Twins]:
    # Slow to import, and without types.
    from sklearn.feature_extraction.text import (  # type: ignore[import-untyped]  # noqa: PLC0415
        TfidfVectorizer,
    )
    from sklearn.metrics.pairwise import (  # type: ignore[import-untyped]  # noqa: PLC0415
        cosine_similarity,
    )

    ids = [id for id, r in sorted(runbooks.items()) if len(r.sections.get(section, "")) >= SHORTEST]
    if len(ids) < 2 or len(ids) > MOST_SECTIONS:
        return
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    try:
        vectors = words.fit_transform([runbooks[id].sections[section] for id in ids])
    except ValueError:  # no words at all
        return
    scores = cosine_similarity(vectors, dense_output=False).tocoo()
    for row, column, score in zip(scores.row, scores.col, scores.data, strict=True):
        if row < column and score >= least:
            yield Twins(
                section=section, one=ids[row], other=ids[column], score=round(float(score), 3)
            )
