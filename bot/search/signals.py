"""What speaks for each candidate of one query, as numbers a ranker can weigh."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from bot.search.ranker import RELATIVE, SIGNALS

Matrix = npt.NDArray[np.float32]

_LEAST_SPREAD = 1e-6


def matrix(signals: Mapping[str, npt.NDArray[np.float32]], count: int) -> Matrix:
    """Put signals into the columns of SIGNALS; those that are not given are NaN."""
    raw = np.full((count, len(SIGNALS)), np.nan, dtype=np.float32)
    for column, name in enumerate(SIGNALS):
        if name in signals:
            raw[:, column] = signals[name]
    return raw


def scaled(raw: Matrix) -> Matrix:
    """Scale signals so that they can be weighed together.

    Relative ones become standard scores among the query's candidates: what
    counts is how far a candidate stands out, on whatever scale the query has.
    The others stand for themselves. What is not known is 0, the average.
    """
    weighable = raw.copy()
    for column, name in enumerate(SIGNALS):
        if name in RELATIVE:
            weighable[:, column] = _standard(raw[:, column])
    return np.nan_to_num(weighable, nan=0.0, posinf=0.0, neginf=0.0)


def column(values: Iterable[float]) -> npt.NDArray[np.float32]:
    """Return one signal of all candidates."""
    return np.fromiter(values, dtype=np.float32)


def named(values: npt.NDArray[np.float32]) -> dict[str, float]:
    """Return the known signals by name."""
    return {
        name: value
        for name, value in zip(SIGNALS, values.tolist(), strict=True)
        if value == value  # noqa: PLR0124 - NaN alone does not equal itself
    }


def _standard(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    known = values[~np.isnan(values)].astype(np.float64)  # equal ones must have no spread
    if not len(known):
        return values
    mean = known.mean()
    spread = max(float(np.sqrt(np.square(known - mean).mean())), _LEAST_SPREAD)
    standard: npt.NDArray[np.float32] = ((values - mean) / spread).astype(np.float32)
    return standard
