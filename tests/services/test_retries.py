"""A step that failed for a moment: tried again by a row's time, each time on the record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bot.domain.actions import (
    ActionCall,
    ActionFailed,
    ActionResult,
    Happened,
    Reconciliation,
    Risk,
    Transient,
)
from bot.domain.breakers import breaker_key
from bot.domain.effects import EffectState
from bot.domain.runbooks import OnFailure, Retry, Step
from bot.domain.runs import RunId, RunState
from tests.services.gate_world import DANA, EXECUTE_WITHIN, LEASE, MARCUS, World, step

Do = Callable[[], None]
TWICE = Retry(times=2, on=(Transient.CONFLICT, Transient.TIMEOUT), wait=4)


async def conflicts(call: ActionCall, do: Do) -> ActionResult:
    raise ActionFailed("somebody was faster", transient=Transient.CONFLICT)


async def unreachable(call: ActionCall, do: Do) -> ActionResult:
    raise ActionFailed("no route", transient=Transient.UNREACHABLE)


async def fails(call: ActionCall, do: Do) -> ActionResult:
    raise ActionFailed("never")


async def late(call: ActionCall, do: Do) -> ActionResult:
    raise TimeoutError


def retried(uses: str = "lamp.set@1", **changes: Any) -> Step:
    return step(uses=uses, arguments={"value": 1}, retry=TWICE, **changes)


async def _begun(world: World, *steps: Step, behaviour: Any) -> RunId:
    """Bring a run to the end of its first attempt."""
    id = await world.planned(*steps)
    await world.approve(id)
    world.lamp.behaviour = list(behaviour)
    await world.work()
    return id


def _told(world: World) -> list[tuple[str, str | None]]:
    return [
        (e["type"].removeprefix("action."), e.get("outcome"))
        for e in world.ledger()
        if e["type"].startswith("action.")
    ]


async def test_a_failed_step_waits_as_a_row_and_is_tried_again_with_doubled_waits(
    world: World,
) -> None:
    id = await _begun(world, retried(), behaviour=[conflicts, conflicts])
    assert await world.state(id) is RunState.RUNNING
    assert await world.claim() is None
    waits = []
    for wait in (4, 8):
        world.clock.advance(seconds=wait - 0.1)
        assert not await world.move()
        world.clock.advance(seconds=0.1)
        waits.append(await world.move())
    assert waits == [True, True]
    await world.work()
    assert await world.state(id) is RunState.SUCCEEDED
    assert world.lamp.calls == [f"{id}:one"] * 3
    assert world.lamp.done == {f"{id}:one": 1}


async def test_each_attempt_has_its_own_intent_outcome_and_decision(world: World) -> None:
    id = await _begun(world, retried(), behaviour=[conflicts])
    await world.work(patience=5)
    assert await world.state(id) is RunState.SUCCEEDED
    assert _told(world) == [
        ("intent", None), ("outcome", "failed"), ("intent", None), ("outcome", "succeeded"),
    ]  # fmt: skip
    decisions = [e["decision_id"] for e in world.ledger() if e["type"] == "action.intent"]
    assert len(set(decisions)) == 2
    effect = await world.effect(id)
    assert effect is not None
    assert effect.attempts == 2
    assert effect.transient is None


async def test_the_last_attempt_fails_the_run(world: World) -> None:
    id = await _begun(world, retried(), behaviour=[conflicts] * 9)
    await world.work(patience=30)
    run = await world.run(id)
    assert run.state is RunState.FAILED
    assert run.reason == "somebody was faster"
    assert len(world.lamp.calls) == 3


@pytest.mark.parametrize(
    ("uses", "behaviour"),
    (
        ("lamp.once@1", conflicts),  # it is not idempotent, whatever the page says
        ("lamp.set@1", unreachable),  # the page names other failures
        ("lamp.set@1", fails),
    ),
)
async def test_only_what_may_be_repeated_is_tried_again(
    world: World, uses: str, behaviour: Any
) -> None:
    id = await _begun(world, retried(uses), behaviour=[behaviour])
    assert await world.state(id) is RunState.FAILED
    await world.work(patience=10)
    assert len(world.lamp.calls) == 1


async def test_an_action_that_lost_its_idempotence_since_is_not_tried_again(world: World) -> None:
    id = await _begun(world, retried(), behaviour=[conflicts])
    world.actions["lamp.set@1"] = replace(world.actions["lamp.set@1"], idempotent=False)
    await world.work(patience=10)
    assert await world.state(id) is RunState.FAILED
    assert len(world.lamp.calls) == 1


async def test_an_answer_that_came_too_late_is_tried_again_once_it_surely_did_nothing(
    world: World,
) -> None:
    id = await _begun(world, retried(timeout=0.05), behaviour=[late])
    effect = await world.effect(id)
    assert effect is not None
    assert (effect.state, effect.transient) == (EffectState.FAILED, Transient.TIMEOUT)
    await world.work(patience=5)
    assert await world.state(id) is RunState.SUCCEEDED
    assert world.lamp.done == {f"{id}:one": 1}


async def test_an_answer_that_came_too_late_and_cannot_be_looked_up_is_in_doubt(
    world: World,
) -> None:
    world.lamp.answers = False
    id = await _begun(world, retried(timeout=0.05), behaviour=[late])
    assert await world.state(id) is RunState.IN_DOUBT


async def test_an_expiry_between_attempts_does_not_deny_the_ones_there_were(world: World) -> None:
    slow = Retry(times=3, on=(Transient.CONFLICT,), wait=EXECUTE_WITHIN + 1)
    planned = replace(retried(), retry=slow)
    id = await _begun(world, planned, behaviour=[conflicts])
    world.clock.advance(seconds=EXECUTE_WITHIN + 2)
    await world.work()
    run = await world.run(id)
    assert run.state is RunState.FAILED
    assert run.reason == "The approval has expired; nothing more is run. Ask for a new plan."
    assert world.lamp.calls == [f"{id}:one"]


async def test_what_a_person_says_did_not_take_place_is_not_tried_again(world: World) -> None:
    world.lamp.answers = False
    id = await _begun(world, retried(timeout=0.05), behaviour=[late])
    assert await world.state(id) is RunState.IN_DOUBT
    await world.runs.settle(id, happened="no", by=world.caller(DANA))
    await world.work(patience=10)
    assert await world.state(id) is RunState.FAILED
    assert len(world.lamp.calls) == 1


async def test_a_handler_that_changes_its_arguments_changes_no_plan(world: World) -> None:
    seen: list[dict[str, Any]] = []

    async def meddles(call: ActionCall, do: Do) -> ActionResult:
        seen.append(dict(call.arguments))
        call.arguments["value"] = 666  # type: ignore[index]  # which is what it must not do
        raise ActionFailed("somebody was faster", transient=Transient.CONFLICT)

    id = await _begun(world, retried(), behaviour=[meddles, meddles, meddles])
    before = (await world.run(id)).plan
    await world.work(patience=30)
    assert seen == [{"value": 1, "seen": 1}] * 3
    plan = (await world.run(id)).plan
    assert plan is not None
    assert plan == before
    assert plan.steps[0].arguments == {"value": 1, "seen": 1}


async def test_a_stop_ends_the_wait_and_nothing_is_tried_again(world: World) -> None:
    id = await _begun(world, retried(), behaviour=[conflicts])
    await world.runs.stop(id, by=world.caller(MARCUS))
    await world.work(patience=10)
    assert await world.state(id) is RunState.CANCELLED
    assert len(world.lamp.calls) == 1


@pytest.mark.parametrize("what", ("switch", "expiry", "risk", "gone"))
async def test_what_was_forbidden_meanwhile_is_not_tried_again(world: World, what: str) -> None:
    id = await _begun(world, retried(), behaviour=[conflicts])
    if what == "switch":
        await world.switches.halt("wait", by=world.caller(MARCUS))
    elif what == "expiry":
        world.clock.advance(seconds=EXECUTE_WITHIN)
    elif what == "risk":
        world.actions["lamp.set@1"] = replace(world.actions["lamp.set@1"], risk=Risk.R2)
    else:
        del world.actions["lamp.set@1"]
    await world.work(patience=10)
    assert await world.state(id) is RunState.FAILED
    assert len(world.lamp.calls) == 1


async def test_a_worker_that_died_after_the_outcome_does_not_shorten_the_wait(
    world: World,
) -> None:
    id = await world.planned(retried())
    await world.approve(id)
    await world.move()
    world.lamp.behaviour = [conflicts]
    claim = await world.claimed()
    world.worker()
    await world.gate.perform(claim)  # and the worker dies before it moves the run on
    settled = await world.gate.perform(claim)
    assert settled.again_at is not None
    assert len(world.lamp.calls) == 1
    world.clock.advance(seconds=LEASE + 1)
    await world.work()
    assert await world.state(id) is RunState.SUCCEEDED
    assert len(world.lamp.calls) == 2


async def test_a_failure_that_is_tried_again_does_not_count_as_trouble(world: World) -> None:
    await _begun(world, retried(), behaviour=[conflicts, conflicts])
    await world.work(patience=30)
    await _begun(world, step(uses="lamp.set@1", arguments={"value": 2}), behaviour=[conflicts])
    async with world.database.reading() as view:
        breaker = await view.breakers.get(breaker_key("lamp.set@1", None))
    assert breaker is not None
    assert len(breaker.troubles) == 1  # of the run that gave up


async def test_a_rollback_begins_only_when_all_attempts_failed(world: World) -> None:
    steps = (step("zero"), retried(on_failure=OnFailure.ROLLBACK))
    id = await _begun(world, *steps, behaviour=[_does, conflicts, conflicts, conflicts])
    assert await world.state(id) is RunState.RUNNING
    await world.work(patience=30)
    assert await world.state(id) is RunState.ROLLED_BACK


async def _does(call: ActionCall, do: Do) -> ActionResult:
    do()
    return ActionResult(summary="done")


# Who asks the world.


async def test_a_page_that_wants_a_person_asked_has_nothing_else_asked(world: World) -> None:
    async def looked(call: ActionCall) -> Reconciliation:
        return Reconciliation(happened=Happened.YES, detail="looked")

    world.actions["lamp.set@1"] = replace(world.actions["lamp.set@1"], reconcile=looked)

    async def breaks(call: ActionCall, do: Do) -> ActionResult:
        raise ConnectionError("gone")

    one = step(uses="lamp.set@1", arguments={"value": 1}, on_unknown="ask")
    id = await _begun(world, one, behaviour=[breaks])
    run = await world.run(id)
    assert run.state is RunState.IN_DOUBT
    assert "leaves it to a person" in run.reason


class Crash(BaseException):
    """The worker is gone."""


async def test_after_a_crash_too_a_page_may_want_a_person_asked(world: World) -> None:
    async def dies(call: ActionCall, do: Do) -> ActionResult:
        raise Crash

    id = await world.planned(step(uses="lamp.set@1", arguments={"value": 1}, on_unknown="ask"))
    await world.approve(id)
    await world.move()
    world.lamp.behaviour = [dies]
    claim = await world.claimed()
    with pytest.raises(Crash):
        await world.worker().move(claim)
    world.clock.advance(seconds=LEASE + 1)
    await world.work()
    assert await world.state(id) is RunState.IN_DOUBT
    assert world.lamp.calls == [f"{id}:one"]
    await world.runs.settle(id, happened="no", by=world.caller(DANA))
    await world.work()
    assert await world.state(id) is RunState.FAILED
