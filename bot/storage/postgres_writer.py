"""The one connection that writes to PostgreSQL, and how its transactions begin and end.

Every transaction that writes holds one advisory lock of the database from its
beginning to its end, whatever number of bots there are. So what it has read
stays true until it is committed, as on SQLite with its one writer, and no
statement can fail for want of serializability, which a use case under way could
not be repeated for. The isolation level is READ COMMITTED: each statement sees
all that was committed before the lock was given; a snapshot would be older.

A process that stops within a transaction (SIGSTOP, a sleeping host, a cut
cable) must not hold up the others: the server ends its session after
`IDLE_SECONDS`, which rolls back and frees the lock.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, LiteralString

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy.exc import DBAPIError

from bot.storage import postgres_rows
from bot.storage.postgres_connections import connect
from bot.storage.postgres_rows import POSTGRES, PostgresRows, telling

BUSY_SECONDS = 10.0
IDLE_SECONDS = 5.0
# Two locks of our own, "tocsin" and 1 or 2: the same in every bot of every version.
MIGRATING = 32773570227170818
WRITING = 32773570227170817
_BEGIN = "BEGIN; SELECT pg_advisory_xact_lock(32773570227170817); SAVEPOINT part"


class PostgresWriter:
    """Writes to one database; one transaction at a time. Connects when it is first needed."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._rows: PostgresRows | None = None
        self._changes = 0
        self._marked = False

    @property
    def rows(self) -> PostgresRows:
        """Return what the transaction that is open executes its statements with."""
        if self._rows is None:
            raise RuntimeError("no transaction is open")
        return self._rows

    @property
    def changes(self) -> int:
        """Count the rows that were changed so far."""
        return self._changes + (self._rows.changes if self._rows else 0)

    @property
    def in_transaction(self) -> bool:
        """Say whether a transaction is open on a connection that still holds."""
        return self._connection is not None and self._connection.info.transaction_status in {
            TransactionStatus.ACTIVE,
            TransactionStatus.INTRANS,
            TransactionStatus.INERROR,
        }

    async def begin(self) -> None:
        """Begin a transaction, after those of other processes if need be.

        It begins with a part already: each word that has not to be sent alone is
        time that other bots need not wait.

        Raises:
            sqlalchemy.exc.DBAPIError: the database cannot be reached, or others
                held it for too long.
        """
        self._marked = True
        if await self._begun_again():
            return
        try:
            self._connection = await connect(self._url, lock=BUSY_SECONDS, idle=IDLE_SECONDS)
            self._rows = PostgresRows(self._connection)
            await self._do(self._connection, _BEGIN)
        except BaseException:
            await self.rollback()
            raise

    async def _begun_again(self) -> bool:
        """Begin on the connection there is; say False where there is none that still holds.

        The server may have been restarted since the last transaction, which is no
        reason for this one to fail.
        """
        if self._connection is None:
            return False
        try:
            await self._do(self._connection, _BEGIN)
        except BaseException as error:
            lost = self._connection.broken
            await self.rollback()
            if lost and isinstance(error, DBAPIError):
                await self.close()
                return False
            raise
        return True

    async def commit(self) -> None:
        """Commit; it is on the server's disk then.

        Raises:
            sqlalchemy.exc.DBAPIError: it is not, as far as anybody knows.
        """
        cursor = await self._do(self._there(), "COMMIT")
        if cursor.statusmessage != "COMMIT":  # a failed transaction answers ROLLBACK
            error = psycopg.InternalError("the transaction had failed and was rolled back")
            raise POSTGRES.told("COMMIT", None, error)

    async def rollback(self) -> None:
        """Roll back what is still open; a connection that cannot say is given up."""
        connection = self._connection
        if connection is None or connection.info.transaction_status is TransactionStatus.IDLE:
            return
        try:
            await self._do(connection, "ROLLBACK")
        except (DBAPIError, asyncio.CancelledError):
            await self.close()

    async def mark(self) -> None:
        """Begin a part that can be taken back by itself; the one before is kept."""
        if self._marked:
            self._marked = False
            return
        await self._do(self._there(), "RELEASE part; SAVEPOINT part")

    async def keep(self) -> None:
        """End the part and keep it, unless a statement of it failed.

        Raises:
            sqlalchemy.exc.DBAPIError: one did, whoever passed over that.
        """
        if self._there().info.transaction_status is not TransactionStatus.INTRANS:
            error = psycopg.InternalError("a statement failed, and nothing can be kept")
            raise POSTGRES.told("", None, error)

    async def take_back(self) -> None:
        """End the part as if it had not been; where that cannot be, end the transaction."""
        try:
            await self._do(self._there(), "ROLLBACK TO part")
        except DBAPIError:
            await self.rollback()

    async def close(self) -> None:
        """Let go of the connection."""
        connection, self._connection = self._connection, None
        if self._rows is not None:
            self._changes, self._rows = self._changes + self._rows.changes, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error):
                await connection.close()

    def _there(self) -> psycopg.AsyncConnection[Any]:
        if self._connection is None:
            raise POSTGRES.told("", None, psycopg.OperationalError("the connection was lost"))
        return self._connection

    async def _do(
        self, connection: psycopg.AsyncConnection[Any], sql: LiteralString
    ) -> psycopg.AsyncCursor[Any]:
        with telling(sql):
            async with asyncio.timeout(postgres_rows.ANSWER_SECONDS):
                return await connection.execute(sql)
