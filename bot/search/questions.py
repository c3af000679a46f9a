"""A query as the index reads it: its terms, what each counts, and what it is about besides."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bot.domain.documents import Query
from bot.domain.relevance import says_something
from bot.search.entities import entities
from bot.search.surroundings import Topology
from bot.search.tokens import Splitter

_LONGEST = 10_000  # characters that are read
_EVERYDAY = 0.05  # a word that this share of queries has says nothing
_RAREST = 400.0  # a word that fewer than one query in so many has is not held down


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A query, read.

    `weights` says what each term counts, `rarities` how rare the known ones are
    and `spelled` how they were typed, the rarest first; `around` the services
    nearby, by hops. `names` maps each name to the term it is as a whole, "" for a
    plain word.
    """

    query: Query
    weights: Mapping[str, float]
    rarities: Mapping[str, float]
    spelled: Mapping[str, str]
    entities: frozenset[str]
    around: Mapping[str, int]
    names: Mapping[str, str]


class Reader:
    """Reads queries; `common` says which share of queries has a term."""

    def __init__(self, splitter: Splitter, common: Mapping[str, float]) -> None:
        self._splitter = splitter
        self._common = common
        self._held_down = {term: _counts(share) for term, share in common.items()}

    def read(self, query: Query, rarity: Callable[[str], float], topology: Topology) -> Asked:
        """Read a query; names and services that its text lacks are read with it."""
        text = query.text[:_LONGEST]
        counts = Counter(self._splitter.terms(text))
        for name in (*query.names, *query.services):
            terms = self._splitter.terms(name)
            if not counts.keys() >= set(terms):
                text = f"{text} {name}"
                counts.update(terms)
        held_down = self._held_down
        spelled = self._spelled(text)
        rarities = {term: rare for term in spelled if (rare := rarity(term)) > 0}
        rarest = sorted(rarities, key=lambda term: (-rarities[term], -len(spelled[term])))
        return Asked(
            query=query,
            weights={term: count * held_down.get(term, 1.0) for term, count in counts.items()},
            rarities=rarities,
            spelled={term: spelled[term] for term in rarest},
            entities=entities(text),
            around=topology.around(query.services),
            names={name: self._whole(name) for name in query.names},
        )

    def tells(self, word: str) -> bool:
        """Say whether sharing a word says something: no everyday word of queries does."""
        if not says_something(word):
            return False
        terms = self._splitter.terms(word)
        return any(self._common.get(term, 0.0) < _EVERYDAY for term in terms)

    def _whole(self, name: str) -> str:
        """Return the term of a name of several parts, which comes before those of its parts."""
        terms = self._splitter.terms(name)
        return terms[0] if len(terms) > 1 else ""

    def _spelled(self, text: str) -> dict[str, str]:
        """Map the terms to how they were first typed."""
        spelled: dict[str, str] = {}
        for term, spelling in self._splitter.spellings(text):
            spelled.setdefault(term, spelling)
        return spelled


def _counts(share: float) -> float:
    """Return what a term counts: the logarithm of how rare it is in queries, 0 to 1."""
    return max(0.0, math.log(1 / max(share, 1 / _RAREST)) / math.log(_RAREST))
