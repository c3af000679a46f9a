"""How a run and its rollback hang together: one begins the other, and ends with it."""

from __future__ import annotations

import uuid
from datetime import datetime

from bot.domain.people import BOT
from bot.domain.runs import Run, RunId, RunState, advance
from bot.ports import Transaction
from bot.services.telling import tell


def rollback_of(run: Run, at: datetime) -> Run:
    """Return the run that takes another's effects back, as its plan announced."""
    return Run(
        id=RunId(uuid.uuid4().hex[:12]),
        runbook=run.runbook,
        title=f"Rollback: {run.title}",
        parameters={},
        requester=BOT,
        subject=run.subject,
        incident=run.incident,
        service=run.service,
        created_at=at,
        parent=run.id,
        rollback=True,
        break_glass=run.break_glass,
    )


async def end_rolled_back(tx: Transaction, rollback: Run, *, at: datetime) -> None:
    """End a run whose rollback has ended, in the transaction in which that ends.

    A rollback in doubt has not ended: a person says first whether its effect
    took place, and until then the run is being rolled back.
    """
    if not rollback.rollback or rollback.parent is None:
        return
    if not rollback.state.over or rollback.state is RunState.IN_DOUBT:
        return
    run = await tx.runs.get(rollback.parent)
    if run.state is not RunState.ROLLING_BACK:
        return
    if rollback.state is RunState.SUCCEEDED:
        run = advance(run, RunState.ROLLED_BACK, at=at)
        text = f"“{run.title}” was rolled back; it had failed: {run.reason}"
    else:
        why = f"the rollback failed: {_end_of(rollback)}"
        run = advance(run, RunState.FAILED, reason=f"{run.reason}; {why}", at=at)
        text = f"“{run.title}” failed, and {why}"
    await tx.runs.save(run, due_at=None)
    await tell(tx, run, run.state.value, at=at, text=text)


def _end_of(rollback: Run) -> str:
    if rollback.state is RunState.CANCELLED:
        return f"it was stopped ({rollback.reason})"
    return rollback.reason or rollback.state.value
