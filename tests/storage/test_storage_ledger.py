from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.domain.audits import Verdict
from bot.domain.errors import Unreadable
from bot.domain.ledger import Entry
from bot.ledger.subjects import SubjectKeys
from bot.storage import ledger
from bot.storage.rows import Look
from bot.storage.sqlite import SqliteDatabase, verify_file
from bot.storage.sqlite import read_entries as entries_of
from tests.fakes import NOON, FakeClock
from tests.storage.conftest import Opening
from tests.storage.opened import entry, opened
from tests.storage.stores import Store

ROOT = Path(__file__).resolve().parents[2]
ENTRIES = 9

APPENDER = """
import asyncio, sys
from pathlib import Path
from tests.storage.opened import entry, opened

async def main():
    async with opened(Path(sys.argv[1])) as database:
        async def append(number):
            async with database.transaction() as tx:
                await tx.ledger.append(entry(number))
        for start in range(0, 100, 10):
            await asyncio.gather(*(append(start + n) for n in range(10)))

asyncio.run(main())
"""


def checked(path: Path) -> Verdict:
    """Verify a database with the keys that stand beside it."""
    return verify_file(path, SubjectKeys(path.parent / "keys"))


def files_of_databases(folder: Path) -> list[str]:
    """Name what lies there of databases, logs that somebody still reads among them."""
    return sorted(file.name for file in folder.glob("*.db*"))


def read_entries(path: Path, *, incident: str, last: int) -> Any:
    """Show a database with the keys that stand beside it."""
    return entries_of(path, SubjectKeys(path.parent / "keys"), incident=incident, last=last)


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a closed database file with some entries."""
    folder = tmp_path_factory.mktemp("sealed")

    async def write() -> None:
        async with opened(folder) as database:
            for number in range(ENTRIES):
                async with database.transaction() as tx:
                    await tx.ledger.append(entry(number))

    asyncio.run(write())
    return folder / "tocsin.db"


@pytest.fixture
def copy(sealed: Path, tmp_path: Path) -> Path:
    shutil.copytree(sealed.parent / "keys", tmp_path / "keys")
    return Path(shutil.copy(sealed, tmp_path / "copy.db"))


async def test_fifty_at_once_leave_one_tree(store: Store) -> None:
    async def append(number: int) -> None:
        async with store.transaction() as tx:
            await tx.ledger.append(entry(number))
            await tx.ledger.append(entry(number))

    await asyncio.gather(*(append(n) for n in range(50)))
    verdict = await store.archive.verify()
    assert (verdict.ok, verdict.entries) == (True, 100)


async def test_a_question_nobody_waits_for_does_not_outlive_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answer, size_of = threading.Event(), threading.Event(), ledger.size_of

    def slow(look: Look) -> int:
        size = size_of(look)
        asked.set()
        assert answer.wait(20)
        return size

    monkeypatch.setattr(ledger, "size_of", slow)
    async with opened(tmp_path) as database:
        asking = asyncio.create_task(database.archive.size())
        assert await asyncio.to_thread(asked.wait, 20)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        closing = asyncio.create_task(database.close())
        done, _ = await asyncio.wait([closing], timeout=0.05)
        assert not done
        answer.set()
        await closing
    assert files_of_databases(tmp_path) == ["tocsin.db"]


async def test_entries_of_one_transaction_are_neighbours(store: Store) -> None:
    async def append(number: int) -> None:
        async with store.transaction() as tx:
            for _ in range(3):
                await tx.ledger.append(entry(number))
                await asyncio.sleep(0)

    await asyncio.gather(*(append(n) for n in range(10)))
    shown = await store.archive.entries()
    groups = [json.loads(e.body or b"")["group"] for e in shown]
    assert groups == [f"g{n}" for n in range(10) for _ in range(3)]


async def test_an_entry_is_in_the_tree_as_soon_as_its_transaction_is_left(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    for number in range(20):
        async with database.transaction() as tx:
            await tx.ledger.append(entry(number))
        verdict = checked(tmp_path / "tocsin.db")
        assert (verdict.ok, verdict.entries) == (True, number + 1)


def test_two_processes_seal_one_tree(tmp_path: Path) -> None:
    commands = [[sys.executable, "-c", APPENDER, str(tmp_path)]] * 2
    both = [subprocess.Popen(command, cwd=ROOT) for command in commands]
    assert [process.wait(60) for process in both] == [0, 0]
    verdict = checked(tmp_path / "tocsin.db")
    assert (verdict.ok, verdict.entries) == (True, 200)


async def test_two_databases_in_turn_seal_one_tree(open_store: Opening) -> None:
    async with open_store() as one, open_store() as other:
        for number in range(20):
            async with (one if number % 3 else other).transaction() as tx:
                await tx.ledger.append(entry(number))
        assert (await one.archive.verify()).entries == 20
        assert (await other.archive.verify()).ok


async def test_time_in_the_ledger_never_runs_backwards(store: Store) -> None:
    clock = FakeClock()
    store._clock = clock
    for seconds in (0, -3600, 60):
        clock.advance(seconds=seconds)
        async with store.transaction() as tx:
            await tx.ledger.append(entry())
    assert (await store.archive.verify()).ok


def test_an_untouched_file_holds(copy: Path) -> None:
    verdict = checked(copy)
    assert (verdict.ok, verdict.entries) == (True, ENTRIES)


def test_every_flipped_byte_of_an_entry_in_the_file_is_found_and_named(
    sealed: Path, copy: Path
) -> None:
    """Flip bytes where they stand on the disk, below SQLite and everything above it."""
    good = sealed.read_bytes()
    tried = 0
    for seq, column, value in _cells(sealed):
        at = good.find(value)
        assert at > 0, (seq, column)
        assert good.find(value, at + 1) == -1, (seq, column)
        for offset in {0, len(value) // 2, len(value) - 1}:
            bad = bytearray(good)
            bad[at + offset] ^= 0x01
            copy.write_bytes(bad)
            verdict = checked(copy)
            assert verdict.fault is not None, (seq, column, offset)
            assert verdict.fault.index == seq, (seq, column, offset, verdict.fault)
            tried += 1
    assert tried >= ENTRIES * 3 * 3


def _cells(path: Path) -> list[tuple[int, str, bytes]]:
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT seq, leaf, salt, body FROM ledger_entries").fetchall()
    connection.close()
    return [
        (row[0], column, row[n])
        for row in rows
        for n, column in ((1, "leaf"), (2, "salt"), (3, "body"))
    ]


def test_every_flipped_bit_of_the_page_of_entries_is_found_without_a_traceback(
    sealed: Path, copy: Path
) -> None:
    """Row ids, record headers and types included: SQLite may then return anything at all."""
    good = sealed.read_bytes()
    value = _cells(sealed)[ENTRIES // 2][2]
    size = int.from_bytes(good[16:18], "big")
    start = good.find(value) // size * size
    used = [n for n in range(start, start + size) if good[n]]
    missed = []
    for place in used[::3]:
        bad = bytearray(good)
        bad[place] ^= 0x10
        copy.write_bytes(bad)
        if checked(copy).ok and _cells_or_none(copy) != _cells(sealed):
            missed.append(place - start)
    assert missed == []


def _cells_or_none(path: Path) -> object:
    try:
        return _cells(path)
    except (sqlite3.Error, ValueError):
        return None


def _edit(statement: str, *values: object) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        connection = sqlite3.connect(path)
        with connection:
            connection.execute(statement, values)
        connection.close()

    return edit


def _swap(path: Path) -> None:
    connection = sqlite3.connect(path)
    with connection:
        for seq, other in ((3, -1), (5, 3), (-1, 5)):
            connection.execute("UPDATE ledger_entries SET seq = ? WHERE seq = ?", (other, seq))
    connection.close()


def _swap_with_nodes(path: Path) -> None:
    _swap(path)
    connection = sqlite3.connect(path)
    with connection:
        for seq, other in ((3, -1), (5, 3), (-1, 5)):
            connection.execute(
                "UPDATE ledger_nodes SET position = ? WHERE level = 0 AND position = ?",
                (other, seq),
            )
    connection.close()


@pytest.mark.parametrize(
    ("edit", "index"),
    (
        (_edit("DELETE FROM ledger_entries WHERE seq = 4"), 4),
        (_edit("DELETE FROM ledger_entries WHERE seq = 0"), 0),
        (_edit("DELETE FROM ledger_entries WHERE seq = ?", ENTRIES - 1), ENTRIES - 1),
        (_edit("DELETE FROM ledger_entries"), 0),
        (_swap, 3),
        (_swap_with_nodes, 3),
        (_edit("UPDATE ledger_entries SET seq = 77 WHERE seq = 2"), 2),
        (_edit("UPDATE ledger_entries SET leaf = CAST(leaf AS TEXT) WHERE seq = 2"), 2),
        (_edit("UPDATE ledger_entries SET leaf = 7 WHERE seq = 2"), 2),
        (_edit("UPDATE ledger_entries SET leaf = 1e308 WHERE seq = 2"), 2),
        (_edit("UPDATE ledger_entries SET leaf = x'' WHERE seq = 2"), 2),
        (_edit("UPDATE ledger_entries SET salt = 'x' WHERE seq = 2"), 2),
        (_edit("UPDATE ledger_entries SET salt = NULL WHERE seq = 2"), 2),
        (_edit("UPDATE ledger_entries SET body = CAST(x'ff' AS TEXT) WHERE seq = 2"), 2),
        (_edit("UPDATE ledger_entries SET body = NULL WHERE seq = 2"), 2),
        (_edit("DELETE FROM ledger_nodes WHERE level = 0 AND position = 3"), 3),
        (_edit("DELETE FROM ledger_nodes WHERE level = 1 AND position = 1"), 3),
        (_edit("UPDATE ledger_nodes SET hash = x'00' WHERE level = 0 AND position = 6"), 6),
        (_edit("UPDATE ledger_nodes SET hash = 'text' WHERE level = 3"), 7),
        (_edit("INSERT INTO ledger_nodes VALUES (0, ?, x'00')", ENTRIES), ENTRIES),
    ),
)
def test_tampering_is_found_and_named(copy: Path, edit: Callable[[Path], None], index: int) -> None:
    edit(copy)
    verdict = checked(copy)
    assert verdict.fault is not None
    assert verdict.fault.index == index, verdict.fault


def test_a_body_that_is_gone_without_an_erasure_is_found(copy: Path) -> None:
    _edit("UPDATE ledger_entries SET body = NULL, salt = NULL WHERE seq = 2")(copy)
    fault = checked(copy).fault
    assert fault is not None
    assert (fault.index, "erasure" in fault.reason) == (2, True)


async def test_an_erasure_is_no_tampering(open_store: Opening, tmp_path: Path) -> None:
    async with open_store() as database:
        for number in range(5):
            async with database.transaction() as tx:
                await tx.ledger.append(entry(number))
        async with database.transaction() as tx:
            gone = list(await tx.ledger.telling_of("person:U1"))
            await tx.ledger.erase(gone)
            told = Entry(
                type="privacy.erased", actor="system", at=NOON, outcome="5", body={"entries": gone}
            )
            await tx.ledger.append(told)
        SubjectKeys(tmp_path / "keys").erase("person:U1")
        await database.purge()
    async with open_store() as database:
        verdict = await database.archive.verify()
    assert (verdict.ok, verdict.entries, verdict.erased) == (True, 6, 5)


async def test_nothing_about_a_person_stands_in_the_file_in_the_clear(tmp_path: Path) -> None:
    async with opened(tmp_path) as database, database.transaction() as tx:
        await tx.ledger.append(replace(entry(), body={"said": "Priya restarted it"}))
    assert b"Priya" not in (tmp_path / "tocsin.db").read_bytes()
    [shown] = read_entries(tmp_path / "tocsin.db", incident="", last=1)
    assert shown["body"] == {"actor": "person:U1", "said": "Priya restarted it"}


def test_without_the_keys_bodies_are_hidden_and_the_tree_still_holds(copy: Path) -> None:
    verdict = verify_file(copy)
    assert (verdict.ok, verdict.entries, verdict.hidden) == (True, ENTRIES, ENTRIES)


def test_the_newest_entries_are_shown_oldest_first(copy: Path) -> None:
    shown = read_entries(copy, incident="", last=2)
    assert [e["seq"] for e in shown] == [ENTRIES - 2, ENTRIES - 1]
    assert read_entries(copy, incident="INC-9", last=2) == []


def test_what_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to look at" * 30)
    with pytest.raises(Unreadable, match=r"notes\.txt: cannot be read: file is not a database"):
        checked(path)


def test_an_entry_that_is_no_json_is_named_when_shown(copy: Path) -> None:
    _edit("UPDATE ledger_entries SET leaf = x'ff' WHERE seq = 4")(copy)
    with pytest.raises(Unreadable, match="entry 4: cannot be read"):
        read_entries(copy, incident="", last=50)
