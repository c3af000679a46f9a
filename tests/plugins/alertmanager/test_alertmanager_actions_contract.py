"""The three actions keep what every action has to keep, on a real Alertmanager."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta

import pytest
from typing_extensions import override

from bot.domain.actions import JSON, Arguments
from tests.contracts.actions import ActionContract, Reached, Subject
from tests.plugins.alertmanager.bells import TOKEN, Bells, offered, settings
from tests.servers import Relay

LATENCY = {"name": "alertname", "value": "HighLatency"}


class OnTheBells(Subject):
    """An action on Alertmanager, through a wire that can be held."""

    secret = TOKEN
    uses: str

    def __init__(self, bells: Bells, wire: Relay) -> None:
        self.bells = bells
        self.wire = wire
        self.settings = settings(wire.port)
        known = offered(self.settings)
        self.action = known.pop(self.uses)
        self.others = tuple(known.values())

    @override
    async def state(self) -> JSON:
        return sorted([str(each["matchers"]), each["endsAt"]] for each in self.bells.silences())

    @override
    async def settle(self) -> None:
        await self.wire.settled()

    @override
    def hanging(self) -> AbstractAsyncContextManager[Reached]:
        return self.wire.holding()

    @override
    def away(self) -> AbstractAsyncContextManager[None]:
        return self.wire.away()


class Counting(OnTheBells):
    """How many alerts there are."""

    uses = "alertmanager.alerts@1"

    @override
    def arguments(self) -> Arguments:
        return {"matchers": [LATENCY]}

    @override
    def forbidden(self) -> Sequence[tuple[Arguments, str]]:
        return (
            ({"matchers": []}, "matchers"),
            ({"matchers": [{"name": 'a="b",c', "value": "x"}]}, "matchers/0/name"),
            ({"matchers": [{"name": "a", "value": "(", "regex": True}]}, "400"),
        )


class Muting(OnTheBells):
    """A silence of an hour."""

    uses = "alertmanager.silence@1"

    def __init__(self, another: Callable[[], Bells], wire: Relay) -> None:
        self.another = another
        super().__init__(another(), wire)
        wire.server = self.bells.server

    @override
    def arguments(self) -> Arguments:
        return {"matchers": [LATENCY], "duration": 3600, "comment": "a deploy is under way"}

    @override
    def forbidden(self) -> Sequence[tuple[Arguments, str]]:
        everything = [{"name": "alertname", "value": ".*", "regex": True}]
        but_one = [{"name": "alertname", "value": "x", "equal": False}]
        empty = [{"name": "nothing", "value": ""}]
        return (
            *(({**self.arguments(), "matchers": each}, "narrow") for each in (everything, but_one)),
            ({**self.arguments(), "matchers": empty}, "narrow"),
            ({**self.arguments(), "duration": 86_400}, "longest_silence"),
            ({**self.arguments(), "duration": 0}, "duration"),
        )

    @override
    async def reset(self) -> None:
        # A silence that has ended was made all the same, and is found by its key.
        self.bells = self.another()
        self.wire.server = self.bells.server

    @override
    async def disturb_effect(self) -> None:
        (made,) = self.bells.silences()
        kept = {name: made[name] for name in ("id", "matchers", "startsAt", "createdBy", "comment")}
        self.bells.mute(**kept)


class Ending(OnTheBells):
    """The end of a silence that a person made."""

    uses = "alertmanager.expire@1"

    def __init__(self, bells: Bells, wire: Relay) -> None:
        super().__init__(bells, wire)
        self.silence = bells.mute()

    @override
    def arguments(self) -> Arguments:
        return {"silence": self.silence}

    @override
    def forbidden(self) -> Sequence[tuple[Arguments, str]]:
        missing = "2b1b1b1b-0000-4000-8000-000000000000"
        return (
            ({"silence": missing}, "has no silence"),
            ({"silence": "key:run-9"}, "has no silence"),
            ({"silence": "../alerts"}, "silence"),
        )

    @override
    async def reset(self) -> None:
        self.silence = self.bells.mute()

    @override
    async def disturb(self) -> None:
        until = datetime.now(UTC) + timedelta(hours=5)
        assert self.bells.mute(id=self.silence, endsAt=until.isoformat()) == self.silence


class TestAlertmanagerAlerts(ActionContract):
    @pytest.fixture
    async def subject(self, bells: Bells, wire: Relay) -> Subject:
        return Counting(bells, wire)


class TestAlertmanagerSilence(ActionContract):
    @pytest.fixture
    async def subject(self, another: Callable[[], Bells], wire: Relay) -> Subject:
        return Muting(another, wire)


class TestAlertmanagerExpire(ActionContract):
    @pytest.fixture
    async def subject(self, bells: Bells, wire: Relay) -> Subject:
        return Ending(bells, wire)
