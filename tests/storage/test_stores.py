from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from bot.domain.errors import Unreadable
from bot.ledger.subjects import SubjectKeys
from bot.storage import stores
from bot.storage.postgres import PostgresDatabase
from bot.storage.rows import SQLITE
from bot.storage.sqlite import SqliteDatabase
from bot.storage.stores import entries_at, is_there, located, shown, store_at, verify_at
from bot.storage.tables import KeyedRow
from bot.storage.upserts import Upsert
from tests.fakes import FakeClock
from tests.storage.conftest import Opening
from tests.storage.opened import entry
from tests.storage.stores import Postgres, connected


@pytest.mark.parametrize("url", ("postgresql://h/db", "postgres://me@h:5433/db?sslmode=require"))
def test_a_url_is_a_server(url: str) -> None:
    assert located(url) == url
    assert isinstance(store_at(url, FakeClock()), PostgresDatabase)
    assert is_there(url)


@pytest.mark.parametrize("text", ("var/tocsin.db", "/var/lib/tocsin.db", "postgresql.db"))
def test_anything_else_is_a_file(text: str, tmp_path: Path) -> None:
    where = located(text)
    assert where == Path(text)
    assert shown(where) == text
    assert isinstance(store_at(tmp_path / text.lstrip("/"), FakeClock()), SqliteDatabase)


def test_a_file_that_is_missing_is_not_there(tmp_path: Path) -> None:
    assert not is_there(tmp_path / "none.db")


async def test_a_ledger_on_a_server_is_verified_and_shown_by_its_url(
    server: Postgres, tmp_path: Path
) -> None:
    url, keys = server.migrated(), SubjectKeys(tmp_path / "keys")
    async with connected(url, tmp_path / "keys") as database:
        for number in range(3):
            async with database.transaction() as tx:
                await tx.ledger.append(entry(number))
    verdict = verify_at(url, keys)
    assert (verdict.ok, verdict.entries) == (True, 3)
    assert [e["seq"] for e in entries_at(url, keys, incident="", last=2)] == [1, 2]
    assert verify_at(url).hidden == 3


def test_a_server_without_our_tables_is_unreadable(server: Postgres) -> None:
    with pytest.raises(Unreadable, match=r"cannot be read: relation .* does not exist"):
        verify_at(server.fresh())


def test_a_server_that_does_not_store_utf_8_is_refused(server: Postgres) -> None:
    with psycopg.connect(server.url("postgres"), autocommit=True) as admin:
        admin.execute("CREATE DATABASE ascii ENCODING SQL_ASCII LC_COLLATE 'C' LC_CTYPE 'C'"
                      " TEMPLATE template0")  # fmt: skip
    with pytest.raises(Unreadable, match="its encoding is SQL_ASCII"):
        store_at(server.url("ascii"), FakeClock()).open()


def test_without_the_driver_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.partition(".")[0] == "psycopg"]:
        monkeypatch.delitem(sys.modules, name)
    for name in [n for n in sys.modules if n.startswith("bot.storage.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("bot.storage.postgres")
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(Unreadable, match="extra `postgres`"):
        stores.store_at("postgresql://h/db", FakeClock())


def test_a_bot_on_a_file_never_loads_what_speaks_to_a_server() -> None:
    code = (
        "import sys, bot.app; "
        "print([n for n in sys.modules if n == 'psycopg' or 'storage.postgres' in n])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_upsert_names_its_key_and_its_columns_together() -> None:
    with pytest.raises(ValueError, match="together"):
        Upsert(KeyedRow, key=("kind", "key"))
    sql = str(Upsert(KeyedRow).statement(SQLITE.dialect).compile(dialect=SQLITE.dialect))  # type: ignore[attr-defined]  # of every ClauseElement
    assert "ON CONFLICT DO NOTHING" in sql


async def test_two_records_with_long_keys_stay_two(open_store: Opening) -> None:
    async with open_store() as store, store.transaction() as tx:
        for last in "ab":
            await tx.reservations.save("k" * 5000 + last, last)
        assert await tx.reservations.get("k" * 5000 + "a") == "a"
        assert await tx.reservations.get("k" * 5000 + "b") == "b"
        assert len(await tx.reservations.all()) == 2
        await tx.reservations.remove("k" * 5000 + "a")
        assert len(await tx.reservations.all()) == 1
