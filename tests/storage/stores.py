"""Both stores for tests: a file in a folder, or a database of its own on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import psycopg

from bot.ledger.subjects import SubjectKeys
from bot.storage.postgres import PostgresDatabase
from bot.storage.sqlite import SqliteDatabase
from tests.fakes import FakeClock
from tests.servers import Server, postgres_server
from tests.servers.databases import DEBIAN

Store: TypeAlias = SqliteDatabase | PostgresDatabase
STORES = ("sqlite", "postgres")


@dataclass
class Postgres:
    """A running server whose databases are made from one that is migrated already."""

    server: Server
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def url(self, name: str) -> str:
        """Return the URL of a database."""
        return f"postgresql://{self.server.user}@{self.server.host}:{self.server.port}/{name}"

    def fresh(self) -> str:
        """Make a database with an empty schema, and return its URL."""
        return self._made(f"fresh{next(self._numbers)}", "template0")

    def migrated(self) -> str:
        """Make a database with the newest schema, and return its URL."""
        return self._made(f"tocsin{next(self._numbers)}", "migrated")

    def prepare(self) -> None:
        """Make what `migrated` copies."""
        PostgresDatabase(
            self._made("migrated", "template0"), FakeClock(), nearest="database"
        ).open()

    def _made(self, name: str, template: str) -> str:
        with psycopg.connect(self.url(self.server.database), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name)


@contextmanager
def postgres(folder: Path, *, programs: Sequence[Path] = (), **settings: str) -> Iterator[Postgres]:
    """Run a PostgreSQL, perhaps one of other programs; skip the test where there is none."""
    with postgres_server(folder, programs=programs or DEBIAN, **settings) as server:
        running = Postgres(server)
        running.prepare()
        yield running


@asynccontextmanager
async def connected(
    url: str, keys: Path, clock: FakeClock | None = None
) -> AsyncIterator[PostgresDatabase]:
    """Open a database of PostgreSQL with the keys of a folder, and close it."""
    database = PostgresDatabase(url, clock or FakeClock(), SubjectKeys(keys), nearest="database")
    await asyncio.to_thread(database.open)
    try:
        yield database
    finally:
        await database.close()
