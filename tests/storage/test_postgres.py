from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError

from bot.domain.deliveries import Delivery
from bot.domain.errors import AlreadyDone, Unreadable
from bot.domain.timeline import TimelineEntry, TimelineKind
from bot.ledger.subjects import SubjectKeys
from bot.storage import postgres_connections, postgres_rows, postgres_writer
from bot.storage.postgres import PostgresDatabase, entries_at, shown, verify_url
from tests import incident_records as records
from tests.fakes import NOON, FakeClock
from tests.servers import relay
from tests.storage.opened import entry, execute, scalar, until
from tests.storage.stores import Postgres, connected

ROOT = Path(__file__).resolve().parents[2]
OURS = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"

OTHER = """
import asyncio, sys
from pathlib import Path
from bot.storage import postgres_writer
from tests.storage.opened import entry
from tests.storage.stores import connected

postgres_writer.IDLE_SECONDS = float(sys.argv[4])

async def main():
    url, keys, what = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    async with connected(url, keys) as database:
        if what == "append":
            for number in range(100):
                async with database.transaction() as tx:
                    await tx.ledger.append(entry(number))
            return
        try:
            async with database.transaction() as tx:
                await tx.slots.take("a", "stopped")
                print("inside", flush=True)
                sys.stdin.readline()
                await tx.slots.take("a", "went on")
        except Exception as error:
            print("lost", type(error).__name__, flush=True)
        async with database.transaction() as tx:
            await tx.slots.take("a", "came back")

asyncio.run(main())
"""


@pytest.fixture
def url(server: Postgres) -> str:
    return server.migrated()


@pytest.fixture
async def database(url: str, tmp_path: Path) -> AsyncIterator[PostgresDatabase]:
    async with connected(url, tmp_path / "keys") as running:
        yield running


def other(url: str, folder: Path, what: str, *, idle: float = 5) -> subprocess.Popen[str]:
    """Start another bot's process."""
    return subprocess.Popen(
        [sys.executable, "-c", OTHER, url, str(folder / "keys"), what, str(idle)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


async def take(database: PostgresDatabase, slot: str) -> None:
    async with database.transaction() as tx:
        await tx.slots.take("a", slot)


async def taken(database: PostgresDatabase) -> set[str]:
    async with database.reading() as view:
        rows = await (await execute(view, "SELECT slot FROM slots")).fetchall()
    return {slot for (slot,) in rows}


def cut(url: str) -> int:
    """End every session on a database from outside, as an administrator does."""
    name = url.rsplit("/", 1)[1]
    with psycopg.connect(url, autocommit=True) as admin:
        found = admin.execute(OURS, [name]).fetchall()
        for (pid,) in found:
            admin.execute("SELECT pg_terminate_backend(%s)", [pid])
    return len(found)


# What only PostgreSQL does.


async def test_a_reader_cannot_write(database: PostgresDatabase) -> None:
    with pytest.raises(DBAPIError, match="read-only"):
        async with database.reading() as view:
            await view.slots.take("a", "1")
    assert await taken(database) == set()


async def test_a_view_stands_still_while_others_write(database: PostgresDatabase) -> None:
    async with database.reading() as view:
        assert await scalar(view, "SELECT count(*) FROM slots") == 0
        await take(database, "1")
        assert await scalar(view, "SELECT count(*) FROM slots") == 0
    assert await taken(database) == {"1"}


async def test_a_hundred_readers_take_turns(database: PostgresDatabase) -> None:
    async def read() -> None:
        async with database.reading() as view:
            await view.switches.pulled()

    await asyncio.wait_for(asyncio.gather(*(read() for _ in range(100))), 20)


async def test_when_every_reader_is_in_use_it_is_said(
    database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_connections, "WAIT_SECONDS", 0.2)
    async with AsyncExitStack() as views:
        for _ in range(postgres_connections.MOST_READERS):
            await views.enter_async_context(database.reading())
        with pytest.raises(DBAPIError, match="every connection for reading is in use"):
            await taken(database)
    assert await taken(database) == set()


async def test_a_reader_that_is_cancelled_gives_its_place_back(
    database: PostgresDatabase,
) -> None:
    async def stuck() -> None:
        async with database.reading() as view:
            await execute(view, "SELECT pg_sleep(60)")

    tasks = [asyncio.create_task(stuck()) for _ in range(40)]
    await asyncio.sleep(0.3)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert await asyncio.wait_for(taken(database), 5) == set()


async def test_a_writer_that_is_cancelled_within_a_statement_leaves_the_next_alone(
    database: PostgresDatabase,
) -> None:
    async def stuck() -> None:
        async with database.transaction() as tx:
            await tx.slots.take("a", "stuck")
            await execute(tx, "SELECT pg_sleep(60)")

    task = asyncio.create_task(stuck())
    await asyncio.sleep(0.2)
    behind = asyncio.create_task(take(database, "behind"))
    await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await asyncio.wait_for(behind, 10)
    assert await taken(database) == {"behind"}


async def test_a_swallowed_error_is_no_success(database: PostgresDatabase) -> None:
    async def swallow() -> None:
        async with database.transaction() as tx:
            await tx.slots.take("a", "swallowed")
            with suppress(DBAPIError):
                await execute(tx, "SELECT 1 FROM nowhere")

    with pytest.raises(DBAPIError, match="nothing can be kept"):
        await swallow()
    await take(database, "after")
    assert await taken(database) == {"after"}


async def test_a_failing_commit_fails_all_of_its_group(database: PostgresDatabase) -> None:
    async with database.transaction() as tx:
        await execute(tx, "CREATE TABLE parents (id INTEGER PRIMARY KEY)")
        await execute(
            tx,
            "CREATE TABLE children (parent INTEGER REFERENCES parents(id)"
            " DEFERRABLE INITIALLY DEFERRED)",
        )

    async def write(number: int) -> None:
        async with database.transaction(once=f"w{number}") as tx:
            await tx.slots.take("a", str(number))
            await tx.ledger.append(entry(number))
            if number == 2:
                await execute(tx, "INSERT INTO children VALUES (99)")

    results = await asyncio.gather(*(write(n) for n in range(5)), return_exceptions=True)
    assert all(isinstance(result, DBAPIError) for result in results)
    assert await taken(database) == set()
    for number in (0, 1, 3):
        await write(number)
    verdict = await database.archive.verify()
    assert (verdict.ok, verdict.entries) == (True, 3)


async def test_a_commit_waits_for_the_disk_whatever_the_server_is_set_to(
    database: PostgresDatabase,
) -> None:
    """The servers of our tests have it off, as careless ones do."""
    async with database.transaction() as tx:
        assert await scalar(tx, "SELECT current_setting('synchronous_commit')") == "on"


# Connections that are lost.


async def test_a_session_that_is_ended_costs_one_transaction_and_no_more(
    database: PostgresDatabase, url: str
) -> None:
    await take(database, "before")

    async def write(slot: str) -> None:
        async with database.transaction() as tx:
            await tx.slots.take("a", slot)
            await tx.ledger.append(entry())
            if slot == "cut":
                cut(url)
                await tx.slots.take("a", "never")

    tasks = [asyncio.create_task(write(slot)) for slot in ("same group", "cut", "later")]
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(r, DBAPIError) for r in results] == [True, True, False], results
    assert await taken(database) == {"before", "later"}
    verdict = await database.archive.verify()
    assert (verdict.ok, verdict.entries) == (True, 1)


async def test_sessions_that_were_ended_while_idle_are_not_noticed(
    database: PostgresDatabase, url: str
) -> None:
    await take(database, "1")
    await taken(database)
    assert (await database.archive.verify()).ok
    assert cut(url) >= 3
    await take(database, "2")
    assert await taken(database) == {"1", "2"}
    assert (await database.archive.verify()).ok


async def test_a_server_that_goes_away_and_comes_back_is_used_again(
    server: Postgres, url: str, tmp_path: Path
) -> None:
    async with relay(server.server) as wire:
        through = url.replace(f":{server.server.port}/", f":{wire.port}/")
        async with connected(through, tmp_path / "keys") as database:
            await take(database, "before")
            await taken(database)
            async with wire.away():
                with pytest.raises(DBAPIError):
                    await take(database, "away")
                with pytest.raises(DBAPIError):
                    await taken(database)
            await take(database, "after")
            assert await taken(database) == {"before", "after"}


async def test_a_connection_that_is_silent_is_given_up(
    server: Postgres, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Takes ten seconds: the driver itself asks the server in vain to cancel."""
    monkeypatch.setattr(postgres_rows, "ANSWER_SECONDS", 0.2)
    async with relay(server.server) as wire:
        through = url.replace(f":{server.server.port}/", f":{wire.port}/")
        async with connected(through, tmp_path / "keys") as database:
            await take(database, "before")

            async def silent() -> None:
                async with database.transaction() as tx, wire.holding():
                    await tx.slots.take("a", "silent")

            with pytest.raises(DBAPIError, match=r"no answer within 0\.2 s"):
                await silent()
            monkeypatch.setattr(postgres_rows, "ANSWER_SECONDS", 20)
            await take(database, "after")
            assert await taken(database) == {"before", "after"}


async def test_a_commit_whose_answer_is_lost_is_not_called_stored(
    server: Postgres, url: str, tmp_path: Path
) -> None:
    """It may be stored or not: whoever asked is told of an error, and the next works."""
    async with relay(server.server) as wire:
        through = url.replace(f":{server.server.port}/", f":{wire.port}/")
        async with connected(through, tmp_path / "keys") as database:
            await take(database, "before")

            async def written() -> None:
                async with database.transaction(once="request") as tx:
                    await tx.slots.take("a", "lost")
                    await wire_loses.enter_async_context(wire.losing())

            async with AsyncExitStack() as wire_loses:
                with pytest.raises(DBAPIError):
                    await written()
            await take(database, "after")
            stored = await taken(database)
            assert {"before", "after"} <= stored
            if "lost" in stored:
                with pytest.raises(AlreadyDone):
                    await written()


async def test_a_stopped_process_holds_the_others_up_only_for_a_while(
    database: PostgresDatabase, url: str, tmp_path: Path
) -> None:
    process = other(url, tmp_path, "stop", idle=0.5)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert await asyncio.to_thread(process.stdout.readline) == "inside\n"
        os.kill(process.pid, signal.SIGSTOP)
        began = time.monotonic()
        await take(database, "mine")
        assert time.monotonic() - began < 5
        assert await taken(database) == {"mine"}
        os.kill(process.pid, signal.SIGCONT)
        process.stdin.write("go on\n")
        process.stdin.flush()
        assert (await asyncio.to_thread(process.stdout.readline)).startswith("lost")
        assert await asyncio.to_thread(process.wait, 20) == 0
    finally:
        process.kill()
    assert await taken(database) == {"mine", "came back"}


async def test_a_bot_that_waits_too_long_for_another_says_so(
    database: PostgresDatabase, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_writer, "BUSY_SECONDS", 0.2)
    async with connected(url, tmp_path / "keys") as rival, rival.transaction() as tx:
        await tx.slots.take("a", "rival")
        with pytest.raises(DBAPIError, match="lock timeout"):
            await take(database, "mine")
    await take(database, "then")
    assert await taken(database) == {"rival", "then"}


# The ledger.


def test_two_processes_seal_one_tree(url: str, tmp_path: Path) -> None:
    SubjectKeys(tmp_path / "keys").pseudonym("person:U1")
    both = [other(url, tmp_path, "append") for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    verdict = verify_url(url, SubjectKeys(tmp_path / "keys"))
    assert (verdict.ok, verdict.entries) == (True, 200)


@pytest.mark.parametrize(
    ("edit", "index"),
    (
        ("DELETE FROM ledger_entries WHERE seq = 4", 4),
        ("DELETE FROM ledger_entries", 0),
        ("UPDATE ledger_entries SET seq = 77 WHERE seq = 2", 2),
        ("UPDATE ledger_entries SET leaf = '\\x00' WHERE seq = 2", 2),
        ("UPDATE ledger_entries SET salt = NULL WHERE seq = 2", 2),
        (
            "UPDATE ledger_entries SET body = set_byte(body, 20, get_byte(body, 20) # 1)"
            " WHERE seq = 2",
            2,
        ),
        ("DELETE FROM ledger_nodes WHERE level = 1 AND position = 1", 3),
        ("UPDATE ledger_nodes SET hash = '\\x00' WHERE level = 0 AND position = 6", 6),
        ("INSERT INTO ledger_nodes VALUES (0, 9, '\\x00')", 9),
    ),
)
async def test_tampering_is_found_and_named(
    database: PostgresDatabase, url: str, edit: Any, index: int
) -> None:
    for number in range(9):
        async with database.transaction() as tx:
            await tx.ledger.append(entry(number))
    assert (await database.archive.verify()).ok
    with psycopg.connect(url) as rival:
        rival.execute(edit)
    fault = (await database.archive.verify()).fault
    assert fault is not None
    assert fault.index == index, fault


async def test_a_long_ledger_is_read_in_pieces(
    database: PostgresDatabase, url: str, tmp_path: Path
) -> None:
    async with database.transaction() as tx:
        for number in range(4500):
            await tx.ledger.append(entry(number))
    verdict = await database.archive.verify()
    assert (verdict.ok, verdict.entries) == (True, 4500)
    keys = SubjectKeys(tmp_path / "keys")
    told = await asyncio.to_thread(entries_at, url, keys, incident="INC-1", last=2)
    assert [e["seq"] for e in told] == [4498, 4499]
    assert len(await database.archive.entries(start=10, before=20)) == 10
    assert [e.seq for e in await database.archive.entries(limit=2, newest_first=True)] == [
        4499, 4498,
    ]  # fmt: skip


# What the world may send.


async def test_the_character_that_text_cannot_hold_is_replaced(
    database: PostgresDatabase,
) -> None:
    group = replace(records.GROUP, group_key="a\0b")
    told = TimelineEntry(subject="s\0", at=NOON, kind=TimelineKind.NOTE, text="x\0y")
    delivery = Delivery(id="d", source="s", received_at=NOON, body=b"\0", headers={"h": "\0"})
    async with database.transaction() as tx:
        await tx.groups.save(group)
        await tx.timeline.add(told)
        await tx.deliveries.add(delivery)
    async with database.reading() as view:
        assert await view.groups.latest(group.source, "a\0b") == group
        assert [t.text for t in await view.timeline.of(["s\0"])] == ["x\ufffdy"]
        assert await view.deliveries.get("d") == delivery


async def test_a_key_of_any_length_is_stored(database: PostgresDatabase) -> None:
    """A tree of PostgreSQL's holds keys of some 2,700 bytes, and random text does not shrink."""
    long = os.urandom(20_000).hex()
    group = replace(records.GROUP, group_key=long)
    async with database.transaction() as tx:
        await tx.groups.save(group)
        await tx.reservations.add(long, "run-1")
        assert not await tx.reservations.add(long, "run-2")
        assert await tx.reservations.add(long + "x", "run-2")
        assert await tx.reservations.get(long) == "run-1"
    async with database.reading() as view:
        assert await view.groups.latest(group.source, long) == group


# Opening.


async def test_what_cannot_be_reached_is_named_without_its_password() -> None:
    database = PostgresDatabase("postgresql://me:hunter2@127.0.0.1:1/tocsin", FakeClock())
    with pytest.raises(Unreadable, match=r"127\.0\.0\.1:1/tocsin: cannot be used") as caught:
        database.open()
    assert "hunter2" not in str(caught.value)
    await database.close()


@pytest.mark.parametrize(
    ("url", "told"),
    (
        ("postgresql://me:pw@db.example:5433/tocsin", "postgresql://db.example:5433/tocsin"),
        ("postgresql:///tocsin?password=pw", "postgresql://localhost/tocsin"),
        ("postgresql://h/db?sslmode=no such%", "postgresql://…"),
    ),
)
def test_a_url_is_shown_without_secrets(url: str, told: str) -> None:
    assert shown(url) == told


async def test_no_task_is_left_behind(url: str, tmp_path: Path) -> None:
    before = len(asyncio.all_tasks())
    async with connected(url, tmp_path / "keys") as database:
        await asyncio.gather(*(take(database, str(n)) for n in range(20)))
        await taken(database)
    await until(lambda: len(asyncio.all_tasks()) == before)
