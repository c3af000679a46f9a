"""THE GATE: the one place that calls an action's handler.

Every effect on a system walks the same way: checks and intent in one
transaction, the effect outside of any, the outcome in a second transaction. The
checks are read in the transaction that writes the intent, so that no approval,
expiry or kill switch can change in between. What cannot be recorded is not done.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bot.domain.actions import (
    ActionCall,
    ActionFailed,
    ActionResult,
    Arguments,
    DryRun,
    Effect,
    Happened,
    Reconciliation,
    Risk,
)
from bot.domain.breakers import Trouble
from bot.domain.effects import EffectRecord, EffectState
from bot.domain.errors import Refused, Stale
from bot.domain.ledger import Entry
from bot.domain.runs import PlannedStep, Run, StepState, record
from bot.ports import Claim, Clock, Database
from bot.services.authority import Authority, check_consent
from bot.services.brakes import Looping
from bot.services.governing import Denied, Governor
from bot.services.people import PeopleService
from bot.services.registry import Registry, answer, check_arguments, clean
from bot.services.stopping import Halted, Watch

log = logging.getLogger(__name__)

_TROUBLE = {EffectState.FAILED: Trouble.FAILED, EffectState.IN_DOUBT: Trouble.IN_DOUBT}


@dataclass(frozen=True, kw_only=True)
class Settled:
    """An effect with its outcome, and what would take it back."""

    effect: EffectRecord
    result: ActionResult | None = None


# Sees to it that the record up to now is signed and held elsewhere, or refuses.
Covered = Callable[[], Awaitable[None]]


async def _uncovered() -> None:
    """Let effects happen without a copy of the record elsewhere."""


class ActionGate:
    """Performs actions: reads at once, effects only with authority and a record.

    `covered` is called before each effect of R3 or R4, after its intent.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        registry: Registry,
        governor: Governor,
        people: PeopleService,
        covered: Covered = _uncovered,
    ) -> None:
        self._database = database
        self._clock = clock
        self._governor = governor
        self._authority = Authority(database, registry, governor=governor, people=people)
        self._watch = Watch(database, governor)
        self._covered = covered
        self.registry = registry

    async def read(self, uses: str, arguments: Arguments, *, timeout: float) -> ActionResult:
        """Call a read-only action; `timeout` is in seconds.

        Raises:
            Refused: the action changes things, or the arguments do not fit.
            ActionFailed: it did not answer, or not in time.
        """
        action = self.registry.get(uses)
        if action.effect is not Effect.READ:
            raise Refused(f"{uses} changes things, so it cannot be used to look.")
        check_arguments(action, arguments)
        call = ActionCall(key="", arguments=arguments, timeout=timeout)
        seen = await answer(uses, lambda: action.handler(call), timeout=timeout)
        return replace(seen, summary=clean(seen.summary))

    async def dry_run(self, uses: str, arguments: Arguments, *, timeout: float) -> DryRun | None:
        """Ask an action what it would change; None where it cannot tell.

        Raises:
            Refused: the arguments do not fit, or the action says no.
            ActionFailed: it did not answer, or not in time.
        """
        action = self.registry.get(uses)
        check_arguments(action, arguments)
        dry_run = action.dry_run
        if dry_run is None:
            return None
        call = ActionCall(key="", arguments=arguments, timeout=timeout)
        seen = await answer(f"the dry run of {uses}", lambda: dry_run(call), timeout=timeout)
        return replace(seen, diff=clean(seen.diff))

    async def perform(self, claim: Claim) -> Settled:
        """Bring about the effect of the run's current step, at most once if need be.

        An effect that is already settled is returned as it is. One whose
        outcome was lost is looked up in the world before anything else.

        Raises:
            Refused: an invariant forbids it; nothing happened.
            Postponed: it cannot be decided now; nothing happened.
            Stale: the claim has passed to another worker; nothing happened.
        """
        step = _current_step(claim.run)
        key = claim.run.effect_key(step)
        async with self._database.reading() as view:
            known = await view.effects.get(key)
        if known is not None and known.state in (EffectState.SUCCEEDED, EffectState.FAILED):
            return Settled(effect=known)
        if known is not None:
            return await self._reconcile(claim, step, known)
        intent = await self._intend(claim, step, attempts=1)
        return await self._carry_out(claim, step, intent)

    async def _carry_out(self, claim: Claim, step: PlannedStep, intent: EffectRecord) -> Settled:
        """Call the handler, and never past the deadline that the intent announced.

        The deadline counts from the intent: a worker that was held up after it
        must not act when another may already have looked and found nothing.
        """
        action = self.registry.get(step.uses)
        call = ActionCall(key=intent.key, arguments=step.arguments, timeout=step.timeout)
        try:
            if step.risk >= Risk.R3:
                await self._covered()
                await self._look_again(claim, step)
            async with asyncio.timeout(self._left(intent, step)):
                result = await self._watch.over(claim, step, lambda: action.handler(call))
        except Stale:
            raise  # the effect is another worker's now
        except (Refused, ActionFailed) as no:
            return await self._complete(claim, step, _failed(intent, no.reason))
        except TimeoutError:
            return await self._look(claim, step, intent, why=f"no answer in {step.timeout:g} s")
        except Halted as halted:
            stopped = replace(intent, stopped=True)
            if halted.unchanged:
                return await self._complete(claim, step, _failed(stopped, halted.reason))
            return await self._look(claim, step, stopped, why=halted.reason)
        except Exception as error:  # any handler's error leaves the effect in doubt, never the run
            log.exception("effect %s broke off", intent.key)
            return await self._look(claim, step, intent, why=f"{type(error).__name__}: {error}")
        done = replace(
            intent, state=EffectState.SUCCEEDED, summary=result.summary, value=result.value
        )
        return await self._complete(claim, step, done, result=result)

    async def _look_again(self, claim: Claim, step: PlannedStep) -> None:
        """Read again what may have changed while the record was being covered.

        Raises:
            Refused: a switch was pulled, or the run was stopped.
            Stale: the claim has passed to another worker.
        """
        async with self._database.transaction() as tx:
            run = await tx.runs.get(claim.run.id)
            await tx.runs.keep(run, fence=claim.fence)
            await self._governor.hold_back(tx, run, [step.uses])
        if run.stop_requested_by is not None:
            raise Refused("The run was stopped; nothing was run.")

    def _left(self, intent: EffectRecord, step: PlannedStep) -> float:
        left = min(step.timeout, (_deadline(intent, step) - self._clock.now()).total_seconds())
        if left <= 0:
            raise Refused("the worker was held up past the step's time; nothing was run")
        return left

    async def _intend(self, claim: Claim, step: PlannedStep, *, attempts: int) -> EffectRecord:
        """Check everything and write the decision and the intent, in one transaction."""
        present = await self._authority.present(claim, now=self._clock.now())
        now = self._clock.now()
        try:
            async with self._database.transaction() as tx:
                run = await tx.runs.get(claim.run.id)
                plan = await self._authority.check(tx, run, step, present, now=now)
                decision, decided = await self._governor.admit(
                    tx, run, step, at=now, requester=present.requester
                )
                try:
                    check_consent(plan, decision, present)
                except Refused as no:
                    raise Denied(decided, run.incident, no.reason) from no
                intent = EffectRecord(
                    key=run.effect_key(step),
                    run=run.id,
                    uses=step.uses,
                    arguments=step.arguments,
                    state=EffectState.INTENDED,
                    intended_at=now,
                    attempts=attempts,
                    service=run.service,
                    runbook=run.runbook,
                    subject=run.subject,
                    risk=int(step.risk),
                    decision=decided.id,
                )
                run = record(run, step.id, state=StepState.RUNNING, started_at=now)
                await tx.runs.keep(run, fence=claim.fence)
                await tx.effects.save(intent)
                await self._governor.keep(
                    tx, decided, incident=run.incident, risk=int(step.risk), action=step.uses
                )
                await tx.ledger.append(_entry("action.intent", run, step, intent, at=now))
        except Denied as denied:
            async with self._database.transaction() as tx:
                await self._governor.keep(
                    tx,
                    denied.record,
                    incident=denied.incident,
                    risk=int(step.risk),
                    action=step.uses,
                )
            raise
        except Looping:
            async with self._database.transaction() as tx:
                await self._governor.trouble(tx, claim.run, step.uses, Trouble.LOOP, at=now)
            raise
        return intent

    async def _look(
        self, claim: Claim, step: PlannedStep, intent: EffectRecord, *, why: str
    ) -> Settled:
        """Find out whether an effect that broke off took place."""
        seen = await self._last_look(step, intent)
        if seen.happened is Happened.YES:
            done = replace(intent, state=EffectState.SUCCEEDED, summary=seen.detail)
            return await self._complete(claim, step, done)
        if seen.happened is Happened.NO:
            return await self._complete(claim, step, _failed(intent, f"{why}; {seen.detail}"))
        doubt = replace(intent, state=EffectState.IN_DOUBT, summary=f"{why}; {seen.detail}")
        return await self._complete(claim, step, doubt)

    async def _reconcile(self, claim: Claim, step: PlannedStep, known: EffectRecord) -> Settled:
        """Settle an effect whose worker is gone.

        What certainly did not happen is done now; what is unknown is repeated
        only if the action is idempotent, and otherwise handed to a person.

        Raises:
            Refused: it did not happen and may not be done any more.
        """
        seen = await self._last_look(step, known)
        if seen.happened is Happened.YES:
            done = replace(known, state=EffectState.SUCCEEDED, summary=seen.detail)
            return await self._complete(claim, step, done)
        doubt = replace(known, state=EffectState.IN_DOUBT, summary=seen.detail)
        if seen.happened is Happened.UNKNOWN and not step.idempotent:
            return await self._complete(claim, step, doubt)
        try:
            intent = await self._intend(claim, step, attempts=known.attempts + 1)
        except Refused as no:
            # The first attempt has its intent, so it must get an outcome.
            if seen.happened is Happened.UNKNOWN:
                return await self._complete(claim, step, doubt)
            await self._complete(claim, step, _failed(known, f"{seen.detail}; {no.reason}"))
            raise
        return await self._carry_out(claim, step, intent)

    async def _last_look(self, step: PlannedStep, effect: EffectRecord) -> Reconciliation:
        """Look at the world: a yes counts at once, anything else only after the deadline.

        Until then a request of ours, or of a worker that is gone, may still be under way.
        """
        left = (_deadline(effect, step) - self._clock.now()).total_seconds()
        seen = await self._reconciled(step, effect)
        if seen.happened is Happened.YES or left <= 0:
            return seen
        await asyncio.sleep(min(left, step.timeout))  # a clock that was set back is not waited for
        return await self._reconciled(step, effect)

    async def _reconciled(self, step: PlannedStep, effect: EffectRecord) -> Reconciliation:
        action = self.registry.actions.get(step.uses)
        if action is None or action.reconcile is None:
            return Reconciliation(
                happened=Happened.UNKNOWN, detail="this action cannot be looked up afterwards"
            )
        call = ActionCall(key=effect.key, arguments=effect.arguments, timeout=step.timeout)
        try:
            async with asyncio.timeout(step.timeout):
                return await action.reconcile(call)
        except Exception as error:  # noqa: BLE001  # a look that fails tells nothing, which is an answer
            log.warning("reconciling %s failed: %s", effect.key, error)
            return Reconciliation(
                happened=Happened.UNKNOWN, detail=f"the target could not be asked: {error}"
            )

    async def _complete(
        self,
        claim: Claim,
        step: PlannedStep,
        effect: EffectRecord,
        *,
        result: ActionResult | None = None,
    ) -> Settled:
        now = self._clock.now()
        effect = replace(effect, ended_at=now, summary=clean(effect.summary))
        async with self._database.transaction() as tx:
            run = await tx.runs.get(claim.run.id)
            await tx.runs.keep(run, fence=claim.fence)
            await tx.effects.save(effect)
            entry = _entry("action.outcome", run, step, effect, at=now)
            body = {**entry.body, "summary": effect.summary}
            await tx.ledger.append(replace(entry, outcome=effect.state.value, body=body))
            trouble = _TROUBLE.get(effect.state)
            if trouble is not None and not effect.stopped:
                await self._governor.trouble(tx, run, step.uses, trouble, at=now)
        return Settled(effect=effect, result=result)


def _deadline(effect: EffectRecord, step: PlannedStep) -> datetime:
    return effect.intended_at + timedelta(seconds=step.timeout)


def _current_step(run: Run) -> PlannedStep:
    step = run.step
    if step is None:
        raise Refused("There is no step left to run.")
    return step


def _failed(intent: EffectRecord, reason: str) -> EffectRecord:
    return replace(intent, state=EffectState.FAILED, summary=reason)


def _entry(type: str, run: Run, step: PlannedStep, effect: EffectRecord, *, at: datetime) -> Entry:
    plan = run.plan
    return Entry(
        type=type,
        actor="bot",
        at=at,
        on_behalf_of=run.requester.actor,
        incident=run.incident,
        action=step.uses,
        risk=int(step.risk),
        plan_digest=plan.digest if plan else None,
        policy_digest=plan.policy_digest if plan else None,
        decision_id=effect.decision or None,
        idem_key=effect.key,
        body={"run": run.id, "step": step.id, "arguments": dict(step.arguments)},
    )
