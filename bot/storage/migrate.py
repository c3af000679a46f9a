"""Bring a database's schema up to date with Alembic, at start-up."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from sqlalchemy import Connection

from bot.domain.errors import TocsinError

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"

# The newest revision, so that a start on a current database need not load
# Alembic. Tests hold it and what came before it against the migrations folder.
HEAD = "0004"
KNOWN = ("0001", "0002", "0003", HEAD)


class UnknownSchema(TocsinError):
    """A database of a version of Tocsin that this one does not know."""


def migrate(connection: Connection, alone: AbstractContextManager[object]) -> None:
    """Upgrade to the newest revision, in one transaction; a database that has it is left alone.

    `alone` begins that transaction once no other process is in one, and ends it:
    two may start at once, and the second then finds nothing to do.

    Raises:
        UnknownSchema: the database is newer than this program.
    """
    if revision(connection) == HEAD:
        return
    from alembic import command  # noqa: PLC0415  # only needed on the first start
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    with alone:
        found = revision(connection)
        if found is not None and found not in KNOWN:
            raise UnknownSchema(
                f"the database has revision {found}, this program knows {HEAD}: "
                "it was used by a newer Tocsin"
            )
        command.upgrade(config, HEAD)


def revision(connection: Connection) -> str | None:
    """Return the revision a database has, or None for an empty one."""
    if connection.exec_driver_sql(_TABLE[connection.dialect.name]).scalar() is None:
        return None
    row = connection.exec_driver_sql("SELECT version_num FROM alembic_version").first()
    return None if row is None else str(row[0])


_TABLE = {
    "sqlite": "SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'",
    "postgresql": "SELECT to_regclass('alembic_version')",
}
