"""When a failed effect is tried again, if at all."""

from __future__ import annotations

from datetime import datetime, timedelta

from bot.domain.actions import Action
from bot.domain.effects import EffectRecord, EffectState
from bot.domain.runs import PlannedStep

LONGEST_WAIT = 3600.0  # seconds between two attempts, however often the wait has doubled
_DOUBLINGS = 30  # beyond which a wait is the longest anyway, and a power would overflow


def next_attempt(step: PlannedStep, action: Action | None, effect: EffectRecord) -> datetime | None:
    """Return when a failed effect is due again; None where it has failed for good.

    Whatever the page says, only an idempotent action is tried again, and only
    after a failure that the page and the action both name. An attempt after a
    crash counts like any other. Nobody tries again what a person stopped.
    """
    if effect.state is not EffectState.FAILED or effect.stopped or effect.ended_at is None:
        return None
    retry = step.retry
    if retry is None or action is None or step.manual or action.manual:
        return None
    if not (step.idempotent and action.idempotent) or effect.attempts > retry.times:
        return None
    named = effect.transient in retry.on and effect.transient in action.transient
    return effect.ended_at + timedelta(seconds=_wait(step, effect.attempts)) if named else None


def _wait(step: PlannedStep, attempts: int) -> float:
    first = step.retry.wait if step.retry else 0.0
    doubled = first * 2.0 ** min(attempts - 1, _DOUBLINGS)
    return min(max(doubled, 0.0), LONGEST_WAIT)
