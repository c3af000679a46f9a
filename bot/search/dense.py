"""Sentence vectors by row of the index: who is nearest, and how near exactly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bot.search.approximate import InvertedLists
from bot.search.exact import ExactScan
from bot.search.slots import Halves, Held, RawVectors, SlotTable
from bot.search.whitening import Direction, Moments, Whitening, unchanged

Vectors = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

# Chunks every one of which is compared: 3 ms per 100,000 (16 GB/s of float16).
EXACT_UP_TO = 150_000

_SLICE = 1024  # chunks brought over per step of `maintain`
_BACK = 0.7  # of EXACT_UP_TO; an index that shrinks below is exact again
_CHUNKS_SEARCHED_PER_ROW = 2
_FEW = 4096  # chunks that are compared one by one where lists would find too few


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How near rows are to a query; NaN where a row has no such chunk.

    `meaning` is the whitened cosine of the best chunk and `chunk` its number
    within the row; `gist` the best among chunks that say what a document is
    about; `cosine` the best plain one.
    """

    meaning: Vectors
    gist: Vectors
    cosine: Vectors
    chunk: Numbers


class Searcher(Protocol):
    """Finds the slots of the largest products. Only selectable ones are returned."""

    exact: bool

    def write(self, slots: Numbers, vectors: Vectors) -> None:
        """Store one vector per slot, in place of what it held."""

    def erase(self, slots: Numbers) -> None:
        """Make sure that what slots hold is no longer found once they are not selectable."""

    def search(self, query: Vectors, wanted: int, *, selectable: Mask) -> Numbers:
        """Return up to `wanted` selectable slots, best first."""
        ...


class DenseIndex:
    """Vectors of chunks, nearest first after whitening; the best chunk speaks for its row.

    The raw vectors are kept in float16; whitened ones live in a searcher, one
    that compares all as long as they are few enough, else one with lists.
    Exact comparisons need only the raw vectors and each one's whitened length.

    When much has come or gone, `maintain` makes another map, and another
    searcher beside the one in use, slice by slice; the last step switches over.
    Both are written to meanwhile. FAISS counts its threads per calling thread,
    so the index must be made by the thread that uses it.
    """

    def __init__(self, dimension: int, *, exact_up_to: int = EXACT_UP_TO) -> None:
        self._dimension = dimension
        self._exact_up_to = exact_up_to
        self._table = SlotTable()
        self._raw = RawVectors(dimension)
        self._moments = Moments(dimension)
        self._current = _View(unchanged(dimension, count=0), ExactScan(dimension))
        self._coming: _View | None = None
        self._swept = 0
        self._work: Iterator[None] | None = None
        self._chance = np.random.default_rng(0)

    def __len__(self) -> int:
        """Return how many chunks are stored."""
        return self._table.live

    @property
    def searcher(self) -> Searcher:
        """Return what proposes the nearest at the moment."""
        return self._current.searcher

    @property
    def exact(self) -> bool:
        """Say whether every chunk is compared with a query."""
        return self.searcher.exact

    @property
    def whitening(self) -> Whitening:
        """Return the map in use."""
        return self._current.whitening

    def put(self, row: int, vectors: Vectors, gist: Mask | None = None) -> None:
        """Store the vectors of a row's chunks, replacing those it had.

        `gist` marks the chunks that say what the document is about; without it,
        all do.

        Raises:
            ValueError: the vectors are not of the index's dimension, or not finite,
                or there is not one mark for each.
        """
        marks = np.ones(len(vectors), dtype=np.bool_) if gist is None else gist
        halves = self._checked(vectors, marks)
        self.remove(row)
        slots = self._table.take(row, marks)
        self._raw.write(slots, halves)
        stored = halves.astype(np.float32)
        self._moments.add(stored)
        self._current.write(slots, stored)
        if self._coming is not None:
            swept = slots < self._swept
            self._coming.write(slots[swept], stored[swept])

    def remove(self, row: int) -> None:
        """Forget a row; its chunks can no longer be found."""
        slots = self._table.release(row)
        if not len(slots):
            return
        self._moments.subtract(self._raw.read(slots))
        self._current.searcher.erase(slots)
        if self._coming is not None:
            self._coming.searcher.erase(slots[slots < self._swept])

    def nearest(self, vector: Vectors, *, allowed: Mask, limit: int) -> Numbers:
        """Return up to `limit` allowed rows whose best chunks are nearest, nearest first.

        Rows behind the end of `allowed` are not allowed.
        """
        rows = self._nearest_of_all(vector, allowed, limit)
        if rows is not None:
            return rows
        selectable = self._table.selectable(allowed)
        total = int(np.count_nonzero(selectable))
        wanted = min(total, limit * _CHUNKS_SEARCHED_PER_ROW)
        rows = np.empty(0, dtype=np.int64)
        while wanted > 0:
            slots = self._ranked(vector, wanted, selectable=selectable, total=total)
            owners = self._table.owners[slots]
            _, first = np.unique(owners, return_index=True)
            rows = owners[np.sort(first)][:limit]
            if len(rows) == limit or wanted == total or len(slots) < wanted:
                break
            # Rows of many chunks took the places of others.
            wanted = min(total, 4 * wanted)
        return rows

    def _nearest_of_all(self, vector: Vectors, allowed: Mask, limit: int) -> Numbers | None:
        """Look among all slots, and then who is allowed; None where that does not suffice.

        Where most rows are allowed, marking every slot first takes longer than this.
        """
        scan = self._current.searcher
        share = np.count_nonzero(allowed) / max(1, len(allowed))
        if not isinstance(scan, ExactScan) or share < 0.5 or not self._table.used or not limit:
            return None
        spare = 1.0 if share == 1 else 1.2 / share
        wanted = min(self._table.used, int(limit * _CHUNKS_SEARCHED_PER_ROW * spare))
        query = self._current.whitening.query(vector)
        owners = self._table.owners[scan.search(query, wanted, selectable=None)]
        if (
            share < 1
            or self._table.live < self._table.used
            or owners.max(initial=0) >= len(allowed)
        ):
            owners = owners[(owners >= 0) & (owners < len(allowed))]
            owners = owners[allowed[owners]]
        rows = list(dict.fromkeys(owners.tolist()))[:limit]
        return np.array(rows, dtype=np.int64) if len(rows) == limit else None

    def compare(self, vector: Vectors, rows: Sequence[int] | Numbers) -> Comparison:
        """Compare a query with every chunk of some rows."""
        asked = np.asarray(rows, dtype=np.int64)
        held = self._table.held(asked)
        raw = self._raw.read(held.slots)
        meaning = self._current.products(raw, held.slots, self._current.direction(vector))
        gist = np.where(self._table.gist[held.slots], meaning, -np.inf)
        best = _best(meaning, held, len(asked))
        return Comparison(
            meaning=best,
            gist=_best(gist, held, len(asked)),
            cosine=_best(raw @ vector, held, len(asked)),
            chunk=_number_of_best(meaning, best, held),
        )

    def maintain(self) -> bool:
        """Do one slice of what is due, some 20 ms, and say whether more is left."""
        if self._work is None:
            if not self._due():
                return False
            self._work = self._rebuild()
        if next(self._work, _DONE) is _DONE:
            self._work = None
        return self._work is not None or self._due()

    def _checked(self, vectors: Vectors, marks: Mask) -> Halves:
        """Round vectors to what is stored, and refuse those that would spoil the rest."""
        if vectors.ndim != 2 or vectors.shape[1] != self._dimension:
            raise ValueError(f"vectors of shape {vectors.shape}, expected (n, {self._dimension})")
        if marks.shape != (len(vectors),):
            raise ValueError(f"{marks.shape} marks for {len(vectors)} vectors")
        with np.errstate(over="ignore"):
            halves = vectors.astype(np.float16)
        if not np.isfinite(halves).all():
            raise ValueError("vectors that are not finite")
        return halves

    def _due(self) -> bool:
        stale = self._current.whitening.stale(self._moments.count)
        return stale or self._fits_exactly() != self._current.searcher.exact

    def _fits_exactly(self) -> bool:
        """Say whether all shall be compared; at the border nothing changes back and forth."""
        border = self._exact_up_to if self.exact else int(self._exact_up_to * _BACK)
        return len(self) <= border

    def _rebuild(self) -> Iterator[None]:
        """Make the next view beside the current one, then switch over in one step."""
        coming = _View(self._moments.whitening(), ExactScan(self._dimension))
        yield
        if not self._fits_exactly():
            coming.searcher = lists = InvertedLists(self._dimension, expected=len(self))
            yield from lists.training(lambda count: self._sample(coming.whitening, count))
        self._coming, self._swept = coming, 0
        while self._swept < self._table.used:
            yield
            self._sweep(coming)
        if isinstance(coming.searcher, InvertedLists):
            yield from coming.searcher.tune()
        # What came while it was tuned lies behind `_swept` and is small.
        while self._swept < self._table.used:
            self._sweep(coming)
        self._current, self._coming = coming, None

    def _sweep(self, coming: _View) -> None:
        """Bring one slice of slots over to the next view."""
        part = self._table.owners[self._swept : self._swept + _SLICE]
        slots = np.flatnonzero(part >= 0) + self._swept
        coming.write(slots, self._raw.read(slots))
        self._swept += len(part)

    def _sample(self, whitening: Whitening, count: int) -> Vectors:
        """Draw whitened vectors by chance; the chance is the same in every process."""
        live = np.flatnonzero(self._table.owners >= 0)
        if not len(live):
            return np.zeros((count, self._dimension), dtype=np.float32)
        drawn = self._chance.choice(live, size=count, replace=len(live) < count, shuffle=False)
        return whitening.apply(self._raw.read(drawn))

    def _ranked(self, vector: Vectors, wanted: int, *, selectable: Mask, total: int) -> Numbers:
        """Return `wanted` slots nearest to a query, exactly ordered."""
        view = self._current
        query = view.whitening.query(vector)
        if view.searcher.exact:
            return view.searcher.search(query, wanted, selectable=selectable)
        if total <= _FEW:
            slots = np.flatnonzero(selectable)
        else:
            slots = view.searcher.search(query, wanted, selectable=selectable)
        products = view.products(self._raw.read(slots), slots, view.whitening.direction(query))
        ranked: Numbers = slots[np.argsort(-products, kind="stable")][:wanted]
        return ranked


class _View:
    """A map, the searcher over what it whitened, and each slot's whitened length inverted."""

    def __init__(self, whitening: Whitening, searcher: Searcher) -> None:
        self.whitening = whitening
        self.searcher = searcher
        self._inverse: Vectors = np.zeros(0, dtype=np.float32)

    def write(self, slots: Numbers, raw: Vectors) -> None:
        """Whiten raw vectors and store them."""
        if not len(slots):
            return
        whitened, inverse = self.whitening.measured(raw)
        last = int(slots.max()) + 1
        if last > len(self._inverse):
            room = max(last, 2 * len(self._inverse)) - len(self._inverse)
            self._inverse = np.append(self._inverse, np.zeros(room, dtype=np.float32))
        self._inverse[slots] = inverse
        self.searcher.write(slots, whitened)

    def direction(self, vector: Vectors) -> Direction:
        """Bring a raw query to where raw vectors can be compared with it."""
        return self.whitening.direction(self.whitening.query(vector))

    def products(self, raw: Vectors, slots: Numbers, direction: Direction) -> Vectors:
        """Return the whitened cosines of raw vectors stored in slots."""
        products: Vectors = (raw @ direction.along - direction.offset) * self._inverse[slots]
        return products


_DONE = object()


def _best(products: Vectors, held: Held, rows: int) -> Vectors:
    """Return each row's largest product; NaN where it has none."""
    best = np.full(rows, -np.inf, dtype=np.float32)
    np.maximum.at(best, held.positions, products)
    best[np.isneginf(best)] = np.nan
    return best


def _number_of_best(products: Vectors, best: Vectors, held: Held) -> Numbers:
    """Return the number of each row's first chunk that has the best product."""
    numbers = np.zeros(len(best), dtype=np.int64)
    where = np.flatnonzero(products == best[held.positions])[::-1]
    numbers[held.positions[where]] = held.numbers[where]
    return numbers
