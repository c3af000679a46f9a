"""BM25 over an inverted index that takes new, changed and deleted documents at once."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from bot.search.terms import ALL, SATURATION, Rows, Scores, TermTable

Mask = npt.NDArray[np.bool_]


class LexicalIndex(TermTable):
    """A table that also keeps the rows of each term, and so scores all rows at once.

    Rows stand in ascending order, so one is inserted or deleted by one bisection
    and one memory move and nothing ever needs rebuilding, as an immutable index
    such as bm25s would (and that imports SciPy besides).
    """

    def __init__(self, *, fields: int = 1) -> None:
        super().__init__(fields=fields)
        self._postings: list[tuple[array[int], array[float]]] = []
        self._held_against: Scores | None = None

    def scores(self, query: Mapping[str, float], *, rows: int) -> Scores:
        """Score rows 0 to `rows - 1`; a term counts as much as its weight in the query."""
        scores = np.zeros(max(rows, self._lengths.shape[1]), dtype=np.float32)
        if self._held_against is None:
            self._held_against = self._norms(self._lengths[ALL])
        for term, weight in query.items():
            number = self._numbers.get(term)
            if number is None or not weight:
                continue
            posting = self._postings[number]
            # The views must be gone before the next put: an exported array cannot grow.
            found = np.frombuffer(posting[0], dtype=np.int32).astype(np.intp)
            counted = np.frombuffer(posting[1], dtype=np.float32)
            gains = self._held_against.take(found)
            gains += counted
            np.divide(counted, gains, out=gains)
            gains *= np.float32(weight * self.rarity(term) * (SATURATION + 1))
            gains += scores.take(found)
            scores[found] = gains
        return scores[:rows]

    def having(self, term: str, rows: Rows) -> Mask:
        """Mark those of some rows in which a term occurs."""
        number = self._numbers.get(term)
        if number is None:
            return np.zeros(len(rows), dtype=np.bool_)
        found = np.frombuffer(self._postings[number][0], dtype=np.int32)
        places = np.minimum(found.searchsorted(rows.astype(np.int32)), len(found) - 1)
        held: Mask = found[places] == rows
        return held

    @override
    def _linked(self, row: int, counts: Iterable[tuple[int, int]]) -> None:
        self._held_against = None
        while len(self._postings) < self._numbers.end:
            self._postings.append((array("i"), array("f")))
        for number, count in counts:
            rows, counted = self._postings[number]
            if not rows or rows[-1] < row:
                rows.append(row)
                counted.append(count)
                continue
            position = bisect_left(rows, row)
            rows.insert(position, row)
            counted.insert(position, count)

    @override
    def _unlinked(self, row: int, numbers: Sequence[int]) -> None:
        self._held_against = None
        for number in numbers:
            rows, counted = self._postings[number]
            position = bisect_left(rows, row)
            del rows[position], counted[position]
