"""Looking at a cluster: a field, events, logs, what a pod uses, how far a rollout is."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from bot.domain.actions import (
    JSON,
    Action,
    ActionCall,
    ActionFailed,
    ActionResult,
    Effect,
    Output,
    Risk,
)
from bot.domain.pointers import found
from plugins.kubernetes import schemas
from plugins.kubernetes.changing import TRANSIENT, Access
from plugins.kubernetes.objects import quantity
from plugins.kubernetes.rollouts import rollout, stale
from plugins.kubernetes.schemas import Schema

_HOUR = 3600
_LINES = 200
_LOG_BYTES = 1_000_000
_LONGEST_LINE = 1_000
_MOST_EVENTS = 100  # that are printed; all of them are counted

# Where the API leaves out a zero or a false, which is not the same as having no such field.
_LEFT_OUT = frozenset(
    {
        *(f"/status/{name}eplicas" for name in ("r", "readyR", "availableR", "unavailableR")),
        *(f"/status/{name}Replicas" for name in ("updated", "current", "fullyLabeled")),
        *(f"/status/number{name}" for name in ("Ready", "Available", "Unavailable")),
        *(
            f"/status/{name}"
            for name in ("updatedNumberScheduled", "active", "succeeded", "failed")
        ),
        *(f"/spec/{name}" for name in ("unschedulable", "paused", "suspend", "minReadySeconds")),
    }
)
# Below these names stand quantities, which are numbers written as text.
_QUANTITIES = frozenset({"capacity", "allocatable", "limits", "requests", "hard", "used"})

Handler = Callable[[ActionCall], Awaitable[ActionResult]]


class Looking:
    """The actions that only read."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def all(self) -> Sequence[Action]:
        """Return the actions for the registry."""
        return (
            _reading("get", "Read one number of an object.", schemas.GET, self.get),
            _reading("events", "Count the warnings of a namespace.", schemas.EVENTS, self.events),
            _reading("logs", "Read the last lines of a pod's log.", schemas.LOGS, self.logs),
            _reading("top", "Ask how much a pod uses.", schemas.TOP, self.top),
            _reading(
                "rollout", "Ask whether a rollout is complete.", schemas.ROLLOUT, self.rollout
            ),
        )

    async def get(self, call: ActionCall) -> ActionResult:
        """Read the number, or true (1) or false (0), to which a JSON Pointer leads.

        Text is never read. A count that is zero, which the API leaves out, is
        zero. There is no value as long as the controller has not seen the
        object's last change: the old status would look healthy. A quantity
        (`512Mi`) below limits, requests, capacity, hard or used is a number too.
        """
        arguments = call.arguments
        target = self._access.scope.object(
            arguments["kind"], arguments.get("namespace"), arguments["name"]
        )
        async with self._access.talk(call) as talk:
            live = await talk.get(target.path)
        pointer = arguments["pointer"]
        if pointer.startswith("/status") and stale({**live, "kind": target.kind.name}):
            return ActionResult(
                summary=f"the status of {target.shown} is older than its last change"
            )
        value = _number(live, pointer)
        return ActionResult(summary=f"{target.shown} has {value:g} at {pointer}", value=value)

    async def events(self, call: ActionCall) -> ActionResult:
        """Print the newest events of a namespace, or of one object in it, and count the warnings.

        `since` is in seconds, an hour unless given. Kubernetes keeps events for
        an hour only, and counts repeated ones in one.
        """
        namespace, name = call.arguments["namespace"], call.arguments.get("name")
        self._access.scope.check_namespace(namespace)
        query: dict[str, str | int] = {}
        if name is not None:
            named = self._access.scope.object("Pod", namespace, name).name  # checked as a name
            query["fieldSelector"] = f"involvedObject.name={named}"
        async with self._access.talk(call) as talk:
            events = await talk.items(f"api/v1/namespaces/{namespace}/events", query)
        since = self._access.now() - timedelta(seconds=call.arguments.get("since", _HOUR))
        recent = sorted((e for e in events if _seen(e) >= since), key=_seen)
        for event in recent[-_MOST_EVENTS:]:
            call.report(Output(line=_told(event)))
        warnings = sum(event.get("type") == "Warning" for event in recent)
        where = f"{namespace}/{name}" if name else f"namespace {namespace}"
        return ActionResult(
            summary=f"{warnings} warnings among {len(recent)} events of {where}",
            value=float(warnings),
            data={"warnings": warnings, "events": len(recent)},
        )

    async def logs(self, call: ActionCall) -> ActionResult:
        """Print the last lines of a pod's log, and count them.

        `lines` are 200 unless given. With `contains` only lines with that text
        are printed and counted. `previous` asks for the container that ended
        last. Nothing of a log is kept in the result.
        """
        arguments = call.arguments
        target = self._access.scope.object("Pod", arguments["namespace"], arguments["name"])
        query: dict[str, str | int] = {
            "tailLines": arguments.get("lines", _LINES),
            "limitBytes": _LOG_BYTES,
        }
        if "container" in arguments:
            query["container"] = arguments["container"]
        if arguments.get("previous"):
            query["previous"] = "true"
        async with self._access.talk(call) as talk:
            text = await talk.text(f"{target.path}/log", query)
        lines = [line for line in text.split("\n") if line]
        wanted = [line for line in lines if arguments.get("contains", "") in line]
        for line in wanted:
            call.report(Output(line=_printable(line)))
        return ActionResult(
            summary=f"{len(wanted)} of the last {len(lines)} lines of {target.shown}",
            value=float(len(wanted)),
            data={"lines": len(lines), "matching": len(wanted)},
        )

    async def top(self, call: ActionCall) -> ActionResult:
        """Read how much a pod uses, all its containers together: cores, or bytes of memory.

        It needs the metrics server, whose numbers are up to a minute old.
        """
        arguments = call.arguments
        target = self._access.scope.object("Pod", arguments["namespace"], arguments["name"])
        path = f"apis/metrics.k8s.io/v1beta1/namespaces/{target.namespace}/pods/{target.name}"
        async with self._access.talk(call) as talk:
            metrics = await talk.get(path)
        resource = arguments["resource"]
        used = [_used(one, resource) for one in metrics.get("containers") or ()]
        if not used:
            raise ActionFailed(f"nothing was measured of {target.shown}")
        value = float(sum(used, Decimal()))
        unit = "cores" if resource == "cpu" else "bytes of memory"
        return ActionResult(summary=f"{target.shown} uses {value:g} {unit}", value=value)

    async def rollout(self, call: ActionCall) -> ActionResult:
        """Say whether a rollout is complete (1) or not (0), as `kubectl rollout status` would.

        To be used where a step restarts, rolls back or scales: it also waits
        until the controller has seen the change, and until no old pod is left.
        """
        arguments = call.arguments
        target = self._access.scope.object(
            arguments["kind"], arguments["namespace"], arguments["name"]
        )
        async with self._access.talk(call) as talk:
            live = await talk.get(target.path)
        state = rollout(target.kind.name, {**live, "kind": target.kind.name})
        call.report(Output(line=f"{target.shown}: {state.detail}", progress=state.part))
        return ActionResult(summary=f"{target.shown}: {state.detail}", value=float(state.done))


def _reading(name: str, summary: str, arguments: Schema, handler: Handler) -> Action:
    return Action(
        name=f"kubernetes.{name}",
        version=1,
        summary=summary,
        effect=Effect.READ,
        risk=Risk.R0,
        idempotent=True,
        arguments=arguments,
        handler=handler,
        transient=TRANSIENT,
    )


def _number(live: Mapping[str, JSON], pointer: str) -> float:
    there, value = found(live, pointer)
    if not there and pointer in _LEFT_OUT:
        return 0.0
    if not there:
        raise ActionFailed(f"there is nothing at {pointer}")
    if isinstance(value, str) and pointer.split("/")[-2] in _QUANTITIES:
        number = quantity(value)
        value = None if number is None else float(number)
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise ActionFailed(f"what is at {pointer} is not a number")
    return float(value)


def _used(container: Mapping[str, JSON], resource: str) -> Decimal:
    used = quantity(str(container.get("usage", {}).get(resource, "")))
    if used is None:
        raise ActionFailed("what was measured cannot be understood")
    return used


def _seen(event: Mapping[str, JSON]) -> datetime:
    """Return when an event was last seen; its three forms keep that in three places."""
    series = event.get("series") or {}
    for text in (
        series.get("lastObservedTime"),
        event.get("lastTimestamp"),
        event.get("eventTime"),
        event["metadata"].get("creationTimestamp"),
    ):
        if text:
            moment = datetime.fromisoformat(text)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return datetime.min.replace(tzinfo=UTC)


def _told(event: Mapping[str, JSON]) -> str:
    about = event.get("involvedObject") or {}
    count = (event.get("series") or {}).get("count") or event.get("count") or 1
    often = f" (x{count})" if count > 1 else ""
    what = f"{about.get('kind', '?')} {about.get('name', '?')}"
    return _printable(
        f"{_seen(event):%H:%M:%S} {event.get('type', '?')} {event.get('reason', '?')} "
        f"{what}: {event.get('message', '')}{often}"
    )


def _printable(line: str) -> str:
    """Return one short line: what a program prints may be anything."""
    shown = "".join(letter if letter.isprintable() else " " for letter in line)
    return shown[:_LONGEST_LINE]
