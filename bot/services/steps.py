"""What becomes of a step: its effect, its proof, and where the run goes from there."""

from __future__ import annotations

import logging
import uuid
from dataclasses import replace
from datetime import datetime, timedelta

from bot.domain.actions import ActionCall, ActionFailed, ActionResult
from bot.domain.breakers import Trouble
from bot.domain.effects import EffectState
from bot.domain.errors import Postponed, Refused
from bot.domain.people import BOT
from bot.domain.runs import (
    PlannedCheck,
    PlannedStep,
    PlannedUndo,
    Run,
    RunId,
    RunState,
    StepState,
    advance,
    record,
)
from bot.ports import Claim, Clock, Database, Transaction
from bot.services.actions import ActionGate, Settled
from bot.services.governing import Governor
from bot.services.writing import RunWriter

log = logging.getLogger(__name__)


class StepMoves:
    """Moves a run that has begun: from effect to proof, to the next step, or to its end."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        gate: ActionGate,
        governor: Governor,
        writer: RunWriter,
    ) -> None:
        self._database = database
        self._clock = clock
        self._gate = gate
        self._governor = governor
        self._writer = writer

    async def perform(self, claim: Claim) -> None:
        """Bring about the effect of the current step, or end a run that has none left."""
        step = claim.run.step
        if step is None:
            if claim.run.plan is None:
                await self._writer.end(claim, RunState.FAILED, "there is no plan; nothing was run")
            else:
                await self._writer.end(claim, RunState.SUCCEEDED, "")
            return
        try:
            settled = await self._gate.perform(claim)
        except Postponed as later:
            await self._writer.postpone(claim, later.reason)
            return
        except Refused as no:
            await self._refused(claim, step, no.reason)
            return
        if settled.effect.state is EffectState.IN_DOUBT:
            await self.doubt(claim, step, settled.effect.summary)
        elif settled.effect.state is EffectState.FAILED:
            await self._fail(claim, step, settled.effect.summary)
        elif step.verify is None:
            await self._next(claim, step, settled, summary=settled.effect.summary)
        else:
            await self._start_verifying(claim, step, step.verify, settled)

    async def _start_verifying(
        self, claim: Claim, step: PlannedStep, check: PlannedCheck, settled: Settled
    ) -> None:
        now = self._clock.now()
        undo = self._undo_of(step, settled)

        def verifying(run: Run) -> Run:
            run = record(run, step.id, state=StepState.VERIFYING, summary=settled.effect.summary)
            run = replace(
                advance(run, RunState.VERIFYING),
                good_checks=0,
                verify_by=now + timedelta(seconds=check.within),
            )
            return _with_undo(run, step, undo)

        text = f"{step.title}: {settled.effect.summary}"
        await self._writer.write(claim, verifying, due_at=now, change="step done", text=text)

    async def verify(self, claim: Claim) -> None:
        """Look once, and either count it, give up, or look again later."""
        run, step = claim.run, claim.run.step
        if step is None or step.verify is None:
            await self._writer.end(claim, RunState.FAILED, "there is nothing to verify")
            return
        check, value, summary = step.verify, None, ""
        try:
            seen = await self._gate.read(check.uses, check.arguments, timeout=check.every + 5)
            value, summary = seen.value, seen.summary
        except (Refused, ActionFailed) as no:
            summary = no.reason
        good = run.good_checks + 1 if check.expect.holds(value) else 0
        now = self._clock.now()
        if good >= check.consecutive:
            text = f"verified: {summary} ({check.expect}, {good} times in a row)"
            await self._next(claim, step, None, summary=text)
        elif run.verify_by is not None and now >= run.verify_by:
            await self._fail(claim, step, f"not verified within {check.within:g} s: {summary}")
        else:
            await self._look_again(claim, step, check, good=good, value=value)

    async def _look_again(
        self,
        claim: Claim,
        step: PlannedStep,
        check: PlannedCheck,
        *,
        good: int,
        value: float | None,
    ) -> None:
        def looked(run: Run) -> Run:
            return replace(record(run, step.id, value=value), good_checks=good)

        due = self._clock.now() + timedelta(seconds=check.every)
        first = claim.run.good_checks != good or claim.run.records[claim.run.position].value is None
        await self._writer.write(claim, looked, due_at=due, change="checked" if first else "")

    async def _next(
        self,
        claim: Claim,
        step: PlannedStep,
        settled: Settled | None,
        *,
        summary: str,
        became: StepState = StepState.DONE,
    ) -> None:
        """Leave a step behind and go to the next, or end well."""
        now = self._clock.now()
        undo = self._undo_of(step, settled) if settled else None
        last = claim.run.plan is None or claim.run.position + 1 >= len(claim.run.plan.steps)

        def done(run: Run) -> Run:
            run = record(run, step.id, state=became, summary=summary, ended_at=now)
            run = replace(run, position=run.position + 1, good_checks=0, verify_by=None)
            if settled:
                run = _with_undo(run, step, undo)
            if last:
                return advance(run, RunState.SUCCEEDED, at=now)
            return advance(run, RunState.RUNNING) if run.state is not RunState.RUNNING else run

        async def counted(tx: Transaction, run: Run) -> None:
            if became is not StepState.DONE:
                await self._count_failure(tx, claim, step)
            elif run.parent is None:
                await self._governor.success(tx, run, step.uses, at=now)
            elif last:
                await self._count_return(tx, run)

        await self._writer.write(
            claim,
            done,
            due_at=None if last else now,
            change=RunState.SUCCEEDED.value if last else f"step {became}",
            text=f"{step.title}: {summary}",
            also=counted,
        )

    async def _count_failure(self, tx: Transaction, claim: Claim, step: PlannedStep) -> None:
        """Count a step whose effect took place and did not help; the gate counts the others."""
        if claim.run.state is RunState.VERIFYING:
            now = self._clock.now()
            await self._governor.trouble(tx, claim.run, step.uses, Trouble.FAILED, at=now)

    async def _count_return(self, tx: Transaction, run: Run) -> None:
        """Count against the actions that had to be taken back."""
        parent = await tx.runs.get(run.parent) if run.parent else None
        if parent is None or parent.plan is None:
            return
        returned = {undo.step for undo in parent.undoes}
        for uses in dict.fromkeys(s.uses for s in parent.plan.steps if s.id in returned):
            now = self._clock.now()
            await self._governor.trouble(tx, parent, uses, Trouble.ROLLED_BACK, at=now)

    async def doubt(self, claim: Claim, step: PlannedStep, why: str) -> None:
        """Leave an effect of which nobody knows whether it took place to a person."""

        def doubted(run: Run) -> Run:
            run = record(run, step.id, state=StepState.IN_DOUBT, summary=why)
            return advance(run, RunState.IN_DOUBT, reason=why)

        text = f"{step.title}: it is not known whether this took place ({why}); a person must look"
        await self._writer.write(claim, doubted, due_at=None, change="in doubt", text=text)

    async def _fail(self, claim: Claim, step: PlannedStep, why: str) -> None:
        """Do what the plan says about a step that failed."""
        if step.on_failure == "continue":
            goes_on = f"failed, and the plan goes on: {why}"
            await self._next(claim, step, None, summary=goes_on, became=StepState.FAILED)
            return
        await self._end_failed(claim, step, why)

    async def _refused(self, claim: Claim, step: PlannedStep, why: str) -> None:
        """End a run whose effect the gate refused.

        A plan may go on past a step that failed, never past a refusal: what
        forbids this effect has not been answered for the next one either.
        """
        async with self._database.reading() as view:
            run = await view.runs.get(claim.run.id)
        if run.stop_requested_by is not None:
            await self._writer.cancel(replace(claim, run=run))
            return
        await self._end_failed(claim, step, why)

    async def _end_failed(self, claim: Claim, step: PlannedStep, why: str) -> None:
        """End a run at a failed step, and roll back where the plan announced it."""
        now = self._clock.now()
        roll_back = step.on_failure == "rollback" and bool(claim.run.undoes)

        def failed(run: Run) -> Run:
            run = record(run, step.id, state=StepState.FAILED, summary=why, ended_at=now)
            return advance(run, RunState.FAILED, reason=why, at=now)

        async def counted(tx: Transaction, run: Run) -> None:
            await self._count_failure(tx, claim, step)
            if any(r.started_at is not None for r in run.records):
                await self._count_return(tx, run)

        await self._writer.write(
            claim,
            failed,
            due_at=None,
            change="failed",
            text=f"{step.title} failed: {why}",
            child=_rollback_of(claim.run, now) if roll_back else None,
            also=counted,
        )

    def _undo_of(self, step: PlannedStep, settled: Settled) -> PlannedUndo | None:
        action = self._gate.registry.actions.get(step.uses)
        if action is None or action.undo is None:
            return None
        call = ActionCall(key=settled.effect.key, arguments=step.arguments, timeout=step.timeout)
        result = settled.result or ActionResult(
            summary=settled.effect.summary, value=settled.effect.value
        )
        try:
            undo = action.undo(call, result)
        except Exception:  # the effect took place; that it cannot be taken back must not hide it
            log.exception("%s could not say how it is taken back", step.uses)
            return None
        if undo is None:
            return None
        return PlannedUndo(
            step=step.id, title=f"Undo: {step.title}", uses=undo.uses, arguments=undo.arguments
        )


def _with_undo(run: Run, step: PlannedStep, undo: PlannedUndo | None) -> Run:
    """Remember how a step is taken back; past a commit point there is no way back."""
    if step.commit_point:
        return replace(run, undoes=())
    return replace(run, undoes=(*run.undoes, undo)) if undo else run


def _rollback_of(run: Run, at: datetime) -> Run:
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
