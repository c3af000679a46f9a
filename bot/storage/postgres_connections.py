"""How connections to PostgreSQL are made, kept and shared by those who read."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus

from bot.storage.postgres_rows import POSTGRES, PostgresLook, PostgresRows, prepare, telling

# Seconds, milliseconds for the last: a server that is gone without a word is
# noticed, and what the URL says is preferred.
_DEFAULTS: dict[str, Any] = {
    "application_name": "tocsin",
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
_SESSION = """
SET timezone = 'UTC';
SET standard_conforming_strings = on;
SET lock_timeout = '{lock:g}s';
SET idle_in_transaction_session_timeout = '{idle:g}s';
SELECT set_config('synchronous_commit', 'on', false)
 WHERE current_setting('synchronous_commit') = 'off'
"""
_VIEW = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
LOOKING_SECONDS = 60.0  # for which a view may stand idle
MOST_READERS = 16
WAIT_SECONDS = 10.0
_IDLE_LOOKS = 4

AsyncConnection = psycopg.AsyncConnection[Any]
Connection = psycopg.Connection[Any]


def conninfo(url: str) -> str:
    """Return what psycopg is told to connect to.

    Raises:
        psycopg.ProgrammingError: it is no URL of a PostgreSQL database.
    """
    given = conninfo_to_dict(url)
    return make_conninfo(url, **{k: v for k, v in _DEFAULTS.items() if k not in given})


async def connect(url: str, *, lock: float, idle: float) -> AsyncConnection:
    """Connect for the event loop, with its limits for waiting in seconds."""
    with telling("connecting"):
        connection = await psycopg.AsyncConnection.connect(conninfo(url), autocommit=True)
        prepare(connection)
        await connection.execute(_session(lock, idle))
    return connection


def connect_thread(url: str, *, lock: float, idle: float) -> Connection:
    """Connect for a thread, with its limits for waiting in seconds."""
    connection = psycopg.connect(conninfo(url), autocommit=True)
    prepare(connection)
    connection.execute(_session(lock, idle))
    return connection


def _session(lock: float, idle: float) -> Any:
    return _SESSION.format(lock=lock, idle=idle)


class Readers:
    """Views of the last committed state, for the event loop; so many at a time."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._idle: deque[AsyncConnection] = deque()
        self._free = asyncio.Semaphore(MOST_READERS)

    @asynccontextmanager
    async def view(self) -> AsyncIterator[PostgresRows]:
        """Open a view; it stands until the block is left.

        Raises:
            sqlalchemy.exc.DBAPIError: the database cannot be reached, or nobody gave
                a connection back for too long.
        """
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._free.acquire()
        except TimeoutError:
            busy = psycopg.OperationalError("every connection for reading is in use")
            raise POSTGRES.told("reading", None, busy) from None
        try:
            connection = await self._begun()
            try:
                yield PostgresRows(connection)
            finally:
                await self._given_back(connection)
        finally:
            self._free.release()

    async def close(self) -> None:
        """Let go of every connection that is not in use."""
        while self._idle:
            await self._idle.pop().close()

    async def _begun(self) -> AsyncConnection:
        while self._idle:
            connection = self._idle.pop()
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    await connection.execute(_VIEW)
            except (psycopg.Error, TimeoutError):  # restarted meanwhile, or cut off
                await _closed(connection)
            else:
                return connection
        connection = await connect(self._url, lock=WAIT_SECONDS, idle=LOOKING_SECONDS)
        with telling(_VIEW):
            await connection.execute(_VIEW)
        return connection

    async def _given_back(self, connection: AsyncConnection) -> None:
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await connection.execute("ROLLBACK")
        except (psycopg.Error, TimeoutError):
            await _closed(connection)
            return
        except asyncio.CancelledError:
            await _closed(connection)
            raise
        self._idle.append(connection)


async def _closed(connection: AsyncConnection) -> None:
    with contextlib.suppress(psycopg.Error):
        await connection.close()


class Looks:
    """Views of the last committed state, for threads."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._idle: deque[Connection] = deque()

    @contextmanager
    def look(self) -> Iterator[PostgresLook]:
        """Open a view; it stands until the block is left."""
        connection = self._begun()
        try:
            yield PostgresLook(connection)
        finally:
            self._given_back(connection)

    def close(self) -> None:
        """Let go of every connection that is not in use."""
        while self._idle:
            self._idle.pop().close()

    def _begun(self) -> Connection:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                break
            try:
                connection.execute(_VIEW)
            except psycopg.Error:
                connection.close()
            else:
                return connection
        connection = connect_thread(self._url, lock=WAIT_SECONDS, idle=LOOKING_SECONDS)
        connection.execute(_VIEW)
        return connection

    def _given_back(self, connection: Connection) -> None:
        with contextlib.suppress(psycopg.Error):
            connection.execute("ROLLBACK")
        idle = connection.info.transaction_status is TransactionStatus.IDLE
        if idle and len(self._idle) < _IDLE_LOOKS:
            self._idle.append(connection)
        else:
            connection.close()
