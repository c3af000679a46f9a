"""What becomes of a step: its effect, its proof, and where the run goes from there."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from bot.domain.actions import ActionFailed
from bot.domain.breakers import Trouble
from bot.domain.effects import EffectState
from bot.domain.errors import Postponed, Refused
from bot.domain.records import UNVERIFIED
from bot.domain.runs import (
    PlannedCheck,
    PlannedStep,
    Run,
    RunState,
    StepState,
    advance,
    record,
)
from bot.ports import Claim, Clock, Database, Transaction
from bot.services.actions import ActionGate
from bot.services.goals import GoalMoves
from bot.services.governing import Governor
from bot.services.manual import ManualMoves
from bot.services.outcomes import Settled
from bot.services.rollbacks import rollback_of
from bot.services.telling import tell
from bot.services.undoing import undo_of, with_undo
from bot.services.writing import RunWriter


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
        self._goals = GoalMoves(clock, reader=gate.reader, writer=writer)
        self.manual = ManualMoves(database, clock, writer=writer)

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
        elif settled.effect.state is EffectState.INTENDED:
            await self.manual.wait(claim, step, settled.effect)
        elif settled.again_at is not None:
            await self._again(claim, step, settled, at=settled.again_at)
        elif settled.effect.state is EffectState.FAILED:
            await self._fail(claim, step, settled.effect.summary)
        elif step.verify is None:
            await self._next(claim, step, settled, summary=settled.effect.summary)
        else:
            await self._start_verifying(claim, step, step.verify, settled)

    async def _again(
        self, claim: Claim, step: PlannedStep, settled: Settled, *, at: datetime
    ) -> None:
        """Let a step that failed for a moment wait for its next attempt."""
        effect, most = settled.effect, step.retry.times if step.retry else 0
        wait = (at - self._clock.now()).total_seconds()
        text = f"{effect.summary}; attempt {effect.attempts + 1} of {most + 1} in {wait:.0f} s"
        await self._writer.write(
            claim,
            lambda r: record(r, step.id, summary=text),
            due_at=at,
            change="step retried",
            text=f"{step.title}: {text}",
        )

    async def _start_verifying(
        self, claim: Claim, step: PlannedStep, check: PlannedCheck, settled: Settled
    ) -> None:
        now = self._clock.now()
        undo = undo_of(self._gate.registry, step, settled)

        def verifying(run: Run) -> Run:
            run = record(run, step.id, state=StepState.VERIFYING, summary=settled.effect.summary)
            run = replace(
                advance(run, RunState.VERIFYING),
                good_checks=0,
                verify_by=now + timedelta(seconds=check.within),
            )
            return with_undo(run, step, undo)

        text = f"{step.title}: {settled.effect.summary}"
        await self._writer.write(claim, verifying, due_at=now, change="step done", text=text)

    async def verify(self, claim: Claim) -> None:
        """Look once, and either count it, give up, or look again later."""
        run, step = claim.run, claim.run.step
        if step is None and run.plan is not None and run.plan.done_when is not None:
            await self._goals.look(claim, run.plan.done_when)
            return
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
            await self._fail(claim, step, f"{UNVERIFIED} {check.within:g} s: {summary}")
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
        """Leave a step behind and go to the next, look whether all has helped, or end well."""
        now = self._clock.now()
        undo = undo_of(self._gate.registry, step, settled) if settled else None
        plan = claim.run.plan
        last = plan is None or claim.run.position + 1 >= len(plan.steps)
        goal = plan.done_when if plan is not None and last else None
        over = last and goal is None

        def done(run: Run) -> Run:
            run = record(run, step.id, state=became, summary=summary, ended_at=now)
            run = replace(run, position=run.position + 1, good_checks=0, verify_by=None)
            if settled:
                run = with_undo(run, step, undo)
            if over:
                return advance(run, RunState.SUCCEEDED, at=now)
            if goal is not None:
                run = replace(run, verify_by=now + timedelta(seconds=goal.within))
            return _into(run, RunState.VERIFYING if goal is not None else RunState.RUNNING)

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
            due_at=None if over else now,
            change=RunState.SUCCEEDED.value if over else f"step {became}",
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
        """End a run at a failed step, or roll it back where the plan announced that.

        It is over when its rollback is. Who has stopped it asks for its effects
        to be taken back, if at all, so then there is no rollback either.
        """
        now = self._clock.now()
        roll_back = step.on_failure == "rollback" and bool(claim.run.undoes)

        def failed(run: Run) -> Run:
            run = record(run, step.id, state=StepState.FAILED, summary=why, ended_at=now)
            rolls = roll_back and run.stop_requested_by is None
            state = RunState.ROLLING_BACK if rolls else RunState.FAILED
            return advance(run, state, reason=why, at=now)

        async def told(tx: Transaction, run: Run) -> None:
            text = f"{step.title} failed: {why}"
            await tell(tx, run, run.state.value, at=now, text=text)
            await self._count_failure(tx, claim, step)
            if any(r.started_at is not None for r in run.records):
                await self._count_return(tx, run)

        await self._writer.write(
            claim,
            failed,
            due_at=None,
            child=rollback_of(claim.run, now) if roll_back else None,
            also=told,
        )


def _into(run: Run, state: RunState) -> Run:
    return run if run.state is state else advance(run, state)
