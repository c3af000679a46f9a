"""The words propose candidates while the query is being encoded, and documents may change."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bot.domain.documents import Document, Query
from bot.search.engine import HybridSearch
from bot.search.filters import Filters
from bot.search.handed import Proposed
from bot.search.index import Index
from bot.search.ranker import FALLBACK
from tests.search.encoders import GatedEncoder
from tests.search.queueing import until_queued

ALL = ("runbook",)
FILTERS = Filters(kinds=ALL)


def document(id: str, text: str, *services: str) -> Document:
    return Document(id=id, kind="runbook", title="", text=text, services=services)


@pytest.fixture
def encoder() -> GatedEncoder:
    return GatedEncoder()


@pytest.fixture
async def search(tmp_path: Path, encoder: GatedEncoder) -> AsyncIterator[HybridSearch]:
    search = HybridSearch(lambda _: encoder, tmp_path, ranker=FALLBACK)
    await search.start()
    assert await search.wait_until_dense()
    yield search
    encoder.gate.set()
    await search.stop()


def noting(turns: list[str], method: Callable[..., Any]) -> Callable[..., Any]:
    """Write down each call of a method before it begins."""

    def noted(*arguments: Any, **named: Any) -> Any:
        turns.append(method.__name__)
        return method(*arguments, **named)

    return noted


def test_after_a_change_it_is_proposed_anew() -> None:
    index, query = Index(FALLBACK), Query(text="slow")
    index.put([document("a", "slow disk"), document("b", "slow network")])
    early = index.propose(query, FILTERS)
    index.remove(["a"])
    index.put([document("c", "slow database"), document("d", "slow queue")])
    found = index.find(query, None, filters=FILTERS, limit=9, proposed=early)
    assert found == index.find(query, None, filters=FILTERS, limit=9)
    assert sorted(hit.document.id for hit in found.hits) == ["b", "c", "d"]


def test_after_services_were_placed_it_is_proposed_anew() -> None:
    index, query = Index(FALLBACK), Query(text="slow", services=("checkout",))
    index.put([document("a", "slow disk", "payments")])
    early = index.propose(query, FILTERS)
    index.place({"checkout": ["payments"]})
    (hit,) = index.find(query, None, filters=FILTERS, limit=9, proposed=early).hits
    assert "checkout needs payments" in [reason.text for reason in hit.reasons]


async def test_words_are_looked_up_once_and_while_the_query_is_encoded(
    search: HybridSearch, encoder: GatedEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    await search.put([document("a", "slow disk")])
    proposed, turns = threading.Event(), list[str]()
    propose = noting(turns, Index.propose)

    def watched(self: Index, query: Query, filters: Filters) -> Proposed:
        made: Proposed = propose(self, query, filters)
        proposed.set()
        return made

    monkeypatch.setattr(Index, "propose", watched)
    encoder.gate.clear()
    asked = asyncio.create_task(search.find(Query(text="slow"), kinds=ALL, limit=1))
    assert await asyncio.to_thread(proposed.wait, 10)
    assert await asyncio.to_thread(encoder.reached.wait, 10)
    encoder.gate.set()
    assert [hit.document.id for hit in (await asked).hits] == ["a"]
    assert turns == ["propose"]


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the index was asked to do."""
    turns: list[str] = []
    monkeypatch.setattr(Index, "propose", noting(turns, Index.propose))
    monkeypatch.setattr(Index, "find", noting(turns, Index.find))
    return turns


@asynccontextmanager
async def busy(search: HybridSearch) -> AsyncIterator[None]:
    """Keep the index's thread at work."""
    begun, go_on = threading.Event(), threading.Event()

    def slice(_: Index) -> None:
        begun.set()
        assert go_on.wait(10)

    working = asyncio.create_task(search._indexed(slice))
    assert await asyncio.to_thread(begun.wait, 10)
    try:
        yield
    finally:
        go_on.set()
        await working


async def test_who_waits_behind_a_slice_when_its_vector_comes_does_not_wait_twice(
    search: HybridSearch, turns: list[str]
) -> None:
    """The proposal that has not begun is taken back, and made with the finding."""
    await search.put([document("a", "slow disk")])
    async with busy(search):
        asked = asyncio.create_task(search.find(Query(text="slow"), kinds=ALL, limit=1))
        await asyncio.to_thread(until_queued, search, 2)  # the proposal, and the finding
    assert [hit.document.id for hit in (await asked).hits] == ["a"]
    assert turns == ["find", "propose"]


async def test_a_question_that_is_given_up_leaves_nothing_in_line(
    search: HybridSearch, encoder: GatedEncoder, turns: list[str]
) -> None:
    await search.put([document("a", "slow disk")])
    encoder.gate.clear()
    async with busy(search):
        asked = asyncio.create_task(search.find(Query(text="slow"), kinds=ALL, limit=1))
        await asyncio.to_thread(until_queued, search)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
    encoder.gate.set()
    await search.place({})  # stands behind it in line
    assert turns == []
    assert (await search.find(Query(text="slow"), kinds=ALL, limit=1)).hits


async def test_one_query_at_a_time_is_proposed_for_ahead(
    search: HybridSearch, encoder: GatedEncoder, turns: list[str]
) -> None:
    """Proposals have a number for each document; many that wait must not hold many."""
    await search.put([document("a", "slow disk")])
    encoder.gate.clear()
    asked = [
        asyncio.create_task(search.find(Query(text=f"slow {n}"), kinds=ALL, limit=1))
        for n in range(3)
    ]
    assert await asyncio.to_thread(encoder.reached.wait, 10)
    await search.place({})
    assert turns == ["propose"]
    encoder.gate.set()
    for found in await asyncio.gather(*asked):
        assert [hit.document.id for hit in found.hits] == ["a"]
