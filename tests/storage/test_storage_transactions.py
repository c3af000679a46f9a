from __future__ import annotations

import asyncio
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError, OperationalError

from bot.domain.errors import AlreadyDone
from bot.storage.postgres import PostgresDatabase
from bot.storage.sqlite import SqliteDatabase
from tests.fakes import NOON, FakeClock
from tests.storage.conftest import Opening
from tests.storage.opened import entry, execute, scalar, until
from tests.storage.stores import Store

Problem = (sqlite3.Error, OperationalError, IntegrityError)


async def count(store: Store, job: str) -> int:
    """Return how many slots of a job are taken: the simplest row there is."""
    async with store.reading() as view:
        return int(await scalar(view, f"SELECT count(*) FROM slots WHERE job = '{job}'"))


async def test_an_error_rolls_everything_of_its_transaction_back(store: Store) -> None:
    async def fail() -> None:
        async with store.transaction(once="r1") as tx:
            await tx.slots.take("a", "1")
            await tx.ledger.append(entry())
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await fail()
    assert await count(store, "a") == 0
    assert (await store.archive.verify()).entries == 0
    async with store.transaction(once="r1") as tx:
        await tx.slots.take("a", "1")
    assert await count(store, "a") == 1


async def test_a_failing_transaction_does_not_take_its_group_along(
    store: Store,
) -> None:
    async def write(number: int) -> None:
        async with store.transaction() as tx:
            await tx.slots.take("group", str(number))
            await tx.ledger.append(entry(number))
            if number % 3 == 0:
                raise ValueError(number)
            if number % 5 == 0:
                await execute(tx, "INSERT INTO nowhere VALUES (1)")

    results = await asyncio.gather(*(write(n) for n in range(30)), return_exceptions=True)
    good = [n for n, result in enumerate(results) if result is None]
    assert good == [n for n in range(30) if n % 3 and n % 5]
    assert await count(store, "group") == len(good)
    verdict = await store.archive.verify()
    assert verdict.ok
    assert verdict.entries == len(good)


async def test_a_group_is_committed_at_once(store: Store) -> None:
    commits = 0

    def heard() -> None:
        nonlocal commits
        commits += 1

    store.on_commit(heard)

    async def write(number: int) -> None:
        async with store.transaction() as tx:
            await tx.slots.take("group", str(number))

    await asyncio.gather(*(write(n) for n in range(100)))
    assert await count(store, "group") == 100
    assert commits < 20


async def test_a_failing_commit_fails_all_of_its_group(database: SqliteDatabase) -> None:
    async with database.transaction() as tx:
        await execute(tx, "CREATE TABLE parents (id INTEGER PRIMARY KEY)")
        await execute(
            tx,
            "CREATE TABLE children (parent INTEGER REFERENCES parents(id)"
            " DEFERRABLE INITIALLY DEFERRED)",
        )
        await tx.ledger.append(entry())

    async def write(number: int) -> None:
        async with database.transaction(once=f"w{number}") as tx:
            await tx.slots.take("group", str(number))
            await tx.ledger.append(entry(number))
            if number == 2:
                await execute(tx, "INSERT INTO children VALUES (99)")

    results = await asyncio.gather(*(write(n) for n in range(5)), return_exceptions=True)
    assert all(isinstance(result, Problem) for result in results)
    assert await count(database, "group") == 0
    for number in (0, 1, 3):
        await write(number)  # its request was not written down either
    verdict = await database.archive.verify()
    assert (verdict.ok, verdict.entries) == (True, 4)


async def test_a_full_disk_is_told_to_everyone_it_concerns(database: SqliteDatabase) -> None:
    """SQLite then rolls the whole group back by itself: nobody may be told of success."""
    async with database.transaction() as tx:
        await tx.slots.take("before", "1")
        pages = (await execute(tx, "PRAGMA page_count")).scalar()
        await execute(tx, f"PRAGMA max_page_count = {pages + 3}")
    first_done = asyncio.Event()

    async def small(number: int) -> None:
        async with database.transaction() as tx:
            await tx.slots.take("small", str(number))
            await tx.ledger.append(entry(number))
        first_done.set()

    async def large() -> None:
        async with database.transaction() as tx:
            await tx.slots.take("large", "x" * 100_000)

    tasks = [asyncio.create_task(work) for work in (small(1), small(2), large(), small(3))]
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[2], OperationalError)
    assert "full" in str(results[2])
    told = [n for n, result in zip((1, 2, 3), (results[0], results[1], results[3]), strict=True)
            if result is None]  # fmt: skip
    assert await count(database, "small") == len(told)
    assert await count(database, "before") == 1
    assert await count(database, "large") == 0
    async with database.transaction() as tx:
        await execute(tx, "PRAGMA max_page_count = 1000000")
    await small(4)
    verdict = await database.archive.verify()
    assert (verdict.ok, verdict.entries) == (True, len(told) + 1)


async def test_a_swallowed_full_disk_is_still_no_success(database: SqliteDatabase) -> None:
    async with database.transaction() as tx:
        pages = (await execute(tx, "PRAGMA page_count")).scalar()
        await execute(tx, f"PRAGMA max_page_count = {pages}")

    async def swallow() -> None:
        async with database.transaction() as tx:
            with suppress(OperationalError):
                await tx.slots.take("large", "x" * 100_000)

    with pytest.raises(Problem):
        await swallow()
    async with database.transaction() as tx:
        await execute(tx, "PRAGMA max_page_count = 1000000")
        await tx.slots.take("after", "1")
    assert await count(database, "after") == 1


async def test_one_request_has_one_effect_whatever_the_number_of_tasks(
    store: Store,
) -> None:
    async def press() -> None:
        async with store.transaction(once="envelope-1") as tx:
            await tx.ledger.append(entry())

    results = await asyncio.gather(*(press() for _ in range(50)), return_exceptions=True)
    assert [r for r in results if r is None] == [None]
    assert sum(isinstance(r, AlreadyDone) for r in results) == 49
    assert (await store.archive.verify()).entries == 1


async def test_one_request_has_one_effect_across_two_processes_files(
    open_store: Opening,
) -> None:
    async with open_store() as one, open_store() as other:

        async def press(store: Store) -> None:
            async with store.transaction(once="envelope-1") as tx:
                await tx.ledger.append(entry())

        work = [press(database) for _ in range(25) for database in (one, other)]
        results = await asyncio.gather(*work, return_exceptions=True)
        assert sum(r is None for r in results) == 1
        assert sum(isinstance(r, AlreadyDone) for r in results) == 49


async def test_readers_see_only_what_is_committed(store: Store) -> None:
    async with store.transaction() as tx:
        await tx.slots.take("a", "1")
        assert await count(store, "a") == 0
        async with store.reading() as early:
            assert await scalar(early, "SELECT count(*) FROM slots") == 0
    assert await count(store, "a") == 1


async def test_a_reader_cannot_write(database: SqliteDatabase) -> None:
    with pytest.raises(OperationalError, match="readonly"):
        async with database.reading() as view:
            await view.slots.take("a", "1")


async def test_a_hundred_open_readers_do_not_hold_up_the_loop(database: SqliteDatabase) -> None:
    everyone = asyncio.Barrier(101)

    async def read() -> None:
        async with database.reading() as view:
            await view.switches.pulled()
            await everyone.wait()

    tasks = [asyncio.create_task(read()) for _ in range(100)]
    await asyncio.wait_for(everyone.wait(), 20)
    await asyncio.gather(*tasks)


async def test_whoever_is_cancelled_while_waiting_leaves_the_others_alone(
    store: Store,
) -> None:
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def first() -> None:
        async with store.transaction() as tx:
            await tx.slots.take("a", "first")
            inside.set()
            await go_on.wait()

    async def other(slot: str) -> None:
        async with store.transaction() as tx:
            await tx.slots.take("a", slot)

    tasks = [asyncio.create_task(first())]
    await inside.wait()
    tasks += [asyncio.create_task(other(str(n))) for n in range(4)]
    await asyncio.sleep(0)
    tasks[2].cancel()
    go_on.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(r, asyncio.CancelledError) for r in results] == [
        False, False, True, False, False,
    ]  # fmt: skip
    assert await count(store, "a") == 4


async def test_whoever_is_cancelled_inside_is_rolled_back_alone(store: Store) -> None:
    inside = asyncio.Event()

    async def stuck() -> None:
        async with store.transaction() as tx:
            await tx.slots.take("a", "stuck")
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(stuck())
    await inside.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    async with store.transaction() as tx:
        await tx.slots.take("a", "next")
    assert await count(store, "a") == 1


async def test_a_cancelled_wait_for_another_process_does_not_jam_the_writer(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    rival = sqlite3.connect(tmp_path / "tocsin.db", isolation_level=None)
    rival.execute("BEGIN IMMEDIATE")

    async def write(slot: str) -> None:
        async with database.transaction() as tx:
            await tx.slots.take("a", slot)

    waiting = asyncio.create_task(write("1"))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting
    behind = asyncio.create_task(write("2"))
    await asyncio.sleep(0.02)
    rival.execute("COMMIT")
    rival.close()
    await behind
    await write("3")
    assert await count(database, "a") == 2


async def test_nothing_is_told_before_the_commit(store: Store) -> None:
    told: list[int] = []
    store.on_commit(lambda: told.append(1))
    async with store.transaction() as tx:
        await tx.slots.take("a", "1")
        assert told == []
    await until(lambda: told == [1])


async def test_a_once_that_fails_may_be_tried_again(store: Store) -> None:
    for _ in range(3):
        with pytest.raises(ValueError, match="not yet"):
            async with store.transaction(once="again"):
                raise ValueError("not yet")
    async with store.transaction(once="again") as tx:
        await tx.slots.take("a", NOON.isoformat())


@pytest.mark.parametrize("make", (SqliteDatabase, PostgresDatabase))
async def test_a_database_that_was_not_opened_says_so(make: Any) -> None:
    database = make("nowhere", FakeClock())
    with pytest.raises(RuntimeError, match="not open"):
        async with database.transaction():
            pass
