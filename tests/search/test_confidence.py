"""Confidence: what it is drawn from, and that it is a probability whatever comes in."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.search.confidence import EVIDENCE, evidence, probability
from bot.search.ranker import Calibration
from bot.search.signals import matrix

ANY = st.floats(-1e300, 1e300)
KNOTS = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=8).map(
    lambda knots: tuple(zip(sorted(x for x, _ in knots), sorted(y for _, y in knots), strict=True))
)


def raw(**signals: list[float]) -> npt.NDArray[np.float32]:
    columns = {name: np.array(values, dtype=np.float32) for name, values in signals.items()}
    return matrix(columns, len(next(iter(signals.values()))))


def scores(*values: float) -> npt.NDArray[np.float32]:
    return np.array(values, dtype=np.float32)


def test_without_a_hit_there_is_no_evidence() -> None:
    assert evidence(raw(words=[0.0]), scores(1), [], most=5, terms=2) == {}
    assert evidence(raw(words=[]), scores(), [], most=0, terms=0) == {}


def test_evidence_is_what_stands_beside_the_first_hit() -> None:
    measured = raw(
        words=[2.0, 6.0, 0.0], tfidf=[0.1, 0.7, 0.0], cosine=[0.2, 0.5, 0.9],
        meaning=[0.1, 0.4, 0.3], title=[0.0, 1.0, 0.0], name=[0.0, 1.0, 0.0],
    )  # fmt: skip
    seen = evidence(measured, scores(1.0, 4.0, 2.0), [1, 2, 0], most=12.0, terms=3)
    assert seen == pytest.approx(
        {
            "coverage": 0.5, "tfidf": 0.7, "cosine": 0.5, "meaning": 0.4, "title": 1, "name": 1,
            "margin": 2.0, "lead": 2.5, "agreement": 1.0, "length": math.log(4),
        }
    )  # fmt: skip
    assert set(seen) == set(EVIDENCE)


def test_a_lead_has_a_bound_and_a_single_hit_leads_nobody() -> None:
    two = evidence(raw(words=[9.0, 1.0]), scores(100, 1), [0, 1], most=9, terms=1)
    assert (two["margin"], two["lead"]) == (8, 8)
    one = evidence(raw(words=[9.0]), scores(100), [0], most=9, terms=1)
    assert (one["margin"], one["lead"]) == (0, 0)


def test_the_lead_is_counted_over_the_second_to_the_fifth() -> None:
    ordered = list(range(7))
    apart = raw(words=[7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0])
    seen = evidence(apart, scores(6, 5, 4, 3, 2, -90, -90), ordered, most=1, terms=1)
    assert seen["lead"] == pytest.approx(6 - (5 + 4 + 3 + 2) / 4)


def test_a_fault_that_was_seen_often_is_not_the_less_recognised() -> None:
    """Documents that say the same are no rivals of each other."""
    once = evidence(raw(words=[9.0, 1.0]), scores(6, 1), [0, 1], most=9, terms=1)
    often = evidence(
        raw(words=[9.0] * 5 + [1.0]), scores(*[6] * 5, 1), [*range(6)], most=9, terms=1
    )
    assert (often["margin"], often["lead"]) == (once["margin"], once["lead"]) == (5, 5)


@pytest.mark.parametrize(
    ("words", "meaning", "agreement"),
    (
        ([5.0, 1.0], [0.9, 0.1], 1.0),
        ([5.0, 1.0], [0.1, 0.9], 0.5),
        ([1.0, 5.0], [0.1, 0.9], 0.0),
        ([5.0, 1.0], [math.nan, 0.9], 0.5),
        ([5.0, 1.0], [math.nan, math.nan], 0.5),
        ([0.0, 0.0], [0.9, 0.1], 0.5),  # no word of the query is anywhere
        ([5.0, 5.0], [0.9, 0.9], 1.0),
    ),
)
def test_words_and_meaning_agree_where_both_put_it_first(
    words: list[float], meaning: list[float], agreement: float
) -> None:
    for turned in (1, -1):
        measured = raw(words=words[::turned], meaning=meaning[::turned])
        order = [0, 1][::turned]
        seen = evidence(measured, scores(1, 1), order, most=9, terms=1)
        assert seen["agreement"] == agreement


def test_what_is_not_known_counts_as_nothing() -> None:
    seen = evidence(raw(words=[1.0]), scores(1), [0], most=0, terms=0)
    assert all(math.isfinite(value) for value in seen.values())
    assert (seen["coverage"], seen["cosine"], seen["meaning"], seen["length"]) == (0, 0, 0, 0)


@given(ANY, st.dictionaries(st.sampled_from(EVIDENCE), st.tuples(ANY, st.floats(-8, 8))), KNOTS)
def test_a_probability_stays_within_its_bounds_whatever_comes_in(
    intercept: float, weighed: dict[str, tuple[float, float]], knots: tuple[tuple[float, float]]
) -> None:
    calibration = Calibration(
        intercept=intercept, coefficients={n: w for n, (w, _) in weighed.items()}, knots=knots
    )
    chance = probability(calibration, {name: value for name, (_, value) in weighed.items()})
    assert 0.01 <= chance <= 0.99


@given(KNOTS, st.floats(-20, 20), st.floats(0, 5))
def test_more_evidence_is_never_less_probable(
    knots: tuple[tuple[float, float]], margin: float, more: float
) -> None:
    calibration = Calibration(intercept=0, coefficients={"margin": 1.0}, knots=knots)
    low = probability(calibration, {"margin": margin})
    assert probability(calibration, {"margin": margin + more}) >= low - 1e-12


def test_the_curve_goes_through_its_knots_and_is_level_beyond() -> None:
    knots = ((0.25, 0.1), (0.5, 0.4), (0.75, 0.8))
    calibration = Calibration(intercept=0, coefficients={"margin": 1.0}, knots=knots)

    def at(chance: float) -> float:
        return probability(calibration, {"margin": math.log(chance / (1 - chance))})

    for chance, expected in (*knots, (0.1, 0.1), (0.9, 0.8), (0.625, 0.6), (0.375, 0.25)):
        assert at(chance) == pytest.approx(expected)


def test_without_knots_it_is_the_logistic_function_within_floor_and_ceiling() -> None:
    calibration = Calibration(intercept=1, coefficients={"margin": 2.0}, floor=0.2, ceiling=0.9)
    assert probability(calibration, {"margin": 0.5}) == pytest.approx(1 / (1 + math.exp(-2)))
    assert probability(calibration, {}) == pytest.approx(1 / (1 + math.exp(-1)))
    assert probability(calibration, {"margin": 1e9}) == 0.9
    assert probability(calibration, {"margin": -1e9}) == 0.2
