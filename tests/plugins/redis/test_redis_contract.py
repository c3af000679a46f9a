"""The three actions keep what every action has to keep, on a real Redis."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

import pytest
from typing_extensions import override

from bot.domain.actions import JSON, Arguments
from tests.contracts.actions import ActionContract, Reached, Subject
from tests.plugins.redis.caches import PASSWORD, Cache, offered, settings
from tests.servers import Relay


class OnTheCache(Subject):
    """An action on the cache, through a wire that can be held."""

    secret = PASSWORD
    uses: str
    given: Arguments

    def __init__(self, cache: Cache, wire: Relay) -> None:
        self.cache, self.wire = cache, wire
        self.settings = settings(cache, wire.port)
        self.action = offered(self.settings)[self.uses]

    @override
    def arguments(self) -> Arguments:
        return {"server": "cache", **self.given}

    @override
    def forbidden(self) -> Sequence[tuple[Arguments, str]]:
        return (({**self.arguments(), "server": "elsewhere"}, "elsewhere"),)

    @override
    async def state(self) -> JSON:
        return dict(self.cache.admin.config_get("*"))

    @override
    async def settle(self) -> None:
        await self.wire.settled()

    @override
    def left(self) -> Sequence[str]:
        return self.cache.ours()

    @override
    def hanging(self) -> AbstractAsyncContextManager[Reached]:
        return self.wire.holding()

    @override
    def away(self) -> AbstractAsyncContextManager[None]:
        return self.wire.away()


class Field(OnTheCache):
    """How much memory is used."""

    uses = "redis.info@1"
    given = {"field": "used_memory"}  # noqa: RUF012  # never changed


class Parameter(OnTheCache):
    """How much memory may be used."""

    uses = "redis.config@1"
    given = {"parameter": "maxmemory"}  # noqa: RUF012  # never changed

    @override
    def forbidden(self) -> Sequence[tuple[Arguments, str]]:
        return (
            *super().forbidden(),
            ({"server": "cache", "parameter": "requirepass"}, "secret"),
            ({"server": "cache", "parameter": "masterauth"}, "secret"),
            ({"server": "cache", "parameter": "*"}, "parameter"),
            ({"server": "cache", "parameter": "nothing-such"}, "nothing-such"),
        )


class Setting(OnTheCache):
    """More memory for the cache."""

    uses = "redis.config_set@1"
    given = {"parameter": "maxmemory", "value": "200mb"}  # noqa: RUF012  # never changed

    @override
    def forbidden(self) -> Sequence[tuple[Arguments, str]]:
        return (
            *super().forbidden(),
            ({"server": "cache", "parameter": "appendonly", "value": "yes"}, "appendonly"),
            ({"server": "cache", "parameter": "requirepass", "value": "x"}, "requirepass"),
        )

    @override
    async def reset(self) -> None:
        self.cache.restore()

    @override
    async def disturb(self) -> None:
        self.cache.admin.config_set("maxmemory", "150mb")


class TestRedisInfo(ActionContract):
    @pytest.fixture
    async def subject(self, cache: Cache, wire: Relay) -> Subject:
        return Field(cache, wire)


class TestRedisConfig(ActionContract):
    @pytest.fixture
    async def subject(self, cache: Cache, wire: Relay) -> Subject:
        return Parameter(cache, wire)


class TestRedisConfigSet(ActionContract):
    @pytest.fixture
    async def subject(self, cache: Cache, wire: Relay) -> Subject:
        return Setting(cache, wire)
