"""Fit the weights of signals: the right documents shall stand out among the candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bot.search.ranker import FALLBACK, SIGNALS, TEXT
from bot.search.training.asking import Example, signals_of

Floats = npt.NDArray[np.float64]

RIDGE = 0.02  # against the loss of all kinds of question together, each of weight 1
_LEAST = 1e-9
_ENOUGH = 50  # judged searches that a signal has to tell apart before it learns from them


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """One question to learn from: its candidates, which are right or wrong, and its weight.

    Without `right` the lesson is that none of `wrong` should come first.
    """

    scaled: Floats
    right: npt.NDArray[np.bool_]
    wrong: npt.NDArray[np.bool_]
    weight: float


def lessons(examples: Sequence[Example], weights: Mapping[str, float]) -> list[Lesson]:
    """Turn examples into lessons; the questions of one variant share that variant's weight.

    Where the right document is no candidate there is nothing to learn.
    """
    telling = [one for one in examples if one.relevant.any()]
    counts: dict[str, int] = {}
    for one in telling:
        counts[one.question.variant] = counts.get(one.question.variant, 0) + 1
    return [
        Lesson(
            scaled=one.scaled.astype(np.float64),
            right=one.relevant,
            wrong=np.zeros(len(one.ids), dtype=np.bool_),
            weight=weights.get(one.question.variant, 1.0) / counts[one.question.variant],
        )
        for one in telling
    ]


def fit(taught: Sequence[Lesson], signals: Sequence[str]) -> dict[str, float]:
    """Fit the weights of some signals; all others keep those of the fixed ranker.

    Maximises the likelihood that a right document is drawn when candidates are
    drawn by the softmax of their scores (ListNet's top one, Cao et al. 2007),
    with weights never negative, so that no signal can be turned around by
    chance, and held down by a ridge.
    """
    if not taught:
        return dict(FALLBACK.weights)
    # Only training needs SciPy, which has no types.
    from scipy.optimize import minimize  # type: ignore[import-untyped]  # noqa: PLC0415

    columns = [SIGNALS.index(name) for name in signals]
    fixed = np.array([FALLBACK.weights.get(name, 0.0) for name in SIGNALS])
    fixed[columns] = 0.0
    stacked = _Stacked(taught, columns, fixed)
    found = minimize(
        stacked.loss,
        np.full(len(columns), 0.5),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None)] * len(columns),
        options={"maxiter": 500, "ftol": 1e-10, "gtol": 1e-7},
    )
    weights = {name: FALLBACK.weights.get(name, 0.0) for name in SIGNALS}
    weights |= {name: float(value) for name, value in zip(signals, found.x, strict=True)}
    return {name: round(value, 4) for name, value in weights.items() if round(value, 4)}


class _Stacked:
    """All lessons in one matrix, so that one evaluation is a handful of array operations."""

    def __init__(self, taught: Sequence[Lesson], columns: Sequence[int], fixed: Floats) -> None:
        self._signals = np.concatenate([lesson.scaled[:, columns] for lesson in taught])
        self._base = np.concatenate([lesson.scaled @ fixed for lesson in taught])
        self._right = np.concatenate([lesson.right for lesson in taught]).astype(float)
        self._wrong = np.concatenate([lesson.wrong for lesson in taught]).astype(float)
        self._weights = np.array([lesson.weight for lesson in taught])
        sizes = np.array([len(lesson.right) for lesson in taught])
        self._starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
        self._member = np.repeat(np.arange(len(taught)), sizes)
        self._praised = np.add.reduceat(self._right, self._starts) > 0

    def loss(self, weights: Floats) -> tuple[float, Floats]:
        """Return the penalised negative logarithm of the likelihood, and its gradient."""
        chances = self._chances(self._base + self._signals @ weights)
        right = np.maximum(np.add.reduceat(chances * self._right, self._starts), _LEAST)
        wrong = np.add.reduceat(chances * self._wrong, self._starts)
        spared = np.maximum(1 - wrong, _LEAST)
        lost = np.where(self._praised, -np.log(right), -np.log(spared))
        # Slopes by score: of -log P_right it is p (1 - right / P_right), of
        # -log(1 - P_wrong) it is p (wrong - P_wrong) / (1 - P_wrong).
        member = self._member
        towards = chances * (1 - self._right / right[member])
        away = chances * (self._wrong - wrong[member]) / spared[member]
        slope = np.where(self._praised[member], towards, away) * self._weights[member]
        gradient = slope @ self._signals + 2 * RIDGE * weights
        return float(self._weights @ lost + RIDGE * weights @ weights), gradient

    def _chances(self, scores: Floats) -> Floats:
        raised = scores - np.maximum.reduceat(scores, self._starts)[self._member]
        powers = np.exp(raised)
        shares: Floats = powers / np.add.reduceat(powers, self._starts)[self._member]
        return shares


def learnable(examples: Sequence[Example]) -> tuple[str, ...]:
    """List the signals these examples can teach; the others keep their fixed weights.

    A signal needs to tell candidates apart in one question of twenty, or what
    it seems to teach is chance.
    """
    if not examples:
        return ()
    telling = signals_of(examples)
    needed = max(1, len(examples) // 20)
    return tuple(
        name
        for name in telling
        if sum(_differs(one, SIGNALS.index(name)) for one in examples) >= needed
    )


def taught_by(judged: Sequence[Lesson]) -> tuple[str, ...]:
    """List the signals of context that people's labels can teach: those with enough of them."""
    return tuple(
        name
        for name in SIGNALS
        if name not in TEXT
        and name != "accepted"  # that is what the labels themselves say
        and sum(float(np.ptp(one.scaled[:, SIGNALS.index(name)])) > 0 for one in judged) >= _ENOUGH
    )


def _differs(one: Example, column: int) -> bool:
    values = one.raw[:, column]
    known = values[~np.isnan(values)]
    return len(known) > 1 and float(known.min()) < float(known.max())
