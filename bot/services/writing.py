"""How a move of a run is written: with what is told of it, in one transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from bot.domain.actions import JSON
from bot.domain.approvals import expire
from bot.domain.events import Happening
from bot.domain.runs import Run, RunState, advance
from bot.ports import Claim, Clock, Database, Transaction
from bot.services.governing import Denied, Governor
from bot.services.rollbacks import end_rolled_back
from bot.services.superseding import withdrawn
from bot.services.telling import tell

AGAIN = timedelta(seconds=2)  # until what was postponed is tried again
PATIENCE = timedelta(minutes=5)  # for which a wish may wait to become a plan

Change = Callable[[Run], Run]
Also = Callable[[Transaction, Run], Awaitable[None]]


class RunWriter:
    """Writes moves by a claim, and lets go of what a run holds when it ends."""

    def __init__(self, database: Database, clock: Clock, governor: Governor) -> None:
        self._database = database
        self._clock = clock
        self._governor = governor

    async def write(
        self,
        claim: Claim,
        change_run: Change,
        *,
        due_at: datetime | None,
        change: str = "",
        text: str = "",
        type: str = "",
        child: Run | None = None,
        also: Also | None = None,
        more: Mapping[str, JSON] | None = None,
    ) -> None:
        """Apply a change to the run as it is now, release the claim, and tell.

        Where a person answered or stopped the run in the meantime, this move was
        decided on old news: nothing is changed, and the run is looked at again.
        `also` is done in the same transaction, `more` is added to the ledger's
        entry.
        """
        now = self._clock.now()
        async with self._database.transaction() as tx:
            current = await tx.runs.get(claim.run.id)
            if current.state is not claim.run.state:
                again = None if current.state.over else now
                await tx.runs.save(current, due_at=again, fence=claim.fence)
                return
            run = change_run(current)
            if current.stop_requested_by is not None:
                child = None  # who stops a run asks for its effects to be taken back, if at all
            if current.stop_requested_by is not None and not run.state.over:
                due_at = now
            await tx.runs.save(run, due_at=due_at, fence=claim.fence)
            if also is not None:
                await also(tx, run)
            if child is not None:
                await tx.runs.add(child, due_at=now)
            await self._let_go(tx, run, child)
            await end_rolled_back(tx, run, at=now)
            if change and text:
                await tell(tx, run, change, at=now, text=text, type=type, more=more)
            elif change:
                await tx.outbox.add(Happening(kind="run", subject=run.id, change=change, at=now))

    async def _let_go(self, tx: Transaction, run: Run, child: Run | None) -> None:
        """Free what a run holds when it is over, or pass it on to its rollback.

        One that is in doubt goes on holding it: nobody else should act on what
        nobody knows the state of.
        """
        if child is None and (not run.state.over or run.state is RunState.IN_DOUBT):
            return
        plan, brakes = run.plan, self._governor.rules.brakes
        if plan is None and run.rollback and run.parent is not None:
            plan = (await tx.runs.get(run.parent)).plan  # it was handed its parent's
        if plan is None:
            return
        if child is not None:
            await brakes.hand_over(tx, plan.concurrency_key, run.id, child.id)
        else:
            await brakes.free(tx, plan.concurrency_key, run.id)

    async def end(
        self,
        claim: Claim,
        state: RunState,
        reason: str,
        *,
        denied: Denied | None = None,
        also: Also | None = None,
        more: Mapping[str, JSON] | None = None,
    ) -> None:
        """End a run, whatever it is doing, with the decision that denied it where one did."""
        now = self._clock.now()
        text = f"“{claim.run.title}” {state}" + (f": {reason}" if reason else "")

        async def recorded(tx: Transaction, run: Run) -> None:
            if denied is not None:
                risk = run.plan.risk if run.plan else denied.risk
                await self._governor.keep(
                    tx, denied.record, incident=denied.incident, risk=int(risk)
                )
            if also is not None:
                await also(tx, run)

        await self.write(
            claim,
            lambda r: _ended(r, state, reason, now),
            due_at=None,
            change=state.value,
            text=text,
            also=recorded,
            more=more,
        )

    async def cancel(self, claim: Claim, *, also: Also | None = None) -> None:
        """End a run because a person stopped it."""
        who = claim.run.stop_requested_by
        reason = f"stopped by {who.name}" if who else "stopped"
        await self.end(claim, RunState.CANCELLED, reason, also=also)

    async def postpone(self, claim: Claim, why: str) -> None:
        """Try again soon, but not for ever: what nobody hears of is not on its way."""
        now = self._clock.now()
        if now - claim.run.created_at > PATIENCE and claim.run.state is RunState.DRAFT:
            await self.end(claim, RunState.FAILED, why)
            return
        await self.write(claim, lambda r: r, due_at=now + AGAIN)


def _ended(run: Run, state: RunState, reason: str, at: datetime) -> Run:
    """End a run whatever it is doing; an end it already has stays."""
    if run.state.over:
        return run
    if state is RunState.EXPIRED and run.approval is not None:
        run = replace(run, approval=expire(run.approval, at))
    if state is RunState.SUPERSEDED:
        run = replace(run, approval=withdrawn(run.approval))
    return advance(run, state, reason=reason, at=at)
