"""A service with a counter: it can be asked, changed, held, taken away and made to fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from typing_extensions import override

from bot.domain.actions import Action, ActionCall
from plugins.http.actions import HttpActions, Limits, Secret
from plugins.http.targets import Origin, origin
from tests.servers import WebService

TOKEN = "h77p-t%oken+="


@dataclass
class Service(WebService):
    """The service. `status` and `headers` are those of every answer; `leaks` repeats secrets."""

    count: int = 0
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    breaks: bool = False
    leaks: bool = False

    @override
    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request; whatever does not only read counts."""
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
