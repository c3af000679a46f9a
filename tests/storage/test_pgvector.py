"""Vectors that PostgreSQL searches itself: as near as brute force, and never without truth."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, inspect

from bot.domain.documents import Document, Query
from bot.ports import Database
from bot.search.engine import HybridSearch
from bot.storage.migrate import MIGRATIONS
from bot.storage.postgres import PostgresDatabase
from bot.storage.postgres_vectors import graph_of, numbers_of
from tests.fakes import FakeClock
from tests.search.encoders import WordEncoder
from tests.storage.stores import Postgres, connected

DIMENSIONS = 384
APPROXIMATE = "?options=-c%20enable_seqscan%3Doff"


def units(count: int, *, seed: int = 1, dimensions: int = DIMENSIONS) -> list[bytes]:
    numbers = np.random.default_rng(seed).standard_normal((count, dimensions))
    numbers /= np.linalg.norm(numbers, axis=1, keepdims=True)
    return [row.tobytes() for row in numbers.astype("<f2")]


def keyed(vectors: Sequence[bytes]) -> dict[bytes, bytes]:
    return {number.to_bytes(32, "big"): vector for number, vector in enumerate(vectors)}


def brute(known: dict[bytes, bytes], near: bytes, limit: int) -> list[bytes]:
    rows = np.array([np.frombuffer(v, "<f2") for v in known.values()], dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    best = np.argsort(-(rows @ np.frombuffer(near, "<f2").astype(np.float32)), kind="stable")
    return [list(known)[at] for at in best[:limit]]


async def put(store: Database, known: dict[bytes, bytes], model: str = "m") -> None:
    async with store.transaction() as tx:
        await tx.embeddings.add(model, known)


async def nearest(
    store: Database, near: bytes, *, limit: int = 3, model: str = "m"
) -> list[bytes] | None:
    async with store.reading() as view:
        found = await view.embeddings.nearest(model, near, limit=limit)
    return None if found is None else list(found)


def ask(url: str, sql: str, *values: object) -> list[Any]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(sql, values)
        return [row[0] for row in cursor.fetchall()] if cursor.description else []


def derived(url: str) -> list[tuple[str, bytes]]:
    with psycopg.connect(url) as connection:
        return connection.execute(
            "SELECT model, key FROM embedding_vectors ORDER BY 1, 2"
        ).fetchall()


@pytest.fixture
def url(vector_server: Postgres) -> str:
    return vector_server.migrated()


async def test_the_nearest_come_first_and_no_more_than_asked_for(url: str, tmp_path: Path) -> None:
    known = keyed(units(200))
    async with connected(url, tmp_path) as store:
        await put(store, known)
        for near in units(5, seed=2):
            assert await nearest(store, near, limit=7) == brute(known, near, 7)
        assert await nearest(store, near, limit=0) == []
        assert len(await nearest(store, near, limit=5000) or ()) == 200
        assert await nearest(store, near, model="never seen") == []


async def test_of_five_thousand_the_graph_finds_nearly_all_that_brute_force_finds(
    url: str, tmp_path: Path
) -> None:
    known = keyed(units(5000))
    ask(url, "DROP EXTENSION vector CASCADE")
    async with connected(url, tmp_path) as store:  # which fills it in when it is opened again
        ask(url, "DROP EXTENSION vector CASCADE")
        await put(store, known)
        assert await nearest(store, known[min(known)]) is None
    right = 0
    async with connected(url + APPROXIMATE, tmp_path) as store:
        for near in units(50, seed=2):
            found = await nearest(store, near, limit=10)
            right += len({*(found or ())} & {*brute(known, near, 10)})
    assert right / 500 >= 0.95
    assert len(derived(url)) == 5000


async def test_the_planner_can_use_the_graph(url: str, tmp_path: Path) -> None:
    async with connected(url, tmp_path) as store:
        await put(store, keyed(units(50)))
    graph = graph_of("m", DIMENSIONS)
    plan = ask(
        url + APPROXIMATE,
        f"EXPLAIN SELECT key FROM embedding_vectors WHERE graph = '{graph}'"
        f" ORDER BY CAST(vector AS halfvec({DIMENSIONS}))"
        f" <=> (SELECT CAST(vector AS halfvec({DIMENSIONS})) FROM embedding_vectors LIMIT 1)"
        " LIMIT 3",
    )
    assert any(f"Index Scan using {graph}" in line for line in plan), plan


async def test_what_is_removed_is_never_found_and_what_is_left_always(
    url: str, tmp_path: Path
) -> None:
    known = keyed(units(300))
    kept = dict(list(known.items())[::30])
    async with connected(url + APPROXIMATE, tmp_path) as store:
        await put(store, known)
        async with store.transaction() as tx:
            await tx.embeddings.remove("m", known.keys() - kept.keys())
        assert derived(url) == [("m", key) for key in kept]
        near = known[max(known)]
        assert await nearest(store, near, limit=10) == brute(kept, near, 10)
        await put(store, known)
        assert await nearest(store, near, limit=1) == [max(known)]


async def test_a_replaced_vector_is_found_where_it_is_now(url: str, tmp_path: Path) -> None:
    known = keyed(units(50))
    first, last = min(known), max(known)
    async with connected(url, tmp_path) as store:
        await put(store, known)
        await put(store, {first: known[last], last: known[first]})
        assert await nearest(store, known[last], limit=1) == [first]
        assert await nearest(store, known[first], limit=1) == [last]


async def test_models_and_dimensions_do_not_meet(url: str, tmp_path: Path) -> None:
    hostile = 'it\'s; :x %s \\ "model"'
    async with connected(url, tmp_path) as store:
        await put(store, keyed(units(5)))
        await put(store, keyed(units(7, dimensions=8)), model=hostile)
        await put(store, {b"short": units(1, dimensions=2)[0]})
        assert len(await nearest(store, units(1)[0], limit=99) or ()) == 5
        short = units(1, dimensions=8)[0]
        assert len(await nearest(store, short, limit=99, model=hostile) or ()) == 7
        assert await nearest(store, short) == []
        assert await nearest(store, units(1, dimensions=2)[0]) == [b"short"]


async def test_an_extension_that_comes_later_is_used_by_all_after_the_next_start(
    url: str, tmp_path: Path
) -> None:
    known = keyed(units(20))
    async with connected(url, tmp_path) as old:
        ask(url, "DROP EXTENSION vector CASCADE")
        await put(old, dict(list(known.items())[:10]))
        assert await nearest(old, known[min(known)]) is None
        async with connected(url, tmp_path) as new:
            await put(old, known)
            for store in (old, new):
                assert await nearest(store, known[max(known)], limit=1) == [max(known)]
                assert len(await nearest(store, known[min(known)], limit=99) or ()) == 20


async def test_rows_that_were_lost_are_filled_in_at_the_next_start(
    url: str, tmp_path: Path
) -> None:
    known = keyed(units(20))
    async with connected(url, tmp_path) as store:
        await put(store, known)
        ask(url, "DELETE FROM embedding_vectors WHERE key > %s", sorted(known)[4])
        assert len(await nearest(store, known[min(known)], limit=99) or ()) == 5
    async with connected(url, tmp_path) as store:
        assert len(await nearest(store, known[min(known)], limit=99) or ()) == 20


async def test_what_is_stored_while_others_start_is_derived_too(url: str, tmp_path: Path) -> None:
    known = keyed(units(600))
    rows = list(known.items())
    async with connected(url, tmp_path) as store:
        ask(url, "DROP EXTENSION vector CASCADE")
        await put(store, dict(rows[:300]))
        others = [PostgresDatabase(url, FakeClock(), nearest="database") for _ in range(3)]
        starts = [asyncio.create_task(asyncio.to_thread(o.open)) for o in others]
        at = 300
        while at < 600:
            await put(store, dict(rows[at : at + 5]))
            async with store.transaction() as tx:
                await tx.embeddings.remove("m", [k for k, _ in rows[:20]])
            at += 5
        await asyncio.gather(*starts)
        for other in others:
            await other.close()
    assert derived(url) == [("m", key) for key, _ in rows[20:]]


@pytest.fixture
def plain_user(vector_server: Postgres) -> str:
    """Return the URL of a database whose owner may do nothing but that."""
    fresh = vector_server.fresh()
    name = fresh.rpartition("/")[2]
    ask(fresh, f"CREATE ROLE {name}_owner LOGIN")
    ask(fresh, f"ALTER DATABASE {name} OWNER TO {name}_owner")
    return fresh.replace("postgres@", f"{name}_owner@")


async def test_without_the_right_to_create_the_extension_all_else_works(
    plain_user: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "bot.storage")
    async with connected(plain_user, tmp_path) as store:
        await put(store, keyed(units(3)))
        assert await nearest(store, units(1)[0]) is None
    said = [r.message for r in caplog.records if "pgvector" in r.message]
    assert len(said) == 1
    assert "permission denied" in said[0]


async def test_a_server_without_the_extension_is_told_of_in_one_line(
    server: Postgres, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "bot.storage")
    async with connected(server.fresh(), tmp_path) as store:
        await put(store, keyed(units(3)))
        assert await nearest(store, units(1)[0]) is None
    assert sum("no pgvector" in record.message for record in caplog.records) == 1


async def test_what_cannot_be_made_does_not_keep_the_bot_from_starting(
    vector_server: Postgres, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = vector_server.fresh()
    ask(url, "CREATE VIEW embedding_vectors AS SELECT 1 AS other")
    async with connected(url, tmp_path) as store:
        await put(store, keyed(units(3)))
        assert await nearest(store, units(1)[0]) is None
    assert "is not a table" in caplog.text


def test_the_migration_takes_the_derived_table_along(vector_server: Postgres) -> None:
    url = vector_server.migrated()
    assert derived(url) == []
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0003")
        assert not {"embeddings", "embedding_vectors"} & {*inspect(connection).get_table_names()}
    engine.dispose()
    PostgresDatabase(url, FakeClock(), nearest="database").open()
    assert derived(url) == []


@pytest.mark.parametrize(
    ("version", "numbers"), (("0.8.5", (0, 8, 5)), ("0.10", (0, 10)), ("1.0.0-rc1", (1, 0)))
)
def test_versions_are_compared_by_number(version: str, numbers: tuple[int, ...]) -> None:
    assert numbers_of(version) == numbers


async def test_the_search_asks_the_database_what_is_near(
    vector_server: Postgres, tmp_path: Path
) -> None:
    """The answer is the same as from memory, of other rows after a change, and filtered alike."""
    async with connected(vector_server.migrated(), tmp_path / "keys") as database:
        searches = {
            "memory": HybridSearch(lambda _: WordEncoder(), tmp_path / "memory"),
            "database": HybridSearch(
                lambda _: WordEncoder(), tmp_path / "near", database=database, nearest="database"
            ),
        }
        found: dict[str, list[list[str]]] = {}
        for name, search in searches.items():
            await search.put([_page(number) for number in range(40)])
            await search.start()
            assert await search.wait_until_dense()
            await search.remove([str(number) for number in range(10)])
            await search.put([_page(number, "storm ") for number in range(20, 30)])
            answers = [
                await search.find(Query(text=text), kinds=(kind,), limit=5)
                for text in ("storm word21", "word12 word35", "word3")
                for kind in ("runbook", "incident")
            ]
            found[name] = [[hit.document.id for hit in answer.hits] for answer in answers]
            await search.stop()
        assert found["database"] == found["memory"]
        assert any(found["memory"])


def _page(number: int, more: str = "") -> Document:
    kind = "runbook" if number % 2 else "incident"
    return Document(
        id=str(number), kind=kind, title="", text=f"{more}word{number} word{number + 1}"
    )
