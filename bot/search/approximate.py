"""For very many vectors: only the lists near a query are compared, in 8 bits a number.

An inverted file (FAISS IVF with scalar quantisation). A graph (HNSW) answers as
fast but cannot remove, takes minutes to build, and needs more memory.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator

import faiss
import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Sample = Callable[[int], Vectors]

logger = logging.getLogger(__name__)

RECALL = 0.99  # of the ten nearest, wanted on the average of the probes

_BATCH = 1024  # vectors per slice of training: some 20 ms
_BATCHES_PER_LIST = 0.125  # 128 vectors drawn per list
_RANGES_FROM = 2048  # vectors from which the quantiser learns each number's range
_FEWEST_LISTS, _MOST_LISTS = 4, 4096
_PROBES = 128
_PROBED = 8  # per slice of tuning: 20 ms at a million vectors
_NEAREST = 10
# At a million the probes are content with 22 lists of 1000, real queries are not.
_LEAST_VISITED = 20  # a twentieth of the lists, whatever the probes say
_MOST_COMPARED = 300_000  # vectors per query, some 7 ms


class InvertedLists:
    """Slots by list of like vectors; knows its own recall and chooses how many to visit.

    Train it (`training`), write all vectors once, then `tune`. An id FAISS
    knows already would silently be kept twice by its `add`, so every write
    removes first. Products are of quantised vectors: rank what is returned
    again by the true ones.
    """

    exact = False

    def __init__(self, dimension: int, *, expected: int) -> None:
        faiss.omp_set_num_threads(1)
        self._lists = max(_FEWEST_LISTS, min(_MOST_LISTS, math.isqrt(expected)))
        self._dimension = dimension
        self._index: faiss.IndexIVFScalarQuantizer | None = None
        self._probes = _Probes(dimension)
        self.visited = self._lists
        self.recall = 1.0

    def training(self, sample: Sample) -> Iterator[None]:
        """Learn the lists from random draws, one slice per step.

        `sample` draws so many random vectors, whitened. This is spherical
        k-means on small batches (Sculley 2010, "Web-scale k-means clustering").
        """
        centres = sample(self._lists).copy()
        counts = np.zeros(self._lists)
        batches = max(8, int(self._lists * _BATCHES_PER_LIST))
        for batch in range(batches):
            yield
            vectors = sample(_BATCH)
            if batch == batches // 2:
                _revive(centres, counts, vectors)
            _learn(centres, counts, vectors)
        yield
        self._open(centres, sample(_RANGES_FROM))
        yield
        self._probes.ask(sample(_PROBES))

    def write(self, slots: Numbers, vectors: Vectors) -> None:
        """Store one vector per slot, in place of what it held."""
        if not len(slots):
            return
        self.erase(slots)
        self._opened().add_with_ids(vectors, slots)
        self._probes.meet(slots, vectors)

    def erase(self, slots: Numbers) -> None:
        """Remove what slots hold; nothing happens for those that hold nothing."""
        if len(slots):
            ids = np.ascontiguousarray(slots)
            self._opened().remove_ids(faiss.IDSelectorArray(ids))
            self._probes.forget(slots)

    def tune(self) -> Iterator[None]:
        """Visit as few lists as find the probes' neighbours, trying a few probes per step.

        The truth was gathered along with the writing. Where so many vectors would
        have to be compared that it took too long, the recall that is reached is
        logged as a warning.
        """
        most = min(self._lists, max(1, self._lists * _MOST_COMPARED // max(1, len(self))))
        self.visited = max(1, min(most, self._lists // _LEAST_VISITED))
        while True:
            found = []
            for start in range(0, len(self._probes.queries), _PROBED):
                yield
                found.append(self._probed(self._probes.queries[start : start + _PROBED]))
            self.recall = self._probes.recall(np.concatenate(found))
            if self.recall >= RECALL or self.visited == most:
                break
            self.visited = min(most, max(self.visited + 1, self.visited * 3 // 2))
        self._probes = _Probes(self._dimension)
        say = logger.info if self.recall >= RECALL else logger.warning
        say("search visits %d of %d lists, recall %.3f", self.visited, self._lists, self.recall)

    def search(self, query: Vectors, wanted: int, *, selectable: Mask) -> Numbers:
        """Return about `wanted` selectable slots of large products, best first.

        Where few slots are selectable more lists are visited, for the wanted
        neighbours lie further apart.
        """
        total = int(np.count_nonzero(selectable))
        if not total:
            return np.empty(0, dtype=np.int64)
        visited = min(self._lists, math.ceil(self.visited * len(self) / total))
        bitmap = np.packbits(selectable, bitorder="little")
        selector = faiss.IDSelectorBitmap(bitmap)  # type: ignore[call-arg, arg-type]
        parameters = faiss.SearchParametersIVF(sel=selector, nprobe=visited)  # type: ignore[call-arg]
        _, slots = self._opened().search(query.reshape(1, -1), wanted, params=parameters)
        found: Numbers = slots[0][slots[0] >= 0]
        return found

    def __len__(self) -> int:
        """Return how many vectors are stored."""
        return 0 if self._index is None else int(self._index.ntotal)

    def _open(self, centres: Vectors, sample: Vectors) -> None:
        """Make the index around known centres; FAISS then learns nothing but ranges."""
        quantiser = faiss.IndexFlatIP(self._dimension)
        quantiser.add(centres)
        index = faiss.IndexIVFScalarQuantizer(
            quantiser, self._dimension, self._lists,
            faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT, False,
        )  # fmt: skip
        index.train(sample)
        index.set_direct_map_type(faiss.DirectMap.Hashtable)  # type: ignore[attr-defined]
        self._index = index
        # FAISS does not keep the Python object alive that it points to.
        self._quantiser = quantiser

    def _opened(self) -> faiss.IndexIVFScalarQuantizer:
        if self._index is None:
            raise RuntimeError("the lists are used before they are trained")
        return self._index

    def _probed(self, queries: Vectors) -> Numbers:
        """Return what some probes find."""
        parameters = faiss.SearchParametersIVF(nprobe=self.visited)  # type: ignore[call-arg]
        _, found = self._opened().search(queries, 4 * _NEAREST, params=parameters)
        slots: Numbers = found
        return slots


class _Probes:
    """Queries whose true neighbours are gathered while vectors are stored.

    Each is the middle of three stored vectors. That is as far from what is
    stored, and needs as many lists, as the real queries of the development sets
    among 100,000 texts do: 30 of 316 for a recall of .97, where a stored vector
    with some noise needs 9.
    """

    def __init__(self, dimension: int) -> None:
        self.queries: Vectors = np.empty((0, dimension), dtype=np.float32)
        self._slots = np.empty((0, _NEAREST), dtype=np.int64)
        self._products = np.empty((0, _NEAREST), dtype=np.float32)

    def ask(self, vectors: Vectors) -> None:
        """Take queries from random stored vectors."""
        mixed = vectors + np.roll(vectors, 1, axis=0) + np.roll(vectors, 2, axis=0)
        lengths = np.linalg.norm(mixed, axis=1, keepdims=True)
        self.queries = (mixed / np.maximum(lengths, 1e-9)).astype(np.float32)
        self._slots = np.full((len(mixed), _NEAREST), -1, dtype=np.int64)
        self._products = np.full((len(mixed), _NEAREST), -np.inf, dtype=np.float32)

    def meet(self, slots: Numbers, vectors: Vectors) -> None:
        """Let stored vectors take their places among the nearest."""
        if not len(self.queries):
            return
        products = np.hstack((self._products, self.queries @ vectors.T))
        every = np.hstack((self._slots, np.broadcast_to(slots, (len(self.queries), len(slots)))))
        best = np.argpartition(-products, _NEAREST - 1, axis=1)[:, :_NEAREST]
        self._products = np.take_along_axis(products, best, axis=1)
        self._slots = np.take_along_axis(every, best, axis=1)

    def forget(self, slots: Numbers) -> None:
        """Drop slots that hold something else now."""
        gone = np.isin(self._slots, slots)
        self._slots[gone] = -1
        self._products[gone] = -np.inf

    def recall(self, found: Numbers) -> float:
        """Return the share of true neighbours among those found; 1 where there are none."""
        known = self._slots >= 0
        if not known.any():
            return 1.0
        hits = (self._slots[:, :, None] == found[:, None, :]).any(axis=2) & known
        return float(hits.sum() / known.sum())


def _learn(centres: Vectors, counts: npt.NDArray[np.float64], vectors: Vectors) -> None:
    """Move each centre towards the vectors nearest to it, the less the more it has seen."""
    nearest = (vectors @ centres.T).argmax(axis=1)
    order = np.argsort(nearest, kind="stable")
    hit, first, seen = np.unique(nearest[order], return_index=True, return_counts=True)
    sums = np.add.reduceat(vectors[order], first, axis=0)
    counts[hit] += seen
    rate = (1 / counts[hit])[:, None]
    moved = centres[hit] * (1 - seen[:, None] * rate) + sums * rate
    lengths = np.linalg.norm(moved, axis=1, keepdims=True)
    centres[hit] = moved / np.maximum(lengths, 1e-9)


def _revive(centres: Vectors, counts: npt.NDArray[np.float64], vectors: Vectors) -> None:
    """Move centres that nothing is near to onto vectors."""
    idle = np.flatnonzero(counts == 0)[: len(vectors)]
    centres[idle] = vectors[: len(idle)]
