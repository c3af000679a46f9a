"""Planning a run: look, dry-run, freeze. Nothing is changed here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bot.domain.actions import ActionFailed, Arguments, DryRun, Effect, Risk
from bot.domain.approvals import Approval, Place, Verdict, grant
from bot.domain.decisions import DecisionRecord
from bot.domain.errors import Postponed, Refused
from bot.domain.incidents import Incident
from bot.domain.limits import check_targets, waves
from bot.domain.policy import Phase
from bot.domain.runbooks import Check, Runbook, Step, Verification, resolve, substitute
from bot.domain.runs import Fact, Plan, PlannedCheck, PlannedStep, PlannedUndo, Run
from bot.ports import ChatError, Database
from bot.services.actions import ActionGate
from bot.services.governing import Denied, Governor, Wish, incident_of, key_of, way_out
from bot.services.people import PeopleService

LOOK_SECONDS = 10.0
UNSEEN = timedelta(minutes=1)
DIFF_LENGTH = 2000
MOST_STEPS = 50


@dataclass(frozen=True, kw_only=True)
class Expiries:
    """How long a plan waits for answers, and how long consent lasts, in seconds."""

    answer_within: float
    execute_within: float


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A plan with the request for consent to it, and the decision that demanded it."""

    plan: Plan
    approval: Approval
    decision: DecisionRecord | None


class Planner:
    """Turns a runbook and its parameters into a frozen plan, as far as policy lets it."""

    def __init__(
        self,
        database: Database,
        gate: ActionGate,
        *,
        governor: Governor,
        people: PeopleService,
        runbooks: Mapping[str, Runbook],
        expiries: Expiries,
    ) -> None:
        self._database = database
        self._gate = gate
        self._governor = governor
        self._people = people
        self._runbooks = runbooks
        self._expiries = expiries

    async def plan(self, run: Run, *, at: datetime) -> Draft:
        """Diagnose, dry-run every step, ask policy and freeze the result.

        Raises:
            Refused: the runbook is gone, an action says no, or policy does.
            Postponed: the chat platform cannot be asked who somebody is.
        """
        runbook = self._runbook(run)
        parameters = resolve(runbook, {}, run.parameters)
        facts = [await self._look(c, parameters) for c in runbook.diagnose]
        steps = [
            planned
            for step in runbook.steps
            for planned in await self._rolled_out(step, parameters)
        ]
        return await self._ask(run, self._frozen(run, runbook, facts, steps), runbook, at=at)

    async def plan_undo(self, run: Run, done: Run, *, at: datetime) -> Draft:
        """Freeze the plan that takes another run's effects back, last effect first."""
        runbook = self._runbook(run)
        steps = [await self._undo_step(u) for u in reversed(done.undoes)]
        return await self._ask(run, self._frozen(run, runbook, [], steps), runbook, at=at)

    async def plan_rollback(self, run: Run, failed: Run, *, at: datetime) -> Draft:
        """Freeze the rollback that an approved plan announced; its consent carries over."""
        if failed.plan is None or failed.approval is None:
            raise Refused("There is no approved plan to roll back.")
        runbook, parent = self._runbook(run), failed.plan
        steps = [await self._undo_step(u) for u in reversed(failed.undoes)]
        plan = self._frozen(run, runbook, [], steps)
        if plan.risk > parent.risk:
            raise Refused(
                "The rollback is riskier than the plan that was approved; undo it by hand."
            )
        plan = replace(
            plan,
            authorised_by=parent.digest,
            quorum=parent.quorum,
            policy_digest=parent.policy_digest,
            change_type=parent.change_type,
            decision=parent.decision,
            policies=parent.policies,
            veto_seconds=parent.veto_seconds,
            pre_authorised=parent.pre_authorised,
            break_glass=parent.break_glass,
        )
        consent = replace(failed.approval, execute_within=self._expiries.execute_within)
        approval = grant(replace(consent, verdict=Verdict.WAITING), at)
        return Draft(plan=plan, approval=approval, decision=None)

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

    async def _rolled_out(
        self, step: Step, parameters: Mapping[str, object]
    ) -> Sequence[PlannedStep]:
        """Plan a step, for each of its targets where it has some, in growing waves.

        Each wave ends with the step's verification: what goes wrong, goes wrong
        on few first.
        """
        if not step.targets:
            return [await self._step(step, parameters)]
        planned: list[PlannedStep] = []
        for wave, targets in enumerate(waves(step.targets), start=1):
            for target in targets:
                one = replace(
                    step,
                    id=f"{step.id}.{len(planned) + 1}",
                    title=f"{step.title}: {target}",
                    verify=step.verify if target == targets[-1] else None,
                )
                made = await self._step(one, {**parameters, "target": target})
                touched = made.targets or (target,)
                planned.append(replace(made, wave=wave, targets=touched))
        return planned

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
            targets=seen.targets,
            out_of=seen.out_of,
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
            targets=seen.targets,
            out_of=seen.out_of,
        )

    async def _dry_run(self, uses: str, arguments: Arguments) -> DryRun:
        try:
            seen = await self._gate.dry_run(uses, arguments, timeout=LOOK_SECONDS)
        except ActionFailed as no:
            raise Refused(f"The dry run failed: {no.reason}.") from no
        return seen or DryRun(diff="This action cannot say beforehand what it changes.")

    def _frozen(
        self, run: Run, runbook: Runbook, facts: Sequence[Fact], steps: Sequence[PlannedStep]
    ) -> Plan:
        if len(steps) > MOST_STEPS:
            raise Refused(
                f"The plan has {len(steps)} steps; nobody can judge more than {MOST_STEPS}. "
                "Split the runbook."
            )
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
            policy_digest=self._governor.policy_digest,
            quorum=(),
            team=self._governor.team(run.service),
            tier=self._governor.tier(run.service),
            touches=self._governor.touches(run.service),
            concurrency_key=key_of(run, runbook.limits),
            limits=runbook.limits,
        )

    async def _ask(self, run: Run, plan: Plan, runbook: Runbook, *, at: datetime) -> Draft:
        """Ask policy, and make the request for consent that it demands."""
        if run.parent is None:  # what is taken back was within the limits
            check_targets(plan.limits, plan.targets, plan.out_of)
        try:
            async with self._database.reading() as view:
                incident = await incident_of(view, run.incident)
            requester = await self._people.requester(run.requester, incident)
            async with self._database.reading() as view:
                await self._governor.hold_back(view, run, [s.uses for s in plan.steps])
                decision, record = await self._governor.decide(
                    view, run, _wish(plan, runbook), at=at, phase=Phase.PLAN, requester=requester
                )
            if not decision.allow:
                try:
                    self._governor.check_freeze(
                        run, risk=plan.risk, glass=record.break_glass, at=at
                    )
                except Refused as no:
                    raise Denied(record, run.incident, no.reason, risk=plan.risk) from no
                raise Denied(record, run.incident, risk=plan.risk)
            plan = replace(
                plan,
                quorum=decision.quorum,
                change_type=record.change_type,
                decision=record.id,
                policies=decision.policies,
                veto_seconds=decision.veto_seconds,
                pre_authorised=record.pre_authorised,
                break_glass=record.break_glass,
            )
            approval = await self._request(run, plan, runbook, at=at)
            await self._refuse_the_impossible(run, approval, incident)
        except ChatError as error:
            raise Postponed(f"The chat platform cannot say who may approve: {error}") from None
        return Draft(
            plan=plan, approval=approval, decision=replace(record, plan_digest=plan.digest)
        )

    async def _refuse_the_impossible(
        self, run: Run, approval: Approval, incident: Incident | None
    ) -> None:
        """A plan that waits for people who are not there only looks as if help were coming."""
        lacking = await self._people.lacking(approval, incident)
        if lacking:
            raise Refused(
                f"Nobody could approve this now: it needs {', '.join(lacking)}. {way_out(run)}"
            )

    async def _request(self, run: Run, plan: Plan, runbook: Runbook, *, at: datetime) -> Approval:
        veto = at + timedelta(seconds=plan.veto_seconds) if plan.veto_seconds else None
        within = timedelta(seconds=self._expiries.answer_within)
        approval = Approval(
            id=plan.decision,
            digest=plan.digest,
            requester=run.requester,
            quorum=plan.quorum,
            answer_by=veto + UNSEEN if veto else at + within,
            execute_within=self._expiries.execute_within,
            excluded=await self._people.editors(runbook),
            veto_until=veto,
        )
        waits = plan.quorum or veto is not None
        return approval if waits else grant(approval, at)


def _wish(plan: Plan, runbook: Runbook) -> Wish:
    return Wish(
        actions=tuple(dict.fromkeys(s.uses for s in plan.steps)),
        changing=tuple(dict.fromkeys(s.uses for s in plan.steps if s.risk)),
        effects=frozenset(s.effect for s in plan.steps) or frozenset({Effect.READ}),
        risk=plan.risk,
        targets=len(plan.targets),
        runbook_digest=runbook.digest,
        groups=_groups(runbook, plan.risk),
    )


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
