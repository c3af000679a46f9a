"""Statements that never change, turned into SQL text once.

SQLAlchemy writes the text, names the order of the values, and says how each
value goes in and comes out; what it does around every single execution costs
several times what SQLite itself takes. A prepared statement goes to the driver
directly, on the same connection and within the same transaction.
"""

from __future__ import annotations

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import Connection, Select
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.base import Executable
from sqlalchemy.types import TypeEngine

Values: TypeAlias = Mapping[str, Any]

_Convert: TypeAlias = Callable[[Any], Any]
_DIALECT = SQLiteDialect_pysqlite(dbapi=sqlite3)


@dataclass(frozen=True)
class _Text:
    """SQL with the values it takes, in order: their names, and how they go in."""

    sql: str
    given: tuple[tuple[str, _Convert | None], ...]
    known: Values

    def ordered(self, values: Values) -> list[Any]:
        if self.known:
            values = {**self.known, **values}
        return [values[name] if put is None else put(values[name]) for name, put in self.given]


def driver(connection: Connection) -> sqlite3.Connection:
    """Return the driver's own connection, which is in the same transaction."""
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)  # noqa: S101  # the driver of these engines
    return raw


class Prepared:
    """One statement for all connections.

    The names of the values belong to an INSERT: they say which columns it sets.
    So there is one text for each set of names it is executed with.
    """

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._texts: dict[tuple[str, ...], _Text] = {}
        self._row: Callable[..., Any] = tuple
        self._taken: tuple[_Convert | None, ...] = ()
        if isinstance(statement, Select):
            columns = statement.selected_columns
            self._row = namedtuple("Row", columns.keys())  # type: ignore[misc]  # names are data
            self._taken = tuple(_taker(column.type) for column in columns)

    def execute(self, connection: sqlite3.Connection, values: Values) -> sqlite3.Cursor:
        """Execute the statement.

        Raises:
            sqlalchemy.exc.DBAPIError: as SQLAlchemy raises it itself.
        """
        text = self._text(values)
        parameters = text.ordered(values)
        try:
            return connection.execute(text.sql, parameters)
        except sqlite3.Error as error:
            raise _told(text.sql, parameters, error) from error

    def execute_many(self, connection: sqlite3.Connection, many: Sequence[Values]) -> None:
        """Execute the statement for each of some values, at least one, all with the same names."""
        text = self._text(many[0])
        parameters = [text.ordered(values) for values in many]
        try:
            connection.executemany(text.sql, parameters)
        except sqlite3.Error as error:
            raise _told(text.sql, parameters, error) from error

    def all(self, connection: sqlite3.Connection, values: Values) -> list[Any]:
        """Return every row of a SELECT, its columns as attributes."""
        return [self._converted(row) for row in self.execute(connection, values).fetchall()]

    def _converted(self, row: Sequence[Any]) -> Any:
        pairs = zip(row, self._taken, strict=True)
        return self._row(*(value if take is None else take(value) for value, take in pairs))

    def _text(self, values: Values) -> _Text:
        names = tuple(values)
        text = self._texts.get(names)
        if text is None:
            text = self._texts[names] = _compiled(self._statement, names)
        return text


def _compiled(statement: Executable, names: tuple[str, ...]) -> _Text:
    compiled = statement.compile(dialect=_DIALECT, column_keys=list(names))  # type: ignore[attr-defined]  # of every ClauseElement
    order: list[str] = compiled.positiontup
    given = tuple((name, _putter(compiled.binds[name].type)) for name in order)
    known = {
        name: compiled.params[name]
        for name in order
        if name not in names and not compiled.binds[name].required
    }
    return _Text(sql=str(compiled), given=given, known=known)


def _putter(type_: TypeEngine[Any]) -> _Convert | None:
    return type_.dialect_impl(_DIALECT).bind_processor(_DIALECT)


def _taker(type_: TypeEngine[Any]) -> _Convert | None:
    return type_.dialect_impl(_DIALECT).result_processor(_DIALECT, None)


def _told(sql: str, parameters: Any, error: sqlite3.Error) -> BaseException:
    return DBAPIError.instance(sql, parameters, error, sqlite3.Error, dialect=_DIALECT)
