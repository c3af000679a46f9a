"""Planning a run: look, dry-run, freeze. Nothing is changed here."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bot.domain.actions import ActionFailed, Arguments, DryRun, Effect, Risk
from bot.domain.approvals import Approval, Place, Verdict, grant
from bot.domain.errors import Refused
from bot.domain.policy import PolicyDecision, PolicyRequest
from bot.domain.runbooks import Check, Runbook, Step, Verification, resolve, substitute
from bot.domain.runs import Fact, Plan, PlannedCheck, PlannedStep, PlannedUndo, Run
from bot.ports import Policy
from bot.services.actions import ActionGate

LOOK_SECONDS = 10.0
DIFF_LENGTH = 2000
MOST_STEPS = 50


@dataclass(frozen=True, kw_only=True)
class Expiries:
    """How long a plan waits for answers, and how long consent lasts, in seconds."""

    answer_within: float
    execute_within: float


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A plan with the request for consent to it."""

    plan: Plan
    approval: Approval


class Planner:
    """Turns a runbook and its parameters into a frozen plan."""

    def __init__(
        self,
        gate: ActionGate,
        *,
        policy: Policy,
        runbooks: Mapping[str, Runbook],
        expiries: Expiries,
    ) -> None:
        self._gate = gate
        self._policy = policy
        self._runbooks = runbooks
        self._expiries = expiries

    async def plan(self, run: Run, *, at: datetime) -> Draft:
        """Diagnose, dry-run every step, ask policy and freeze the result.

        Raises:
            Refused: the runbook is gone, an action says no, or policy does.
        """
        runbook = self._runbook(run)
        parameters = resolve(runbook, {}, run.parameters)
        facts = [await self._look(c, parameters) for c in runbook.diagnose]
        steps = [await self._step(s, parameters) for s in runbook.steps]
        plan = self._frozen(run, runbook, facts=facts, steps=steps)
        return self._ask(run, plan, runbook, at=at)

    async def plan_undo(self, run: Run, done: Run, *, at: datetime) -> Draft:
        """Freeze the plan that takes another run's effects back, last effect first."""
        runbook = self._runbook(run)
        steps = [await self._undo_step(u) for u in reversed(done.undoes)]
        return self._ask(run, self._frozen(run, runbook, facts=[], steps=steps), runbook, at=at)

    async def plan_rollback(self, run: Run, failed: Run, *, at: datetime) -> Draft:
        """Freeze the rollback that an approved plan announced; its consent carries over."""
        draft = await self.plan_undo(run, failed, at=at)
        if failed.plan is None or failed.approval is None:
            raise Refused("There is no approved plan to roll back.")
        parent = failed.plan
        if draft.plan.risk > parent.risk:
            raise Refused(
                "The rollback is riskier than the plan that was approved; undo it by hand."
            )
        plan = replace(
            draft.plan,
            authorised_by=parent.digest,
            quorum=parent.quorum,
            policy_digest=parent.policy_digest,
        )
        consent = replace(failed.approval, execute_within=self._expiries.execute_within)
        return Draft(plan=plan, approval=grant(replace(consent, verdict=Verdict.WAITING), at))

    def _runbook(self, run: Run) -> Runbook:
        runbook = self._runbooks.get(run.runbook)
        if runbook is None:
            raise Refused(f"The runbook {run.runbook} does not exist any more.")
        return runbook

    async def _look(self, check: Check, parameters: Mapping[str, object]) -> Fact:
        arguments = substitute(check.arguments, parameters)
        try:
            seen = await self._gate.read(check.uses, arguments, timeout=LOOK_SECONDS)
        except (Refused, ActionFailed) as no:
            return Fact(title=check.title, summary=f"could not be found out: {no.reason}")
        ok = check.expect.holds(seen.value) if check.expect else None
        expected = f" (expected {check.expect})" if check.expect and not ok else ""
        return Fact(title=check.title, summary=f"{seen.summary}{expected}", ok=ok)

    async def _step(self, step: Step, parameters: Mapping[str, object]) -> PlannedStep:
        action = self._gate.registry.get(step.uses)
        arguments = substitute(step.arguments, parameters)
        seen = await self._dry_run(step.uses, arguments)
        return PlannedStep(
            id=step.id,
            title=step.title,
            uses=step.uses,
            arguments={**arguments, **seen.pinned},
            effect=action.effect,
            risk=max(action.risk, step.risk or Risk.R0),
            idempotent=action.idempotent,
            timeout=step.timeout,
            diff=seen.diff[:DIFF_LENGTH],
            explanation=step.explanation,
            on_failure=step.on_failure,
            verify=_check(step.verify, parameters) if step.verify else None,
            commit_point=step.commit_point,
        )

    async def _undo_step(self, undo: PlannedUndo) -> PlannedStep:
        action = self._gate.registry.get(undo.uses)
        seen = await self._dry_run(undo.uses, undo.arguments)
        return PlannedStep(
            id=f"undo-{undo.step}",
            title=undo.title,
            uses=undo.uses,
            arguments={**undo.arguments, **seen.pinned},
            effect=action.effect,
            risk=action.risk,
            idempotent=action.idempotent,
            timeout=30.0,
            diff=seen.diff[:DIFF_LENGTH],
        )

    async def _dry_run(self, uses: str, arguments: Arguments) -> DryRun:
        try:
            seen = await self._gate.dry_run(uses, arguments, timeout=LOOK_SECONDS)
        except ActionFailed as no:
            raise Refused(f"The dry run failed: {no.reason}.") from no
        return seen or DryRun(diff="This action cannot say beforehand what it changes.")

    def _frozen(
        self, run: Run, runbook: Runbook, *, facts: Sequence[Fact], steps: Sequence[PlannedStep]
    ) -> Plan:
        return Plan(
            run=run.id,
            runbook=runbook.id,
            version=runbook.version,
            runbook_digest=runbook.digest,
            title=run.title,
            parameters=run.parameters,
            subject=run.incident or run.subject,
            service=run.service,
            facts=tuple(facts),
            steps=tuple(steps),
            risk=max((s.risk for s in steps), default=Risk.R0),
            policy_digest=self._policy.digest,
            quorum=(),
        )

    def _ask(self, run: Run, plan: Plan, runbook: Runbook, *, at: datetime) -> Draft:
        """Ask policy, and make the request for consent that it demands."""
        decision = self._policy.decide(
            PolicyRequest(
                requester=run.requester,
                runbook=plan.runbook,
                risk=plan.risk,
                effects=frozenset(s.effect for s in plan.steps) or frozenset({Effect.READ}),
                service=plan.service,
                groups=_groups(runbook, plan.risk),
            )
        )
        if not decision.allow:
            raise Refused(f"Policy says no: {decision.reason}")
        if len(plan.steps) > MOST_STEPS:
            raise Refused(
                f"The plan has {len(plan.steps)} steps; nobody can judge more than {MOST_STEPS}. "
                "Split the runbook."
            )
        plan = replace(plan, quorum=decision.quorum)
        return Draft(plan=plan, approval=self._request(run, plan, decision, at=at))

    def _request(self, run: Run, plan: Plan, decision: PolicyDecision, *, at: datetime) -> Approval:
        approval = Approval(
            id=uuid.uuid4().hex[:12],
            digest=plan.digest,
            requester=run.requester,
            quorum=decision.quorum,
            answer_by=at + timedelta(seconds=self._expiries.answer_within),
            execute_within=self._expiries.execute_within,
        )
        return approval if decision.quorum else grant(approval, at)


def _check(verify: Verification, parameters: Mapping[str, object]) -> PlannedCheck:
    return PlannedCheck(
        uses=verify.uses,
        arguments=substitute(verify.arguments, parameters),
        expect=verify.expect,
        within=verify.within,
        every=verify.every,
        consecutive=verify.consecutive,
    )


def _groups(runbook: Runbook, risk: Risk) -> tuple[Place, ...]:
    """Return the runbook's approval groups for a risk: the nearest class at or below it."""
    fitting = [r for r in runbook.approval if r <= risk]
    if not fitting or risk is Risk.R0:
        return ()
    return tuple(Place(group=g.group, count=g.count) for g in runbook.approval[max(fitting)])
