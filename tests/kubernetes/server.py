"""An API server for tests: answers as the real one does where the plugin could notice.

It keeps no state of its own beyond the store, logs and metrics, and has faults
that can be armed: an error before or after the effect, a dropped connection, silence.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from tests.kubernetes.answering import Answering
from tests.kubernetes.statuses import (
    StatusError,
    bad_request,
)

TOKEN = "eyJhbGciOiJSUzI1NiJ9.tocsin-double.s3cr3t/+="


@dataclass(kw_only=True)
class Fault:
    """One thing that goes wrong with the next request of a method, before its effect or after.

    `status` is an answer; `drop` closes the connection; neither means silence.
    """

    method: str
    status: int = 0
    drop: bool = False
    after: bool = False


@dataclass(kw_only=True)
class Seen:
    """One request as it came in."""

    method: str
    path: str
    query: dict[str, str]
    body: Any


class ApiServer(Answering):
    """The double, with its faults. `meanwhile` is what happens right before each write."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[Fault] = []
        self.seen: list[Seen] = []
        self.meanwhile: list[Callable[[], None]] = []
        self.open = 0  # requests whose client is still there
        self.silent = False
        self.reached = asyncio.Event()
        self.delay = 0.0  # seconds before an effect and again behind it
        self.url = ""
        self._runner: web.AppRunner | None = None
        self._port = 0
        self._work: set[asyncio.Task[web.StreamResponse]] = set()
        self._release = asyncio.Event()

    # Being there.

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self._port}"

    async def stop(self) -> None:
        await self.idle()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ApiServer]:
        await self.start()
        try:
            yield self
        finally:
            await self.stop()

    def kubeconfig(self, folder: Path) -> Path:
        """Write a kubeconfig with two contexts; the token of the second is wrong."""
        users = [
            {"name": "tocsin", "user": {"token": TOKEN}},
            {"name": "x", "user": {"token": "x"}},
        ]
        contexts = [
            {"name": "test", "context": {"cluster": "double", "user": "tocsin"}},
            {"name": "stranger", "context": {"cluster": "double", "user": "x"}},
        ]
        file = folder / "kubeconfig.yaml"
        clusters = [{"name": "double", "cluster": {"server": self.url}}]
        content = {"clusters": clusters, "contexts": contexts, "users": users}
        head = {"apiVersion": "v1", "kind": "Config", "current-context": "test"}
        file.write_text(yaml.safe_dump(head | content))
        return file

    async def idle(self) -> None:
        """End every silence, and wait until nothing is worked on, whoever waits for it."""
        self._release.set()
        while self._work:
            await asyncio.wait(self._work)
        self._release.clear()

    # One request.

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request; what was begun is ended even when the client has left."""
        self.open += 1
        try:
            if "watch" in request.query:
                return await self._told(request)
            work = asyncio.ensure_future(self._told(request))
            self._work.add(work)
            work.add_done_callback(self._work.discard)
            return await asyncio.shield(work)
        finally:
            self.open -= 1

    async def _told(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._checked(request)
        except StatusError as no:
            return self.json(no.body, status=no.code)

    async def _checked(self, request: web.Request) -> web.StreamResponse:
        content = await request.read()
        body = _body(content) if content else None
        self.seen.append(
            Seen(method=request.method, path=request.path, query=dict(request.query), body=body)
        )
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise StatusError(401, "Unauthorized", "Unauthorized")
        fault = self._fault(request.method)
        await asyncio.sleep(self.delay)
        if self.silent or (fault and not fault.after):
            return await self._wrong(request, fault)
        if self.meanwhile and request.method != "GET":
            self.meanwhile.pop(0)()
        answer = await self.served(request, body)
        await asyncio.sleep(self.delay)
        if fault:
            return await self._wrong(request, fault)
        return answer

    def _fault(self, method: str) -> Fault | None:
        found = next((fault for fault in self.faults if fault.method == method), None)
        if found:
            self.faults.remove(found)
        return found

    async def _wrong(self, request: web.Request, fault: Fault | None) -> web.StreamResponse:
        self.reached.set()
        if fault and fault.status:
            after = {"Retry-After": "1"} if fault.status == 429 else {}
            no = StatusError(fault.status, _REASONS.get(fault.status, ""), "armed by the test")
            return self.json(no.body, status=fault.status, headers=after)
        if fault is None or not fault.drop:
            await self._release.wait()
        if request.transport is not None:
            request.transport.abort()
        return web.Response()


_REASONS = {429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable", 504: "Timeout"}


def _body(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        raise bad_request("the body of the request is not JSON") from None
