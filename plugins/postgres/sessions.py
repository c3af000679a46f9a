"""One connection for one question: its limits, its end, and what its errors mean."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias, TypeVar

import psycopg

from bot.domain.actions import ActionFailed, OutcomeUnknown, Transient
from plugins.postgres.places import Place

Connection: TypeAlias = psycopg.AsyncConnection[tuple[Any, ...]]
Work: TypeAlias = Callable[[Connection], Awaitable[Any]]
T = TypeVar("T")

APPLICATION = "tocsin"
LAST_WORDS = 2.0  # seconds in which the server is told to stop a query nobody waits for
TRANSIENT = frozenset(
    {Transient.UNREACHABLE, Transient.TIMEOUT, Transient.CONFLICT, Transient.UNAVAILABLE}
)

_LONGEST_REASON = 300
# Classes and codes of SQLSTATE, PostgreSQL's manual, appendix A.
_BY_STATE = {
    "57014": Transient.TIMEOUT,  # query_canceled, which is statement_timeout's
    "55P03": Transient.TIMEOUT,  # lock_not_available, which is lock_timeout's
    "25P03": Transient.TIMEOUT,  # idle_in_transaction_session_timeout
    "40001": Transient.CONFLICT,  # serialization_failure, also a conflict with recovery
    "40P01": Transient.CONFLICT,  # deadlock_detected
    "57P01": Transient.UNAVAILABLE,  # admin_shutdown
    "57P02": Transient.UNAVAILABLE,  # crash_shutdown
    "57P03": Transient.UNAVAILABLE,  # cannot_connect_now
    "53300": Transient.UNAVAILABLE,  # too_many_connections
}
# While connecting there is no SQLSTATE, only what the server says.
_BUSY = ("too many", "reserved for", "starting up", "shutting down", "recovery")


async def look(place: Place, work: Callable[[Connection], Awaitable[T]], *, timeout: float) -> T:
    """Ask a database something; `timeout` is in seconds, and the server knows it too.

    Raises:
        ActionFailed: it could not be reached, said no, or did not answer in time.
    """
    try:
        return await within(_connected(place, work, timeout=timeout), timeout=timeout)
    except TimeoutError as late:
        reason = f'database "{place.name}" gave no answer in {timeout:g} s'
        raise ActionFailed(reason, transient=Transient.TIMEOUT) from late
    except psycopg.Error as error:
        raise failure(place, error) from error
    except UnicodeError as error:
        raise ActionFailed("the query or a parameter is not text that can be sent") from error


async def change(place: Place, work: Callable[[Connection], Awaitable[T]], *, timeout: float) -> T:
    """Ask a database for a change; `timeout` is in seconds.

    Raises:
        ActionFailed: nothing was changed.
        OutcomeUnknown: something may have been.
    """
    try:
        return await within(_connected(place, work, timeout=timeout), timeout=timeout)
    except TimeoutError as late:
        raise OutcomeUnknown(f'database "{place.name}" gave no answer in {timeout:g} s') from late
    except psycopg.Error as error:
        failed = failure(place, error)
        # Without a code the connection was lost, and the answer with it. So it was for class
        # 08, which a pooler says in the server's place. Classes 57 (an operator's
        # intervention), 58 and XX (the server's own faults) may come right behind the effect.
        if error.sqlstate is None or error.sqlstate[:2] in ("08", "57", "58", "XX"):
            raise OutcomeUnknown(failed.reason) from error
        raise failed from error


async def within(work: Coroutine[Any, Any, T], *, timeout: float) -> T:
    """Wait for work on a connection, and have it stopped on the server if it is given up.

    psycopg cancels the query of a task that is cancelled, and waits for up to ten
    seconds; cancelled once more, it lets go of the connection at once. A server
    that hears neither still has its `statement_timeout`.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=timeout)
        if task.done():
            return task.result()
        raise TimeoutError
    finally:
        for _ in range(2):
            if not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=LAST_WORDS)


async def _connected(
    place: Place, work: Callable[[Connection], Awaitable[T]], *, timeout: float
) -> T:
    connection = await _connect(place, timeout=timeout)
    try:
        return await work(connection)
    finally:
        await connection.close()


async def _connect(place: Place, *, timeout: float) -> Connection:
    """Open a session that cannot write, whatever it is asked.

    A pooler that ignores `options` is made up for in each transaction.
    """
    listed = place.listed
    try:
        return await psycopg.AsyncConnection.connect(
            host=listed.host,
            port=listed.port,
            dbname=listed.dbname,
            user=listed.user,
            password=place.password or None,
            sslmode=listed.sslmode,
            sslrootcert=listed.authorities,
            gssencmode="disable",
            application_name=APPLICATION,
            connect_timeout=max(2, int(timeout)),  # libpq knows no less than 2 s
            options=" ".join(f"-c {name}={value}" for name, value in _limits(timeout).items()),
            autocommit=True,
        )
    except psycopg.Error as error:
        raise _unreached(place, error) from error


def _limits(timeout: float) -> dict[str, str]:
    milliseconds = str(max(1, int(timeout * 1000)))
    return {
        "default_transaction_read_only": "on",
        "statement_timeout": milliseconds,
        "lock_timeout": milliseconds,
        "idle_in_transaction_session_timeout": milliseconds,
    }


def read_only(timeout: float) -> bytes:
    """Return the statements that begin a transaction in which nothing can be written."""
    limits = "; ".join(f"SET LOCAL {name} = {value}" for name, value in _limits(timeout).items())
    return f"BEGIN TRANSACTION READ ONLY; {limits}".encode()


def failure(place: Place, error: psycopg.Error) -> ActionFailed:
    """Say in one sentence what a database answered, and whether it may answer otherwise later."""
    if error.sqlstate is None:
        reason = f'the connection to database "{place.name}" broke off ({type(error).__name__})'
        lost = isinstance(error, psycopg.OperationalError)
        return ActionFailed(reason, transient=Transient.UNREACHABLE if lost else None)
    said = error.diag.message_primary or type(error).__name__
    reason = f'database "{place.name}" says: {_one_line(said)} ({error.sqlstate})'
    return ActionFailed(reason, transient=_BY_STATE.get(error.sqlstate))


def _unreached(place: Place, error: psycopg.Error) -> ActionFailed:
    said = str(error)
    _, fatal, reason = said.partition("FATAL:")
    if not fatal:
        shown = f'database "{place.name}" cannot be reached ({_network(said)})'
        return ActionFailed(shown, transient=Transient.UNREACHABLE)
    busy = any(words in reason for words in _BUSY)
    shown = f'database "{place.name}" lets nobody in: {_one_line(reason)}'
    return ActionFailed(shown, transient=Transient.UNAVAILABLE if busy else None)


def _network(said: str) -> str:
    """Return the last part of libpq's sentence, which is the system's reason."""
    return _one_line(said.splitlines()[0].rpartition(": ")[2]) if said else "no reason given"


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_LONGEST_REASON]
