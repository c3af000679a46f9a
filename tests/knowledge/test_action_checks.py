"""A page may use an action only the way the registry allows it, and every fault is named."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from bot.domain.actions import (
    JSON,
    Action,
    ActionCall,
    ActionResult,
    Effect,
    Risk,
    Transient,
    Undo,
)
from bot.domain.parameters import Parameter, ParameterKind
from bot.domain.runbooks import (
    Check,
    Expectation,
    Match,
    OnFailure,
    Retry,
    Review,
    Runbook,
    Step,
    StepUndo,
    Verification,
)
from bot.knowledge.action_checks import runbook_problems
from bot.knowledge.step_checks import late_starts

PASSING = frozenset({Transient.TIMEOUT, Transient.CONFLICT})


async def _never(call: ActionCall) -> ActionResult:
    raise AssertionError("nothing is called when pages are checked")


def action(name: str, effect: Effect = Effect.MUTATE, **more: Any) -> Action:
    properties: JSON = more.pop("properties", {})
    return Action(
        name=name,
        version=1,
        summary=name,
        effect=effect,
        risk=more.pop("risk", Risk.R0 if effect is Effect.READ else Risk.R2),
        idempotent=more.pop("idempotent", True),
        arguments={"type": "object", "properties": properties, "additionalProperties": False},
        handler=_never,
        transient=PASSING,
        **more,
    )


def _back(call: ActionCall, result: ActionResult) -> Undo:
    return Undo(uses="pool.grow@1", arguments={})


NUMBER: JSON = {"type": "integer", "minimum": 5}
ACTIONS = {
    each.reference: each
    for each in (
        action("pool.count", Effect.READ, properties={"pool": {"type": "string"}}),
        action("pool.grow", undo=_back, properties={"by": NUMBER, "pid": NUMBER}),
        action("pool.drop", idempotent=False, properties={"by": NUMBER}),
        action("pool.wipe", risk=Risk.R4),
        action("human.ask", manual=True),
        action("wait.for", Effect.READ, waiting=True),
    )
}
LOOK = Verification(
    uses="pool.count@1",
    arguments={},
    expect=Expectation(equals=1),
    within=60,
    every=1,
    consecutive=1,
)
STEP = Step(
    id="grow",
    title="Grow",
    uses="pool.grow@1",
    arguments={},
    risk=None,
    timeout=30,
    verify=LOOK,
)


def faults(*steps: Step, **more: Any) -> list[str]:
    runbook = Runbook(
        id="pool-small",
        version=1,
        title="The pool is small",
        owner="storage",
        review=Review(by="dana", at=date(2026, 1, 1), max_age_days=180),
        match=Match(),
        parameters=more.pop("parameters", ()),
        approval={},
        diagnose=more.pop("diagnose", ()),
        steps=steps,
        sections={},
        path="runbooks/pool.md",
        digest="0" * 64,
        **more,
    )
    lines = {"grow": 10, "grow/verify": 12, "grow/undo": 14, "look": 5, "first": 3}
    return [f"{p.line}: {p.reason}" for p in runbook_problems(runbook, lines, ACTIONS)]


def test_a_step_that_can_go_back_is_fine() -> None:
    assert faults(STEP) == []
    own = StepUndo(uses="pool.grow@1", arguments={})
    assert faults(replace(STEP, uses="pool.drop@1", undo=own)) == []
    assert faults(replace(STEP, uses="pool.drop@1", commit_point=True)) == []
    assert faults(replace(STEP, uses="pool.count@1")) == []


def test_a_step_with_no_way_back_has_to_say_so() -> None:
    (fault,) = faults(replace(STEP, uses="pool.drop@1"))
    assert fault.startswith("10: step grow: pool.drop@1 changes things and has no undo of its own")
    assert "commit_point: true" in fault
    (by_hand,) = faults(replace(STEP, uses="human.ask@1"))
    assert "give the step an undo" in by_hand


def test_a_step_that_only_reads_takes_nothing_back() -> None:
    (fault,) = faults(replace(STEP, uses="pool.count@1", commit_point=True))
    assert fault == "10: step grow: pool.count@1 changes nothing; take undo and commit_point out"


def test_risk_may_be_raised_and_never_lowered() -> None:
    assert faults(replace(STEP, risk=Risk.R3)) == []
    assert faults(replace(STEP, risk=Risk.R2)) == []
    (fault,) = faults(replace(STEP, risk=Risk.R1))
    assert fault.startswith("10: step grow: risk R1 is lower than the R2 of pool.grow@1")


@pytest.mark.parametrize(
    ("uses", "on", "reason"),
    (
        ("pool.grow@1", (Transient.TIMEOUT, Transient.CONFLICT), None),
        ("pool.count@1", (Transient.TIMEOUT,), None),
        ("pool.drop@1", (Transient.TIMEOUT,), "must not be tried again"),
        (
            "pool.grow@1",
            (Transient.TIMEOUT, Transient.UNREACHABLE),
            "never fails as unreachable; it knows conflict, timeout",
        ),
    ),
)
def test_only_idempotent_actions_are_tried_again_and_only_after_what_they_name(
    uses: str, on: tuple[Transient, ...], reason: str | None
) -> None:
    back = uses == "pool.drop@1"
    step = replace(STEP, uses=uses, commit_point=back, retry=Retry(times=1, on=on, wait=1))
    found = faults(step)
    assert len(found) == (reason is not None)
    assert reason is None or reason in found[0]


def test_what_waits_needs_something_to_wait_for() -> None:
    assert faults(replace(STEP, uses="wait.for@1")) == []
    (fault,) = faults(replace(STEP, uses="wait.for@1", verify=None))
    assert fault == "10: step grow: wait.for@1 waits for its verify, and the step has none"


def test_only_people_get_more_than_an_hour() -> None:
    assert faults(replace(STEP, uses="human.ask@1", timeout=86400, commit_point=True)) == []
    (fault,) = faults(replace(STEP, timeout=3601))
    assert "3600 s are the most for a machine" in fault


@pytest.mark.parametrize("uses", ("pool.grow@1", "wait.for@1"))
def test_checks_and_preconditions_only_look(uses: str) -> None:
    look = Check(id="look", title="Look", uses=uses, arguments={})
    first = replace(look, id="first", expect=Expectation(equals=1))
    found = faults(STEP, diagnose=(look,), preconditions=(first,))
    assert [fault[:14] for fault in found] == ["5: check look:", "3: preconditio"]


def test_an_undo_has_to_exist_to_fit_and_to_change_something() -> None:
    for undo, reason in (
        (StepUndo(uses="pool.lost@1", arguments={}), "there is no action pool.lost@1"),
        (StepUndo(uses="pool.count@1", arguments={}), "takes nothing back"),
        (StepUndo(uses="pool.grow@1", arguments={"by": "much"}), "is not of type 'integer'"),
        (StepUndo(uses="pool.grow@1", arguments={"to": 1}), "'to' was unexpected"),
    ):
        (fault,) = faults(replace(STEP, undo=undo))
        assert fault.startswith("14: undo of grow: ")
        assert reason in fault


def test_a_fact_may_stand_where_a_number_or_true_or_false_belongs() -> None:
    assert faults(replace(STEP, arguments={"pid": "${facts.blocker}"})) == []
    looking = replace(LOOK, arguments={"pool": "${facts.blocker}"})
    (fault,) = faults(replace(STEP, verify=looking))
    assert "pool.count@1 does not take pool: 1 is not of type 'string'" in fault


def test_a_fact_and_a_parameter_may_stand_beside_a_target() -> None:
    size = Parameter(name="size", kind=ParameterKind.QUANTITY)
    step = replace(
        STEP,
        targets=("a", "b"),
        arguments={"pid": "${facts.blocker}", "by": "${size}"},
        undo=StepUndo(uses="pool.grow@1", arguments={"by": "${size}", "pid": "${facts.blocker}"}),
    )
    assert faults(step, parameters=(size,)) == []
    (fault,) = faults(replace(step, arguments={"by": "${target}"}), parameters=(size,))[:1]
    assert "by: 'a' is not of type 'integer'" in fault


def test_a_wait_has_no_targets() -> None:
    waits = replace(STEP, uses="wait.for@1", targets=("a", "b"))
    assert faults(waits) == [
        "10: step grow: wait.for@1 waits once, whatever the targets are; take targets out"
    ]
    assert faults(replace(waits, targets=("a",))) == []


RISKY = replace(STEP, undo=StepUndo(uses="pool.wipe@1", arguments={}))
BACK = replace(STEP, id="first", on_failure=OnFailure.ROLLBACK)


def test_a_way_back_may_not_be_riskier_than_the_plan_that_announces_it() -> None:
    (fault,) = faults(RISKY, BACK)
    assert fault == (
        "14: undo of grow: pool.wipe@1 is R4, riskier than every step, so that a rollback "
        "would be refused; raise the risk of this step"
    )


def test_a_risky_way_back_that_people_ask_for_has_an_approval_of_its_own() -> None:
    assert faults(RISKY) == []
    assert faults(replace(RISKY, risk=Risk.R4), BACK) == []
    blind = replace(BACK, risk=Risk.R3)  # without a dry run it counts one class higher
    assert faults(RISKY, blind) == []


WAIT = replace(STEP, id="wait", uses="wait.for@1")
PATIENT = replace(LOOK, within=600)
TRIES = Retry(times=3, on=(Transient.TIMEOUT,), wait=60)


def late(*steps: Step) -> list[str]:
    return [step.id for step, _ in late_starts(steps, ACTIONS)]


@pytest.mark.parametrize(
    ("steps", "named"),
    (
        ((STEP,), []),
        ((WAIT, STEP), []),
        ((replace(WAIT, verify=PATIENT), STEP), ["grow"]),
        ((replace(WAIT, verify=replace(LOOK, within=599)), STEP), []),
        ((STEP, replace(WAIT, verify=PATIENT), replace(STEP, id="last")), []),
        ((replace(STEP, retry=TRIES),), []),
        ((replace(STEP, retry=replace(TRIES, times=4)),), ["grow"]),
        ((replace(WAIT, verify=replace(LOOK, within=90)), replace(STEP, retry=TRIES)), ["grow"]),
        ((replace(STEP, id="first"), replace(STEP, retry=replace(TRIES, times=4))), []),
        ((replace(STEP, uses="pool.lost@1"), replace(STEP, retry=replace(TRIES, times=9))), []),
    ),
)
def test_what_begins_after_consent_has_expired_is_named(
    steps: tuple[Step, ...], named: list[str]
) -> None:
    assert late(*steps) == named


def test_a_late_start_is_told_with_its_time() -> None:
    ((_, reason),) = late_starts((replace(WAIT, verify=PATIENT), STEP), ACTIONS)
    assert "begun or tried again 600 s after the run" in reason
