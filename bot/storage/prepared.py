"""Statements that never change, turned into SQL text once for each database.

SQLAlchemy writes the text, names the order of the values, and says how each
value goes in and comes out; what it does around every single execution costs
several times what SQLite itself takes. A prepared statement goes to the driver
directly, on the same connection and within the same transaction.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

from sqlalchemy import Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.base import Executable
from sqlalchemy.types import TypeEngine

from bot.storage.upserts import Upsert

Values: TypeAlias = Mapping[str, Any]

_Convert: TypeAlias = Callable[[Any], Any]


@dataclass(frozen=True, eq=False)
class Speech:
    """How a database is spoken to: its dialect, and the errors that its driver raises."""

    dialect: Dialect
    error: type[Exception]

    def told(self, sql: str, parameters: Any, error: Exception) -> BaseException:
        """Return a driver's error as SQLAlchemy raises it."""
        return DBAPIError.instance(sql, parameters, error, self.error, dialect=self.dialect)


@dataclass(frozen=True)
class Text:
    """SQL with the values it takes, in order: their names, and how they go in."""

    sql: str
    given: tuple[tuple[str, _Convert | None], ...]
    known: Values

    def ordered(self, values: Values) -> list[Any]:
        """Return values as the driver takes them."""
        if self.known:
            values = {**self.known, **values}
        return [values[name] if put is None else put(values[name]) for name, put in self.given]


@dataclass(frozen=True)
class _Shape:
    """What a row that comes back looks like, and how its values come out."""

    row: Callable[..., Any]
    taken: tuple[_Convert | None, ...]

    @cached_property
    def as_is(self) -> bool:
        """Say whether every value comes out as the driver returns it."""
        return not any(self.taken)

    def formed(self, row: Sequence[Any]) -> Any:
        if self.as_is:
            return self.row(*row)
        pairs = zip(row, self.taken, strict=True)
        return self.row(*(value if take is None else take(value) for value, take in pairs))


class Prepared:
    """One statement for all connections.

    The names of the values belong to an INSERT: they say which columns it sets.
    So there is one text for each set of names it is executed with.
    """

    def __init__(self, statement: Executable | Upsert) -> None:
        self._statement = statement
        self._texts: dict[tuple[Speech, tuple[str, ...]], Text] = {}
        self._shapes: dict[Speech, _Shape] = {}

    def text(self, speech: Speech, values: Values) -> Text:
        """Return the statement as a database takes it, for values of these names."""
        asked = (speech, tuple(values))
        text = self._texts.get(asked)
        if text is None:
            text = self._texts[asked] = _compiled(self._said(speech), speech, asked[1])
        return text

    def formed(self, speech: Speech, rows: Iterable[Sequence[Any]]) -> list[Any]:
        """Return rows that came back, their columns as attributes."""
        shape = self._shapes.get(speech)
        if shape is None:
            shape = self._shapes[speech] = _shape(self._said(speech), speech)
        return [shape.formed(row) for row in rows]

    def _said(self, speech: Speech) -> Executable:
        if isinstance(self._statement, Upsert):
            return self._statement.statement(speech.dialect)
        return self._statement


def _shape(statement: Any, speech: Speech) -> _Shape:
    columns = statement.exported_columns  # of a SELECT, or of what a RETURNING names
    row = namedtuple("Row", columns.keys())  # type: ignore[misc]  # names are data
    return _Shape(row=row, taken=tuple(_taker(column.type, speech) for column in columns))


def _compiled(statement: Any, speech: Speech, names: tuple[str, ...]) -> Text:
    compiled = statement.compile(
        dialect=speech.dialect,
        column_keys=list(names),
        compile_kwargs={"render_postcompile": True},
    )
    order: list[str] = compiled.positiontup
    binds = {name: _bind(compiled.binds, name) for name in order}
    given = tuple((name, _putter(binds[name].type, speech)) for name in order)
    known = {
        name: compiled.params[name]
        for name in order
        if name not in names and not binds[name].required
    }
    return Text(sql=str(compiled), given=given, known=known)


def _bind(binds: Mapping[str, Any], name: str) -> Any:
    """Return what a value belongs to; those of a list are named after it, with numbers."""
    while name and name not in binds:
        name = name.rpartition("_")[0]
    return binds[name]


def _putter(type_: TypeEngine[Any], speech: Speech) -> _Convert | None:
    return type_.dialect_impl(speech.dialect).bind_processor(speech.dialect)


def _taker(type_: TypeEngine[Any], speech: Speech) -> _Convert | None:
    return type_.dialect_impl(speech.dialect).result_processor(speech.dialect, None)
