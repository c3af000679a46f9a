"""Steps that a person does: the run waits for their word, as a row and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from bot.domain.effects import EffectRecord, EffectState
from bot.domain.runs import PlannedStep, Run, RunState, StepState, advance, record
from bot.ports import Claim, Clock, Database, Transaction
from bot.services.outcomes import OUTCOME, effect_entry, failed
from bot.services.writing import RunWriter

LATE = "nobody did it in time"


class ManualMoves:
    """Moves of a run that waits for a person; `RunService.done` is the person's own."""

    def __init__(self, database: Database, clock: Clock, *, writer: RunWriter) -> None:
        self._database = database
        self._clock = clock
        self._writer = writer

    async def wait(self, claim: Claim, step: PlannedStep, effect: EffectRecord) -> None:
        """Let the run wait until somebody says that the step is done, or its time is over."""

        def waiting(run: Run) -> Run:
            run = record(run, step.id, state=StepState.MANUAL)
            return advance(run, RunState.MANUAL)

        await self._writer.write(
            claim,
            waiting,
            due_at=_until(step, effect),
            change="waiting for a person",
            text=f"{step.title}: a person has to do this, and say so",
        )

    async def overdue(self, claim: Claim) -> None:
        """Take a step as failed that nobody did in time, or wait on."""
        step, now = claim.run.step, self._clock.now()
        if step is None:
            await self._writer.end(claim, RunState.FAILED, "there is no step to wait for")
            return
        async with self._database.reading() as view:
            effect = await view.effects.get(claim.run.effect_key(step))
        until = _until(step, effect) if effect else now
        if until is None or now < until:
            await self._writer.write(claim, lambda r: r, due_at=until)
            return

        async def settled(tx: Transaction, run: Run) -> None:
            await self._fail(tx, run, step, LATE, now)

        await self._writer.write(
            claim,
            lambda r: advance(record(r, step.id, summary=LATE), RunState.RUNNING),
            due_at=now,
            change="not done",
            text=f"{step.title}: {LATE}",
            also=settled,
        )

    async def stop(self, claim: Claim) -> None:
        """End a run that a person stopped while it waited for one."""
        step, now = claim.run.step, self._clock.now()
        who = claim.run.stop_requested_by
        why = f"stopped by {who.name} before anybody said that it was done" if who else "stopped"

        async def settled(tx: Transaction, run: Run) -> None:
            if step is not None:
                await self._fail(tx, run, step, why, now)

        await self._writer.cancel(claim, also=settled)

    async def _fail(
        self, tx: Transaction, run: Run, step: PlannedStep, why: str, at: datetime
    ) -> None:
        """Give the intent its outcome: nobody has said that it took place."""
        effect = await tx.effects.get(run.effect_key(step))
        if effect is None or effect.state is not EffectState.INTENDED:
            return
        stopped = run.stop_requested_by is not None
        effect = replace(failed(effect, why), ended_at=at, stopped=stopped)
        await tx.effects.save(effect)
        await tx.ledger.append(effect_entry(OUTCOME, run, step, effect, at=at))


def _until(step: PlannedStep, effect: EffectRecord) -> datetime | None:
    """Say until when a person has time; a step without a timeout waits for ever."""
    if not step.timeout:
        return None
    return effect.intended_at + timedelta(seconds=step.timeout)
