"""The connection a repository speaks to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy import Connection
from sqlalchemy.sql.base import Executable

from bot.storage.prepared import Prepared, driver


class Result(Protocol):
    """What became of a statement."""

    @property
    def rowcount(self) -> int:
        """Return how many rows it changed."""


class Rows:
    """Executes statements on one connection.

    Statements run where they are awaited: on the embedded database they take
    microseconds, which is less than handing them to another thread. The two
    that wait for a disk or a lock, BEGIN and COMMIT, are the database's affair.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._driver = driver(connection)

    async def execute(
        self, statement: Executable | Prepared, values: Mapping[str, Any] | None = None
    ) -> Result:
        """Execute a statement and return its result."""
        if isinstance(statement, Prepared):
            return statement.execute(self._driver, values or {})
        return self._connection.execute(statement, values)

    async def one(
        self, statement: Executable | Prepared, values: Mapping[str, Any] | None = None
    ) -> Any | None:
        """Return the first row, or None."""
        if isinstance(statement, Prepared):
            return next(iter(statement.all(self._driver, values or {})), None)
        return self._connection.execute(statement, values).first()

    async def all(
        self, statement: Executable | Prepared, values: Mapping[str, Any] | None = None
    ) -> Sequence[Any]:
        """Return every row."""
        if isinstance(statement, Prepared):
            return statement.all(self._driver, values or {})
        return self._connection.execute(statement, values).all()
