"""Which slot of the vector index holds which chunk, and the raw vectors by slot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Halves = npt.NDArray[np.float16]
Numbers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_NOBODY = -1
_LEAST = 64
_BLOCK = 32_768


@dataclass(frozen=True, kw_only=True)
class Held:
    """The slots of some rows: position of the row among those asked for, slot, chunk number.

    They are ordered by position, then by chunk.
    """

    positions: Numbers
    slots: Numbers
    numbers: Numbers


class SlotTable:
    """Rows own slots, one per chunk; a slot given back is taken again before a new one.

    The slots of a row are a chain through two arrays: a million small lists
    would cost more memory than the half of the vectors.
    """

    def __init__(self) -> None:
        self.used = 0
        self.live = 0
        self._owners = np.full(_LEAST, _NOBODY, dtype=np.int64)
        self._numbers = np.zeros(_LEAST, dtype=np.int64)
        self._gist = np.zeros(_LEAST, dtype=np.bool_)
        self._next = np.full(_LEAST, _NOBODY, dtype=np.int64)
        self._first = np.full(_LEAST, _NOBODY, dtype=np.int64)
        self._free: list[int] = []

    @property
    def owners(self) -> Numbers:
        """Return the row of every slot that was ever used; -1 for a free one."""
        return self._owners[: self.used]

    @property
    def gist(self) -> Mask:
        """Mark the slots whose chunk says what its document is about."""
        return self._gist[: self.used]

    def take(self, row: int, gist: Mask) -> Numbers:
        """Give a row without slots one per chunk, and return them in the chunks' order."""
        count = len(gist)
        kept = max(0, len(self._free) - count)
        slots = self._free[kept:]
        del self._free[kept:]
        new = range(self.used, self.used + count - len(slots))
        taken = np.array([*slots, *new], dtype=np.int64)
        self._reserve(self.used + len(new), row)
        self.used += len(new)
        self.live += count
        self._owners[taken] = row
        self._numbers[taken] = np.arange(count)
        self._gist[taken] = gist
        if count:
            self._next[taken] = np.append(taken[1:], _NOBODY)
            self._first[row] = taken[0]
        return taken

    def release(self, row: int) -> Numbers:
        """Take a row's slots away from it, and return them."""
        if row >= len(self._first) or self._first[row] == _NOBODY:
            return np.empty(0, dtype=np.int64)
        slots = self.held(np.array([row])).slots
        self._owners[slots] = _NOBODY
        self._first[row] = _NOBODY
        self._free.extend(slots.tolist())
        self.live -= len(slots)
        return slots

    def held(self, rows: Numbers) -> Held:
        """Find the slots of some rows; a row nobody knows has none."""
        known = (rows >= 0) & (rows < len(self._first))
        at = np.where(known, self._first[np.where(known, rows, 0)], _NOBODY)
        positions = np.arange(len(rows))
        every_position, every_slot = [positions[:0]], [at[:0]]
        while len(held := np.flatnonzero(at >= 0)):
            at, positions = at[held], positions[held]
            every_position.append(positions)
            every_slot.append(at)
            at = self._next[at]
        joined, slots = np.concatenate(every_position), np.concatenate(every_slot)
        order = np.argsort(joined, kind="stable")
        slots = slots[order]
        return Held(positions=joined[order], slots=slots, numbers=self._numbers[slots])

    def selectable(self, allowed: Mask) -> Mask:
        """Mark the slots whose rows are allowed; rows behind the mask's end are not."""
        # A free slot's owner, -1, reads the last mark, which is nobody's.
        mask = np.zeros(max(len(self._first), len(allowed)) + 1, dtype=np.bool_)
        mask[: len(allowed)] = allowed
        return mask[self.owners]

    def _reserve(self, slots: int, row: int) -> None:
        """Make the arrays long enough for slots and a row, at least doubling them."""
        if slots > len(self._owners):
            self._owners = _longer(self._owners, slots, fill=_NOBODY)
            self._next = _longer(self._next, slots, fill=_NOBODY)
            self._numbers = _longer(self._numbers, slots, fill=0)
            self._gist = np.append(self._gist, np.zeros(len(self._owners) - len(self._gist), bool))
        if row >= len(self._first):
            self._first = _longer(self._first, row + 1, fill=_NOBODY)


class RawVectors:
    """Vectors as the encoder made them, float16 by slot.

    They lie in blocks, so that growing copies nothing; a block's memory is not
    touched before it is used.
    """

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension
        self._blocks: list[Halves] = []

    def write(self, slots: Numbers, vectors: Halves) -> None:
        """Store one vector per slot."""
        if not len(slots):
            return
        while int(slots.max()) >= len(self._blocks) * _BLOCK:
            self._blocks.append(np.zeros((_BLOCK, self._dimension), dtype=np.float16))
        for number, here in by_block(slots, _BLOCK):
            self._blocks[number][slots[here] % _BLOCK] = vectors[here]

    def read(self, slots: Numbers) -> Vectors:
        """Return the vectors of slots that were written before."""
        vectors = np.empty((len(slots), self._dimension), dtype=np.float32)
        for number, here in by_block(slots, _BLOCK):
            vectors[here] = self._blocks[number][slots[here] % _BLOCK]
        return vectors


def by_block(slots: Numbers, size: int) -> Iterator[tuple[int, Mask | slice]]:
    """Yield the number of each block that some of the slots lie in, and which do."""
    blocks = slots // size
    if not len(blocks):
        return
    if (blocks == blocks[0]).all():
        yield int(blocks[0]), slice(None)
        return
    for number in np.unique(blocks).tolist():
        yield number, blocks == number


def _longer(numbers: Numbers, least: int, *, fill: int) -> Numbers:
    longer = np.full(max(least, 2 * len(numbers)), fill, dtype=np.int64)
    longer[: len(numbers)] = numbers
    return longer
