"""How a run and its rollback hang together: one begins the other, and ends with it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from bot.domain.effects import EffectState
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
    took place, and until then the run is being rolled back. Where it ended half
    way, and likewise where an undo did, only what still stands can be taken back.
    """
    if rollback.parent is None or not rollback.state.over or rollback.state is RunState.IN_DOUBT:
        return
    run = before = await tx.runs.get(rollback.parent)
    if rollback.state is not RunState.SUCCEEDED:
        run = await still_standing(tx, run, [rollback])
    if rollback.rollback and run.state is RunState.ROLLING_BACK:
        await _end(tx, run, rollback, at=at)
    elif run != before:
        await tx.runs.save(run, due_at=None)


async def still_standing(tx: Transaction, run: Run, attempts: Sequence[Run]) -> Run:
    """Return a run with the ways back that none of some attempts has gone.

    An undo is not done twice, so what its effect came to counts, whatever the
    attempt's own records say.
    """
    left = []
    for undo in run.undoes:
        keys = [f"{attempt.id}:undo-{undo.step}" for attempt in attempts]
        gone = [effect for key in keys if (effect := await tx.effects.get(key)) is not None]
        if not any(effect.state is EffectState.SUCCEEDED for effect in gone):
            left.append(undo)
    return replace(run, undoes=tuple(left)) if len(left) < len(run.undoes) else run


def ended_half_way(run: Run) -> bool:
    """Say whether an attempt to take effects back is over and has not gone all the way."""
    return run.state.over and run.state not in (RunState.SUCCEEDED, RunState.IN_DOUBT)


async def _end(tx: Transaction, run: Run, rollback: Run, *, at: datetime) -> None:
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
