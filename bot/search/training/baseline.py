"""The BM25 that every ranking is held against: plain, frozen, and independent of the engine.

Okapi BM25 with Lucene's inverse document frequency, k1 1.5 and b 0.75, over
title and text. CamelCase is split and its parts are stemmed; the whole name is
kept besides. It shares no code with `bot.search.lexical`, so that what changes
there cannot move the bar.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime

import numpy as np
import Stemmer

from bot.domain.documents import Document
from bot.search.training.datasets import Question

_SATURATION = 1.5
_LENGTH_WEIGHT = 0.75
_TOKEN = re.compile(r"[A-Za-z0-9]+(?:\.+[A-Za-z0-9]+)*")
_BETWEEN = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_STOP_WORDS = frozenset(  # Lucene's English ones
    re.findall(
        r"\w+",
        "a an and are as at be but by for if in into is it no not of on or such that the their "
        "then there these they this to was will with",
    )
)


class Baseline:
    """BM25 over the documents of one folder."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self._stem = Stemmer.Stemmer("english").stemWord
        self._ids = [document.id for document in documents]
        self._created = [document.created_at for document in documents]
        counts = [Counter(self._terms(f"{one.title}\n{one.text}")) for one in documents]
        lengths = np.array([sum(count.values()) for count in counts], dtype=float)
        share = lengths / max(float(lengths.mean()), 1.0)
        self._norms = _SATURATION * (1 - _LENGTH_WEIGHT + _LENGTH_WEIGHT * share)
        self._postings: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for row, count in enumerate(counts):
            for term, times in count.items():
                self._postings[term].append((row, times))

    def find(self, question: Question, *, limit: int) -> list[str]:
        """Return the best ids among those the question may find; on equality the first in order."""
        scores = np.zeros(len(self._ids))
        for term, repeated in Counter(self._terms(question.text)).items():
            if posting := self._postings.get(term):
                rows, times = np.array(posting).T
                gain = times * (_SATURATION + 1) / (times + self._norms[rows])
                scores[rows] += repeated * self._rarity(len(posting)) * gain
        order = np.argsort(-scores, kind="stable")
        allowed = (row for row in order.tolist() if self._allowed(row, question))
        return [self._ids[row] for row, _ in zip(allowed, range(limit), strict=False)]

    def _rarity(self, found: int) -> float:
        return math.log(1 + (len(self._ids) - found + 0.5) / (found + 0.5))

    def _allowed(self, row: int, question: Question) -> bool:
        return self._ids[row] != question.without and _earlier(self._created[row], question.before)

    def _terms(self, text: str) -> Iterator[str]:
        for token in _TOKEN.findall(text):
            parts = [part for part in _BETWEEN.split(token) if part]
            if len(parts) > 1:
                yield token.lower()
            for part in parts:
                plain = part.lower()
                if len(plain) > 1 and plain not in _STOP_WORDS:
                    yield self._stem(plain)


def _earlier(created: datetime | None, before: datetime | None) -> bool:
    return created is None or before is None or created < before
