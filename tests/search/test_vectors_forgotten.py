"""What a vault forgets, and what it must not: a wanted vector lost is minutes of encoding."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.ports import Database, Transaction
from bot.search import vectors
from bot.search.vectors import Vault, key_of
from tests.search.encoders import DIMENSION, WordEncoder
from tests.storage.opened import opened

MODEL = "sha256 of some weights"
TEXTS = tuple(f"disk {number} is full of logs" for number in range(30))


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with opened(tmp_path / "store") as running:
        yield running


class Disturbed:
    """A database that lets something happen before a transaction, by its number."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.transactions = 0
        self.before: dict[int, Any] = {}
        self.unreadable = False

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        self.transactions += 1
        if disturb := self.before.get(self.transactions):
            await disturb()
        async with self.database.transaction() as tx:
            yield tx

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Transaction]:
        if self.unreadable:
            raise OSError("out of order")
        async with self.database.reading() as tx:
            yield tx


async def open_vault(database: object, path: Path | None = None, model: str = MODEL) -> Vault:
    vault = Vault(cast(Database, database), path, model=model, dimension=DIMENSION)
    await vault.open()
    return vault


async def use(vault: Vault, texts: Sequence[str]) -> list[str]:
    """Ask for the vectors of texts; return which had to be encoded."""
    encoder = WordEncoder()

    async def encode(some: Sequence[str]) -> vectors.Vectors:
        await asyncio.sleep(0)
        return encoder.encode(some)

    assert await vault.vectors(texts, encode) is not None
    return encoder.encoded


async def look(vault: Vault, texts: Iterable[str]) -> int:
    async def wanted() -> AsyncIterator[Collection[bytes]]:
        for text in texts:
            yield [key_of(text)]

    return await vault.forget(wanted())


async def kept(database: Database, model: str = MODEL) -> set[bytes]:
    async with database.reading() as tx:
        return set(await tx.embeddings.keys(model))


def keys(texts: Iterable[str]) -> set[bytes]:
    return {key_of(text) for text in texts}


async def fill(database: Database, count: int) -> list[str]:
    """Keep vectors of texts, as if they had been encoded long ago."""
    texts = [f"text {number}" for number in range(count)]
    for some in (texts[at : at + 1000] for at in range(0, count, 1000)):
        async with database.transaction() as tx:
            vector = np.ones(DIMENSION, dtype="<f2").tobytes()
            await tx.embeddings.add(MODEL, dict.fromkeys(keys(some), vector))
    return texts


async def test_what_two_looks_did_not_want_is_forgotten_everywhere(
    database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "vectors"
    await use(first := await open_vault(database, path), TEXTS)
    await first.close()
    vault = await open_vault(database, path)
    assert await look(vault, TEXTS[:10]) == 0
    assert await kept(database) == keys(TEXTS)
    assert await look(vault, TEXTS[:10]) == 20
    assert await look(vault, TEXTS[:10]) == 0
    assert await kept(database) == keys(TEXTS[:10])
    await vault.close()
    for source in (await open_vault(None, path), await open_vault(database)):
        assert await use(source, TEXTS) == list(TEXTS[10:])


async def test_what_only_one_of_two_looks_missed_stays(database: Database) -> None:
    await use(vault := await open_vault(database), TEXTS)
    for wanted in (TEXTS[:20], TEXTS[10:], TEXTS[:20], TEXTS[10:], TEXTS[:20]):
        assert await look(vault, wanted) == 0
    assert await kept(database) == keys(TEXTS)


async def test_what_it_encoded_itself_is_forgotten_too(database: Database) -> None:
    vault = await open_vault(database)
    await use(vault, TEXTS)
    assert [await look(vault, TEXTS[:10]) for _ in range(4)] == [0, 0, 20, 0]


async def test_where_nothing_is_wanted_nothing_is_indexed_and_nothing_forgotten(
    database: Database,
) -> None:
    await use(await open_vault(database), TEXTS)
    vault = await open_vault(database)
    assert [await look(vault, ()) for _ in range(4)] == [0] * 4
    # Such looks do not count either: the first real one may come while texts are still read.
    assert await look(vault, TEXTS[:1]) == 0
    assert await kept(database) == keys(TEXTS)


async def test_what_another_bot_keeps_meanwhile_stays_until_the_next_start(
    database: Database,
) -> None:
    await use(one := await open_vault(database), TEXTS[:10])
    other = await open_vault(database)
    await use(other, TEXTS)
    assert [await look(one, TEXTS[:5]) for _ in range(9)] == [0, 0, 5, 0, 0, 0, 0, 0, 0]
    assert await kept(database) == keys([*TEXTS[:5], *TEXTS[10:]])
    one = await open_vault(database)
    assert [await look(one, TEXTS[:5]) for _ in range(3)] == [0, 20, 0]
    assert await kept(database) == keys(TEXTS[:5])


async def test_vectors_of_other_models_stay(database: Database) -> None:
    for model in (MODEL, "other"):
        await use(await open_vault(database, model=model), TEXTS)
    vault = await open_vault(database)
    assert [await look(vault, TEXTS[:1]) for _ in range(3)] == [0, 29, 0]
    assert await kept(database, "other") == keys(TEXTS)


async def test_a_text_that_comes_back_between_two_looks_keeps_its_vector(
    database: Database,
) -> None:
    await use(await open_vault(database), TEXTS)
    vault = await open_vault(database)
    await look(vault, TEXTS[:10])
    assert await use(vault, TEXTS[10:20]) == []
    assert await look(vault, TEXTS[:10]) == 10
    assert await kept(database) == keys(TEXTS[:20])


async def test_a_text_that_comes_while_texts_are_gathered_keeps_its_vector(
    database: Database,
) -> None:
    await use(await open_vault(database), TEXTS)
    vault = await open_vault(database)

    async def wanted() -> AsyncIterator[Collection[bytes]]:
        yield keys(TEXTS[:10])
        assert await use(vault, TEXTS[10:20]) == []

    assert await look(vault, TEXTS[:10]) == 0
    assert await vault.forget(wanted()) == 10
    assert await kept(database) == keys(TEXTS[:20])


@pytest.mark.parametrize("number", (1, 2, 3))
async def test_texts_that_come_while_others_are_forgotten_end_with_their_vectors(
    database: Database, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(vectors, "_FORGOTTEN", 7)
    await use(await open_vault(database), TEXTS)
    disturbed = Disturbed(database)
    vault = await open_vault(disturbed)
    using: list[asyncio.Task[list[str]]] = []

    async def come() -> None:
        using.append(asyncio.create_task(use(vault, TEXTS[10:])))
        for _ in range(20):
            await asyncio.sleep(0)

    disturbed.before[number] = come
    assert await look(vault, TEXTS[:10]) == 0
    forgotten = await look(vault, TEXTS[:10])
    await using[0]
    assert forgotten == min(7 * number, 20)  # what came too late for these is encoded again
    assert await kept(database) == keys(TEXTS)


async def test_a_failure_in_the_middle_leaves_the_rest_to_the_next_look(
    database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(vectors, "_FORGOTTEN", 7)
    await use(first := await open_vault(database, tmp_path / "vectors"), TEXTS)
    await first.close()

    async def fail() -> None:
        raise OSError("the disk is full")

    disturbed = Disturbed(database)
    disturbed.before[2] = fail
    vault = await open_vault(disturbed, tmp_path / "vectors")
    await look(vault, TEXTS[:10])
    with pytest.raises(OSError, match="the disk is full"):
        await look(vault, TEXTS[:10])
    assert len(await kept(database)) == 23
    # Asked for after the failure, each is there or is made again.
    assert len(await use(vault, TEXTS[10:])) == 7
    assert await kept(database) == keys(TEXTS)
    assert [await look(vault, TEXTS[:10]) for _ in range(3)] == [0, 0, 20]
    assert await kept(database) == keys(TEXTS[:10])


async def test_gathering_that_fails_is_no_look(database: Database) -> None:
    await use(await open_vault(database), TEXTS)
    vault = await open_vault(database)

    async def failing() -> AsyncIterator[Collection[bytes]]:
        yield keys(TEXTS[:1])
        raise RuntimeError("stopped")

    for _ in range(3):
        with pytest.raises(RuntimeError, match="stopped"):
            await vault.forget(failing())
    assert await look(vault, TEXTS[:1]) == 0
    assert await kept(database) == keys(TEXTS)


async def test_what_a_crash_left_in_the_file_is_not_used(
    database: Database, tmp_path: Path
) -> None:
    """It would never be put into the database again, which is asked what is near."""
    path = tmp_path / "vectors"
    await use(first := await open_vault(database, path), TEXTS)
    await first.close()
    crashed = await open_vault(database, path)
    await look(crashed, TEXTS[:10])
    await look(crashed, TEXTS[:10])
    vault = await open_vault(database, path)
    assert await use(vault, TEXTS[5:15]) == list(TEXTS[10:15])
    assert await kept(database) == keys(TEXTS[:15])
    await vault.save()
    assert await use(await open_vault(None, path), TEXTS) == list(TEXTS[15:])


async def test_what_is_forgotten_while_the_file_is_written_is_not_in_the_next_one(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "vectors"
    reached, go = threading.Event(), threading.Event()
    write = Vault._write

    def slowly(self: Vault, *args: Any) -> None:
        reached.set()
        go.wait(10)
        write(self, *args)

    await use(await open_vault(database), TEXTS)
    vault = await open_vault(database, path)
    await look(vault, TEXTS[:10])
    monkeypatch.setattr(Vault, "_write", slowly)
    saving = asyncio.create_task(vault.save())
    assert await asyncio.to_thread(reached.wait, 10)
    assert await look(vault, TEXTS[:10]) == 20
    go.set()
    await saving
    await vault.save()
    assert await use(await open_vault(None, path), TEXTS) == list(TEXTS[10:])


async def test_without_a_database_the_file_forgets(tmp_path: Path) -> None:
    path = tmp_path / "vectors"
    await use(first := await open_vault(None, path), TEXTS[:20])
    await first.close()
    vault = await open_vault(None, path)
    await use(vault, TEXTS[20:])
    assert [await look(vault, TEXTS[:10]) for _ in range(4)] == [0, 10, 10, 0]
    await vault.close()
    assert await use(await open_vault(None, path), TEXTS) == list(TEXTS[10:])


async def test_a_database_that_cannot_say_what_it_keeps_loses_nothing_unknown(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await use(await open_vault(database), TEXTS)
    disturbed = Disturbed(database)
    disturbed.unreadable = True
    with caplog.at_level(logging.WARNING):
        vault = await open_vault(disturbed)
    disturbed.unreadable = False
    assert "cannot be told which vectors are kept" in caplog.text
    await use(vault, TEXTS[:10])
    assert [await look(vault, TEXTS[:5]) for _ in range(4)] == [0, 0, 5, 0]
    assert await kept(database) == keys([*TEXTS[:5], *TEXTS[10:]])


async def test_ten_thousand_vectors_go_in_small_transactions_between_which_others_write(
    database: Database,
) -> None:
    texts = await fill(database, 10_000)
    disturbed = Disturbed(database)
    vault = await open_vault(disturbed)
    await look(vault, texts[:1])
    written, done = 0, False

    async def write() -> None:
        nonlocal written
        while not done:
            async with database.transaction() as tx:
                await tx.embeddings.add("other", {os.urandom(32): b"\0<"})
            written += 1

    writing = asyncio.create_task(write())
    assert await look(vault, texts[:1]) == 9_999
    done = True
    await writing
    assert disturbed.transactions == 100
    assert written >= 50
    assert await kept(database) == keys(texts[:1])


_step = st.tuples(
    st.sampled_from(("put", "drop", "look", "other", "restart")), st.sets(st.integers(0, 9))
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(_step, max_size=25))
async def test_whatever_happens_no_wanted_vector_is_lost_and_in_the_end_no_other_is_left(
    database: Database, steps: list[tuple[str, set[int]]]
) -> None:
    model = os.urandom(8).hex()
    vault = await open_vault(database, model=model)
    here: set[str] = {"always"}
    theirs: set[str] = set()
    await use(vault, sorted(here))
    for step, numbers in steps:
        some = {f"text {number}" for number in numbers}
        if step == "put":
            here |= some
            await use(vault, sorted(some))
        elif step == "drop":
            here -= some
        elif step == "look":
            await look(vault, here)
        elif step == "restart":
            vault, theirs = await open_vault(database, model=model), set()
            await use(vault, sorted(here))
        else:
            new = some - here - {t for t in some if key_of(t) in vault._wanted}
            theirs |= new
            await use(await open_vault(database, model=model), sorted(new))
        theirs -= {text for text in theirs if key_of(text) in vault._wanted}
        assert keys(here | theirs) <= await kept(database, model)
    for _ in range(3):
        await look(vault, here)
    assert await kept(database, model) == keys(here | theirs)
