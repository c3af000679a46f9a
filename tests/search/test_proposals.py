"""The words propose candidates while the query is being encoded, and documents may change."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from bot.domain.documents import Document, Query
from bot.search.engine import HybridSearch
from bot.search.handed import Filters, Proposed
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
    proposed = threading.Event()
    proposals: list[Proposed] = []
    propose = Index.propose

    def watched(self: Index, query: Query, filters: Filters) -> Proposed:
        proposals.append(propose(self, query, filters))
        proposed.set()
        return proposals[-1]

    monkeypatch.setattr(Index, "propose", watched)
    encoder.gate.clear()
    asked = asyncio.create_task(search.find(Query(text="slow"), kinds=ALL, limit=1))
    assert await asyncio.to_thread(proposed.wait, 10)
    assert await asyncio.to_thread(encoder.reached.wait, 10)
    encoder.gate.set()
    assert [hit.document.id for hit in (await asked).hits] == ["a"]
    assert len(proposals) == 1


async def test_who_waits_behind_a_slice_when_its_vector_comes_does_not_wait_twice(
    search: HybridSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proposal that has not begun is taken back, and made with the finding."""
    await search.put([document("a", "slow disk")])
    turns: list[str] = []
    monkeypatch.setattr(Index, "propose", noting(turns, Index.propose))
    monkeypatch.setattr(Index, "find", noting(turns, Index.find))
    busy, go_on = threading.Event(), threading.Event()

    def slice(_: Index) -> None:
        busy.set()
        assert go_on.wait(10)

    working = asyncio.create_task(search._indexed(slice))
    assert await asyncio.to_thread(busy.wait, 10)
    asked = asyncio.create_task(search.find(Query(text="slow"), kinds=ALL, limit=1))
    await asyncio.to_thread(until_queued, search, 2)  # the proposal, and the finding
    go_on.set()
    await working
    assert [hit.document.id for hit in (await asked).hits] == ["a"]
    assert turns == ["find", "propose"]
