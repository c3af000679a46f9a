"""The actions on checkout's order queue: look at it, sweep a part, rebuild a half."""

from __future__ import annotations

import asyncio
import logging
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
)
from plugins.demo.admin import CheckoutAdmin

log = logging.getLogger(__name__)

LOOK = 0.5  # seconds between two looks at a rebuild; checkout stops one unseen for 3 s
STOPPING = 3.0  # seconds that telling checkout to stop may take

_NOTHING: Mapping[str, JSON] = {
    "type": "object",
    "properties": {},
    "additionalProperties": False,
}
_HALF: Mapping[str, JSON] = {
    "type": "object",
    "properties": {
        "half": {"enum": ["first", "second"]},
        "expected_revision": {"type": "integer", "minimum": 0},
    },
    "required": ["half"],
    "additionalProperties": False,
}
_PARTITION: Mapping[str, JSON] = {
    "type": "object",
    "properties": {"partition": {"type": "string", "pattern": "^partition-[0-9]{2}$"}},
    "required": ["partition"],
    "additionalProperties": False,
}


class QueueActions:
    """What can be done to the queue, through checkout's admin interface."""

    def __init__(self, admin: CheckoutAdmin) -> None:
        self._admin = admin

    def all(self) -> Sequence[Action]:
        """Return the actions for the registry."""
        return (
            Action(
                name="checkout.queue_status",
                version=1,
                summary="Count the entries of checkout's queue that should not be in it.",
                effect=Effect.READ,
                risk=Risk.R0,
                idempotent=True,
                arguments=_NOTHING,
                handler=self.status,
            ),
            Action(
                name="checkout.sweep_partition",
                version=1,
                summary="Drop what should not be in one partition of checkout's queue.",
                effect=Effect.MUTATE,
                risk=Risk.R1,
                idempotent=True,
                arguments=_PARTITION,
                handler=self.sweep,
                dry_run=self.preview_sweep,
            ),
            # Nothing takes it back: what it drops is remembered nowhere.
            Action(
                name="checkout.rebuild_queue",
                version=1,
                summary="Build half of checkout's order queue anew, and put it in place.",
                effect=Effect.MUTATE,
                risk=Risk.R3,
                idempotent=False,
                arguments=_HALF,
                handler=self.rebuild,
                dry_run=self.preview,
                reconcile=self.find,
            ),
        )

    async def status(self, call: ActionCall) -> ActionResult:
        """Report the queue as checkout sees it."""
        queue = await self._queue(call)
        summary = (
            f"the queue of revision {queue['revision']}: {queue['depth']} waiting, "
            f"{queue['faults']} of them wrong"
        )
        return ActionResult(summary=summary, value=float(queue["faults"]), data=queue)

    async def preview_sweep(self, call: ActionCall) -> DryRun:
        """Name the partition, of how many there are."""
        partitions, name = (await self._queue(call))["partitions"], call.arguments["partition"]
        if name not in partitions:
            raise ActionFailed(f"checkout's queue has no {name}")
        diff = f"  {name}: {partitions[name]} places taken\n- its wrong entries, if there are any"
        return DryRun(diff=diff, targets=(name,), out_of=len(partitions))

    async def sweep(self, call: ActionCall) -> ActionResult:
        """Sweep one partition; doing it again changes nothing."""
        body = {"partition": call.arguments["partition"]}
        done = await self._admin.change("POST", "/admin/queue/sweep", body, timeout=call.timeout)
        summary = f"{done['partition']} is swept, {done['dropped']} entries dropped"
        return ActionResult(summary=summary, value=float(done["dropped"]), data=done)

    async def preview(self, call: ActionCall) -> DryRun:
        """Name the partitions of the half, and bind the rebuild to the queue that is there now."""
        queue = await self._queue(call)
        names = sorted(queue["partitions"])
        half = _half(names, call.arguments["half"])
        waiting = sum(queue["partitions"][name] for name in half)
        diff = (
            f"- {half[0]} to {half[-1]} of revision {queue['revision']}, {waiting} places taken\n"
            f"+ the same partitions in revision {queue['revision'] + 1}, each order once\n"
            f"  wrong entries are dropped for good ({queue['faults']} in the whole queue now)\n"
            f"  nothing changes before all {len(half)} are ready; a stop before changes nothing"
        )
        pinned = {"expected_revision": queue["revision"]}
        return DryRun(diff=diff, pinned=pinned, targets=tuple(half), out_of=len(names))

    async def rebuild(self, call: ActionCall) -> ActionResult:
        """Have the half rebuilt and watch it; whoever ends this ends the rebuild."""
        expected = call.arguments.get("expected_revision")
        if expected is None:
            raise ActionFailed("expected_revision is missing: the plan was made without a dry run")
        half, key = call.arguments["half"], {"idempotency_key": call.key}
        body = {"half": half, "expected_revision": expected, **key}
        try:
            await self._admin.change("POST", "/admin/rebuilds", body, timeout=call.timeout)
            ended = await self._watched(call)
        except asyncio.CancelledError:
            stopped = await self._stop(call)
            if stopped is not None and stopped.get("state") == "stopped":
                raise ActionFailed(_unchanged(stopped)) from None
            raise
        if ended["state"] != "done":
            raise ActionFailed(_unchanged(ended))
        summary = f"the {half} half of the queue is rebuilt, {ended['dropped']} entries dropped"
        return ActionResult(summary=summary, value=float(ended["built"]), data=ended)

    async def _watched(self, call: ActionCall) -> dict[str, JSON]:
        """Look until the rebuild has ended.

        Raises:
            OutcomeUnknown: it cannot be seen any more; by now it may have ended.
        """
        key = {"idempotency_key": call.key}
        while True:
            try:
                seen = await self._admin.change(
                    "POST", "/admin/rebuilds/watch", key, timeout=call.timeout
                )
            except ActionFailed as lost:
                # That the look failed says nothing about the rebuild, which had begun.
                raise OutcomeUnknown(f"the rebuild is out of sight: {lost.reason}") from lost
            if seen["state"] != "building":
                return dict(seen)
            await asyncio.sleep(LOOK)

    async def _stop(self, call: ActionCall) -> dict[str, JSON] | None:
        """Tell checkout to stop; where it cannot be told, it stops because nobody watches."""
        key = {"idempotency_key": call.key}
        try:
            return dict(
                await self._admin.change("POST", "/admin/rebuilds/stop", key, timeout=STOPPING)
            )
        except (ActionFailed, OutcomeUnknown) as error:
            log.warning("the rebuild %s could not be told to stop: %s", call.key, error)
            return None

    async def find(self, call: ActionCall) -> Reconciliation:
        """Look for the rebuild among those that checkout performed."""
        rebuilds = await self._admin.read("/admin/rebuilds", timeout=call.timeout)
        mine = next((r for r in rebuilds if r.get("idempotency_key") == call.key), None)
        if mine is None:
            return await self._not_found(call)
        if mine["state"] == "done":
            detail = f"checkout ended this rebuild at {mine['ended_at']}"
            return Reconciliation(happened=Happened.YES, detail=detail)
        if mine["state"] == "stopped":
            return Reconciliation(happened=Happened.NO, detail=_unchanged(mine))
        detail = f"checkout is still at it ({mine['built']} of {mine['of']} partitions)"
        return Reconciliation(happened=Happened.UNKNOWN, detail=detail)

    async def _not_found(self, call: ActionCall) -> Reconciliation:
        """Judge by the revision: a missing entry proves nothing once it has moved."""
        revision = (await self._queue(call))["revision"]
        if revision == call.arguments.get("expected_revision"):
            detail = f"the queue is still of revision {revision}"
            return Reconciliation(happened=Happened.NO, detail=detail)
        detail = f"the queue is of revision {revision} by another cause"
        return Reconciliation(happened=Happened.UNKNOWN, detail=detail)

    async def _queue(self, call: ActionCall) -> dict[str, JSON]:
        queue = await self._admin.read("/admin/queue", timeout=call.timeout)
        wanted = {"revision", "depth", "faults", "partitions"}
        if not isinstance(queue, dict) or not wanted <= queue.keys():
            raise ActionFailed("checkout's answer about its queue cannot be understood")
        return queue


def _half(names: Sequence[str], half: str) -> Sequence[str]:
    middle = len(names) // 2
    return names[:middle] if half == "first" else names[middle:]


def _unchanged(rebuild: Mapping[str, JSON]) -> str:
    return (
        f"the rebuild stopped after {rebuild['built']} of {rebuild['of']} partitions "
        f"({rebuild['reason']}); the queue is as it was"
    )
