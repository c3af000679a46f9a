"""Documents as counted terms: scores of given rows, without a list of rows for each term."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.int32]

SATURATION = 1.5
LENGTH_WEIGHT = 0.75

# What one document has: its terms by number, and how often. A plain tuple of arrays is
# nothing the garbage collector has to visit.
Held = tuple[Numbers, Scores]


class TermTable:
    """Okapi BM25 with Lucene's inverse document frequency (never negative), and TF-IDF.

    Rows are small integers given by the caller and reused after a removal, and
    so are the numbers of terms.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._free: list[int] = []
        self._names: list[str] = []
        self._rows: dict[int, Held] = {}
        self._found = np.zeros(1024, dtype=np.int32)  # documents by number of term
        self._lengths = np.zeros(64, dtype=np.float32)
        self._total_length = 0

    def put(self, row: int, terms: Sequence[str]) -> None:
        """Count the terms of a row that is not in the table."""
        counts = Counter(terms)
        numbers = np.array([self._number(term) for term in counts], dtype=np.int32)
        held = numbers, np.fromiter(counts.values(), dtype=np.float32, count=len(counts))
        self._rows[row] = held
        self._found[numbers] += 1
        if row >= len(self._lengths):
            self._lengths = np.concatenate([self._lengths, np.zeros(row + 1, dtype=np.float32)])
        self._lengths[row] = len(terms)
        self._total_length += len(terms)
        self._linked(row, held)

    def remove(self, row: int) -> None:
        """Delete a row; a row that is not in the table is no error."""
        held = self._rows.pop(row, None)
        if held is None:
            return
        self._unlinked(row, held)
        numbers = held[0]
        self._found[numbers] -= 1
        for number in numbers[self._found[numbers] == 0].tolist():
            del self._numbers[self._names[number]]
            self._free.append(number)
        self._total_length -= int(self._lengths[row])
        self._lengths[row] = 0

    def scores_of(self, query: Mapping[str, float], rows: Rows) -> Scores:
        """Score some rows; a term counts as much as its weight in the query."""
        scores = np.zeros(len(rows), dtype=np.float32)
        weights = {
            self._numbers[term]: weight * self.rarity(term)
            for term, weight in query.items()
            if weight and term in self._numbers
        }
        places, kept = self._kept(rows)
        if not weights or not kept:
            return scores
        numbers, counts, starts = _joined(kept)
        lengths = np.repeat(self._norms()[rows[places]], [len(held[0]) for held in kept])
        gains = self._by_number(weights)[numbers] * counts / (counts + lengths)
        scores[places] = np.add.reduceat(gains, starts) * (SATURATION + 1)
        return scores

    def most(self, query: Mapping[str, float]) -> float:
        """Return what no document's score can exceed; a term nobody has counts as the rarest."""
        unknown = math.log(1 + 2 * (len(self._rows) + 0.5))
        rarities = (
            weight * (self.rarity(term) if term in self._numbers else unknown)
            for term, weight in query.items()
        )
        return (SATURATION + 1) * sum(rarities)

    def cosines(self, query: Mapping[str, float], rows: Rows) -> Scores:
        """Return the TF-IDF cosine (logarithmic counts) of some rows with the query."""
        cosines = np.zeros(len(rows), dtype=np.float32)
        wanted = self._weighted(query)
        places, kept = self._kept(rows)
        if not wanted or not kept:
            return cosines
        numbers, counts, starts = _joined(kept)
        weights = self._rarities(numbers) * (1 + np.log(counts))
        products = np.add.reduceat(weights * self._by_number(wanted)[numbers], starts)
        lengths = np.sqrt(np.add.reduceat(weights * weights, starts))
        length = math.sqrt(sum(weight * weight for weight in wanted.values()))
        cosines[places] = products / np.maximum(lengths * length, 1e-9)
        return cosines

    def covered(self, rows: Rows, query: Iterable[str]) -> Scores:
        """Return the share of each row's terms, by rarity, that the query has."""
        shares = np.zeros(len(rows), dtype=np.float32)
        places, kept = self._kept(rows)
        if not kept:
            return shares
        numbers, _, starts = _joined(kept)
        asked = self._by_number({self._numbers[t]: 1.0 for t in query if t in self._numbers})
        rarities = self._rarities(numbers)
        total = np.add.reduceat(rarities, starts)
        shares[places] = np.add.reduceat(rarities * asked[numbers], starts) / np.maximum(
            total, 1e-9
        )
        return shares

    def rarity(self, term: str) -> float:
        """Return the inverse document frequency of a term, 0 for an unknown one."""
        number = self._numbers.get(term)
        if number is None:
            return 0.0
        found = int(self._found[number])
        return math.log(1 + (len(self._rows) - found + 0.5) / (found + 0.5))

    def holds(self, row: int, term: str) -> bool:
        """Tell whether the term occurs in the row."""
        number, held = self._numbers.get(term), self._rows.get(row)
        return number is not None and held is not None and bool((held[0] == number).any())

    def _linked(self, row: int, held: Held) -> None:
        """Let a table that also keeps rows by term take a new row."""

    def _unlinked(self, row: int, held: Held) -> None:
        """Let a table that also keeps rows by term forget a row."""

    def _norms(self) -> Scores:
        """Return by row what a count is held against: the longer a document, the more."""
        average = max(self._total_length / max(len(self._rows), 1), 1.0)
        norms: Scores = self._lengths * np.float32(SATURATION * LENGTH_WEIGHT / average)
        norms += np.float32(SATURATION * (1 - LENGTH_WEIGHT))
        return norms

    def _number(self, term: str) -> int:
        """Return a term's number, a free one for a new term."""
        number = self._numbers.get(term)
        if number is not None:
            return number
        if self._free:
            number = self._free.pop()
            self._names[number] = term
        else:
            number = len(self._names)
            self._names.append(term)
            if number >= len(self._found):
                self._found = np.concatenate([self._found, np.zeros_like(self._found)])
        self._numbers[term] = number
        return number

    def _kept(self, rows: Rows) -> tuple[list[int], list[Held]]:
        """Return which of the rows have terms, by position, and those terms."""
        held = [(place, self._rows.get(row)) for place, row in enumerate(rows.tolist())]
        kept = [(place, row) for place, row in held if row is not None and len(row[0])]
        return [place for place, _ in kept], [row for _, row in kept]

    def _by_number(self, weights: Mapping[int, float]) -> Scores:
        by_number = np.zeros(len(self._names) + 1, dtype=np.float32)
        by_number[list(weights)] = list(weights.values())
        return by_number

    def _weighted(self, query: Mapping[str, float]) -> dict[int, float]:
        """Return the query's known terms by number, weighed by count and rarity."""
        return {
            self._numbers[term]: (1 + math.log(max(weight, 1.0))) * min(weight, 1.0) * rarity
            for term, weight in query.items()
            if (rarity := self.rarity(term)) > 0 and weight > 0
        }

    def _rarities(self, numbers: Numbers) -> npt.NDArray[np.float64]:
        found = self._found[numbers]
        rarities: npt.NDArray[np.float64] = np.log(
            1 + (len(self._rows) - found + 0.5) / (found + 0.5)
        )
        return rarities


def _joined(kept: Sequence[Held]) -> tuple[Numbers, Scores, npt.NDArray[np.int64]]:
    """Lay rows end to end: their terms, their counts, and where each row begins."""
    numbers = np.concatenate([held[0] for held in kept])
    counts = np.concatenate([held[1] for held in kept])
    starts = np.cumsum([0, *(len(held[0]) for held in kept[:-1])])
    return numbers, counts, starts
