"""A database in a folder, and what the tests put into it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from sqlalchemy import text

from bot.domain.ledger import Entry
from bot.ledger.subjects import SubjectKeys
from bot.ports import Transaction
from bot.storage.sqlite import SqliteDatabase
from tests.fakes import FakeClock


@asynccontextmanager
async def opened(folder: Path, clock: FakeClock | None = None) -> AsyncIterator[SqliteDatabase]:
    """Open the database of a folder, and close it."""
    keys = SubjectKeys(folder / "keys")
    database = SqliteDatabase(folder / "tocsin.db", clock or FakeClock(), keys)
    database.open()
    try:
        yield database
    finally:
        await database.close()


def entry(number: int = 0) -> Entry:
    """Return a ledger entry to append."""
    return Entry(
        type="alert.opened",
        actor="person:U1",
        at=FakeClock().now(),
        incident="INC-1",
        body={"group": f"g{number}", "name": "HighLatency"},
    )


async def execute(tx: Transaction, sql: str) -> Any:
    """Run SQL within a transaction, behind the back of its repositories."""
    return await cast(Any, tx)._rows.execute(text(sql))


async def scalar(tx: Transaction, sql: str) -> Any:
    """Return the one value that SQL asks for."""
    result = await execute(tx, sql)
    if hasattr(result, "scalar"):
        return result.scalar()
    return (await result.fetchone())[0]


async def until(condition: Callable[[], bool], *, seconds: float = 5) -> None:
    """Wait until something holds; fail after a while."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.005)
