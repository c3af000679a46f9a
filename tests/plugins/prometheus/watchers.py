"""A server that plays Prometheus: it answers what the test says, and can hang and go away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

from aiohttp import web
from typing_extensions import override

from bot.domain.actions import Action, ActionCall
from plugins.prometheus.plugin import PrometheusSettings, Questions
from tests.servers import WebService

TOKEN = "pr0m t%oken+="
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@dataclass
class Watcher(WebService):
    """The server. `body` is that of every answer, packed if in bytes; `status` its status."""

    path: ClassVar[str] = "/api/v1/{rest:.*}"

    body: Any = None
    status: int = 200
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)

    @override
    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append((request.path, dict(request.query)))
        self.headers.append(request.headers)
        if isinstance(self.body, bytes):
            return web.Response(body=self.body, headers={"Content-Encoding": "gzip"})
        if isinstance(self.body, str):
            return web.Response(text=self.body, status=self.status)
        return web.json_response(self.body, status=self.status)


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
