"""The embedded database: one writer with group commit beside a pool of readers.

SQLite as it must be set up to be trusted: WAL, `synchronous=FULL`, and
`BEGIN IMMEDIATE` written by ourselves, since a deferred transaction that
upgrades its lock late can lose or fork what it read.

**Group commit.** Transactions run one after another on the writer's connection,
each within a savepoint. The first of a group asks for the commit, which waits
in the same queue: whatever queued before it is committed together with it, in
one write to the disk. A transaction is left only when that commit is done, so
nobody is told of anything that a crash could take back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from sqlite3 import Connection as RawConnection

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool, QueuePool

from bot.domain.ledger import Draft, Verdict
from bot.ports import Clock, Transaction
from bot.storage import ledger
from bot.storage.migrate import migrate
from bot.storage.transaction import StoredTransaction

log = logging.getLogger(__name__)

BUSY_MILLISECONDS = 10_000


def writing_engine(path: Path) -> Engine:
    """Return an engine whose transactions begin with BEGIN IMMEDIATE."""
    engine = create_engine(
        f"sqlite:///{path}", poolclass=NullPool, connect_args={"check_same_thread": False}
    )
    event.listen(engine, "connect", _prepare_writer)
    event.listen(engine, "begin", lambda c: c.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def reading_engine(path: Path) -> Engine:
    """Return an engine whose connections cannot write."""
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=QueuePool,
        pool_size=4,
        max_overflow=16,
        connect_args={"check_same_thread": False},
    )
    event.listen(engine, "connect", _prepare_reader)
    event.listen(engine, "begin", lambda c: c.exec_driver_sql("BEGIN"))
    return engine


def _prepare_writer(raw: RawConnection, _record: object) -> None:
    raw.isolation_level = None
    raw.execute("PRAGMA journal_mode=WAL")
    raw.execute("PRAGMA synchronous=FULL")
    raw.execute("PRAGMA foreign_keys=ON")
    raw.execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")


def _prepare_reader(raw: RawConnection, _record: object) -> None:
    raw.isolation_level = None
    raw.execute("PRAGMA query_only=ON")
    raw.execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")


@dataclass
class _Group:
    """Transactions that are committed together."""

    done: asyncio.Future[None]
    drafts: list[Draft] = field(default_factory=list)


class SqliteDatabase:
    """The store of everything that a restart may not lose, in one file.

    `on_commit` is called after every commit, in the event loop.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._turn = asyncio.Lock()
        self._sealer = ledger.Sealer()
        self._group: _Group | None = None
        self._committing: set[asyncio.Task[None]] = set()
        self._writer: Connection | None = None
        self._listeners: list[Callable[[], None]] = []
        self._writing = writing_engine(path)
        self._reading = reading_engine(path)

    def open(self) -> None:
        """Create the file if need be and bring its schema up to date."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        migrate(self._writing)
        self._writer = self._writing.connect()

    async def close(self) -> None:
        """Finish the commits under way and let go of the file."""
        if self._committing:
            await asyncio.wait(self._committing)
        if self._writer is not None:
            self._writer.close()
        self._writing.dispose()
        self._reading.dispose()

    def on_commit(self, listener: Callable[[], None]) -> None:
        """Call a listener after every commit."""
        self._listeners.append(listener)

    @asynccontextmanager
    async def transaction(self, once: str | None = None) -> AsyncIterator[Transaction]:
        """Open a transaction; it is committed with its group when the block is left."""
        async with self._turn:
            group = await self._joined()
            connection = self._connection()
            savepoint = connection.begin_nested()
            work = StoredTransaction(connection)
            try:
                if once is not None:
                    await work.once(once, self._clock.now())
                yield work
            except BaseException:
                if savepoint.is_active:
                    savepoint.rollback()
                raise
            savepoint.commit()
            group.drafts += work.ledger.drafts
        await asyncio.shield(group.done)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Transaction]:
        """Open a view of the last committed state; nothing may be written in it."""
        with self._reading.connect() as connection, connection.begin():
            yield StoredTransaction(connection)

    async def verify_ledger(self) -> Verdict:
        """Verify the whole ledger, off the event loop."""
        return await asyncio.to_thread(self._verify)

    def _verify(self) -> Verdict:
        with self._reading.connect() as connection, connection.begin():
            return ledger.check(connection)

    def _connection(self) -> Connection:
        if self._writer is None:
            raise RuntimeError("the database is not open")
        return self._writer

    async def _joined(self) -> _Group:
        """Return the group under way, or begin one and ask for its commit."""
        if self._group is None:
            await asyncio.to_thread(self._connection().begin)
            self._group = _Group(done=asyncio.get_running_loop().create_future())
            # A failure reaches every transaction of the group that still waits.
            self._group.done.add_done_callback(lambda f: f.cancelled() or f.exception())
            task = asyncio.create_task(self._commit(self._group))
            self._committing.add(task)
            task.add_done_callback(self._committing.discard)
        return self._group

    async def _commit(self, group: _Group) -> None:
        async with self._turn:
            self._group = None
            connection = self._connection()
            try:
                self._sealer.seal(connection, group.drafts, now=self._clock.now())
                await asyncio.to_thread(connection.commit)
            except BaseException as error:
                self._abandon(connection)
                group.done.set_exception(error)
                if not isinstance(error, Exception):
                    raise
                log.error("a commit failed and was rolled back: %s", error)
                return
        group.done.set_result(None)
        for listener in self._listeners:
            listener()

    def _abandon(self, connection: Connection) -> None:
        """Roll back what is left of a failed commit.

        After a full disk SQLite has rolled back by itself; rolling back again
        would raise an error that hides the real one.
        """
        self._sealer.forget()
        raw = connection.connection.driver_connection
        if isinstance(raw, RawConnection) and not raw.in_transaction:
            connection.invalidate()
            connection.close()
            self._writer = self._writing.connect()
            return
        connection.rollback()


def verify_file(path: Path) -> Verdict:
    """Verify the ledger in a database file, whoever may have it open."""
    engine = reading_engine(path)
    try:
        with engine.connect() as connection, connection.begin():
            return ledger.check(connection)
    finally:
        engine.dispose()


def read_entries(path: Path, *, incident: str, last: int) -> Sequence[Mapping[str, object]]:
    """Return the newest entries of a database file as plain objects, oldest first."""
    engine = reading_engine(path)
    try:
        with engine.connect() as connection, connection.begin():
            return ledger.shown(connection, incident=incident, last=last)
    finally:
        engine.dispose()
