"""Keeping new pods away from a node, and letting them come again."""

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
    Reconciliation,
    Risk,
    Undo,
)
from plugins.kubernetes import schemas
from plugins.kubernetes.changing import (
    EFFECT,
    MARKED,
    TRANSIENT,
    Access,
    change,
    check_uid,
    mark,
    no,
    rehearse,
    replaced,
    shown,
    unknown,
    yes,
)
from plugins.kubernetes.exchange import Conflict, Conversation
from plugins.kubernetes.objects import diff
from plugins.kubernetes.scope import Target


class Nodes:
    """Cordons and uncordons nodes; each takes the other back."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def all(self) -> Sequence[Action]:
        """Return the actions for the registry."""
        return (
            Action(
                name="kubernetes.cordon",
                version=1,
                summary="Keep new pods away from a node; those on it stay.",
                effect=Effect.MUTATE,
                risk=Risk.R1,
                idempotent=True,
                arguments=schemas.CORDON,
                handler=self.cordon,
                dry_run=lambda call: self._preview(call, closed=True),
                reconcile=lambda call: self._find(call, closed=True),
                undo=lambda call, result: _reverse(call, "kubernetes.uncordon@1", closed=True),
                transient=TRANSIENT,
            ),
            Action(
                name="kubernetes.uncordon",
                version=1,
                summary="Let new pods come to a node again.",
                effect=Effect.MUTATE,
                risk=Risk.R1,
                idempotent=True,
                arguments=schemas.CORDON,
                handler=self.uncordon,
                dry_run=lambda call: self._preview(call, closed=False),
                reconcile=lambda call: self._find(call, closed=False),
                undo=lambda call, result: _reverse(call, "kubernetes.cordon@1", closed=False),
                transient=TRANSIENT,
            ),
        )

    async def cordon(self, call: ActionCall) -> ActionResult:
        """Mark a node as unschedulable, so that no new pod is put on it.

        The pods that run there stay; nothing is drained. The undo uncordons it,
        unless it was cordoned before the plan was made: then it is somebody else's.
        """
        return await self._set(call, closed=True)

    async def uncordon(self, call: ActionCall) -> ActionResult:
        """Let a node take new pods again.

        Pods that were moved elsewhere do not come back by it. The undo cordons
        it again, unless it was open before the plan was made.
        """
        return await self._set(call, closed=False)

    async def _set(self, call: ActionCall, *, closed: bool) -> ActionResult:
        target = self._access.scope.node(call.arguments["node"])
        async with self._access.talk(call) as talk:
            changed = await change(
                talk, target.path, lambda live: _switching(live, call, target, closed=closed)
            )
        done = "takes no new pods" if closed else "takes new pods"
        data = {"uid": changed.after["metadata"]["uid"], "before": _closed(changed.before)}
        return ActionResult(summary=f"{target.shown} {done}", value=float(closed), data=data)

    async def _preview(self, call: ActionCall, *, closed: bool) -> DryRun:
        target = self._access.scope.node(call.arguments["node"])
        async with self._access.talk(call) as talk:
            seen = await rehearse(
                talk, target.path, lambda live: _switching(live, call, target, closed=closed)
            )
            nodes = await _number_of(talk, target)
        parts = ({"spec": {"unschedulable": _closed(one)}} for one in (seen.before, seen.after))
        return DryRun(
            diff=shown(target, diff(*parts), *([MARKED] if seen.before != seen.after else [])),
            pinned={"uid": seen.before["metadata"]["uid"], "expected": _closed(seen.before)},
            targets=(target.shown,),
            out_of=nodes,
        )

    async def _find(self, call: ActionCall, *, closed: bool) -> Reconciliation:
        target = self._access.scope.node(call.arguments["node"])
        async with self._access.talk(call) as talk:
            live = await talk.get(target.path)
        if replaced(live, call.arguments):
            return unknown(f"{target.shown} was replaced by another one of its name")
        now = "takes no new pods" if _closed(live) else "takes new pods"
        detail = f"{target.shown} {now}"
        if _closed(live) != closed:
            back = f"{detail}: it was switched, and somebody has switched it back"
            return yes(back) if _marked(live, call) else no(detail)
        if call.arguments.get("expected") == closed or _marked(live, call):
            return yes(detail)
        return unknown(f"{detail}, and it does not say by whose doing")


def _switching(live: Mapping[str, JSON], call: ActionCall, target: Target, *, closed: bool) -> JSON:
    check_uid(live, call.arguments, target)
    if _closed(live) != closed:
        # Open is what a node is that says nothing.
        spec = {"unschedulable": True if closed else None}
        return {"metadata": {"annotations": {EFFECT: mark(call.key)}}, "spec": spec}
    expected = call.arguments.get("expected")
    if expected is not None and expected != closed and not _marked(live, call):
        raise Conflict(f"{target.shown} was switched by somebody else since the plan was made")
    return None


def _reverse(call: ActionCall, uses: str, *, closed: bool) -> Undo | None:
    expected = call.arguments.get("expected")
    if expected is None or expected == closed:
        return None
    kept = {name: call.arguments[name] for name in ("node", "uid") if name in call.arguments}
    return Undo(uses=uses, arguments=kept)


def _marked(live: Mapping[str, JSON], call: ActionCall) -> bool:
    annotations = live["metadata"].get("annotations") or {}
    return bool(annotations.get(EFFECT) == mark(call.key))


def _closed(live: Mapping[str, JSON]) -> bool:
    return bool(live["spec"].get("unschedulable", False))


async def _number_of(talk: Conversation, target: Target) -> int | None:
    """Return how many nodes there are, without reading them; None where that is not said."""
    try:
        page = await talk.get(target.folder, {"limit": 1})
    except ActionFailed:
        return None  # our role may well not list nodes
    return len(page.get("items") or []) + int(page["metadata"].get("remainingItemCount") or 0)
