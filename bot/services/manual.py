"""Steps that a person does: the run waits for their word, as a row and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from bot.domain.effects import EffectRecord, EffectState
from bot.domain.runs import PlannedStep, Run, RunState, StepState, advance, record
from bot.ports import Claim, Clock, Database, Transaction
from bot.services.outcomes import OUTCOME, effect_entry
from bot.services.writing import RunWriter

LATE = "nobody said in time whether it was done"


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
        """Ask what is so about a step that nobody said was done in time, or wait on."""
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
        await self._doubt(claim, step, LATE)

    async def stop(self, claim: Claim) -> None:
        """Ask what is so about a step whose run a person stopped while it waited for one.

        The run ends as stopped once somebody has said it.
        """
        step, who = claim.run.step, claim.run.stop_requested_by
        if step is None:
            await self._writer.cancel(claim)
            return
        name = f" by {who.name}" if who else ""
        await self._doubt(claim, step, f"stopped{name} before anybody said whether it was done")

    async def _doubt(self, claim: Claim, step: PlannedStep, why: str) -> None:
        """Leave it to a person to say whether somebody has acted after all.

        That nobody said so does not tell that nobody did it, and what was done
        must not be lost to the record, nor its way back.
        """

        def doubted(run: Run) -> Run:
            run = record(run, step.id, state=StepState.IN_DOUBT, summary=why)
            return advance(run, RunState.IN_DOUBT, reason=why)

        async def settled(tx: Transaction, run: Run) -> None:
            await self._settle(tx, run, step, why)

        await self._writer.write(
            claim,
            doubted,
            due_at=None,
            change="in doubt",
            text=f"{step.title}: it is not known whether somebody did this ({why})",
            also=settled,
        )

    async def _settle(self, tx: Transaction, run: Run, step: PlannedStep, why: str) -> None:
        """Give the intent its outcome: nobody knows."""
        effect, now = await tx.effects.get(run.effect_key(step)), self._clock.now()
        if effect is None or effect.state is not EffectState.INTENDED:
            return
        stopped = run.stop_requested_by is not None
        effect = replace(
            effect, state=EffectState.IN_DOUBT, summary=why, ended_at=now, stopped=stopped
        )
        await tx.effects.save(effect)
        await tx.ledger.append(effect_entry(OUTCOME, run, step, effect, at=now))


def _until(step: PlannedStep, effect: EffectRecord) -> datetime | None:
    """Say until when a person has time; a step without a timeout waits for ever."""
    if not step.timeout:
        return None
    return effect.intended_at + timedelta(seconds=step.timeout)
