"""The plugin: `ssh.read@1` and `ssh.run@1`, the hosts and the programs they may run."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import asyncssh
from pydantic import Field, SecretStr, model_validator
from typing_extensions import override

from bot.domain.actions import (
    JSON,
    Action,
    ActionCall,
    ActionFailed,
    ActionResult,
    DryRun,
    Effect,
    OutcomeUnknown,
    Output,
    Risk,
    Transient,
)
from bot.domain.argv import LONGEST_ARGUMENT, MOST_ARGUMENTS
from bot.domain.printing import Printed, number
from bot.plugin import Plugin, PluginSettings
from plugins.ssh.hosts import Host, Program, allowed, command_line, shown
from plugins.ssh.sessions import Call, Ended, TookTooLong, Way, run

_LAST_LINE = 200  # characters of the last line that stand in the summary

_READ: Mapping[str, JSON] = {
    "type": "object",
    "properties": {
        "host": {"type": "string", "minLength": 1, "maxLength": 100},
        "program": {"type": "string", "minLength": 1, "maxLength": 100},
        "arguments": {
            "type": "array",
            "maxItems": MOST_ARGUMENTS,
            "items": {"type": "string", "maxLength": LONGEST_ARGUMENT},
        },
    },
    "required": ["host", "program"],
    "additionalProperties": False,
}
_RUN: Mapping[str, JSON] = {
    **_READ,
    "properties": {
        **_READ["properties"],
        "digest": {"type": "string", "pattern": "^[0-9a-f]{64}$", "maxLength": 64},
    },
}
_AWAY = frozenset({Transient.UNREACHABLE, Transient.UNAVAILABLE, Transient.TIMEOUT})


class SshSettings(PluginSettings):
    """What may be run where: nothing, until hosts and programs are listed.

    `timeout` is in seconds, `largest` in bytes of output that are kept.
    `passphrases` open the keys of hosts, by the host's name; they come from the
    environment only.
    """

    hosts: Mapping[str, Host] = {}
    programs: Mapping[str, Program] = {}
    timeout: float = Field(default=60.0, gt=0)
    largest: int = Field(default=65_536, gt=0)
    passphrases: Mapping[str, SecretStr] = {}

    @model_validator(mode="after")
    def _hosts_are_there(self) -> Self:
        for name, program in self.programs.items():
            for host in program.hosts:
                if host not in self.hosts:
                    raise ValueError(f'"{name}" wants host "{host}", which is not in hosts')
        return self


@dataclass(frozen=True, kw_only=True)
class _Prepared:
    """An allowed call: where it goes, what is run, and the words of it."""

    way: Way
    name: str
    program: Program
    arguments: Sequence[str]
    command: Call

    @property
    def digest(self) -> str:
        """Return what a plan is bound to: all that the settings say of host and program."""
        listed = [self.way.host.model_dump(mode="json"), self.program.model_dump(mode="json")]
        return hashlib.sha256(json.dumps(listed, sort_keys=True).encode()).hexdigest()


class Ssh(Plugin[SshSettings]):
    """Offers listed programs on listed hosts as actions."""

    name: ClassVar[str] = "ssh"
    Settings: ClassVar[type[PluginSettings]] = SshSettings

    @override
    def actions(self) -> Sequence[Action]:
        return (
            Action(
                name="ssh.read",
                version=1,
                summary="Look on another machine by a listed program that only reads.",
                effect=Effect.READ,
                risk=Risk.R0,
                idempotent=True,
                arguments=_READ,
                handler=self.read,
                transient=_AWAY,
            ),
            Action(
                name="ssh.run",
                version=1,
                summary="Run a listed program with listed arguments on another machine.",
                effect=Effect.MUTATE,
                risk=Risk.R2,
                idempotent=False,
                arguments=_RUN,
                handler=self.run,
                dry_run=self.preview,
                transient=_AWAY | {Transient.CONFLICT},
            ),
        )

    @override
    async def start(self) -> None:
        asyncssh.set_log_level(logging.WARNING)  # it tells of every packet that comes and goes

    async def read(self, call: ActionCall) -> ActionResult:
        """Run a program that only reads on another machine, and take what it prints.

        The host is listed in `plugins.ssh.hosts` with the file that holds its key,
        the program and the form of its arguments in `plugins.ssh.programs` with
        `effect = "read"`. The value is the number that stands alone on the last
        line of standard output, and none where there is no such line. A status
        other than 0 is a failure.
        """
        prepared = self._prepared(call, "read")
        try:
            ended, printed = await self._run(prepared, call)
        except TookTooLong as late:
            raise ActionFailed(str(late), transient=Transient.TIMEOUT) from None
        except OutcomeUnknown as broken:
            raise ActionFailed(str(broken), transient=Transient.UNREACHABLE) from None
        summary = _summary(prepared, ended, printed)
        if ended.status != 0:
            raise ActionFailed(summary)
        return _result(summary, ended, printed)

    async def preview(self, call: ActionCall) -> DryRun:
        """Show the very words the program would get, and where; the machine is not asked."""
        prepared = self._prepared(call, "mutate")
        program, way = prepared.program, prepared.way
        lines = [
            f"{way.host.username}@{way.name} ({way.host.address} port {way.host.port})",
            f"$ {shown(program, prepared.arguments)}",
        ]
        if program.directory != "/":
            lines.append(f"in {program.directory}")
        lines += [f"with {name}={value}" for name, value in program.environment.items()]
        pinned = {"digest": prepared.digest}
        return DryRun(diff="\n".join(lines), pinned=pinned, targets=(way.name,))

    async def run(self, call: ActionCall) -> ActionResult:
        """Run a program that changes another machine; there is no undo, and no look afterwards.

        The host is listed in `plugins.ssh.hosts` with the file that holds its key;
        a host with another key is not spoken to. The program and the form of its
        arguments are listed in `plugins.ssh.programs`. Every argument arrives as it
        is, whatever signs it holds. The environment is clean, standard input is
        empty, and TOCSIN_KEY holds a key that is the same for every attempt at the
        same effect. The plan is bound to the settings of host and program by `digest`.

        A machine that is not reached is a failure that changed nothing. Status 0
        is success, and one of the program's `unchanged_statuses` a failure that changed
        nothing. Any other status, a signal, a timeout or a connection that breaks
        leaves it in doubt, and a person has to look. A timeout or a stop ends the
        program by SIGTERM to its process group, and 3 s later by SIGKILL; only a
        bot that dies itself leaves it running. The value is the number that stands
        alone on the last line of standard output.
        """
        prepared = self._prepared(call, "mutate")
        if call.arguments.get("digest", prepared.digest) != prepared.digest:
            raise ActionFailed(
                f'the settings of host "{prepared.way.name}" or of program "{prepared.name}" are'
                " not the ones that were planned",
                transient=Transient.CONFLICT,
            )
        ended, printed = await self._run(prepared, call)
        summary = _summary(prepared, ended, printed)
        if ended.status in prepared.program.unchanged_statuses:
            raise ActionFailed(summary)
        if ended.status != 0:
            raise OutcomeUnknown(summary)
        return _result(summary, ended, printed)

    async def _run(self, prepared: _Prepared, call: ActionCall) -> tuple[Ended, Printed]:
        printed = Printed(
            lambda line: call.report(Output(line=line)), largest=self.settings.largest
        )
        timeout = min(call.timeout, self.settings.timeout)
        return await run(prepared.way, prepared.command, printed, timeout=timeout), printed

    def _prepared(self, call: ActionCall, effect: str) -> _Prepared:
        place, name = call.arguments["host"], call.arguments["program"]
        arguments = call.arguments.get("arguments", [])
        host = self.settings.hosts.get(place)
        if host is None:
            raise ActionFailed(f'host "{place}" is not in plugins.ssh.hosts')
        program = allowed(self.settings.programs, name, arguments, host=place)
        if program.effect != effect:
            other = "ssh.run@1" if effect == "read" else "ssh.read@1"
            raise ActionFailed(f'program "{name}" is listed for {other}')
        passphrase = self.settings.passphrases.get(place)
        way = Way(
            name=place,
            host=host,
            passphrase=passphrase.get_secret_value() if passphrase else None,
        )

        def command(mark: str) -> str:
            return command_line(program, arguments, key=call.key, mark=mark)

        command("")  # what is too long is refused before anybody is asked
        return _Prepared(way=way, name=name, program=program, arguments=arguments, command=command)


def _summary(prepared: _Prepared, ended: Ended, printed: Printed) -> str:
    how = f"exited with {ended.status}"
    if ended.signal:
        how = f"was killed by signal {ended.signal}"
    last = f": {printed.last[:_LAST_LINE].strip()}" if printed.last else ""
    return f"{prepared.name} on {prepared.way.name} {how}{last}"


def _result(summary: str, ended: Ended, printed: Printed) -> ActionResult:
    data = {"status": ended.status, "output": printed.text, "cut": printed.left_out > 0}
    return ActionResult(summary=summary, value=number(ended.last), data=data)
