"""What stands above a plan: switches, freezes, breakers, autonomy, and policy.

Everything here is read in the transaction of whoever asks, so that nothing can
change between the question and the intent that relies on its answer. What has
to be asked of the chat platform is asked before, and handed in.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from bot.domain.actions import Effect, Risk
from bot.domain.approvals import Approval, Place
from bot.domain.breakers import Trouble, breaker_key
from bot.domain.catalog import Catalog
from bot.domain.decisions import DecisionId, DecisionRecord, record_of
from bot.domain.errors import NotFound, Refused
from bot.domain.freezes import Calendars, Window, WindowKind, Windows
from bot.domain.incidents import Incident, IncidentId
from bot.domain.ledger import Entry
from bot.domain.limits import Limits
from bot.domain.people import Standing
from bot.domain.policy import ChangeType, Phase, PolicyDecision, PolicyRequest
from bot.domain.runs import Plan, PlannedStep, Run
from bot.domain.switches import Halt, Reach, refusal
from bot.ports import AdoptedPolicy, Policy, Privacy, Transaction
from bot.services.autonomy import AutonomyService
from bot.services.brakes import Brakes
from bot.services.emergencies import EmergencyService
from bot.services.switches import SwitchService

CALENDARS = "calendars:"  # of files that are kept beside adopted policies


class Denied(Refused):
    """Policy says no, or an invariant although policy says yes; `record` has to be kept."""

    def __init__(
        self,
        record: DecisionRecord,
        incident: str | None,
        reason: str = "",
        *,
        risk: Risk = Risk.R0,
    ) -> None:
        super().__init__(reason or f"Policy says no: {record.reason}")
        self.record = replace(record, refused=reason)
        self.incident = incident
        self.risk = risk


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Everything that governs effects, put together by the composition root.

    `plugin_of` names the plugin that offers an action. `ledger_fault` says why
    the record cannot be relied on, or None.
    """

    policy: Policy
    catalog: Catalog
    calendars: Calendars
    switches: SwitchService
    brakes: Brakes
    autonomy: AutonomyService
    emergencies: EmergencyService
    privacy: Privacy
    plugin_of: Mapping[str, str] = field(default_factory=dict)
    ledger_fault: Callable[[], str | None] = lambda: None


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is to be decided about: a plan, or one that is being made.

    `changing` are those of its actions that do more than look; they are what
    autonomy is about.
    """

    actions: tuple[str, ...]
    changing: tuple[str, ...]
    effects: frozenset[Effect]
    risk: Risk
    targets: int
    runbook_digest: str
    groups: tuple[Place, ...] = ()
    digest: str = ""
    authorised_by: str | None = None


class Governor:
    """Says whether, and on whose consent, something may be done now."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules

    @property
    def policy_digest(self) -> str:
        """Return what identifies the rules in force."""
        return self.rules.policy.digest

    def reach(self, run: Run, uses: Collection[str]) -> Reach:
        """Return what a run touches, as far as switches are concerned."""
        team = self.team(run.service)
        return Reach(
            runbook=run.runbook,
            service=run.service,
            teams=frozenset([team] if team else []),
            plugins=frozenset(p for p in map(self.rules.plugin_of.get, uses) if p),
        )

    def touches(self, service: str | None) -> tuple[str, ...]:
        """Return the services that may feel a change of one: itself, and what needs it."""
        return (service, *self.rules.catalog.dependents(service)) if service else ()

    def freezes(self, service: str | None, windows: Windows) -> tuple[Window, ...]:
        """Return the freezes that forbid changing a service, or what may feel its change."""
        touched = self.touches(service)
        found = dict.fromkeys(windows.freezes(service, self.team(service), touched))
        for name in touched:
            found.update(dict.fromkeys(windows.freezes(name, self.team(name))))
        return tuple(found)

    async def decide(
        self,
        tx: Transaction,
        run: Run,
        wish: Wish,
        *,
        at: datetime,
        phase: Phase,
        requester: Standing,
        approval: Approval | None = None,
        half_open: bool | None = None,
    ) -> tuple[PolicyDecision, DecisionRecord]:
        """Ask policy; the record is for the caller to keep."""
        rules, service = self.rules, run.service
        windows = rules.calendars.at(at)
        undo = run.parent is not None and not run.rollback  # which nobody has authorised in advance
        pre_authorised = (
            None
            if undo
            else await rules.emergencies.covering(
                tx, runbook_digest=wish.runbook_digest, service=service, at=at
            )
        )
        if half_open is None:
            half_open = await rules.brakes.half_open(tx, wish.actions, service, at=at)
        glass = await self._glass(tx, run, at)
        request = PolicyRequest(
            phase=phase,
            at=at,
            requester=requester,
            requester_ref=rules.privacy.pseudonym(requester.person.actor),
            runbook=run.runbook,
            actions=wish.actions,
            risk=wish.risk,
            effects=wish.effects,
            change_type=_change_type(glass, pre_authorised.id if pre_authorised else None),
            service=service,
            team=self.team(service),
            tier=self.tier(service),
            touches=self.touches(service),
            targets=wish.targets,
            severity=await _severity(tx, run.incident),
            autonomy=int(await rules.autonomy.of_plan(tx, wish.changing or wish.actions, service)),
            freezes=tuple(w.title for w in self.freezes(service, windows)),
            calendar_faults=tuple(f"{f.source}: {f.reason}" for f in windows.faults),
            maintenance=windows.maintenance(service, self.team(service)) is not None,
            half_open=half_open,
            rollback=run.rollback,
            pre_authorised=pre_authorised.id if pre_authorised else None,
            break_glass=glass,
            groups=wish.groups,
            approvals=self._consenting(approval),
            plan_digest=wish.digest,
            epoch=await tx.switches.epoch(),
        )
        decision = rules.policy.decide(request)
        record = record_of(
            request,
            decision,
            id=DecisionId(uuid.uuid4().hex[:16]),
            run=run.id,
            calendars_digest=windows.digest or rules.calendars.digest,
            authorised_by=wish.authorised_by,
        )
        return decision, record

    async def halted(self, tx: Transaction, run: Run, uses: Collection[str]) -> Halt | None:
        """Return the switch that stands in the way of a run, if one does."""
        return await self.rules.switches.standing(tx, self.reach(run, uses))

    async def hold_back(self, tx: Transaction, run: Run, uses: Collection[str]) -> None:
        """Refuse where a switch is pulled, or the record cannot be relied on.

        Raises:
            Refused: saying which.
        """
        halt = await self.halted(tx, run, uses)
        if halt is not None:
            raise refusal(halt)
        fault = self.rules.ledger_fault()
        if fault is not None:
            raise Refused(f"The ledger cannot be relied on ({fault}); nothing was run.")

    def check_freeze(self, run: Run, *, risk: Risk, glass: str | None, at: datetime) -> None:
        """Refuse an effect in a freeze; a calendar that cannot be read freezes from R2 on.

        Raises:
            Refused: naming the freeze, and the way out.
        """
        if glass is not None or risk is Risk.R0:
            return
        windows = self.rules.calendars.at(at)
        for window in self.freezes(run.service, windows):
            raise Refused(
                f"“{window.title}” freezes changes until {_clock(window.ends_at)}; nothing was "
                f"run. {way_out(run)}"
            )
        if windows.faults and risk >= Risk.R2:
            fault = windows.faults[0]
            raise Refused(
                f"The calendar {fault.source} cannot be relied on ({fault.reason}), which counts "
                f"as a freeze; nothing was run. {way_out(run)}"
            )

    def check_time(self, run: Run, plan: Plan, *, at: datetime) -> None:
        """Refuse to begin what a freeze would catch half done.

        Raises:
            Refused: naming the freeze that is about to begin.
        """
        if plan.break_glass is not None or plan.risk is Risk.R0:
            return
        end = at + timedelta(seconds=plan.longest)
        coming = [w for w in self.rules.calendars.between(at, end) if w.kind is WindowKind.FREEZE]
        for window in self.freezes(run.service, Windows(active=tuple(coming))):
            raise Refused(
                f"“{window.title}” begins at {_clock(window.starts_at)}, before this plan would "
                "be done; nothing was run."
            )

    async def admit(
        self, tx: Transaction, run: Run, step: PlannedStep, *, at: datetime, requester: Standing
    ) -> tuple[PolicyDecision, DecisionRecord]:
        """Hold everything that governs against one effect that is about to happen.

        Raises:
            Refused: naming what stands in the way.
            Denied: it is policy, whose record has to be kept.
        """
        plan = run.plan
        if plan is None:
            raise Refused("There is no approved plan; nothing was run.")
        await self.hold_back(tx, run, [step.uses])
        half_open = await self.rules.brakes.check(tx, run, step, at=at, limits=plan.limits)
        wish = _wish_of(plan, step)
        decision, record = await self.decide(
            tx,
            run,
            wish,
            at=at,
            phase=Phase.EXECUTE,
            requester=requester,
            approval=run.approval,
            half_open=half_open,
        )
        try:
            self.check_freeze(run, risk=step.risk, glass=record.break_glass, at=at)
        except Refused as no:
            raise Denied(record, run.incident, no.reason) from no
        if not decision.allow:
            raise Denied(record, run.incident)
        return decision, record

    async def keep(
        self,
        tx: Transaction,
        record: DecisionRecord,
        *,
        incident: str | None,
        risk: int,
        action: str | None = None,
    ) -> None:
        """Store the record of a decision, with the calendars it saw, and put it into the ledger."""
        await tx.decisions.add(record)
        await self._keep_calendars(tx, record)
        await tx.ledger.append(
            Entry(
                type="policy.decided",
                actor="bot",
                at=record.at,
                incident=incident,
                action=action,
                risk=risk,
                plan_digest=record.plan_digest or None,
                policy_digest=record.policy_digest or None,
                decision_id=record.id,
                outcome="allow" if record.allow and not record.refused else "deny",
                body={"decision": dict(record.content), "run": record.run},
            )
        )

    async def _keep_calendars(self, tx: Transaction, record: DecisionRecord) -> None:
        """Keep the calendars a decision was made by, so that it can be looked at again."""
        digest = record.calendars_digest
        if await tx.policies.get(f"{CALENDARS}{digest}") is not None:
            return
        files = self.rules.calendars.files()
        documents = {name: text.decode("utf-8", "replace") for name, text in files.items()}
        if self.rules.calendars.digest == digest:
            kept = AdoptedPolicy(digest=digest, documents=documents, at=record.at, by="system")
            await tx.policies.add(f"{CALENDARS}{digest}", kept)

    async def trouble(
        self, tx: Transaction, run: Run, uses: str, trouble: Trouble, *, at: datetime
    ) -> None:
        """Count what went wrong against an action on a service.

        Autonomy is lost with whatever had to be taken back or looked after, and
        with the failure that opens a breaker.
        """
        await self.rules.brakes.settle(tx, run, uses, trouble, at=at)
        breaker = await tx.breakers.get(breaker_key(uses, run.service))
        opened = breaker is not None and breaker.opened_at == at
        if trouble is not Trouble.FAILED or opened:
            reason = breaker.reason if breaker and opened else f"an effect was {trouble}"
            await self.rules.autonomy.demote(tx, uses, run.service, reason=reason, at=at)

    async def success(self, tx: Transaction, run: Run, uses: str, *, at: datetime) -> None:
        """Count what went well: a trial closes its breaker, and autonomy wants it verified."""
        await self.rules.brakes.settle(tx, run, uses, None, at=at)
        await self.rules.autonomy.require_labels(tx, run, uses, at=at)

    def tier(self, service: str | None) -> int | None:
        """Return how soon users notice when a service fails, by the catalog."""
        known = self.rules.catalog.services.get(service or "")
        return known.tier if known else None

    def team(self, service: str | None) -> str | None:
        """Return which team owns a service."""
        known = self.rules.catalog.services.get(service or "")
        return known.team if known else None

    def _consenting(self, approval: Approval | None) -> tuple[str, ...]:
        answers = approval.answers if approval else ()
        return tuple(self.rules.privacy.pseudonym(a.person.actor) for a in answers if a.approve)

    async def _glass(self, tx: Transaction, run: Run, at: datetime) -> str | None:
        """Return the broken glass this run is asked for under, while it holds."""
        if run.break_glass is None:
            return None
        glass = await tx.glasses.get(run.break_glass)
        if glass is None:
            return None
        mine = glass.run is not None and glass.run in (run.id, run.parent)
        free = glass.usable(runbook=run.runbook, service=run.service, by=run.requester, at=at)
        return glass.id if mine or free else None


def _plan_changes(plan: Plan) -> tuple[str, ...]:
    return tuple(dict.fromkeys(s.uses for s in plan.steps if s.risk))


def _wish_of(plan: Plan, step: PlannedStep) -> Wish:
    return Wish(
        actions=(step.uses,),
        changing=(step.uses,) if step.risk else _plan_changes(plan),
        effects=frozenset({step.effect}),
        risk=max(step.risk, Risk.R0),
        targets=len(step.targets),
        runbook_digest=plan.runbook_digest,
        groups=(),
        digest=plan.digest,
        authorised_by=plan.authorised_by,
    )


def _change_type(glass: str | None, pre_authorised: str | None) -> ChangeType:
    if glass is not None:
        return ChangeType.EMERGENCY
    return ChangeType.STANDARD if pre_authorised is not None else ChangeType.NORMAL


async def _severity(tx: Transaction, incident: str | None) -> str | None:
    found = await incident_of(tx, incident)
    return found.severity.value if found else None


async def incident_of(tx: Transaction, id: str | None) -> Incident | None:
    """Return a run's incident, if it has one."""
    if id is None:
        return None
    try:
        return await tx.incidents.get(IncidentId(id))
    except NotFound:
        return None


def way_out(run: Run) -> str:
    """Name what is left where nothing may be done in the ordinary way."""
    target = f"{run.runbook} {run.service or '-'}"
    return f"In a sev1 or sev2 incident: /incident break-glass {target}"


def key_of(run: Run, limits: Limits) -> str:
    """Return what only one run at a time may hold, unless the runbook names something else.

    That is the service, or where none is known what the run answers.
    """
    if limits.concurrency_key:
        return limits.concurrency_key
    return f"service:{run.service}" if run.service else f"subject:{run.subject}"


def _clock(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
