"""Documents as counted terms: scores of given rows, without a list of rows for each term."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, compress

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
Places = npt.NDArray[np.intp]

SATURATION = 1.5
LENGTH_WEIGHT = 0.75
_TERM_SIZE = 8  # bytes: two numbers of four

# What one document has: for each term its number and how often, as `_read` has it. A query
# reads hundreds of these, each from another place in memory, so each is one lump.
Held = bytes


@dataclass(frozen=True, kw_only=True)
class _Joined:
    """Rows with terms laid end to end: `places` among those asked for, and where each begins."""

    places: Sequence[int]
    starts: Places
    sizes: Places
    numbers: Places
    counts: Scores


class _Numbers(dict[str, int]):
    """The number of each term; a new term is given a free one, or the next."""

    def __init__(self) -> None:
        super().__init__()
        self._free: list[int] = []
        self._names: list[str] = []

    @property
    def end(self) -> int:
        """Return the number behind the highest that was ever given."""
        return len(self._names)

    def __missing__(self, term: str) -> int:
        if self._free:
            number = self._free.pop()
            self._names[number] = term
        else:
            number = len(self._names)
            self._names.append(term)
        self[term] = number
        return number

    def release(self, number: int) -> None:
        """Take a number away from its term."""
        del self[self._names[number]]
        self._free.append(number)


class TermTable:
    """Okapi BM25 with Lucene's inverse document frequency (never negative), and TF-IDF.

    Rows are small integers given by the caller and reused after a removal, and
    so are the numbers of terms.
    """

    def __init__(self) -> None:
        self._numbers = _Numbers()
        self._rows: dict[int, Held] = {}
        self._found = np.zeros(1024, dtype=np.int32)  # documents by number of term
        self._asked = np.zeros(1024, dtype=np.float32)  # all 0 but while weights are looked up
        self._lengths = np.zeros(64, dtype=np.float32)
        self._total_length = 0

    def put(self, row: int, terms: Sequence[str]) -> None:
        """Count the terms of a row that is not in the table."""
        counts = Counter(terms)
        numbers = list(map(self._numbers.__getitem__, counts))
        pairs = list(zip(numbers, counts.values(), strict=True))
        self._make_room()
        self._rows[row] = array("i", chain.from_iterable(pairs)).tobytes()
        self._found[numbers] += 1
        if row >= len(self._lengths):
            self._lengths = np.concatenate([self._lengths, np.zeros(row + 1, dtype=np.float32)])
        self._lengths[row] = len(terms)
        self._total_length += len(terms)
        self._linked(row, pairs)

    def remove(self, row: int) -> None:
        """Delete a row; a row that is not in the table is no error."""
        held = self._rows.pop(row, None)
        if held is None:
            return
        numbers = _read(held)[:, 0]
        self._unlinked(row, numbers.tolist())
        self._found[numbers] -= 1
        for number in numbers[self._found[numbers] == 0].tolist():
            self._numbers.release(number)
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
        joined = self._joined(rows)
        if not weights or joined is None:
            return scores
        norms = np.repeat(self._norms(self._lengths[rows[joined.places]]), joined.sizes)
        gains = self._weights(weights, joined.numbers) * joined.counts / (joined.counts + norms)
        scores[joined.places] = np.add.reduceat(gains, joined.starts) * (SATURATION + 1)
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
        joined = self._joined(rows)
        if not wanted or joined is None:
            return cosines
        weights = self._rarities(joined.numbers) * (1 + np.log(joined.counts))
        asked = self._weights(wanted, joined.numbers)
        products = np.add.reduceat(weights * asked, joined.starts)
        lengths = np.sqrt(np.add.reduceat(weights * weights, joined.starts))
        length = math.sqrt(sum(weight * weight for weight in wanted.values()))
        cosines[joined.places] = products / np.maximum(lengths * length, 1e-9)
        return cosines

    def covered(self, rows: Rows, query: Iterable[str]) -> Scores:
        """Return the share of each row's terms, by rarity, that the query has."""
        shares = np.zeros(len(rows), dtype=np.float32)
        joined = self._joined(rows)
        if joined is None:
            return shares
        known = {self._numbers[term]: 1.0 for term in query if term in self._numbers}
        rarities = self._rarities(joined.numbers)
        total = np.add.reduceat(rarities, joined.starts)
        rarities *= self._weights(known, joined.numbers)
        both = np.add.reduceat(rarities, joined.starts)
        shares[joined.places] = both / np.maximum(total, 1e-9)
        return shares

    def rarity(self, term: str) -> float:
        """Return the inverse document frequency of a term, 0 for an unknown one."""
        number = self._numbers.get(term)
        if number is None:
            return 0.0
        found = int(self._found[number])
        return math.log(1 + (len(self._rows) - found + 0.5) / (found + 0.5))

    def shared(self, row: int, terms: Iterable[str]) -> list[str]:
        """Return those of some terms that occur in the row, in their order."""
        held = self._rows.get(row)
        if held is None:
            return []
        numbers = set(_read(held)[:, 0].tolist())
        return [term for term in terms if self._numbers.get(term) in numbers]

    def _linked(self, row: int, counts: Sequence[tuple[int, int]]) -> None:
        """Let a table that also keeps rows by term take a new row: terms and how often."""

    def _unlinked(self, row: int, numbers: Sequence[int]) -> None:
        """Let a table that also keeps rows by term forget a row, which had these terms."""

    def _norms(self, lengths: Scores) -> Scores:
        """Return what a count is held against: the longer a document, the more."""
        average = max(self._total_length / max(len(self._rows), 1), 1.0)
        norms: Scores = lengths * np.float32(SATURATION * LENGTH_WEIGHT / average)
        norms += np.float32(SATURATION * (1 - LENGTH_WEIGHT))
        return norms

    def _make_room(self) -> None:
        """Make the tables long enough for every term's number, at least doubling them."""
        end = self._numbers.end
        if end > len(self._found):
            more = np.zeros(max(len(self._found), end - len(self._found)), dtype=np.int32)
            self._found = np.concatenate([self._found, more])
            self._asked = np.zeros(len(self._found), dtype=np.float32)

    def _joined(self, rows: Rows) -> _Joined | None:
        """Lay the terms of some rows end to end; None where they have none."""
        found = [self._rows.get(row) for row in rows.tolist()]
        kept = [held for held in found if held]
        if not kept:
            return None
        sizes = np.fromiter(map(len, kept), dtype=np.intp, count=len(kept)) // _TERM_SIZE
        joined = _read(b"".join(kept))
        return _Joined(
            places=list(compress(range(len(found)), found)),
            starts=np.cumsum(sizes) - sizes,
            sizes=sizes,
            numbers=joined[:, 0].astype(np.intp),
            counts=joined[:, 1].astype(np.float32),
        )

    def _weights(self, weights: Mapping[int, float], numbers: Places) -> Scores:
        """Return the weight of each number, 0 for one without.

        A table of zeros as long as the vocabulary is kept, for making one takes longer.
        """
        weighed = list(weights)
        self._asked[weighed] = list(weights.values())
        found: Scores = self._asked.take(numbers)
        self._asked[weighed] = 0
        return found

    def _weighted(self, query: Mapping[str, float]) -> dict[int, float]:
        """Return the query's known terms by number, weighed by count and rarity."""
        return {
            self._numbers[term]: (1 + math.log(max(weight, 1.0))) * min(weight, 1.0) * rarity
            for term, weight in query.items()
            if (rarity := self.rarity(term)) > 0 and weight > 0
        }

    def _rarities(self, numbers: Places) -> npt.NDArray[np.float64]:
        found = self._found.take(numbers)
        rarities: npt.NDArray[np.float64] = np.log(
            1 + (len(self._rows) - found + 0.5) / (found + 0.5)
        )
        return rarities


def _read(held: Held) -> npt.NDArray[np.int32]:
    """Return a line for each term: its number, and how often it occurs."""
    return np.frombuffer(held, dtype=np.int32).reshape(-1, 2)
