"""The moves of a run: plan it, begin it, bring an effect about, verify it, end it.

Each move is decided on the claimed run, does its work outside of any
transaction, and is written in one, together with what is told of it.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, replace
from datetime import datetime

from bot.domain.approvals import Approval, Verdict, expire, ripen
from bot.domain.canonical import NotCanonical
from bot.domain.effects import EffectState
from bot.domain.errors import Postponed, Refused
from bot.domain.runs import (
    PlannedStep,
    Run,
    RunState,
    advance,
    freeze,
)
from bot.ports import Claim, Clock, Database, Transaction
from bot.services.actions import ActionGate
from bot.services.governing import Denied, Governor
from bot.services.planning import Draft, NothingToDo, Planner
from bot.services.steps import StepMoves
from bot.services.superseding import REASON, outdated
from bot.services.writing import AGAIN, RunWriter

log = logging.getLogger(__name__)


class RunMoves:
    """Moves a claimed run by one step of its life."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        gate: ActionGate,
        planner: Planner,
        governor: Governor,
    ) -> None:
        self._database = database
        self._clock = clock
        self._gate = gate
        self._planner = planner
        self._governor = governor
        self._writer = RunWriter(database, clock, governor)
        self._steps = StepMoves(database, clock, gate=gate, governor=governor, writer=self._writer)

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
            await self._steps.perform(claim)
        elif run.state is RunState.VERIFYING:
            await self._steps.verify(claim)
        elif run.state is RunState.MANUAL:
            await self._steps.manual.overdue(claim)
        else:
            await self._writer.write(claim, lambda r: r, due_at=None)

    async def give_up(self, claim: Claim, why: str) -> None:
        """End a run that cannot be moved, or leave its effect to a person."""
        step = claim.run.step
        if step is not None and await self._unsettled(claim, step):
            await self._steps.doubt(claim, step, why)
            return
        await self._writer.end(claim, RunState.FAILED, why)

    async def _unsettled(self, claim: Claim, step: PlannedStep) -> bool:
        async with self._database.reading() as view:
            effect = await view.effects.get(claim.run.effect_key(step))
        return effect is not None and effect.state in (EffectState.INTENDED, EffectState.IN_DOUBT)

    async def _stopped(self, claim: Claim) -> None:
        """End a run that a person stopped, once an effect it began is accounted for."""
        step = claim.run.step
        if claim.run.state is RunState.MANUAL:
            await self._steps.manual.stop(claim)
            return
        if claim.run.state is RunState.RUNNING and step is not None:
            async with self._database.reading() as view:
                effect = await view.effects.get(claim.run.effect_key(step))
            if effect is not None and effect.state is not EffectState.FAILED:
                await self._steps.perform(claim)
                return
        await self._writer.cancel(claim)

    async def _plan(self, claim: Claim) -> None:
        now = self._clock.now()
        try:
            draft = await self._draft(claim.run, now)
        except Denied as no:
            await self._writer.end(claim, RunState.FAILED, no.reason, denied=no)
            return
        except NothingToDo as no:
            facts = [asdict(fact) for fact in no.facts]
            await self._writer.end(claim, no.state, no.reason, more={"facts": facts})
            return
        except Refused as no:
            await self._writer.end(claim, RunState.FAILED, no.reason)
            return
        except Postponed as later:
            await self._writer.postpone(claim, later.reason)
            return
        except NotCanonical as no:
            await self._writer.end(claim, RunState.FAILED, f"the plan cannot be recorded: {no}")
            return
        await self._planned(claim, draft, now)

    async def _planned(self, claim: Claim, draft: Draft, now: datetime) -> None:
        """Bind the run to its plan, and tell who has to consent, or until when to object."""

        def planned(run: Run) -> Run:
            run = replace(freeze(run, draft.plan), approval=draft.approval)
            granted = draft.approval.verdict is Verdict.GRANTED
            return advance(run, RunState.APPROVED if granted else RunState.AWAITING)

        async def recorded(tx: Transaction, run: Run) -> None:
            if draft.decision is not None:
                risk = int(draft.plan.risk)
                await self._governor.keep(tx, draft.decision, incident=run.incident, risk=risk)

        decided = f": {draft.plan.decided}" if draft.plan.decided else ""
        count = len(draft.plan.steps)
        steps = f"{count} step{'' if count == 1 else 's'}"
        await self._writer.write(
            claim,
            planned,
            due_at=_first_due(draft.approval, now),
            change="planned",
            text=f"planned “{claim.run.title}”: {steps}, R{draft.plan.risk:d}{decided}",
            also=recorded,
            more={"plan": draft.plan.content},
        )

    async def _draft(self, run: Run, now: datetime) -> Draft:
        if run.parent is None:
            return await self._planner.plan(run, at=now)
        async with self._database.reading() as view:
            parent = await view.runs.get(run.parent)
        if run.rollback:
            return await self._planner.plan_rollback(run, parent, at=now)
        return await self._planner.plan_undo(run, parent, at=now)

    async def _expire(self, claim: Claim) -> None:
        """End a request that nobody answered in time, or grant one that nobody objected to."""
        approval = claim.run.approval
        now = self._clock.now()
        if approval is None:
            await self._writer.write(claim, lambda r: r, due_at=None)
            return
        ripe = ripen(approval, now)
        if ripe.verdict is Verdict.GRANTED:
            await self._unvetoed(claim, ripe, now)
        elif expire(approval, now).verdict is Verdict.EXPIRED:
            await self._writer.end(
                claim, RunState.EXPIRED, "nobody answered in time; nothing was run"
            )
        else:
            await self._writer.write(claim, lambda r: r, due_at=_first_due(approval, now))

    async def _unvetoed(self, claim: Claim, approval: Approval, now: datetime) -> None:
        await self._writer.write(
            claim,
            lambda r: advance(replace(r, approval=approval), RunState.APPROVED),
            due_at=now,
            change="approved",
            text=f"nobody stopped “{claim.run.title}” in time",
            type="approval.unvetoed",
        )

    async def _begin(self, claim: Claim) -> None:
        """Take what only one run may hold, use up what was given once, and begin."""
        now, run = self._clock.now(), claim.run
        approval = run.approval
        if approval is None or expire(approval, now).verdict is Verdict.EXPIRED:
            await self._writer.end(claim, RunState.EXPIRED, "the approval expired before the start")
            return
        if outdated(run, self._planner.digests):
            await self._writer.end(claim, RunState.SUPERSEDED, REASON)
            return
        try:
            await self._writer.write(
                claim,
                lambda r: advance(r, RunState.RUNNING),
                due_at=now,
                change="started",
                text=f"started “{run.title}”",
                also=self._taking,
            )
        except Postponed:
            await self._writer.write(claim, lambda r: r, due_at=now + AGAIN)
        except Refused as no:
            await self._writer.end(claim, RunState.FAILED, no.reason)

    async def _taking(self, tx: Transaction, run: Run) -> None:
        """Reserve the run's key, and use its broken glass.

        Raises:
            Postponed: another run holds the key.
            Refused: a freeze is about to begin, or the glass is used or expired.
        """
        now, plan, rules = self._clock.now(), run.plan, self._governor.rules
        if plan is None:
            return
        holder = await rules.brakes.reserve(tx, plan.concurrency_key, run.id)
        if holder is not None:
            raise Postponed(f"the run {holder} holds {plan.concurrency_key}")
        if not run.rollback:
            self._governor.check_time(run, plan, at=now)
        if plan.break_glass is not None and not run.rollback:
            await rules.emergencies.use(tx, plan.break_glass, run=run.id, at=now)


def _first_due(approval: Approval, now: datetime) -> datetime:
    """Say when a plan has to be looked at again if nobody touches it."""
    if approval.verdict is Verdict.GRANTED:
        return now
    return min(approval.answer_by, approval.veto_until or approval.answer_by)
