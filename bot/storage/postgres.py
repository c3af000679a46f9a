"""PostgreSQL as the store of a fleet of equal bots: the same code, by URL alone.

Everything that is written goes over one connection of each process and in
groups, as on the embedded database; bots take turns by an advisory lock
(`postgres_writer.py` says why). Whoever reads has a connection of a pool. A
pooler in between has to leave a session with its server (session pooling).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Literal, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool
from typing_extensions import override

from bot.domain.audits import Verdict
from bot.domain.errors import Unreadable
from bot.ports import Clock, Privacy, Transaction
from bot.storage import ledger
from bot.storage.archive import StoredArchive
from bot.storage.groups import GroupCommit
from bot.storage.ledger import UNKEYED
from bot.storage.migrate import migrate
from bot.storage.postgres_connections import Looks, Readers, connect, connect_thread
from bot.storage.postgres_derived import derive
from bot.storage.postgres_vectors import PostgresEmbeddings
from bot.storage.postgres_writer import BUSY_SECONDS, MIGRATING, PostgresWriter
from bot.storage.rows import Look, Rows
from bot.storage.transaction import StoredTransaction

T = TypeVar("T")

MIGRATION_SECONDS = 600.0  # for which a start waits for another's migration


class PostgresDatabase(GroupCommit):
    """The store of everything that a restart may not lose, on a server.

    `privacy` encrypts what the ledger says of people.
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        privacy: Privacy = UNKEYED,
        *,
        nearest: Literal["memory", "database"] = "memory",
    ) -> None:
        super().__init__(clock, privacy)
        self._url = url
        self._nearest = nearest
        self._opened: PostgresWriter | None = None
        self._readers: Readers | None = None
        self._looks = Looks(url)
        self._archive = StoredArchive(self._looks.look, privacy)

    def open(self) -> None:
        """Bring the schema up to date; connections are made when they are needed.

        Raises:
            Unreadable: the database cannot be reached, or does not store text as UTF-8.
        """
        engine = create_engine("postgresql+psycopg://", creator=self._migrating, poolclass=NullPool)
        try:
            with engine.connect() as connection:
                migrate(connection, _alone(connection))
                if self._nearest == "database":
                    derive(_raw(connection))
        except DBAPIError as error:
            raise Unreadable(shown(self._url), f"cannot be used: {one_line(error.orig)}") from None
        except psycopg.Error as error:
            raise Unreadable(shown(self._url), f"cannot be used: {one_line(error)}") from None
        finally:
            engine.dispose()
        self._opened, self._readers = PostgresWriter(self._url), Readers(self._url)

    def _migrating(self) -> psycopg.Connection[object]:
        connection = connect_thread(self._url, lock=MIGRATION_SECONDS, idle=MIGRATION_SECONDS)
        connection.autocommit = False
        encoding = connection.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            connection.close()
            reason = f"its encoding is {encoding}; make a database whose encoding is UTF8"
            raise Unreadable(shown(self._url), reason)
        return connection

    async def close(self) -> None:
        """Finish the commits under way and let go of every connection."""
        await self.finish()
        await self._archive.finish()
        if self._opened is not None and self._readers is not None:
            await self._opened.close()
            await self._readers.close()
        self._looks.close()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Transaction]:
        """Open a view of the last committed state; nothing may be written in it."""
        if self._readers is None:
            raise RuntimeError("the database is not open")
        async with self._readers.view() as rows:
            yield self._over(rows)

    async def purge(self) -> None:
        """Leave no erased row in the table of entries.

        The server's own copies, its write-ahead log among them, are its
        administrators' affair; what they hold of an erased person stays encrypted
        under a key that is gone.
        """
        connection = await connect(self._url, lock=BUSY_SECONDS, idle=BUSY_SECONDS)
        try:
            await connection.execute("VACUUM ledger_entries")
        finally:
            await connection.close()

    @property
    def archive(self) -> StoredArchive:
        """Return the ledger as it stands, to be read and proven."""
        return self._archive

    @override
    def _over(self, rows: Rows) -> StoredTransaction:
        return StoredTransaction(rows, self._privacy, PostgresEmbeddings)

    @property
    @override
    def _writer(self) -> PostgresWriter:
        if self._opened is None:
            raise RuntimeError("the database is not open")
        return self._opened


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    connection.rollback()  # ends what looking at the revision began
    with connection.begin():
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATING})")
        yield


def _raw(connection: Connection) -> psycopg.Connection[Any]:
    connection.rollback()  # ends what looking at the revision began
    raw = connection.connection.driver_connection
    assert isinstance(raw, psycopg.Connection)  # noqa: S101  # the driver of this engine
    return raw


def shown(url: str) -> str:
    """Return a URL for people: which server and database, without any secret."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.Error:
        return "postgresql://…"
    host, port = parts.get("host") or "localhost", parts.get("port")
    return f"postgresql://{host}{f':{port}' if port else ''}/{parts.get('dbname') or ''}"


def one_line(error: BaseException | None) -> str:
    """Return the first line of what a server or the driver says."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def verify_url(url: str, privacy: Privacy = UNKEYED) -> Verdict:
    """Verify the ledger in a database, whoever may have it open.

    Raises:
        Unreadable: it cannot be reached, or is none of ours.
    """
    return _looked_at(url, lambda look: ledger.check(look, privacy))


def entries_at(
    url: str, privacy: Privacy = UNKEYED, *, incident: str, last: int
) -> Sequence[Mapping[str, object]]:
    """Return the newest entries of a database as plain objects, oldest first.

    Raises:
        Unreadable: it cannot be reached, is none of ours, or an entry is not JSON.
    """
    return _looked_at(url, lambda look: ledger.shown(look, privacy, incident=incident, last=last))


def _looked_at(url: str, question: Callable[[Look], T]) -> T:
    looks = Looks(url)
    try:
        with looks.look() as look:
            return question(look)
    except psycopg.Error as error:
        raise Unreadable(shown(url), f"cannot be read: {one_line(error)}") from None
    finally:
        looks.close()
