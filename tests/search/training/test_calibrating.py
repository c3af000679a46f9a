"""Confidence: honest where there is data, careful where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from bot.search.confidence import probability
from bot.search.ranker import SIGNALS
from bot.search.training.asking import Example
from bot.search.training.calibrating import (
    Outcome,
    calibrate,
    cross_validated,
    curve,
    outcomes,
    threshold,
)
from bot.search.training.datasets import Question
from bot.search.training.measures import calibration_error, reliability


def example(number: int, lead: float, *, right: bool, novel: bool = False) -> Example:
    return Example(
        question=Question(
            id=str(number),
            text="x",
            variant="v",
            group=f"g{number}",
            relevant=frozenset({"a" if right else "b"}),
            row={},
        ),
        ids=("a", "b"),
        raw=np.zeros((2, len(SIGNALS)), dtype=np.float32),
        scaled=np.zeros((2, len(SIGNALS)), dtype=np.float32),
        scores=np.array((1, 0), dtype=np.float32),
        evidence={"lead": lead},
        novel=novel,
    )


def seen(count: int, *, kind: str = "runbook", weight: float = 1.0) -> list[Outcome]:
    """Draw outcomes whose first hit is right as a logistic curve says."""
    random = np.random.default_rng(7)
    leads = random.uniform(0, 4, count)
    held = random.random(count) < 1 / (1 + np.exp(3 - 2 * leads))
    made = [
        example(n, lead, right=bool(h)) for n, (lead, h) in enumerate(zip(leads, held, strict=True))
    ]
    return [
        Outcome(kind=kind, example=one, right="a" in one.question.relevant, weight=weight)
        for one in made
    ]


def test_the_curve_finds_what_the_data_followed() -> None:
    found = curve(seen(2_000))
    assert found.intercept == pytest.approx(-3, abs=0.5)
    assert found.coefficients["lead"] == pytest.approx(2, abs=0.3)


def test_cross_validated_claims_hold() -> None:
    data = seen(1_000)
    claimed = cross_validated(data)
    held = [float(one.right) for one in data]
    error = calibration_error(reliability(claimed, held, [1.0] * len(data)))
    assert error is not None
    assert error < 0.06


def test_what_the_data_never_shows_changes_no_claim() -> None:
    found = curve(seen(300))
    assert probability(found, {"lead": 1, "name": 1}) == probability(found, {"lead": 1})


def test_a_kind_with_little_data_has_the_curve_of_all() -> None:
    curves = calibrate([*seen(300), *seen(20, kind="incident")])
    assert sorted(curves) == ["", "runbook"]
    assert calibrate(seen(20)) == {}


@pytest.mark.parametrize("right", (True, False))
def test_where_all_is_right_or_all_wrong_it_does_not_claim_certainty(right: bool) -> None:
    data = [
        Outcome(kind="runbook", example=example(n, 1, right=right), right=right, weight=1.0)
        for n in range(120)
    ]
    assert 0 < probability(curve(data), {"lead": 1}) < 1


def test_a_quarter_of_the_weight_are_novel_cases() -> None:
    data: Sequence[Example] = [
        *(example(n, 1, right=True) for n in range(9)),
        *(example(n, 1, right=True, novel=True) for n in range(2)),
    ]
    made = outcomes(data, "runbook", {"v": 0.3})
    assert sum(one.weight for one in made) == pytest.approx(0.3)
    assert sum(one.weight for one in made if one.example.novel) == pytest.approx(0.075)
    assert [one.right for one in made] == [True] * 9 + [False] * 2


def test_a_query_that_found_nothing_is_no_outcome() -> None:
    empty = example(1, 1, right=True)
    object.__setattr__(empty, "evidence", {})
    assert outcomes([empty], "runbook", {}) == []


def test_the_threshold_is_the_lowest_at_which_enough_is_right() -> None:
    data = seen(1_000)
    claimed = [one.evidence["lead"] / 4 for one in data]
    chosen = threshold(claimed, data)

    def precision(least: float) -> float:
        shown = [one.right for one, sure in zip(data, claimed, strict=True) if sure >= least]
        return sum(shown) / len(shown)

    assert precision(chosen) >= 0.8
    assert precision(chosen - 0.01) < 0.8


def test_the_most_demanding_kind_decides_and_without_data_it_is_a_half() -> None:
    runbooks, incidents = seen(500), seen(500, kind="incident")
    claimed = [one.evidence["lead"] / 4 for one in runbooks]
    both = threshold([*claimed, *claimed], [*runbooks, *incidents])
    assert both == threshold(claimed, runbooks) > threshold(claimed, incidents)
    assert threshold([], []) == 0.5
    assert threshold([0.1] * 500, runbooks) == 1.0  # never right often enough


def test_a_kind_that_is_never_right_often_enough_is_not_shown_by_another_s_threshold() -> None:
    half, all_right = seen(200), seen(50, kind="incident")
    wrong = [replace(one, right=number % 2 == 0) for number, one in enumerate(half)]
    right = [replace(one, right=True) for one in all_right]
    assert threshold([0.6] * 200 + [0.6] * 50, [*wrong, *right]) == 1.0
