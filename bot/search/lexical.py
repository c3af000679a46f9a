"""BM25 over an inverted index that takes new, changed and deleted documents at once."""

import math
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float32]


class LexicalIndex:
    """Okapi BM25 with Lucene's inverse document frequency (never negative).

    Rows are small integers given by the caller and reused after a removal.
    Each term keeps its rows in ascending order, so a row is inserted or deleted
    by one bisection and one memory move and nothing ever needs rebuilding, as an
    immutable index such as bm25s would (and that imports SciPy besides).
    """

    def __init__(self, *, saturation: float = 1.5, length_weight: float = 0.75) -> None:
        self._saturation = saturation
        self._length_weight = length_weight
        self._postings: dict[str, tuple[array[int], array[float]]] = {}
        self._terms: dict[int, tuple[str, ...]] = {}
        self._lengths = np.zeros(64, dtype=np.float32)
        self._total_length = 0

    def put(self, row: int, terms: Sequence[str]) -> None:
        """Index the terms of a row that is not in the index."""
        counts = Counter(terms)
        for term, count in counts.items():
            rows, counted = self._postings.setdefault(term, (array("i"), array("f")))
            position = bisect_left(rows, row)
            rows.insert(position, row)
            counted.insert(position, count)
        if row >= len(self._lengths):
            self._lengths = np.resize(self._lengths, 2 * row + 1)
        self._lengths[row] = len(terms)
        self._total_length += len(terms)
        self._terms[row] = tuple(counts)

    def remove(self, row: int) -> None:
        """Delete a row; a row that is not in the index is no error."""
        for term in self._terms.pop(row, ()):
            rows, counted = self._postings[term]
            position = bisect_left(rows, row)
            del rows[position], counted[position]
            if not rows:
                del self._postings[term]
        if row < len(self._lengths):
            self._total_length -= int(self._lengths[row])
            self._lengths[row] = 0

    def scores(self, query: Mapping[str, int], *, rows: int) -> Scores:
        """Score rows 0 to `rows - 1`; a term counts as often as it is repeated in the query."""
        scores = np.zeros(rows, dtype=np.float32)
        if not self._terms:
            return scores
        average = max(self._total_length / len(self._terms), 1.0)
        for term, repeated in query.items():
            posting = self._postings.get(term)
            if posting is None:
                continue
            # The views must be gone before the next put: an exported array cannot grow.
            found = np.frombuffer(posting[0], dtype=np.int32)
            counted = np.frombuffer(posting[1], dtype=np.float32)
            relative = self._lengths[found] / average
            norm = self._saturation * (1 - self._length_weight + self._length_weight * relative)
            gain = counted * (self._saturation + 1) / (counted + norm)
            scores[found] += repeated * self.rarity(term) * gain
        return scores

    def rarity(self, term: str) -> float:
        """Return the inverse document frequency of a term, 0 for an unknown one."""
        posting = self._postings.get(term)
        if posting is None:
            return 0.0
        found = len(posting[0])
        return math.log(1 + (len(self._terms) - found + 0.5) / (found + 0.5))

    def holds(self, row: int, term: str) -> bool:
        """Tell whether the term occurs in the row."""
        posting = self._postings.get(term)
        if posting is None:
            return False
        position = bisect_left(posting[0], row)
        return position < len(posting[0]) and posting[0][position] == row
