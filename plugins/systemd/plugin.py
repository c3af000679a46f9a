"""The plugin: `systemd.status@1`, `systemd.restart@1`, `systemd.start@1`, `systemd.stop@1`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field
from typing_extensions import override

from bot.domain.actions import (
    JSON,
    Action,
    ActionCall,
    ActionFailed,
    ActionResult,
    Arguments,
    DryRun,
    Effect,
    Handler,
    OutcomeUnknown,
    Reconciliation,
    Risk,
    Transient,
    Undo,
)
from bot.plugin import Plugin, PluginSettings
from plugins.systemd.looking import look
from plugins.systemd.systemctl import Answer, Systemctl, Unit

_UNIT: Mapping[str, JSON] = {"type": "string", "minLength": 1, "maxLength": 256}
_STATUS: Mapping[str, JSON] = {
    "type": "object",
    "properties": {"unit": _UNIT},
    "required": ["unit"],
    "additionalProperties": False,
}
_ORDER: Mapping[str, JSON] = {
    **_STATUS,
    "properties": {
        "unit": _UNIT,
        "expected": {"enum": ["active", "inactive", "failed"]},
        "invocation": {"type": "string", "pattern": "^[0-9a-f]{0,32}$", "maxLength": 32},
    },
}
_AWAY = frozenset({Transient.UNREACHABLE, Transient.TIMEOUT})
# What a unit is like when there is nothing (more) to do for an order.
_DONE = {"start": {"active"}, "stop": {"inactive", "failed"}, "restart": set[str]()}
_WANTED = {"start": "active", "stop": "inactive", "restart": "active, started anew"}
_REVERSE = {"start": "systemd.stop@1", "stop": "systemd.start@1"}
_LOOK = 10.0  # seconds that one question to systemd may take

UnitName = Annotated[
    str,
    Field(
        max_length=256,
        pattern=r"^[A-Za-z0-9:_.\\@][A-Za-z0-9:_.\\@-]*"
        r"\.(service|socket|timer|target|path|mount|automount|swap|slice|scope)$",
    ),
]


def _absolute(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError(f'"{path}" should be an absolute path')
    return path


class SystemdSettings(PluginSettings):
    """Which units may be touched: none, until they are listed by their whole names.

    `systemctl` is the program that is asked; `timeout` is in seconds.
    """

    units: tuple[UnitName, ...] = ()
    systemctl: Annotated[str, AfterValidator(_absolute)] = "/usr/bin/systemctl"
    timeout: float = Field(default=60.0, gt=0)


class Systemd(Plugin[SystemdSettings]):
    """Offers listed units as actions."""

    name: ClassVar[str] = "systemd"
    Settings: ClassVar[type[PluginSettings]] = SystemdSettings

    @override
    def actions(self) -> Sequence[Action]:
        status = Action(
            name="systemd.status",
            version=1,
            summary="Look whether a listed unit is active.",
            effect=Effect.READ,
            risk=Risk.R0,
            idempotent=True,
            arguments=_STATUS,
            handler=self.status,
            transient=_AWAY,
        )
        return (
            status,
            self._order("restart", "Restart a listed unit.", self.restart),
            self._order("start", "Start a listed unit.", self.start_unit),
            self._order("stop", "Stop a listed unit.", self.stop_unit),
        )

    def _order(self, verb: str, summary: str, handler: Handler) -> Action:
        async def dry_run(call: ActionCall) -> DryRun:
            return await self._preview(verb, call)

        async def reconcile(call: ActionCall) -> Reconciliation:
            return look(verb, call.arguments, await self._unit(call))

        return Action(
            name=f"systemd.{verb}",
            version=1,
            summary=summary,
            effect=Effect.MUTATE,
            risk=Risk.R1,
            idempotent=verb != "restart",
            arguments=_ORDER,
            handler=handler,
            dry_run=dry_run,
            reconcile=reconcile,
            undo=_undo(verb) if verb in _REVERSE else None,
            transient=_AWAY | {Transient.CONFLICT},
        )

    async def status(self, call: ActionCall) -> ActionResult:
        """Look at a unit of this machine that is listed in `plugins.systemd.units`.

        The value is 1 where it is active and 0 where it is anything else. Asking
        needs no privilege.
        """
        unit = await self._unit(call)
        return _result(unit, f"{unit.name} is {unit.shown}")

    async def restart(self, call: ActionCall) -> ActionResult:
        """Restart a unit that is listed in `plugins.systemd.units`; there is no way back.

        The plan is bound to the very run of the unit that was seen (its
        InvocationID): one that was restarted since is left alone. The bot's user needs
        the right to manage the unit, by a polkit rule for
        `org.freedesktop.systemd1.manage-units`. A restart that systemd has begun
        comes to its end even where the run is stopped or the time is over;
        half a restart would be a unit that is down.
        """
        return await self._carry_out("restart", call)

    async def start_unit(self, call: ActionCall) -> ActionResult:
        """Start a unit that is listed in `plugins.systemd.units`; its undo stops it again.

        One that is active already stays as it is, and then there is nothing to
        undo. Only the very run that was started is stopped, and none where a crash
        has lost which one it was. The bot's user needs the right to manage the
        unit, by a polkit rule for `org.freedesktop.systemd1.manage-units`. What
        systemd has begun comes to its end even where the run is stopped.
        """
        return await self._carry_out("start", call)

    async def stop_unit(self, call: ActionCall) -> ActionResult:
        """Stop a unit that is listed in `plugins.systemd.units`; its undo starts it again.

        One that is not active stays as it is, and then there is nothing to undo.
        The bot's user needs the right to manage the unit, by a polkit rule for
        `org.freedesktop.systemd1.manage-units`. What systemd has begun comes to
        its end even where the run is stopped.
        """
        return await self._carry_out("stop", call)

    async def _preview(self, verb: str, call: ActionCall) -> DryRun:
        unit = await self._unit(call)
        if not unit.settled:
            raise ActionFailed(
                f"{unit.name} is on its way: {unit.shown}", transient=Transient.CONFLICT
            )
        if unit.active not in _DONE[verb]:
            _check(unit, call.arguments)
        lines = [f"- {unit.name}: {unit.shown}", f"+ {unit.name}: {_WANTED[verb]}"]
        if unit.active in _DONE[verb]:
            lines = [f"  {unit.name}: {unit.shown}, and stays so"]
        pinned = {"expected": unit.active, "invocation": unit.invocation}
        # What an undo says of its effect stays as it said it.
        pinned |= {name: call.arguments[name] for name in pinned if name in call.arguments}
        return DryRun(diff="\n".join(lines), pinned=pinned, targets=(unit.name,))

    async def _carry_out(self, verb: str, call: ActionCall) -> ActionResult:
        """Give an order to a unit that is as it was planned, and see what it is like then."""
        timeout = min(call.timeout, self.settings.timeout)
        began = asyncio.get_running_loop().time()
        before = await self._unit(call)
        if before.settled and before.active in _DONE[verb]:
            result = _result(before, f"{before.name} is {before.shown} already")
            return replace(result, data={**result.data, "changed": False})
        _check(before, call.arguments)
        left = max(0.1, timeout - (asyncio.get_running_loop().time() - began))
        try:
            answer = await self._systemctl.order(verb, before.name, timeout=left)
        except TimeoutError:
            raise OutcomeUnknown(
                f"systemd did not {verb} {before.name} within {timeout:g} s"
            ) from None
        return await self._after(verb, call, before=before, answer=answer)

    async def _after(
        self, verb: str, call: ActionCall, *, before: Unit, answer: Answer
    ) -> ActionResult:
        """Say what came of an order, whatever its exit status means."""
        after = await self._looked_at(call, verb)
        if answer.status == 0:
            return _result(after, f"{verb} of {after.name}: it is {after.shown}")
        reason = f"{verb} of {after.name}: {answer.said}; it is {after.shown}"
        untouched = after.settled and (after.active, after.invocation) == (
            before.active,
            before.invocation,
        )
        raise ActionFailed(reason) if untouched else OutcomeUnknown(reason)

    async def _looked_at(self, call: ActionCall, verb: str) -> Unit:
        """Look at a unit after an order, when a look that fails is no failure of the order."""
        try:
            return await self._unit(call)
        except ActionFailed as no:
            raise OutcomeUnknown(f"after the {verb}: {no.reason}") from None

    async def _unit(self, call: ActionCall) -> Unit:
        name = call.arguments["unit"]
        if name not in self.settings.units:
            raise ActionFailed(f'unit "{name}" is not in plugins.systemd.units')
        return await self._systemctl.unit(name, timeout=min(_LOOK, call.timeout))

    @property
    def _systemctl(self) -> Systemctl:
        return Systemctl(self.settings.systemctl)


def _check(unit: Unit, arguments: Arguments) -> None:
    """Hold a unit against what the plan pinned.

    Raises:
        ActionFailed: it is not as it was seen, or on its way to something else.
    """
    pinned = {"expected": unit.active, "invocation": unit.invocation}
    changed = any(arguments.get(name, now) != now for name, now in pinned.items())
    if changed or not unit.settled:
        raise ActionFailed(
            f"{unit.name} is not as it was planned: it is {unit.shown} now",
            transient=Transient.CONFLICT,
        )


def _undo(verb: str) -> Callable[[ActionCall, ActionResult], Undo | None]:
    """Take a start back by a stop and a stop by a start, where they changed something.

    What was started is stopped only while it is the run of ours: somebody who
    restarted the unit since wants it to be there.
    """

    def undo(call: ActionCall, result: ActionResult) -> Undo | None:
        was = call.arguments.get("expected")
        if was is None or was in _DONE[verb] or not result.data.get("changed", True):
            return None
        kept = {"unit": call.arguments["unit"]}
        if verb == "stop":
            return Undo(uses=_REVERSE[verb], arguments=kept)
        run = result.data.get("invocation")
        if not run:  # after a crash nobody knows which run of the unit is ours to stop
            return None
        ours = {"expected": "active", "invocation": run}
        return Undo(uses=_REVERSE[verb], arguments={**kept, **ours})

    return undo


def _result(unit: Unit, summary: str) -> ActionResult:
    value = 1.0 if unit.active == "active" else 0.0
    data = {key: item for key, item in asdict(unit).items() if key not in ("name", "busy")}
    return ActionResult(summary=summary, value=value, data=data)
