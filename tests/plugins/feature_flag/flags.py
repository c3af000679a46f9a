"""A small flag service: real HTTP, ETags, and the tricks that services play."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field
from typing import Any, ClassVar

from aiohttp import web
from typing_extensions import override

from bot.domain.actions import Action, ActionCall
from plugins.feature_flag.plugin import FeatureFlagSettings, actions
from tests.servers import WebService

TOKEN = "Bearer fl4g t%oken+="


@dataclass
class Flags(WebService):
    """The service. `tricks` are played on the next requests to change something.

    `echo` makes every answer repeat the credential.
    """

    path: ClassVar[str] = "/api/flags/{name}"

    enabled: dict[str, bool] = field(default_factory=lambda: {"checkout-v2": True, "a/b": True})
    version: int = 1
    etags: str = "strong"
    tricks: list[str] = field(default_factory=list)
    looks: list[str] = field(default_factory=list)
    seen: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)
    echo: str = ""

    @override
    async def answer(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        body = json.loads(text) if text else None
        self.seen.append((request.method, request.raw_path, dict(request.headers), body))
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


def settings(service: Flags, **other: Any) -> FeatureFlagSettings:
    """Return settings for this service."""
    given = {
        "url": service.url,
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
