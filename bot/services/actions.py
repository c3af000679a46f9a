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
from dataclasses import replace
from datetime import datetime

from bot.domain.actions import (
    ActionCall,
    ActionFailed,
    ActionResult,
    Arguments,
    DryRun,
    Effect,
    Happened,
    Output,
    Report,
    Risk,
    Transient,
)
from bot.domain.breakers import Trouble
from bot.domain.effects import EffectRecord, EffectState
from bot.domain.errors import Refused, Stale
from bot.domain.retries import next_attempt
from bot.domain.runs import PlannedStep, Run, RunId, StepState, record
from bot.ports import Claim, Clock, Database, Outputs
from bot.services.authority import Authority, check_consent
from bot.services.brakes import Looping
from bot.services.doubts import ASK, Inquiry, deadline
from bot.services.governing import Denied, Governor
from bot.services.outcomes import INTENT, OUTCOME, Settled, effect_entry, failed
from bot.services.people import PeopleService
from bot.services.preconditions import check_preconditions
from bot.services.reading import Reader
from bot.services.registry import Redact, Registry, clean, own, unredacted
from bot.services.stopping import Halted, Watch

__all__ = ["ActionGate", "Covered", "Settled"]

log = logging.getLogger(__name__)

_TROUBLE = {EffectState.FAILED: Trouble.FAILED, EffectState.IN_DOUBT: Trouble.IN_DOUBT}


# Sees to it that the record up to now is signed and held elsewhere, or refuses.
Covered = Callable[[], Awaitable[None]]


async def _uncovered() -> None:
    """Let effects happen without a copy of the record elsewhere."""


class Unheard:
    """Drops what steps print."""

    def reporter(self, run: RunId, step: str, attempt: int) -> Report:
        """Return what takes the output of one attempt, and forgets it."""
        return _forget


def _forget(output: Output) -> None:
    pass


class ActionGate:
    """Performs actions: reads at once, effects only with authority and a record.

    `covered` is called before each effect of R3 or R4, after its intent. What
    steps print goes to `outputs`; `redact` takes secrets out of whatever comes
    back from actions, before it is stored or shown.
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
        outputs: Outputs | None = None,
        redact: Redact = unredacted,
    ) -> None:
        self._database = database
        self._clock = clock
        self._governor = governor
        self._authority = Authority(database, registry, governor=governor, people=people)
        self._watch = Watch(database, governor)
        self._inquiry = Inquiry(registry, clock)
        self._covered = covered
        self._outputs = outputs or Unheard()
        self._redact = redact
        self.reader = Reader(registry, redact)
        self.registry = registry

    async def read(self, uses: str, arguments: Arguments, *, timeout: float) -> ActionResult:
        """Call a read-only action; `timeout` is in seconds.

        Raises:
            Refused: the action changes things, or the arguments do not fit.
            ActionFailed: it did not answer, or not in time.
        """
        return await self.reader.read(uses, arguments, timeout=timeout)

    async def dry_run(self, uses: str, arguments: Arguments, *, timeout: float) -> DryRun | None:
        """Ask an action what it would change; None where it cannot tell.

        Raises:
            Refused: the arguments do not fit, or the action says no.
            ActionFailed: it did not answer, or not in time.
        """
        return await self.reader.dry_run(uses, arguments, timeout=timeout)

    async def perform(self, claim: Claim) -> Settled:
        """Bring about the effect of the run's current step, at most once if need be.

        An effect that is already settled is returned as it is, unless it failed
        for a moment and is due again. One whose outcome was lost is looked up in
        the world before anything else.

        Raises:
            Refused: an invariant forbids it; nothing happened.
            Postponed: it cannot be decided now; nothing happened.
            Stale: the claim has passed to another worker; nothing happened.
        """
        step = _current_step(claim.run)
        async with self._database.reading() as view:
            known = await view.effects.get(claim.run.effect_key(step))
        if known is None:
            intent = await self._intend(claim, step, attempts=1)
            return await self._carry_out(claim, step, intent)
        if known.state is EffectState.SUCCEEDED:
            return Settled(effect=known)
        if known.state is EffectState.FAILED:
            return await self._repeat(claim, step, known)
        if step.manual:
            return await self._hand_over(claim, step, known)
        return await self._reconcile(claim, step, known)

    async def _repeat(self, claim: Claim, step: PlannedStep, known: EffectRecord) -> Settled:
        """Try a failed effect again once that is due; each attempt has its own intent."""
        due = self._again_at(step, known)
        if due is None or due > self._clock.now():
            return Settled(effect=known, again_at=due)
        intent = await self._intend(claim, step, attempts=known.attempts + 1)
        return await self._carry_out(claim, step, intent)

    def _again_at(self, step: PlannedStep, effect: EffectRecord) -> datetime | None:
        return next_attempt(step, self.registry.actions.get(step.uses), effect)

    async def _carry_out(
        self, claim: Claim, step: PlannedStep, intent: EffectRecord, *, doubted: bool = False
    ) -> Settled:
        """Call the handler, and never past the deadline that the intent announced.

        The deadline counts from the intent: a worker that was held up after it
        must not act when another may already have looked and found nothing.
        `doubted` says that an earlier attempt may have had the effect.
        """
        if step.manual:
            return await self._hand_over(claim, step, intent)
        try:
            await self._cover(claim, step)
            async with asyncio.timeout(self._left(intent, step)):
                call = self._call(claim.run, step, intent)
                result = await self._watch.over(
                    claim, step, lambda: self._start(step, intent, call)
                )
        except Stale:
            raise  # the effect is another worker's now
        except Refused as no:
            return await self._fail(claim, step, intent, no.reason, doubted=doubted)
        except ActionFailed as no:
            missed = replace(intent, transient=no.transient)
            return await self._fail(claim, step, missed, no.reason, doubted=doubted)
        except TimeoutError:
            late = replace(intent, transient=Transient.TIMEOUT)
            return await self._look(claim, step, late, why=f"no answer in {step.timeout:g} s")
        except Halted as halted:
            stopped = replace(intent, stopped=True)
            if halted.unchanged:
                return await self._fail(claim, step, stopped, halted.reason, doubted=doubted)
            return await self._look(claim, step, stopped, why=halted.reason)
        except Exception as error:  # any handler's error leaves the effect in doubt, never the run
            log.exception("effect %s broke off", intent.key)
            return await self._look(claim, step, intent, why=f"{type(error).__name__}: {error}")
        done = replace(
            intent, state=EffectState.SUCCEEDED, summary=result.summary, value=result.value
        )
        return await self._complete(claim, step, done, result=result)

    async def _fail(
        self, claim: Claim, step: PlannedStep, intent: EffectRecord, why: str, *, doubted: bool
    ) -> Settled:
        """Record that this attempt had no effect; one before it may have had it all the same."""
        if doubted:
            return await self._look(claim, step, intent, why=why)
        return await self._complete(claim, step, failed(intent, why))

    async def _start(
        self, step: PlannedStep, intent: EffectRecord, call: ActionCall
    ) -> ActionResult:
        """Call the handler while there is time; what only waits has none to call.

        The time is looked at once more: a worker that was stopped while it looked at
        the switches would be cancelled only after the handler's first turn.
        """
        self._left(intent, step)
        if step.waiting:
            return ActionResult(summary="waiting")
        return await self.registry.get(step.uses).handler(call)

    def _call(self, run: Run, step: PlannedStep, intent: EffectRecord) -> ActionCall:
        return ActionCall(
            key=intent.key,
            arguments=own(step.arguments),
            timeout=step.timeout,
            report=self._outputs.reporter(run.id, step.id, intent.attempts),
        )

    async def _hand_over(self, claim: Claim, step: PlannedStep, intent: EffectRecord) -> Settled:
        """Leave an intended effect to the person who brings it about and then says so."""
        try:
            await self._cover(claim, step)
        except Refused as no:
            return await self._complete(claim, step, failed(intent, no.reason))
        return Settled(effect=intent)

    async def _cover(self, claim: Claim, step: PlannedStep) -> None:
        """Have the record held elsewhere before what is hard to undo."""
        if step.risk >= Risk.R3:
            await self._covered()
            await self._look_again(claim, step)

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
        left = min(step.timeout, (deadline(intent, step) - self._clock.now()).total_seconds())
        if left <= 0:
            raise Refused("the worker was held up past the step's time; nothing was run")
        return left

    async def _intend(self, claim: Claim, step: PlannedStep, *, attempts: int) -> EffectRecord:
        """Check everything and write the decision and the intent, in one transaction."""
        present = await self._authority.present(claim, now=self._clock.now())
        if claim.run.plan is not None and step.effect is not Effect.READ:
            await check_preconditions(self.reader, claim.run.plan.preconditions)
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
                intent = replace(_intent(run, step, at=now, decision=decided.id), attempts=attempts)
                run = record(run, step.id, state=StepState.RUNNING, started_at=now)
                await tx.runs.keep(run, fence=claim.fence)
                await tx.effects.save(intent)
                await self._governor.keep(
                    tx, decided, incident=run.incident, risk=int(step.risk), action=step.uses
                )
                await tx.ledger.append(effect_entry(INTENT, run, step, intent, at=now))
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
        seen = await self._inquiry.look(step, intent)
        if seen.happened is Happened.YES:
            done = replace(intent, state=EffectState.SUCCEEDED, summary=seen.detail, transient=None)
            return await self._complete(claim, step, done)
        if seen.happened is Happened.NO:
            return await self._complete(claim, step, failed(intent, f"{why}; {seen.detail}"))
        told = f"{why}; {seen.detail}"
        doubt = replace(intent, state=EffectState.IN_DOUBT, summary=told, transient=None)
        return await self._complete(claim, step, doubt)

    async def _reconcile(self, claim: Claim, step: PlannedStep, known: EffectRecord) -> Settled:
        """Settle an effect whose worker is gone.

        What certainly did not happen is done now; what is unknown is repeated
        only if the action is idempotent, and otherwise handed to a person.

        Raises:
            Refused: it did not happen and may not be done any more.
        """
        seen = await self._inquiry.look(step, known)
        if seen.happened is Happened.YES:
            done = replace(known, state=EffectState.SUCCEEDED, summary=seen.detail)
            return await self._complete(claim, step, done)
        repeatable = step.idempotent and step.on_unknown != ASK
        if seen.happened is Happened.UNKNOWN and not repeatable:
            return await self._doubt(claim, step, known, seen.detail)
        try:
            intent = await self._intend(claim, step, attempts=known.attempts + 1)
        except Refused as no:
            # The first attempt has its intent, so it must get an outcome.
            if seen.happened is Happened.UNKNOWN:
                return await self._doubt(claim, step, known, seen.detail)
            await self._complete(claim, step, failed(known, f"{seen.detail}; {no.reason}"))
            raise
        doubted = seen.happened is Happened.UNKNOWN
        return await self._carry_out(claim, step, intent, doubted=doubted)

    async def _doubt(
        self, claim: Claim, step: PlannedStep, known: EffectRecord, why: str
    ) -> Settled:
        """Put a doubt on record, and only once: its worker may have died right after that."""
        if known.state is EffectState.IN_DOUBT:
            return Settled(effect=known)
        doubt = replace(known, state=EffectState.IN_DOUBT, summary=why)
        return await self._complete(claim, step, doubt)

    async def _complete(
        self,
        claim: Claim,
        step: PlannedStep,
        effect: EffectRecord,
        *,
        result: ActionResult | None = None,
    ) -> Settled:
        now = self._clock.now()
        effect = replace(effect, ended_at=now, summary=clean(effect.summary, self._redact))
        settled = Settled(effect=effect, result=result, again_at=self._again_at(step, effect))
        async with self._database.transaction() as tx:
            run = await tx.runs.get(claim.run.id)
            await tx.runs.keep(run, fence=claim.fence)
            await tx.effects.save(effect)
            await tx.ledger.append(effect_entry(OUTCOME, run, step, effect, at=now))
            trouble = _TROUBLE.get(effect.state)
            counts = trouble is not None and not effect.stopped and settled.again_at is None
            if trouble is not None and counts:
                await self._governor.trouble(tx, run, step.uses, trouble, at=now)
        return settled


def _current_step(run: Run) -> PlannedStep:
    step = run.step
    if step is None:
        raise Refused("There is no step left to run.")
    return step


def _intent(run: Run, step: PlannedStep, *, at: datetime, decision: str) -> EffectRecord:
    return EffectRecord(
        key=run.effect_key(step),
        run=run.id,
        uses=step.uses,
        arguments=step.arguments,
        state=EffectState.INTENDED,
        intended_at=at,
        service=run.service,
        runbook=run.runbook,
        subject=run.subject,
        risk=int(step.risk),
        decision=decision,
    )
