"""What the speed of search rests on, without a clock; `tests/benchmarks` has the clocks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from bot.domain.documents import Document, Query
from bot.search.engine import HybridSearch
from bot.search.index import Index
from tests.benchmarks import search_material
from tests.benchmarks.search_machine import Times, times
from tests.benchmarks.search_nearest import Contender, Result, against_best, recall, settled

MOST_TEXTS = 8  # encoded while a query waits
MOST_DOCUMENTS = 32  # indexed while a query waits


class CountingEncoder:
    """Note how many texts each call brings, and which."""

    model = "counting"
    dimension = 8

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        self.calls.append(list(texts))
        vectors = np.ones((len(texts), self.dimension), dtype=np.float32)
        vectors[:, 0] = [len(text) for text in texts]
        unit: npt.NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit


@pytest.fixture
def encoder() -> CountingEncoder:
    return CountingEncoder()


@pytest.fixture
async def search(tmp_path: Path, encoder: CountingEncoder) -> AsyncIterator[HybridSearch]:
    made = HybridSearch(lambda _: encoder, tmp_path)
    await made.start()
    assert await made.wait_until_dense()
    yield made
    await made.stop()


def documents(count: int) -> list[Document]:
    return [
        Document(id=f"d{n}", kind="incident", title=f"Title {n}", text=f"Body number {n}.")
        for n in range(count)
    ]


async def test_a_query_encodes_one_text_and_one_asked_again_encodes_nothing(
    search: HybridSearch, encoder: CountingEncoder
) -> None:
    await search.put(documents(3))
    encoder.calls.clear()
    for _ in range(3):
        assert (await search.find(Query(text="body two"), kinds=["incident"], limit=3)).hits
    assert encoder.calls == [["body two"]]


async def test_a_query_waits_for_a_few_texts_at_most_while_documents_are_put(
    search: HybridSearch, encoder: CountingEncoder
) -> None:
    await search.put(documents(100))
    assert sum(len(texts) for texts in encoder.calls) == 100
    assert max(len(texts) for texts in encoder.calls) <= MOST_TEXTS


async def test_a_query_waits_for_a_slice_of_documents_at_most_while_they_are_put(
    search: HybridSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    slices: list[int] = []
    put = Index.put

    def counted(self: Index, some: Sequence[Document]) -> object:
        slices.append(len(some))
        return put(self, some)

    monkeypatch.setattr(Index, "put", counted)
    await search.put(documents(100))
    assert sum(slices) == 100
    assert max(slices) <= MOST_DOCUMENTS


async def test_what_was_encoded_once_is_not_encoded_when_it_is_put_again(
    search: HybridSearch, encoder: CountingEncoder
) -> None:
    await search.put(documents(10))
    encoder.calls.clear()
    await search.put(documents(10))
    assert encoder.calls == []


def test_a_benchmark_calls_no_peer_better_that_finds_less() -> None:
    ours = _result("ours", recall=0.98, p50=1.0)
    hasty = _result("hasty", recall=0.90, p50=0.1)
    equal = _result("equal", recall=0.98, p50=0.8)
    assert "1.25 of the best peer's time (equal)" in against_best([ours, hasty, equal], least=0.98)
    assert "no peer" in against_best([ours, hasty], least=0.98)


def test_a_benchmark_takes_a_peers_quickest_setting_that_finds_as_much() -> None:
    chosen: list[int] = []
    contender = Contender(
        name="peer",
        built=0,
        ask=lambda _: np.arange(10) + (0 if chosen[-1] >= 64 else 5),
        queries=np.zeros((1, 4), dtype=np.float32),
        settings=(16, 64, 256),
        choose=chosen.append,
    )
    true = [set(range(10))]
    assert settled(contender, true, least=0.9) == (64, 1.0)
    assert settled(contender, true, least=0.5) == (16, 0.5)
    assert recall(contender, true) == 0.5


def test_percentiles_are_of_what_was_measured() -> None:
    assert times([n / 1000 for n in range(1, 101)]) == Times(p50=50.0, p99=99.0)


def test_synthetic_documents_are_the_same_each_time_and_all_different() -> None:
    made = list(search_material.documents(200, seed=4))
    assert made == list(search_material.documents(200, seed=4))
    assert made != list(search_material.documents(200, seed=5))
    assert len({document.id for document in made}) == len({document.title for document in made})
    assert len({query.text for query in search_material.queries(200)}) == 200


def _result(name: str, *, recall: float, p50: float) -> Result:
    return Result(name=name, setting=0, recall=recall, times=Times(p50=p50, p99=p50), built=0)
