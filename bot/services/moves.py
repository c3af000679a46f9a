"""The moves of a run: plan it, begin it, bring an effect about, verify it, end it.

Each move is decided on the claimed run, does its work outside of any
transaction, and is written in one, together with what is told of it.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from bot.domain.actions import ActionCall, ActionFailed, ActionResult
from bot.domain.approvals import Verdict, expire
from bot.domain.canonical import NotCanonical
from bot.domain.effects import EffectState
from bot.domain.errors import Refused
from bot.domain.events import Happening
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
    freeze,
    record,
)
from bot.ports import Claim, Clock, Database
from bot.services.actions import ActionGate, Settled
from bot.services.planning import Draft, Planner
from bot.services.runs import tell

log = logging.getLogger(__name__)

Change = Callable[[Run], Run]


class RunMoves:
    """Moves a claimed run by one step of its life."""

    def __init__(
        self, database: Database, clock: Clock, *, gate: ActionGate, planner: Planner
    ) -> None:
        self._database = database
        self._clock = clock
        self._gate = gate
        self._planner = planner

    async def move(self, claim: Claim) -> None:
        """Make the one move that is due, whatever the run's state is."""
        run = claim.run
        if run.stop_requested_by is not None and not run.state.over:
            await self._stopped(claim)
        elif run.state is RunState.DRAFT:
            await self._plan(claim)
        elif run.state is RunState.AWAITING:
            await self._expire(claim)
        elif run.state is RunState.APPROVED:
            await self._begin(claim)
        elif run.state is RunState.RUNNING:
            await self._perform(claim)
        elif run.state is RunState.VERIFYING:
            await self._verify(claim)
        else:
            await self._write(claim, lambda r: r, due_at=None)

    async def give_up(self, claim: Claim, why: str) -> None:
        """End a run that cannot be moved, or leave its effect to a person."""
        step = claim.run.step
        if step is not None and await self._unsettled(claim, step):
            await self._doubt(claim, step, why)
            return
        await self._end(claim, RunState.FAILED, why)

    async def _unsettled(self, claim: Claim, step: PlannedStep) -> bool:
        async with self._database.reading() as view:
            effect = await view.effects.get(claim.run.effect_key(step))
        return effect is not None and effect.state in (EffectState.INTENDED, EffectState.IN_DOUBT)

    async def _stopped(self, claim: Claim) -> None:
        """End a run that a person stopped, once an effect it began is accounted for."""
        step = claim.run.step
        if claim.run.state is RunState.RUNNING and step is not None:
            async with self._database.reading() as view:
                effect = await view.effects.get(claim.run.effect_key(step))
            if effect is not None:
                await self._perform(claim)
                return
        await self._cancel(claim)

    async def _cancel(self, claim: Claim) -> None:
        who = claim.run.stop_requested_by
        reason = f"stopped by {who.name}" if who else "stopped"
        await self._end(claim, RunState.CANCELLED, reason)

    async def _plan(self, claim: Claim) -> None:
        now = self._clock.now()
        try:
            draft = await self._draft(claim.run, now)
        except Refused as no:
            await self._end(claim, RunState.FAILED, no.reason)
            return
        except NotCanonical as no:
            await self._end(claim, RunState.FAILED, f"the plan cannot be recorded: {no}")
            return

        def planned(run: Run) -> Run:
            run = replace(freeze(run, draft.plan), approval=draft.approval)
            granted = draft.approval.verdict is Verdict.GRANTED
            return advance(run, RunState.APPROVED if granted else RunState.AWAITING)

        due = now if draft.approval.verdict is Verdict.GRANTED else draft.approval.answer_by
        count = len(draft.plan.steps)
        steps = f"{count} step{'' if count == 1 else 's'}"
        text = f"planned “{claim.run.title}”: {steps}, R{draft.plan.risk:d}"
        await self._write(claim, planned, due_at=due, change="planned", text=text)

    async def _draft(self, run: Run, now: datetime) -> Draft:
        if run.parent is None:
            return await self._planner.plan(run, at=now)
        async with self._database.reading() as view:
            parent = await view.runs.get(run.parent)
        if run.rollback:
            return await self._planner.plan_rollback(run, parent, at=now)
        return await self._planner.plan_undo(run, parent, at=now)

    async def _expire(self, claim: Claim) -> None:
        approval = claim.run.approval
        now = self._clock.now()
        if approval is None or expire(approval, now).verdict is not Verdict.EXPIRED:
            await self._write(claim, lambda r: r, due_at=approval.answer_by if approval else None)
            return
        await self._end(claim, RunState.EXPIRED, "nobody answered in time; nothing was run")

    async def _begin(self, claim: Claim) -> None:
        now = self._clock.now()
        approval = claim.run.approval
        if approval is None or expire(approval, now).verdict is Verdict.EXPIRED:
            await self._end(claim, RunState.EXPIRED, "the approval expired before the start")
            return
        await self._write(
            claim,
            lambda r: advance(r, RunState.RUNNING),
            due_at=now,
            change="started",
            text=f"started “{claim.run.title}”",
        )

    async def _perform(self, claim: Claim) -> None:
        step = claim.run.step
        if step is None:
            if claim.run.plan is None:
                await self._end(claim, RunState.FAILED, "there is no plan; nothing was run")
            else:
                await self._end(claim, RunState.SUCCEEDED, "")
            return
        try:
            settled = await self._gate.perform(claim)
        except Refused as no:
            await self._refused(claim, step, no.reason)
            return
        if settled.effect.state is EffectState.IN_DOUBT:
            await self._doubt(claim, step, settled.effect.summary)
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
        await self._write(claim, verifying, due_at=now, change="step done", text=text)

    async def _verify(self, claim: Claim) -> None:
        """Look once, and either count it, give up, or look again later."""
        run, step = claim.run, claim.run.step
        if step is None or step.verify is None:
            await self._end(claim, RunState.FAILED, "there is nothing to verify")
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
        await self._write(claim, looked, due_at=due, change="checked" if first else "")

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

        await self._write(
            claim,
            done,
            due_at=None if last else now,
            change=RunState.SUCCEEDED.value if last else f"step {became}",
            text=f"{step.title}: {summary}",
        )

    async def _doubt(self, claim: Claim, step: PlannedStep, why: str) -> None:
        def doubted(run: Run) -> Run:
            run = record(run, step.id, state=StepState.IN_DOUBT, summary=why)
            return advance(run, RunState.IN_DOUBT, reason=why)

        text = f"{step.title}: it is not known whether this took place ({why}); a person must look"
        await self._write(claim, doubted, due_at=None, change="in doubt", text=text)

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
            await self._cancel(replace(claim, run=run))
            return
        await self._end_failed(claim, step, why)

    async def _end_failed(self, claim: Claim, step: PlannedStep, why: str) -> None:
        """End a run at a failed step, and roll back where the plan announced it."""
        now = self._clock.now()
        roll_back = step.on_failure == "rollback" and bool(claim.run.undoes)

        def failed(run: Run) -> Run:
            run = record(run, step.id, state=StepState.FAILED, summary=why, ended_at=now)
            return advance(run, RunState.FAILED, reason=why, at=now)

        text = f"{step.title} failed: {why}"
        child = _rollback_of(claim.run, now) if roll_back else None
        await self._write(claim, failed, due_at=None, change="failed", text=text, child=child)

    async def _end(self, claim: Claim, state: RunState, reason: str) -> None:
        now = self._clock.now()
        text = f"“{claim.run.title}” {state}" + (f": {reason}" if reason else "")
        await self._write(
            claim,
            lambda r: _ended(r, state, reason, now),
            due_at=None,
            change=state.value,
            text=text,
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

    async def _write(
        self,
        claim: Claim,
        change_run: Change,
        *,
        due_at: datetime | None,
        change: str = "",
        text: str = "",
        child: Run | None = None,
    ) -> None:
        """Apply a change to the run as it is now, release the claim, and tell.

        Where a person answered or stopped the run in the meantime, this move was
        decided on old news: nothing is changed, and the run is looked at again.
        """
        now = self._clock.now()
        async with self._database.transaction() as tx:
            current = await tx.runs.get(claim.run.id)
            if current.state is not claim.run.state:
                again = None if current.state.over else now
                await tx.runs.save(current, due_at=again, fence=claim.fence)
                return
            run = change_run(current)
            if current.stop_requested_by is not None and not run.state.over:
                due_at = now
            await tx.runs.save(run, due_at=due_at, fence=claim.fence)
            if child is not None:
                await tx.runs.add(child, due_at=now)
            if change and text:
                await tell(tx, run, change, at=now, text=text)
            elif change:
                await tx.outbox.add(Happening(kind="run", subject=run.id, change=change, at=now))


def _ended(run: Run, state: RunState, reason: str, at: datetime) -> Run:
    """End a run whatever it is doing; an end it already has stays."""
    if run.state.over:
        return run
    if state is RunState.EXPIRED and run.approval is not None:
        run = replace(run, approval=expire(run.approval, at))
    return advance(run, state, reason=reason, at=at)


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
    )
