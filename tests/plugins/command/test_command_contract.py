"""Programs keep what every action has to keep."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from pydantic import SecretStr
from typing_extensions import override

from bot.domain.actions import Action, Arguments
from bot.plugin import PluginContext
from plugins.command.plugin import CommandLine, CommandSettings
from plugins.command.programs import Program
from tests.contracts.actions import ActionContract, Subject
from tests.contracts.scripts import Script


class ScriptSubject(Script):
    """The script as a program of this machine."""

    secret = "hunter2/hunter2+hunter2"
    effect = "mutate"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.settings = CommandSettings(
            programs={
                "script": Program.model_validate(
                    {
                        "path": str(self.script),
                        "arguments": ("[a-z]+",),
                        "effect": self.effect,
                        "secrets": ("PASSWORD",),
                    }
                )
            },
            secret_values={"PASSWORD": SecretStr(self.secret)},
        )
        plugin = CommandLine(self.settings, cast(PluginContext, SimpleNamespace()))
        self.action = self.chosen(plugin.actions())

    def chosen(self, actions: Sequence[Action]) -> Action:
        return actions[1]

    @override
    def arguments(self) -> Arguments:
        return {"program": "script", "arguments": ["word"]}

    @override
    def forbidden(self) -> Sequence[tuple[Arguments, str]]:
        return (
            ({"program": "other", "arguments": ["word"]}, '"other"'),
            ({"program": "script", "arguments": ["word; id"]}, "argument 1"),
            ({"program": "script", "arguments": ["word\n"]}, "argument 1"),
            ({"program": "script", "arguments": []}, "takes 1 argument"),
            ({"program": "script", "arguments": ["word"] * 51}, "arguments"),
            ({"program": "script", "arguments": [1]}, "arguments/0"),
            ({"program": "x" * 101}, "program"),
        )

    @override
    async def disturb(self) -> None:
        self.write("echo something else > written")


class ReadingScript(ScriptSubject):
    """The same script, where it only looks."""

    effect = "read"
    work = "true"

    @override
    def chosen(self, actions: Sequence[Action]) -> Action:
        return actions[0]


class TestCommandRun(ActionContract):
    @pytest.fixture
    async def subject(self, tmp_path: Path) -> Subject:
        return ScriptSubject(tmp_path)


class TestCommandRead(ActionContract):
    @pytest.fixture
    async def subject(self, tmp_path: Path) -> Subject:
        return ReadingScript(tmp_path)
