"""What people said of hits, as lessons for the ranker."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

import numpy as np

from bot.domain.documents import Kind, Query
from bot.ports import Judgement, SearchLabel
from bot.search.engine import HybridSearch
from bot.search.training.fitting import Lesson

# So many judged queries weigh half of what a kind of question of a folder does.
_HALF = 100
_PAST = (Kind.INCIDENT, Kind.POSTMORTEM)  # one search asks for both
_TOGETHER: Mapping[str, tuple[str, ...]] = {Kind.INCIDENT: _PAST, Kind.POSTMORTEM: _PAST}


@dataclass(frozen=True, kw_only=True)
class Judged:
    """People's labels as lessons, and the labels themselves for the record."""

    lessons: Sequence[Lesson] = ()
    labels: Sequence[SearchLabel] = ()


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """What a search was made in: `before` is when its subject began, `without` its incident."""

    before: datetime | None = None
    without: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """One search as it was made; what was said of it by several people is one lesson."""

    query: Query
    subject: str
    kinds: tuple[str, ...]


async def judged(
    labels: Sequence[SearchLabel],
    search: HybridSearch,
    circumstances: Mapping[str, Circumstances] = MappingProxyType({}),
) -> Judged:
    """Turn labels into lessons, over the documents a running search holds.

    Each search is made again as it was made then: for the same kinds of document,
    before its subject began and without its own incident (`circumstances`, by
    subject), and without what people's word alone would put first.

    A useful document shall stand out among the candidates; a useless one shall
    not come first. People who disagree cancel each other out, and nobody counts
    twice for one hit: the last word holds. All labels together weigh the more
    the more there are, up to what one kind of question of a folder weighs. The
    candidates' signals are those of the ranker that search has.
    """
    lessons = []
    await search.accept({})
    for asked, votes in _votes(labels).items():
        known = circumstances.get(asked.subject, Circumstances())
        lesson = await _lesson(asked, votes, search, known)
        if lesson is not None:
            lessons.append(lesson)
    weight = len(lessons) / (len(lessons) + _HALF) / len(lessons) if lessons else 0.0
    return Judged(
        lessons=[
            Lesson(scaled=one.scaled, right=one.right, wrong=one.wrong, weight=weight)
            for one in lessons
        ],
        labels=tuple(labels),
    )


def _votes(labels: Sequence[SearchLabel]) -> Mapping[_Asked, Mapping[str, int]]:
    """Sum what people said by search and document: above 0 it was useful."""
    last = {
        (label.person, _asked(label), label.document): label
        for label in sorted(labels, key=lambda one: (one.at, one.id))
    }
    votes: dict[_Asked, Counter[str]] = defaultdict(Counter)
    for (_, asked, document), label in last.items():
        votes[asked][document] += 1 if label.judgement is Judgement.USEFUL else -1
    return votes


def _asked(label: SearchLabel) -> _Asked:
    """Return the search a label is about; when it was made matters to nothing but the dates."""
    return _Asked(
        query=Query(text=label.query, names=label.names, services=label.services),
        subject=label.subject,
        kinds=_TOGETHER.get(label.kind, (label.kind,)),
    )


async def _lesson(
    asked: _Asked, votes: Mapping[str, int], search: HybridSearch, known: Circumstances
) -> Lesson | None:
    own = (asked.subject, *known.without)  # an incident is not its own past
    seen = await search.examine(asked.query, kinds=asked.kinds, before=known.before, without=own)
    right = np.array([votes.get(id_, 0) > 0 for id_ in seen.ids], dtype=np.bool_)
    wrong = np.array([votes.get(id_, 0) < 0 for id_ in seen.ids], dtype=np.bool_)
    if not right.any() and not wrong.any():
        return None
    return Lesson(scaled=seen.scaled.astype(np.float64), right=right, wrong=wrong, weight=1.0)
