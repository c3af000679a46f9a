"""After the last step: whether the run has helped, by the page's own measure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.domain.actions import ActionCall, ActionFailed, ActionResult
from bot.domain.parameters import Parameter, ParameterKind
from bot.domain.runbooks import (
    Check,
    DoneWhen,
    OnFailure,
)
from bot.domain.runs import RunId, RunState
from tests.services.gate_world import DANA, LEASE, MARCUS, SHINES, World, step

CHECKS = tuple(
    Check(id=id, title=id, uses="lamp.look@1", arguments={"of": id}) for id in ("queue-size", "up")
)
SOON = DoneWhen(when="facts.queue_size < params.small", within=60, every=10)
SMALL = (Parameter(name="small", kind=ParameterKind.INTEGER, default="5"),)


async def _stepped(world: World, *steps: Any, goal: DoneWhen = SOON) -> RunId:
    """Bring a run to where its steps are done."""
    world.lamp.values.setdefault("queue-size", 9)
    id = await world.planned(*steps, diagnose=CHECKS, done_when=goal, parameters=SMALL)
    await world.approve(id)
    await world.work()
    return id


async def test_a_run_whose_steps_are_done_goes_on_until_it_has_helped(world: World) -> None:
    id = await _stepped(world)
    run = await world.run(id)
    assert run.state is RunState.VERIFYING
    assert run.step is None
    world.lamp.values["queue-size"] = 4
    world.clock.advance(seconds=9)
    assert not await world.move()
    world.clock.advance(seconds=1)
    await world.work()
    run = await world.run(id)
    assert run.state is RunState.SUCCEEDED
    assert run.ended_at == world.clock.now()


async def test_only_what_the_goal_needs_is_looked_at(world: World) -> None:
    world.lamp.values["queue-size"] = 4
    id = await world.planned(step(), diagnose=CHECKS, done_when=SOON, parameters=SMALL)
    plan = (await world.run(id)).plan
    assert plan is not None
    assert plan.done_when is not None
    assert [look.id for look in plan.done_when.looks] == ["queue-size"]
    assert plan.done_when.parameters == {"small": 5}
    await world.approve(id)
    world.lamp.looks.clear()
    await world.work()
    assert await world.state(id) is RunState.SUCCEEDED
    assert world.lamp.looks == ["queue-size"]


async def test_a_goal_that_is_not_reached_is_left_to_a_person(world: World) -> None:
    id = await _stepped(world, step(on_failure=OnFailure.ROLLBACK))
    await world.work(patience=70)
    run = await world.run(id)
    assert run.state is RunState.FAILED
    assert run.reason.startswith(
        "the steps are done and facts.queue_size < params.small is not reached"
    )
    assert "queue-size 9" in run.reason
    assert [r for r in await world.runs.recent() if r.parent == id] == []
    assert (await world.runs.undo(id, by=world.caller(DANA))).parent == id


async def test_a_value_that_is_not_known_reaches_no_goal(world: World) -> None:
    world.lamp.values["queue-size"] = None
    id = await _stepped(world)
    await world.work(patience=70)
    assert await world.state(id) is RunState.FAILED


async def test_a_look_that_fails_is_taken_again_later(world: World) -> None:
    world.lamp.values["queue-size"] = 4
    failures = ["no", "no"]
    look = world.lamp.look
    id = await world.planned(step(), diagnose=CHECKS, done_when=SOON, parameters=SMALL)
    await world.approve(id)

    async def shaky(call: ActionCall) -> ActionResult:
        if failures:
            raise ActionFailed(failures.pop())
        return await look(call)

    world.actions["lamp.look@1"] = replace(world.actions["lamp.look@1"], handler=shaky)
    await world.work(patience=30)
    assert failures == []
    assert await world.state(id) is RunState.SUCCEEDED


async def test_a_last_step_is_verified_before_the_goal_counts(world: World) -> None:
    world.lamp.values["queue-size"] = 4
    world.lamp.seen = 0.0
    id = await _stepped(world, step(verify=SHINES))
    await world.work(patience=10)
    run = await world.run(id)
    assert (run.state, run.position) == (RunState.VERIFYING, 0)
    world.lamp.seen = 1.0
    await world.work(patience=20)
    assert await world.state(id) is RunState.SUCCEEDED


async def test_a_run_that_waits_for_its_goal_can_be_stopped(world: World) -> None:
    id = await _stepped(world)
    await world.runs.stop(id, by=world.caller(MARCUS))
    await world.work()
    assert await world.state(id) is RunState.CANCELLED


async def test_a_worker_that_dies_while_it_looks_leaves_the_looking_to_the_next(
    world: World,
) -> None:
    id = await _stepped(world)
    world.clock.advance(seconds=10)
    await world.claimed()  # and never heard of again
    world.lamp.values["queue-size"] = 1
    world.clock.advance(seconds=LEASE + 1)
    await world.work()
    assert await world.state(id) is RunState.SUCCEEDED


@pytest.mark.parametrize("when", ("facts.up > 0 && facts.queue_size < 5", "facts.nothing > 1"))
async def test_whatever_a_goal_names_it_ends(world: World, when: str) -> None:
    world.lamp.values |= {"up": 1, "queue-size": 3}
    id = await _stepped(world, goal=DoneWhen(when=when, within=20, every=5))
    await world.work(patience=30)
    expected = RunState.FAILED if "nothing" in when else RunState.SUCCEEDED
    assert await world.state(id) is expected
