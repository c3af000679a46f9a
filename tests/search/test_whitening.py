"""The map that sets vectors apart, and the sums it is made of."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.search.whitening import Moments, Whitening, unchanged

Vectors = npt.NDArray[np.float32]

DIMENSION = 6


def cone(count: int, seed: int) -> Vectors:
    """Make unit vectors that share much, as those of sentences do."""
    chance = np.random.default_rng(seed)
    spread = chance.normal(size=(count, DIMENSION)) * np.array([2, 1, 0.5, 0.5, 0.1, 0.1])
    vectors = spread + 3
    unit: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


def whitening_of(vectors: Vectors) -> Whitening:
    moments = Moments(DIMENSION)
    moments.add(vectors)
    return moments.whitening()


def test_the_map_is_the_formula_it_claims_to_be() -> None:
    vectors = cone(500, 1)
    exact = vectors.astype(np.float64)
    variances, directions = np.linalg.eigh(np.cov(exact.T, bias=True))
    matrix = directions * (variances + variances.mean()) ** -0.375
    expected = (exact - exact.mean(axis=0)) @ matrix
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    whitened = whitening_of(vectors).apply(vectors)
    assert whitened.dtype == np.float32
    assert np.allclose(whitened @ whitened.T, expected @ expected.T, atol=1e-5)


def test_what_all_share_no_longer_makes_everything_alike() -> None:
    vectors = cone(500, 2)
    whitened = whitening_of(vectors).apply(vectors)
    assert (vectors @ vectors.T).mean() > 0.7
    assert abs((whitened @ whitened.T).mean()) < 0.05


def test_a_query_brought_to_the_raw_side_gives_the_same_products() -> None:
    vectors, query = cone(200, 3), cone(1, 4)
    whitening = whitening_of(vectors)
    whitened, inverse = whitening.measured(vectors)
    target = whitening.apply(query)[0]
    direction = whitening.direction(target)
    products = (vectors @ direction.along - direction.offset) * inverse
    assert np.allclose(products, whitened @ target, atol=1e-5)


def test_one_vector_is_whitened_as_many_are() -> None:
    whitening, vectors = whitening_of(cone(200, 10)), cone(20, 11)
    one_by_one = np.stack([whitening.query(vector) for vector in vectors])
    assert one_by_one.dtype == np.float32
    assert np.allclose(one_by_one, whitening.apply(vectors), atol=1e-6)
    assert not whitening.query(whitening.mean).any()


@pytest.mark.parametrize("count", (0, 1, 31))
def test_few_vectors_are_left_as_they_are(count: int) -> None:
    vectors = cone(count, 5)
    assert np.allclose(whitening_of(vectors).apply(vectors), vectors, atol=1e-6)


def test_vectors_that_are_all_the_same_are_left_as_they_are() -> None:
    vectors = np.repeat(cone(1, 6), 100, axis=0)
    assert np.allclose(whitening_of(vectors).apply(vectors), vectors, atol=1e-6)


def test_the_mean_itself_has_no_direction_and_is_no_nan() -> None:
    whitening = whitening_of(cone(100, 7))
    whitened, inverse = whitening.measured(whitening.mean.reshape(1, -1))
    assert not whitened.any()
    assert not inverse.any()


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    sizes=st.lists(st.integers(0, 300), min_size=1, max_size=12),
    gone=st.sets(st.integers(0, 11)),
)
def test_what_came_and_went_again_leaves_no_trace(
    seed: int, sizes: list[int], gone: set[int]
) -> None:
    parts = [cone(size, (seed + number) % 2**32) for number, size in enumerate(sizes)]
    moments = Moments(DIMENSION)
    for part in parts:
        moments.add(part)
    for number in sorted(gone):
        if number < len(parts):
            moments.subtract(parts[number])
    left = np.concatenate(
        [part for number, part in enumerate(parts) if number not in gone] or [cone(0, 0)]
    )
    assert moments.count == len(left)
    query = cone(40, 8)
    one, other = moments.whitening().apply(query), whitening_of(left).apply(query)
    assert np.allclose(one @ one.T, other @ other.T, atol=1e-3)


def test_a_map_is_stale_when_more_than_a_quarter_came_or_went() -> None:
    whitening = whitening_of(cone(100, 9))
    assert [whitening.stale(count) for count in (74, 75, 100, 125, 126)] == [
        True, False, False, False, True,
    ]  # fmt: skip


def test_below_the_fewest_nothing_is_ever_stale() -> None:
    early = unchanged(DIMENSION, count=2)
    assert [early.stale(count) for count in (0, 2, 31, 32)] == [False, False, False, True]
    assert whitening_of(cone(40, 1)).stale(3)
