"""The plugin: `command.read@1` and `command.run@1`, and the programs they may run."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

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
from bot.domain.printing import Printed, hide, hideable, number
from bot.plugin import Plugin, PluginSettings
from plugins.command.processes import Ended, Start, TookTooLong, run
from plugins.command.programs import Program, allowed

_LAST_LINE = 200  # characters of the last line that stand in the summary
_LARGEST_FILE = 64 * 1024 * 1024  # bytes of a program's file that its digest is taken of

_READ: Mapping[str, JSON] = {
    "type": "object",
    "properties": {
        "program": {"type": "string", "minLength": 1, "maxLength": 100},
        "arguments": {
            "type": "array",
            "maxItems": MOST_ARGUMENTS,
            "items": {"type": "string", "maxLength": LONGEST_ARGUMENT},
        },
    },
    "required": ["program"],
    "additionalProperties": False,
}
_RUN: Mapping[str, JSON] = {
    **_READ,
    "properties": {
        **_READ["properties"],
        "digest": {"type": "string", "pattern": "^[0-9a-f]{64}$", "maxLength": 64},
    },
}


class CommandSettings(PluginSettings):
    """What may be run: nothing, until programs are listed.

    `timeout` is in seconds, `largest` in bytes of output that are kept.
    `secret_values` are variables that programs name in their `secrets`; they
    come from the environment only, and are taken out of whatever is printed.
    """

    programs: Mapping[str, Program] = {}
    timeout: float = Field(default=60.0, gt=0)
    largest: int = Field(default=65_536, gt=0)
    secret_values: Mapping[str, SecretStr] = {}

    @model_validator(mode="after")
    def _secrets_are_there(self) -> Self:
        for name, program in self.programs.items():
            for secret in program.secrets:
                if secret not in self.secret_values:
                    raise ValueError(f'"{name}" wants {secret}, which is not in secret_values')
        return self


@dataclass(frozen=True, kw_only=True)
class _Prepared:
    """An allowed call: the program, and everything it is started with."""

    name: str
    program: Program
    start: Start


class CommandLine(Plugin[CommandSettings]):
    """Offers listed programs as actions."""

    name: ClassVar[str] = "command"
    Settings: ClassVar[type[PluginSettings]] = CommandSettings

    @override
    def actions(self) -> Sequence[Action]:
        return (
            Action(
                name="command.read",
                version=1,
                summary="Look by a listed program that only reads.",
                effect=Effect.READ,
                risk=Risk.R0,
                idempotent=True,
                arguments=_READ,
                handler=self.read,
                transient=frozenset({Transient.TIMEOUT, Transient.UNAVAILABLE}),
            ),
            Action(
                name="command.run",
                version=1,
                summary="Run a listed program with listed arguments.",
                effect=Effect.MUTATE,
                risk=Risk.R2,
                idempotent=False,
                arguments=_RUN,
                handler=self.run,
                dry_run=self.preview,
                transient=frozenset({Transient.CONFLICT, Transient.UNAVAILABLE}),
            ),
        )

    async def read(self, call: ActionCall) -> ActionResult:
        """Run a program that only reads, and take what it prints.

        The program and the form of its arguments are listed in
        `plugins.command.programs` with `effect = "read"`. No shell reads them, the
        environment is clean, standard input is empty. The value is the number that
        stands alone on the last line of standard output, and none where there is
        no such line. A status other than 0 is a failure.
        """
        prepared = self._prepared(call, "read")
        try:
            ended, printed = await self._run(prepared, call)
        except TookTooLong as late:
            raise ActionFailed(str(late), transient=Transient.TIMEOUT) from None
        summary = _summary(prepared, ended, printed)
        if ended.status != 0:
            raise ActionFailed(summary)
        return _result(summary, ended, printed)

    async def preview(self, call: ActionCall) -> DryRun:
        """Show the very words the program would get, bound to the program as it is now."""
        prepared = self._prepared(call, "mutate")
        program, start = prepared.program, prepared.start
        lines = [f"$ {shlex.join(start.argv)}"]
        if program.directory != "/":
            lines.append(f"in {program.directory}")
        lines += [f"with {name}={value}" for name, value in program.environment.items()]
        lines += [f"with {name} (hidden)" for name in program.secrets]
        diff = hide("\n".join(lines), self._hidden)
        pinned = await asyncio.to_thread(_pinned, prepared)
        return DryRun(diff=diff, pinned=pinned, targets=(prepared.name,))

    async def run(self, call: ActionCall) -> ActionResult:
        """Run a program that changes something; there is no undo, and no look afterwards.

        The program and the form of its arguments are listed in
        `plugins.command.programs`. No shell reads them, the environment is clean,
        standard input is empty, and TOCSIN_KEY holds a key that is the same for
        every attempt at the same effect. The plan is bound to the program's file
        and settings by `digest`: a program that was changed since is not run.

        Status 0 is success, and one of its `unchanged_statuses` a failure that
        changed nothing. Any other status, a signal or a timeout leaves it in doubt,
        and a person has to look. A timeout or a stop ends it by SIGTERM to its whole
        process group, and 3 s later by SIGKILL; only a bot that dies itself leaves it
        running. The value is the number that stands
        alone on the last line of standard output.
        """
        prepared = self._prepared(call, "mutate")
        await asyncio.to_thread(_check_pinned, prepared, call)
        ended, printed = await self._run(prepared, call)
        summary = _summary(prepared, ended, printed)
        if ended.status in prepared.program.unchanged_statuses:
            raise ActionFailed(summary)
        if ended.status != 0:
            raise OutcomeUnknown(summary)
        return _result(summary, ended, printed)

    async def _run(self, prepared: _Prepared, call: ActionCall) -> tuple[Ended, Printed]:
        printed = Printed(
            lambda line: call.report(Output(line=line)),
            largest=self.settings.largest,
            secrets=self._hidden,
        )
        timeout = min(call.timeout, self.settings.timeout)
        return await run(prepared.start, printed, timeout=timeout), printed

    def _prepared(self, call: ActionCall, effect: str) -> _Prepared:
        name = call.arguments["program"]
        arguments = call.arguments.get("arguments", [])
        program = allowed(self.settings.programs, name, arguments)
        if program.effect != effect:
            other = "command.run@1" if effect == "read" else "command.read@1"
            raise ActionFailed(f'program "{name}" is listed for {other}')
        values = self.settings.secret_values
        environment = {
            **program.environment,
            **{secret: values[secret].get_secret_value() for secret in program.secrets},
            "TOCSIN_KEY": call.key,
        }
        start = Start(
            argv=[program.path, *arguments], directory=program.directory, environment=environment
        )
        return _Prepared(name=name, program=program, start=start)

    @property
    def _hidden(self) -> tuple[str, ...]:
        values = self.settings.secret_values.values()
        return hideable([value.get_secret_value() for value in values])


def _pinned(prepared: _Prepared) -> Mapping[str, JSON]:
    """Return what binds a plan to a program: the digest of its file and of its settings.

    A program that we may run and not read (mode 0711) cannot be bound.
    """
    try:
        with Path(prepared.program.path).open("rb") as file:
            content = hashlib.sha256(file.read(_LARGEST_FILE)).hexdigest()
    except OSError:
        return {}
    listed = json.dumps([content, prepared.program.model_dump(mode="json")], sort_keys=True)
    return {"digest": hashlib.sha256(listed.encode()).hexdigest()}


def _check_pinned(prepared: _Prepared, call: ActionCall) -> None:
    wanted = call.arguments.get("digest")
    if wanted is not None and _pinned(prepared).get("digest") != wanted:
        raise ActionFailed(
            f'program "{prepared.name}" is not the one that was planned: its file or its settings'
            " have changed",
            transient=Transient.CONFLICT,
        )


def _summary(prepared: _Prepared, ended: Ended, printed: Printed) -> str:
    how = f"exited with {ended.status}"
    if ended.status < 0:
        how = f"was killed by signal {-ended.status}"
    last = f": {printed.last[:_LAST_LINE].strip()}" if printed.last else ""
    return f"{prepared.name} {how}{last}"


def _result(summary: str, ended: Ended, printed: Printed) -> ActionResult:
    data = {"status": ended.status, "output": printed.text, "cut": printed.left_out > 0}
    return ActionResult(summary=summary, value=number(ended.last), data=data)
