"""Signals: scaled so that they can be weighed together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.search.ranker import RELATIVE, SIGNALS
from bot.search.signals import matrix, scaled

VALUES = st.lists(st.integers(-1_000, 1_000), min_size=2, max_size=40)


def column(name: str, values: list[float]) -> list[float]:
    """Scale one signal and return its column."""
    raw = matrix({name: np.array(values, dtype=np.float32)}, len(values))
    found: list[float] = scaled(raw)[:, SIGNALS.index(name)].tolist()
    return found


def test_signals_stand_in_their_columns_and_others_are_unknown() -> None:
    raw = matrix({"title": np.array([0.5, 1.0], dtype=np.float32)}, 2)
    assert raw.shape == (2, len(SIGNALS))
    assert raw[:, SIGNALS.index("title")].tolist() == [0.5, 1.0]
    assert np.isnan(np.delete(raw, SIGNALS.index("title"), axis=1)).all()
    assert matrix({}, 0).shape == (0, len(SIGNALS))
    assert scaled(matrix({}, 0)).shape == (0, len(SIGNALS))


@given(VALUES, st.sampled_from((0.5, 2.0, 7.0)), st.integers(-50, 50))
def test_a_relative_signal_does_not_depend_on_its_scale(
    values: list[int], factor: float, offset: int
) -> None:
    changed = [factor * value + offset for value in values]
    for name in RELATIVE:
        found = column(name, list(map(float, values)))
        assert column(name, changed) == pytest.approx(found, abs=1e-3)
        assert sum(found) == pytest.approx(0, abs=1e-3)
        if len(set(values)) > 1:
            assert np.std(found) == pytest.approx(1, abs=1e-3)


@given(st.floats(-1e3, 1e3, width=32), st.integers(1, 200))
def test_what_all_candidates_share_says_nothing(value: float, count: int) -> None:
    assert column("words", [value] * count) == [0.0] * count


@given(st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=20))
def test_the_other_signals_stand_for_themselves(values: list[float]) -> None:
    for name in set(SIGNALS) - RELATIVE:
        assert column(name, values) == values


def test_what_is_not_known_is_the_average_and_shifts_nobody_else() -> None:
    nan = float("nan")
    assert column("meaning", [1.0, nan, 3.0]) == [-1.0, 0.0, 1.0]
    assert column("meaning", [nan, nan]) == [0.0, 0.0]
    assert column("title", [nan, 0.5]) == [0.0, 0.5]
    assert np.isfinite(scaled(matrix({}, 3))).all()


@given(VALUES)
def test_scaling_keeps_the_order(values: list[int]) -> None:
    found = column("words", list(map(float, values)))
    for one, a in zip(values, found, strict=True):
        assert all((one < other) == (a < b) for other, b in zip(values, found, strict=True))


def test_what_was_measured_is_left_as_it_was() -> None:
    raw = matrix({"words": np.array([1.0, 2.0], dtype=np.float32)}, 2)
    before = raw.copy()
    scaled(raw)
    assert np.array_equal(raw, before, equal_nan=True)
