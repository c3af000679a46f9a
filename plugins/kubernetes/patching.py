"""Changing any field of a listed kind, with a merge patch from the page."""

from __future__ import annotations

import json
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
from bot.domain.redaction import Redactor
from plugins.kubernetes import schemas
from plugins.kubernetes.changing import (
    TRANSIENT,
    Access,
    change,
    check_seen,
    check_uid,
    no,
    rehearse,
    replaced,
    shown,
    unknown,
    yes,
)
from plugins.kubernetes.exchange import Conflict
from plugins.kubernetes.objects import contains, diff, digest, reverse, secrets_in, touched
from plugins.kubernetes.scope import Target

_REDACTED = Redactor()
_LARGEST = 16_384  # bytes of a patch or its reverse: both stand in the plan


class Patches:
    """Patches objects of listed kinds."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def all(self) -> Sequence[Action]:
        """Return the action for the registry."""
        return (
            Action(
                name="kubernetes.patch",
                version=1,
                summary="Change fields of an object of a listed kind (merge patch).",
                effect=Effect.MUTATE,
                risk=Risk.R3,
                idempotent=False,
                arguments=schemas.PATCHING,
                handler=self.patch,
                dry_run=self.preview,
                reconcile=self.find,
                undo=_unpatched,
                transient=TRANSIENT,
            ),
        )

    async def patch(self, call: ActionCall) -> ActionResult:
        """Apply a merge patch (RFC 7386): what it names is set, null removes, lists are replaced.

        It may touch `spec`, `data`, labels and annotations. It is bound to what
        its dry run saw in the very places that it changes. The undo is the
        reverse patch, and refuses where somebody has changed them since. Where
        it would touch what looks like a secret it is refused: a plan is kept.
        """
        target = self._target(call)
        async with self._access.talk(call) as talk:
            changed = await change(talk, target.path, lambda live: _patching(live, call, target))
        metadata = changed.after["metadata"]
        data = {"uid": metadata["uid"], "resource_version": metadata["resourceVersion"]}
        return ActionResult(summary=f"{target.shown} is patched", data=data)

    async def preview(self, call: ActionCall) -> DryRun:
        """Show the part that changes, as the server would write it."""
        target, patch = self._target(call), call.arguments["patch"]
        async with self._access.talk(call) as talk:
            seen = await rehearse(talk, target.path, lambda live: _patching(live, call, target))
        before = reverse(seen.before, patch)
        parts = (touched(one, patch) for one in (seen.before, seen.after))
        return DryRun(
            diff=shown(target, diff(*parts)),
            pinned={
                "uid": seen.before["metadata"]["uid"],
                "seen": digest(before),
                "before": before,
            },
            targets=(target.shown,),
        )

    async def find(self, call: ActionCall) -> Reconciliation:
        """Look at the places that the patch changes: as before, as wanted, or neither."""
        target, patch = self._target(call), call.arguments["patch"]
        async with self._access.talk(call) as talk:
            live = await talk.get(target.path)
        if replaced(live, call.arguments):
            return unknown(f"{target.shown} was replaced by another one of its name")
        # Asked first: a list with more in it than the patch names also holds what it names.
        if digest(reverse(live, patch)) == call.arguments.get("seen"):
            return no(f"{target.shown} is as it was before")
        if contains(live, patch):
            return yes(f"{target.shown} is as the patch wants it")
        return unknown(f"{target.shown} was changed by something else")

    def _target(self, call: ActionCall) -> Target:
        arguments = call.arguments
        kind, namespace = arguments["kind"], arguments.get("namespace")
        return self._access.scope.patchable(kind, namespace, arguments["name"])


def _patching(live: Mapping[str, JSON], call: ActionCall, target: Target) -> JSON:
    patch, expected = call.arguments["patch"], call.arguments.get("expected")
    check_uid(live, call.arguments, target)
    before = reverse(live, patch)
    for part in (patch, before):
        _check_keepable(part, target)
    check_seen(before, call.arguments, target)
    if expected is not None and not contains(live, expected):
        raise Conflict(f"{target.shown} was changed by somebody else in the meantime")
    return patch


def _check_keepable(part: JSON, target: Target) -> None:
    """Refuse what may not stand in a plan, which many read and which is kept."""
    if (place := next(secrets_in(part), None)) is not None:
        raise ActionFailed(f"the patch of {target.shown} touches what looks secret: {place}")
    written = json.dumps(part, ensure_ascii=False)
    if _REDACTED(written) != written:
        raise ActionFailed(f"the patch of {target.shown} touches what looks like a secret")
    if len(json.dumps(part)) > _LARGEST:
        raise ActionFailed(f"the patch of {target.shown} changes more than {_LARGEST} bytes")


def _unpatched(call: ActionCall, result: ActionResult) -> Undo | None:
    before, patch = call.arguments.get("before"), call.arguments["patch"]
    if before is None or before == patch:
        return None
    kept = {n: call.arguments[n] for n in ("kind", "namespace", "name") if n in call.arguments}
    return Undo(uses="kubernetes.patch@1", arguments={**kept, "patch": before, "expected": patch})
