"""Back to a Deployment's former pods: the template that one of its ReplicaSets still keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
from plugins.kubernetes.exchange import Conflict, Conversation
from plugins.kubernetes.kinds import KINDS
from plugins.kubernetes.objects import between, diff, digest, owner, without_nulls
from plugins.kubernetes.scope import Target

REVISION = "deployment.kubernetes.io/revision"
_HASH = "pod-template-hash"  # the ReplicaSet's own label, which the Deployment must not get


@dataclass(frozen=True, kw_only=True)
class Former:
    """A former template of a Deployment."""

    revision: int
    template: Mapping[str, JSON]


class Rollbacks:
    """Rolls a Deployment back, as `kubectl rollout undo` does."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def all(self) -> Sequence[Action]:
        """Return the action for the registry."""
        return (
            Action(
                name="kubernetes.rollback",
                version=1,
                summary="Roll a Deployment back to its previous revision.",
                effect=Effect.MUTATE,
                risk=Risk.R2,
                idempotent=False,
                arguments=schemas.ROLLBACK,
                handler=self.rollback,
                dry_run=self.preview,
                reconcile=self.find,
                undo=_forward,
                transient=TRANSIENT,
            ),
        )

    async def rollback(self, call: ActionCall) -> ActionResult:
        """Give a Deployment the pod template of its previous revision, or of the one named.

        It is bound to both templates that its dry run saw. The pods are replaced
        by the Deployment's own strategy. The undo rolls forward to the revision
        it came from, unless somebody has deployed something else since. Data that
        the newer version has migrated stays migrated.
        """
        target = self._target(call)
        async with self._access.talk(call) as talk:
            former = await self._former(talk, target, call)
            changed = await change(
                talk, target.path, lambda live: _going_back(live, former, call, target)
            )
        return ActionResult(
            summary=f"{target.shown} goes back to revision {former.revision}",
            value=float(former.revision),
            data={"uid": changed.after["metadata"]["uid"], "revision": former.revision},
        )

    async def preview(self, call: ActionCall) -> DryRun:
        """Show what becomes different in the pods, and name both revisions."""
        target = self._target(call)
        async with self._access.talk(call) as talk:
            former = await self._former(talk, target, call)
            seen = await rehearse(
                talk, target.path, lambda live: _going_back(live, former, call, target)
            )
        live, now = seen.before, _revision(seen.before)
        before, after = (one["spec"]["template"] for one in (live, seen.after))
        return DryRun(
            diff=shown(
                target,
                diff(before, after),
                f"revision {now} goes, {former.revision} comes back",
                MARKED,
            ),
            pinned={
                "uid": live["metadata"]["uid"],
                "revision": former.revision,
                "current": now,
                "seen": _seen(live, former),
                "leaves": digest(seen.after["spec"]["template"]),
            },
            targets=(target.shown,),
        )

    async def find(self, call: ActionCall) -> Reconciliation:
        """Look for the mark of this very rollback among the Deployment's annotations."""
        target = self._target(call)
        async with self._access.talk(call) as talk:
            live = await talk.get(target.path)
            if (live["metadata"].get("annotations") or {}).get(EFFECT) == mark(call.key):
                return yes(f"{target.shown} bears the mark of this rollback")
            former = await self._former(talk, target, call)
        if not replaced(live, call.arguments) and _seen(live, former) == call.arguments.get("seen"):
            return no(f"{target.shown} is as it was before")
        return unknown(f"{target.shown} was changed by something else")

    async def _former(self, talk: Conversation, target: Target, call: ActionCall) -> Former:
        live = await talk.get(target.path)
        sets = await talk.items(
            Target(kind=KINDS["ReplicaSet"], namespace=target.namespace, name="").folder,
            _selector(live),
        )
        wanted = call.arguments.get("revision")
        known = sorted(_formers(live, sets), key=lambda one: one.revision)
        if wanted is not None:
            known = [one for one in known if one.revision == wanted]
        else:
            known = [one for one in known if one.revision < _revision(live)]
        if not known:
            named = "no previous revision" if wanted is None else f"no revision {wanted} any more"
            raise ActionFailed(f"{target.shown} has {named} to go back to")
        return known[-1]

    def _target(self, call: ActionCall) -> Target:
        arguments = call.arguments
        return self._access.scope.object("Deployment", arguments["namespace"], arguments["name"])


def _going_back(live: Mapping[str, JSON], former: Former, call: ActionCall, target: Target) -> JSON:
    check_uid(live, call.arguments, target)
    left = call.arguments.get("left")  # what the effect that is taken back has left
    if left is not None and digest(live["spec"]["template"]) != left:
        raise Conflict(f"{target.shown} was changed by somebody else since it was rolled back")
    if call.arguments.get("seen") is not None:
        check_seen([live["spec"]["template"], former.template], call.arguments, target)
    if live["spec"].get("paused"):
        raise ActionFailed(f"{target.shown} is paused, so a rollback would do nothing")
    patch = between(without_nulls(live["spec"]["template"]), former.template)
    if not patch:
        raise ActionFailed(f"{target.shown} is at revision {former.revision} already")
    return {
        "metadata": {"annotations": {EFFECT: mark(call.key)}},
        "spec": {"template": patch},
    }


def _forward(call: ActionCall, result: ActionResult) -> Undo | None:
    current = call.arguments.get("current")
    if current is None:
        return None
    kept = {name: call.arguments[name] for name in ("namespace", "name")}
    if "leaves" in call.arguments:
        kept["left"] = call.arguments["leaves"]
    return Undo(uses="kubernetes.rollback@1", arguments={**kept, "revision": current})


def _formers(live: Mapping[str, JSON], sets: Sequence[JSON]) -> Sequence[Former]:
    """Return the templates of the ReplicaSets that are the Deployment's own."""
    own = [one for one in sets if owner(one).get("uid") == live["metadata"]["uid"]]
    return [
        Former(revision=number, template=_template(one))
        for one in own
        if (number := _revision(one))
    ]


def _template(replica_set: Mapping[str, JSON]) -> Mapping[str, JSON]:
    template = without_nulls(replica_set["spec"]["template"])
    labels = {k: v for k, v in template["metadata"].get("labels", {}).items() if k != _HASH}
    return {**template, "metadata": {**template["metadata"], "labels": labels}}


def _seen(live: Mapping[str, JSON], former: Former) -> str:
    return digest([live["spec"]["template"], former.template])


def _revision(thing: Mapping[str, JSON]) -> int:
    text = (thing["metadata"].get("annotations") or {}).get(REVISION, "")
    return int(text) if text.isdecimal() else 0


def _selector(live: Mapping[str, JSON]) -> dict[str, str | int]:
    labels = live["spec"]["selector"].get("matchLabels") or {}
    chosen = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    return {"labelSelector": chosen} if chosen else {}
