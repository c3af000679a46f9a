"""Alembic's entry: run migrations on the connection the application hands over.

By hand: `alembic revision --autogenerate -m "…"` uses the database named by
`-x url=sqlite:///path` or `-x url=postgresql+psycopg://…`, with the settings in pyproject.toml.
"""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, create_engine
from sqlmodel import SQLModel

from bot.storage.tables import belongs


def run(connection: Connection) -> None:
    """Run the migrations in one transaction."""
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        include_object=belongs(connection.dialect.name),
        render_as_batch=True,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    url = context.get_x_argument(as_dictionary=True).get("url", "sqlite:///var/tocsin.db")
    with create_engine(url).connect() as opened:
        run(opened)
        opened.commit()
