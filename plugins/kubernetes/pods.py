"""Deleting one pod, so that its controller makes a new one."""

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
)
from plugins.kubernetes import schemas
from plugins.kubernetes.changing import TRANSIENT, Access, check_uid, no, replaced, unknown, yes
from plugins.kubernetes.exchange import Conflict, Conversation, Missing
from plugins.kubernetes.kinds import KINDS
from plugins.kubernetes.objects import owner
from plugins.kubernetes.scope import Target


class Pods:
    """Deletes pods that something makes anew."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def all(self) -> Sequence[Action]:
        """Return the action for the registry."""
        return (
            Action(
                name="kubernetes.delete_pod",
                version=1,
                summary="Delete a pod, so that its controller makes a new one.",
                effect=Effect.MUTATE,
                risk=Risk.R1,
                idempotent=False,
                arguments=schemas.DELETE_POD,
                handler=self.delete,
                dry_run=self.preview,
                reconcile=self.find,
                transient=TRANSIENT,
            ),
        )

    async def delete(self, call: ActionCall) -> ActionResult:
        """Delete the very pod that the dry run saw, with its usual time to end.

        A pod that no controller owns is refused: nothing would make it anew.
        There is no undo; the new pod is what takes its place. A disruption
        budget does not count for a deletion, so the plan names the siblings.
        """
        target = self._target(call)
        async with self._access.talk(call) as talk:
            live = await self._deletable(talk, target, call)
            try:
                await talk.delete(target.path, uid=_uid(live))
            except Missing:
                raise Conflict(f"{target.shown} is gone already") from None
        data = {"uid": _uid(live), "owner": owner(live)["name"]}
        return ActionResult(summary=f"{target.shown} is being deleted", data=data)

    async def preview(self, call: ActionCall) -> DryRun:
        """Name the pod, where it runs, and who makes a new one."""
        target = self._target(call)
        async with self._access.talk(call) as talk:
            live = await self._deletable(talk, target, call)
            await talk.rehearse_delete(target.path, uid=_uid(live))
            siblings = await _siblings(talk, target, owner(live))
        phase, node = (
            live.get("status", {}).get("phase", "?"),
            live["spec"].get("nodeName", "no node"),
        )
        lines = f"- {target.shown} ({phase} on {node}, uid {_uid(live)})"
        return DryRun(
            diff=f"{lines}\n+ a new pod, made by {owner(live)['kind']} {owner(live)['name']}",
            pinned={"uid": _uid(live)},
            targets=(target.shown,),
            out_of=siblings,
        )

    async def find(self, call: ActionCall) -> Reconciliation:
        """Look whether the pod that was seen is still there."""
        target = self._target(call)
        async with self._access.talk(call) as talk:
            try:
                live = await talk.get(target.path)
            except Missing:
                return yes(f"{target.shown} is gone")
        if call.arguments.get("uid") is None:
            return unknown(f"{target.shown} is there, and which one was meant is not known")
        if replaced(live, call.arguments):
            return yes(f"{target.shown} is another pod by now")
        if live["metadata"].get("deletionTimestamp"):
            return yes(f"{target.shown} is being deleted")
        return no(f"{target.shown} is still there")

    async def _deletable(
        self, talk: Conversation, target: Target, call: ActionCall
    ) -> Mapping[str, JSON]:
        try:
            live: Mapping[str, JSON] = await talk.get(target.path)
        except Missing:
            if call.arguments.get("uid") is None:
                raise
            raise Conflict(f"{target.shown} is gone already") from None
        check_uid(live, call.arguments, target)
        if owner(live).get("kind", "Node") == "Node":  # a static pod is the node's own
            raise ActionFailed(f"{target.shown} has no controller that would make it anew")
        if live["metadata"].get("deletionTimestamp"):
            raise Conflict(f"{target.shown} is being deleted already")
        return live

    def _target(self, call: ActionCall) -> Target:
        arguments = call.arguments
        return self._access.scope.object("Pod", arguments["namespace"], arguments["name"])


def _uid(live: Mapping[str, JSON]) -> str:
    return str(live["metadata"]["uid"])


async def _siblings(
    talk: Conversation, target: Target, controller: Mapping[str, JSON]
) -> int | None:
    """Return how many pods the controller wants; None where it does not say or may not be read."""
    kind = KINDS.get(controller["kind"])
    if kind is None or not kind.namespaced:
        return None
    path = Target(kind=kind, namespace=target.namespace, name=controller["name"]).path
    try:
        wanted = (await talk.get(path))["spec"].get("replicas")
    except ActionFailed:
        return None
    return max(int(wanted), 1) if wanted is not None else None
