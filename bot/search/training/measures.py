"""Figures of retrieval and of confidence, and how far they can be trusted."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

DEPTH = 10
MEASURES = ("R@1", "R@3", "R@5", "MRR@10", "nDCG@10")
DRAWS = 2_000

_SEED = 20261121
_BINS = 10


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A mean with its bootstrap interval of 95 per cent."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Bin:
    """Answers of like confidence: what was claimed on average, how often it held, how many."""

    claimed: float
    held: float
    count: int
    weight: float


def figures_of(found: Sequence[str], relevant: Collection[str]) -> Floats:
    """Measure one answer, in the order of MEASURES.

    R@k is 1 where any right document is among the first k; MRR@10 is one over
    the place of the first; nDCG@10 counts every right one (Järvelin and
    Kekäläinen 2002, gain 1, logarithm of base 2).
    """
    right = [place for place, id_ in enumerate(found[:DEPTH], 1) if id_ in relevant]
    first = right[0] if right else math.inf
    gain = sum(1 / math.log2(place + 1) for place in right)
    best = sum(1 / math.log2(place + 1) for place in range(1, min(len(relevant), DEPTH) + 1))
    ndcg = gain / best if best else 0.0
    return np.array([float(first <= 1), float(first <= 3), float(first <= 5), 1 / first, ndcg])


def bootstrap(values: Floats, groups: Sequence[str]) -> list[Figure]:
    """Give each column's mean and its percentile interval, groups drawn with replacement.

    Always the same draws for the same groups (Efron and Tibshirani 1993, ch. 13).
    """
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.zeros((len(names), values.shape[1]))
    np.add.at(sums, member, values)
    counts = np.bincount(member, minlength=len(names)).astype(float)
    drawn = np.random.default_rng(_SEED).multinomial(
        len(names), np.full(len(names), 1 / len(names)), size=DRAWS
    )
    means = (drawn @ sums) / (drawn @ counts)[:, None]
    low, high = np.percentile(means, (2.5, 97.5), axis=0)
    return [
        Figure(value=float(mean), low=float(a), high=float(b))
        for mean, a, b in zip(values.mean(axis=0), low, high, strict=True)
    ]


def auroc(positive: Sequence[float], negative: Sequence[float]) -> float | None:
    """Return the chance that a positive is above a negative, ties by half; None without both."""
    if not positive or not negative:
        return None
    ordered = np.sort(np.asarray(negative, dtype=float))
    below = np.searchsorted(ordered, positive, side="left")
    not_above = np.searchsorted(ordered, positive, side="right")
    return float((below + not_above).sum() / (2 * len(positive) * len(negative)))


def reliability(
    claimed: Sequence[float], held: Sequence[float], weights: Sequence[float]
) -> list[Bin]:
    """Sort answers by confidence into ten bins of equal mass."""
    if not len(claimed):
        return []
    sure, right, mass = (np.asarray(x, dtype=float) for x in (claimed, held, weights))
    order = np.argsort(sure, kind="stable")
    middle = np.cumsum(mass[order]) - mass[order] / 2
    place = np.minimum((middle / mass.sum() * _BINS).astype(int), _BINS - 1)
    return [_bin(sure[rows], right[rows], mass[rows]) for rows in _parts(order, place)]


def calibration_error(bins: Sequence[Bin]) -> float | None:
    """Return the expected calibration error: the mean gap between claimed and held, by mass."""
    total = sum(each.weight for each in bins)
    if not total:
        return None
    return sum(each.weight * abs(each.claimed - each.held) for each in bins) / total


def _parts(order: npt.NDArray[np.intp], place: npt.NDArray[np.intp]) -> list[npt.NDArray[np.intp]]:
    return [order[place == number] for number in range(_BINS) if (place == number).any()]


def _bin(sure: Floats, right: Floats, mass: Floats) -> Bin:
    total = float(mass.sum())
    return Bin(
        claimed=float(sure @ mass) / total,
        held=float(right @ mass) / total,
        count=len(sure),
        weight=total,
    )


def named(values: Sequence[Figure]) -> Mapping[str, Figure]:
    """Name figures by the measures they are of."""
    return dict(zip(MEASURES, values, strict=True))
