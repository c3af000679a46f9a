"""The knowledge that comes with the bot is whole, useful and as its README says."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from bot.domain.actions import JSON, Action, ActionCall, ActionResult, Effect, Risk, Undo
from bot.domain.limits import check_targets, waves
from bot.domain.parameters import Parameter, ParameterKind
from bot.domain.runbooks import SECTIONS, ApprovalGroup, Check, Expectation, Runbook, matches
from bot.knowledge import Knowledge, check_actions, load
from bot.loader import find, make
from tests.stage import stage_in

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "knowledge"


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    return load(SHIPPED)


async def _nothing(call: ActionCall) -> ActionResult:
    return ActionResult(summary="nothing")


def _undone(call: ActionCall, result: ActionResult) -> Undo:
    return Undo(uses=call.key, arguments={})


def action(reference: str, effect: Effect, risk: Risk, **properties: JSON) -> Action:
    name, version = reference.split("@")
    return Action(
        name=name,
        version=int(version),
        summary=name,
        effect=effect,
        risk=risk,
        idempotent=True,
        arguments={
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        },
        handler=_nothing,
        undo=_undone if "set_" in name else None,
    )


STRING: JSON = {"type": "string", "minLength": 1, "pattern": "^[a-z].*"}
DIGEST: JSON = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
HALF: JSON = {"enum": ["first", "second"]}
INTEGER: JSON = {"type": "integer", "minimum": 5, "maximum": 32}
ACTIONS: Mapping[str, Action] = {
    each.reference: each
    for each in (
        action("prometheus.query@1", Effect.READ, Risk.R0, query=STRING),
        action("http.get@1", Effect.READ, Risk.R0, url=STRING),
        action("checkout.worker_status@1", Effect.READ, Risk.R0),
        action("checkout.restart_worker@1", Effect.MUTATE, Risk.R2),
        action("checkout.set_concurrency@1", Effect.MUTATE, Risk.R1, value=INTEGER),
        action("checkout.queue_status@1", Effect.READ, Risk.R0),
        action("checkout.rebuild_queue@1", Effect.MUTATE, Risk.R3, half=HALF),
        action("checkout.sweep_partition@1", Effect.MUTATE, Risk.R1, partition=STRING),
        action("policy.in_force@1", Effect.READ, Risk.R0, digest=DIGEST),
        action("policy.adopt@1", Effect.MUTATE, Risk.R3, digest=DIGEST),
    )
}


def test_at_least_thirteen_runbooks_a_dozen_incidents_and_a_shop_are_there(
    knowledge: Knowledge,
) -> None:
    assert len(knowledge.runbooks) >= 13
    assert len(knowledge.incidents) >= 12
    assert len(knowledge.catalog.services) >= 10
    assert all(incident.example for incident in knowledge.incidents)


def test_every_page_speaks_under_all_four_headings(knowledge: Knowledge) -> None:
    for runbook in knowledge.runbooks.values():
        assert tuple(runbook.sections) == SECTIONS
        assert all(len(text) > 60 for text in runbook.sections.values()), runbook.id
        assert "{#" not in "".join(runbook.sections.values())


def test_every_alert_name_leads_to_one_page_only(knowledge: Knowledge) -> None:
    for runbook in knowledge.runbooks.values():
        for alert in runbook.match.alerts:
            fitting = [
                r.id for r in knowledge.runbooks.values() if matches(r, {"alertname": alert})
            ]
            assert fitting == [runbook.id], alert


def test_the_stuck_worker_is_restarted_with_one_approval_and_verified(
    knowledge: Knowledge,
) -> None:
    runbook = knowledge.runbooks["checkout-worker-stuck"]
    labels = {"alertname": "CheckoutHighErrorRate", "service": "checkout"}
    assert matches(runbook, labels) == "alert CheckoutHighErrorRate"
    assert runbook.approval == {Risk.R2: (ApprovalGroup(group="payments-oncall", count=1),)}
    (step,) = runbook.steps
    assert (step.id, step.uses, step.risk) == (
        "restart-worker",
        "checkout.restart_worker@1",
        Risk.R2,
    )
    assert step.explanation.startswith("Kills the worker process")
    assert step.verify is not None
    assert step.verify.expect == Expectation(below=0.05)
    assert (step.verify.within, step.verify.every, step.verify.consecutive) == (90, 1, 3)


def test_the_queue_is_rebuilt_by_halves_with_no_way_back(knowledge: Knowledge) -> None:
    runbook = knowledge.runbooks["checkout-rebuild-queue"]
    (step,) = runbook.steps
    assert (step.uses, step.risk, step.commit_point) == ("checkout.rebuild_queue@1", Risk.R3, True)
    assert "no way back" in step.explanation
    assert (runbook.limits.targets, runbook.limits.percent) == (8, 50)


def test_the_rebuild_fits_the_demos_alert_by_a_label_and_so_ranks_below_the_restart(
    knowledge: Knowledge,
) -> None:
    labels = {"alertname": "CheckoutHighErrorRate", "service": "checkout", "queue": "orders"}
    fitting = {r.id: matches(r, labels) for r in knowledge.runbooks.values()}
    assert {id: why for id, why in fitting.items() if why} == {
        "checkout-worker-stuck": "alert CheckoutHighErrorRate",
        "checkout-rebuild-queue": "label queue=orders",
    }


def test_the_queue_is_swept_in_waves_below_its_limits(knowledge: Knowledge) -> None:
    runbook = knowledge.runbooks["checkout-sweep-queue"]
    (step,) = runbook.steps
    assert waves(step.targets) == (
        ("partition-01",),
        ("partition-02", "partition-03"),
        ("partition-04", "partition-05", "partition-06", "partition-07"),
    )
    check_targets(runbook.limits, step.targets, 16)


def test_the_incidents_name_runbooks_that_exist_and_three_are_about_the_checkout(
    knowledge: Knowledge,
) -> None:
    assert all(incident.runbook in knowledge.runbooks for incident in knowledge.incidents)
    assert len([i for i in knowledge.incidents if i.service == "checkout"]) >= 3
    times = [incident.started_at for incident in knowledge.incidents]
    assert times == sorted(times)


def test_an_outage_of_the_database_reaches_the_checkout(knowledge: Knowledge) -> None:
    assert "checkout" in knowledge.catalog.dependents("postgres-main")
    assert "postgres-main" in knowledge.catalog.dependencies("checkout")


def test_no_page_has_a_line_that_a_narrow_screen_would_have_to_break_in_prose() -> None:
    for path in SHIPPED.rglob("*.md"):
        for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
            prose = not line.startswith(("|", " ", "kubectl", "node_")) and "(" not in line
            assert not prose or len(line) <= 120, f"{path.name}:{number}"


def test_the_examples_in_the_readme_are_right(tmp_path: Path) -> None:
    readme = (SHIPPED / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^( *)```(\w+)\n(.*?)^ *```", readme, re.MULTILINE | re.DOTALL)
    front, service, incident = (
        next(text for _, kind, text in blocks if kind == wanted and sign in text)
        for wanted, sign in (
            ("yaml", "runbook/v1"),
            ("toml", "[services"),
            ("markdown", "incident"),
        )
    )
    step = next(text for _, kind, text in blocks if kind == "markdown" and "{#evict}" in text)
    step = re.sub(r"^ {2}", "", step, flags=re.MULTILINE)
    (tmp_path / "runbooks").mkdir()
    (tmp_path / "incidents").mkdir()
    body = "".join(f"## {name}\n\nText.\n\n" for name in SECTIONS)
    (tmp_path / "runbooks" / "page.md").write_text(front + body + step, encoding="utf-8")
    told = re.sub(r"^(## .*)$", r"\1\n\nText.\n", incident, flags=re.MULTILINE)
    told = re.sub(r"^(runbook|example):.*\n", "", told, flags=re.MULTILINE)
    (tmp_path / "incidents" / "one.md").write_text(told, encoding="utf-8")
    others = "".join(
        f'[services.{name}]\nteam = "t"\ndescription = "d"\ntier = 1\n'
        for name in ("payments", "cart", "redis-cache")
    )
    toml = f'format = "services/v1"\n{service}{others}'
    (tmp_path / "services.toml").write_text(toml, encoding="utf-8")
    found = load(tmp_path)
    assert found.runbooks["cache-full"].steps[0].explanation.startswith("What it does")
    assert found.incidents[0].id == "EX-101"


async def test_the_shipped_pages_fit_the_actions_of_all_plugins(
    knowledge: Knowledge, tmp_path: Path
) -> None:
    names = [path.parent.name for path in sorted((ROOT / "plugins").glob("*/__init__.py"))]
    async with stage_in(tmp_path) as stage:
        plugins = make(find(names, {}, {}), stage.context)
        actions = {a.reference: a for plugin in plugins for a in plugin.actions()}
        assert [str(problem) for problem in check_actions(knowledge, actions)] == []


def changed(knowledge: Knowledge, runbook: Runbook) -> Knowledge:
    return replace(knowledge, runbooks={runbook.id: runbook})


def test_an_unknown_action_is_named_with_its_line(knowledge: Knowledge) -> None:
    known = {key: value for key, value in ACTIONS.items() if "restart" not in key}
    page = changed(knowledge, knowledge.runbooks["checkout-worker-stuck"])
    (problem,) = check_actions(page, known)
    assert problem.file == "runbooks/checkout/worker-stuck.md"
    assert problem.line == 36
    assert problem.reason == "step restart-worker: there is no action checkout.restart_worker@1"


def test_diagnosis_and_verification_may_only_read(knowledge: Knowledge) -> None:
    runbook = knowledge.runbooks["checkout-worker-stuck"]
    check = Check(id="c", title="c", uses="checkout.restart_worker@1", arguments={})
    verify = runbook.steps[0].verify
    assert verify is not None
    writing = replace(verify, uses="checkout.restart_worker@1", arguments={})
    broken = replace(runbook, diagnose=(check,), steps=(replace(runbook.steps[0], verify=writing),))
    reasons = [p.reason for p in check_actions(changed(knowledge, broken), ACTIONS)]
    assert len(reasons) == 2
    assert all("changes things" in reason for reason in reasons)


@pytest.mark.parametrize(
    ("arguments", "kind", "reason"),
    (
        ({"value": "${x}"}, ParameterKind.INTEGER, None),
        ({"value": "${x}"}, ParameterKind.STRING, "value: 'sample' is not of type 'integer'"),
        ({"value": "${x}"}, ParameterKind.NUMBER, "value: 1.5 is not of type 'integer'"),
        ({"value": 40}, ParameterKind.INTEGER, "value: 40 is greater than the maximum"),
        ({"value": 8, "more": 1}, ParameterKind.INTEGER, "these arguments: Additional"),
        ({}, ParameterKind.INTEGER, "these arguments: 'value' is a required property"),
    ),
)
def test_arguments_have_to_fit_and_a_parameter_stands_for_its_type(
    knowledge: Knowledge, arguments: dict[str, JSON], kind: ParameterKind, reason: str | None
) -> None:
    runbook = knowledge.runbooks["checkout-worker-slow"]
    step = replace(runbook.steps[0], arguments=arguments)
    broken = replace(runbook, parameters=(Parameter(name="x", kind=kind),), steps=(step,))
    problems = check_actions(changed(knowledge, broken), ACTIONS)
    assert len(problems) == (reason is not None)
    assert reason is None or reason in problems[0].reason
