"""What a plan is made of: what was found, what the page's rules say, and what has to hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.domain.actions import ActionCall, ActionFailed, ActionResult, Risk, Transient
from bot.domain.errors import Refused
from bot.domain.parameters import Parameter, ParameterKind
from bot.domain.runbooks import (
    ApprovalGroup,
    Check,
    Expectation,
    OnFailure,
    Outcome,
    Rule,
    StepUndo,
)
from bot.domain.runs import Plan, Run, RunId, RunState
from bot.services.drafting import Drafting
from bot.services.reading import Reader
from bot.services.registry import Registry, unredacted
from tests.services.gate_world import BENCH, DANA, MARCUS, PRIYA, SHINES, World, step

SEES_ONE = Expectation(equals=1)


def check(id: str, expect: Expectation | None = None, **arguments: Any) -> Check:
    """Return a look at one of the lamp's values."""
    return Check(
        id=id, title=f"Check {id}", uses="lamp.look@1", arguments=arguments or {"of": id},
        expect=expect,
    )  # fmt: skip


async def _planned(world: World, *steps: Any, **changes: Any) -> Run:
    return await world.run(await world.planned(*steps, **changes))


def _plan(run: Run) -> Plan:
    assert run.plan is not None, run.reason
    return run.plan


# Facts.


async def test_what_a_check_found_keeps_its_name_and_value(world: World) -> None:
    world.lamp.values = {"used-memory": 0.75}
    plan = _plan(await _planned(world, diagnose=(check("used-memory"),)))
    assert [(f.id, f.value) for f in plan.facts] == [("used-memory", 0.75)]


async def test_a_whole_number_that_was_found_is_an_integer_in_the_plan(world: World) -> None:
    world.lamp.values = {"pid": 4711.0}
    one = step(uses="lamp.set@1", arguments={"value": "${facts.pid}"})
    plan = _plan(await _planned(world, one, diagnose=(check("pid"),)))
    assert plan.steps[0].arguments["value"] == 4711
    assert isinstance(plan.steps[0].arguments["value"], int)


@pytest.mark.parametrize("value", (None, float("nan"), float("inf")))
async def test_a_value_that_is_no_number_is_not_known(world: World, value: float | None) -> None:
    world.lamp.values = {"used": value}
    plan = _plan(await _planned(world, diagnose=(check("used"),)))
    assert plan.facts[0].value is None


async def test_a_step_that_needs_what_was_not_found_is_not_planned(world: World) -> None:
    world.lamp.values = {"pid": None}
    one = step(uses="lamp.set@1", arguments={"value": "${facts.pid}"})
    run = await _planned(world, one, diagnose=(check("pid"),))
    assert run.state is RunState.FAILED
    assert "facts.pid" in run.reason
    assert run.plan is None


async def test_facts_with_a_dash_are_written_with_an_underscore(world: World) -> None:
    world.lamp.values = {"used-memory": 5}
    one = step(
        arguments={"old": "${facts.used_memory}"},
        verify=replace(SHINES, arguments={"was": "${facts.used_memory}"}),
        undo=StepUndo(uses="lamp.off@1", arguments={"to": "${facts.used_memory}"}),
    )
    planned = _plan(await _planned(world, one, diagnose=(check("used-memory"),))).steps[0]
    assert planned.arguments["old"] == 5
    assert planned.verify is not None
    assert planned.verify.arguments == {"was": 5}
    assert planned.undo == StepUndo(uses="lamp.off@1", arguments={"to": 5})


# Decisions.

RULES = (
    Rule(when="facts.used < 1", outcome=Outcome.STOP, because="it is well"),
    Rule(when="facts.used > 9", outcome=Outcome.ESCALATE, because="that is too much"),
    Rule(when="facts.used >= 5", outcome=Outcome.STEPS, steps=("one", "two"), because="much"),
    Rule(when="facts.used >= 1", outcome=Outcome.STEPS, steps=("two",), because="some"),
)


async def _decided(world: World, used: float | None) -> Run:
    world.lamp.values = {"used": used}
    steps = (step("one"), step("two"))
    return await _planned(world, *steps, diagnose=(check("used"),), decide=RULES)


@pytest.mark.parametrize(
    ("used", "steps", "because"), ((5, ["one", "two"], "much"), (1, ["two"], "some"))
)
async def test_the_pages_rules_choose_the_steps_and_the_plan_says_why(
    world: World, used: float, steps: list[str], because: str
) -> None:
    run = await _decided(world, used)
    assert run.state is RunState.AWAITING
    assert [s.id for s in _plan(run).steps] == steps
    assert _plan(run).decided == because
    assert [r.id for r in run.records] == steps


async def test_a_run_that_has_nothing_to_do_ends_without_a_plan(world: World) -> None:
    run = await _decided(world, 0)
    assert run.state is RunState.CANCELLED
    assert run.reason == "nothing to do: it is well"
    assert run.plan is None
    entry = world.ledger()[-1]
    assert entry["type"] == "run.cancelled"
    assert entry["body"]["facts"][0]["value"] == 0


@pytest.mark.parametrize(
    ("used", "because"),
    ((10, "that is too much"), (None, "facts.used is not known"), (None, "it shows None")),
)
async def test_what_the_rules_leave_open_is_left_to_a_person(
    world: World, used: float | None, because: str
) -> None:
    run = await _decided(world, used)
    assert run.state is RunState.FAILED
    assert run.reason.startswith("a person must decide: ")
    assert because in run.reason
    assert world.lamp.calls == []


async def test_a_step_that_is_not_needed_is_left_out_and_the_plan_says_so(world: World) -> None:
    world.lamp.values = {"used": 3}
    steps = (step("one", when="facts.used > 5"), step("two"))
    plan = _plan(await _planned(world, *steps, diagnose=(check("used"),)))
    assert [s.id for s in plan.steps] == ["two"]
    assert "without one" in plan.decided


async def test_where_no_step_is_needed_there_is_nothing_to_do(world: World) -> None:
    world.lamp.values = {"used": 3}
    run = await _planned(world, step(when="facts.used > 5"), diagnose=(check("used"),))
    assert run.state is RunState.CANCELLED
    assert run.reason.startswith("nothing to do: ")


async def test_a_page_without_rules_decides_nothing(world: World) -> None:
    assert _plan(await _planned(world)).decided == ""


# Preconditions.


def hold(*values: str) -> tuple[Check, ...]:
    """Return preconditions: each of some values has to be 1."""
    return tuple(check(id, SEES_ONE) for id in values)


async def test_preconditions_are_frozen_into_the_plan(world: World) -> None:
    parameters = (Parameter(name="host", kind=ParameterKind.STRING, default="db-1"),)
    wanted = (check("up", SEES_ONE, of="up", host="${host}"),)
    plan = _plan(await _planned(world, preconditions=wanted, parameters=parameters))
    assert [(p.title, p.arguments) for p in plan.preconditions] == [
        ("Check up", {"of": "up", "host": "db-1"})
    ]


@pytest.mark.parametrize("value", (0, None, float("nan")))
async def test_without_its_preconditions_nothing_is_planned(
    world: World, value: float | None
) -> None:
    world.lamp.values = {"up": 1, "spare": value}
    run = await _planned(world, preconditions=hold("up", "spare"))
    assert run.state is RunState.FAILED
    assert "“Check spare” does not hold" in run.reason
    assert run.plan is None


async def _approved(world: World, *steps: Any, **changes: Any) -> RunId:
    id = await world.planned(*steps, **changes)
    await world.approve(id)
    return id


async def test_preconditions_are_read_again_right_before_each_effect(world: World) -> None:
    id = await _approved(world, step("one"), step("two"), preconditions=hold("up"))
    world.lamp.looks.clear()
    seen: list[int] = []

    async def counted(call: ActionCall, do: Any) -> ActionResult:
        seen.append(len(world.lamp.looks))
        do()
        return ActionResult(summary="done")

    world.lamp.behaviour = [counted, counted]
    await world.work()
    assert await world.state(id) is RunState.SUCCEEDED
    assert seen == [1, 2]


async def test_an_effect_whose_precondition_went_is_refused_and_names_it(world: World) -> None:
    id = await _approved(world, step("one"), step("two"), preconditions=hold("up"))

    async def breaks_it(call: ActionCall, do: Any) -> ActionResult:
        do()
        world.lamp.values = {"up": 0}
        return ActionResult(summary="done")

    world.lamp.behaviour = [breaks_it]
    await world.work()
    run = await world.run(id)
    assert run.state is RunState.FAILED
    assert "“Check up” does not hold" in run.reason
    assert world.lamp.calls == [f"{id}:one"]
    assert await world.effect(id, "two") is None
    intents = [e["idem_key"] for e in world.ledger() if e["type"] == "action.intent"]
    assert intents == [f"{id}:one"]


async def test_a_precondition_that_cannot_be_found_out_does_not_hold(world: World) -> None:
    id = await _approved(world, preconditions=hold("up"))

    async def silent(call: ActionCall) -> ActionResult:
        raise ActionFailed("nobody answers")

    world.actions["lamp.look@1"] = replace(world.actions["lamp.look@1"], handler=silent)
    await world.work()
    run = await world.run(id)
    assert run.state is RunState.FAILED
    assert "nobody answers" in run.reason
    assert world.lamp.calls == []


async def test_a_look_that_fails_for_a_moment_is_taken_again(world: World) -> None:
    failures = [Transient.UNREACHABLE, Transient.RATE_LIMITED]

    async def shaky(call: ActionCall) -> ActionResult:
        if failures:
            raise ActionFailed("one moment", transient=failures.pop())
        return ActionResult(summary="up", value=1)

    world.actions["lamp.look@1"] = replace(world.actions["lamp.look@1"], handler=shaky)
    run = await _planned(world, preconditions=hold("up"))
    assert run.state is RunState.AWAITING, run.reason


async def test_a_rollback_is_not_held_up_by_preconditions(world: World) -> None:
    id = await _approved(
        world,
        step("one"),
        step("two", uses="lamp.blind@1", on_failure=OnFailure.ROLLBACK),
        preconditions=hold("up"),
    )

    async def breaks_it(call: ActionCall, do: Any) -> ActionResult:
        do()
        world.lamp.values = {"up": 0}
        return ActionResult(summary="done")

    world.lamp.behaviour = [breaks_it]
    await world.work()
    assert await world.state(id) is RunState.ROLLED_BACK
    assert [key.split(":")[1] for key in world.lamp.calls] == ["one", "undo-one"]


# Risk.


@pytest.mark.parametrize(
    ("uses", "risk", "expected"),
    (
        ("lamp.on@1", None, Risk.R1),
        ("lamp.off@1", None, Risk.R2),
        ("lamp.off@1", Risk.R2, Risk.R3),
        ("lamp.off@1", Risk.R4, Risk.R4),
        ("lamp.look@1", None, Risk.R0),
    ),
)
async def test_what_cannot_say_beforehand_what_it_changes_is_a_class_riskier(
    world: World, uses: str, risk: Risk | None, expected: Risk
) -> None:
    registry = Registry(world.actions.values())
    drafting = Drafting(registry, Reader(registry, unredacted))
    (drafted,) = await drafting.steps([step(uses=uses, risk=risk)], {})
    assert drafted.risk is expected
    blind = uses == "lamp.off@1"
    assert ("cannot say beforehand" in drafted.diff) is blind
    assert ("one class higher" in drafted.diff) is blind


async def test_a_way_back_that_could_not_be_called_is_found_out_by_the_plan(world: World) -> None:
    undo = StepUndo(uses="lamp.set@1", arguments={"value": "many"})
    run = await _planned(world, step(undo=undo))
    assert run.state is RunState.FAILED
    assert "value" in run.reason


async def test_the_pages_own_way_back_goes_before_the_actions(world: World) -> None:
    undo = StepUndo(uses="lamp.set@1", arguments={"value": 7})
    id = await _approved(world, step(undo=undo))
    await world.work()
    assert [(u.uses, u.arguments) for u in (await world.run(id)).undoes] == [
        ("lamp.set@1", {"value": 7})
    ]
    back = await world.runs.undo(id, by=world.caller(DANA))
    await world.move()
    await world.approve(back.id)
    await world.work()
    assert await world.state(back.id) is RunState.SUCCEEDED
    assert world.lamp.calls == [f"{id}:one", f"{back.id}:undo-one"]


# Digests.


async def test_a_kept_digest_is_neither_stored_nor_compared(world: World) -> None:
    plan = _plan(await _planned(world))
    fresh = replace(plan)
    assert plan.digest == fresh.digest
    assert plan == replace(plan)
    assert "digest" not in plan.content
    assert replace(plan, title="Another").digest != plan.digest


# Ways back.

WIDE = StepUndo(uses="lamp.wide@1", arguments={})
ROLLS_BACK = step("two", on_failure=OnFailure.ROLLBACK)


async def test_a_way_back_that_would_be_refused_is_not_announced(world: World) -> None:
    run = await _planned(world, step("one", undo=WIDE), ROLLS_BACK)
    assert run.state is RunState.FAILED
    assert run.reason == (
        "Taking “Step one” back is R3, and the plan that announces it only R1; "
        "its rollback would be refused."
    )


async def test_a_way_back_may_be_as_risky_as_the_plan(world: World) -> None:
    planned = step("one", undo=WIDE, risk=Risk.R3)
    assert _plan(await _planned(world, planned, ROLLS_BACK)).risk is Risk.R3


async def test_a_risky_way_back_is_fine_where_only_people_ask_for_it(world: World) -> None:
    id = await world.planned(step("one", undo=WIDE))
    await world.approve(id)
    await world.work()
    back = await world.runs.undo(id, by=world.caller(DANA))
    await world.work()
    plan = _plan(await world.run(back.id))
    assert plan.risk is Risk.R3
    assert sum(place.count for place in plan.quorum) == 2


GROUPS = {Risk.R1: (ApprovalGroup(group="lighting", count=2),)}


async def _undone_without_its_page(world: World) -> Run:
    """Ask for an undo of a run whose page was renamed since."""
    dana = "dana@example.com"
    world.chat.addresses[dana] = PRIYA.id
    id = await world.planned(step("one"), approval=GROUPS, editor=dana)
    for person in (MARCUS, BENCH[0]):
        await world.approve(id, person, "lighting")
    await world.work()
    assert (await world.run(id)).state is RunState.SUCCEEDED
    back = await world.runs.undo(id, by=world.caller(DANA))
    world.book = replace(world.book, id="light-renamed")
    await world.work()
    return await world.run(back.id)


async def test_what_was_done_can_be_undone_although_its_page_is_gone(world: World) -> None:
    back = await _undone_without_its_page(world)
    assert back.state is RunState.AWAITING, back.reason
    plan = _plan(back)
    assert [s.id for s in plan.steps] == ["undo-one"]
    assert (plan.runbook, plan.runbook_digest) == ("light", "0" * 64)
    for person in (MARCUS, BENCH[0]):
        await world.approve(back.id, person, "lighting")
    await world.work()
    assert await world.state(back.id) is RunState.SUCCEEDED


async def test_who_had_to_approve_the_plan_has_to_approve_its_undo(world: World) -> None:
    plan = _plan(await _undone_without_its_page(world))
    assert [(place.group, place.count) for place in plan.quorum] == [("lighting", 2)]


async def test_who_wrote_a_page_that_is_gone_approves_no_undo_of_it(world: World) -> None:
    back = await _undone_without_its_page(world)
    with pytest.raises(Refused):
        await world.approve(back.id, PRIYA, "lighting")
