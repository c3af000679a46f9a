"""Runbooks, alerts, plans and runs for the tests of the runbooks plugin."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from bot.domain.actions import Effect, Risk
from bot.domain.alerts import Alert, AlertGroup, AlertStatus, GroupId
from bot.domain.approvals import Answer, Approval, Place, Verdict
from bot.domain.parameters import Parameter, ParameterKind
from bot.domain.people import Person, PersonId
from bot.domain.runbooks import Expectation, Match, OnFailure, Review, Runbook, Step
from bot.domain.runs import (
    Fact,
    Plan,
    PlannedCheck,
    PlannedStep,
    PlannedUndo,
    Run,
    RunId,
    RunState,
    StepRecord,
    StepState,
)

NOW = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)
DANA = Person(id=PersonId("U1"), name="Dana")
EVE = Person(id=PersonId("U2"), name="Eve")


def runbook(id: str = "worker-stuck", title: str = "Worker is stuck", **changes: Any) -> Runbook:
    made = Runbook(
        id=id,
        version=3,
        title=title,
        owner="payments",
        review=Review(by="eve", at=date(2026, 11, 2), max_age_days=180),
        match=Match(alerts=("CheckoutHighErrorRate",)),
        parameters=(),
        approval={},
        diagnose=(),
        steps=(
            Step(
                id="restart",
                title="Restart the worker",
                uses="checkout.restart_worker@1",
                arguments={},
                risk=Risk.R2,
                timeout=30,
                verify=None,
                on_failure=OnFailure.ESCALATE,
            ),
        ),
        sections={
            "Meaning": "The **worker** hangs. See `up` and [docs](https://example.com/a).",
            "Mitigation": "1. Look\n   closer\n2. Act\n\n```sh\nkubectl get pods\n```",
        },
        path="runbooks/worker.md",
        digest="d" * 64,
    )
    return replace(made, **changes)


PARAMETERS = (
    Parameter(name="service", kind=ParameterKind.SERVICE, label="service"),
    Parameter(name="count", kind=ParameterKind.INTEGER, default=4, description="How many."),
    Parameter(name="mode", kind=ParameterKind.ENUM, values=("soft", "hard"), required=False),
)


def alert(number: int = 0, status: AlertStatus = AlertStatus.FIRING, **labels: str) -> Alert:
    labels = {"alertname": "CheckoutHighErrorRate", "service": "checkout", **labels}
    return Alert(
        fingerprint=f"f{number}",
        status=status,
        labels=labels,
        starts_at=NOW,
        annotations={"summary": "Orders fail"},
    )


def group(*alerts: Alert, **changes: Any) -> AlertGroup:
    made = AlertGroup(
        id=GroupId("g1"),
        source="alertmanager",
        group_key="k",
        labels={},
        alerts=alerts or (alert(),),
        first_seen=NOW,
        last_seen=NOW,
    )
    return replace(made, **changes)


def planned_step(**changes: Any) -> PlannedStep:
    made = PlannedStep(
        id="restart",
        title="Restart the worker",
        uses="checkout.restart_worker@1",
        arguments={"expected_generation": 4},
        effect=Effect.MUTATE,
        risk=Risk.R2,
        idempotent=False,
        timeout=30,
        diff="- worker 4\n+ worker 5",
        explanation="It hangs.",
        verify=PlannedCheck(
            uses="prometheus.query@1",
            arguments={"query": "errors"},
            expect=Expectation(below=0.05),
            within=90,
            every=1,
            consecutive=3,
        ),
    )
    return replace(made, **changes)


def plan(*steps: PlannedStep) -> Plan:
    return Plan(
        run="r1",
        runbook="worker-stuck",
        version=3,
        runbook_digest="d" * 64,
        title="Worker is stuck",
        parameters={},
        subject="g1",
        service="checkout",
        facts=(
            Fact(title="Error rate", summary="0.4 (expected below 0.05)", ok=False),
            Fact(title="Queue", summary="5", ok=True),
        ),
        steps=steps or (planned_step(),),
        risk=Risk.R2,
        policy_digest="p" * 64,
        quorum=(Place(group="payments-oncall"),),
    )


def run(state: RunState, **changes: Any) -> Run:
    frozen = changes.pop("plan", plan())
    approval = Approval(
        id="a",
        digest=frozen.digest,
        requester=DANA,
        quorum=frozen.quorum,
        answer_by=NOW + timedelta(minutes=30),
        execute_within=600,
    )
    made = Run(
        id=RunId("r1"),
        runbook="worker-stuck",
        title="Worker is stuck",
        parameters={},
        requester=DANA,
        subject="g1",
        incident=None,
        service="checkout",
        created_at=NOW,
        state=state,
        plan=frozen,
        approval=approval,
        records=tuple(StepRecord(id=step.id) for step in frozen.steps),
    )
    return replace(made, **changes)


def approved(state: RunState, **changes: Any) -> Run:
    made = run(state)
    assert made.approval is not None
    yes = Answer(person=EVE, approve=True, at=NOW, groups=frozenset({"payments-oncall"}))
    approval = replace(
        made.approval,
        answers=(yes,),
        verdict=Verdict.GRANTED,
        execute_by=NOW + timedelta(minutes=10),
    )
    return replace(made, approval=approval, **changes)


def step_record(state: StepState, **changes: Any) -> StepRecord:
    return replace(
        StepRecord(id="restart", state=state, started_at=NOW - timedelta(seconds=12)), **changes
    )


UNDO = PlannedUndo(step="restart", title="Undo", uses="checkout.set_concurrency@1", arguments={})
