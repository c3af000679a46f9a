"""Figures, by hand and by property."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.search.training.measures import (
    MEASURES,
    auroc,
    bootstrap,
    calibration_error,
    figures_of,
    reliability,
)

SHARES = st.floats(0, 1)


def test_the_third_place_counts_a_third() -> None:
    figures = dict(zip(MEASURES, figures_of(["a", "b", "c"], {"c"}), strict=True))
    assert figures["R@1"] == 0
    assert figures["R@3"] == figures["R@5"] == 1
    assert figures["MRR@10"] == pytest.approx(1 / 3)
    assert figures["nDCG@10"] == pytest.approx(1 / 2)


def test_the_eleventh_place_counts_nothing() -> None:
    assert not figures_of([*"abcdefghij", "right"], {"right"}).any()
    assert not figures_of([], {"right"}).any()


def test_all_right_ones_count_for_the_gain() -> None:
    found = figures_of(["x", "a", "b"], {"a", "b", "c"})
    ideal = 1 + 1 / math.log2(3) + 1 / 2
    assert found[-1] == pytest.approx((1 / math.log2(3) + 1 / 2) / ideal)


@given(st.lists(st.sampled_from("abcdefghijklmnop"), unique=True), st.sets(st.sampled_from("abcd")))
def test_figures_are_shares_and_recall_never_falls_with_depth(
    found: list[str], relevant: set[str]
) -> None:
    first, third, fifth, reciprocal, gain = figures_of(found, relevant)
    assert first <= third <= fifth <= 1
    assert first <= reciprocal <= 1
    assert 0 <= gain <= 1 + 1e-12


def test_an_interval_holds_the_mean_and_is_the_same_every_time() -> None:
    values = np.random.default_rng(1).random((80, 2))
    groups = [f"g{n // 2}" for n in range(80)]
    first = bootstrap(values, groups)
    assert first == bootstrap(values, groups)
    assert all(one.low < one.value < one.high for one in first)
    assert first[0].value == pytest.approx(values[:, 0].mean())


def test_questions_of_one_group_are_drawn_together() -> None:
    """Ten copies of each question are no more evidence than one."""
    values = np.random.default_rng(1).random((30, 1))
    names = [f"g{n}" for n in range(30)]
    (once,) = bootstrap(values, names)
    (copied,) = bootstrap(np.repeat(values, 10, axis=0), [n for n in names for _ in range(10)])
    assert copied.low == pytest.approx(once.low)
    assert copied.high == pytest.approx(once.high)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    random, covered = np.random.default_rng(3), 0
    for _ in range(60):
        (figure,) = bootstrap(random.random((60, 1)), [str(n) for n in range(60)])
        covered += figure.low <= 0.5 <= figure.high
    assert covered >= 50


@given(st.lists(SHARES, min_size=1, max_size=20), st.lists(SHARES, min_size=1, max_size=20))
def test_auroc_is_the_share_of_pairs_in_the_right_order(
    high: list[float], low: list[float]
) -> None:
    pairs = [(a > b) + (a == b) / 2 for a in high for b in low]
    assert auroc(high, low) == pytest.approx(sum(pairs) / len(pairs))


def test_auroc_needs_both_sides() -> None:
    assert auroc([], [0.3]) is None
    assert auroc([0.3], []) is None


def test_a_claim_that_holds_has_no_error_and_a_boast_has() -> None:
    claimed = [0.2] * 50 + [0.8] * 50
    true = [1.0] * 10 + [0.0] * 40 + [1.0] * 40 + [0.0] * 10
    mixed = [true[(n % 10) * 5 + n // 10] for n in range(50)]
    mixed += [true[50 + (n % 10) * 5 + n // 10] for n in range(50)]
    error = calibration_error(reliability(claimed, mixed, [1.0] * 100))
    assert error == pytest.approx(0, abs=0.17)
    boast = calibration_error(reliability([0.99] * 100, mixed, [1.0] * 100))
    assert boast == pytest.approx(0.49)


def test_bins_have_equal_mass_and_heavy_answers_count_more() -> None:
    bins = reliability([n / 100 for n in range(100)], [0.0] * 100, [1.0] * 100)
    assert [each.count for each in bins] == [10] * 10
    heavy = reliability([0.1, 0.9], [0.0, 1.0], [9.0, 1.0])
    assert calibration_error(heavy) == pytest.approx(0.1)
    assert heavy[0].weight == 9


def test_nothing_claimed_is_nothing_measured() -> None:
    assert reliability([], [], []) == []
    assert calibration_error([]) is None


@given(st.lists(st.tuples(SHARES, st.booleans(), st.floats(0.01, 5)), min_size=1, max_size=60))
def test_bins_keep_everything_and_the_error_is_a_share(
    answers: list[tuple[float, bool, float]],
) -> None:
    claimed, held, weights = (list(column) for column in zip(*answers, strict=True))
    bins = reliability(claimed, [float(one) for one in held], weights)
    error = calibration_error(bins)
    assert sum(each.count for each in bins) == len(answers)
    assert sum(each.weight for each in bins) == pytest.approx(sum(weights))
    assert error is not None
    assert 0 <= error <= 1 + 1e-9
