"""The actions on checkout: look at the worker, restart it, set its concurrency."""

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
    Happened,
    Reconciliation,
    Risk,
    Undo,
)
from plugins.demo.admin import CheckoutAdmin, Conflict

SET_CONCURRENCY = "checkout.set_concurrency"
MOST_AT_ONCE = 32

_NOTHING: Mapping[str, JSON] = {
    "type": "object",
    "properties": {},
    "additionalProperties": False,
}
_GENERATION: Mapping[str, JSON] = {
    "type": "object",
    "properties": {"expected_generation": {"type": "integer", "minimum": 0}},
    "additionalProperties": False,
}
_CONCURRENCY: Mapping[str, JSON] = {
    "type": "object",
    "properties": {
        "value": {"type": "integer", "minimum": 1, "maximum": MOST_AT_ONCE},
        "expected": {"type": "integer", "minimum": 1, "maximum": MOST_AT_ONCE},
    },
    "required": ["value"],
    "additionalProperties": False,
}


class CheckoutActions:
    """What can be done to checkout, through its admin interface."""

    def __init__(self, admin: CheckoutAdmin) -> None:
        self._admin = admin

    def all(self) -> Sequence[Action]:
        """Return the actions for the registry."""
        return (
            Action(
                name="checkout.worker_status",
                version=1,
                summary="Say whether checkout's worker runs (1) or not (0).",
                effect=Effect.READ,
                risk=Risk.R0,
                idempotent=True,
                arguments=_NOTHING,
                handler=self.worker_status,
            ),
            Action(
                name="checkout.restart_worker",
                version=1,
                summary="Kill checkout's worker and start the next one.",
                effect=Effect.MUTATE,
                risk=Risk.R2,
                idempotent=False,
                arguments=_GENERATION,
                handler=self.restart,
                dry_run=self.preview_restart,
                reconcile=self.find_restart,
            ),
            Action(
                name=SET_CONCURRENCY,
                version=1,
                summary="Set how many orders checkout's worker does at once.",
                effect=Effect.MUTATE,
                risk=Risk.R1,
                idempotent=True,
                arguments=_CONCURRENCY,
                handler=self.set_concurrency,
                dry_run=self.preview_concurrency,
                reconcile=self.find_concurrency,
                undo=restore_concurrency,
            ),
        )

    async def worker_status(self, call: ActionCall) -> ActionResult:
        """Report the worker as checkout sees it."""
        worker = await self._worker(call)
        runs = worker["state"] == "running"
        summary = (
            f"the worker of generation {worker['generation']} is {worker['state']}, "
            f"{worker.get('queue_depth', 0)} orders wait"
        )
        return ActionResult(summary=summary, value=1.0 if runs else 0.0, data=worker)

    async def preview_restart(self, call: ActionCall) -> DryRun:
        """Bind the restart to the worker that is there now."""
        worker = await self._worker(call)
        generation = worker["generation"]
        diff = (
            f"- worker of generation {generation} ({worker['state']}) is killed\n"
            f"+ worker of generation {generation + 1} is started\n"
            f"  {worker.get('queue_depth', 0)} waiting orders are kept"
        )
        return DryRun(diff=diff, pinned={"expected_generation": generation})

    async def restart(self, call: ActionCall) -> ActionResult:
        """Restart the worker, once per key and only if it is the one that was approved."""
        expected = call.arguments.get("expected_generation")
        if expected is None:
            raise ActionFailed(
                "expected_generation is missing: the plan was made without a dry run"
            )
        body = {"expected_generation": expected, "idempotency_key": call.key}
        done = await self._admin.change("POST", "/admin/worker/restart", body, timeout=call.timeout)
        return ActionResult(
            summary=f"the worker of generation {done['generation']} runs", data=done
        )

    async def find_restart(self, call: ActionCall) -> Reconciliation:
        """Look for the restart among those that checkout performed.

        A missing entry proves nothing once the generation has moved: somebody
        else may have restarted it, or checkout itself lost its memory.
        """
        restarts = await self._admin.read("/admin/restarts", timeout=call.timeout)
        mine = next((r for r in restarts if r.get("idempotency_key") == call.key), None)
        if mine is not None and mine.get("completed_at"):
            detail = f"checkout performed this restart at {mine['at']}"
            return Reconciliation(happened=Happened.YES, detail=detail)
        if mine is not None:
            detail = "checkout began this restart and has not finished it"
            return Reconciliation(happened=Happened.UNKNOWN, detail=detail)
        worker = await self._worker(call)
        if worker["generation"] == call.arguments.get("expected_generation"):
            detail = f"the worker is still of generation {worker['generation']}"
            return Reconciliation(happened=Happened.NO, detail=detail)
        detail = f"the worker is of generation {worker['generation']} by another cause"
        return Reconciliation(happened=Happened.UNKNOWN, detail=detail)

    async def preview_concurrency(self, call: ActionCall) -> DryRun:
        """Bind the change to the value that is set now."""
        now = await self._concurrency(call)
        diff = f"- concurrency: {now}\n+ concurrency: {call.arguments['value']}"
        return DryRun(diff=diff, pinned={"expected": now})

    async def set_concurrency(self, call: ActionCall) -> ActionResult:
        """Set the concurrency if it is still what was approved; the wanted value is no conflict."""
        value, expected = call.arguments["value"], call.arguments.get("expected")
        if expected is None:
            raise ActionFailed("expected is missing: the plan was made without a dry run")
        body = {"value": value, "expected": expected}
        try:
            await self._admin.change("PUT", "/admin/concurrency", body, timeout=call.timeout)
        except Conflict as conflict:
            if conflict.body.get("value") != value:
                raise
        return ActionResult(
            summary=f"concurrency is {value} (it was {expected})",
            value=float(value),
            data={"value": value, "previous": expected},
        )

    async def find_concurrency(self, call: ActionCall) -> Reconciliation:
        """Compare the value that is set with the wanted and the former one."""
        now = await self._concurrency(call)
        happened = Happened.UNKNOWN
        if now == call.arguments["value"]:
            happened = Happened.YES
        elif now == call.arguments.get("expected"):
            happened = Happened.NO
        return Reconciliation(happened=happened, detail=f"the concurrency is {now}")

    async def _worker(self, call: ActionCall) -> dict[str, JSON]:
        worker = await self._admin.read("/admin/worker", timeout=call.timeout)
        if not isinstance(worker, dict) or not {"generation", "state"} <= worker.keys():
            raise ActionFailed("checkout's answer about its worker cannot be understood")
        return worker

    async def _concurrency(self, call: ActionCall) -> int:
        shown = await self._admin.read("/admin/concurrency", timeout=call.timeout)
        value = shown.get("value") if isinstance(shown, dict) else None
        if not isinstance(value, int):
            raise ActionFailed("checkout's answer about its concurrency cannot be understood")
        return value


def restore_concurrency(call: ActionCall, result: ActionResult) -> Undo | None:
    """Set the concurrency back to what it was when the change was planned."""
    previous = call.arguments.get("expected")
    if previous is None or previous == call.arguments["value"]:
        return None
    return Undo(uses=f"{SET_CONCURRENCY}@1", arguments={"value": previous})
