"""Tells what happened to a run: on the timeline, in the ledger, and to plugins."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from bot.domain.actions import JSON
from bot.domain.effects import EffectRecord
from bot.domain.events import Happening
from bot.domain.ledger import Entry
from bot.domain.people import Person
from bot.domain.runs import Run
from bot.domain.timeline import TimelineEntry, TimelineKind
from bot.ports import Transaction


async def tell(
    tx: Transaction,
    run: Run,
    change: str,
    *,
    at: datetime,
    text: str,
    by: Person | None = None,
    kind: TimelineKind = TimelineKind.RUN,
    type: str = "",
    outcome: str | None = None,
    more: Mapping[str, JSON] | None = None,
    effect: EffectRecord | None = None,
) -> None:
    """Put what happened to a run on the timeline, in the ledger and in the outbox.

    With an `effect`, the ledger's entry is about that and not about the whole run.
    """
    actor, name = (by.actor, by.name) if by else ("bot", "Tocsin")
    await tx.timeline.add(
        TimelineEntry(
            subject=run.incident or run.subject,
            at=at,
            kind=kind,
            text=text,
            actor=actor,
            actor_name=name,
        )
    )
    await tx.ledger.append(
        Entry(
            type=type or f"run.{change.replace(' ', '_')}",
            actor=actor,
            at=at,
            on_behalf_of=run.requester.actor if by is None else None,
            incident=run.incident,
            action=effect.uses if effect else None,
            risk=effect.risk if effect else int(run.plan.risk) if run.plan else None,
            plan_digest=run.plan.digest if run.plan else None,
            policy_digest=run.plan.policy_digest if run.plan else None,
            decision_id=_decision(run, effect),
            outcome=outcome,
            idem_key=effect.key if effect else None,
            body={"run": run.id, "runbook": run.runbook, "text": text, **(more or {})},
        )
    )
    await tx.outbox.add(Happening(kind="run", subject=run.id, change=change, at=at))


def _decision(run: Run, effect: EffectRecord | None) -> str | None:
    if effect is not None:
        return effect.decision or None
    return run.approval.id if run.approval else None
