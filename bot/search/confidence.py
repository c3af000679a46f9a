"""How probable it is that the first hit is right: evidence, and the curve it goes through."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from bot.search.ranker import SIGNALS, Calibration

EVIDENCE = (
    "coverage",  # share of the query's weight that the first hit's words reach, 0..1
    "tfidf",  # cosine of the terms
    "cosine",  # plain cosine of the best chunk
    "meaning",  # whitened cosine of the best chunk
    "title",  # share of the title's terms that the query has
    "name",  # 1 where an exact name agrees
    "margin",  # lead over the second hit, in units of the score
    "lead",  # lead over the mean of the second to the fifth
    "agreement",  # 1 where words and meaning both put it first, .5 where one does
    "length",  # logarithm of the number of the query's terms
)

_RUNNERS_UP = 5
_TEXT = [SIGNALS.index(name) for name in ("words", "gist_words", "tfidf", "cosine")]
_ALIKE = 1e-3  # of a signal, and as much of its size
_WIDEST = 8.0  # a lead beyond it says no more


def evidence(
    raw: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float32],
    order: Sequence[int],
    *,
    most: float,
    terms: int,
) -> Mapping[str, float]:
    """Gather the evidence of a ranking, `order` being positions, best first; {} for none.

    `scores` are those of the texts alone, since that is what confidence was
    calibrated on. The first hit's lead is over what is not its twin: a fault that
    was seen five times is not the less recognised for it. `most` is what no
    document's words could exceed, `terms` the number of the query's different
    terms.
    """
    if not order:
        return {}
    first, column = order[0], {name: i for i, name in enumerate(SIGNALS)}

    def at(name: str) -> float:
        value = float(raw[first, column[name]])
        return 0.0 if math.isnan(value) else value

    alike = _twins(raw, first)
    rest = np.array(order[1:], dtype=np.intp)
    others = np.sort(scores[rest[~alike[rest]]])[::-1][: _RUNNERS_UP - 1].tolist()
    top = float(scores[first])
    by_words, by_meaning = raw[:, column["words"]], raw[:, column["meaning"]]
    agreed = (at("words") > 0 and _best(by_words, first), _best(by_meaning, first))
    return {
        "coverage": at("words") / most if most > 0 else 0.0,
        "tfidf": at("tfidf"),
        "cosine": at("cosine"),
        "meaning": at("meaning"),
        "title": at("title"),
        "name": at("name"),
        "margin": _within(top - others[0]) if others else 0.0,
        "lead": _within(top - sum(others) / len(others)) if others else 0.0,
        "agreement": sum(agreed) / 2,
        "length": math.log1p(terms),
    }


def _best(values: npt.NDArray[np.float32], position: int) -> bool:
    """Say whether no other candidate has more; what is not known is not the best."""
    return not np.isnan(values[position]) and bool(values[position] >= np.nanmax(values))


def _twins(raw: npt.NDArray[np.float32], position: int) -> npt.NDArray[np.bool_]:
    """Mark the candidates whose texts cannot be told apart from one candidate's."""
    texts = np.nan_to_num(raw[:, _TEXT], nan=-1.0)
    own = texts[position]
    alike: npt.NDArray[np.bool_] = (np.abs(texts - own) <= _ALIKE + _ALIKE * np.abs(own)).all(1)
    return alike


def _within(lead: float) -> float:
    return max(-_WIDEST, min(lead, _WIDEST))


def probability(calibration: Calibration, seen: Mapping[str, float]) -> float:
    """Return the probability that the first hit is right.

    The logistic function of the weighed evidence (Platt 1999), bent by linear
    interpolation between the knots of an isotonic regression where there are any.
    """
    weighed = calibration.intercept + sum(
        weight * seen.get(name, 0.0) for name, weight in calibration.coefficients.items()
    )
    chance = 1 / (1 + math.exp(-max(-60.0, min(60.0, weighed))))
    if calibration.knots:
        chance = _bent(chance, calibration.knots)
    return min(max(chance, calibration.floor), calibration.ceiling)


def _bent(value: float, knots: Sequence[tuple[float, float]]) -> float:
    place = bisect_right([x for x, _ in knots], value)
    if place == 0:
        return knots[0][1]
    if place == len(knots):
        return knots[-1][1]
    (x0, y0), (x1, y1) = knots[place - 1], knots[place]
    return y0 + (y1 - y0) * (value - x0) / (x1 - x0) if x1 > x0 else y1
