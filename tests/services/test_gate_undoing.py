"""Effects that are taken back, and the verifications that call for it."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace

import pytest

from bot.domain.actions import ActionCall, ActionResult
from bot.domain.errors import Refused
from bot.domain.runbooks import OnFailure
from bot.domain.runs import RunState
from tests.services.gate_world import ANSWER_WITHIN, DANA, MARCUS, SHINES, World, step


async def test_an_undo_is_a_run_with_its_own_approval(world: World) -> None:
    id = await world.planned(step("one"), step("two"))
    await world.approve(id)
    await world.work()
    undo = await world.runs.undo(id, by=world.caller(MARCUS))
    await world.work()
    with pytest.raises(Refused, match="someone else"):
        await world.approve(undo.id, MARCUS)
    assert len(world.lamp.calls) == 2
    await world.approve(undo.id, DANA)
    await world.work()
    assert await world.state(undo.id) is RunState.SUCCEEDED
    assert world.lamp.calls[2:] == [f"{undo.id}:undo-two", f"{undo.id}:undo-one"]


async def test_an_undo_is_asked_for_once_and_again_only_after_it_came_to_nothing(
    world: World,
) -> None:
    id = await world.planned()
    with pytest.raises(Refused, match="nothing"):
        await world.runs.undo(id, by=world.caller(DANA))
    await world.approve(id)
    await world.work()
    first = await world.runs.undo(id, by=world.caller(DANA))
    with pytest.raises(Refused, match="already"):
        await world.runs.undo(id, by=world.caller(MARCUS))
    await world.work()
    await world.deny(first.id)
    second = await world.runs.undo(id, by=world.caller(DANA))
    await world.work()
    world.clock.advance(seconds=ANSWER_WITHIN)
    await world.work()
    assert await world.state(second.id) is RunState.EXPIRED
    await world.runs.undo(id, by=world.caller(DANA))


async def test_a_failed_verification_rolls_back_on_the_consent_of_its_plan(world: World) -> None:
    world.lamp.seen = 0.0
    id = await world.planned(step(verify=SHINES, on_failure=OnFailure.ROLLBACK))
    await world.approve(id)
    await world.work(patience=70)
    run = await world.run(id)
    assert run.state is RunState.ROLLED_BACK
    assert run.plan is not None
    assert "not verified within 60 s" in run.reason
    rollback = next(r for r in await world.runs.recent() if r.parent == id)
    assert rollback.state is RunState.SUCCEEDED
    assert rollback.plan is not None
    assert rollback.plan.authorised_by == run.plan.digest
    assert world.lamp.calls == [f"{id}:one", f"{rollback.id}:undo-one"]


async def test_a_rollback_never_does_more_than_was_approved(world: World) -> None:
    world.lamp.seen = 0.0
    id = await world.planned(step(uses="lamp.trap@1", verify=SHINES, on_failure=OnFailure.ROLLBACK))
    await world.approve(id)
    await world.work(patience=70)
    rollback = next(r for r in await world.runs.recent() if r.parent == id)
    assert rollback.state is RunState.FAILED
    assert "riskier" in rollback.reason
    assert world.lamp.calls == [f"{id}:one"]


@pytest.mark.parametrize("what", ("arguments", "parent", "action"))
async def test_a_rollback_that_was_tampered_with_is_not_run(world: World, what: str) -> None:
    world.lamp.seen = 0.0
    id = await world.planned(step(verify=SHINES, on_failure=OnFailure.ROLLBACK))
    await world.approve(id)
    while await world.state(id) is not RunState.ROLLING_BACK:
        if not await world.move():
            world.clock.advance(seconds=1)
    rollback = next(r for r in await world.runs.recent() if r.parent == id)
    while await world.state(rollback.id) is not RunState.RUNNING:
        await world.move()
    with sqlite3.connect(world.path) as raw:
        (text,) = raw.execute("SELECT data FROM runs WHERE id = ?", (rollback.id,)).fetchone()
        run = json.loads(text)
        if what == "arguments":
            run["plan"]["steps"][0]["arguments"]["of"] = "something else"
        elif what == "action":
            run["plan"]["steps"][0]["uses"] = "lamp.blind@1"
        else:
            run["parent"] = None
        raw.execute("UPDATE runs SET data = ? WHERE id = ?", (json.dumps(run), rollback.id))
    raw.close()
    await world.work()
    assert await world.state(rollback.id) is RunState.FAILED
    assert world.lamp.calls == [f"{id}:one"]


async def test_past_a_commit_point_nothing_is_rolled_back(world: World) -> None:
    world.lamp.seen = 0.0
    id = await world.planned(
        step("one"),
        step("two", commit_point=True),
        step("three", uses="lamp.blind@1", verify=SHINES, on_failure=OnFailure.ROLLBACK),
    )
    await world.approve(id)
    await world.work(patience=70)
    run = await world.run(id)
    assert run.state is RunState.FAILED
    assert run.undoes == ()
    assert [r for r in await world.runs.recent() if r.parent == id] == []


# Verification.


async def test_confirmations_count_only_in_a_row(world: World) -> None:
    id = await world.planned(step(verify=SHINES))
    await world.approve(id)
    await world.work()
    assert (await world.run(id)).good_checks == 1
    world.lamp.seen = 0.0
    world.clock.advance(seconds=5)
    await world.work()
    assert (await world.run(id)).good_checks == 0
    world.lamp.seen = 1.0
    await world.work(patience=10)
    assert await world.state(id) is RunState.SUCCEEDED


async def test_a_look_that_breaks_off_does_not_verify_for_ever(world: World) -> None:
    async def broken(call: ActionCall) -> ActionResult:
        raise ValueError("unexpected")

    world.change("lamp.look@1", handler=broken)
    id = await world.planned(step(verify=SHINES))
    await world.approve(id)
    await world.work(patience=70)
    run = await world.run(id)
    assert run.state is RunState.FAILED
    assert "unexpected" in run.reason


async def test_a_verification_may_not_change_anything(world: World) -> None:
    id = await world.planned(step(verify=replace(SHINES, uses="lamp.blind@1")))
    await world.approve(id)
    await world.work(patience=70)
    run = await world.run(id)
    assert run.state is RunState.FAILED
    assert world.lamp.calls == [f"{id}:one"]
