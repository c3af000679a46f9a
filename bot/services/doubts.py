"""Looks up in the world whether an effect took place whose outcome was lost."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta

from bot.domain.actions import ActionCall, Happened, Reconciliation
from bot.domain.effects import EffectRecord
from bot.domain.runs import PlannedStep
from bot.ports import Clock
from bot.services.registry import Registry, own

log = logging.getLogger(__name__)

ASK = "ask"  # a step's `on_unknown` where a person looks, and nothing else


def deadline(effect: EffectRecord, step: PlannedStep) -> datetime:
    """Return until when a request of ours for an effect may be under way."""
    return effect.intended_at + timedelta(seconds=step.timeout)


class Inquiry:
    """Asks actions what became of effects."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock

    async def look(self, step: PlannedStep, effect: EffectRecord) -> Reconciliation:
        """Look at the world: a yes counts at once, anything else only after the deadline.

        Until then a request of ours, or of a worker that is gone, may still be
        under way. Where the page wants a person asked, nothing else is.
        """
        if step.on_unknown == ASK:
            return Reconciliation(
                happened=Happened.UNKNOWN, detail="the runbook leaves it to a person to look"
            )
        left = (deadline(effect, step) - self._clock.now()).total_seconds()
        seen = await self._reconciled(step, effect)
        if seen.happened is Happened.YES or left <= 0:
            return seen
        await asyncio.sleep(min(left, step.timeout))  # a clock that was set back is not waited for
        return await self._reconciled(step, effect)

    async def _reconciled(self, step: PlannedStep, effect: EffectRecord) -> Reconciliation:
        action = self._registry.actions.get(step.uses)
        if action is None or action.reconcile is None:
            return Reconciliation(
                happened=Happened.UNKNOWN, detail="this action cannot be looked up afterwards"
            )
        call = ActionCall(key=effect.key, arguments=own(effect.arguments), timeout=step.timeout)
        try:
            async with asyncio.timeout(step.timeout):
                return await action.reconcile(call)
        except Exception as error:  # noqa: BLE001  # a look that fails tells nothing, which is an answer
            log.warning("reconciling %s failed: %s", effect.key, error)
            return Reconciliation(
                happened=Happened.UNKNOWN, detail=f"the target could not be asked: {error}"
            )
