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
from sqlite3 import DatabaseError as RawError
from typing import TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import QueuePool

from bot.domain.audits import Verdict
from bot.domain.errors import Unreadable
from bot.domain.ledger import Draft
from bot.ports import Clock, Privacy, Transaction
from bot.storage import ledger
from bot.storage.archive import StoredArchive
from bot.storage.migrate import migrate
from bot.storage.transaction import StoredTransaction
from bot.storage.writer import BUSY_SECONDS, Writer

log = logging.getLogger(__name__)

T = TypeVar("T")

UNKEYED = ledger.Unkeyed()


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


class Lost(Exception):
    """A transaction that was rolled back because another of its group took it along."""


@dataclass
class _Group:
    """Transactions that are committed together."""

    done: asyncio.Future[None]
    changes_before: int
    drafts: list[Draft] = field(default_factory=list)


class SqliteDatabase:
    """The store of everything that a restart may not lose, in one file.

    `privacy` encrypts what the ledger says of people. `on_commit` is called
    after every commit that changed something, in the event loop.
    """

    def __init__(self, path: Path, clock: Clock, privacy: Privacy = UNKEYED) -> None:
        self._path = path
        self._clock = clock
        self._turn = asyncio.Lock()
        self._privacy = privacy
        self._sealer = ledger.Sealer()
        self._group: _Group | None = None
        self._committing: set[asyncio.Task[None]] = set()
        self._opened: Writer | None = None
        self._listeners: list[Callable[[], None]] = []
        self._reading = reading_engine(path)

    def open(self) -> None:
        """Create the file if need be and bring its schema up to date."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._opened = Writer(self._path)
        migrate(self._opened.connection)
        self._opened.wait_no_more()

    async def close(self) -> None:
        """Finish the commits under way and let go of the file."""
        if self._committing:
            await asyncio.wait(self._committing)
        if self._opened is not None:
            self._opened.close()
        self._reading.dispose()

    def on_commit(self, listener: Callable[[], None]) -> None:
        """Call a listener after every commit."""
        self._listeners.append(listener)

    @asynccontextmanager
    async def transaction(self, once: str | None = None) -> AsyncIterator[Transaction]:
        """Open a transaction; it is committed with its group when the block is left."""
        async with self._turn:
            group = await self._joined()
            self._writer.mark()
            work = StoredTransaction(self._writer.connection, self._privacy)
            try:
                if once is not None:
                    await work.once(once, self._clock.now())
                yield work
                self._writer.keep()
            except BaseException as error:
                self._undo(group, error)
                raise
            group.drafts += work.ledger.drafts
        await asyncio.shield(group.done)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Transaction]:
        """Open a view of the last committed state; nothing may be written in it."""
        with self._reading.connect() as connection, connection.begin():
            yield StoredTransaction(connection, self._privacy)

    async def purge(self) -> None:
        """Leave nothing of erased rows in the write-ahead log, where nobody else reads it now."""
        async with self._turn:
            self._writer.empty_log()

    @property
    def archive(self) -> StoredArchive:
        """Return the ledger as it stands, to be read and proven."""
        return StoredArchive(self._reading, self._privacy)

    @property
    def _writer(self) -> Writer:
        if self._opened is None:
            raise RuntimeError("the database is not open")
        return self._opened

    def _undo(self, group: _Group, error: BaseException) -> None:
        """Take back one transaction of a group, and only that one.

        Where SQLite has rolled back by itself, the whole group is gone, and none
        of it may be called stored.
        """
        if self._writer.in_transaction:
            self._writer.take_back()
            return
        self._group = None
        group.done.set_exception(error if isinstance(error, Exception) else Lost())

    async def _joined(self) -> _Group:
        """Return the group under way, or begin one and ask for its commit."""
        if self._group is None:
            await self._writer.begin()
            self._group = _Group(
                done=asyncio.get_running_loop().create_future(),
                changes_before=self._writer.changes,
            )
            # A failure reaches every transaction of the group that still waits.
            self._group.done.add_done_callback(lambda f: f.cancelled() or f.exception())
            task = asyncio.create_task(self._commit(self._group))
            self._committing.add(task)
            task.add_done_callback(self._committing.discard)
        return self._group

    async def _commit(self, group: _Group) -> None:
        async with self._turn:
            if group.done.done():
                return
            self._group = None
            try:
                self._sealer.seal(self._writer.connection, group.drafts, now=self._clock.now())
                await self._writer.commit()
            except BaseException as error:
                self._sealer.forget()
                self._writer.rollback()
                group.done.set_exception(error)
                if not isinstance(error, Exception):
                    raise
                log.error("a commit failed and was rolled back: %s", error)
                return
        group.done.set_result(None)
        # Whoever is woken looks for work in a transaction: one without a change wakes nobody.
        if self._writer.changes != group.changes_before:
            for listener in self._listeners:
                listener()


def verify_file(path: Path, privacy: Privacy = UNKEYED) -> Verdict:
    """Verify the ledger in a database file, whoever may have it open.

    Raises:
        Unreadable: it is no database of ours at all.
    """
    return _looked_at(path, lambda c: ledger.check(c, privacy))


def read_entries(
    path: Path, privacy: Privacy = UNKEYED, *, incident: str, last: int
) -> Sequence[Mapping[str, object]]:
    """Return the newest entries of a database file as plain objects, oldest first.

    Raises:
        Unreadable: it is no database of ours at all, or an entry is not JSON.
    """
    return _looked_at(path, lambda c: ledger.shown(c, privacy, incident=incident, last=last))


def _looked_at(path: Path, look: Callable[[Connection], T]) -> T:
    engine = reading_engine(path)
    try:
        with engine.connect() as connection:  # what it began is rolled back, never committed
            return look(connection)
    except DatabaseError as error:
        raise Unreadable(str(path), f"cannot be read: {error.orig}") from None
    except RawError as error:
        raise Unreadable(str(path), f"cannot be read: {error}") from None
    finally:
        engine.dispose()
