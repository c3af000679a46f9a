"""What an effect came to: the ledger's entry of it, and what else hangs on it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from bot.domain.actions import ActionResult
from bot.domain.effects import EffectRecord, EffectState
from bot.domain.ledger import Entry
from bot.domain.runs import PlannedStep, Run

INTENT, OUTCOME = "action.intent", "action.outcome"


@dataclass(frozen=True, kw_only=True)
class Settled:
    """An effect as far as it is known, and what would take it back.

    `again_at` says from when a failed one may be tried again. An effect that is
    only intended waits for the person who has to bring it about.
    """

    effect: EffectRecord
    result: ActionResult | None = None
    again_at: datetime | None = None


def effect_entry(
    type: str, run: Run, step: PlannedStep, effect: EffectRecord, *, at: datetime
) -> Entry:
    """Return the ledger's entry of an effect's intent, or of its outcome."""
    plan = run.plan
    entry = Entry(
        type=type,
        actor="bot",
        at=at,
        on_behalf_of=run.requester.actor,
        incident=run.incident,
        action=step.uses,
        risk=int(step.risk),
        plan_digest=plan.digest if plan else None,
        policy_digest=plan.policy_digest if plan else None,
        decision_id=effect.decision or None,
        idem_key=effect.key,
        body={"run": run.id, "step": step.id, "arguments": dict(step.arguments)},
    )
    if type != OUTCOME:
        return entry
    body = {**entry.body, "summary": effect.summary}
    return replace(entry, outcome=effect.state.value, body=body)


def failed(effect: EffectRecord, reason: str) -> EffectRecord:
    """Return an effect that certainly did not take place."""
    return replace(effect, state=EffectState.FAILED, summary=reason)
