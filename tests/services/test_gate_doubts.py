"""What an action says, what it does not say, and the person who settles the doubt."""

from __future__ import annotations

import asyncio

import pytest

from bot.domain.actions import ActionCall, ActionFailed, ActionResult, Transient
from bot.domain.effects import EffectState
from bot.domain.errors import Refused
from bot.domain.runbooks import OnFailure, Retry
from bot.domain.runs import RunId, RunState, StepState
from tests.services.gate_world import LEASE, PRIYA, ROBOT, SHINES, Do, World, step
from tests.services.test_gate_machine import Crash

# What an action says, and what it does not say.


@pytest.mark.parametrize("no", (Refused("not today"), ActionFailed("not today")))
async def test_a_no_from_the_action_is_a_failure_without_doubt(world: World, no: Exception) -> None:
    async def refuse(call: ActionCall, do: Do) -> ActionResult:
        raise no

    world.lamp.behaviour = [refuse]
    id = await world.planned(step(uses="lamp.blind@1"))
    await world.approve(id)
    await world.work()
    run, effect = await world.run(id), await world.effect(id)
    assert run.state is RunState.FAILED
    assert "not today" in run.reason
    assert effect is not None
    assert effect.state is EffectState.FAILED


async def test_going_on_past_a_failed_step_leaves_it_failed(world: World) -> None:
    async def refuse(call: ActionCall, do: Do) -> ActionResult:
        raise ActionFailed("no")

    world.lamp.behaviour = [refuse]
    id = await world.planned(step("one", on_failure=OnFailure.CONTINUE), step("two"))
    await world.approve(id)
    await world.work()
    run = await world.run(id)
    assert run.state is RunState.SUCCEEDED
    assert [r.state for r in run.records] == [StepState.FAILED, StepState.DONE]
    assert [u.step for u in run.undoes] == ["two"]


async def breaks_before(call: ActionCall, do: Do) -> ActionResult:
    raise ConnectionResetError("gone")


async def breaks_after(call: ActionCall, do: Do) -> ActionResult:
    do()
    raise KeyError("unexpected")


async def hangs(call: ActionCall, do: Do) -> ActionResult:
    await asyncio.sleep(60)
    raise AssertionError("nobody stopped it")


async def hangs_after(call: ActionCall, do: Do) -> ActionResult:
    do()
    return await hangs(call, do)


@pytest.mark.parametrize("behaviour", (breaks_after, hangs_after))
async def test_an_effect_that_broke_off_and_took_place_counts_as_done(
    world: World, behaviour: object
) -> None:
    world.lamp.behaviour = [behaviour]  # type: ignore[list-item]  # they are Behaviours
    id = await world.planned(step(timeout=0.05))
    await world.approve(id)
    await world.work()
    assert await world.state(id) is RunState.SUCCEEDED
    assert world.lamp.done == {f"{id}:one": 1}
    assert len((await world.run(id)).undoes) == 1


@pytest.mark.parametrize("behaviour", (breaks_before, hangs))
async def test_an_effect_that_broke_off_and_did_not_take_place_failed(
    world: World, behaviour: object
) -> None:
    world.lamp.behaviour = [behaviour]  # type: ignore[list-item]  # they are Behaviours
    id = await world.planned(step(timeout=0.05))
    await world.approve(id)
    await world.work()
    effect = await world.effect(id)
    assert effect is not None
    assert effect.state is EffectState.FAILED
    assert await world.state(id) is RunState.FAILED
    assert world.lamp.calls == [f"{id}:one"]


async def test_a_no_is_believed_only_after_the_deadline(world: World) -> None:
    """The connection breaks, and the target acts a moment later."""
    late: list[asyncio.Task[None]] = []

    async def breaks_and_acts_late(call: ActionCall, do: Do) -> ActionResult:
        async def act() -> None:
            await asyncio.sleep(0.05)
            do()

        late.append(asyncio.create_task(act()))
        raise ConnectionResetError("gone")

    world.lamp.behaviour = [breaks_and_acts_late]
    id = await world.planned(step(timeout=0.3))
    await world.approve(id)
    await world.work()
    assert await world.state(id) is RunState.SUCCEEDED
    assert world.lamp.done == {f"{id}:one": 1}


@pytest.mark.parametrize("behaviour", (breaks_before, breaks_after, hangs, hangs_after))
@pytest.mark.parametrize("uses", ("lamp.on@1", "lamp.blind@1"))
async def test_an_effect_nobody_can_know_of_goes_to_a_person(
    world: World, behaviour: object, uses: str
) -> None:
    world.lamp.answers = False
    world.lamp.behaviour = [behaviour]  # type: ignore[list-item]  # they are Behaviours
    id = await world.planned(step(uses=uses, timeout=0.05))
    await world.approve(id)
    await world.work(patience=30)
    effect = await world.effect(id)
    assert effect is not None
    assert effect.state is EffectState.IN_DOUBT
    assert await world.state(id) is RunState.IN_DOUBT
    assert world.lamp.calls == [f"{id}:one"]


@pytest.mark.parametrize(
    ("shown", "retry", "state"),
    (
        ("nothing", None, EffectState.IN_DOUBT),
        ("nothing", Retry(times=3, on=(Transient.CONFLICT,), wait=1), EffectState.IN_DOUBT),
        ("the truth", None, EffectState.SUCCEEDED),
    ),
)
async def test_a_second_attempt_that_fails_does_not_answer_for_the_first(
    world: World, shown: str, retry: Retry | None, state: EffectState
) -> None:
    """A worker dies in its handler; the next one repeats the step, and is told no."""

    async def dies_after(call: ActionCall, do: Do) -> ActionResult:
        do()
        raise Crash

    async def conflicts(call: ActionCall, do: Do) -> ActionResult:
        world.lamp.answers = shown == "the truth"
        raise ActionFailed("somebody was faster", transient=Transient.CONFLICT)

    world.lamp.answers = False
    world.lamp.behaviour = [dies_after, conflicts]
    once = step(uses="lamp.set@1", arguments={"value": 1}, retry=retry, timeout=0.05)
    id = await world.planned(once)
    await world.approve(id)
    with pytest.raises(Crash):
        await world.work()
    world.clock.advance(seconds=LEASE + 1)
    await world.work(patience=30)
    effect = await world.effect(id)
    assert effect is not None
    assert effect.state is state
    assert world.lamp.calls == [f"{id}:one"] * 2


async def test_a_look_that_breaks_off_tells_nothing(world: World) -> None:
    async def broken(call: ActionCall) -> object:
        raise ValueError("what?")

    world.change("lamp.on@1", reconcile=broken)
    world.lamp.behaviour = [breaks_after]
    id = await world.planned(step(timeout=0.05))
    await world.approve(id)
    await world.work()
    assert await world.state(id) is RunState.IN_DOUBT


async def test_foreign_text_never_keeps_an_outcome_from_being_written(world: World) -> None:
    async def mumbles(call: ActionCall, do: Do) -> ActionResult:
        do()
        return ActionResult(summary="\ud800" + "x" * 100_000, value=float("nan"))

    world.lamp.behaviour = [mumbles]
    id = await world.planned()
    await world.approve(id)
    await world.work()
    assert await world.state(id) is RunState.SUCCEEDED


async def test_an_undo_that_breaks_off_does_not_hide_the_effect(world: World) -> None:
    def broken(call: ActionCall, result: ActionResult) -> None:
        raise KeyError("previous")

    world.change("lamp.on@1", undo=broken)
    id = await world.planned()
    await world.approve(id)
    await world.work()
    run = await world.run(id)
    assert run.state is RunState.SUCCEEDED
    assert run.undoes == ()


# A doubt, and the person who settles it.


async def _doubtful(world: World, *, verify: bool = False) -> RunId:
    world.lamp.behaviour = [breaks_after]
    world.lamp.answers = False
    id = await world.planned(step(timeout=0.05, verify=SHINES if verify else None))
    await world.approve(id)
    await world.work()
    assert await world.state(id) is RunState.IN_DOUBT
    return id


async def test_a_doubt_settled_with_yes_goes_on_to_the_verification(world: World) -> None:
    id = await _doubtful(world, verify=True)
    await world.runs.settle(id, happened="yes", by=world.caller(PRIYA))
    await world.work(patience=10)
    run = await world.run(id)
    assert run.state is RunState.SUCCEEDED
    assert len(run.undoes) == 1
    assert world.lamp.calls == [f"{id}:one"]
    settled = [e for e in world.ledger() if e["type"] == "action.settled"]
    assert [e["outcome"] for e in settled] == ["succeeded"]


async def test_a_doubt_settled_with_no_fails_and_repeats_nothing(world: World) -> None:
    id = await _doubtful(world)
    await world.runs.settle(id, happened="no", by=world.caller(PRIYA))
    await world.work()
    assert await world.state(id) is RunState.FAILED
    assert world.lamp.calls == [f"{id}:one"]
    with pytest.raises(Refused, match="Nothing"):
        await world.runs.settle(id, happened="yes", by=world.caller(PRIYA))


async def test_a_doubt_is_settled_by_a_person_with_a_yes_or_a_no(world: World) -> None:
    id = await _doubtful(world)
    with pytest.raises(Refused, match="A person"):
        await world.runs.settle(id, happened="yes", by=world.caller(ROBOT))
    with pytest.raises(Refused, match="yes or no"):
        await world.runs.settle(id, happened="maybe", by=world.caller(PRIYA))
    assert await world.state(id) is RunState.IN_DOUBT


async def test_a_run_without_a_doubt_is_not_settled(world: World) -> None:
    id = await world.planned()
    with pytest.raises(Refused, match="Nothing"):
        await world.runs.settle(id, happened="yes", by=world.caller(PRIYA))
