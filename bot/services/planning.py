"""Planning a run: look, dry-run, freeze. Nothing is changed here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bot.domain.actions import JSON, Effect, Risk
from bot.domain.approvals import Approval, Place, Verdict, grant
from bot.domain.deciding import ASKED, Decision, decide, fact_name
from bot.domain.decisions import DecisionRecord
from bot.domain.errors import Postponed, Refused
from bot.domain.expressions import parse
from bot.domain.incidents import Incident
from bot.domain.limits import check_targets
from bot.domain.parameters import FACTS, resolve, substitute
from bot.domain.policy import Phase
from bot.domain.runbooks import Check, Expectation, Outcome, Runbook
from bot.domain.runs import Fact, Goal, Look, Plan, PlannedStep, Precondition, Run, RunState
from bot.ports import ChatError, Database
from bot.services.actions import ActionGate
from bot.services.diagnosing import Diagnosis, by_check, fillings
from bot.services.drafting import Drafting
from bot.services.governing import Denied, Governor, Wish, incident_of, key_of, way_out
from bot.services.people import PeopleService
from bot.services.preconditions import check_preconditions
from bot.services.undoing import page_of

UNSEEN = timedelta(minutes=1)
MOST_STEPS = 50


class NothingToDo(Refused):
    """The page's own rules plan no steps: all is well, or a person has to decide.

    `state` is how the run ends with it, `facts` what the rules decided on.
    """

    def __init__(self, state: RunState, reason: str, facts: tuple[Fact, ...]) -> None:
        super().__init__(reason)
        self.state = state
        self.facts = facts


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
        self._diagnosis = Diagnosis(gate.reader)
        self._drafting = Drafting(gate.registry, gate.reader)

    @property
    def digests(self) -> Mapping[str, str]:
        """Return the digest of every page there is now, by the runbook's id."""
        return {id: runbook.digest for id, runbook in self._runbooks.items()}

    async def plan(self, run: Run, *, at: datetime) -> Draft:
        """Diagnose, decide, dry-run every step, ask policy and freeze the result.

        Raises:
            NothingToDo: the page's rules plan no steps.
            Refused: the runbook is gone, a precondition does not hold, an action
                says no, or policy does.
            Postponed: the chat platform cannot be asked who somebody is.
        """
        runbook = self._runbook(run)
        parameters = resolve(runbook, {}, run.parameters)
        facts = await self._diagnosis.facts(runbook.diagnose, parameters)
        chosen = _chosen(decide(runbook, parameters, by_check(facts)), facts)
        values = fillings(parameters, facts)
        preconditions = tuple(_precondition(c, values) for c in runbook.preconditions)
        await check_preconditions(self._gate.reader, preconditions)
        steps = await self._drafting.steps(chosen.steps, values)
        plan = replace(
            self._frozen(run, runbook, facts, steps),
            decided=chosen.because if runbook.decide or chosen.steps != runbook.steps else "",
            preconditions=preconditions,
            done_when=_goal(runbook, parameters, values),
        )
        return await self._ask(run, plan, runbook, at=at)

    async def plan_undo(self, run: Run, done: Run, *, at: datetime) -> Draft:
        """Freeze the plan that takes another run's effects back, last effect first.

        It stands on what was done. Where the page is gone by now, whoever could
        not approve the plan that was made from it cannot approve this one either.
        """
        if done.plan is None or done.approval is None:
            raise Refused("There is no approved plan to take back.")
        page = self._runbooks.get(run.runbook)
        runbook = page or page_of(done.plan)
        steps = [await self._drafting.undo(u) for u in reversed(done.undoes)]
        draft = await self._ask(run, self._frozen(run, runbook, [], steps), runbook, at=at)
        if page is not None:
            return draft
        excluded = draft.approval.excluded | done.approval.excluded
        return replace(draft, approval=replace(draft.approval, excluded=excluded))

    async def plan_rollback(self, run: Run, failed: Run, *, at: datetime) -> Draft:
        """Freeze the rollback that an approved plan announced; its consent carries over.

        It stands on that plan and not on the page, which may be another by now,
        or gone.

        Raises:
            Refused: an action is gone or says no, or it became too risky.
        """
        if failed.plan is None or failed.approval is None:
            raise Refused("There is no approved plan to roll back.")
        parent = failed.plan
        steps = tuple([await self._drafting.undo(u) for u in reversed(failed.undoes)])
        plan = replace(
            parent,
            run=run.id,
            title=run.title,
            parameters=run.parameters,
            facts=(),
            steps=steps,
            risk=max((s.risk for s in steps), default=Risk.R0),
            authorised_by=parent.digest,
            decided="",
            preconditions=(),
            done_when=None,
        )
        if plan.risk > parent.risk:
            raise Refused(
                "The rollback is riskier than the plan that was approved; undo it by hand."
            )
        consent = replace(failed.approval, execute_within=self._expiries.execute_within)
        approval = grant(replace(consent, verdict=Verdict.WAITING), at)
        return Draft(plan=plan, approval=approval, decision=None)

    def _runbook(self, run: Run) -> Runbook:
        runbook = self._runbooks.get(run.runbook)
        if runbook is None:
            raise Refused(f"The runbook {run.runbook} does not exist any more.")
        return runbook

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
    """Say what policy decides about: the steps, and the ways back that the page itself names.

    Those happen without another question where a step fails, so that they are
    weighed with the plan that announces them.
    """
    announced = any(step.on_failure == "rollback" for step in plan.steps)
    back = [step.undo.uses for step in plan.steps if step.undo and announced]
    return Wish(
        actions=tuple(dict.fromkeys([*(s.uses for s in plan.steps), *back])),
        changing=tuple(dict.fromkeys([*(s.uses for s in plan.steps if s.risk), *back])),
        effects=frozenset(s.effect for s in plan.steps) or frozenset({Effect.READ}),
        risk=plan.risk,
        targets=len(plan.targets),
        runbook_digest=runbook.digest,
        groups=_groups(runbook, plan.risk),
    )


def _chosen(decision: Decision, facts: tuple[Fact, ...]) -> Decision:
    """Return a decision for steps; any other is the end of the run."""
    if decision.outcome is Outcome.ESCALATE:
        reason = f"{ASKED}: {decision.because}{_unknown(facts)}"
        raise NothingToDo(RunState.FAILED, reason, facts)
    if decision.outcome is Outcome.STOP or not decision.steps:
        raise NothingToDo(RunState.CANCELLED, f"nothing to do: {decision.because}", facts)
    return decision


def _unknown(facts: tuple[Fact, ...]) -> str:
    """Say what could not be found out, and why, since it may be what a person has to mend."""
    unknown = [f"{fact.title}: {fact.summary}" for fact in facts if fact.value is None]
    return f" ({'; '.join(unknown)[:600]})" if unknown else ""


def _precondition(check: Check, values: Mapping[str, JSON]) -> Precondition:
    return Precondition(
        title=check.title,
        uses=check.uses,
        arguments=substitute(check.arguments, values),
        expect=check.expect or Expectation(),
    )


def _goal(
    runbook: Runbook, parameters: Mapping[str, JSON], values: Mapping[str, JSON]
) -> Goal | None:
    """Freeze what a page calls done, with the checks its expression needs."""
    done = runbook.done_when
    if done is None:
        return None
    names = parse(done.when).names
    needed = [c for c in runbook.diagnose if f"{FACTS}{fact_name(c.id)}" in names]
    looks = tuple(
        Look(id=c.id, uses=c.uses, arguments=substitute(c.arguments, values)) for c in needed
    )
    return Goal(
        when=done.when, looks=looks, within=done.within, every=done.every, parameters=parameters
    )


def _groups(runbook: Runbook, risk: Risk) -> tuple[Place, ...]:
    """Return the runbook's approval groups for a risk: the nearest class at or below it."""
    fitting = [r for r in runbook.approval if r <= risk]
    if not fitting or risk is Risk.R0:
        return ()
    return tuple(Place(group=g.group, count=g.count) for g in runbook.approval[max(fitting)])
