"""Setting the number of replicas of a workload, and setting it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bot.domain.actions import (
    JSON,
    Action,
    ActionCall,
    ActionFailed,
    ActionResult,
    Arguments,
    DryRun,
    Effect,
    Reconciliation,
    Risk,
    Undo,
)
from plugins.kubernetes import schemas
from plugins.kubernetes.changing import (
    TRANSIENT,
    Access,
    change,
    check_uid,
    no,
    rehearse,
    replaced,
    shown,
    unknown,
    yes,
)
from plugins.kubernetes.exchange import Conflict, Conversation
from plugins.kubernetes.kinds import KINDS
from plugins.kubernetes.objects import diff
from plugins.kubernetes.scope import Target


class Scaling:
    """Scales workloads. Replicas stay between `least` and `most`."""

    def __init__(self, access: Access, *, least: int, most: int) -> None:
        self._access = access
        self._least = least
        self._most = most

    def all(self) -> Sequence[Action]:
        """Return the action for the registry."""
        return (
            Action(
                name="kubernetes.scale",
                version=1,
                summary="Set the number of replicas of a workload.",
                effect=Effect.MUTATE,
                risk=Risk.R2,
                idempotent=True,
                arguments=schemas.SCALE,
                handler=self.scale,
                dry_run=self.preview_scale,
                reconcile=self.find_scale,
                undo=_unscaled,
                transient=TRANSIENT,
            ),
        )

    async def scale(self, call: ActionCall) -> ActionResult:
        """Set the number of replicas, through the scale subresource.

        It is bound to the number its dry run saw: where another number is there
        by now, nothing is done, unless it is the wanted one already. The undo
        sets the old number, and refuses where somebody has set a third one. A
        HorizontalPodAutoscaler of the workload sets its own number again soon.
        """
        target, wanted = self._target(call.arguments), self._wanted(call.arguments)
        async with self._access.talk(call) as talk:
            changed = await change(
                talk, f"{target.path}/scale", lambda live: _scaling(live, call, target)
            )
        before = _replicas(changed.before)
        return ActionResult(
            summary=f"{target.shown} is scaled from {before} to {wanted}",
            value=float(wanted),
            data={"uid": _uid(changed.after), "before": before, "replicas": wanted},
        )

    async def preview_scale(self, call: ActionCall) -> DryRun:
        """Show the number of replicas before and after."""
        target, wanted = self._target(call.arguments), self._wanted(call.arguments)
        async with self._access.talk(call) as talk:
            seen = await rehearse(
                talk, f"{target.path}/scale", lambda live: _scaling(live, call, target)
            )
            scalers = await _scalers(talk, target)
        before, after = _replicas(seen.before), _replicas(seen.after)
        lines = diff({"spec": {"replicas": before}}, {"spec": {"replicas": after}})
        notes = ("no pod is left: the workload is off",) if wanted == 0 else scalers
        return DryRun(
            diff=shown(target, lines, *notes),
            pinned={
                "uid": _uid(seen.before),
                "expected": call.arguments.get("expected", before),  # an undo's own stays
            },
            targets=(target.shown,),
        )

    async def find_scale(self, call: ActionCall) -> Reconciliation:
        """Look at the number of replicas: the wanted one, the old one, or a third."""
        target = self._target(call.arguments)
        async with self._access.talk(call) as talk:
            live = await talk.get(f"{target.path}/scale")
        number = _replicas(live)
        detail = f"{target.shown} is set to {number} replicas"
        if replaced(live, call.arguments):
            return unknown(f"{target.shown} was replaced by another one of its name")
        if number == call.arguments["replicas"]:
            return yes(detail)
        return no(detail) if number == call.arguments.get("expected") else unknown(detail)

    def _target(self, arguments: Arguments) -> Target:
        scope = self._access.scope
        return scope.object(arguments["kind"], arguments["namespace"], arguments["name"])

    def _wanted(self, arguments: Arguments) -> int:
        wanted = int(arguments["replicas"])
        if not self._least <= wanted <= self._most:
            allowed = f"{self._least} to {self._most}"
            raise ActionFailed(f"{wanted} replicas: plugins.kubernetes allows {allowed}")
        return wanted


def _scaling(live: Mapping[str, JSON], call: ActionCall, target: Target) -> JSON:
    check_uid(live, call.arguments, target)
    wanted, number = call.arguments["replicas"], _replicas(live)
    if number == wanted:
        return None
    expected = call.arguments.get("expected")
    if expected is not None and number != expected:
        raise Conflict(f"{target.shown} has {number} replicas by now, not {expected}")
    return {"spec": {"replicas": wanted}}


def _unscaled(call: ActionCall, result: ActionResult) -> Undo | None:
    expected = call.arguments.get("expected")
    if expected is None or expected == call.arguments["replicas"]:
        return None
    kept = {name: call.arguments[name] for name in ("kind", "namespace", "name")}
    wanted = call.arguments["replicas"]
    return Undo(
        uses="kubernetes.scale@1", arguments={**kept, "replicas": expected, "expected": wanted}
    )


def _replicas(scale: Mapping[str, JSON]) -> int:
    return int(scale.get("spec", {}).get("replicas", 0))  # zero is left out


def _uid(live: Mapping[str, JSON]) -> str:
    return str(live["metadata"]["uid"])


async def _scalers(talk: Conversation, target: Target) -> tuple[str, ...]:
    """Name the autoscalers that set the number too; none where our role may not list them."""
    folder = Target(
        kind=KINDS["HorizontalPodAutoscaler"], namespace=target.namespace, name=""
    ).folder
    try:
        found = await talk.items(folder)
    except ActionFailed:
        return ()
    about = {"kind": target.kind.name, "name": target.name}
    return tuple(
        f"HorizontalPodAutoscaler {one['metadata']['name']} sets its own number again, "
        f"{one['spec'].get('minReplicas', 1)} to {one['spec']['maxReplicas']}"
        for one in found
        if about.items() <= one["spec"]["scaleTargetRef"].items()
    )
