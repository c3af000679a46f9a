"""Runs that people stop: at once, before the next effect, and while something is under way."""

from __future__ import annotations

import pytest

from bot.domain.actions import ActionCall, ActionResult, Risk
from bot.domain.errors import Refused
from bot.domain.runbooks import ApprovalGroup
from bot.domain.runs import RunState, StepState
from tests.services.gate_world import DANA, MARCUS, PRIYA, SHINES, Do, World, step


@pytest.mark.parametrize("moves", (0, 1))
async def test_a_run_that_waits_is_stopped_at_once(world: World, moves: int) -> None:
    id = await world.ask()
    for _ in range(moves):
        await world.move()
    await world.runs.stop(id, by=world.caller(DANA))
    assert await world.state(id) is RunState.CANCELLED
    await world.work()
    assert world.lamp.calls == []
    with pytest.raises(Refused, match="cancelled already"):
        await world.runs.stop(id, by=world.caller(DANA))


async def test_an_approval_after_the_stop_is_refused(world: World) -> None:
    id = await world.planned(approval={Risk.R1: (ApprovalGroup(group="a", count=2),)})
    await world.runs.stop(id, by=world.caller(DANA))
    with pytest.raises(Refused, match="cancelled already"):
        await world.approve(id, PRIYA, "a")
    with pytest.raises(Refused, match="cancelled already"):
        await world.deny(id)


async def test_a_run_stopped_while_it_is_planned_stays_stopped(world: World) -> None:
    id = await world.ask()
    claim = await world.claimed()
    await world.runs.stop(id, by=world.caller(DANA))
    await world.worker().move(claim)
    await world.work()
    assert await world.state(id) is RunState.CANCELLED


async def test_a_stop_before_the_effect_forbids_it(world: World) -> None:
    id = await world.planned()
    await world.approve(id)
    await world.move()
    claim = await world.claimed()
    await world.runs.stop(id, by=world.caller(DANA))
    await world.worker().move(claim)
    await world.work()
    run = await world.run(id)
    assert run.state is RunState.CANCELLED
    assert run.reason == "stopped by Dana"
    assert world.lamp.calls == []


async def test_a_stop_between_two_steps_forbids_the_second(world: World) -> None:
    id = await world.planned(step("one"), step("two"))
    await world.approve(id)
    await world.move()

    async def stopped(call: ActionCall, do: Do) -> ActionResult:
        do()
        await world.runs.stop(id, by=world.caller(DANA))
        return ActionResult(summary="done")

    world.lamp.behaviour = [stopped]
    await world.work()
    run = await world.run(id)
    assert run.state is RunState.CANCELLED
    assert run.records[0].state is StepState.DONE
    assert world.lamp.calls == [f"{id}:one"]
    assert [u.step for u in run.undoes] == ["one"]


async def test_a_run_is_stopped_while_it_verifies(world: World) -> None:
    id = await world.planned(step(verify=SHINES))
    await world.approve(id)
    await world.work()
    assert await world.state(id) is RunState.VERIFYING
    await world.runs.stop(id, by=world.caller(MARCUS))
    await world.work()
    run = await world.run(id)
    assert run.state is RunState.CANCELLED
    assert [u.step for u in run.undoes] == ["one"]
    with pytest.raises(Refused):
        await world.runs.stop(id, by=world.caller(MARCUS))


async def test_a_stop_during_a_look_is_not_put_off_to_the_next_look(world: World) -> None:
    id = await world.planned(step(verify=SHINES))
    await world.approve(id)
    await world.move()
    await world.move()
    claim = await world.claimed()
    assert claim.run.state is RunState.VERIFYING
    await world.runs.stop(id, by=world.caller(MARCUS))
    await world.worker().move(claim)
    await world.work()
    assert await world.state(id) is RunState.CANCELLED


async def test_a_stopped_run_is_asked_to_stop_only_once(world: World) -> None:
    id = await world.planned(step(verify=SHINES))
    await world.approve(id)
    await world.work()
    await world.runs.stop(id, by=world.caller(MARCUS))
    with pytest.raises(Refused, match="being stopped"):
        await world.runs.stop(id, by=world.caller(PRIYA))
