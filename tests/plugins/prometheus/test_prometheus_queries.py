"""One number from Prometheus, or a clear no. Prometheus is played by a small server."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from bot.domain.actions import ActionFailed
from plugins.prometheus.queries import ask

Serve = Callable[[Any], Awaitable[str]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    runners: list[web.AppRunner] = []

    async def start(answer: Any) -> str:
        async def handle(request: web.Request) -> web.Response:
            if callable(answer):
                return await answer(request)  # type: ignore[no-any-return]  # a test's own handler
            text = answer if isinstance(answer, str) else json.dumps(answer)
            return web.Response(text=text)

        app = web.Application()
        app.add_routes([web.get("/api/v1/query", handle)])
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        runners.append(runner)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    yield start
    for runner in runners:
        await runner.cleanup()


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
async def test_one_sample_is_one_value(
    serve: Serve, answer: Any, value: float | None, summary: str
) -> None:
    result = await ask(await serve(answer), "up", token="", timeout=5)
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
async def test_anything_else_is_refused_clearly(serve: Serve, answer: Any, reason: str) -> None:
    with pytest.raises(ActionFailed, match=reason):
        await ask(await serve(answer), "up", token="", timeout=5)


async def test_the_expression_arrives_whole_and_the_token_with_it(serve: Serve) -> None:
    seen: list[tuple[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.query["query"], request.headers["Authorization"]))
        return web.json_response(vector("1"))

    query = 'sum(rate(x{code=~"5..", a="ä&b"}[10s])) / 2'
    await ask(await serve(answer), query, token="t0", timeout=5)
    assert seen == [(query, "Bearer t0")]


async def test_a_silent_or_absent_prometheus_is_a_failure_in_time(serve: Serve) -> None:
    async def answer(request: web.Request) -> web.Response:
        await asyncio.sleep(5)
        return web.Response()

    with pytest.raises(ActionFailed, match="no answer in"):
        await ask(await serve(answer), "up", token="", timeout=0.2)
    with pytest.raises(ActionFailed, match="ConnectError"):
        await ask("http://127.0.0.1:1", "up", token="", timeout=1)
    with pytest.raises(ActionFailed, match="cannot be asked"):
        await ask("nonsense", "up", token="", timeout=1)
