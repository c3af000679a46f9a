"""Once a day the search forgets the vectors of texts that are gone, and no other."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bot.app import build as build_app
from bot.cli.installation import without_tokens
from bot.domain.documents import Document, Found, Query
from bot.plugin import Job, JobRun
from bot.scheduler import Scheduler
from bot.search import engine, index, snapshot
from bot.search.chunks import chunks_of
from bot.search.encoder import Encoder
from bot.search.engine import HybridSearch
from bot.search.ranker import FALLBACK
from bot.search.vectors import key_of
from bot.settings import load
from bot.storage.sqlite import SqliteDatabase
from tests.fakes import FakeClock
from tests.search.encoders import FailingEncoder, GatedEncoder, WordEncoder
from tests.search.queueing import until_queued
from tests.storage.opened import opened

Build = Callable[..., HybridSearch]
DAY = 86_400.0
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    async with opened(tmp_path) as running:
        yield running


@pytest.fixture
async def build(tmp_path: Path, database: SqliteDatabase) -> AsyncIterator[Build]:
    searches: list[HybridSearch] = []

    def make(encoder: Encoder, bot: str = "bot") -> HybridSearch:
        made = HybridSearch(lambda _: encoder, tmp_path / bot, ranker=FALLBACK, database=database)
        searches.append(made)
        return made

    yield make
    for search in searches:
        await search.stop()


async def ready(search: HybridSearch) -> HybridSearch:
    await search.start()
    assert await search.wait_until_dense()
    return search


def document(id: str, text: str) -> Document:
    return Document(id=id, kind="runbook", title="", text=text)


def _disk_full(*_: object) -> None:
    raise OSError("no space left on the device")


def documents(count: int, text: str = "disk") -> list[Document]:
    return [document(str(number), f"{text} {number}") for number in range(count)]


async def kept(database: SqliteDatabase) -> set[bytes]:
    async with database.reading() as tx:
        return set(await tx.embeddings.keys(WordEncoder.model))


def keys(*texts: str) -> set[bytes]:
    return {key_of(text) for text in texts}


def filed(path: Path) -> set[bytes]:
    found = snapshot.load(path, WordEncoder.model, WordEncoder.dimension)
    assert found is not None
    return set(found.keys)


async def test_day_after_day_what_is_gone_is_forgotten_and_a_restart_encodes_nothing(
    build: Build, database: SqliteDatabase, tmp_path: Path
) -> None:
    search, clock = build(WordEncoder()), FakeClock()
    counts: list[int] = []

    async def forget(_: JobRun) -> None:
        counts.append(await search.forget())

    job = Job(name="vectors", every=DAY, handler=forget, everywhere=True)
    scheduler = Scheduler(database, clock, [("search", job)])

    async def a_day() -> None:
        clock.advance(seconds=DAY)
        await scheduler.fire("search", job)

    await search.put([document("a", "disk"), document("b", "network"), document("c", "memory")])
    await ready(search)
    await a_day()
    await search.put([document("a", "full disk")])
    await search.remove(["b"])
    assert await kept(database) == keys("disk", "network", "memory", "full disk")
    for _ in range(3):
        await a_day()
    assert counts == [0, 0, 2, 0]
    assert await kept(database) == keys("full disk", "memory")
    assert filed(tmp_path / "bot" / "vectors.bin") == keys("full disk", "memory")

    encoder = WordEncoder()
    again = build(encoder)
    await again.put([document("a", "full disk"), document("c", "memory")])
    await ready(again)
    assert encoder.encoded == []
    await again.put([document("b", "network")])
    assert encoder.encoded == ["network"]
    assert await kept(database) == keys("full disk", "memory", "network")


async def test_a_file_that_could_not_be_written_is_written_at_the_next_look(
    build: Build, database: SqliteDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = await ready(build(WordEncoder()))
    await search.put(documents(5))
    assert await search.forget() == 0
    await search.remove(["4"])
    assert await search.forget() == 0
    with monkeypatch.context() as broken:
        broken.setattr(snapshot, "save", _disk_full)
        assert await search.forget() == 1
    assert len(filed(tmp_path / "bot" / "vectors.bin")) == 5
    assert await search.forget() == 0
    assert filed(tmp_path / "bot" / "vectors.bin") == await kept(database)


async def test_what_the_database_is_asked_for_is_not_forgotten(
    tmp_path: Path, database: SqliteDatabase
) -> None:
    """Another bot may have it asked for a document that this one does not know."""
    search = HybridSearch(
        lambda _: WordEncoder(), tmp_path, ranker=FALLBACK, database=database, nearest="database"
    )
    await ready(search)
    await search.put(documents(5))
    await search.remove(["4"])
    assert [await search.forget() for _ in range(4)] == [0] * 4
    assert len(await kept(database)) == 5
    await search.stop()


async def test_before_it_has_caught_up_nothing_is_forgotten(
    build: Build, database: SqliteDatabase
) -> None:
    first = await ready(build(WordEncoder()))
    await first.put(documents(50))
    before = await kept(database)
    gated = GatedEncoder()
    gated.gate.clear()
    search = build(gated)
    assert await search.forget() == 0
    await search.put([document("new", "something new"), document("0", "disk 0")])
    await search.start()
    assert await asyncio.to_thread(gated.reached.wait, 10)
    assert [await search.forget() for _ in range(3)] == [0, 0, 0]
    gated.gate.set()
    assert await search.wait_until_dense()
    assert before <= await kept(database)
    assert [await search.forget() for _ in range(3)] == [0, 49, 0]


async def test_where_catching_up_has_failed_nothing_is_forgotten(
    build: Build, database: SqliteDatabase
) -> None:
    await (await ready(build(WordEncoder()))).put(documents(5))
    encoder = FailingEncoder()
    encoder.failing = True
    search = build(encoder)
    await search.put([document("new", "something new")])
    await search.start()
    assert not await search.wait_until_dense()
    assert [await search.forget() for _ in range(3)] == [0, 0, 0]
    assert len(await kept(database)) == 5


async def test_a_document_whose_encoding_failed_keeps_what_is_known_of_it(
    build: Build, database: SqliteDatabase
) -> None:
    encoder = FailingEncoder()
    search = await ready(build(encoder))
    await search.put(documents(5))
    encoder.failing = True
    half = "disk 0 " + " ".join(f"word{n}" for n in range(200))
    await search.put([document("0", half), document("1", "disk 4")])
    await search.remove(["4"])
    for _ in range(4):
        await search.forget()
    assert keys("disk 2", "disk 3", "disk 4") == await kept(database)


async def test_an_empty_index_forgets_nothing(build: Build, database: SqliteDatabase) -> None:
    await (await ready(build(WordEncoder()))).put(documents(5))
    search = await ready(build(WordEncoder()))
    assert [await search.forget() for _ in range(4)] == [0] * 4
    assert len(await kept(database)) == 5


async def test_documents_that_come_late_in_the_first_day_lose_nothing(
    build: Build, database: SqliteDatabase
) -> None:
    """Older incidents are read in the background, and the day may end meanwhile."""
    await (await ready(build(WordEncoder()))).put(documents(50))
    encoder = WordEncoder()
    search = build(encoder)
    await search.put(documents(2))
    await ready(search)
    assert await search.forget() == 0
    await search.put(documents(50))
    assert encoder.encoded == []
    assert [await search.forget() for _ in range(3)] == [0, 0, 0]


async def test_changes_while_it_looks_and_forgets_cost_no_vector(
    build: Build, database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_DOCUMENTS", 4)
    monkeypatch.setattr("bot.search.vectors._FORGOTTEN", 4)
    search = await ready(build(WordEncoder()))
    texts = ("disk", "network", "memory")
    for text in texts:
        await search.put(documents(60, text))
    await search.forget()
    held: dict[str, str] = {}
    for number in range(12):
        forgetting = asyncio.create_task(search.forget())
        while not forgetting.done():
            for id in map(str, range(number % 3, 60, 7)):
                held[id] = f"{texts[(number + len(held)) % 3]} {id}"
                await search.put([document(id, held[id])])
            await search.remove(["59"])
            held.pop("59", None)
        await forgetting
        assert keys(*held.values()) <= await kept(database)
    await search.forget()
    encoder = WordEncoder()
    again = build(encoder, "another folder")
    await again.put([document(id, text) for id, text in held.items()])
    await ready(again)
    assert encoder.encoded == []


async def test_what_another_bot_learned_meanwhile_stays(
    build: Build, database: SqliteDatabase
) -> None:
    one = await ready(build(WordEncoder(), "one"))
    await one.put(documents(5))
    other = await ready(build(WordEncoder(), "other"))
    await other.put([document("incident", "what only the other bot was told")])
    assert [await one.forget() for _ in range(5)] == [0] * 5
    assert await kept(database) >= keys("what only the other bot was told")


async def test_a_query_waits_for_one_slice_of_a_look(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = await ready(build(WordEncoder()))
    await search.put(documents(40))
    loop = asyncio.get_running_loop()
    turns: list[str] = []
    asking: list[asyncio.Task[Found]] = []
    some_keys, find = engine._some_keys, index.Index.find

    def ask() -> None:
        query = search.find(Query(text="disk"), kinds=("runbook",), limit=1)
        asking.append(asyncio.create_task(query))

    def watched_turn(texts: Iterator[Sequence[str]]) -> Sequence[bytes]:
        turns.append("look")
        if len(turns) == 3:
            loop.call_soon_threadsafe(ask)
            until_queued(search, 2)  # the proposal, and the finding
        return some_keys(texts)

    def watched_find(self: index.Index, *args: Any, **named: Any) -> Found:
        turns.append("find")
        return find(self, *args, **named)

    monkeypatch.setattr(engine, "_DOCUMENTS", 4)
    monkeypatch.setattr(engine, "_some_keys", watched_turn)
    monkeypatch.setattr(index.Index, "find", watched_find)
    await search.forget()
    assert (await asking[0]).hits
    assert turns == ["look"] * 3 + ["find"] + ["look"] * 8


async def test_long_documents_make_short_slices_cut_on_the_thread_of_the_index(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = await ready(build(WordEncoder()))
    long = "word " * 1000
    await search.put([document(str(number), f"{number} {long}") for number in range(10)])
    threads: set[str] = set()
    turns: list[int] = []
    cut, some_keys = chunks_of, engine._some_keys

    def watched_cut(one: Document) -> object:
        threads.add(threading.current_thread().name)
        turns[-1] += 1
        return cut(one)

    def watched_turn(texts: Iterator[Sequence[str]]) -> Sequence[bytes]:
        turns.append(0)
        return some_keys(texts)

    monkeypatch.setattr(index, "chunks_of", watched_cut)
    monkeypatch.setattr(engine, "_some_keys", watched_turn)
    monkeypatch.setattr(engine, "_CHARACTERS", 9_000)
    await search.forget()
    assert threads == {"search-index_0"}
    assert turns == [2, 2, 2, 2, 2, 0]


async def test_stopping_in_the_middle_of_a_look_ends_both(build: Build) -> None:
    search = await ready(build(WordEncoder()))
    await search.put(documents(2_000))
    forgetting = asyncio.create_task(search.forget())
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await search.stop()
        (outcome,) = await asyncio.gather(forgetting, return_exceptions=True)
    assert isinstance(outcome, int | RuntimeError | asyncio.CancelledError)


async def test_the_bot_does_it_every_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("TOCSIN_")]:
        monkeypatch.delenv(name)
    config = tmp_path / "config.toml"
    config.write_text(f'[bot]\nplugins = []\nknowledge = "{ROOT / "knowledge"}"\n')
    clock = FakeClock()
    core = (app := build_app(without_tokens(load(config)), clock)).core
    core.database.open()
    core.search._encoder_factory = lambda _: WordEncoder()
    await core.search.put([document("a", "disk"), document("b", "network")])
    await ready(core.search)
    await core.search.remove(["b"])
    (job,) = [job for owner, job in app.scheduler._jobs if owner == "search"]
    assert job.every == DAY
    left = []
    for _ in range(4):
        clock.advance(seconds=DAY)
        await app.scheduler.fire("search", job)
        async with core.database.reading() as tx:
            left.append(len(await tx.embeddings.keys(WordEncoder.model)))
    await core.search.stop()
    await core.database.close()
    assert left == [2, 2, 1, 1]
