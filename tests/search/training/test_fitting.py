"""Weights: what is learned, and what is left alone."""

from __future__ import annotations

import numpy as np
import pytest

from bot.search.ranker import FALLBACK, SIGNALS
from bot.search.training.asking import Example
from bot.search.training.datasets import Question
from bot.search.training.everyday import common
from bot.search.training.fitting import Lesson, _Stacked, fit, learnable, lessons

WORDS, MEANING = SIGNALS.index("words"), SIGNALS.index("meaning")


def lesson(seed: int, *, column: int, weight: float = 1.0) -> Lesson:
    """Make candidates of which the one with the highest signal is right."""
    scaled = np.random.default_rng(seed).normal(size=(20, len(SIGNALS)))
    right = np.arange(20) == scaled[:, column].argmax()
    return Lesson(scaled=scaled, right=right, wrong=np.zeros(20, dtype=np.bool_), weight=weight)


def question(number: int, variant: str = "v") -> Question:
    return Question(
        id=f"{variant}{number}",
        text="x",
        variant=variant,
        group="g",
        relevant=frozenset({"a"}),
        row={},
    )


def example(number: int, raw: np.ndarray, variant: str = "v") -> Example:
    return Example(
        question=question(number, variant),
        ids=tuple("abc"),
        raw=raw.astype(np.float32),
        scaled=raw.astype(np.float32),
        scores=np.zeros(3, dtype=np.float32),
        evidence={},
    )


def test_the_signal_that_tells_is_weighed_and_the_one_that_misleads_is_not() -> None:
    taught = [lesson(seed, column=MEANING, weight=0.05) for seed in range(60)]
    for one in taught:
        one.scaled[:, WORDS] = -one.scaled[:, MEANING]
    weights = fit(taught, ("words", "meaning"))
    assert weights["meaning"] > 0.5
    assert "words" not in weights  # never negative: it would turn a signal around


def test_signals_that_nothing_teaches_keep_their_fixed_weights() -> None:
    weights = fit([lesson(1, column=MEANING)], ("meaning",))
    assert {n: w for n, w in weights.items() if n != "meaning"} == {
        n: w for n, w in FALLBACK.weights.items() if n != "meaning"
    }
    assert fit([], ("meaning",)) == dict(FALLBACK.weights)


def test_the_same_lessons_give_the_same_weights() -> None:
    taught = [lesson(seed, column=WORDS) for seed in range(20)]
    assert fit(taught, ("words", "meaning")) == fit(taught, ("words", "meaning"))


def test_the_gradient_is_the_slope_of_the_loss() -> None:
    useless = lesson(5, column=WORDS)
    taught = [
        lesson(1, column=MEANING),
        Lesson(scaled=useless.scaled, right=useless.wrong, wrong=useless.right, weight=2.0),
    ]
    stacked = _Stacked(taught, (WORDS, MEANING), np.zeros(len(SIGNALS)))
    at, step = np.array([0.7, 0.3]), 1e-6
    _, gradient = stacked.loss(at)
    for column in range(2):
        moved = np.eye(2)[column] * step
        slope = (stacked.loss(at + moved)[0] - stacked.loss(at - moved)[0]) / (2 * step)
        assert gradient[column] == pytest.approx(slope, rel=1e-4)


def test_a_useless_hit_loses_weight() -> None:
    praised = lesson(1, column=WORDS)
    scorned = Lesson(
        scaled=praised.scaled, right=praised.wrong, wrong=praised.right, weight=praised.weight
    )
    assert fit([scorned], ("words",)).get("words", 0) < fit([praised], ("words",))["words"]


def test_each_kind_of_question_weighs_the_same_however_many_there_are() -> None:
    raw = np.eye(3, len(SIGNALS))
    many = [example(n, raw, "many") for n in range(9)]
    made = lessons([*many, example(1, raw, "few")], {"few": 0.3})
    assert sum(one.weight for one in made[:9]) == pytest.approx(1.0)
    assert made[9].weight == pytest.approx(0.3)


def test_a_question_whose_answer_is_no_candidate_teaches_nothing() -> None:
    lost = example(1, np.eye(3, len(SIGNALS)))
    object.__setattr__(lost, "ids", ("x", "y", "z"))
    assert lessons([lost], {}) == []


def test_only_signals_that_tell_candidates_apart_often_enough_are_learned() -> None:
    flat = np.full((3, len(SIGNALS)), np.nan)
    flat[:, WORDS] = (1, 2, 3)
    rare = flat.copy()
    rare[:, MEANING] = (1, 2, 3)
    seen = [example(n, flat) for n in range(59)]
    assert learnable([*seen, example(60, rare)]) == ("words",)
    assert learnable([*seen[:10], example(60, rare)]) == ("words", "meaning")
    assert learnable([]) == ()


def test_common_terms_are_those_of_the_kind_that_has_them_most() -> None:
    def asked(*texts: str) -> list[Question]:
        return [
            Question(id=str(n), text=text, variant="v", group="g", row={})
            for n, text in enumerate(texts)
        ]

    shares = common(
        [
            asked("we are investigating", "we are investigating disks"),
            asked(*(["pod crashes"] * 199), "we"),
        ]
    )
    assert shares["investig"] == 1.0
    assert shares["disk"] == 0.5
    assert shares["we"] == 1.0
    assert common([asked(*(["pod"] * 199), "lonely")]) == {"pod": 0.995}
    assert common([]) == {}
