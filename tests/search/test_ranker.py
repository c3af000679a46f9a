"""The ranker's file: written and read again, and never used where it is unfit."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.search.ranker import (
    FALLBACK,
    RELATIVE,
    SIGNALS,
    Calibration,
    Ranker,
    Trained,
    UnfitRanker,
    from_json,
    read,
    shipped,
    to_json,
)

NUMBERS = st.floats(-1e30, 1e30)
SHARES = st.floats(0, 1)
RANKER = Ranker(
    name="test",
    weights={"words": 0.5, "meaning": 1},
    common={"error": 0.25, "größe": 0.1},
    calibrations={
        "": Calibration(intercept=-1.5, coefficients={"margin": 2.0}),
        "runbook": Calibration(
            intercept=0, coefficients={}, knots=((0.1, 0.2), (0.7, 0.9)), floor=0.05, ceiling=0.9
        ),
    },
    threshold=0.6,
    trained=(Trained(name="runbooks", sha256="ab" * 32, queries=12),),
)


def test_what_is_written_is_read_again() -> None:
    assert from_json(to_json(RANKER)) == RANKER
    assert from_json(to_json(FALLBACK)) == FALLBACK


@given(
    st.dictionaries(st.sampled_from(SIGNALS), NUMBERS),
    st.dictionaries(st.text(max_size=8), SHARES, max_size=5),
    st.lists(SHARES, max_size=5).map(sorted),
    SHARES,
)
def test_any_sound_ranker_is_read_as_it_was_written(
    weights: dict[str, float], common: dict[str, float], axis: list[float], threshold: float
) -> None:
    knots = tuple(zip(axis, axis, strict=True))
    ranker = Ranker(
        name="any",
        weights=weights,
        common=common,
        calibrations={"": Calibration(intercept=1, coefficients=common, knots=knots)},
        threshold=threshold,
    )
    assert from_json(to_json(ranker)) == ranker


def test_scores_are_the_weighed_sum_of_the_signals() -> None:
    rows = np.arange(2 * len(SIGNALS), dtype=np.float32).reshape(2, -1)
    words, meaning = SIGNALS.index("words"), SIGNALS.index("meaning")
    expected = [0.5 * row[words] + row[meaning] for row in rows]
    assert RANKER.scores(rows).tolist() == pytest.approx(expected)
    assert RANKER.scores(rows[:0]).shape == (0,)


def test_the_fixed_ranker_weighs_signals_that_exist_and_claims_no_confidence() -> None:
    assert set(FALLBACK.weights) <= set(SIGNALS)
    assert set(SIGNALS) >= RELATIVE
    assert FALLBACK.calibrations == {}
    assert min(FALLBACK.weights.values()) > 0


def changed(*path: str, to: Any) -> str:
    """Write the ranker down with something else at one place."""
    stored = json.loads(to_json(RANKER))
    place = stored
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return json.dumps(stored)


def without(*path: str) -> str:
    stored = json.loads(to_json(RANKER))
    place = stored
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    return json.dumps(stored)


CURVE = ("calibrations", "runbook")
UNFIT = {
    "empty": "",
    "no JSON": "{weights: 1}",
    "a list": "[]",
    "a string": '"ranker/v1"',
    "null": "null",
    "nothing in it": "{}",
    "too deep": "[" * 200_000,
    "another format": changed("format", to="ranker/v2"),
    "an unknown signal": changed("weights", "magic", to=1.0),
    "NaN": changed("weights", "words", to=float("nan")),
    "infinity": changed("weights", "words", to=float("inf")),
    "a number beyond all": changed("weights", "words", to=10**400),
    "a number in letters": changed("weights", "words", to="0.5"),
    "a truth": changed("weights", "words", to=True),
    "nothing for a number": changed("weights", "words", to=None),
    "weights in a list": changed("weights", to=[0.5]),
    "common as a string": changed("common", to="error"),
    "a common NaN": changed("common", "error", to=float("nan")),
    "a threshold of NaN": changed("threshold", to=float("nan")),
    "calibrations in a list": changed("calibrations", to=[1]),
    "an intercept of NaN": changed(*CURVE, "intercept", to=float("nan")),
    "an infinite coefficient": changed(*CURVE, "coefficients", "margin", to=float("inf")),
    "a floor of NaN": changed(*CURVE, "floor", to=float("nan")),
    "a floor above the ceiling": changed(*CURVE, "floor", to=0.95),
    "a ceiling above 1": changed(*CURVE, "ceiling", to=1.1),
    "a knot of one number": changed(*CURVE, "knots", to=[[0.1]]),
    "a knot of NaN": changed(*CURVE, "knots", to=[[0.1, float("nan")]]),
    "knots out of order": changed(*CURVE, "knots", to=[[0.7, 0.1], [0.2, 0.9]]),
    "a curve that falls": changed(*CURVE, "knots", to=[[0.1, 0.9], [0.7, 0.2]]),
    "an unknown fact of training": changed("trained", to=[{"name": "x", "by": "me"}]),
    "training in numbers": changed("trained", to=[1]),
    **{f"no {key}": without(key) for key in json.loads(to_json(RANKER))},
    **{f"no {key} of a curve": without(*CURVE, key) for key in ("intercept", "knots", "floor")},
}


@pytest.mark.parametrize("text", UNFIT.values(), ids=UNFIT.keys())
def test_an_unfit_file_is_refused_and_the_fixed_ranker_decides(
    text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(UnfitRanker):
        from_json(text)
    file = tmp_path / "ranker.json"
    file.write_text(text)
    with caplog.at_level(logging.WARNING):
        assert read(file) is FALLBACK
    assert "the fixed ranker decides; ranker.json is unfit" in caplog.text


@pytest.mark.parametrize(
    "spoil",
    (
        lambda file: None,
        lambda file: file.mkdir(),
        lambda file: file.write_bytes(b"\xff\xfe{}"),
        lambda file: file.write_bytes(b"\x00" * 100),
        lambda file: file.write_text("\ufeff" + to_json(RANKER), encoding="utf-8"),
    ),
    ids=("missing", "a folder", "not UTF-8", "zeros", "a byte order mark"),
)
def test_a_file_that_cannot_be_read_leaves_the_fixed_ranker(
    spoil: Callable[[Path], object], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "ranker.json"
    spoil(file)
    with caplog.at_level(logging.WARNING):
        assert read(file) is FALLBACK
    assert "ranker.json is unfit" in caplog.text


def test_a_file_torn_at_any_byte_leaves_the_fixed_ranker(tmp_path: Path) -> None:
    whole, file = to_json(RANKER).encode(), tmp_path / "ranker.json"
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        assert read(file) is FALLBACK, length
    file.write_bytes(whole)
    assert read(file) == RANKER


@given(st.data())
def test_a_flipped_byte_never_escapes_as_another_error(data: st.DataObject) -> None:
    """It may still be a sound ranker: another digit of a weight is a weight."""
    whole = bytearray(to_json(RANKER).encode())
    whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        ranker = from_json(whole.decode(errors="replace"))
    except UnfitRanker:
        return
    assert np.isfinite(list(ranker.weights.values())).all()


def test_the_shipped_ranker_is_fit_or_replaced() -> None:
    ranker = shipped()
    assert from_json(to_json(ranker)) == ranker
