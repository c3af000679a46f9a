"""On whose authority an effect happens: consent, held against the plan and the people of now.

These are the invariants that no policy can lift. Everything is recomputed, in
the transaction that writes the intent, from the answers that were given and
from how those who gave them stand at this moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.domain.actions import Arguments
from bot.domain.approvals import Approval, Verdict, barred, satisfied, standings
from bot.domain.errors import Postponed, Refused
from bot.domain.people import Standing
from bot.domain.policy import PolicyDecision
from bot.domain.runs import Plan, PlannedStep, Run, RunState
from bot.ports import ChatError, Claim, Database, Transaction
from bot.services.governing import Governor, incident_of
from bot.services.people import PeopleService
from bot.services.registry import Registry, check_arguments


@dataclass(frozen=True, kw_only=True)
class Present:
    """Who asked, and who consented, as they stand now."""

    requester: Standing
    people: tuple[Standing, ...]


class Authority:
    """Looks up who consented, and holds it against what is about to happen."""

    def __init__(
        self, database: Database, registry: Registry, *, governor: Governor, people: PeopleService
    ) -> None:
        self._database = database
        self._registry = registry
        self._governor = governor
        self._people = people

    async def present(self, claim: Claim, *, now: datetime) -> Present:
        """Look up how everybody who consented stands now, before any transaction.

        Before the first effect there is time to ask again, and an approver who
        has left since must not count. Once a run has begun, an outage of the
        chat platform does not leave it half done: who had consented, had.

        Raises:
            Postponed: the chat platform cannot be asked, and nothing has begun.
        """
        run = claim.run
        requester = run.requester
        if run.rollback and run.parent is not None:
            async with self._database.reading() as view:
                requester = (await view.runs.get(run.parent)).requester
        answers = [a for a in run.approval.answers if a.approve] if run.approval else []
        try:
            asking = await self._people.requester(requester)
            async with self._database.reading() as view:
                incident = await incident_of(view, run.incident)
            people = [await self._people.standing(a.person.id, incident) for a in answers]
        except ChatError as error:
            if not run.begun and not run.rollback:
                check_in_time(run.approval, now=now)
                raise Postponed(
                    f"The chat platform cannot say who approved ({error}); it is asked again."
                ) from None
            return Present(
                requester=Standing(person=requester), people=tuple(a.standing for a in answers)
            )
        return Present(requester=asking, people=tuple(people))

    async def check(
        self, tx: Transaction, run: Run, step: PlannedStep, present: Present, *, now: datetime
    ) -> Plan:
        """Hold the invariants that no policy can lift.

        Raises:
            Refused: naming the one that does not hold.
        """
        plan, approval = run.plan, run.approval
        await self._governor.hold_back(tx, run, [step.uses])
        if plan is None or approval is None:
            raise Refused("There is no approved plan; nothing was run.")
        if run.state is not RunState.RUNNING or run.stop_requested_by is not None:
            raise Refused("The run was stopped; nothing was run.")
        check_authority(plan, approval, first=not run.begun, now=now, people=present.people)
        if plan.authorised_by is not None:
            parent = await tx.runs.get(run.parent) if run.parent else None
            check_rollback(plan, parent)
        action = self._registry.get(step.uses)
        check_arguments(action, step.arguments)
        less_safe = step.idempotent and not action.idempotent
        if action.risk > step.risk or action.effect is not step.effect or less_safe:
            raise Refused(f"{step.uses} became riskier than what was approved; plan again.")
        if (action.manual, action.waiting) != (step.manual, step.waiting):
            raise Refused(f"{step.uses} is done by others than was approved; plan again.")
        changed = self._governor.policy_digest != plan.policy_digest
        if changed and plan.authorised_by is None:
            raise Refused("The policy has changed since this plan was approved; plan again.")
        return plan


def check_authority(
    plan: Plan,
    approval: Approval,
    *,
    first: bool,
    now: datetime,
    people: Sequence[Standing] | None = None,
) -> None:
    """Hold consent against the plan that is about to run.

    Everything is recomputed from the answers: the verdict that was stored is
    not believed on its own. `people` are those who consented as they stand now,
    or nothing where only the answers can be asked. Only the first effect is
    bound by the second expiry, since a run that has begun is not left half done
    by a clock.

    Raises:
        Refused: consent is missing, for another plan, or has expired.
    """
    if approval.digest not in (plan.digest, plan.authorised_by):
        raise Refused("The plan has changed since it was approved; nothing was run.")
    if approval.verdict is not Verdict.GRANTED:
        raise Refused(f"The plan is {approval.verdict}; nothing was run.")
    given = standings(approval)
    present = given if people is None else people
    if any(barred(approval, standing.person) is not None for standing in (*given, *present)):
        raise Refused("An approval came from someone who may not give it; nothing was run.")
    if any(not answer.approve for answer in approval.answers):
        raise Refused("The plan was denied; nothing was run.")
    if len({s.person.human for s in present}) != len(given):
        raise Refused("One person approved twice; nothing was run.")
    if not satisfied(plan.quorum, present):
        raise Refused("Approvals are missing; nothing was run.")
    if plan.veto_seconds and (approval.veto_until is None or now < approval.veto_until):
        raise Refused("The time for a veto is not over; nothing was run.")
    if first:
        check_in_time(approval, now=now)


def check_in_time(approval: Approval | None, *, now: datetime) -> None:
    """Hold the second expiry.

    Raises:
        Refused: the approval has expired.
    """
    late = approval is not None and approval.execute_by is not None and now >= approval.execute_by
    if late:
        raise Refused("The approval has expired; nothing more is run. Ask for a new plan.")


def check_consent(plan: Plan, decision: PolicyDecision, present: Present) -> None:
    """Hold what policy wants now against those who consented; a rollback stands on its parent.

    Raises:
        Refused: it has become more than was asked for when the plan was made.
    """
    if plan.authorised_by is not None:
        return
    if decision.veto_seconds > plan.veto_seconds and not plan.quorum:
        raise Refused("Policy now asks for a time to object; nothing was run. Ask for a new plan.")
    if not satisfied(decision.quorum, present.people):
        wanted = ", ".join(str(place) for place in decision.quorum)
        raise Refused(f"Policy now asks for {wanted}; nothing was run. Ask for a new plan.")


def check_rollback(plan: Plan, parent: Run | None) -> None:
    """Hold a rollback against the run whose consent it stands on.

    Raises:
        Refused: it is not of that run's plan, or does more than take its effects back.
    """
    if parent is None or parent.plan is None or plan.authorised_by != parent.plan.digest:
        raise Refused("The rollback is not of the plan that was approved; nothing was run.")
    announced = parent.step is not None and parent.step.on_failure == "rollback"
    # One that had failed before runs could be rolling back is rolled back too.
    failed = parent.state in (RunState.ROLLING_BACK, RunState.FAILED)
    if not failed or not announced:
        raise Refused("The approved plan announced no rollback here; nothing was run.")
    undoes = {f"undo-{u.step}": u for u in parent.undoes}
    for step in plan.steps:
        undo = undoes.get(step.id)
        if undo is None or undo.uses != step.uses or not _within(undo.arguments, step.arguments):
            raise Refused("The rollback does more than take effects back; nothing was run.")


def _within(part: Arguments, whole: Arguments) -> bool:
    return all(key in whole and whole[key] == value for key, value in part.items())
