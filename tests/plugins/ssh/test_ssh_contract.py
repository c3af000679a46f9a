"""Programs on other machines keep what every action has to keep."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from pydantic import SecretStr
from typing_extensions import override

from bot.domain.actions import Action, Arguments
from bot.plugin import PluginContext
from plugins.ssh.hosts import Program
from plugins.ssh.plugin import Ssh, SshSettings
from tests.contracts.actions import ActionContract, Subject
from tests.contracts.scripts import Script
from tests.plugins.ssh.served import PASSPHRASE, Sshd


class RemoteScript(Script):
    """The script on the other side of a real sshd."""

    secret = PASSPHRASE
    effect = "mutate"
    patience = 2.0

    def __init__(self, folder: Path, server: Sshd) -> None:
        super().__init__(folder)
        self.server = server
        self.listed(directory="/")

    def listed(self, **other: str) -> None:
        program = {
            "hosts": ("web",),
            "path": str(self.script),
            "arguments": ("[a-z]+",),
            "effect": self.effect,
        }
        self.settings = SshSettings(
            hosts={"web": self.server.host(), "db": self.server.host()},
            programs={"script": Program.model_validate(program | other)},
            passphrases={"web": SecretStr(self.secret)},
        )
        plugin = Ssh(self.settings, cast(PluginContext, SimpleNamespace()))
        self.action = self.chosen(plugin.actions())

    def chosen(self, actions: Sequence[Action]) -> Action:
        return actions[1]

    @override
    def arguments(self) -> Arguments:
        return {"host": "web", "program": "script", "arguments": ["word"]}

    @override
    def forbidden(self) -> Sequence[tuple[Arguments, str]]:
        words = ["word"]
        return (
            ({"host": "mail", "program": "script", "arguments": words}, '"mail"'),
            ({"host": "db", "program": "script", "arguments": words}, '"db"'),
            ({"host": "web", "program": "other", "arguments": words}, '"other"'),
            ({"host": "web", "program": "script", "arguments": ["word; id"]}, "argument 1"),
            ({"host": "web", "program": "script", "arguments": ["word\n"]}, "argument 1"),
            ({"host": "web", "program": "script", "arguments": []}, "takes 1 argument"),
            ({"host": "web", "program": "script", "arguments": words * 51}, "arguments"),
            ({"host": 1, "program": "script", "arguments": words}, "host"),
        )

    @override
    async def disturb(self) -> None:
        self.listed(directory="/tmp")

    @override
    def left(self) -> Sequence[str]:
        return [*super().left(), *self.server.connections()]

    @override
    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        await self.server.stop()
        yield
        await self.server.start()


class ReadingRemoteScript(RemoteScript):
    """The same script, where it only looks."""

    effect = "read"
    work = "true"

    @override
    def chosen(self, actions: Sequence[Action]) -> Action:
        return actions[0]


class TestSshRun(ActionContract):
    @pytest.fixture
    async def subject(self, tmp_path: Path, sshd: Sshd) -> Subject:
        return RemoteScript(tmp_path / "world", sshd)


class TestSshRead(ActionContract):
    @pytest.fixture
    async def subject(self, tmp_path: Path, sshd: Sshd) -> Subject:
        return ReadingRemoteScript(tmp_path / "world", sshd)
