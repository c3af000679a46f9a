"""The vector index against plain arithmetic, after any number of changes."""

import numpy as np
import numpy.typing as npt
import pytest

from bot.search.dense import DenseIndex

Vectors = npt.NDArray[np.float32]


def unit(count: int, chance: np.random.Generator) -> Vectors:
    vectors = chance.normal(size=(count, 8)).astype(np.float32)
    unit_vectors: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit_vectors


def test_the_nearest_rows_are_those_of_plain_arithmetic_after_many_changes() -> None:
    chance = np.random.default_rng(3)
    index, kept = DenseIndex(8), dict[int, Vectors]()
    for _ in range(600):
        row = int(chance.integers(60))
        if chance.random() < 0.3:
            index.remove(row)
            kept.pop(row, None)
        else:
            kept[row] = unit(int(chance.integers(1, 4)), chance)
            index.put(row, kept[row])
    query = unit(1, chance)[0]
    allowed = np.array([row % 3 != 0 for row in range(60)])
    best = {row: float((kept[row] @ query).max()) for row in kept if allowed[row]}
    expected = sorted(best, key=lambda row: -best[row])
    found = index.nearest(query, allowed=allowed, limit=60).tolist()
    assert found == expected
    assert index.nearest(query, allowed=allowed, limit=3).tolist() == expected[:3]
    cosines, chunks = index.cosines(query, expected)
    assert cosines.tolist() == pytest.approx([best[row] for row in expected])
    assert chunks == [int((kept[row] @ query).argmax()) for row in expected]


def test_nothing_stored_or_nothing_allowed_finds_nothing() -> None:
    index = DenseIndex(8)
    query = unit(1, np.random.default_rng(1))[0]
    assert index.nearest(query, allowed=np.array([True]), limit=5).tolist() == []
    index.put(0, query.reshape(1, -1))
    assert index.nearest(query, allowed=np.array([False]), limit=5).tolist() == []
    index.remove(0)
    assert index.nearest(query, allowed=np.array([True]), limit=5).tolist() == []
    assert np.isnan(index.cosines(query, [0])[0]).all()


def test_vectors_of_another_dimension_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 5\), expected \(n, 8\)"):
        DenseIndex(8).put(0, np.zeros((2, 5), dtype=np.float32))
