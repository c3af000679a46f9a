"""INSERT … ON CONFLICT: what to add, and what to do where the key is taken.

Both databases know it, but SQLAlchemy writes it with a construct for each. An
`Upsert` only says what is meant, so that a repository names no database and
loads the dialect of none.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Dialect
from sqlalchemy.sql.base import Executable
from sqlmodel import SQLModel


class Upsert:
    """Adds rows to a table; where `key` is taken it sets `update`, or changes nothing.

    Without any column to update a taken key of any kind is passed over, which the
    row count tells: it is 0.
    """

    def __init__(
        self, row: type[SQLModel], *, key: tuple[str, ...] = (), update: tuple[str, ...] = ()
    ) -> None:
        if bool(key) != bool(update):
            raise ValueError("a key and the columns to update come together")
        self._row = row
        self._key = key
        self._update = update

    def statement(self, dialect: Dialect) -> Executable:
        """Return the statement as a dialect has it."""
        insert: Any = _insert_of(dialect.name)(self._row)
        if not self._update:
            insert = insert.on_conflict_do_nothing()
        else:
            new = {name: insert.excluded[name] for name in self._update}
            insert = insert.on_conflict_do_update(index_elements=list(self._key), set_=new)
        made: Executable = insert
        return made


def _insert_of(name: str) -> Any:
    if name == "sqlite":
        from sqlalchemy.dialects.sqlite import insert as sqlite_insert  # noqa: PLC0415

        return sqlite_insert
    from sqlalchemy.dialects.postgresql import insert  # noqa: PLC0415  # only where it is used

    return insert
