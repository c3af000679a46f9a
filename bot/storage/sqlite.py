"""The embedded database: one writer with group commit beside a pool of readers.

SQLite as it must be set up to be trusted: WAL, `synchronous=FULL`, and
`BEGIN IMMEDIATE` written by ourselves, since a deferred transaction that
upgrades its lock late can lose or fork what it read.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from sqlite3 import Connection as RawConnection
from sqlite3 import DatabaseError as RawError
from typing import TypeVar

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import QueuePool
from typing_extensions import override

from bot.domain.audits import Verdict
from bot.domain.errors import Unreadable
from bot.ports import Clock, Privacy, Transaction
from bot.storage import ledger
from bot.storage.archive import StoredArchive
from bot.storage.groups import GroupCommit
from bot.storage.ledger import UNKEYED
from bot.storage.migrate import migrate
from bot.storage.rows import Look, SqliteLook, SqliteRows
from bot.storage.writer import BUSY_SECONDS, Writer

T = TypeVar("T")


def reading_engine(path: Path) -> Engine:
    """Return an engine whose connections cannot write."""
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=QueuePool,
        pool_size=4,
        # Never wait for a free connection: the wait would hold up the event loop,
        # and with it whoever could give one back.
        max_overflow=-1,
        connect_args={"check_same_thread": False, "timeout": BUSY_SECONDS},
    )
    event.listen(engine, "connect", _prepare_reader)
    event.listen(engine, "begin", lambda c: c.exec_driver_sql("BEGIN"))
    return engine


def _prepare_reader(raw: RawConnection, _record: object) -> None:
    raw.isolation_level = None
    raw.execute("PRAGMA query_only=ON")


class SqliteDatabase(GroupCommit):
    """The store of everything that a restart may not lose, in one file.

    `privacy` encrypts what the ledger says of people.
    """

    def __init__(self, path: Path, clock: Clock, privacy: Privacy = UNKEYED) -> None:
        super().__init__(clock, privacy)
        self._path = path
        self._opened: Writer | None = None
        self._reading = reading_engine(path)
        self._archive = StoredArchive(self._looking, privacy)

    def open(self) -> None:
        """Create the file if need be and bring its schema up to date."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._opened = Writer(self._path)
        migrate(self._opened.connection, self._opened.alone())
        self._opened.wait_no_more()

    async def close(self) -> None:
        """Finish the commits under way and let go of the file."""
        await self.finish()
        await self._archive.finish()
        if self._opened is not None:
            self._opened.close()
        self._reading.dispose()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Transaction]:
        """Open a view of the last committed state; nothing may be written in it."""
        with self._reading.connect() as connection, connection.begin():
            yield self._over(SqliteRows(connection))

    async def purge(self) -> None:
        """Leave nothing of erased rows in the write-ahead log, where nobody else reads it now."""
        async with self._turn:
            self._writer.empty_log()

    @property
    def archive(self) -> StoredArchive:
        """Return the ledger as it stands, to be read and proven."""
        return self._archive

    @contextmanager
    def _looking(self) -> Iterator[Look]:
        with self._reading.connect() as connection, connection.begin():
            yield SqliteLook(connection)

    @property
    @override
    def _writer(self) -> Writer:
        if self._opened is None:
            raise RuntimeError("the database is not open")
        return self._opened


def verify_file(path: Path, privacy: Privacy = UNKEYED) -> Verdict:
    """Verify the ledger in a database file, whoever may have it open.

    Raises:
        Unreadable: it is no database of ours at all.
    """
    return _looked_at(path, lambda look: ledger.check(look, privacy))


def read_entries(
    path: Path, privacy: Privacy = UNKEYED, *, incident: str, last: int
) -> Sequence[Mapping[str, object]]:
    """Return the newest entries of a database file as plain objects, oldest first.

    Raises:
        Unreadable: it is no database of ours at all, or an entry is not JSON.
    """
    return _looked_at(path, lambda look: ledger.shown(look, privacy, incident=incident, last=last))


def _looked_at(path: Path, question: Callable[[Look], T]) -> T:
    engine = reading_engine(path)
    try:
        with engine.connect() as connection:  # what it began is rolled back, never committed
            return question(SqliteLook(connection))
    except DatabaseError as error:
        raise Unreadable(str(path), f"cannot be read: {error.orig}") from None
    except RawError as error:
        raise Unreadable(str(path), f"cannot be read: {error}") from None
    finally:
        engine.dispose()
