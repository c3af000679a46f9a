"""A service with a counter: it can be asked, changed, held, taken away and made to fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from bot.domain.actions import Action, ActionCall
from plugins.http.actions import HttpActions, Limits, Secret
from plugins.http.targets import Origin, origin

TOKEN = "h77p-t%oken+="


@dataclass
class Service:
    """The service. `status` and `headers` are those of every answer; `leaks` repeats secrets."""

    count: int = 0
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    breaks: bool = False
    leaks: bool = False
    port: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    runner: web.AppRunner | None = None

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request; whatever does not only read counts."""
        self.reached.set()
        await self.gate.wait()
        if request.method not in ("GET", "HEAD"):
            self.count += 1
        if self.breaks:
            assert request.transport is not None
            request.transport.close()
        if self.leaks:
            return web.Response(text=request.headers.get("Authorization", ""))
        return web.json_response({"count": self.count}, status=self.status, headers=self.headers)

    @property
    def origin(self) -> Origin:
        """Return what the allow-list holds."""
        return origin(f"http://service.test:{self.port}")

    async def listen(self) -> None:
        """Listen, on the same port as before."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        self.runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", self.port).start()
        self.port = self.runner.addresses[0][1]

    async def close(self) -> None:
        """Listen no more."""
        assert self.runner is not None
        await self.runner.cleanup()


@asynccontextmanager
async def serving() -> AsyncIterator[Service]:
    """Run the service on loopback."""
    made = Service()
    made.gate.set()
    await made.listen()
    try:
        yield made
    finally:
        made.gate.set()
        await made.close()


def limits(service: Service, *others: Origin) -> Limits:
    """Return limits that list the service, and a credential for it."""
    here = frozenset({service.origin, *others})
    secret = Secret(header="Authorization", value=f"Bearer {TOKEN}", hosts=here)
    return Limits(hosts=here, private=here, secrets={"pool": secret}, timeout=5)


def offered(made: Limits) -> dict[str, Action]:
    """Return the actions by reference; the name of the service leads to this host."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        if host != "service.test":
            raise OSError("no such host")
        return ["127.0.0.1"]

    return {action.reference: action for action in HttpActions(made, resolve).all()}


def asking(service: Service, path: str = "/count", **arguments: Any) -> ActionCall:
    """Return a call to the service."""
    url = f"http://service.test:{service.port}{path}"
    return ActionCall(key="k", arguments={"url": url, **arguments}, timeout=5)
