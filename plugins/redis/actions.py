"""`redis.info@1` and `redis.config@1` to look, `redis.config_set@1` to change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bot.domain.actions import (
    JSON,
    Action,
    ActionCall,
    ActionFailed,
    ActionResult,
    DryRun,
    Effect,
    Happened,
    OutcomeUnknown,
    Reconciliation,
    Risk,
    Transient,
    Undo,
)
from plugins.redis.servers import Server, check_readable, check_settable, server
from plugins.redis.sessions import TRANSIENT, Session, session
from plugins.redis.values import number, same, shown

SET = "redis.config_set"
_LONGEST_VALUE = 4000
_LONGEST_SHOWN = 300

_SERVER: Mapping[str, JSON] = {"type": "string", "minLength": 1, "maxLength": 100}
# CONFIG GET takes patterns; a name that is none asks for one parameter only.
_PARAMETER: Mapping[str, JSON] = {
    "type": "string",
    "pattern": "^[a-z][a-z0-9-]*$",
    "maxLength": 100,
}


def _closed(properties: Mapping[str, JSON], *required: str) -> Mapping[str, JSON]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


_FIELD = {
    "type": "string",
    "pattern": "^[a-zA-Z][a-zA-Z0-9_]*([.][a-zA-Z0-9_]+)?$",
    "maxLength": 100,
}
_INFO = _closed({"server": _SERVER, "field": _FIELD}, "server", "field")
_CONFIG = _closed({"server": _SERVER, "parameter": _PARAMETER}, "server", "parameter")
_CONFIG_SET = _closed(
    {
        "server": _SERVER,
        "parameter": _PARAMETER,
        "value": {
            "type": ["string", "integer"],
            "maxLength": _LONGEST_VALUE,
            "minimum": 0,
            "maximum": 2**53 - 1,
        },
        "expected": {"type": "string", "maxLength": _LONGEST_VALUE},
    },
    "server",
    "parameter",
    "value",
)


class RedisActions:
    """The actions on listed servers. `timeout` is in seconds."""

    def __init__(self, servers: Mapping[str, Server], *, timeout: float) -> None:
        self._servers = servers
        self._timeout = timeout

    def all(self) -> Sequence[Action]:
        """Return the actions for the registry."""
        return (
            Action(
                name="redis.info",
                version=1,
                summary="Ask a listed Redis for one field of INFO: a number.",
                effect=Effect.READ,
                risk=Risk.R0,
                idempotent=True,
                arguments=_INFO,
                handler=self.info,
                transient=TRANSIENT,
            ),
            Action(
                name="redis.config",
                version=1,
                summary="Ask a listed Redis for one parameter of its configuration.",
                effect=Effect.READ,
                risk=Risk.R0,
                idempotent=True,
                arguments=_CONFIG,
                handler=self.config,
                transient=TRANSIENT,
            ),
            Action(
                name=SET,
                version=1,
                summary="Set a listed parameter of a listed Redis until it is restarted.",
                effect=Effect.MUTATE,
                risk=Risk.R2,
                idempotent=True,
                arguments=_CONFIG_SET,
                handler=self.set,
                dry_run=self.preview,
                reconcile=self.find,
                undo=restore,
                transient=TRANSIENT | {Transient.CONFLICT},
            ),
        )

    async def info(self, call: ActionCall) -> ActionResult:
        """Look at one field of INFO, by its name there, such as `used_memory`.

        A part of a field is named behind a dot: `db0.keys`. The value is the
        number; `up`, `ok` and `yes` are 1, `down`, `err` and `no` are 0. A field
        that is not there is a failure and not zero.
        """
        name, part = call.arguments["field"].partition(".")[::2]
        where = server(self._servers, call.arguments["server"])
        async with session(where, timeout=self._left(call)) as asked:
            found = (await asked.info()).get(name)
        if part:
            found = found.get(part) if isinstance(found, dict) else None
        if found is None or isinstance(found, dict | list):
            raise ActionFailed(f'redis "{where.name}" says nothing of {call.arguments["field"]}')
        return _seen(call.arguments["field"], str(found))

    async def config(self, call: ActionCall) -> ActionResult:
        """Look at one parameter, as CONFIG GET names it, such as `maxmemory`.

        The value is the number, memory in bytes; yes is 1 and no is 0. Parameters
        that hold passwords are never read.
        """
        parameter = call.arguments["parameter"]
        where = server(self._servers, call.arguments["server"])
        check_readable(parameter)
        async with session(where, timeout=self._left(call)) as asked:
            return _seen(parameter, await asked.get(parameter))

    async def preview(self, call: ActionCall) -> DryRun:
        """Bind the change to the value that is set now."""
        where, parameter = self._settable(call)
        async with session(where, timeout=self._left(call)) as asked:
            now = await asked.get(parameter)
        expected = call.arguments.get("expected", now)  # an undo says what its effect has left
        if not same(now, expected) and not same(now, _value(call)):
            reason = f"{parameter} is {shown(now)}, not {shown(expected)}: somebody changed it"
            raise ActionFailed(reason[:_LONGEST_SHOWN], transient=Transient.CONFLICT)
        if len(now) > _LONGEST_VALUE:
            raise ActionFailed(f"{parameter} is too long to be set back afterwards")
        diff = f"- {parameter}: {shown(now)}\n+ {parameter}: {shown(_value(call))}"
        return DryRun(diff=diff, pinned={"expected": expected}, targets=(f"redis {where.name}",))

    async def set(self, call: ActionCall) -> ActionResult:
        """Set a listed parameter, if it is still what the plan saw.

        The value is compared and then set: Redis has no way to do both at once,
        so a change in the millisecond between them is overwritten. Memory may be
        written `100mb`. It lasts until Redis restarts, since the file is not
        rewritten. The undo sets it back to what the plan saw, unless somebody has
        set another value since.
        """
        where, parameter = self._settable(call)
        value, expected = _value(call), call.arguments.get("expected")
        if expected is None:
            raise ActionFailed("expected is missing: the plan was made without a dry run")
        async with session(where, timeout=self._left(call)) as asked:
            now = await asked.get(parameter)
            if not same(now, value):
                await _replace(asked, parameter, now=now, expected=expected, value=value)
        return ActionResult(
            summary=f"{parameter} is {shown(value)} (it was {shown(expected)})"[:_LONGEST_SHOWN],
            value=number(value),
            data={"value": value, "previous": expected},
        )

    async def find(self, call: ActionCall) -> Reconciliation:
        """Compare the value that is set with the wanted and the former one."""
        where, parameter = self._settable(call)
        async with session(where, timeout=self._left(call)) as asked:
            now = await asked.get(parameter)
        expected = call.arguments.get("expected")
        happened = Happened.UNKNOWN
        if same(now, _value(call)):
            happened = Happened.YES
        elif expected is not None and same(now, expected):
            happened = Happened.NO
        detail = f"{parameter} is {shown(now)}"[:_LONGEST_SHOWN]
        return Reconciliation(happened=happened, detail=detail)

    def _settable(self, call: ActionCall) -> tuple[Server, str]:
        where = server(self._servers, call.arguments["server"])
        parameter: str = call.arguments["parameter"]
        check_settable(where, parameter)
        if not _storable(_value(call)):
            raise ActionFailed(f"the value of {parameter} is not text that can be sent")
        return where, parameter

    def _left(self, call: ActionCall) -> float:
        return min(call.timeout, self._timeout)


async def _replace(asked: Session, parameter: str, *, now: str, expected: str, value: str) -> None:
    """Set a parameter whose value is as expected, and see to it that it is set."""
    if not same(now, expected):
        reason = f"{parameter} is {shown(now)}, not {shown(expected)} as planned"
        raise ActionFailed(reason[:_LONGEST_SHOWN], transient=Transient.CONFLICT)
    await asked.set(parameter, value)
    try:
        after = await asked.get(parameter)
    except ActionFailed as lost:
        raise OutcomeUnknown(f"{parameter} was set; {lost.reason}") from lost
    if not same(after, value):
        raise OutcomeUnknown(f"{parameter} is {shown(after)} after it was set to {shown(value)}")


def _value(call: ActionCall) -> str:
    return str(call.arguments["value"])


def _storable(text: str) -> bool:
    """Say whether a text has no lone surrogate, which would become another text on its way."""
    return text.encode("utf-8", "replace").decode() == text


def _seen(name: str, text: str) -> ActionResult:
    summary = f"{name} is {shown(text)}"[:_LONGEST_SHOWN]
    return ActionResult(summary=summary, value=number(text), data={name: text[:_LONGEST_VALUE]})


def restore(call: ActionCall, result: ActionResult) -> Undo | None:
    """Set a parameter back to what it was when the change was planned."""
    previous = call.arguments.get("expected")
    if previous is None or same(previous, _value(call)):
        return None
    kept = {name: call.arguments[name] for name in ("server", "parameter")}
    return Undo(uses=f"{SET}@1", arguments={**kept, "value": previous, "expected": _value(call)})
