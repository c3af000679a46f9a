"""The lists of like vectors: what they find, and that nothing is found that is not there."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.search import approximate
from bot.search.approximate import RECALL, InvertedLists
from bot.search.dense import DenseIndex

Vectors = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]

DIMENSION = 32


def unit(vectors: npt.NDArray[np.floating]) -> Vectors:
    scaled: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return scaled


def clustered(count: int, seed: int) -> Vectors:
    """Make vectors the way texts lie: about some subjects, more or less."""
    chance = np.random.default_rng(seed)
    subjects = np.random.default_rng(0).normal(size=(60, DIMENSION))
    spread = chance.normal(size=(count, DIMENSION)) * 0.5
    return unit(subjects[chance.integers(60, size=count)] + spread)


def lists_of(vectors: Vectors, *, erased: Numbers | None = None) -> InvertedLists:
    """Train lists on vectors and fill them, slot by place; some are erased before tuning."""
    chance = np.random.default_rng(1)
    lists = InvertedLists(DIMENSION, expected=len(vectors))
    for _ in lists.training(lambda count: vectors[chance.integers(len(vectors), size=count)]):
        pass
    for start in range(0, len(vectors), 1000):
        part = vectors[start : start + 1000]
        lists.write(np.arange(start, start + len(part)), part)
    if erased is not None:
        lists.erase(erased)
    for _ in lists.tune():
        pass
    return lists


def found_share(lists: InvertedLists, vectors: Vectors, queries: Vectors) -> float:
    """Measure recall@10 when 40 are asked for and ranked again exactly."""
    selectable = np.ones(len(vectors), dtype=np.bool_)
    hits = 0
    for query in queries:
        exact = np.argsort(-(vectors @ query))[:10]
        hits += len(set(exact) & set(lists.search(query, 40, selectable=selectable).tolist()))
    return hits / (10 * len(queries))


def test_nearly_all_neighbours_are_found_in_a_fraction_of_the_lists() -> None:
    vectors = clustered(20_000, 2)
    lists = lists_of(vectors)
    assert len(lists) == 20_000
    assert lists.visited <= 0.25 * 141
    assert lists.recall >= RECALL
    assert found_share(lists, vectors, clustered(100, 3)) >= RECALL - 0.02


def test_vectors_without_neighbourhoods_are_searched_further_and_their_recall_is_told() -> None:
    hard = unit(np.random.default_rng(4).normal(size=(5000, DIMENSION)))
    lists = lists_of(hard)
    easy = lists_of(clustered(5000, 5))
    assert lists.visited > easy.visited
    assert lists.recall >= RECALL
    measured = found_share(lists, hard, unit(np.random.default_rng(6).normal(size=(100, 32))))
    assert lists.recall == pytest.approx(measured, abs=0.1)


def test_a_limit_of_time_goes_before_recall_and_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(approximate, "_MOST_COMPARED", 500)
    hard = unit(np.random.default_rng(4).normal(size=(5000, DIMENSION)))
    lists = lists_of(hard)
    assert lists.visited == 7
    assert lists.recall < RECALL
    assert "visits 7 of 70 lists" in caplog.text


def test_what_was_erased_is_not_missed_when_recall_is_measured() -> None:
    lists = lists_of(clustered(5000, 12), erased=np.arange(0, 5000, 2))
    assert len(lists) == 2500
    assert lists.recall >= 0.9


def test_few_selectable_slots_are_found_nevertheless() -> None:
    vectors = clustered(10_000, 7)
    lists = lists_of(vectors)
    selectable = np.zeros(10_000, dtype=np.bool_)
    selectable[::100] = True
    query = clustered(1, 8)[0]
    exact = np.flatnonzero(selectable)[np.argsort(-(vectors[selectable] @ query))][:10]
    found = lists.search(query, 40, selectable=selectable)
    assert selectable[found].all()
    assert len(set(exact) & set(found.tolist())) >= 9
    assert not len(lists.search(query, 5, selectable=np.zeros(10_000, dtype=np.bool_)))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    deeds=st.lists(st.sampled_from(("write", "write", "erase")), max_size=60),
)
def test_a_slot_is_stored_once_and_what_is_erased_is_gone(seed: int, deeds: list[str]) -> None:
    chance = np.random.default_rng(seed)
    lists = lists_of(clustered(300, 9))
    held = dict(enumerate(clustered(300, 9)))
    for deed in deeds:
        slots: Numbers = np.unique(chance.integers(600, size=chance.integers(1, 60)))
        if deed == "write":
            vectors = clustered(len(slots), int(chance.integers(2**31)))
            lists.write(slots, vectors)
            held.update(zip(slots.tolist(), vectors, strict=True))
        else:
            lists.erase(slots)
            for slot in slots.tolist():
                held.pop(slot, None)
        assert len(lists) == len(held)
    everywhere = np.ones(600, dtype=np.bool_)
    lists.visited = 1000
    found = lists.search(clustered(1, seed % 1000)[0], 600, selectable=everywhere)
    assert sorted(found.tolist()) == sorted(held)
    for slot in list(held)[:10]:
        assert slot in lists.search(held[slot], 5, selectable=everywhere).tolist()


def compares_all(index: DenseIndex) -> bool:
    return index.exact


def test_before_training_nothing_can_be_stored() -> None:
    with pytest.raises(RuntimeError, match="before they are trained"):
        InvertedLists(DIMENSION, expected=100).write(np.array([1]), clustered(1, 1))


def test_an_index_grown_beyond_exactness_still_finds_its_rows_and_returns_when_it_shrinks() -> None:
    index = DenseIndex(DIMENSION, exact_up_to=8000)
    vectors = clustered(10_000, 10)
    for row, vector in enumerate(vectors):
        index.put(row, vector.reshape(1, -1), np.array([True]))
    while index.maintain():
        pass
    assert not compares_all(index)
    allowed = np.ones(len(vectors), dtype=np.bool_)
    queries = clustered(50, 11)
    whitened = index.whitening.apply(vectors)
    hits = 0
    for query in queries:
        exact = np.argsort(-(whitened @ index.whitening.apply(query.reshape(1, -1))[0]))[:10]
        found = index.nearest(query, allowed=allowed, limit=10)
        compared = index.compare(query, found).meaning
        assert (np.diff(compared) <= 1e-6).all()
        hits += len(set(exact) & set(found.tolist()))
    assert hits / 500 >= RECALL - 0.02
    for row in range(0, 10_000, 2):
        index.remove(row)
    assert (index.nearest(queries[0], allowed=allowed, limit=500) % 2 == 1).all()
    while index.maintain():
        pass
    assert compares_all(index)
    found = index.nearest(queries[0], allowed=allowed, limit=5000)
    assert sorted(found.tolist()) == list(range(1, 10_000, 2))


def test_removal_takes_vectors_out_of_the_lists_even_between_two_slices_of_a_rebuild() -> None:
    index = DenseIndex(DIMENSION, exact_up_to=2000)
    for row, vector in enumerate(clustered(4000, 13)):
        index.put(row, vector.reshape(1, -1), np.array([True]))
    removed = 0
    while index.maintain():
        for row in (removed, 3999 - removed):
            index.remove(row)
        removed += 1
    index.remove(2000)
    lists = index.searcher
    assert isinstance(lists, InvertedLists)
    assert len(lists) == len(index) == 4000 - 2 * removed - 1
