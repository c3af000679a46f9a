"""The plugin: `command.run@1` and the programs it may run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import Field
from typing_extensions import override

from bot.domain.actions import (
    JSON,
    Action,
    ActionCall,
    ActionFailed,
    ActionResult,
    DryRun,
    Effect,
    Risk,
)
from bot.plugin import Plugin, PluginSettings
from plugins.command.processes import OutcomeUnknown, run
from plugins.command.programs import MOST_ARGUMENTS, Program, command_line

_LAST_LINE = 200

_ARGUMENTS: Mapping[str, JSON] = {
    "type": "object",
    "properties": {
        "program": {"type": "string", "minLength": 1, "maxLength": 100},
        "arguments": {
            "type": "array",
            "maxItems": MOST_ARGUMENTS,
            "items": {"type": "string", "maxLength": 4000},
        },
    },
    "required": ["program"],
    "additionalProperties": False,
}


class CommandSettings(PluginSettings):
    """What may be run: nothing, until programs are listed.

    `timeout` is in seconds, `largest` in bytes of output that are kept.
    """

    programs: Mapping[str, Program] = {}
    timeout: float = Field(default=60.0, gt=0)
    largest: int = Field(default=16_384, gt=0)


class CommandLine(Plugin[CommandSettings]):
    """Offers listed programs as an action."""

    name: ClassVar[str] = "command"
    Settings: ClassVar[type[PluginSettings]] = CommandSettings

    @override
    def actions(self) -> Sequence[Action]:
        return (
            Action(
                name="command.run",
                version=1,
                summary="Run a listed program with listed arguments.",
                effect=Effect.MUTATE,
                risk=Risk.R2,
                idempotent=False,
                arguments=_ARGUMENTS,
                handler=self._run,
                dry_run=self._preview,
            ),
        )

    async def _preview(self, call: ActionCall) -> DryRun:
        """Show the very words the program would get."""
        _, argv = self._command_line(call)
        return DryRun(diff=f"$ {shlex.join(argv)}")

    async def _run(self, call: ActionCall) -> ActionResult:
        program, argv = self._command_line(call)
        timeout = min(call.timeout, self.settings.timeout)
        ended = await run(argv, timeout=timeout, largest=self.settings.largest)
        summary = f"{call.arguments['program']} exited with {ended.status}{_last(ended.output)}"
        if ended.status in program.unchanged:
            raise ActionFailed(summary)
        if ended.status != 0:
            raise OutcomeUnknown(summary)
        data = {"status": ended.status, "output": ended.output, "cut": ended.cut}
        return ActionResult(summary=summary, value=0.0, data=data)

    def _command_line(self, call: ActionCall) -> tuple[Program, list[str]]:
        arguments = call.arguments.get("arguments", [])
        return command_line(self.settings.programs, call.arguments["program"], arguments)


def _last(output: str) -> str:
    """Return the last line of the output, which most often says what came of it."""
    lines = output.strip().splitlines()
    return f": {lines[-1][:_LAST_LINE]}" if lines else ""
