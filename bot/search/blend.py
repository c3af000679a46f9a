"""One ranking out of two scores that live on different scales."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Weights:
    """How much words and meaning count.

    Six to four was never worse than BM25 on the development sets, while
    reciprocal rank fusion was: ranks forget how far ahead an exact name is.
    """

    lexical: float = 0.6
    dense: float = 0.4


def blend(lexical: Scores, dense: Scores | None, *, weights: Weights) -> Scores:
    """Blend both scores of the same candidates to 0..1, each scaled to min-max first.

    Without dense scores the words alone decide, and so they do for a single
    candidate whose cosine is NaN because its vectors are not there yet.
    """
    words = _spread(lexical)
    if dense is None or np.isnan(dense).all():
        return words
    meaning = np.where(np.isnan(dense), words, _spread(dense))
    blended = (weights.lexical * words + weights.dense * meaning) / (
        weights.lexical + weights.dense
    )
    return blended.astype(np.float32)


def _spread(scores: Scores) -> Scores:
    """Scale to 0..1; where all are equal they are 1 if positive and 0 otherwise."""
    if not len(scores):
        return scores
    low, high = np.nanmin(scores), np.nanmax(scores)
    if high > low:
        spread: Scores = ((scores - low) / (high - low)).astype(np.float32)
        return spread
    return (scores > 0).astype(np.float32)
