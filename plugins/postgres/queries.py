"""`postgres.query@1`: one reviewed question to a database, which can only read.

The text is declared as a cursor by the extended protocol, in a transaction that
is read-only. So it is one statement, and one that returns rows: a cursor takes
SELECT and VALUES, with no part that writes, and never COMMIT, DO, CALL or COPY,
by which other statements leave a read-only transaction. What functions do
outside of transactions (end a session, read a file) no transaction holds back:
the usual ones are refused by name, and the rights of the role decide.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from bot.domain.actions import JSON, ActionCall, ActionFailed, ActionResult, Output
from plugins.postgres.places import Place, place
from plugins.postgres.sessions import Connection, look, read_only

MOST_ROWS = 100
_LONGEST_CELL = 1_000
_SAFE_INTEGER = 2**53 - 1  # RFC 8785 and JSON in general hold no more exactly

ARGUMENTS: Mapping[str, JSON] = {
    "type": "object",
    "properties": {
        "database": {"type": "string", "minLength": 1, "maxLength": 100},
        "query": {"type": "string", "minLength": 1, "maxLength": 8000},
        "parameters": {
            "type": "object",
            "maxProperties": 20,
            "propertyNames": {"pattern": "^[a-z_][a-z0-9_]{0,39}$"},
            "additionalProperties": {
                "type": ["string", "number", "boolean", "null"],
                "maxLength": 1000,
            },
        },
    },
    "required": ["database", "query"],
    "additionalProperties": False,
}

_PLACEHOLDER = re.compile(r"%\(([a-z_][a-z0-9_]*)\)s")
# Functions that act though the transaction is read-only. Not a wall: a reminder to who reviews.
_ACTING = re.compile(
    r"\b(pg_terminate_backend|pg_cancel_backend|pg_reload_conf|pg_rotate_logfile|pg_promote"
    r"|pg_switch_wal|pg_create_restore_point|pg_wal_replay_(?:pause|resume)|pg_backup_\w+"
    r"|pg_(?:try_)?advisory\w*|pg_notify|pg_(?:create|drop|copy)_\w*slot\w*|pg_stat_reset\w*"
    r"|pg_stat_statements_reset|pg_replication_origin_\w+|pg_logical_\w+|pg_read_\w*file\w*"
    r"|pg_ls_\w+|pg_file_\w+|lo_\w+|set_config|setval|nextval"
    # These run a text as a query, which may call the others under a name put together.
    r"|dblink\w*|(?:query|cursor|table|schema|database)_to_xml\w*|ts_stat|ts_rewrite|crosstab\w*"
    # A comment may stand before the bracket.
    r')"?\s*(?:\(|--|/\*)',
    re.IGNORECASE,
)
_ESCAPED = re.compile(r"\bU&[\"']", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Table:
    """The rows that came back; `cut` says that there were more."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    cut: bool


class Queries:
    """Asks listed databases. `timeout` is in seconds, `largest` in bytes of cells."""

    def __init__(self, places: Mapping[str, Place], *, timeout: float, largest: int) -> None:
        self._places = places
        self._timeout = timeout
        self._largest = largest

    async def query(self, call: ActionCall) -> ActionResult:
        """Ask a listed database with one SELECT, in a read-only transaction.

        `parameters` are bound by the server where the query says `%(name)s`; any
        other `%` stands for itself. At most 100 rows are read. The value is the
        first column of the first row, where it is a number (true is 1). The role
        may not be a superuser, and the server ends the query when its time is over.
        """
        where = place(self._places, call.arguments["database"])
        text, parameters = bound(call.arguments["query"], call.arguments.get("parameters", {}))
        timeout = min(call.timeout, self._timeout)

        async def work(connection: Connection) -> Table:
            if connection.info.parameter_status("is_superuser") == "on":
                raise ActionFailed(
                    f'the role of database "{where.name}" is a superuser; give it one that reads'
                )
            await connection.execute(read_only(timeout))
            return await self._read(connection, text, parameters)

        table = await look(where, work, timeout=timeout)
        for line in (table.columns, *table.rows):
            call.report(Output(line=" | ".join(_shown(cell) for cell in line)))
        return _result(table)

    async def _read(
        self, connection: Connection, text: str, parameters: Mapping[str, JSON]
    ) -> Table:
        rows: list[Sequence[Any]] = []
        size = 0
        async with connection.cursor(name="page") as cursor:
            await cursor.execute(text.encode(), parameters)
            columns = [column.name for column in cursor.description or ()]
            # One at a time: what the next one holds is not in memory before the last is counted.
            while row := await cursor.fetchone():
                size += sum(len(str(cell)) for cell in row)
                if len(rows) == MOST_ROWS or size > self._largest:
                    return Table(columns=columns, rows=rows, cut=True)
                rows.append(row)
        return Table(columns=columns, rows=rows, cut=False)


def bound(query: str, parameters: Mapping[str, JSON]) -> tuple[str, Mapping[str, JSON]]:
    """Return the query as psycopg takes it, with every `%` that is no placeholder doubled.

    Raises:
        ActionFailed: it acts, or its placeholders and its parameters do not fit.
    """
    if _ESCAPED.search(query):
        raise ActionFailed(
            'names and texts with escapes (U&"…") may hide what acts; write them out'
        )
    if acting := _ACTING.search(query):
        raise ActionFailed(f"{acting[1]} does more than read; this action only reads")
    wanted = set(_PLACEHOLDER.findall(query))
    if missing := sorted(wanted - parameters.keys()):
        raise ActionFailed(f"the query needs the parameter {missing[0]}, which is not given")
    if unused := sorted(parameters.keys() - wanted):
        raise ActionFailed(f"the query does not use the parameter {unused[0]}")
    parts = _PLACEHOLDER.split(query)
    parts[::2] = [part.replace("%", "%%") for part in parts[::2]]
    parts[1::2] = [f"%({name})s" for name in parts[1::2]]
    return "".join(parts), parameters


def _result(table: Table) -> ActionResult:
    first = table.rows[0][0] if table.rows and table.rows[0] else None
    value = number(first)
    count = f"{len(table.rows)}{' and more' if table.cut else ''}"
    rows = f"{count} row{'' if count == '1' else 's'}"
    shown = f"; the first says {_shown(first)}" if first is not None else ""
    return ActionResult(
        summary=f"{rows}{shown}",
        value=value,
        data={
            "columns": list(table.columns),
            "rows": [[_cell(cell) for cell in row] for row in table.rows],
            "cut": table.cut,
        },
    )


def number(cell: Any) -> float | None:
    """Return a cell as a number; true is 1, and what is not finite is none."""
    if not isinstance(cell, bool | int | float | Decimal):
        return None
    try:
        found = float(cell)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def _cell(cell: Any) -> JSON:
    """Return a cell as JSON holds it; what JSON has no word for becomes text."""
    if cell is None or isinstance(cell, bool):
        return cell
    if isinstance(cell, int) and abs(cell) <= _SAFE_INTEGER:
        return cell
    if isinstance(cell, float | Decimal) and (found := number(cell)) is not None:
        return found
    return str(cell)[:_LONGEST_CELL]


def _shown(cell: Any) -> str:
    return "" if cell is None else " ".join(str(cell).split())[:_LONGEST_CELL]
