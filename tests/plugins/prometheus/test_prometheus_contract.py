"""Both actions keep what every action has to keep."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from typing_extensions import override

from bot.domain.actions import Arguments
from tests.contracts.actions import ActionContract, Reached, Subject
from tests.plugins.prometheus.watchers import TOKEN, Watcher, matrix, offered, settings

VECTOR = {"resultType": "vector", "result": [{"metric": {}, "value": [0, "1"]}]}


class Asking(Subject):
    """A question to a server that plays Prometheus."""

    secret = TOKEN

    def __init__(self, watcher: Watcher, uses: str, arguments: Arguments) -> None:
        self.watcher = watcher
        self.given = arguments
        self.settings = settings(watcher.url)
        self.action = offered(self.settings)[uses]

    @override
    def arguments(self) -> Arguments:
        return self.given

    @override
    def forbidden(self) -> Sequence[tuple[Arguments, str]]:
        return (({**self.given, "query": ""}, "query"), ({**self.given, "query": 1}, "query"))

    @override
    def hanging(self) -> AbstractAsyncContextManager[Reached]:
        return self.watcher.holding()

    @override
    def away(self) -> AbstractAsyncContextManager[None]:
        return self.watcher.away()

    @override
    @asynccontextmanager
    async def leaking(self) -> AsyncIterator[None]:
        before = self.watcher.body
        self.watcher.body = {"status": "error", "error": f"{TOKEN} and Bearer {TOKEN}"}
        yield
        self.watcher.body = before


class TestPrometheusQuery(ActionContract):
    @pytest.fixture
    async def subject(self) -> AsyncIterator[Subject]:
        async with Watcher({"status": "success", "data": VECTOR}) as watcher:
            yield Asking(watcher, "prometheus.query@1", {"query": "up"})


class TestPrometheusRange(ActionContract):
    @pytest.fixture
    async def subject(self) -> AsyncIterator[Subject]:
        arguments = {"query": "up", "over": 60, "reduce": "last"}
        async with Watcher(matrix(["1"])) as watcher:
            yield Asking(watcher, "prometheus.range@1", arguments)
