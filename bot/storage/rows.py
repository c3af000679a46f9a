"""The connection a repository speaks to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, CursorResult
from sqlalchemy.sql.base import Executable


class Rows:
    """Executes statements on one connection.

    Statements run where they are awaited: on the embedded database they take
    microseconds, which is less than handing them to another thread. The two
    that wait for a disk or a lock, BEGIN and COMMIT, are the database's affair.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def execute(
        self,
        statement: Executable,
        values: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    ) -> CursorResult[Any]:
        """Execute a statement and return its result."""
        return self._connection.execute(statement, values)

    async def one(
        self, statement: Executable, values: Mapping[str, Any] | None = None
    ) -> Any | None:
        """Return the first row, or None."""
        return (await self.execute(statement, values)).first()

    async def all(
        self, statement: Executable, values: Mapping[str, Any] | None = None
    ) -> Sequence[Any]:
        """Return every row."""
        return (await self.execute(statement, values)).all()
