"""Sentence vectors in an exact FAISS index: the best chunk speaks for its document."""

from collections.abc import Sequence

import faiss
import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_CHUNKS_SEARCHED_PER_DOCUMENT = 4


class DenseIndex:
    """Inner products over unit vectors, one slot of the index per chunk.

    A table maps slots to rows. A freed slot is overwritten in place, because
    FAISS's own removal moves everything behind it, and adding an id twice
    silently keeps both. FAISS counts its threads per calling thread, so the
    index must be made by the thread that uses it.
    """

    def __init__(self, dimension: int) -> None:
        faiss.omp_set_num_threads(1)
        self._dimension = dimension
        self._flat = faiss.IndexFlatIP(dimension)
        self._owners = np.full(64, -1, dtype=np.int64)
        self._slots: dict[int, list[int]] = {}
        self._free: list[int] = []

    def put(self, row: int, vectors: Vectors) -> None:
        """Store the vectors of a row's chunks, replacing those it had.

        Raises:
            ValueError: the vectors are not of the index's dimension.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self._dimension:
            raise ValueError(f"vectors of shape {vectors.shape}, expected (n, {self._dimension})")
        self.remove(row)
        slots = [self._free.pop() for _ in range(min(len(self._free), len(vectors)))]
        self._stored()[slots] = vectors[: len(slots)]
        added = len(vectors) - len(slots)
        if added:
            first = self._flat.ntotal
            self._flat.add(np.ascontiguousarray(vectors[len(slots) :], dtype=np.float32))
            slots.extend(range(first, first + added))
            self._grow(first + added)
        self._owners[slots] = row
        self._slots[row] = slots

    def remove(self, row: int) -> None:
        """Forget a row; its slots are free and can no longer be found."""
        slots = self._slots.pop(row, [])
        self._owners[slots] = -1
        self._free.extend(slots)

    def nearest(self, vector: Vectors, *, allowed: Mask, limit: int) -> Rows:
        """Return up to about `limit` of the allowed rows nearest to a unit vector."""
        owners = self._owners[: self._flat.ntotal]
        selectable = (owners >= 0) & allowed[owners]
        wanted = min(int(selectable.sum()), limit * _CHUNKS_SEARCHED_PER_DOCUMENT)
        if not wanted:
            return np.empty(0, dtype=np.int64)
        # FAISS's stubs know the C++ signatures, not those of its Python wrappers.
        bitmap = np.packbits(selectable, bitorder="little")
        selector = faiss.IDSelectorBitmap(bitmap)  # type: ignore[call-arg, arg-type]
        parameters = faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]
        _, slots = self._flat.search(vector.reshape(1, -1), wanted, params=parameters)
        rows, first = np.unique(owners[slots[0]], return_index=True)
        nearest: Rows = rows[np.argsort(first)][:limit]
        return nearest

    def cosines(self, vector: Vectors, rows: Sequence[int]) -> tuple[Vectors, list[int]]:
        """Return each row's best cosine and the number of that chunk; NaN without vectors."""
        stored = self._stored()
        cosines = np.full(len(rows), np.nan, dtype=np.float32)
        best = [0] * len(rows)
        for position, row in enumerate(rows):
            if slots := self._slots.get(row):
                products = stored[slots] @ vector
                best[position] = int(products.argmax())
                cosines[position] = products[best[position]]
        return cosines, best

    def _stored(self) -> Vectors:
        """View the index's own memory, one vector per slot."""
        count = self._flat.ntotal
        if not count:
            return np.empty((0, self._dimension), dtype=np.float32)
        flat: Vectors = faiss.rev_swig_ptr(self._flat.get_xb(), count * self._dimension)
        return flat.reshape(count, self._dimension)

    def _grow(self, slots: int) -> None:
        """Make the table of owners at least as long as the index, by doubling."""
        if slots > len(self._owners):
            grown = np.full(2 * slots, -1, dtype=np.int64)
            grown[: len(self._owners)] = self._owners
            self._owners = grown
