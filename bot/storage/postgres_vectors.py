"""Sentence vectors on PostgreSQL, searched by the server itself where it has pgvector.

The table `embeddings` is the truth, as on every store. `embedding_vectors` is
derived from it: the same vectors as pgvector's type, with a graph (HNSW, Malkov
and Yashunin 2016) for each model. What leaves the truth leaves it too, by its
foreign key. Whether it is there is asked of the database each time: the
extension may come or go while bots run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any

from sqlalchemy import Boolean, LargeBinary, String, text
from typing_extensions import override

from bot.storage.embeddings import PIECE, StoredEmbeddings, pieces
from bot.storage.halves import Halves
from bot.storage.prepared import Prepared, Values

_ITERATES = (0, 8)  # pgvector since which a search goes on until it has found enough
# How many candidates a search keeps: at least, for each vector asked for, and
# at most, which is pgvector's own limit.
_LEAST_EFFORT, _EFFORT_EACH, _MOST_EFFORT = 400, 4, 1000

_STATE = Prepared(
    text(
        "SELECT e.extversion AS version, to_regclass(:graph) IS NOT NULL AS drawn"
        " FROM pg_extension e JOIN pg_attribute a"
        " ON a.attrelid = to_regclass('embedding_vectors')"
        " AND a.attname = 'vector' AND NOT a.attisdropped WHERE e.extname = 'vector'"
    ).columns(version=String, drawn=Boolean)
)
_EFFORT = Prepared(text("SELECT set_config('hnsw.ef_search', :effort, true)"))
_ITERATE = Prepared(text("SELECT set_config('hnsw.iterative_scan', 'strict_order', true)"))
_LEAVE = Prepared(text("DELETE FROM embedding_vectors WHERE model = :model AND key = :key"))
_KEEP = Prepared(
    text(
        "INSERT INTO embedding_vectors (model, key, graph, vector)"
        " VALUES (:model, :key, :graph, :vector) ON CONFLICT (model, key)"
        " DO UPDATE SET graph = excluded.graph, vector = excluded.vector"
    )
)


def graph_of(model: str, dimension: int) -> str:
    """Return the name of the index over a model's vectors of one dimension."""
    return f"embedding_vectors_{sha256(f'{dimension} {model}'.encode()).hexdigest()[:24]}"


def drawing(graph: str, dimension: int) -> str:
    """Return the SQL that makes an index, which may be there already."""
    return (
        f"CREATE INDEX IF NOT EXISTS {graph} ON embedding_vectors"
        f" USING hnsw (CAST(vector AS halfvec({dimension:d})) halfvec_cosine_ops)"
        f" WITH (m = 16, ef_construction = 64) WHERE graph = '{graph}'"
    )


class PostgresEmbeddings(StoredEmbeddings):
    """Sentence vectors by model and key, and by nearness where the server has pgvector."""

    @override
    async def add(self, model: str, vectors: Mapping[bytes, bytes]) -> None:
        """Keep vectors; those of known keys are replaced."""
        await super().add(model, vectors)
        halves = {key: Halves(vector) for key, vector in sorted(vectors.items())}
        by_dimension: dict[int, list[Values]] = defaultdict(list)
        for key, vector in halves.items():
            dimension = vector.dimension if vector.fit else 0
            by_dimension[dimension].append({"model": model, "key": key, "vector": vector})
        await self._leave(by_dimension.pop(0, ()))
        for dimension, rows in by_dimension.items():
            await self._derive(rows, dimension)

    async def _leave(self, rows: Sequence[Values]) -> None:
        """Forget what was derived for keys whose vectors cannot be searched any more."""
        if rows and await self._state("embedding_vectors") is not None:
            keys = [{"model": row["model"], "key": row["key"]} for row in rows]
            await self._rows.execute_many(_LEAVE, keys)

    async def _derive(self, rows: Sequence[Values], dimension: int) -> None:
        graph = graph_of(rows[0]["model"], dimension)
        state = await self._state(graph)
        if state is None:
            return
        if not state.drawn:
            await self._rows.execute(text(drawing(graph, dimension)))
        for piece in pieces([{**row, "graph": graph} for row in rows], PIECE):
            await self._rows.execute_many(_KEEP, piece)

    @override
    async def nearest(self, model: str, vector: bytes, *, limit: int) -> Sequence[bytes] | None:
        """Return the keys nearest to a vector by cosine; None where the server has no pgvector.

        A vector without direction is near nothing.
        """
        near = Halves(vector)
        graph = graph_of(model, near.dimension)
        state = await self._state(graph)
        if state is None:
            return None
        if limit < 1 or not near.fit:
            return ()
        await self._exert(state.version, limit)
        rows = await self._rows.all(_nearest(graph, near.dimension, limit), {"near": near})
        return [row.key for row in rows]

    async def _exert(self, version: str, limit: int) -> None:
        effort = min(max(_LEAST_EFFORT, _EFFORT_EACH * limit), _MOST_EFFORT)
        await self._rows.execute(_EFFORT, {"effort": str(effort)})
        if numbers_of(version) >= _ITERATES:
            await self._rows.execute(_ITERATE)

    async def _state(self, graph: str) -> Any | None:
        return await self._rows.one(_STATE, {"graph": graph})


def numbers_of(version: str) -> tuple[int, ...]:
    """Return the numbers of an extension's version, so that they can be compared."""
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


@lru_cache(maxsize=64)
def _nearest(graph: str, dimension: int, limit: int) -> Prepared:
    """Return the search of one graph, whose name the planner must see to use it."""
    kind = f"halfvec({dimension:d})"
    statement = (
        f"SELECT key FROM embedding_vectors WHERE graph = '{graph}'"  # noqa: S608  # a hash
        f" ORDER BY CAST(vector AS {kind}) <=> CAST(:near AS {kind}) LIMIT {limit:d}"
    )
    return Prepared(text(statement).columns(key=LargeBinary))
