"""`feature_flag.get@1` to look, `feature_flag.set@1` to change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from bot.domain.actions import (
    JSON,
    Action,
    ActionCall,
    ActionFailed,
    ActionResult,
    DryRun,
    Effect,
    Happened,
    Reconciliation,
    Risk,
    Transient,
    Undo,
)
from plugins.feature_flag.exchange import TRANSIENT, Left, change, look
from plugins.feature_flag.templates import FLAG, filled, state_at

SET = "feature_flag.set"

_FLAG: Mapping[str, JSON] = {"type": "string", "minLength": 1, "maxLength": 100}
_GET: Mapping[str, JSON] = {
    "type": "object",
    "properties": {"flag": _FLAG},
    "required": ["flag"],
    "additionalProperties": False,
}
_SET: Mapping[str, JSON] = {
    "type": "object",
    "properties": {
        "flag": _FLAG,
        "enabled": {"type": "boolean"},
        "expected": {"type": "boolean"},
    },
    "required": ["flag", "enabled"],
    "additionalProperties": False,
}


@dataclass(frozen=True, kw_only=True)
class Service:
    """A flag service: its addresses, its shape, and the flags that may be touched.

    `timeout` is in seconds. `headers` hold the credential.
    """

    url: str
    path: str
    pointer: str
    method: str
    write_path: str
    body: JSON
    flags: frozenset[str]
    timeout: float
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def address(self, template: str, flag: str) -> str:
        """Return the address of a listed flag.

        Raises:
            ActionFailed: it is not listed, or there is no service.
        """
        if flag not in self.flags:
            raise ActionFailed(f'flag "{flag}" is not in plugins.feature_flag.flags')
        if not self.url:
            raise ActionFailed("there is no flag service: set plugins.feature_flag.url")
        return self.url.rstrip("/") + template.replace(FLAG, quote(flag, safe=""))


class FlagActions:
    """The two actions on a service's listed flags."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def all(self) -> Sequence[Action]:
        """Return the actions for the registry."""
        return (
            Action(
                name="feature_flag.get",
                version=1,
                summary="Say whether a listed feature flag is on (1) or off (0).",
                effect=Effect.READ,
                risk=Risk.R0,
                idempotent=True,
                arguments=_GET,
                handler=self.get,
                transient=TRANSIENT,
            ),
            Action(
                name=SET,
                version=1,
                summary="Turn a listed feature flag on or off.",
                effect=Effect.MUTATE,
                risk=Risk.R2,
                idempotent=True,
                arguments=_SET,
                handler=self.set,
                dry_run=self.preview,
                reconcile=self.find,
                undo=restore,
                transient=TRANSIENT,
            ),
        )

    async def get(self, call: ActionCall) -> ActionResult:
        """Look whether a listed flag is on.

        The value is 1 for on and 0 for off. A flag that the service does not
        know is a failure and not off.
        """
        enabled, _ = await self._state(call, Left(call.timeout))
        return _result(call.arguments["flag"], enabled)

    async def preview(self, call: ActionCall) -> DryRun:
        """Bind the change to the state that the flag has now."""
        flag, wanted = call.arguments["flag"], call.arguments["enabled"]
        now, _ = await self._state(call, Left(call.timeout))
        diff = f"- {flag}: {_word(now)}\n+ {flag}: {_word(wanted)}"
        return DryRun(diff=diff, pinned={"expected": now}, targets=(f"flag {flag}",))

    async def set(self, call: ActionCall) -> ActionResult:
        """Turn a listed flag on or off, if it is still as the plan saw it.

        Where the service gives a strong ETag, it is asked to refuse the change if
        anybody changed the flag in between; where it gives none, a change in the
        moment between look and change is overwritten. A flag that is as wanted
        already is left alone. The undo sets it back to what the plan saw.
        """
        flag, wanted = call.arguments["flag"], call.arguments["enabled"]
        expected = call.arguments.get("expected")
        left = Left(call.timeout)
        now, etag = await self._state(call, left)
        if expected is None:
            raise ActionFailed("expected is missing: the plan was made without a dry run")
        if now not in (wanted, expected):
            reason = f"{flag} is {_word(now)}, not {_word(expected)} as planned"
            raise ActionFailed(reason, transient=Transient.CONFLICT)
        if now != wanted:
            await self._change(call, left, etag=etag)
        return _result(flag, wanted)

    async def find(self, call: ActionCall) -> Reconciliation:
        """Compare the flag's state with the wanted and the former one."""
        now, _ = await self._state(call, Left(call.timeout))
        happened = Happened.YES if now == call.arguments["enabled"] else Happened.NO
        return Reconciliation(happened=happened, detail=f"{call.arguments['flag']} is {_word(now)}")

    async def _state(self, call: ActionCall, left: Left) -> tuple[bool, str]:
        """Return whether the flag is on, and the ETag of that state."""
        service = self._service
        url = service.address(service.path, call.arguments["flag"])
        timeout = min(left.seconds, service.timeout)
        answer = await look(url, service.headers, timeout=timeout)
        return state_at(answer.json, service.pointer), answer.etag

    async def _change(self, call: ActionCall, left: Left, *, etag: str) -> None:
        service, flag = self._service, call.arguments["flag"]
        body = filled(service.body, flag=flag, enabled=call.arguments["enabled"])
        headers = {**service.headers, **({"If-Match": etag} if etag else {})}
        timeout = min(left.seconds, service.timeout)
        url = service.address(service.write_path, flag)
        await change(service.method, url, headers, body=body, timeout=timeout)


def _word(enabled: object) -> str:
    return "on" if enabled else "off"


def _result(flag: str, enabled: object) -> ActionResult:
    return ActionResult(
        summary=f"{flag} is {_word(enabled)}",
        value=1.0 if enabled else 0.0,
        data={"flag": flag, "enabled": bool(enabled)},
    )


def restore(call: ActionCall, result: ActionResult) -> Undo | None:
    """Set the flag back to what it was when the change was planned."""
    previous = call.arguments.get("expected")
    if previous is None or previous == call.arguments["enabled"]:
        return None
    arguments = {"flag": call.arguments["flag"], "enabled": previous}
    return Undo(uses=f"{SET}@1", arguments=arguments)
