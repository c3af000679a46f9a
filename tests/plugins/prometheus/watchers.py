"""A server that plays Prometheus: it answers what the test says, and can hang and go away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from bot.domain.actions import Action, ActionCall
from plugins.prometheus.plugin import PrometheusSettings, Questions

TOKEN = "pr0m t%oken+="
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@dataclass
class Watcher:
    """The server. `answer` is the body of every answer, packed if in bytes; `status` its status."""

    answer: Any = None
    status: int = 200
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    encodings: list[str] = field(default_factory=list)
    port: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Return the root address."""
        return f"http://127.0.0.1:{self.port}"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        self.seen.append((request.path, dict(request.query)))
        self.reached.set()
        await self.gate.wait()
        self.encodings.append(request.headers.get("Accept-Encoding", ""))
        if isinstance(self.answer, bytes):
            return web.Response(body=self.answer, headers={"Content-Encoding": "gzip"})
        if isinstance(self.answer, str):
            return web.Response(text=self.answer, status=self.status)
        return web.json_response(self.answer, status=self.status)

    async def listen(self) -> None:
        """Listen, on the same port as before."""
        app = web.Application()
        app.router.add_get("/api/v1/{rest:.*}", self.handle)
        self.runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", self.port).start()
        self.port = self.runner.addresses[0][1]

    async def close(self) -> None:
        """Listen no more."""
        assert self.runner is not None
        await self.runner.cleanup()


@asynccontextmanager
async def watching(answer: Any) -> AsyncIterator[Watcher]:
    """Run a server that gives this answer."""
    made = Watcher(answer=answer)
    made.gate.set()
    await made.listen()
    try:
        yield made
    finally:
        made.gate.set()
        await made.close()


def offered(made: PrometheusSettings, now: datetime = NOW) -> dict[str, Action]:
    """Return the actions by reference, at a moment that stands still."""
    return {action.reference: action for action in Questions(made, lambda: now).all()}


def settings(url: str) -> PrometheusSettings:
    """Return settings for a server."""
    return PrometheusSettings.model_validate({"url": url, "token": TOKEN})


def over(seconds: int, reduce: str, query: str = "up", **other: Any) -> ActionCall:
    """Return a call of prometheus.range."""
    arguments = {"query": query, "over": seconds, "reduce": reduce, **other}
    return ActionCall(key="k", arguments=arguments, timeout=5)


def matrix(*series: list[str], step: int = 15) -> dict[str, Any]:
    """Return an answer of series that end now."""
    end = NOW.timestamp()
    result = [
        {
            "metric": {"n": str(n)},
            "values": [[end - step * (len(values) - 1 - i), v] for i, v in enumerate(values)],
        }
        for n, values in enumerate(series)
    ]
    return {"status": "success", "data": {"resultType": "matrix", "result": result}}
