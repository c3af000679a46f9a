"""A web service on loopback that a test can hold, take away and bring back."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import ClassVar, Self

from aiohttp import web


@dataclass
class WebService(ABC):
    """A service played by its subclass: `async with Flags() as flags: ... flags.url`.

    A `gate` that is shut holds every request, and `reached` tells that one came.
    `path` is the pattern of what it answers; anything else is not found.
    """

    path: ClassVar[str] = "/{path:.*}"

    port: int = field(default=0, init=False)
    gate: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    reached: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _runner: web.AppRunner | None = field(default=None, init=False)

    @abstractmethod
    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, whose body is there."""

    @property
    def url(self) -> str:
        """Return the root address."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self.gate.set()
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.gate.set()
        await self._close()

    @asynccontextmanager
    async def holding(self) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """Answer nothing; yields a function that returns when a request has come."""

        async def reached() -> None:
            await self.reached.wait()

        self.gate.clear()
        self.reached.clear()
        try:
            yield reached
        finally:
            self.gate.set()

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        """Listen no more, so that connections are refused; then again on the same port."""
        await self._close()
        try:
            yield
        finally:
            await self._listen()

    async def _listen(self) -> None:
        app = web.Application()
        app.router.add_route("*", self.path, self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def _close(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        self.reached.set()
        await self.gate.wait()
        return await self.answer(request)
