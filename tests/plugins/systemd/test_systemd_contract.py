"""Orders to systemd keep what every action has to keep."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from typing_extensions import override

from bot.domain.actions import JSON, Action, Arguments
from bot.plugin import PluginContext
from plugins.systemd.plugin import Systemd, SystemdSettings
from tests.contracts.actions import ActionContract, Reached, Subject, Unable
from tests.plugins.systemd.standing_in import RUNNING, Manager, write_program

UNIT = "web@1.service"
STOPPED = {
    "ActiveState": "inactive",
    "SubState": "dead",
    "Result": "success",
    "InvocationID": "b" * 32,
}
ANEW = {**RUNNING, "InvocationID": "c" * 32}
FAILED = {"ActiveState": "failed", "SubState": "failed", "InvocationID": "c" * 32}


class UnitSubject(Subject):
    """A unit of a stand-in for systemd, and one verb on it."""

    verb = "status"
    before: Mapping[str, str] = RUNNING
    other: Mapping[str, str] = STOPPED
    switch = "hang-jobs"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manager = Manager(folder)
        self.manager.set(UNIT, **self.before)
        self.manager.set("other.service", **RUNNING)
        self.settings = SystemdSettings(units=(UNIT,), systemctl=str(write_program(folder)))
        plugin = Systemd(self.settings, cast(PluginContext, SimpleNamespace()))
        actions = {action.name: action for action in plugin.actions()}
        self.action: Action = actions[f"systemd.{self.verb}"]
        self.others = [action for action in actions.values() if action is not self.action]

    @override
    def arguments(self) -> Arguments:
        return {"unit": UNIT}

    @override
    def forbidden(self) -> Sequence[tuple[Arguments, str]]:
        return (
            ({"unit": "other.service"}, '"other.service"'),
            ({"unit": "web@1"}, '"web@1"'),
            ({"unit": "web@*.service"}, "plugins.systemd.units"),
            ({"unit": "--force"}, "plugins.systemd.units"),
            ({"unit": f"{UNIT}\n"}, "plugins.systemd.units"),
            ({"unit": 1}, "unit"),
        )

    @override
    async def state(self) -> JSON:
        unit = self.manager.get(UNIT)
        return {"active": unit["ActiveState"], "other": self.manager.get("other.service")}

    @override
    async def reset(self) -> None:
        self.manager.set(UNIT, **self.before)

    @override
    async def disturb(self) -> None:
        self.manager.set(UNIT, **self.other)

    @override
    async def settle(self) -> None:
        async with asyncio.timeout(30):
            while self.manager.busy():  # noqa: ASYNC110  # the manager is another process
                await asyncio.sleep(0.01)

    @override
    def left(self) -> Sequence[str]:
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                ours = os.fsencode(self.folder / "systemctl") in path.read_bytes()
                if ours and (path.parent / "comm").read_text() != "manager\n":
                    found.append(path.parent.name)
        return found

    @override
    @asynccontextmanager
    async def hanging(self) -> AsyncIterator[Reached]:
        (self.folder / self.switch).touch()
        yield self.reached
        (self.folder / self.switch).unlink()

    async def reached(self) -> None:
        show = self.switch == "hang-show"
        while not (self.left() if show else self.manager.busy()):  # noqa: ASYNC110  # see above
            await asyncio.sleep(0.01)

    @override
    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        (self.folder / "away").touch()
        yield
        (self.folder / "away").unlink()


class StatusSubject(UnitSubject):
    switch = "hang-show"


class RestartSubject(UnitSubject):
    verb = "restart"
    other = ANEW

    @override
    async def state(self) -> JSON:
        return self.manager.get(UNIT)["InvocationID"]


class StartSubject(UnitSubject):
    verb = "start"
    before = STOPPED
    other = FAILED

    @override
    async def disturb_effect(self) -> None:
        self.manager.set(UNIT, **ANEW)


class StopSubject(UnitSubject):
    verb = "stop"
    other = ANEW

    @override
    async def disturb_effect(self) -> None:
        raise Unable("whoever starts it again has done what the undo would do")


class TestSystemdStatus(ActionContract):
    @pytest.fixture
    async def subject(self, tmp_path: Path) -> Subject:
        return StatusSubject(tmp_path)


class TestSystemdRestart(ActionContract):
    @pytest.fixture
    async def subject(self, tmp_path: Path) -> Subject:
        return RestartSubject(tmp_path)


class TestSystemdStart(ActionContract):
    @pytest.fixture
    async def subject(self, tmp_path: Path) -> Subject:
        return StartSubject(tmp_path)


class TestSystemdStop(ActionContract):
    @pytest.fixture
    async def subject(self, tmp_path: Path) -> Subject:
        return StopSubject(tmp_path)
