"""A run and its rollback: one begins the other, and ends with it, in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from bot.domain.actions import ActionCall, ActionFailed, ActionResult
from bot.domain.errors import Refused
from bot.domain.runbooks import OnFailure
from bot.domain.runs import Run, RunId, RunState
from bot.services.rollbacks import end_rolled_back
from tests.services.gate_world import DANA, LEASE, MARCUS, World, step

Do = Callable[[], None]


async def fails(call: ActionCall, do: Do) -> ActionResult:
    raise ActionFailed("it jams")


async def obeys(call: ActionCall, do: Do) -> ActionResult:
    do()
    return ActionResult(summary="done")


class Crash(BaseException):
    """The worker is gone."""


async def dies_after(call: ActionCall, do: Do) -> ActionResult:
    do()
    raise Crash


async def _rolling_back(world: World) -> RunId:
    """Bring a run to where its first step took effect and its second failed."""
    id = await world.planned(step("one"), step("two", on_failure=OnFailure.ROLLBACK))
    await world.approve(id)
    world.lamp.behaviour = [obeys, fails]
    while await world.state(id) is not RunState.ROLLING_BACK:
        assert await world.move()
    return id


def _types(world: World) -> list[str]:
    return [e["type"] for e in world.ledger() if e["type"].startswith("run.")]


async def test_a_run_is_over_only_when_its_rollback_is(world: World) -> None:
    id = await _rolling_back(world)
    run = await world.run(id)
    assert not run.state.over
    assert run.ended_at is None
    assert run.reason == "it jams"
    world.clock.advance(seconds=1)
    await world.work()
    run, rollback = await world.run(id), await world.rollback(id)
    assert (run.state, rollback.state) == (RunState.ROLLED_BACK, RunState.SUCCEEDED)
    assert run.ended_at == world.clock.now()
    assert run.reason == "it jams"
    assert _types(world)[-2:] == ["run.rolled_back", "run.succeeded"]


async def test_a_rollback_that_fails_leaves_its_run_failed(world: World) -> None:
    id = await _rolling_back(world)
    world.lamp.behaviour = [fails]
    await world.work()
    run = await world.run(id)
    assert run.state is RunState.FAILED
    assert run.reason == "it jams; the rollback failed: it jams"
    assert run.ended_at is not None


async def test_a_rollback_that_cannot_be_planned_leaves_its_run_failed(world: World) -> None:
    id = await _rolling_back(world)
    del world.actions["lamp.off@1"]
    await world.work()
    run = await world.run(id)
    assert run.state is RunState.FAILED
    assert "the rollback failed: There is no action lamp.off@1" in run.reason


@pytest.mark.parametrize("moves", (0, 1, 2))
async def test_a_rollback_that_is_stopped_leaves_its_run_failed(world: World, moves: int) -> None:
    id = await _rolling_back(world)
    for _ in range(moves):
        await world.move()
    rollback = await world.rollback(id)
    await world.runs.stop(rollback.id, by=world.caller(MARCUS))
    await world.work()
    assert await world.state(rollback.id) is RunState.CANCELLED
    run = await world.run(id)
    assert run.state is RunState.FAILED
    assert "the rollback failed: it was stopped" in run.reason
    assert "Marcus" in run.reason


async def test_a_rollback_stands_on_the_plan_although_its_page_is_gone(world: World) -> None:
    id = await _rolling_back(world)
    world.book = replace(world.book, id="another")
    await world.work()
    run, rollback = await world.run(id), await world.rollback(id)
    assert run.state is RunState.ROLLED_BACK
    assert run.plan is not None
    assert rollback.plan is not None
    assert rollback.plan.authorised_by == run.plan.digest
    assert rollback.plan.runbook_digest == run.plan.runbook_digest
    assert [s.id for s in rollback.plan.steps] == ["undo-one"]


async def test_a_rollback_in_doubt_has_not_ended(world: World) -> None:
    id = await _rolling_back(world)
    world.actions["lamp.off@1"] = replace(world.actions["lamp.off@1"], reconcile=None)

    async def breaks(call: ActionCall, do: Do) -> ActionResult:
        do()
        raise ConnectionError("gone")

    world.lamp.behaviour = [breaks]
    await world.work()
    rollback = await world.rollback(id)
    assert rollback.state is RunState.IN_DOUBT
    assert await world.state(id) is RunState.ROLLING_BACK
    await world.runs.settle(rollback.id, happened="yes", by=world.caller(DANA))
    await world.work()
    assert await world.state(id) is RunState.ROLLED_BACK


async def test_a_rollback_whose_worker_dies_is_finished_by_the_next(world: World) -> None:
    id = await _rolling_back(world)
    await world.move()
    await world.move()
    world.lamp.behaviour = [dies_after]
    claim = await world.claimed()
    with pytest.raises(Crash):
        await world.worker().move(claim)
    world.clock.advance(seconds=LEASE + 1)
    await world.work()
    assert await world.state(id) is RunState.ROLLED_BACK
    assert all(count == 1 for count in world.lamp.done.values())


async def test_a_run_that_is_rolled_back_can_be_neither_stopped_nor_undone(world: World) -> None:
    id = await _rolling_back(world)
    with pytest.raises(Refused, match="stop the rollback"):
        await world.runs.stop(id, by=world.caller(DANA))
    with pytest.raises(Refused, match="being rolled back"):
        await world.runs.undo(id, by=world.caller(DANA))
    await world.work()
    with pytest.raises(Refused, match="asked for already"):
        await world.runs.undo(id, by=world.caller(DANA))


async def test_what_a_rollback_never_began_can_still_be_undone(world: World) -> None:
    id = await _rolling_back(world)
    await world.runs.stop((await world.rollback(id)).id, by=world.caller(MARCUS))
    back = await world.runs.undo(id, by=world.caller(DANA))
    assert back.parent == id


async def _half_rolled_back(world: World) -> RunId:
    """Bring a run to where its rollback took the second step back and not the first."""
    three = step("three", on_failure=OnFailure.ROLLBACK)
    id = await world.planned(step("one"), step("two"), three)
    await world.approve(id)
    world.lamp.behaviour = [obeys, obeys, fails, obeys, fails]
    await world.work()
    assert await world.state(id) is RunState.FAILED
    return id


async def _undone(world: World, id: RunId) -> Run:
    """Ask for an undo, approve it, and let it run."""
    back = await world.runs.undo(id, by=world.caller(DANA))
    await world.move()
    await world.approve(back.id)
    await world.work()
    return await world.run(back.id)


async def test_a_rollback_that_failed_half_way_can_be_finished_by_an_undo(world: World) -> None:
    id = await _half_rolled_back(world)
    assert [u.step for u in (await world.run(id)).undoes] == ["one"]
    back = await _undone(world, id)
    assert back.state is RunState.SUCCEEDED
    assert back.plan is not None
    assert [s.id for s in back.plan.steps] == ["undo-one"]
    assert max(world.lamp.done.values()) == 1
    assert sum(world.lamp.done.values()) == 4
    with pytest.raises(Refused, match="asked for already"):
        await world.runs.undo(id, by=world.caller(DANA))


async def test_an_undo_that_failed_half_way_can_be_finished_by_another(world: World) -> None:
    id = await world.planned(step("one"), step("two"))
    await world.approve(id)
    await world.work()
    world.lamp.behaviour = [obeys, fails]
    assert (await _undone(world, id)).state is RunState.FAILED
    back = await _undone(world, id)
    assert back.state is RunState.SUCCEEDED
    assert back.plan is not None
    assert [s.id for s in back.plan.steps] == ["undo-one"]
    assert sum(world.lamp.done.values()) == 4


async def test_what_an_older_version_left_half_taken_back_is_not_taken_back_twice(
    world: World,
) -> None:
    id = await world.planned(step("one"), step("two"))
    await world.approve(id)
    await world.work()
    run = await world.run(id)
    world.lamp.behaviour = [obeys, fails]
    await _undone(world, id)
    async with world.database.transaction() as tx:
        await tx.runs.save(run, due_at=None)
    back = await _undone(world, id)
    assert back.plan is not None
    assert [s.id for s in back.plan.steps] == ["undo-one"]


async def test_only_one_attempt_at_a_time_takes_effects_back(world: World) -> None:
    id = await _half_rolled_back(world)
    await world.runs.undo(id, by=world.caller(DANA))
    with pytest.raises(Refused, match="asked for already"):
        await world.runs.undo(id, by=world.caller(MARCUS))


async def test_an_undo_in_doubt_keeps_another_from_doing_the_same(world: World) -> None:
    id = await world.planned(step("one"))
    await world.approve(id)
    await world.work()
    world.actions["lamp.off@1"] = replace(world.actions["lamp.off@1"], reconcile=None)

    async def breaks(call: ActionCall, do: Do) -> ActionResult:
        do()
        raise ConnectionError("gone")

    world.lamp.behaviour = [breaks]
    back = await _undone(world, id)
    assert back.state is RunState.IN_DOUBT
    with pytest.raises(Refused, match="asked for already"):
        await world.runs.undo(id, by=world.caller(DANA))
    await world.runs.settle(back.id, happened="no", by=world.caller(DANA))
    await world.work()
    assert (await world.runs.undo(id, by=world.caller(DANA))).parent == id


async def test_a_rollback_that_was_all_done_before_it_was_given_up_leaves_nothing(
    world: World,
) -> None:
    id = await _rolling_back(world)
    await world.move()
    await world.move()
    rollback = await world.rollback(id)
    world.worker()
    await world.gate.perform(await world.claimed())
    async with world.database.transaction() as tx:
        ended = replace(await tx.runs.get(rollback.id), state=RunState.FAILED)
        await tx.runs.save(ended, due_at=None)
        await end_rolled_back(tx, ended, at=world.clock.now())
    with pytest.raises(Refused, match="nothing"):
        await world.runs.undo(id, by=world.caller(DANA))


async def test_the_rollback_holds_what_its_run_held_until_it_ends(world: World) -> None:
    id = await _rolling_back(world)
    run = await world.run(id)
    assert run.plan is not None
    key = run.plan.concurrency_key
    async with world.database.reading() as view:
        assert await view.reservations.get(key) == (await world.rollback(id)).id
    await world.work()
    async with world.database.reading() as view:
        assert await view.reservations.get(key) is None


async def test_who_stops_a_failing_run_gets_no_rollback(world: World) -> None:
    id = await world.planned(step("one"), step("two", on_failure=OnFailure.ROLLBACK))
    await world.approve(id)

    async def stopped_meanwhile(call: ActionCall, do: Do) -> ActionResult:
        await world.runs.stop(id, by=world.caller(MARCUS))
        raise ActionFailed("it jams")

    world.lamp.behaviour = [obeys, stopped_meanwhile]
    await world.work()
    run = await world.run(id)
    assert run.state in (RunState.FAILED, RunState.CANCELLED)
    assert [r for r in await world.runs.recent() if r.parent == id] == []
    assert run.ended_at is not None


async def test_a_run_that_failed_before_there_was_a_state_for_it_is_rolled_back_too(
    world: World,
) -> None:
    id = await _rolling_back(world)
    run = await world.run(id)
    async with world.database.transaction() as tx:  # as an older version left it
        await tx.runs.save(replace(run, state=RunState.FAILED), due_at=None)
    await world.work()
    assert (await world.rollback(id)).state is RunState.SUCCEEDED
    assert await world.state(id) is RunState.FAILED
