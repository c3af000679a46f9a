"""The documents by row, and which of them a query may return."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

import numpy as np
import numpy.typing as npt

from bot.domain.documents import Document
from bot.search.surroundings import aware, outcome
from bot.search.terms import Rows, Scores

Mask = npt.NDArray[np.bool_]

_NONE = -1
_NO_ROWS: frozenset[int] = frozenset()


class Documents:
    """Documents by row; a freed row is used again. Filters are arrays, not loops."""

    def __init__(self) -> None:
        self._documents: list[Document | None] = []
        self._rows: dict[str, int] = {}
        self._free: list[int] = []
        self._kinds: dict[str, int] = {}
        self._services: dict[str, set[int]] = {}
        self._kind = np.full(64, _NONE, dtype=np.int16)
        self._created = np.full(64, -math.inf, dtype=np.float64)
        self._outcome = np.zeros(64, dtype=np.float32)

    def __len__(self) -> int:
        return len(self._documents)

    @property
    def ids(self) -> Collection[str]:
        """Return the ids of all documents."""
        return self._rows.keys()

    @property
    def created(self) -> npt.NDArray[np.float64]:
        """Return by row when a document was created, minus infinity for a timeless one."""
        return self._created[: len(self)]

    @property
    def outcomes(self) -> npt.NDArray[np.float32]:
        """Return by row whether what was done helped, as a signal."""
        return self._outcome[: len(self)]

    def __getitem__(self, row: int) -> Document:
        document = self._documents[row]
        if document is None:
            raise LookupError(f"row {row} is empty")
        return document

    def holds(self, row: int, document: Document) -> bool:
        """Say whether a row still has this very document."""
        return self._documents[row] is document

    def row(self, id: str) -> int | None:
        """Return a document's row."""
        return self._rows.get(id)

    def add(self, document: Document) -> int:
        """Take a row for a document whose id is not known."""
        if self._free:
            row = self._free.pop()
            self._documents[row] = document
        else:
            row = len(self._documents)
            self._documents.append(document)
            self._grow(row + 1)
        self._rows[document.id] = row
        self._kind[row] = self._kinds.setdefault(document.kind, len(self._kinds))
        created = document.created_at
        self._created[row] = -math.inf if created is None else aware(created).timestamp()
        self._outcome[row] = outcome(document.outcome)
        for service in document.services:
            self._services.setdefault(service, set()).add(row)
        return row

    def remove(self, id: str) -> int | None:
        """Free a document's row and return it; None where there was none."""
        row = self._rows.pop(id, None)
        if row is None:
            return None
        for service in set(self[row].services):
            self._services[service].discard(row)
            if not self._services[service]:
                del self._services[service]
        self._documents[row] = None
        self._kind[row] = _NONE
        self._free.append(row)
        return row

    def each(self) -> Iterator[Document]:
        """Yield each document, as it is when its turn comes; others may come and go meanwhile."""
        for id in list(self._rows):
            if (row := self._rows.get(id)) is not None:
                yield self[row]

    def allowed(
        self,
        *,
        kinds: Collection[str],
        before: datetime | None,
        services: Collection[str] | None,
        without: Collection[str],
    ) -> Mask:
        """Mark the rows that a query may return."""
        count = len(self)
        mask: Mask = np.zeros(count, dtype=np.bool_)
        for kind in set(kinds) & self._kinds.keys():
            mask |= self._kind[:count] == self._kinds[kind]
        if before is not None:
            mask &= self._created[:count] < aware(before).timestamp()
        if services is not None:
            concerned = np.zeros(count, dtype=np.bool_)
            for service in services:
                concerned[list(self._services.get(service, ()))] = True
            mask &= concerned
        for id in without:
            if (row := self._rows.get(id)) is not None:
                mask[row] = False
        return mask

    def best(self, scores: Scores, count: int) -> Rows:
        """Return the rows of the highest positive scores, in ascending order of rows.

        Of equals at the border the youngest are taken.
        """
        border = np.partition(scores, -count)[-count] if len(scores) > count else 0.0
        if border <= 0:
            return np.flatnonzero(scores > 0)
        above, equal = np.flatnonzero(scores > border), np.flatnonzero(scores == border)
        youngest = equal[np.argsort(-self._created[equal], kind="stable")[: count - len(above)]]
        return np.sort(np.concatenate([above, youngest]))

    def concerning(self, services: Collection[str], rows: Sequence[int]) -> Mask:
        """Mark those of some rows that concern one of some services."""
        asked, found = set(rows), set[int]()
        for service in services:
            found |= asked & self._services.get(service, _NO_ROWS)
        return np.array([row in found for row in rows], dtype=np.bool_)

    def _grow(self, count: int) -> None:
        if count > len(self._kind):
            self._kind = np.concatenate([self._kind, np.full_like(self._kind, _NONE)])
            self._created = np.concatenate([self._created, np.full_like(self._created, -math.inf)])
            self._outcome = np.concatenate([self._outcome, np.zeros_like(self._outcome)])
