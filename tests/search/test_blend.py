"""The blend of two scores."""

import numpy as np
import pytest

from bot.search.blend import Weights, blend

NAN = float("nan")


@pytest.mark.parametrize(
    ("lexical", "dense", "expected"),
    (
        ([4, 2, 0], [0.1, 0.5, 0.3], [0.6, 0.7, 0.2]),
        ([4, 2, 0], None, [1, 0.5, 0]),
        ([4, 2, 0], [NAN, NAN, NAN], [1, 0.5, 0]),
        ([4, 2, 0], [0.1, NAN, 0.3], [0.6, 0.5, 0.4]),
        ([0, 0], [0.2, 0.1], [0.4, 0]),
        ([3], [0.2], [1]),
        ([], None, []),
        ([], [], []),
    ),
)
def test_scores_are_spread_and_weighed(
    lexical: list[float], dense: list[float] | None, expected: list[float]
) -> None:
    blended = blend(
        np.array(lexical, dtype=np.float32),
        None if dense is None else np.array(dense, dtype=np.float32),
        weights=Weights(),
    )
    assert blended.tolist() == pytest.approx(expected)
