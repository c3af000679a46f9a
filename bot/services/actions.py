"""THE GATE: the one place that calls an action's handler.

Every effect on a system walks the same way: checks and intent in one
transaction, the effect outside of any, the outcome in a second transaction. The
checks are read in the transaction that writes the intent, so that no approval,
expiry or kill switch can change in between. What cannot be recorded is not done.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from bot.domain.actions import (
    Action,
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
from bot.domain.approvals import Approval, Verdict, satisfied
from bot.domain.effects import EffectRecord, EffectState
from bot.domain.errors import Refused
from bot.domain.ledger import Entry
from bot.domain.runs import Plan, PlannedStep, Run, RunState, StepState, record
from bot.ports import Claim, Clock, Database, Policy, Transaction

log = logging.getLogger(__name__)
T = TypeVar("T")

SUMMARY_LENGTH = 2000


class Registry:
    """All actions by reference (`name@major`)."""

    def __init__(self, actions: Iterable[Action]) -> None:
        self._actions: dict[str, Action] = {}
        for action in actions:
            if action.reference in self._actions:
                raise ValueError(f"two actions are called {action.reference}")
            if action.effect is not Effect.READ and action.risk is Risk.R0:
                raise ValueError(f"{action.reference} changes things, so its risk is R1 at least")
            Draft202012Validator.check_schema(dict(action.arguments))
            self._actions[action.reference] = action

    @property
    def actions(self) -> Mapping[str, Action]:
        """Return every action by its reference."""
        return self._actions

    def get(self, reference: str) -> Action:
        """Return an action.

        Raises:
            Refused: there is none of that name and version.
        """
        action = self._actions.get(reference)
        if action is None:
            raise Refused(f"There is no action {reference}; is its plugin enabled?")
        return action


def check_arguments(action: Action, arguments: Arguments) -> None:
    """Hold arguments against the action's JSON Schema.

    Raises:
        Refused: they do not fit; the sentence names the argument.
    """
    validator = Draft202012Validator(dict(action.arguments))
    fault = best_match(validator.iter_errors(dict(arguments)))
    if fault is not None:
        where = "/".join(str(part) for part in fault.path) or "arguments"
        raise Refused(f"{action.reference}: {where}: {fault.message[:200]}")


@dataclass(frozen=True, kw_only=True)
class Settled:
    """An effect with its outcome, and what would take it back."""

    effect: EffectRecord
    result: ActionResult | None = None


class ActionGate:
    """Performs actions: reads at once, effects only with authority and a record."""

    def __init__(
        self, database: Database, clock: Clock, *, registry: Registry, policy: Policy
    ) -> None:
        self._database = database
        self._clock = clock
        self._policy = policy
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
        seen = await _answer(uses, lambda: action.handler(call), timeout=timeout)
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
        seen = await _answer(f"the dry run of {uses}", lambda: dry_run(call), timeout=timeout)
        return replace(seen, diff=clean(seen.diff))

    async def perform(self, claim: Claim) -> Settled:
        """Bring about the effect of the run's current step, at most once if need be.

        An effect that is already settled is returned as it is. One whose
        outcome was lost is looked up in the world before anything else.

        Raises:
            Refused: an invariant forbids it; nothing happened.
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
        left = (_deadline(intent, step) - self._clock.now()).total_seconds()
        if left <= 0:
            late = "the worker was held up past the step's time; nothing was run"
            return await self._complete(claim, step, _failed(intent, late))
        action = self.registry.get(step.uses)
        call = ActionCall(key=intent.key, arguments=step.arguments, timeout=step.timeout)
        try:
            async with asyncio.timeout(left):
                result = await action.handler(call)
        except (Refused, ActionFailed) as no:
            return await self._complete(claim, step, _failed(intent, no.reason))
        except TimeoutError:
            return await self._look(claim, step, intent, why=f"no answer in {step.timeout:g} s")
        except Exception as error:  # any handler's error leaves the effect in doubt, never the run
            log.exception("effect %s broke off", intent.key)
            return await self._look(claim, step, intent, why=f"{type(error).__name__}: {error}")
        done = replace(
            intent, state=EffectState.SUCCEEDED, summary=result.summary, value=result.value
        )
        return await self._complete(claim, step, done, result=result)

    async def _intend(self, claim: Claim, step: PlannedStep, *, attempts: int) -> EffectRecord:
        """Check every invariant and write the intent, in one transaction."""
        now = self._clock.now()
        async with self._database.transaction() as tx:
            run = await tx.runs.get(claim.run.id)
            plan = await self._check(tx, run, step, now)
            intent = EffectRecord(
                key=run.effect_key(step),
                run=run.id,
                uses=step.uses,
                arguments=step.arguments,
                state=EffectState.INTENDED,
                intended_at=now,
                attempts=attempts,
            )
            run = record(run, step.id, state=StepState.RUNNING, started_at=now)
            await tx.runs.keep(run, fence=claim.fence)
            await tx.effects.save(intent)
            await tx.ledger.append(_entry("action.intent", run, plan, step, at=now))
        return intent

    async def _check(self, tx: Transaction, run: Run, step: PlannedStep, now: datetime) -> Plan:
        """Hold the invariants that no policy can lift.

        Raises:
            Refused: naming the one that does not hold.
        """
        halt = await tx.switches.halted()
        if halt is not None:
            raise Refused(f"The kill switch is pulled by {halt.by}; nothing was run.")
        plan, approval = run.plan, run.approval
        if plan is None or approval is None:
            raise Refused("There is no approved plan; nothing was run.")
        if run.state is not RunState.RUNNING or run.stop_requested_by is not None:
            raise Refused("The run was stopped; nothing was run.")
        check_authority(plan, approval, first=run.position == 0, now=now)
        if plan.authorised_by is not None:
            parent = await tx.runs.get(run.parent) if run.parent else None
            check_rollback(plan, parent)
        action = self.registry.get(step.uses)
        check_arguments(action, step.arguments)
        less_safe = step.idempotent and not action.idempotent
        if action.risk > step.risk or action.effect is not step.effect or less_safe:
            raise Refused(f"{step.uses} became riskier than what was approved; plan again.")
        if self._policy.digest != plan.policy_digest:
            raise Refused("The policy has changed since this plan was approved; plan again.")
        return plan

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
        await asyncio.sleep(left)
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
            entry = _entry("action.outcome", run, run.plan, step, at=now)
            body = {**entry.body, "summary": effect.summary}
            await tx.ledger.append(replace(entry, outcome=effect.state.value, body=body))
        return Settled(effect=effect, result=result)


async def _answer(what: str, ask: Callable[[], Awaitable[T]], *, timeout: float) -> T:
    """Wait for a read-only answer; whatever goes wrong is a failure with a reason.

    An error nobody expected must not break the run off that asked: a
    verification would be repeated for ever.
    """
    try:
        async with asyncio.timeout(timeout):
            return await ask()
    except Refused as no:
        raise Refused(clean(no.reason)) from no
    except ActionFailed as no:
        raise ActionFailed(clean(no.reason)) from no
    except TimeoutError as late:
        raise ActionFailed(f"{what} gave no answer within {timeout:g} s") from late
    except Exception as error:
        log.exception("%s broke off", what)
        raise ActionFailed(clean(f"{what} broke off: {type(error).__name__}: {error}")) from error


def clean(text: str) -> str:
    """Return foreign text as the record can hold it: no lone surrogates, not endless.

    What a target answers must never keep the outcome of an effect from being written.
    """
    return text.encode("utf-8", "replace").decode()[:SUMMARY_LENGTH]


def check_authority(plan: Plan, approval: Approval, *, first: bool, now: datetime) -> None:
    """Hold consent against the plan that is about to run.

    Everything is recomputed from the answers: the verdict that was stored is
    not believed on its own. Only the first effect is bound by the second
    expiry, since a run that has begun is not left half done by a clock.

    Raises:
        Refused: consent is missing, for another plan, or has expired.
    """
    if approval.digest not in (plan.digest, plan.authorised_by):
        raise Refused("The plan has changed since it was approved; nothing was run.")
    if approval.verdict is not Verdict.GRANTED:
        raise Refused(f"The plan is {approval.verdict}; nothing was run.")
    people = [a.person for a in approval.answers if a.approve]
    if any(p.bot or p.id == approval.requester.id or p.id in approval.excluded for p in people):
        raise Refused("An approval came from someone who may not give it; nothing was run.")
    if len({p.id for p in people}) != len(people):
        raise Refused("One person approved twice; nothing was run.")
    if not satisfied(plan.quorum, approval.answers):
        raise Refused("Approvals are missing; nothing was run.")
    if first and approval.execute_by is not None and now >= approval.execute_by:
        raise Refused("The approval has expired; nothing was run. Ask for a new plan.")


def check_rollback(plan: Plan, parent: Run | None) -> None:
    """Hold a rollback against the run whose consent it stands on.

    Raises:
        Refused: it is not of that run's plan, or does more than take its effects back.
    """
    if parent is None or parent.plan is None or plan.authorised_by != parent.plan.digest:
        raise Refused("The rollback is not of the plan that was approved; nothing was run.")
    announced = parent.step is not None and parent.step.on_failure == "rollback"
    if parent.state is not RunState.FAILED or not announced:
        raise Refused("The approved plan announced no rollback here; nothing was run.")
    undoes = {f"undo-{u.step}": u for u in parent.undoes}
    for step in plan.steps:
        undo = undoes.get(step.id)
        if undo is None or undo.uses != step.uses or not _within(undo.arguments, step.arguments):
            raise Refused("The rollback does more than take effects back; nothing was run.")


def _within(part: Arguments, whole: Arguments) -> bool:
    return all(key in whole and whole[key] == value for key, value in part.items())


def _deadline(effect: EffectRecord, step: PlannedStep) -> datetime:
    return effect.intended_at + timedelta(seconds=step.timeout)


def _current_step(run: Run) -> PlannedStep:
    step = run.step
    if step is None:
        raise Refused("There is no step left to run.")
    return step


def _failed(intent: EffectRecord, reason: str) -> EffectRecord:
    return replace(intent, state=EffectState.FAILED, summary=reason)


def _entry(type: str, run: Run, plan: Plan | None, step: PlannedStep, *, at: datetime) -> Entry:
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
        decision_id=run.approval.id if run.approval else None,
        idem_key=run.effect_key(step),
        body={"run": run.id, "step": step.id, "arguments": dict(step.arguments)},
    )
