"""What a repository speaks to: statements in, rows out, whatever the database.

`Rows` belong to a transaction and are awaited. `Look` is for whoever reads the
ledger as a whole, in a thread of its own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from sqlalchemy import Connection
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.sql.base import Executable

from bot.storage.prepared import Prepared, Speech, Values

SQLITE = Speech(dialect=SQLiteDialect_pysqlite(dbapi=sqlite3), error=sqlite3.Error)


class Result(Protocol):
    """What became of a statement."""

    @property
    def rowcount(self) -> int:
        """Return how many rows it changed."""


class Rows(Protocol):
    """Executes statements within one transaction.

    What is asked again and again is a `Prepared`; any other statement is turned
    into SQL each time. Errors are those that SQLAlchemy raises itself.
    """

    async def execute(
        self, statement: Executable | Prepared, values: Mapping[str, Any] | None = None
    ) -> Result:
        """Execute a statement and return its result."""
        ...

    async def execute_many(self, statement: Prepared, many: Sequence[Values]) -> None:
        """Execute a statement for each of some values, at least one, all with the same names."""
        ...

    async def one(
        self, statement: Executable | Prepared, values: Mapping[str, Any] | None = None
    ) -> Any | None:
        """Return the first row, or None."""
        ...

    async def all(
        self, statement: Executable | Prepared, values: Mapping[str, Any] | None = None
    ) -> Sequence[Any]:
        """Return every row."""
        ...


class Look(Protocol):
    """Reads what is committed. SQL has `?` for its values, which are all whole numbers or NULL."""

    @property
    def error(self) -> type[Exception]:
        """Return what is raised where a row cannot be read."""

    def all(self, sql: str, *values: int | None) -> list[Any]:
        """Return every row of a short answer."""
        ...

    def each(self, sql: str, *values: int | None) -> AbstractContextManager[Iterator[Any]]:
        """Return the rows of a long answer, one after another."""
        ...


def driver(connection: Connection) -> sqlite3.Connection:
    """Return the driver's own connection, which is in the same transaction."""
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)  # noqa: S101  # the driver of these engines
    return raw


class SqliteRows:
    """Rows of the embedded database.

    Statements run where they are awaited: they take microseconds, which is less
    than handing them to another thread. The two that wait for a disk or a lock,
    BEGIN and COMMIT, are the database's affair.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._driver = driver(connection)

    async def execute(
        self, statement: Executable | Prepared, values: Mapping[str, Any] | None = None
    ) -> Result:
        """Execute a statement and return its result."""
        if isinstance(statement, Prepared):
            return self._sent(statement, values or {})
        return self._connection.execute(statement, values)

    async def execute_many(self, statement: Prepared, many: Sequence[Values]) -> None:
        """Execute a statement for each of some values."""
        text = statement.text(SQLITE, many[0])
        parameters = [text.ordered(values) for values in many]
        try:
            self._driver.executemany(text.sql, parameters)
        except sqlite3.Error as error:
            raise SQLITE.told(text.sql, parameters, error) from error

    async def one(
        self, statement: Executable | Prepared, values: Mapping[str, Any] | None = None
    ) -> Any | None:
        """Return the first row, or None."""
        if isinstance(statement, Prepared):
            return next(iter(self._asked(statement, values or {})), None)
        return self._connection.execute(statement, values).first()

    async def all(
        self, statement: Executable | Prepared, values: Mapping[str, Any] | None = None
    ) -> Sequence[Any]:
        """Return every row."""
        if isinstance(statement, Prepared):
            return self._asked(statement, values or {})
        return self._connection.execute(statement, values).all()

    def _sent(self, statement: Prepared, values: Values) -> sqlite3.Cursor:
        text = statement.text(SQLITE, values)
        parameters = text.ordered(values)
        try:
            return self._driver.execute(text.sql, parameters)
        except sqlite3.Error as error:
            raise SQLITE.told(text.sql, parameters, error) from error

    def _asked(self, statement: Prepared, values: Values) -> list[Any]:
        return statement.formed(SQLITE, self._sent(statement, values).fetchall())


class SqliteLook:
    """Reads straight from the driver: SQLAlchemy's rows cost as much as checking them."""

    error: type[Exception] = sqlite3.DatabaseError

    def __init__(self, connection: Connection) -> None:
        self._driver = driver(connection)

    def all(self, sql: str, *values: int | None) -> list[Any]:
        """Return every row of a short answer."""
        return self._driver.execute(sql, values).fetchall()

    @contextmanager
    def each(self, sql: str, *values: int | None) -> Iterator[Iterator[Any]]:
        """Return the rows of a long answer, one after another."""
        cursor = self._driver.execute(sql, values)
        try:
            yield cursor
        finally:
            cursor.close()
