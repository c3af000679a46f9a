"""`http.get@1` to look, `http.request@1` to change: the same way out for both."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bot.domain.actions import (
    JSON,
    Action,
    ActionCall,
    ActionFailed,
    ActionResult,
    Arguments,
    DryRun,
    Effect,
    OutcomeUnknown,
    Risk,
    Transient,
)
from bot.domain.pointers import found
from plugins.http.addresses import Resolve, checked_address, resolve
from plugins.http.exchange import Answer, Exchange, NoAnswer, check_headers, send
from plugins.http.targets import Origin, Target, allowed

_SHOWN_BODY = 2_000
_HIDDEN = "(hidden)"
_SAFE = frozenset({"GET", "HEAD"})  # RFC 9110, section 9.2.1: they change nothing
# Request Timeout (RFC 9110) and a proxy's own word for a client that is gone: what was sent
# may be at work all the same.
_LATE_STATUS = frozenset({408, 499})

_TRANSIENT = frozenset(
    {Transient.UNREACHABLE, Transient.TIMEOUT, Transient.RATE_LIMITED, Transient.UNAVAILABLE}
)
_BY_STATUS = {
    409: Transient.CONFLICT,
    412: Transient.CONFLICT,
    429: Transient.RATE_LIMITED,
    502: Transient.UNAVAILABLE,
    503: Transient.UNAVAILABLE,
    504: Transient.TIMEOUT,
}

_HEADERS: Mapping[str, JSON] = {
    "type": "object",
    "maxProperties": 20,
    "propertyNames": {"maxLength": 100},
    "additionalProperties": {"type": "string", "maxLength": 1000},
}
_URL: Mapping[str, JSON] = {"type": "string", "minLength": 1, "maxLength": 2000}
_CREDENTIAL: Mapping[str, JSON] = {"type": "string", "minLength": 1, "maxLength": 100}
_GET: Mapping[str, JSON] = {
    "type": "object",
    "properties": {
        "url": _URL,
        "headers": _HEADERS,
        "credential": _CREDENTIAL,
        "pointer": {"type": "string", "pattern": "^(/.*)?$", "maxLength": 300},
    },
    "required": ["url"],
    "additionalProperties": False,
}
_REQUEST: Mapping[str, JSON] = {
    "type": "object",
    "properties": {
        "method": {"enum": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]},
        "url": _URL,
        "headers": _HEADERS,
        "credential": _CREDENTIAL,
        "json": {},
        "body": {"type": "string", "maxLength": 65536},
        "expect": {
            "type": "array",
            "minItems": 1,
            "maxItems": 20,
            "items": {"type": "integer", "minimum": 200, "maximum": 499},
        },
    },
    "required": ["method", "url"],
    "not": {"required": ["json", "body"]},
    "additionalProperties": False,
}


@dataclass(frozen=True, kw_only=True)
class Secret:
    """A credential: the header it travels in, its value, and the hosts that may see it."""

    header: str
    value: str = field(repr=False)
    hosts: frozenset[Origin] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What requests may do. `timeout` is in seconds, `largest` in bytes of the answer."""

    hosts: frozenset[Origin] = frozenset()
    private: frozenset[Origin] = frozenset()
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    timeout: float = 10.0
    largest: int = 65_536


class HttpActions:
    """The two actions, within their limits."""

    def __init__(self, limits: Limits, resolve: Resolve = resolve) -> None:
        self._limits = limits
        self._resolve = resolve

    def all(self) -> Sequence[Action]:
        """Return the actions for the registry."""
        return (
            Action(
                name="http.get",
                version=1,
                summary="GET a URL of a listed host: its status, or a number in its JSON.",
                effect=Effect.READ,
                risk=Risk.R0,
                idempotent=True,
                arguments=_GET,
                handler=self.get,
                transient=_TRANSIENT | {Transient.CONFLICT},
            ),
            Action(
                name="http.request",
                version=1,
                summary="Send a request to a listed host.",
                effect=Effect.MUTATE,
                risk=Risk.R2,
                idempotent=False,
                arguments=_REQUEST,
                handler=self.request,
                dry_run=self.preview,
                transient=_TRANSIENT | {Transient.CONFLICT},
            ),
        )

    async def get(self, call: ActionCall) -> ActionResult:
        """Look at a URL of a listed host.

        The value is the number at `pointer` (a JSON Pointer; true is 1), or else
        the status. Redirects are not followed, and a credential goes by its name
        from the settings. With a pointer any other status than 200 is a failure.
        """
        target, answer = await self._look("GET", call, b"")
        pointer = call.arguments.get("pointer")
        if pointer is None:
            return self._result(target, answer, value=float(answer.status))
        if answer.status != 200:
            raise _refused(target, answer)
        number = number_at(answer.json, pointer)
        return self._result(target, answer, value=number)

    async def preview(self, call: ActionCall) -> DryRun:
        """Show what would be sent, and refuse beforehand what would be refused then."""
        arguments = call.arguments
        target, _ = self._prepare(arguments)
        lines = [f"{arguments['method']} {target.shown}"]
        if "?" in target.path:
            lines.append("with a query (see the arguments)")
        if credential := arguments.get("credential"):
            lines.append(f"with the credential {credential}")
        lines += [f"{name}: {value}" for name, value in arguments.get("headers", {}).items()]
        if body := _content(arguments):
            lines += ["", body.decode()]
        return DryRun(diff="\n".join(lines), targets=(target.shown,))

    async def request(self, call: ActionCall) -> ActionResult:
        """Send a request to a listed host.

        A refusal by the other side (4xx, such as too many requests) has changed
        nothing there; an error of it (5xx), its impatience (408, 499) or a
        redirect leaves open what happened, unless the method only reads. There is
        no undo: what takes a request back is another request.
        """
        method = call.arguments["method"]
        send_ = self._look if method in _SAFE else self._exchange
        target, answer = await send_(method, call, _content(call.arguments))
        expected = call.arguments.get("expect", range(200, 300))
        if answer.status in expected:
            return self._result(target, answer, value=float(answer.status))
        refused = _refused(target, answer)
        clear = 400 <= answer.status < 500 and answer.status not in _LATE_STATUS
        if clear or method in _SAFE:
            raise refused
        raise OutcomeUnknown(refused.reason)

    async def _look(self, method: str, call: ActionCall, content: bytes) -> tuple[Target, Answer]:
        """Send a request that only reads: where no answer comes, nothing has happened."""
        try:
            return await self._exchange(method, call, content)
        except NoAnswer as late:
            raise ActionFailed(str(late), transient=Transient.TIMEOUT) from late
        except OutcomeUnknown as broken:
            raise ActionFailed(str(broken), transient=Transient.UNREACHABLE) from broken

    async def _exchange(
        self, method: str, call: ActionCall, content: bytes
    ) -> tuple[Target, Answer]:
        target, headers = self._prepare(call.arguments)
        if content and "json" in call.arguments:
            headers.setdefault("Content-Type", "application/json")
        origin = target.origin
        private = origin in self._limits.private
        address = await checked_address(
            origin.host, origin.port, private=private, resolve=self._resolve
        )
        exchange = Exchange(
            method=method,
            target=target,
            address=address,
            headers=headers,
            content=content,
            timeout=min(call.timeout, self._limits.timeout),
            largest=self._limits.largest,
        )
        return target, await send(exchange)

    def _prepare(self, arguments: Arguments) -> tuple[Target, dict[str, str]]:
        """Check everything that can be checked without the network."""
        target = allowed(arguments["url"], self._limits.hosts)
        headers = dict(arguments.get("headers", {}))
        reserved = frozenset(secret.header.lower() for secret in self._limits.secrets.values())
        check_headers(headers, reserved)
        name = arguments.get("credential")
        if name is None:
            return target, headers
        secret = self._limits.secrets.get(name)
        if secret is None or target.origin not in secret.hosts:
            raise ActionFailed(f"there is no credential {name} for {target.origin.shown}")
        return target, {**headers, secret.header: secret.value}

    def _result(self, target: Target, answer: Answer, *, value: float | None) -> ActionResult:
        text = answer.content.decode("utf-8", "replace")
        for secret in self._limits.secrets.values():
            # "Bearer x" may come back whole or as x alone.
            for part in (secret.value, *secret.value.split()[-1:]):
                text = text.replace(part, _HIDDEN)
        number = f", value {value:g}" if value is not None and value != answer.status else ""
        return ActionResult(
            summary=f"{target.shown} answered {answer.status}{number}",
            value=value,
            data={"status": answer.status, "body": text[:_SHOWN_BODY], "cut": answer.cut},
        )


def _refused(target: Target, answer: Answer) -> ActionFailed:
    """Say that an answer is not the wanted one, and whether a later one may be."""
    wait = answer.retry_after
    when = f", and asks to be tried again in {wait:g} s" if wait is not None else ""
    reason = f"{target.shown} answered {answer.status}{when}"
    return ActionFailed(reason, transient=_BY_STATUS.get(answer.status))


def _content(arguments: Arguments) -> bytes:
    if "json" in arguments:
        return json.dumps(arguments["json"], ensure_ascii=False).encode("utf-8", "replace")
    return str(arguments.get("body", "")).encode("utf-8", "replace")


def number_at(document: JSON, pointer: str) -> float:
    """Return the number a JSON Pointer (RFC 6901) leads to; true is 1 and false 0.

    Raises:
        ActionFailed: there is none.
    """
    there, value = found(document, pointer)
    if not there:
        raise ActionFailed(f"the answer has nothing at {pointer}")
    if not isinstance(value, int | float):
        raise ActionFailed(f"what the answer has at {pointer} is not a number")
    return float(value)
