"""Both actions keep what every action has to keep, on a service over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from typing_extensions import override

from bot.domain.actions import JSON, Arguments
from tests.contracts.actions import ActionContract, Reached, Subject
from tests.plugins.feature_flag.flags import TOKEN, Flags, offered, settings


class Looking(Subject):
    """A look at the flag."""

    secret = TOKEN
    uses = "feature_flag.get@1"

    def __init__(self, flags: Flags) -> None:
        self.flags = flags
        self.settings = settings(flags)
        self.action = offered(self.settings)[self.uses]

    @override
    def arguments(self) -> Arguments:
        return {"flag": "checkout-v2"}

    @override
    def forbidden(self) -> Sequence[tuple[Arguments, str]]:
        names = ("a/b", "../admin", "other", "checkout-v2/", "checkout-v2?x=1", "{flag}")
        return [
            ({**self.arguments(), "flag": name}, "plugins.feature_flag.flags") for name in names
        ]

    @override
    async def state(self) -> JSON:
        return dict(self.flags.enabled)

    @override
    async def reset(self) -> None:
        self.flags.enabled["checkout-v2"] = True

    @override
    def hanging(self) -> AbstractAsyncContextManager[Reached]:
        return self.flags.holding()

    @override
    def away(self) -> AbstractAsyncContextManager[None]:
        return self.flags.away()

    @override
    @asynccontextmanager
    async def leaking(self) -> AsyncIterator[None]:
        self.flags.echo = TOKEN
        yield
        self.flags.echo = ""


class Setting(Looking):
    """The flag turned off."""

    uses = "feature_flag.set@1"

    @override
    def arguments(self) -> Arguments:
        return {"flag": "checkout-v2", "enabled": False}


class SettingBack(Setting):
    """The flag turned on, which somebody else may do too: then it is as wanted."""

    def __init__(self, flags: Flags) -> None:
        super().__init__(flags)
        flags.enabled["checkout-v2"] = False

    @override
    def arguments(self) -> Arguments:
        return {"flag": "checkout-v2", "enabled": True}

    @override
    async def reset(self) -> None:
        self.flags.enabled["checkout-v2"] = False


class TestFeatureFlagGet(ActionContract):
    @pytest.fixture
    async def subject(self, flags: Flags) -> Subject:
        return Looking(flags)


class TestFeatureFlagSetOff(ActionContract):
    @pytest.fixture
    async def subject(self, flags: Flags) -> Subject:
        return Setting(flags)


class TestFeatureFlagSetOn(ActionContract):
    @pytest.fixture
    async def subject(self, flags: Flags) -> Subject:
        return SettingBack(flags)
