"""`postgres.terminate@1`: end one session, the one that was seen and approved."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row

from bot.domain.actions import (
    JSON,
    ActionCall,
    ActionFailed,
    ActionResult,
    DryRun,
    Happened,
    OutcomeUnknown,
    Reconciliation,
    Transient,
)
from plugins.postgres.places import Place, place
from plugins.postgres.sessions import Connection, change, look

_POLL = 0.05  # seconds between two looks whether the session has ended
_SHOWN_QUERY = 200

ARGUMENTS: Mapping[str, JSON] = {
    "type": "object",
    "properties": {
        "database": {"type": "string", "minLength": 1, "maxLength": 100},
        "pid": {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
        "backend_start": {"type": "string", "minLength": 1, "maxLength": 40},
        "transaction_start": {"type": ["string", "null"], "maxLength": 40},
    },
    "required": ["database", "pid"],
    "additionalProperties": False,
}

_ISO = """to_char({} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
_STARTED = _ISO.format("a.backend_start")
_TRANSACTION = _ISO.format("a.xact_start")
_SEEN = f"""
    select a.pid, a.usename as "user", a.application_name as application, a.state,
           a.backend_type as kind, {_STARTED} as started, {_TRANSACTION} as transaction,
           extract(epoch from clock_timestamp() - a.xact_start)::float8 as age,
           a.query, coalesce(r.rolsuper, false) as superuser, a.pid = pg_backend_pid() as ours,
           a.datname = current_database() as here
    from pg_stat_activity a left join pg_roles r on r.oid = a.usesysid
    where a.pid = %(pid)s
"""  # noqa: S608  # made of constants
# All conditions stand beside the effect, so that nothing comes between look and signal but
# the instant in which PostgreSQL goes from its own list of sessions to the signal.
_END = f"""
    select pg_terminate_backend(a.pid)
    from pg_stat_activity a left join pg_roles r on r.oid = a.usesysid
    where a.pid = %(pid)s and {_STARTED} = %(started)s
      and {_TRANSACTION} is not distinct from %(transaction)s::text
      and a.backend_type = 'client backend' and a.datname = current_database()
      and a.usename::text = any(%(users)s) and not coalesce(r.rolsuper, false)
      and a.pid <> pg_backend_pid()
"""  # noqa: S608  # made of constants


@dataclass(frozen=True, kw_only=True)
class Backend:
    """A session as PostgreSQL shows it; `age` is that of its transaction, in seconds."""

    pid: int
    user: str | None
    application: str | None
    state: str | None
    kind: str | None
    started: str | None
    transaction: str | None
    age: float | None
    query: str | None
    superuser: bool
    ours: bool
    here: bool

    @property
    def shown(self) -> str:
        """Return a session in a few words."""
        application = f", {self.application}" if self.application else ""
        return f"session {self.pid} of {self.user}{application}"


class Backends:
    """Ends sessions of listed users in listed databases. `timeout` is in seconds."""

    def __init__(self, places: Mapping[str, Place], *, timeout: float) -> None:
        self._places = places
        self._timeout = timeout

    async def preview(self, call: ActionCall) -> DryRun:
        """Show whose session it is and what it does, and bind the effect to its transaction."""
        where = place(self._places, call.arguments["database"])
        backend = await self._seen(where, call)
        if backend is None:
            raise ActionFailed(f"there is no session {call.arguments['pid']}; it may have ended")
        if reason := _untouchable(backend, where):
            raise ActionFailed(reason)
        pinned = {"backend_start": backend.started, "transaction_start": backend.transaction}
        return DryRun(diff=_diff(backend), pinned=pinned, targets=(backend.shown,))

    async def terminate(self, call: ActionCall) -> ActionResult:
        """End one session of a listed user, and wait until it is gone.

        Its open transaction is rolled back and its client gets an error; this
        cannot be undone. Only the very session and transaction that the plan saw
        are touched: another transaction of it is another matter and is left
        alone. One that has ended by itself is no fault. Sessions of superusers,
        replication, background workers and our own are refused.
        """
        where = place(self._places, call.arguments["database"])
        started = call.arguments.get("backend_start")
        if started is None:
            raise ActionFailed("backend_start is missing: the plan was made without a dry run")
        pid, timeout = call.arguments["pid"], min(call.timeout, self._timeout)
        asked = {
            "pid": pid,
            "started": started,
            "transaction": call.arguments.get("transaction_start"),
            "users": list(where.listed.terminate),
        }

        async def work(connection: Connection) -> str:
            signalled = await (await connection.execute(_END.encode(), asked)).fetchone()
            if signalled is None:
                return self._left_alone(await _find(connection, pid), where, call)
            try:
                await _gone(connection, pid, started)
            except psycopg.Error as error:
                reason = f"session {pid} was told to end, and cannot be seen any more"
                raise OutcomeUnknown(reason) from error
            return f"session {pid} is ended"

        return ActionResult(summary=await change(where, work, timeout=timeout))

    def _left_alone(self, backend: Backend | None, where: Place, call: ActionCall) -> str:
        """Say why no session was touched.

        Raises:
            ActionFailed: what is there is not what was approved.
        """
        pid = call.arguments["pid"]
        if backend is None:
            return f"session {pid} had ended already"
        if reason := _untouchable(backend, where):
            raise ActionFailed(reason)
        if backend.started != call.arguments["backend_start"]:
            reason = f"{backend.shown} is another one than the plan saw; it was left alone"
        else:
            reason = f"{backend.shown} is in another transaction now; it was left alone"
        raise ActionFailed(reason, transient=Transient.CONFLICT)

    async def find(self, call: ActionCall) -> Reconciliation:
        """Look whether the session that the plan saw is still there."""
        where = place(self._places, call.arguments["database"])
        backend = await self._seen(where, call)
        started = call.arguments.get("backend_start")
        if backend is None or (started and backend.started and backend.started != started):
            detail = f"session {call.arguments['pid']} is gone"
            return Reconciliation(happened=Happened.YES, detail=detail)
        if started is None or backend.started is None:
            detail = f"{backend.shown} cannot be told from another"
            return Reconciliation(happened=Happened.UNKNOWN, detail=detail)
        # It may have been told to end and not have heard yet.
        detail = f"{backend.shown} is still there"
        return Reconciliation(happened=Happened.UNKNOWN, detail=detail)

    async def _seen(self, where: Place, call: ActionCall) -> Backend | None:
        async def work(connection: Connection) -> Backend | None:
            return await _find(connection, call.arguments["pid"])

        return await look(where, work, timeout=min(call.timeout, self._timeout))


async def _find(connection: Connection, pid: int) -> Backend | None:
    async with connection.cursor(row_factory=dict_row) as cursor:
        row: dict[str, Any] | None = await (
            await cursor.execute(_SEEN.encode(), {"pid": pid})
        ).fetchone()
    return Backend(**{**row, "here": bool(row["here"])}) if row else None


async def _gone(connection: Connection, pid: int, started: str) -> None:
    """Wait until a session is gone; the caller's timeout ends the wait."""
    while True:
        backend = await _find(connection, pid)
        if backend is None or backend.started != started:
            return
        await asyncio.sleep(_POLL)


def _untouchable(backend: Backend, where: Place) -> str | None:
    """Say why a session may not be ended, or None where it may."""
    if backend.ours:
        return "this is our own session"
    if backend.kind not in ("client backend", None):
        return f"process {backend.pid} is a {backend.kind}, not a client's session"
    if backend.superuser:
        return f"{backend.shown} is a superuser's, which is never ended from here"
    if not backend.here:
        return f'{backend.shown} is not in database "{where.name}"'
    if backend.user not in where.listed.terminate:
        return f"{backend.user} is not in plugins.postgres.databases.{where.name}.terminate"
    if backend.started is None:
        return f"{backend.shown} is hidden from this role; grant it pg_read_all_stats"
    return None


def _diff(backend: Backend) -> str:
    age = f", its transaction {backend.age:.0f} s old" if backend.age is not None else ""
    return (
        f"- {backend.shown}: {backend.state or 'in an unknown state'}{age}\n"
        f"  last query: {without_values(backend.query or '')}\n"
        "  its transaction is rolled back, and its client gets an error"
    )


_VALUES = re.compile(
    r"""
      (?P<name>"(?:[^"]|"")*(?:"|\Z))                  # a quoted name, which is kept
    | \$(?P<tag>[A-Za-z_]*)\$.*?(?:\$(?P=tag)\$|\Z)   # $$text$$, also cut off
    | \b[eE]'(?:[^'\\]|''|\\.)*(?:'|\Z)              # E'text\'s', also cut off
    | '(?:[^']|'')*(?:'|\Z)                           # 'text', also cut off
    | --[^\n]* | /\*.*?(?:\*/|\Z)                     # comments hold anything
    | (?<![\w.$])[+-]?\d[\d.]*(?:[eE][+-]?\d+)?\w*   # numbers
    """,
    re.VERBOSE | re.DOTALL,
)


def without_values(query: str) -> str:
    """Return the beginning of a query without its values, which may be people's data."""
    hidden = _VALUES.sub(lambda found: found["name"] or "…", query[:10_000])
    return " ".join(hidden.split())[:_SHOWN_QUERY]
