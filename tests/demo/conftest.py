from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bot.demo.checkout import CheckoutOptions, CheckoutService

TOKEN = "let me in"

Until = Callable[..., Awaitable[Any]]


class Receiver:
    """A little webhook receiver that remembers what it got."""

    def __init__(self) -> None:
        self.url = ""
        self.payloads: list[dict[str, Any]] = []
        self.authorizations: list[str] = []
        self.refuse = 0

    async def hear(self, request: web.Request) -> web.Response:
        if self.refuse:
            self.refuse -= 1
            return web.Response(status=503)
        self.authorizations.append(request.headers.get("Authorization", ""))
        self.payloads.append(await request.json())
        return web.Response(status=202)

    def heard(self, status: str, name: str) -> dict[str, Any] | None:
        for payload in self.payloads:
            if payload["status"] == status and payload["groupLabels"]["alertname"] == name:
                return payload
        return None


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    application = web.Application()
    application.add_routes([web.post("/hooks/alertmanager", receiver.hear)])
    runner = web.AppRunner(application, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hooks/alertmanager"
    yield receiver
    await runner.cleanup()


@pytest.fixture
async def checkout() -> AsyncIterator[CheckoutService]:
    service = CheckoutService(TOKEN)
    await service.start()
    yield service
    await service.stop()


@pytest.fixture
async def quiet_checkout() -> AsyncIterator[CheckoutService]:
    """A service without customers, so that a test sees its own orders only."""
    service = CheckoutService(TOKEN, CheckoutOptions(traffic=0, queue_capacity=5))
    await service.start()
    yield service
    await service.stop()


class Client:
    """The service's interface as a test speaks it."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        async with self._session.request(method, path, json=body) as answer:
            return answer.status, await answer.json()

    async def text(self, path: str) -> str:
        async with self._session.get(path) as answer:
            return await answer.text()


@pytest.fixture
async def connect() -> AsyncIterator[Callable[..., Client]]:
    sessions: list[aiohttp.ClientSession] = []

    def open_client(url: str, token: str = TOKEN) -> Client:
        headers = {"Authorization": f"Bearer {token}"}
        sessions.append(aiohttp.ClientSession(url, headers=headers))
        return Client(sessions[-1])

    yield open_client
    for session in sessions:
        await session.close()


@pytest.fixture
def until() -> Until:
    """Poll a condition until it gives something true, or fail at the deadline."""

    async def poll(condition: Callable[[], Any], *, within: float = 10) -> Any:
        deadline = asyncio.get_running_loop().time() + within
        while True:
            found = condition()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return found
            assert asyncio.get_running_loop().time() < deadline, "the deadline has passed"
            await asyncio.sleep(0.02)

    return poll
