"""From evidence to a probability, and from probabilities to a threshold."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bot.domain.documents import Kind
from bot.search.confidence import EVIDENCE, probability
from bot.search.ranker import Calibration
from bot.search.training.asking import Example
from bot.search.training.rounds import FOLDS, fold

Floats = npt.NDArray[np.float64]

NOVEL = 0.25  # share of incidents whose cause was never seen before
PRECISION = {Kind.RUNBOOK: 0.8}
PRECISION_ELSEWHERE = 0.7

_STRENGTH = 0.1  # inverse of the ridge, over standardised evidence
_FEWEST = 100  # outcomes below which a kind of document gets no curve of its own
_FEWEST_SHOWN = 20  # answers a precision is believed of


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One ranking of documents of a kind: whether its first hit was right, and what it counts."""

    kind: str
    example: Example
    right: bool
    weight: float

    @property
    def evidence(self) -> Mapping[str, float]:
        """Return what spoke for the first hit."""
        return self.example.evidence

    @property
    def group(self) -> str:
        """Return what is held out as one."""
        return self.example.question.group


def outcomes(examples: Sequence[Example], kind: str, weights: Mapping[str, float]) -> list[Outcome]:
    """Turn scored examples of one folder into outcomes.

    Each variant weighs what `weights` says, and a quarter of that are novel
    cases: questions whose answers were hidden, or that never had one.
    """
    by_kind: dict[tuple[str, bool], list[Example]] = defaultdict(list)
    for one in examples:
        if one.evidence:
            by_kind[one.question.variant, one.novel].append(one)
    return [
        Outcome(
            kind=kind,
            example=one,
            right=first_right(one),
            weight=weights.get(variant, 1.0) * (NOVEL if novel else 1 - NOVEL) / len(alike),
        )
        for (variant, novel), alike in by_kind.items()
        for one in alike
    ]


def first_right(one: Example) -> bool:
    """Say whether the candidate that scored best is right."""
    return (
        not one.novel
        and one.best(one.scores)[:1] != ()
        and (one.best(one.scores)[0] in one.question.relevant)
    )


def calibrate(seen: Sequence[Outcome]) -> dict[str, Calibration]:
    """Fit one curve for each kind of document that has the data, and one for all others."""
    kinds = {one.kind for one in seen}
    parts = {kind: [one for one in seen if one.kind == kind] for kind in sorted(kinds)}
    curves = {kind: curve(part) for kind, part in parts.items() if len(part) >= _FEWEST}
    return {**curves, "": curve(seen)} if curves else {}


def curve(seen: Sequence[Outcome]) -> Calibration:
    """Fit a logistic regression (Platt 1999), and bend it where it is wrong all the same.

    The bend is an isotonic regression (Zadrozny and Elkan 2002) over what
    regressions said of outcomes they were not fitted on.
    """
    if len({one.right for one in seen}) < 2:
        return _constant(seen)
    return replace(_line(seen), knots=_knots(seen))


def threshold(claimed: Sequence[float], seen: Sequence[Outcome]) -> float:
    """Choose the lowest confidence from which on what is shown is right often enough.

    Four of five runbooks, seven of ten other documents, a quarter of all cases
    being novel. `claimed` must come from curves that were not fitted on the
    same questions. One threshold has to do for all kinds of document, so the
    most demanding kind decides; where one never gets there nothing is shown.
    """
    needs = [_lowest(part, needed) for part, needed in _parts(claimed, seen)]
    return max((need for need in needs if need is not None), default=0.5)


def claim(calibrations: Mapping[str, Calibration], one: Outcome) -> float:
    """Return the confidence the bot would claim."""
    return probability(calibrations.get(one.kind, calibrations[""]), one.evidence)


def cross_validated(seen: Sequence[Outcome]) -> list[float]:
    """Claim each outcome's confidence by curves fitted on the other folds."""
    claimed = [0.0] * len(seen)
    for held in range(FOLDS):
        curves = calibrate([one for one in seen if fold(one.group) != held])
        for at, one in enumerate(seen):
            if fold(one.group) == held:
                claimed[at] = claim(curves, one) if curves else 0.5
    return claimed


def _parts(
    claimed: Sequence[float], seen: Sequence[Outcome]
) -> list[tuple[list[tuple[float, Outcome]], float]]:
    """Sort outcomes by kind of document, with the precision each kind has to reach."""
    kinds: dict[str, list[tuple[float, Outcome]]] = defaultdict(list)
    for sure, one in zip(claimed, seen, strict=True):
        kinds[one.kind].append((sure, one))
    return [(part, PRECISION.get(Kind(kind), PRECISION_ELSEWHERE)) for kind, part in kinds.items()]


def _lowest(part: Sequence[tuple[float, Outcome]], needed: float) -> float | None:
    """Return the lowest confidence, in steps of .01, that reaches a precision.

    1 where none does, and None where there are too few answers to tell.
    """
    if len(part) < _FEWEST_SHOWN:
        return None
    for step in range(1, 100):
        shown = [one for sure, one in part if sure >= step / 100]
        if len(shown) < _FEWEST_SHOWN:
            return 1.0
        weight = sum(one.weight for one in shown)
        if sum(one.weight for one in shown if one.right) >= needed * weight:
            return step / 100
    return 1.0


def _line(seen: Sequence[Outcome]) -> Calibration:
    """Fit a logistic regression over evidence scaled to unit variance."""
    # Only training needs scikit-learn, which has no types.
    from sklearn.linear_model import (  # type: ignore[import-untyped]  # noqa: PLC0415
        LogisticRegression,
    )

    evidence = np.array([[one.evidence.get(name, 0.0) for name in EVIDENCE] for one in seen])
    weights = np.array([one.weight for one in seen])
    centre = np.average(evidence, axis=0, weights=weights)
    spread = np.sqrt(np.average((evidence - centre) ** 2, axis=0, weights=weights))
    known = spread > 1e-9
    spread = np.where(known, spread, 1.0)
    model = LogisticRegression(C=_STRENGTH, max_iter=2_000, tol=1e-8)
    right = [one.right for one in seen]
    model.fit((evidence - centre) / spread, right, sample_weight=weights / weights.mean())
    slopes = model.coef_[0] / spread
    return _written(float(model.intercept_[0] - slopes @ centre), slopes, known)


def _knots(seen: Sequence[Outcome]) -> tuple[tuple[float, float], ...]:
    """Return the corners of the curve from what a line claims to what held."""
    # Only training needs scikit-learn, which has no types.
    from sklearn.isotonic import (  # type: ignore[import-untyped]  # noqa: PLC0415
        IsotonicRegression,
    )

    claimed = np.zeros(len(seen))
    for held in range(FOLDS):
        rest = [one for one in seen if fold(one.group) != held]
        if len({one.right for one in rest}) < 2:
            return ()
        line = _line(rest)
        for at, one in enumerate(seen):
            if fold(one.group) == held:
                claimed[at] = probability(line, one.evidence)
    bent = IsotonicRegression(y_min=0.0, y_max=1.0)
    bent.fit(claimed, [float(one.right) for one in seen], [one.weight for one in seen])
    corners = zip(bent.X_thresholds_, bent.y_thresholds_, strict=True)
    return tuple((round(float(x), 4), round(float(y), 4)) for x, y in corners)


def _constant(seen: Sequence[Outcome]) -> Calibration:
    """Claim the share that was right, as if one more had been right and one more wrong."""
    share = (sum(one.right for one in seen) + 1) / (len(seen) + 2)
    return Calibration(intercept=round(math.log(share / (1 - share)), 4), coefficients={})


def _written(intercept: float, slopes: Floats, known: npt.NDArray[np.bool_]) -> Calibration:
    coefficients = {
        name: round(float(slope), 4)
        for name, slope, there in zip(EVIDENCE, slopes, known, strict=True)
        if there
    }
    return Calibration(
        intercept=round(intercept, 4),
        coefficients={name: value for name, value in coefficients.items() if value},
    )
