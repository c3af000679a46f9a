"""One incident as records: an alert, a declared incident, a run with consent, and its timeline."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from bot.domain.actions import Effect, Risk
from bot.domain.alerts import Alert, AlertGroup, AlertStatus, GroupId, Severity
from bot.domain.approvals import Answer, Approval, Place, Verdict
from bot.domain.findings import Evidence, Finding, FindingKind
from bot.domain.incidents import Incident, IncidentId, IncidentStatus, Milestone, MilestoneKind
from bot.domain.people import ChannelId, Person, PersonId, Role
from bot.domain.postmortems import Records
from bot.domain.runbooks import Expectation, Match, Review, Runbook
from bot.domain.runs import (
    Plan,
    PlannedCheck,
    PlannedStep,
    Run,
    RunId,
    RunState,
    StepRecord,
    StepState,
)
from bot.domain.timeline import TimelineEntry, TimelineKind

START = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)

ANA = Person(id=PersonId("U1"), name="Ana")
BEN = Person(id=PersonId("U2"), name="Ben")
CLEO = Person(id=PersonId("U3"), name="Cleo")

SEVERITY = Finding(
    kind=FindingKind.SEVERITY,
    claim="sev2: severity label is `critical` and checkout is a tier 1 service",
    value="sev2",
    model="triage-rules-1",
)
SIMILAR = Finding(
    kind=FindingKind.SIMILAR,
    claim="Checkout worker hung (EX-7, 3 months ago, example): the worker was restarted",
    value="EX-7",
    model="words+meaning",
    evidence=(Evidence(kind="incident", ref="EX-7", label="Checkout worker hung"),),
)
RUNBOOK = Finding(
    kind=FindingKind.RUNBOOK,
    claim="Runbook “Restart the checkout worker” fits: alert CheckoutStuck",
    value="checkout/restart-worker",
    evidence=(
        Evidence(kind="runbook", ref="checkout/restart-worker", label="alert CheckoutStuck"),
    ),
)


def minutes(count: float) -> datetime:
    """Return the moment so many minutes after the start."""
    return START + timedelta(minutes=count)


ALERT = Alert(
    fingerprint="f1",
    status=AlertStatus.RESOLVED,
    labels={"alertname": "CheckoutStuck", "service": "checkout", "severity": "critical"},
    annotations={"summary": "Orders are not processed", "impact": "Orders wait."},
    starts_at=START,
    ends_at=minutes(14),
)
GROUP = AlertGroup(
    id=GroupId("g1"),
    source="alertmanager",
    group_key="checkout",
    labels={"alertname": "CheckoutStuck"},
    alerts=(ALERT,),
    first_seen=minutes(1),
    last_seen=minutes(14),
    notifications=5,
    resolved_at=minutes(14),
    acknowledged_by=ANA,
    acknowledged_at=minutes(3),
    incident="INC-1",
    findings=(SEVERITY, SIMILAR, RUNBOOK),
)
INCIDENT = Incident(
    id=IncidentId("INC-1"),
    number=1,
    title="Checkout is stuck",
    severity=Severity.SEV2,
    status=IncidentStatus.RESOLVED,
    service="checkout",
    declared_by=ANA,
    declared_at=minutes(4),
    channel=ChannelId("C9"),
    roles={Role.COMMANDER: ANA, Role.SCRIBE: CLEO, Role.COMMUNICATIONS: BEN},
    responders=(ANA, BEN, CLEO),
    groups=("g1",),
    milestones=(
        Milestone(kind=MilestoneKind.STARTED, at=START, by="plugin:alertmanager"),
        Milestone(kind=MilestoneKind.DETECTED, at=minutes(1), by="plugin:alertmanager"),
        Milestone(kind=MilestoneKind.ACKNOWLEDGED, at=minutes(3), by=ANA.actor),
        Milestone(kind=MilestoneKind.DECLARED, at=minutes(4), by=ANA.actor),
        Milestone(kind=MilestoneKind.RESOLVED, at=minutes(21), by=ANA.actor),
    ),
)
CHECK = PlannedCheck(
    uses="prometheus.query@1",
    arguments={"query": "queue_depth"},
    expect=Expectation(below=10),
    within=120,
    every=5,
    consecutive=2,
)
STEP = PlannedStep(
    id="restart",
    title="Restart the worker",
    uses="demo.restart@1",
    arguments={"worker": "w1"},
    effect=Effect.MUTATE,
    risk=Risk.R2,
    idempotent=True,
    timeout=30,
    diff="worker w1: generation 4 -> 5",
    verify=CHECK,
)
PLAN = Plan(
    run="r1",
    runbook="checkout/restart-worker",
    version=3,
    runbook_digest="d" * 64,
    title="Restart the checkout worker",
    parameters={"worker": "w1"},
    subject="g1",
    service="checkout",
    facts=(),
    steps=(STEP,),
    risk=Risk.R2,
    policy_digest="p" * 64,
    quorum=(Place(group="oncall"),),
)
APPROVAL = Approval(
    id="a1",
    digest=PLAN.digest,
    requester=ANA,
    quorum=PLAN.quorum,
    answer_by=minutes(38),
    execute_within=600,
    answers=(Answer(person=BEN, approve=True, at=minutes(9), groups=frozenset({"oncall"})),),
    verdict=Verdict.GRANTED,
    execute_by=minutes(19),
)
RUN = Run(
    id=RunId("r1"),
    runbook="checkout/restart-worker",
    title="Restart the checkout worker",
    parameters={"worker": "w1"},
    requester=ANA,
    subject="g1",
    incident="INC-1",
    service="checkout",
    created_at=minutes(8),
    state=RunState.SUCCEEDED,
    plan=PLAN,
    approval=APPROVAL,
    records=(
        StepRecord(
            id="restart",
            state=StepState.DONE,
            summary="verified: queue_depth is 3 (below 10, 2 times in a row)",
            ended_at=minutes(12),
        ),
    ),
    position=1,
    ended_at=minutes(12),
)
PAGE = Runbook(
    id="checkout/restart-worker",
    version=3,
    title="Restart the checkout worker",
    owner="checkout",
    review=Review(by="Ben", at=date(2026, 10, 1), max_age_days=180),
    match=Match(alerts=("CheckoutStuck",)),
    parameters=(),
    approval={},
    diagnose=(),
    steps=(),
    sections={},
    path="runbooks/checkout/restart-worker.md",
    digest="d" * 64,
)


def said(count: float, text: str, *, by: Person, kind: TimelineKind) -> TimelineEntry:
    """Make a timeline entry of a person."""
    return TimelineEntry(
        subject="INC-1",
        at=minutes(count),
        kind=kind,
        text=text,
        actor=by.actor,
        actor_name=by.name,
    )


TIMELINE = (
    TimelineEntry(
        subject="g1", at=START, kind=TimelineKind.ALERT, text="CheckoutStuck started firing"
    ),
    said(3, "acknowledged the alert", by=ANA, kind=TimelineKind.ALERT),
    said(4, "declared INC-1: Checkout is stuck (sev2)", by=ANA, kind=TimelineKind.INCIDENT),
    said(6, "Looks like EX-7 all over again", by=CLEO, kind=TimelineKind.NOTE),
    said(8, "asked for “Restart the checkout worker”", by=ANA, kind=TimelineKind.RUN),
    said(9, "approved “Restart the checkout worker”", by=BEN, kind=TimelineKind.APPROVAL),
    TimelineEntry(
        subject="g1", at=minutes(14), kind=TimelineKind.ALERT, text="CheckoutStuck resolved"
    ),
    said(21, "set the status to resolved", by=ANA, kind=TimelineKind.INCIDENT),
)
RECORDS = Records(
    incident=INCIDENT, groups=(GROUP,), runs=(RUN,), timeline=TIMELINE, runbooks=(PAGE,)
)

HOSTILE = (
    "<!channel> <@U1> <script>alert(1)</script> [x](javascript:alert(1)) `code` | cell | "
    "**bold** http://evil.example/ &lt;b&gt; ![i](http://evil.example/i.png)\n# heading\n- item"
)


def hostile() -> Records:
    """Return the records with a stranger's words wherever a stranger can write."""
    finding = replace(
        RUNBOOK, claim=HOSTILE, evidence=(Evidence(kind="x", ref="x", label=HOSTILE),)
    )
    group = replace(
        GROUP,
        alerts=(replace(ALERT, labels={"alertname": HOSTILE}, annotations={"impact": HOSTILE}),),
        findings=(finding,),
    )
    run = replace(RUN, title=HOSTILE, reason=HOSTILE, state=RunState.FAILED)
    entry = said(22, HOSTILE, by=replace(CLEO, name=HOSTILE), kind=TimelineKind.NOTE)
    return Records(
        incident=replace(INCIDENT, title=HOSTILE, service=HOSTILE),
        groups=(group,),
        runs=(run,),
        timeline=(*TIMELINE, entry),
    )
