"""When a failed effect is tried again, if at all."""

from __future__ import annotations

from datetime import datetime, timedelta

from bot.domain.actions import Action
from bot.domain.effects import EffectRecord, EffectState
from bot.domain.runs import PlannedStep


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
    return effect.ended_at + timedelta(seconds=retry.pause(effect.attempts)) if named else None
