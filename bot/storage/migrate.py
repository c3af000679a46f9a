"""Bring a database's schema up to date with Alembic, at start-up."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine, inspect, text

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"

# The newest revision, so that a start on a current database need not load
# Alembic. A test holds it against the migrations folder.
HEAD = "0001"


def migrate(engine: Engine) -> None:
    """Upgrade to the newest revision; a database that has it is left alone."""
    with engine.connect() as connection:
        if revision(engine) == HEAD:
            return
        from alembic import command  # noqa: PLC0415  # only needed on the first start
        from alembic.config import Config  # noqa: PLC0415

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, HEAD)
        connection.commit()


def revision(engine: Engine) -> str | None:
    """Return the revision a database has, or None for an empty one."""
    if not inspect(engine).has_table("alembic_version"):
        return None
    with engine.connect() as connection:
        value = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return str(value) if value is not None else None
