"""A small flag service: real HTTP, ETags, and the tricks that services play."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from bot.domain.actions import Action, ActionCall
from plugins.feature_flag.plugin import FeatureFlagSettings, actions

TOKEN = "Bearer fl4g t%oken+="


@dataclass
class Flags:
    """The service. `tricks` are played on the next requests to change something.

    `echo` makes every answer repeat the credential; a `gate` that is shut holds
    every request, and `reached` tells that one came.
    """

    enabled: dict[str, bool] = field(default_factory=lambda: {"checkout-v2": True, "a/b": True})
    version: int = 1
    etags: str = "strong"
    tricks: list[str] = field(default_factory=list)
    looks: list[str] = field(default_factory=list)
    seen: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)
    echo: str = ""
    port: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    runner: web.AppRunner | None = None

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        text = await request.text()
        body = json.loads(text) if text else None
        self.seen.append((request.method, request.raw_path, dict(request.headers), body))
        self.reached.set()
        await self.gate.wait()
        if self.echo:
            return web.Response(status=400, text=self.echo, reason="no")
        if request.headers.get("Authorization") != TOKEN:
            return web.Response(status=401)
        if request.match_info["name"] not in self.enabled:
            return web.Response(status=404)
        return self.read(request) if request.method == "GET" else self.write(request, body)

    def read(self, request: web.Request) -> web.StreamResponse:
        """Show a flag."""
        trick = self.looks.pop(0) if self.looks else ""
        if trick.isdecimal():
            return web.Response(status=int(trick))
        if trick == "huge":
            return web.Response(body=b"[" * 2_000_000)
        if trick == "deep":
            return web.Response(body=b"[" * 500_000)
        shown = {"name": "x", "enabled": self.enabled[request.match_info["name"]]}
        if trick == "text":
            shown["enabled"] = "true"
        if trick == "packed":
            body = gzip.compress(json.dumps(shown).encode())
            return web.Response(body=body, headers={"Content-Encoding": "gzip"})
        headers = {"strong": {"ETag": f'"{self.version}"'}, "weak": {"ETag": f'W/"{self.version}"'}}
        return web.json_response(shown, headers=headers.get(self.etags, {}))

    def write(self, request: web.Request, body: Any) -> web.StreamResponse:
        """Set a flag, unless a trick says otherwise."""
        trick = self.tricks.pop(0) if self.tricks else ""
        if trick == "somebody else":
            self.version += 1
        matches = request.headers.get("If-Match", f'"{self.version}"')
        if matches != f'"{self.version}"':
            return web.Response(status=412)
        if trick.isdecimal() and int(trick) < 500:
            return web.Response(status=int(trick))
        self.enabled[request.match_info["name"]] = body["enabled"]
        self.version += 1
        if trick == "lost":
            assert request.transport is not None
            request.transport.close()
        return web.Response(status=int(trick) if trick.isdecimal() else 200)

    async def listen(self) -> None:
        """Listen, on the same port as before."""
        app = web.Application()
        app.router.add_route("*", "/api/flags/{name}", self.answer)
        self.runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", self.port).start()
        self.port = self.runner.addresses[0][1]

    async def close(self) -> None:
        """Listen no more."""
        assert self.runner is not None
        await self.runner.cleanup()


@asynccontextmanager
async def flag_service() -> AsyncIterator[Flags]:
    """Run a flag service on loopback."""
    made = Flags()
    made.gate.set()
    await made.listen()
    try:
        yield made
    finally:
        made.gate.set()
        await made.close()


def settings(service: Flags, **other: Any) -> FeatureFlagSettings:
    """Return settings for this service."""
    given = {
        "url": f"http://127.0.0.1:{service.port}",
        "path": "/api/flags/{flag}",
        "flags": ["checkout-v2", "gone"],
        "token": TOKEN,
    }
    return FeatureFlagSettings.model_validate({**given, **other})


def offered(made: FeatureFlagSettings) -> dict[str, Action]:
    """Return the actions by reference."""
    return {action.reference: action for action in actions(made)}


def asking(**arguments: Any) -> ActionCall:
    """Return a call about the flag."""
    return ActionCall(key="k", arguments={"flag": "checkout-v2", **arguments}, timeout=5)
