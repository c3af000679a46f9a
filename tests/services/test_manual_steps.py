"""Steps that a person does, and steps that only wait: rows, the same record, no effect of ours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bot.domain.actions import ActionCall, ActionFailed, ActionResult, Risk
from bot.domain.effects import EffectState
from bot.domain.errors import AlreadyDone, Refused
from bot.domain.people import Caller, Person
from bot.domain.runbooks import OnFailure, Step, StepUndo
from bot.domain.runs import RunId, RunState, StepState
from tests.services.gate_world import (
    DANA,
    LEASE,
    MARCUS,
    PRIYA,
    ROBOT,
    SHINES,
    World,
    obey,
    step,
)

HOUR = 3600.0


def by_hand(id: str = "one", **changes: Any) -> Step:
    return step(id, "lamp.hand@1", arguments={"instruction": "press it"}, **changes)


async def _waiting(world: World, *steps: Step, **changes: Any) -> RunId:
    """Bring a run to the point where a person has to act."""
    id = await world.planned(*steps, **changes)
    await world.approve(id)
    await world.work()
    assert await world.state(id) is RunState.MANUAL
    return id


async def _done(
    world: World, id: RunId, happened: str = "yes", *, step: str = "one", note: str = "",
    by: Person = DANA,
) -> None:  # fmt: skip
    await world.runs.done(id, step, happened=happened, note=note, by=world.caller(by))


def _entries(world: World, type: str) -> list[dict[str, Any]]:
    return [dict(e) for e in world.ledger() if e["type"] == type]


async def test_a_manual_step_is_approved_like_any_other(world: World) -> None:
    id = await world.planned(by_hand())
    assert await world.state(id) is RunState.AWAITING
    with pytest.raises(Refused, match="does not wait"):
        await _done(world, id)
    assert _entries(world, "action.intent") == []


async def test_a_run_that_waits_for_a_person_is_a_row_and_nothing_else(world: World) -> None:
    id = await _waiting(world, by_hand())
    run = await world.run(id)
    assert run.records[0].state is StepState.MANUAL
    world.clock.advance(seconds=1000 * HOUR)
    assert await world.claim() is None
    assert world.lamp.calls == []
    effect = await world.effect(id)
    assert effect is not None
    assert effect.state is EffectState.INTENDED


async def test_who_did_a_step_stands_in_the_ledger_as_the_one_who_did(world: World) -> None:
    id = await _waiting(world, by_hand())
    await _done(world, id, note="pressed it twice", by=MARCUS)
    await world.work()
    assert await world.state(id) is RunState.SUCCEEDED
    (intent,), (outcome,) = _entries(world, "action.intent"), _entries(world, "action.outcome")
    assert intent["idem_key"] == outcome["idem_key"] == f"{id}:one"
    assert outcome["actor_ref"] != intent["actor_ref"] == "bot"
    assert outcome["body"]["actor"] == "person:U3"
    assert outcome["outcome"] == "succeeded"
    assert "pressed it twice" in outcome["body"]["summary"]
    assert outcome["decision_id"] == intent["decision_id"]
    assert world.lamp.calls == []


async def test_what_was_done_by_hand_is_verified_and_can_be_taken_back(world: World) -> None:
    undo = StepUndo(uses="lamp.hand@1", arguments={"instruction": "press it again"})
    id = await _waiting(world, by_hand(verify=SHINES, undo=undo))
    world.lamp.seen = 0.0
    await _done(world, id)
    await world.work(patience=10)
    assert await world.state(id) is RunState.VERIFYING
    world.lamp.seen = 1.0
    await world.work(patience=20)
    assert await world.state(id) is RunState.SUCCEEDED
    back = await world.runs.undo(id, by=world.caller(DANA))
    await world.move()
    await world.approve(back.id)
    await world.work()
    assert await world.state(back.id) is RunState.MANUAL
    await _done(world, back.id, step="undo-one")
    await world.work()
    assert await world.state(back.id) is RunState.SUCCEEDED


async def test_a_failed_verification_may_be_rolled_back_by_hand(world: World) -> None:
    world.lamp.seen = 0.0
    undo = StepUndo(uses="lamp.hand@1", arguments={"instruction": "press it again"})
    id = await _waiting(world, by_hand(verify=SHINES, undo=undo, on_failure=OnFailure.ROLLBACK))
    await _done(world, id)
    await world.work(patience=70)
    assert await world.state(id) is RunState.ROLLING_BACK
    rollback = await world.rollback(id)
    assert rollback.state is RunState.MANUAL
    await _done(world, rollback.id, "no", step="undo-one", note="it is stuck")
    await world.work()
    run = await world.run(id)
    assert run.state is RunState.FAILED
    assert "the rollback failed: could not be done: it is stuck" in run.reason


async def test_what_could_not_be_done_fails_the_run_with_the_reason(world: World) -> None:
    id = await _waiting(world, by_hand(), step("two"))
    await _done(world, id, "no", note="the door is locked")
    await world.work()
    run = await world.run(id)
    assert run.state is RunState.FAILED
    assert "the door is locked" in run.reason
    assert world.lamp.calls == []
    assert [e["outcome"] for e in _entries(world, "action.outcome")] == ["failed"]


async def test_a_plan_may_go_on_without_what_could_not_be_done(world: World) -> None:
    id = await _waiting(world, by_hand(on_failure=OnFailure.CONTINUE), step("two"))
    await _done(world, id, "no", note="the door is locked")
    await world.work()
    assert await world.state(id) is RunState.SUCCEEDED
    assert world.lamp.calls == [f"{id}:two"]


@pytest.mark.parametrize("happened", ("", "maybe", "YES", "true"))
async def test_only_yes_or_no_is_an_answer(world: World, happened: str) -> None:
    id = await _waiting(world, by_hand())
    with pytest.raises(Refused, match="yes or no"):
        await _done(world, id, happened, note="hm")
    assert await world.state(id) is RunState.MANUAL


async def test_no_needs_a_reason(world: World) -> None:
    id = await _waiting(world, by_hand())
    with pytest.raises(Refused, match="Say why"):
        await _done(world, id, "no", note="  ")


@pytest.mark.parametrize(
    "who",
    (
        ROBOT,
        replace(DANA, guest=True),
        replace(DANA, stranger=True),
        replace(DANA, active=False),
    ),
)
async def test_only_full_members_say_that_a_step_was_done(world: World, who: Person) -> None:
    id = await _waiting(world, by_hand())
    with pytest.raises(Refused):
        await _done(world, id, by=who)
    assert await world.state(id) is RunState.MANUAL


async def test_only_the_step_that_waits_can_be_done(world: World) -> None:
    id = await _waiting(world, by_hand("one"), by_hand("two"))
    with pytest.raises(Refused, match="does not wait"):
        await _done(world, id, step="two")
    await _done(world, id)
    with pytest.raises(Refused, match="does not wait"):
        await _done(world, id)
    await world.work()
    assert await world.state(id) is RunState.MANUAL
    await _done(world, id, step="two")
    await world.work()
    assert await world.state(id) is RunState.SUCCEEDED


async def test_a_button_that_is_pressed_twice_counts_once(world: World) -> None:
    id = await _waiting(world, by_hand())
    caller = Caller(person=DANA, request="the same envelope")
    await world.runs.done(id, "one", happened="yes", by=caller)
    with pytest.raises(AlreadyDone):
        await world.runs.done(id, "one", happened="yes", by=caller)


async def test_two_people_at_once_are_not_both_right(world: World) -> None:
    id = await _waiting(world, by_hand())
    answers = await asyncio.gather(
        _done(world, id, "yes", by=DANA),
        _done(world, id, "no", note="no key", by=PRIYA),
        return_exceptions=True,
    )
    assert [type(a) for a in answers].count(Refused) == 1
    assert len(_entries(world, "action.outcome")) == 1


async def test_nobody_knows_what_became_of_a_step_that_is_overdue(world: World) -> None:
    id = await _waiting(world, by_hand(timeout=2 * HOUR))
    world.clock.advance(seconds=2 * HOUR - 1)
    assert not await world.move()
    world.clock.advance(seconds=1)
    await world.work()
    run = await world.run(id)
    assert run.state is RunState.IN_DOUBT
    assert run.reason == "nobody said in time whether it was done"
    assert run.records[0].state is StepState.IN_DOUBT
    assert [e["outcome"] for e in _entries(world, "action.outcome")] == ["in doubt"]
    with pytest.raises(Refused, match="does not wait"):
        await _done(world, id)


async def _overdue(world: World) -> RunId:
    """Bring a run to where a step by hand with a way back was not said to be done."""
    undo = StepUndo(uses="lamp.hand@1", arguments={"instruction": "press it again"})
    hand = by_hand(undo=undo, timeout=2 * HOUR, on_failure=OnFailure.ROLLBACK)
    id = await _waiting(world, step("zero"), hand, step("two"))
    world.clock.advance(seconds=2 * HOUR)
    await world.work()
    return id


async def test_what_was_done_though_nobody_said_so_in_time_counts(world: World) -> None:
    id = await _overdue(world)
    await world.runs.settle(id, happened="yes", by=world.caller(MARCUS))
    await world.work()
    run = await world.run(id)
    assert run.state is RunState.SUCCEEDED
    assert [u.step for u in run.undoes] == ["zero", "one", "two"]


async def test_nothing_is_rolled_back_while_nobody_knows_what_was_done(world: World) -> None:
    id = await _overdue(world)
    assert await world.state(id) is RunState.IN_DOUBT
    assert world.lamp.calls == [f"{id}:zero"]
    await world.runs.settle(id, happened="no", by=world.caller(MARCUS))
    await world.work()
    assert await world.state(id) is RunState.ROLLED_BACK
    assert (await world.rollback(id)).records[0].id == "undo-zero"


async def test_a_machines_patience_is_no_bound_for_a_person(world: World) -> None:
    id = await _waiting(world, by_hand(timeout=30))
    plan = (await world.run(id)).plan
    assert plan is not None
    assert plan.steps[0].timeout == 0


async def test_a_word_at_the_last_moment_counts_against_a_worker_that_gives_up(
    world: World,
) -> None:
    id = await _waiting(world, by_hand(timeout=HOUR))
    world.clock.advance(seconds=HOUR)
    claim = await world.claimed()
    await _done(world, id)
    await world.worker().move(claim)
    await world.work()
    assert await world.state(id) is RunState.SUCCEEDED
    assert [e["outcome"] for e in _entries(world, "action.outcome")] == ["succeeded"]


async def test_a_run_that_waits_for_a_person_can_be_stopped(world: World) -> None:
    id = await _waiting(world, by_hand(), step("two"))
    await world.runs.stop(id, by=world.caller(MARCUS))
    await world.work()
    run = await world.run(id)
    assert run.state is RunState.IN_DOUBT
    assert run.reason == "stopped by Marcus before anybody said whether it was done"
    (outcome,) = _entries(world, "action.outcome")
    assert outcome["outcome"] == "in doubt"
    await world.runs.settle(id, happened="no", by=world.caller(PRIYA))
    await world.work()
    run = await world.run(id)
    assert run.state is RunState.CANCELLED
    assert run.reason == "stopped by Marcus"
    assert world.lamp.calls == []


async def test_what_was_done_before_the_stop_can_be_taken_back(world: World) -> None:
    undo = StepUndo(uses="lamp.hand@1", arguments={"instruction": "press it again"})
    id = await _waiting(world, by_hand(undo=undo), step("two"))
    await world.runs.stop(id, by=world.caller(MARCUS))
    await world.work()
    await world.runs.settle(id, happened="yes", by=world.caller(PRIYA))
    await world.work()
    run = await world.run(id)
    assert run.state is RunState.CANCELLED
    assert [u.step for u in run.undoes] == ["one"]
    assert world.lamp.calls == []
    (settled,) = _entries(world, "action.settled")
    assert settled["outcome"] == "succeeded"
    assert settled["body"]["actor"] == "person:U2"
    assert (await world.runs.undo(id, by=world.caller(DANA))).parent == id


async def test_a_rollback_by_hand_that_is_stopped_has_not_ended(world: World) -> None:
    undo = StepUndo(uses="lamp.hand@1", arguments={"instruction": "press it again"})
    two = step("two", "lamp.blind@1", on_failure=OnFailure.ROLLBACK)
    id = await world.planned(step("one", undo=undo), two)
    await world.approve(id)
    world.lamp.behaviour = [obey, fails]
    await world.work()
    rollback = await world.rollback(id)
    await world.runs.stop(rollback.id, by=world.caller(MARCUS))
    await world.work()
    assert await world.state(id) is RunState.ROLLING_BACK
    await world.runs.settle(rollback.id, happened="yes", by=world.caller(PRIYA))
    await world.work()
    assert await world.state(id) is RunState.ROLLED_BACK


async def fails(call: ActionCall, do: Callable[[], None]) -> ActionResult:
    raise ActionFailed("it jams")


async def test_a_word_that_comes_while_the_run_is_stopped_is_kept(world: World) -> None:
    id = await _waiting(world, by_hand(undo=StepUndo(uses="lamp.off@1", arguments={})), step("two"))
    await world.runs.stop(id, by=world.caller(MARCUS))
    await _done(world, id)
    await world.work()
    run = await world.run(id)
    assert run.state is RunState.CANCELLED
    assert [u.step for u in run.undoes] == ["one"]
    assert world.lamp.calls == []


async def test_a_worker_that_dies_between_intent_and_wait_loses_nothing(world: World) -> None:
    id = await world.planned(by_hand())
    await world.approve(id)
    await world.move()
    claim = await world.claimed()
    world.worker()
    settled = await world.gate.perform(claim)
    assert settled.effect.state is EffectState.INTENDED
    world.clock.advance(seconds=LEASE + 1)
    await world.work()
    assert await world.state(id) is RunState.MANUAL
    assert len(_entries(world, "action.intent")) == 1


async def test_the_switch_keeps_people_from_being_asked(world: World) -> None:
    id = await world.planned(by_hand())
    await world.approve(id)
    await world.switches.halt("wait", by=world.caller(MARCUS))
    await world.work()
    assert await world.state(id) is RunState.FAILED
    assert _entries(world, "action.intent") == []


async def test_a_risky_step_by_hand_too_waits_for_the_record_to_be_held_elsewhere(
    world: World,
) -> None:
    id = await world.planned(by_hand(risk=Risk.R3))
    await world.approve(id, PRIYA)
    await world.approve(id, MARCUS)
    await world.move()
    claim = await world.claimed()

    async def unreachable() -> None:
        raise Refused("the anchor is away")

    worker = world.worker()
    world.gate._covered = unreachable
    await worker.move(claim)
    run = await world.run(id)
    assert run.state is RunState.FAILED
    assert "the anchor is away" in run.reason


async def test_a_step_that_became_a_machines_is_not_run_on_old_consent(world: World) -> None:
    id = await world.planned(by_hand())
    await world.approve(id)
    world.actions["lamp.hand@1"] = replace(world.actions["lamp.hand@1"], manual=False)
    await world.work()
    assert await world.state(id) is RunState.FAILED
    assert world.lamp.calls == []


async def test_a_step_that_was_a_machines_is_not_handed_to_its_handler_when_it_is_manual(
    world: World,
) -> None:
    id = await world.planned(step())
    await world.approve(id)
    world.actions["lamp.on@1"] = replace(world.actions["lamp.on@1"], manual=True)
    await world.work()
    assert await world.state(id) is RunState.FAILED
    assert world.lamp.calls == []


# Waiting.


async def test_a_step_that_waits_calls_nothing_and_is_verified(world: World) -> None:
    world.lamp.seen = 0.0
    id = await world.planned(step(uses="lamp.wait@1", verify=SHINES), step("two"))
    await world.approve(id)
    await world.work(patience=20)
    assert await world.state(id) is RunState.VERIFYING
    assert world.lamp.calls == []
    world.lamp.seen = 1.0
    await world.work(patience=15)
    assert await world.state(id) is RunState.SUCCEEDED
    assert world.lamp.calls == [f"{id}:two"]


async def test_what_is_waited_for_in_vain_fails(world: World) -> None:
    world.lamp.seen = 0.0
    id = await world.planned(step(uses="lamp.wait@1", verify=SHINES), step("two"))
    await world.approve(id)
    await world.work(patience=70)
    assert await world.state(id) is RunState.FAILED
    assert world.lamp.calls == []


async def test_a_step_that_waits_for_nothing_is_not_planned(world: World) -> None:
    run = await world.run(await world.planned(step(uses="lamp.wait@1")))
    assert run.state is RunState.FAILED
    assert "nothing says for what" in run.reason
