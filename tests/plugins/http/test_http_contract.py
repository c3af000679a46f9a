"""Both actions keep what every action has to keep, on a service over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from typing_extensions import override

from bot.domain.actions import JSON, Arguments
from tests.contracts.actions import ActionContract, Reached, Subject
from tests.plugins.http.services import TOKEN, Service, limits, offered


class Getting(Subject):
    """A look at the counter."""

    secret = TOKEN
    uses = "http.get@1"

    def __init__(self, service: Service) -> None:
        self.service = service
        self.settings = limits(service)
        self.action = offered(limits(service))[self.uses]

    @override
    def arguments(self) -> Arguments:
        url = f"http://service.test:{self.service.port}/count"
        return {"url": url, "pointer": "/count", "credential": "pool"}

    @override
    def forbidden(self) -> Sequence[tuple[Arguments, str]]:
        given = self.arguments()
        return (
            ({**given, "url": "http://elsewhere.test/"}, "plugins.http.hosts"),
            ({**given, "url": given["url"].replace("//", "//user@")}, "user"),
            ({**given, "credential": "other"}, "other"),
            ({**given, "headers": {"Host": "elsewhere"}}, "Host"),
            ({**given, "headers": {"X-Long": "x" * 2000}}, "X-Long"),
        )

    @override
    async def state(self) -> JSON:
        return self.service.count

    @override
    async def reset(self) -> None:
        self.service.count = 0

    @override
    def hanging(self) -> AbstractAsyncContextManager[Reached]:
        return self.service.holding()

    @override
    def away(self) -> AbstractAsyncContextManager[None]:
        return self.service.away()

    @override
    @asynccontextmanager
    async def leaking(self) -> AsyncIterator[None]:
        self.service.leaks = True
        yield
        self.service.leaks = False


class Sending(Getting):
    """A request that counts."""

    uses = "http.request@1"

    @override
    def arguments(self) -> Arguments:
        url = f"http://service.test:{self.service.port}/count"
        return {"method": "POST", "url": url, "json": {"by": 1}, "credential": "pool"}


class TestHttpGet(ActionContract):
    @pytest.fixture
    async def subject(self) -> AsyncIterator[Subject]:
        async with Service() as service:
            yield Getting(service)


class TestHttpRequest(ActionContract):
    @pytest.fixture
    async def subject(self) -> AsyncIterator[Subject]:
        async with Service() as service:
            yield Sending(service)
