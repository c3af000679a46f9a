"""Every vector compared, by FAISS, in float16: exact as far as halves are."""

from __future__ import annotations

from collections.abc import Sequence

import faiss
import numpy as np
import numpy.typing as npt

from bot.search.slots import by_block

Vectors = npt.NDArray[np.float32]
Halves = npt.NDArray[np.float16]
Numbers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_BLOCK = 65_536  # slots; making a block longer copies it, in 10 ms or so
_LEAST = 256
_NONE: Vectors = np.empty(0, dtype=np.float32)
_SPARE = 32  # asked for beyond the share that is expected to be selectable


class ExactScan:
    """Inner products with all vectors, by slot; a slot is overwritten in place.

    FAISS's own removal moves everything behind a slot and its `add` copies all
    vectors when its memory is full. So they lie in blocks whose codes are
    written directly, and which slots count is for the caller to say.
    """

    exact = True

    def __init__(self, dimension: int) -> None:
        faiss.omp_set_num_threads(1)
        self._dimension = dimension
        self._blocks: list[_Block] = []

    def write(self, slots: Numbers, vectors: Vectors) -> None:
        """Store one vector per slot."""
        if not len(slots):
            return
        while int(slots.max()) >= len(self._blocks) * _BLOCK:
            if self._blocks:
                self._blocks[-1].reserve(_BLOCK)
            self._blocks.append(_Block(self._dimension))
        for number, here in by_block(slots, _BLOCK):
            self._blocks[number].write(slots[here] % _BLOCK, vectors[here])

    def erase(self, slots: Numbers) -> None:
        """Do nothing: what is not selectable is never returned, and is overwritten."""

    def search(self, query: Vectors, wanted: int, *, selectable: Mask | None) -> Numbers:
        """Return the `wanted` selectable slots of the largest products, best first; None is all.

        A scan that looks at a selector takes twice as long, so while most slots
        are selectable the others are dropped from a longer list.
        """
        if selectable is None:
            return self._scan(query, wanted, None)
        total = int(np.count_nonzero(selectable))
        if 2 * total > len(selectable):
            asked = min(len(selectable), wanted * len(selectable) * 6 // (total * 5) + _SPARE)
            slots = self._scan(query, asked, None)
            slots = slots[selectable[slots]]
            if len(slots) >= wanted or asked == len(selectable):
                return slots[:wanted]
        return self._scan(query, wanted, selectable)

    def _scan(self, query: Vectors, wanted: int, selectable: Mask | None) -> Numbers:
        """Merge what the blocks return.

        A long list costs more than the products, so each block is asked for
        twice its share, and again for all where its last was among the best.
        """
        if len(self._blocks) == 1:
            return self._scan_block(0, query, wanted, selectable)[0]
        share = min(wanted, 2 * wanted // max(1, len(self._blocks)) + _SPARE)
        found = [self._scan_block(n, query, share, selectable) for n in range(len(self._blocks))]
        last = _last_of_best(found, wanted)
        for number, (_, products) in enumerate(found):
            if share < wanted and len(products) == share and products[-1] >= last:
                found[number] = self._scan_block(number, query, wanted, selectable)
        slots = np.concatenate([slots for slots, _ in found] or [np.empty(0, dtype=np.int64)])
        products = np.concatenate([products for _, products in found] or [_NONE])
        merged: Numbers = slots[np.argsort(-products, kind="stable")[:wanted]]
        return merged

    def _scan_block(
        self, number: int, query: Vectors, wanted: int, selectable: Mask | None
    ) -> tuple[Numbers, Vectors]:
        """Return slots and products of one block, best first."""
        first = number * _BLOCK
        part = None if selectable is None else selectable[first : first + _BLOCK]
        slots, products = self._blocks[number].search(query, wanted, part)
        return slots + first if first else slots, products


class _Block:
    """One FAISS index with room that is written to directly."""

    def __init__(self, dimension: int) -> None:
        self._index = faiss.IndexScalarQuantizer(
            dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        )
        self._codes: Halves = np.empty((0, dimension), dtype=np.float16)

    def reserve(self, slots: int) -> None:
        """Make room, at least doubling it, and show all of it to FAISS."""
        if slots <= len(self._codes):
            return
        room = min(_BLOCK, max(slots, 2 * len(self._codes), _LEAST))
        size = room * self._index.code_size
        self._index.codes.resize(size)
        memory = faiss.rev_swig_ptr(self._index.codes.data(), size)
        self._codes = memory.view(np.float16).reshape(room, self._index.d)

    def write(self, slots: Numbers, vectors: Vectors) -> None:
        last = int(slots.max()) + 1
        self.reserve(last)
        self._codes[slots] = vectors
        self._index.ntotal = max(self._index.ntotal, last)

    def search(
        self, query: Vectors, wanted: int, selectable: Mask | None
    ) -> tuple[Numbers, Vectors]:
        count = self._index.ntotal
        if selectable is not None:
            wanted = min(wanted, int(np.count_nonzero(selectable)))
        wanted = min(wanted, count)
        if not wanted:
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
        parameters = None
        if selectable is not None:
            # FAISS's stubs know the C++ signatures, not those of its Python wrappers.
            bitmap = np.packbits(selectable, bitorder="little")
            selector = faiss.IDSelectorBitmap(bitmap)  # type: ignore[call-arg, arg-type]
            parameters = faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]
        products, slots = self._index.search(query.reshape(1, -1), wanted, params=parameters)
        if slots[0, -1] >= 0:  # what is missing stands at the end
            return slots[0], products[0]
        found = slots[0] >= 0
        return slots[0][found], products[0][found]


def _last_of_best(found: Sequence[tuple[Numbers, Vectors]], wanted: int) -> float:
    """Return the `wanted`-th best product found so far; minus infinity if there are fewer."""
    products = np.concatenate([products for _, products in found] or [_NONE])
    if len(products) < wanted:
        return -np.inf
    return float(-np.partition(-products, wanted - 1)[wanted - 1])
