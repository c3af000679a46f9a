"""PostgreSQL's rows: the same statements, sent by psycopg.

Text in PostgreSQL cannot hold the character NUL, which alerts may; it is stored
as U+FFFD, the replacement character, and found under it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.types.string import StrDumper
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.sql.base import Executable
from typing_extensions import override

from bot.storage.halves import Halves, HalvesDumper
from bot.storage.prepared import Prepared, Speech, Values
from bot.storage.rows import Result

_DIALECT = PGDialect_psycopg(dbapi=psycopg, paramstyle="format")  # type: ignore[no-untyped-call]  # SQLAlchemy's
POSTGRES = Speech(dialect=_DIALECT, error=psycopg.Error)
_CHANGING = ("INSERT", "UPDATE", "DELETE")
# For which an answer is waited for: a connection may be cut without a word, and
# the server itself gives up what waits for a lock long before.
ANSWER_SECONDS = 30.0
_AT_ONCE = 2000  # rows that a long answer fetches at a time


class _Text(StrDumper):
    """Text without the one character that PostgreSQL refuses."""

    @override
    def dump(self, obj: str) -> Any:
        return super().dump(obj.replace("\0", "\ufffd") if "\0" in obj else obj)


def prepare(connection: psycopg.AsyncConnection[Any] | psycopg.Connection[Any]) -> None:
    """Make a new connection speak as this store does."""
    connection.adapters.register_dumper(str, _Text)
    connection.adapters.register_dumper(Halves, HalvesDumper)


@contextmanager
def telling(sql: str, parameters: Any = None) -> Iterator[None]:
    """Raise what the driver raises as SQLAlchemy does, and no answer as a lost connection."""
    try:
        yield
    except TimeoutError:
        silent = psycopg.OperationalError(f"no answer within {ANSWER_SECONDS:g} s")
        raise POSTGRES.told(sql, parameters, silent) from None
    except psycopg.Error as error:
        raise POSTGRES.told(sql, parameters, error) from error


class PostgresRows:
    """Rows of one connection; whoever waits for them lets others go on."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection
        self.changes = 0

    async def execute(
        self, statement: Executable | Prepared, values: Mapping[str, Any] | None = None
    ) -> Result:
        """Execute a statement and return its result."""
        return await self._sent(_prepared(statement), values or {})

    async def execute_many(self, statement: Prepared, many: Sequence[Values]) -> None:
        """Execute a statement for each of some values, without waiting in between."""
        text = statement.text(POSTGRES, many[0])
        parameters = [text.ordered(values) for values in many]
        with telling(text.sql, parameters):
            async with asyncio.timeout(ANSWER_SECONDS), self._connection.cursor() as cursor:
                await cursor.executemany(text.sql, parameters)
        self.changes += len(many)

    async def one(
        self, statement: Executable | Prepared, values: Mapping[str, Any] | None = None
    ) -> Any | None:
        """Return the first row, or None."""
        return next(iter(await self.all(statement, values)), None)

    async def all(
        self, statement: Executable | Prepared, values: Mapping[str, Any] | None = None
    ) -> Sequence[Any]:
        """Return every row."""
        prepared = _prepared(statement)
        cursor = await self._sent(prepared, values or {})
        return prepared.formed(POSTGRES, await cursor.fetchall())

    async def _sent(self, statement: Prepared, values: Values) -> psycopg.AsyncCursor[Any]:
        text = statement.text(POSTGRES, values)
        parameters = text.ordered(values)
        with telling(text.sql, parameters):
            async with asyncio.timeout(ANSWER_SECONDS):
                cursor = await self._connection.execute(text.sql, parameters)
        if cursor.rowcount > 0 and (cursor.statusmessage or "").startswith(_CHANGING):
            self.changes += cursor.rowcount
        return cursor


def _prepared(statement: Executable | Prepared) -> Prepared:
    return statement if isinstance(statement, Prepared) else Prepared(statement)


class PostgresLook:
    """Reads what is committed, in a thread of its own."""

    error: type[Exception] = psycopg.Error

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def all(self, sql: str, *values: int | None) -> list[Any]:
        """Return every row of a short answer."""
        return self._connection.execute(_own(sql), values).fetchall()

    @contextmanager
    def each(self, sql: str, *values: int | None) -> Iterator[Iterator[Any]]:
        """Return the rows of a long answer, some thousand at a time."""
        with self._connection.cursor("long_answer") as cursor:
            cursor.itersize = _AT_ONCE
            cursor.execute(_own(sql), values)
            yield iter(cursor)


def _own(sql: str) -> Any:
    return sql.replace("?", "%s")
