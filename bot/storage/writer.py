"""The one connection that writes, and the SQL that begins and ends its transactions.

SQLAlchemy runs the statements in between; when a transaction begins and ends is
said here, in SQL, because SQLite must be asked rather than believed: after a
full disk or a failing one it has rolled back by itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import SQLITE_BUSY, OperationalError
from sqlite3 import Connection as RawConnection

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.pool import NullPool

from bot.storage.rows import SqliteRows, driver

BUSY_SECONDS = 10.0
_PRIMARY_CODE = 0xFF
_LONGEST_PAUSE = 0.05


class Writer:
    """Writes to one file. Opens it on construction; one transaction at a time."""

    def __init__(self, path: Path) -> None:
        self._engine = create_engine(
            f"sqlite:///{path}",
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",  # SQLAlchemy begins and commits nothing by itself
            connect_args={"check_same_thread": False, "timeout": BUSY_SECONDS},
        )
        event.listen(self._engine, "connect", _prepare)
        self.connection: Connection = self._engine.connect()
        self.rows = SqliteRows(self.connection)
        self._raw = driver(self.connection)

    def wait_no_more(self) -> None:
        """From here on never block the event loop to wait for another process."""
        self._raw.execute("PRAGMA busy_timeout=0")

    @property
    def changes(self) -> int:
        """Count the rows that this connection has changed so far."""
        return self._raw.total_changes

    @property
    def in_transaction(self) -> bool:
        """Ask SQLite whether a transaction is open."""
        return self._raw.in_transaction

    async def begin(self) -> None:
        """Begin a transaction, after that of another process if need be.

        Raises:
            sqlite3.OperationalError: another process held the file for too long.
        """
        deadline, pause = time.monotonic() + BUSY_SECONDS, 0.001
        while True:
            try:
                self._raw.execute("BEGIN IMMEDIATE")
            except OperationalError as error:
                busy = error.sqlite_errorcode & _PRIMARY_CODE == SQLITE_BUSY
                if not busy or time.monotonic() > deadline:
                    raise
            else:
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def commit(self) -> None:
        """Commit, off the event loop: this is what waits for the disk."""
        await asyncio.to_thread(self._raw.execute, "COMMIT")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the file for a transaction, as long as `wait_no_more` was not said."""
        self._raw.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._raw.execute("ROLLBACK")
            raise
        self._raw.execute("COMMIT")

    def empty_log(self) -> None:
        """Bring the write-ahead log into the file and empty it: it keeps old pages."""
        self._raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    async def rollback(self) -> None:
        """Roll back what is still open, which may be nothing."""
        if self._raw.in_transaction:
            self._raw.execute("ROLLBACK")

    async def mark(self) -> None:
        """Begin a part that can be taken back by itself."""
        self._raw.execute("SAVEPOINT part")

    async def keep(self) -> None:
        """End the part and keep it."""
        self._raw.execute("RELEASE part")

    async def take_back(self) -> None:
        """End the part as if it had not been."""
        self._raw.execute("ROLLBACK TO part")
        self._raw.execute("RELEASE part")

    def close(self) -> None:
        """Let go of the file."""
        self.connection.close()
        self._engine.dispose()


def _prepare(raw: RawConnection, _record: object) -> None:
    raw.execute("PRAGMA journal_mode=WAL")
    raw.execute("PRAGMA synchronous=FULL")
    raw.execute("PRAGMA foreign_keys=ON")
    # What is erased must not stay in pages that happen to be free.
    raw.execute("PRAGMA secure_delete=ON")
    # What taking back a part needs is kept in memory: a delivery changes enough
    # pages for SQLite to open, write and delete a file for it each time.
    raw.execute("PRAGMA temp_store=MEMORY")
