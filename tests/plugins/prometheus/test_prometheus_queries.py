"""One number from Prometheus, or a clear no. Prometheus is played by a small server."""

from typing import Any

import pytest

from bot.domain.actions import ActionFailed
from plugins.prometheus.queries import ask
from tests.plugins.prometheus.watchers import Watcher


def vector(*values: str) -> dict[str, Any]:
    result = [{"metric": {"n": str(n)}, "value": [0, value]} for n, value in enumerate(values)]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


def scalar(value: str) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": "scalar", "result": [0, value]}}


@pytest.mark.parametrize(
    ("answer", "value", "summary"),
    (
        (vector("0.25"), 0.25, "0.25"),
        (scalar("3"), 3.0, "3"),
        (vector("NaN"), None, "no number (NaN)"),
        (vector("+Inf"), None, "no number (+Inf)"),
    ),
)
async def test_one_sample_is_one_value(answer: Any, value: float | None, summary: str) -> None:
    async with Watcher(answer) as watcher:
        result = await ask(watcher.url, "up", token="", timeout=5)
    assert (result.value, result.summary) == (value, summary)


@pytest.mark.parametrize(
    ("answer", "reason"),
    (
        (vector(), "no series"),
        (vector("1", "2"), "2 series; aggregate"),
        ({"status": "success", "data": {"resultType": "matrix", "result": []}}, "a matrix"),
        ({"status": "error", "errorType": "bad_data", "error": "parse error"}, "parse error"),
        ({"status": "success"}, "cannot be understood"),
        ({"status": "success", "data": {"resultType": "scalar", "result": [1]}}, "understood"),
        ({"status": "success", "data": {"resultType": "vector", "result": [7]}}, "histogram"),
        (scalar("x"), "cannot be understood"),
        ([], "cannot be understood"),
        ("<html>", "not with JSON"),
        ("x" * 3_000_000, "too much"),
    ),
)
async def test_anything_else_is_refused_clearly(answer: Any, reason: str) -> None:
    async with Watcher(answer) as watcher:
        with pytest.raises(ActionFailed, match=reason):
            await ask(watcher.url, "up", token="", timeout=5)


async def test_the_expression_arrives_whole_and_the_token_with_it() -> None:
    query = 'sum(rate(x{code=~"5..", a="ä&b"}[10s])) / 2'
    async with Watcher(vector("1")) as watcher:
        await ask(watcher.url, query, token="t0", timeout=5)
    (path, asked), (headers,) = watcher.seen[0], watcher.headers
    assert (path, asked["query"]) == ("/api/v1/query", query)
    assert headers["Authorization"] == "Bearer t0"


async def test_a_silent_or_absent_prometheus_is_a_failure_in_time() -> None:
    async with Watcher(vector("1")) as watcher, watcher.holding():
        with pytest.raises(ActionFailed, match="no answer in"):
            await ask(watcher.url, "up", token="", timeout=0.2)
    with pytest.raises(ActionFailed, match="ConnectError"):
        await ask("http://127.0.0.1:1", "up", token="", timeout=1)
    with pytest.raises(ActionFailed, match="cannot be asked"):
        await ask("nonsense", "up", token="", timeout=1)
