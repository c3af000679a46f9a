"""How an expression went, as one number; with the real Prometheus where it is installed."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.actions import ActionFailed, Transient
from plugins.prometheus.ranges import MOST_SAMPLES, Range
from tests.plugins.prometheus.watchers import NOW, TOKEN, Watcher, matrix, offered, over, settings
from tests.servers import Server, prometheus


async def ranged(watcher: Watcher, reduce: str, **other: Any) -> Any:
    action = offered(settings(watcher.url))["prometheus.range@1"]
    return await action.handler(over(60, reduce, **{"step": 15, **other}))


@pytest.mark.parametrize(
    ("reduce", "value"),
    (("max", 9.0), ("min", 1.0), ("avg", 4.0), ("last", 2.0), ("delta", -2.0)),
)
async def test_a_series_becomes_one_number(reduce: str, value: float) -> None:
    async with Watcher(matrix(["4", "1", "9", "NaN", "2"])) as watcher:
        result = await ranged(watcher, reduce)
    assert result.value == value
    assert result.summary == f"{reduce} over 60 s: {value:.4g}"
    assert result.data["samples"] == 4


@pytest.mark.parametrize(
    ("values", "reduce"),
    ((["NaN", "NaN"], "max"), (["1", "+Inf"], "max"), (["+Inf", "+Inf"], "delta")),
)
async def test_what_is_not_finite_is_no_value(values: list[str], reduce: str) -> None:
    async with Watcher(matrix(values)) as watcher:
        result = await ranged(watcher, reduce)
    assert (result.value, result.summary) == (None, f"{reduce} over 60 s: no number")


@pytest.mark.parametrize(
    ("answer", "reason"),
    (
        (matrix(), "no series"),
        (matrix(["1"], ["2"]), "2 series; aggregate"),
        ({"status": "success", "data": {"resultType": "vector", "result": []}}, "a vector"),
        ({"status": "success", "data": {"resultType": "matrix", "result": [{}]}}, "histogram"),
        ({"status": "success", "data": {"resultType": "matrix", "result": [7]}}, "histogram"),
        (
            {"status": "success", "data": {"resultType": "matrix", "result": [{"values": [1]}]}},
            "cannot be understood",
        ),
        (matrix(["x"]), "cannot be understood"),
        ({"status": "error", "errorType": "bad_data", "error": "parse error"}, "parse error"),
        ("[" * 100_000, "not with JSON"),
    ),
)
async def test_anything_else_is_refused_clearly(answer: Any, reason: str) -> None:
    async with Watcher(answer) as watcher:
        with pytest.raises(ActionFailed, match=reason):
            await ranged(watcher, "max")


@pytest.mark.parametrize("reduce", ("last", "delta"))
async def test_a_series_that_has_ended_says_nothing_of_now(reduce: str) -> None:
    answer = matrix(["1", "2", "3", "4"])
    del answer["data"]["result"][0]["values"][-2:]
    async with Watcher(answer) as watcher:
        with pytest.raises(ActionFailed, match="ended 30 s ago"):
            await ranged(watcher, reduce)
        assert (await ranged(watcher, "max")).value == 2.0


async def test_the_range_ends_now_and_its_step_is_chosen(  # one look at what is asked
) -> None:
    async with Watcher(matrix(["1"])) as watcher:
        action = offered(settings(watcher.url))["prometheus.range@1"]
        await action.handler(over(3600, "max", query='up{a="ä&b"}'))
        await action.handler(over(60, "max", step=7))
    (path, asked), (_, other) = watcher.seen
    assert path == "/api/v1/query_range"
    assert asked == {
        "query": 'up{a="ä&b"}',
        "start": f"{NOW.timestamp() - 3600:.3f}",
        "end": f"{NOW.timestamp():.3f}",
        "step": "15",
    }
    assert other["step"] == "7"


async def test_too_many_samples_are_refused_before_they_are_asked_for() -> None:
    async with Watcher(matrix(["1"])) as watcher:
        action = offered(settings(watcher.url))["prometheus.range@1"]
        with pytest.raises(ActionFailed, match="choose a longer one"):
            await action.handler(over(MOST_SAMPLES + 1, "max", step=1))
    assert watcher.seen == []


@given(st.integers(min_value=1, max_value=31 * 86_400))
def test_the_chosen_step_gives_neither_many_samples_nor_none(seconds: int) -> None:
    every = Range(query="q", over=seconds, reduce="max", end=NOW).every
    assert every >= 1
    assert seconds / every <= 240


@pytest.mark.parametrize(
    ("status", "answer", "transient"),
    (
        (503, {"status": "error", "errorType": "timeout", "error": "x"}, Transient.TIMEOUT),
        (503, {"status": "error", "errorType": "unavailable", "error": "x"}, Transient.UNAVAILABLE),
        (422, {"status": "error", "errorType": "execution", "error": "x"}, None),
        (429, "slow down", Transient.RATE_LIMITED),
        (502, "<html>", Transient.UNAVAILABLE),
        (504, "<html>", Transient.TIMEOUT),
        (401, "no", None),
    ),
)
async def test_what_may_work_later_is_told_apart(
    status: int, answer: Any, transient: Transient | None
) -> None:
    async with Watcher(answer) as watcher:
        watcher.status = status
        for call in (over(60, "max"), over(60, "max", step=15)):
            with pytest.raises(ActionFailed) as failed:
                await offered(settings(watcher.url))["prometheus.range@1"].handler(call)
            assert failed.value.transient is transient


async def test_an_error_that_repeats_the_token_does_not_show_it() -> None:
    async with Watcher({"status": "error", "error": f"who is {TOKEN}?"}) as watcher:
        with pytest.raises(ActionFailed, match=r"\(hidden\)") as failed:
            await ranged(watcher, "max")
    assert TOKEN not in str(failed.value)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("prometheus")
    with prometheus(folder) as server:
        yield server


@pytest.mark.prometheus
@pytest.mark.parametrize(
    ("query", "reduce", "value"),
    (
        ("vector(7)", "avg", 7.0),
        ("time()", "delta", 600.0),
        ("scalar(vector(3)) * 2", "max", 6.0),
        ("vector(NaN)", "max", None),
        ("vector(time() % 600)", "max", None),
    ),
)
async def test_the_real_prometheus_answers_so(
    real: Server, query: str, reduce: str, value: float | None
) -> None:
    action = offered(settings(real.url), datetime.now(UTC))["prometheus.range@1"]
    result = await action.handler(over(600, reduce, query=query))
    if query.startswith("vector(time"):
        assert result.value is not None
        assert math.isclose(result.value, 600, abs_tol=10)
    else:
        assert result.value == value


@pytest.mark.prometheus
@pytest.mark.parametrize(
    ("query", "reason"),
    (
        ("nothing_such", "no series"),
        ("sum(", "parse error"),
        ("label_replace(vector(1), 'a', 'b', '', '') or vector(2)", "2 series"),
        ('"text"', "bad_data"),
    ),
)
async def test_the_real_prometheus_refuses_so(real: Server, query: str, reason: str) -> None:
    action = offered(settings(real.url), datetime.now(UTC))["prometheus.range@1"]
    with pytest.raises(ActionFailed, match=reason):
        await action.handler(over(600, "max", query=query))


async def test_what_is_packed_is_not_unpacked() -> None:
    """A thousand bytes may be a gigabyte, and unpacking it holds everybody up."""
    packed = gzip.compress(json.dumps(matrix(["1", "2"])).encode())
    async with Watcher(packed) as watcher:
        with pytest.raises(ActionFailed, match="JSON"):
            await offered(settings(watcher.url))["prometheus.range@1"].handler(over(60, "max"))
        assert [each["Accept-Encoding"] for each in watcher.headers] == ["identity"]
