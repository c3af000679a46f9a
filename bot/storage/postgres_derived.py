"""At start-up: the table of vectors that pgvector searches, made and filled from the truth.

Nothing here is needed for the bot to work: without the extension, or without
the right to create it, one line is logged and the search goes on in process.
"""

from __future__ import annotations

import logging
from typing import Any

import psycopg

from bot.storage.halves import Halves
from bot.storage.postgres_vectors import drawing, graph_of, numbers_of
from bot.storage.postgres_writer import MIGRATING, WRITING

log = logging.getLogger(__name__)

Connection = psycopg.Connection[Any]

_OLDEST = (0, 7)  # pgvector since which there is `halfvec`
_WITHOUT = "vectors are searched in this process, not by the server"
_PIECE = 1000  # rows that are filled in at once
_AVAILABLE = "SELECT default_version FROM pg_available_extensions WHERE name = 'vector'"
_INSTALLED = (
    "SELECT extversion, to_regtype('halfvec') IS NOT NULL FROM pg_extension"
    " WHERE extname = 'vector'"
)
_THERE = (
    "SELECT 1 FROM pg_attribute WHERE attrelid = to_regclass('embedding_vectors')"
    " AND attname = 'vector' AND NOT attisdropped"
)
_LEFT = f"SELECT 1 WHERE to_regclass('embedding_vectors') IS NOT NULL AND NOT EXISTS ({_THERE})"
_TABLE = (
    "CREATE TABLE embedding_vectors (model varchar NOT NULL, key bytea NOT NULL,"
    " graph varchar NOT NULL, vector halfvec NOT NULL, PRIMARY KEY (model, key))"
)
_FOLLOWS = (
    "ALTER TABLE embedding_vectors ADD FOREIGN KEY (model, key)"
    " REFERENCES embeddings (model, key) ON DELETE CASCADE"
)
_OF_NO_TRUTH = (
    "DELETE FROM embedding_vectors v WHERE NOT EXISTS"
    " (SELECT FROM embeddings e WHERE e.model = v.model AND e.key = v.key)"
)
_MISSING = (
    "SELECT e.model, e.key, e.vector FROM embeddings e WHERE NOT EXISTS"
    " (SELECT FROM embedding_vectors v WHERE v.model = e.model AND v.key = e.key)"
)
_FILL = "INSERT INTO embedding_vectors (model, key, graph, vector) VALUES (%s, %s, %s, %s)"


def derive(connection: Connection) -> None:
    """Make what pgvector searches, or fill in what is missing there.

    What is made is seen by nobody before it is whole. Only the last step of it
    holds up who writes: what was stored meanwhile is filled in.
    """
    try:
        _clear(connection)
        with connection.transaction():
            _lock(connection, MIGRATING)
            if not _usable(connection):
                return
            if connection.execute(_THERE).fetchone():
                _complete(connection)
            else:
                _make(connection)
    except psycopg.Error as error:  # a start must not fail for want of what only saves time
        log.warning("%s: %s", _WITHOUT, _first_line(error))


def _clear(connection: Connection) -> None:
    """Drop what an extension that was dropped has left behind.

    That locks the truth as well, so it waits for its turn first, as all do who write.
    """
    with connection.transaction():
        if connection.execute(_LEFT).fetchone() is None:
            return
        _lock(connection, WRITING)
        if connection.execute(_LEFT).fetchone() is not None:
            connection.execute("DROP TABLE embedding_vectors")


def _make(connection: Connection) -> None:
    connection.execute(_TABLE)
    # The graph of a hundred thousand vectors is built several times faster in memory;
    # by several workers it would be in shared memory, of which a container has little.
    connection.execute("SET LOCAL maintenance_work_mem = '256MB'")
    connection.execute("SET LOCAL max_parallel_maintenance_workers = 0")
    _fill(connection)
    _lock(connection, WRITING)
    connection.execute(_OF_NO_TRUTH)
    _fill(connection)
    connection.execute(_FOLLOWS)


def _complete(connection: Connection) -> None:
    if connection.execute(_MISSING + " LIMIT 1").fetchone():
        _lock(connection, WRITING)
        _fill(connection)


def _usable(connection: Connection) -> bool:
    found = connection.execute(_INSTALLED).fetchone() or _installed(connection)
    if found is None:
        return False
    version, named = found
    if numbers_of(version) < _OLDEST or not named:
        why = "older than 0.7" if named else "in a schema out of sight"
        log.info("%s: pgvector %s is %s", _WITHOUT, version, why)
        return False
    return True


def _installed(connection: Connection) -> Any | None:
    """Create the extension where the server has it and lets us; return what is there then."""
    if not connection.execute(_AVAILABLE).fetchone():
        log.info("%s: the server has no pgvector", _WITHOUT)
        return None
    try:
        with connection.transaction():
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    except psycopg.Error as error:
        log.info("%s: pgvector cannot be created: %s", _WITHOUT, _first_line(error))
        return None
    return connection.execute(_INSTALLED).fetchone()


def _fill(connection: Connection) -> None:
    graphs = {}
    with connection.cursor("missing") as missing, connection.cursor() as filling:
        missing.itersize = _PIECE
        missing.execute(_MISSING)
        while found := missing.fetchmany(_PIECE):
            rows = [
                (model, key, graph_of(model, halves.dimension), halves)
                for model, key, halves in ((m, k, Halves(v)) for m, k, v in found)
                if halves.fit
            ]
            filling.executemany(_FILL, rows)
            graphs.update({graph: halves.dimension for _, _, graph, halves in rows})
    for graph, dimension in sorted(graphs.items()):
        connection.execute(_own(drawing(graph, dimension)))


def _lock(connection: Connection, number: int) -> None:
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (number,))


def _first_line(error: psycopg.Error) -> str:
    return str(error).strip().partition("\n")[0]


def _own(sql: str) -> Any:
    return sql
