"""Documents as counted terms, in several fields: scores of given rows."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, compress, repeat
from typing import Any

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
Places = npt.NDArray[np.intp]

SATURATION = 1.5
LENGTH_WEIGHT = 0.75
ALL = 0  # the field that has every term
_INTEGER = 4  # bytes
_UNCOUNTED = 1_000  # rows: some milliseconds to catch up with


@dataclass(frozen=True, kw_only=True)
class Joined:
    """The terms of some rows laid end to end.

    `places` are those of `rows` that have terms, `starts` and `sizes` where theirs
    lie; `counts` has a line for each term and a column for each field.
    """

    rows: Rows
    places: Sequence[int]
    starts: Places
    sizes: Places
    numbers: Places
    counts: npt.NDArray[np.int32]


class Vocabulary(dict[str, int]):
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
    so are the numbers of terms. `fields` counts the field of all terms and those
    that are parts of it; each has frequencies and lengths of its own.
    """

    def __init__(self, *, fields: int = 1) -> None:
        self._fields = fields
        self._numbers = Vocabulary()
        # A query reads hundreds of rows, each from another place in memory, so each
        # is one lump: of every term its number, and how often each field has it.
        self._rows: dict[int, bytes] = {}
        self._documents = np.zeros((fields, 1024), dtype=np.int32)  # by number of term
        self._uncounted: list[bytes] = []  # rows that are not in it yet
        self._asked = np.zeros(1024, dtype=np.float32)  # all 0 but while weights are looked up
        self._lengths = np.zeros((fields, 64), dtype=np.float32)
        self._total_lengths = [0] * fields

    def put(self, row: int, terms: Sequence[str], *parts: Sequence[str]) -> None:
        """Count the terms of a row that is not in the table, and those of its parts."""
        counts = Counter(terms)
        numbers = list(map(self._numbers.__getitem__, counts))
        counted = [counts if part is terms else Counter(part) for part in parts]
        columns = [map(part.get, counts, repeat(0)) for part in counted]
        lump = array("i", chain.from_iterable(zip(numbers, counts.values(), *columns, strict=True)))
        self._rows[row] = lump.tobytes()
        self._uncounted.append(self._rows[row])
        self._make_room(row)
        for field, part in enumerate((terms, *parts)):
            self._lengths[field, row] = len(part)
            self._total_lengths[field] += len(part)
        self._linked(row, zip(numbers, counts.values(), strict=True))
        if len(self._uncounted) == _UNCOUNTED:
            self._counted()

    def remove(self, row: int) -> None:
        """Delete a row; a row that is not in the table is no error."""
        lump = self._rows.pop(row, None)
        if lump is None:
            return
        held = self._read(lump)
        numbers = held[:, 0]
        self._unlinked(row, numbers.tolist())
        documents = self._counted()
        documents[:, numbers] -= held[:, 1:].T > 0
        for number in numbers[documents[ALL, numbers] == 0].tolist():
            self._numbers.release(number)
        for field, length in enumerate(self._lengths[:, row].tolist()):
            self._total_lengths[field] -= int(length)
        self._lengths[:, row] = 0

    def joined(self, rows: Rows) -> Joined:
        """Lay the terms of some rows end to end."""
        found = [self._rows.get(row) for row in rows.tolist()]
        kept = [lump for lump in found if lump]
        sizes = np.fromiter(map(len, kept), dtype=np.intp, count=len(kept))
        sizes //= _INTEGER * (1 + self._fields)
        held = self._read(b"".join(kept))
        return Joined(
            rows=rows,
            places=list(compress(range(len(found)), found)),
            starts=np.cumsum(sizes) - sizes,
            sizes=sizes,
            numbers=held[:, 0].astype(np.intp),
            counts=held[:, 1:],
        )

    def scores_of(self, query: Mapping[str, float], joined: Joined, *, field: int = ALL) -> Scores:
        """Score some rows by one field; a term counts as much as its weight in the query."""
        scores = np.zeros(len(joined.rows), dtype=np.float32)
        weights = {
            self._numbers[term]: weight * self.rarity(term, field=field)
            for term, weight in query.items()
            if weight and term in self._numbers
        }
        if not weights or not joined.places:
            return scores
        counts = joined.counts[:, field].astype(np.float32)
        lengths = self._lengths[field, joined.rows[joined.places]]
        against = np.repeat(self._norms(lengths, field=field), joined.sizes)
        gains = self._weights(weights, joined.numbers) * counts / (counts + against)
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

    def cosines(self, query: Mapping[str, float], joined: Joined) -> Scores:
        """Return the TF-IDF cosine (logarithmic counts) of some rows with the query."""
        cosines = np.zeros(len(joined.rows), dtype=np.float32)
        wanted = self._weighted(query)
        if not wanted or not joined.places:
            return cosines
        weights = self._rarities(joined.numbers, field=ALL)
        weights *= 1 + np.log(joined.counts[:, ALL].astype(np.float32))
        asked = self._weights(wanted, joined.numbers)
        products = np.add.reduceat(weights * asked, joined.starts)
        lengths = np.sqrt(np.add.reduceat(weights * weights, joined.starts))
        length = math.sqrt(sum(weight * weight for weight in wanted.values()))
        cosines[joined.places] = products / np.maximum(lengths * length, 1e-9)
        return cosines

    def covered(self, query: Iterable[str], joined: Joined, *, field: int = ALL) -> Scores:
        """Return the share of a field's terms, by rarity, that the query has, for some rows."""
        shares = np.zeros(len(joined.rows), dtype=np.float32)
        if not joined.places:
            return shares
        known = {self._numbers[term]: 1.0 for term in query if term in self._numbers}
        rarities = self._rarities(joined.numbers, field=field) * (joined.counts[:, field] > 0)
        total = np.add.reduceat(rarities, joined.starts)
        rarities *= self._weights(known, joined.numbers)
        both = np.add.reduceat(rarities, joined.starts)
        shares[joined.places] = both / np.maximum(total, 1e-9)
        return shares

    def rarity(self, term: str, *, field: int = ALL) -> float:
        """Return the inverse document frequency of a term, 0 for an unknown one."""
        number = self._numbers.get(term)
        found = 0 if number is None else int(self._counted()[field, number])
        return math.log(1 + (len(self._rows) - found + 0.5) / (found + 0.5)) if found else 0.0

    def shared(self, row: int, terms: Iterable[str]) -> list[str]:
        """Return those of some terms that occur in the row, in their order."""
        lump = self._rows.get(row)
        if lump is None:
            return []
        numbers = set(self._read(lump)[:, 0].tolist())
        return [term for term in terms if self._numbers.get(term) in numbers]

    def _linked(self, row: int, counts: Iterable[tuple[int, int]]) -> None:
        """Let a table that also keeps rows by term take a new row: terms and how often."""

    def _unlinked(self, row: int, numbers: Sequence[int]) -> None:
        """Let a table that also keeps rows by term forget a row, which had these terms."""

    def _norms(self, lengths: Scores, *, field: int = ALL) -> Scores:
        """Return what a count is held against: the longer a document, the more."""
        average = max(self._total_lengths[field] / max(len(self._rows), 1), 1.0)
        norms: Scores = lengths * np.float32(SATURATION * LENGTH_WEIGHT / average)
        norms += np.float32(SATURATION * (1 - LENGTH_WEIGHT))
        return norms

    def _make_room(self, row: int) -> None:
        """Make the tables long enough for a row and every term's number, at least doubling them."""
        self._documents = _longer(self._documents, self._numbers.end)
        self._lengths = _longer(self._lengths, row + 1)
        if len(self._asked) < self._documents.shape[1]:
            self._asked = np.zeros(self._documents.shape[1], dtype=np.float32)

    def _counted(self) -> npt.NDArray[np.int32]:
        """Return how many documents have each term, by field.

        New rows are counted in when it is asked for: many at once cost less.
        """
        if self._uncounted:
            held = self._read(b"".join(self._uncounted))
            self._uncounted.clear()
            for field, documents in enumerate(self._documents):
                np.add.at(documents, held[held[:, 1 + field] > 0, 0], 1)
        return self._documents

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

    def _rarities(self, numbers: Places, *, field: int) -> npt.NDArray[np.float64]:
        found = self._counted()[field].take(numbers)
        rarities: npt.NDArray[np.float64] = np.log(
            1 + (len(self._rows) - found + 0.5) / (found + 0.5)
        )
        return rarities

    def _read(self, lumps: bytes) -> npt.NDArray[np.int32]:
        """Return a line for each term: its number, and how often it occurs in each field."""
        return np.frombuffer(lumps, dtype=np.int32).reshape(-1, 1 + self._fields)


def _longer(table: npt.NDArray[Any], columns: int) -> npt.NDArray[Any]:
    """Return a table with so many columns, new ones 0, or the same where it has them."""
    missing = columns - table.shape[1]
    if missing <= 0:
        return table
    return np.pad(table, ((0, 0), (0, max(missing, table.shape[1]))))
