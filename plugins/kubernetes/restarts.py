"""Restarting a workload: its pods are replaced, as its own strategy allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC

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
)
from plugins.kubernetes import schemas
from plugins.kubernetes.changing import (
    EFFECT,
    TRANSIENT,
    Access,
    change,
    check_seen,
    check_uid,
    mark,
    no,
    rehearse,
    replaced,
    shown,
    unknown,
    yes,
)
from plugins.kubernetes.objects import diff, digest
from plugins.kubernetes.scope import Target

RESTARTED = "kubectl.kubernetes.io/restartedAt"


class Restarts:
    """Restarts workloads, as `kubectl rollout restart` does."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def all(self) -> Sequence[Action]:
        """Return the action for the registry."""
        return (
            Action(
                name="kubernetes.restart",
                version=1,
                summary="Replace the pods of a workload, as its strategy allows (rollout restart).",
                effect=Effect.MUTATE,
                risk=Risk.R2,
                idempotent=False,
                arguments=schemas.RESTART,
                handler=self.restart,
                dry_run=self.preview_restart,
                reconcile=self.find_restart,
                transient=TRANSIENT,
            ),
        )

    async def restart(self, call: ActionCall) -> ActionResult:
        """Restart a workload as `kubectl rollout restart` does, by an annotation of its pods.

        The pods are replaced by its own strategy; that they come up is for the
        step to verify. There is no undo: a new pod does not become the old one
        again. It is bound to the pod template that its dry run saw, and refused
        where a restart would do nothing (paused, or replaced on delete only).
        """
        target = self._target(call.arguments)
        async with self._access.talk(call) as talk:
            changed = await change(talk, target.path, lambda live: self._restarting(live, call))
        version = changed.after["metadata"].get("generation")
        return ActionResult(
            summary=f"{target.shown} restarts",
            data={"uid": _uid(changed.after), "generation": version},
        )

    async def preview_restart(self, call: ActionCall) -> DryRun:
        """Show the annotation, and how many pods are replaced."""
        target = self._target(call.arguments)
        async with self._access.talk(call) as talk:
            seen = await rehearse(talk, target.path, lambda live: self._restarting(live, call))
        live = seen.before
        before = _part(_annotations(live))
        added = {RESTARTED: "(the time of the restart)", EFFECT: "(the mark of this effect)"}
        after = _part({**_annotations(live), **added})
        return DryRun(
            diff=shown(target, diff(before, after), _replacement(live)),
            pinned={"uid": _uid(live), "seen": digest(live["spec"]["template"])},
            targets=(target.shown,),
        )

    async def find_restart(self, call: ActionCall) -> Reconciliation:
        """Look for the mark of this very restart among the annotations of the pods."""
        target = self._target(call.arguments)
        async with self._access.talk(call) as talk:
            live = await talk.get(target.path)
        if _annotations(live).get(EFFECT) == mark(call.key):
            return yes(f"{target.shown} bears the mark of this restart")
        seen = call.arguments.get("seen")
        if not replaced(live, call.arguments) and digest(live["spec"]["template"]) == seen:
            return no(f"{target.shown} is as it was before")
        return unknown(f"{target.shown} was changed by something else")

    def _restarting(self, live: Mapping[str, JSON], call: ActionCall) -> JSON:
        target = self._target(call.arguments)
        check_uid(live, call.arguments, target)
        check_seen(live["spec"]["template"], call.arguments, target)
        if live["spec"].get("paused"):
            raise ActionFailed(f"{target.shown} is paused, so a restart would do nothing")
        if live["spec"].get("updateStrategy", {}).get("type") == "OnDelete":
            raise ActionFailed(f"{target.shown} replaces pods only when they are deleted")
        now = self._access.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"spec": _part({RESTARTED: now, EFFECT: mark(call.key)})["spec"]}

    def _target(self, arguments: Arguments) -> Target:
        scope = self._access.scope
        return scope.object(arguments["kind"], arguments["namespace"], arguments["name"])


def _uid(live: Mapping[str, JSON]) -> str:
    return str(live["metadata"]["uid"])


def _annotations(live: Mapping[str, JSON]) -> Mapping[str, JSON]:
    return live["spec"]["template"].get("metadata", {}).get("annotations") or {}


def _part(annotations: Mapping[str, JSON]) -> dict[str, JSON]:
    return {"spec": {"template": {"metadata": {"annotations": dict(annotations)}}}}


def _replacement(live: Mapping[str, JSON]) -> str:
    """Say how many pods are replaced, and whether all at once."""
    spec, status = live["spec"], live.get("status") or {}
    pods = spec.get("replicas", status.get("desiredNumberScheduled", 0))
    at_once = (spec.get("strategy") or {}).get("type") == "Recreate"
    how = "all at once, as its strategy is Recreate" if at_once else "by its rolling update"
    return f"{pods} pods are replaced, {how}"
