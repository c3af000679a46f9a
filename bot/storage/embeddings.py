"""Sentence vectors by model and text: the truth that every index is derived from.

There may be a hundred thousand of them, and SQLite answers in the event loop:
whatever takes many rows takes them in pieces, and lets others run in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import bindparam, delete, select
from sqlmodel import col

from bot.storage.prepared import Prepared
from bot.storage.rows import Rows
from bot.storage.tables import EmbeddingRow
from bot.storage.upserts import Upsert

T = TypeVar("T")

PIECE = 500  # rows that are asked for, added or removed at once
_PAGE = 1000  # rows that are read at once

_OF_MODEL = col(EmbeddingRow.model) == bindparam("of_model")
_ADD = Prepared(Upsert(EmbeddingRow, key=("model", "key"), update=("vector",)))
_REMOVE = Prepared(
    delete(EmbeddingRow).where(_OF_MODEL, col(EmbeddingRow.key) == bindparam("of_key"))
)
_NEXT = (
    select(col(EmbeddingRow.key))
    .where(_OF_MODEL, col(EmbeddingRow.key) > bindparam("after"))
    .order_by(col(EmbeddingRow.key))
    .limit(bindparam("most"))
)
_NEXT_KEYS = Prepared(_NEXT)
_NEXT_VECTORS = Prepared(_NEXT.add_columns(col(EmbeddingRow.vector)))


class StoredEmbeddings:
    """Sentence vectors by model and key."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    async def get(self, model: str, keys: Collection[bytes]) -> Mapping[bytes, bytes]:
        """Return the vectors that are known among these keys."""
        found: dict[bytes, bytes] = {}
        for piece in pieces(list(keys), PIECE):
            rows = await self._rows.all(
                select(col(EmbeddingRow.key), col(EmbeddingRow.vector)).where(
                    col(EmbeddingRow.model) == model, col(EmbeddingRow.key).in_(piece)
                )
            )
            found.update((row.key, row.vector) for row in rows)
            await asyncio.sleep(0)
        return found

    async def all(self, model: str) -> Sequence[tuple[bytes, bytes]]:
        """Return every key of a model with its vector, ordered by key."""
        return [(row.key, row.vector) async for row in self._paged(_NEXT_VECTORS, model)]

    async def keys(self, model: str) -> Collection[bytes]:
        """Return every key of a model, in order."""
        return [row.key async for row in self._paged(_NEXT_KEYS, model)]

    async def add(self, model: str, vectors: Mapping[bytes, bytes]) -> None:
        """Keep vectors; those of known keys are replaced."""
        rows = [{"model": model, "key": k, "vector": v} for k, v in sorted(vectors.items())]
        for piece in pieces(rows, PIECE):
            await self._rows.execute_many(_ADD, piece)
            await asyncio.sleep(0)

    async def remove(self, model: str, keys: Collection[bytes]) -> None:
        """Forget vectors; an unknown key is no error."""
        rows = [{"of_model": model, "of_key": key} for key in keys]
        for piece in pieces(rows, PIECE):
            await self._rows.execute_many(_REMOVE, piece)
            await asyncio.sleep(0)

    async def nearest(self, model: str, vector: bytes, *, limit: int) -> Sequence[bytes] | None:
        """Return None: this store cannot search."""
        return None

    async def _paged(self, statement: Prepared, model: str) -> AsyncIterator[Any]:
        after, more = b"", True
        while more:
            values = {"of_model": model, "after": after, "most": _PAGE}
            rows = await self._rows.all(statement, values)
            for row in rows:
                yield row
            after, more = rows[-1].key if rows else b"", len(rows) == _PAGE
            await asyncio.sleep(0)


def pieces(many: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Return many things in order, so many at a time."""
    for start in range(0, len(many), size):
        yield many[start : start + size]
