"""The ledger's own rules agree with every way a run can go."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bot.domain.actions import ActionCall, ActionFailed, ActionResult, Transient
from bot.domain.runbooks import Check, DoneWhen, Expectation, OnFailure, Retry, StepUndo
from bot.domain.runs import RunState
from tests.ledger.forging import audited
from tests.ledger.honest import HonestWorld, honest
from tests.services.gate_world import DANA, MARCUS, PRIYA, SHINES, step

Do = Callable[[], None]
HAND = StepUndo(uses="lamp.hand@1", arguments={"instruction": "take it back"})


async def _obeys(call: ActionCall, do: Do) -> ActionResult:
    do()
    return ActionResult(summary="done")


async def _fails(call: ActionCall, do: Do) -> ActionResult:
    raise ActionFailed("it jams")


async def _conflicts(call: ActionCall, do: Do) -> ActionResult:
    raise ActionFailed("somebody was faster", transient=Transient.CONFLICT)


async def _by_hand(world: HonestWorld, incident: str) -> None:
    """Done by hand, goal reached, and taken back by hand."""
    check = Check(
        id="up", title="up", uses="lamp.look@1", arguments={}, expect=Expectation(equals=1)
    )
    goal = DoneWhen(when="facts.up == 1", within=60, every=5)
    id = await world.during(
        incident, step(uses="lamp.hand@1", verify=SHINES, undo=HAND), diagnose=(check,),
        preconditions=(check,), done_when=goal,
    )  # fmt: skip
    await world.move()
    await world.approve(id)
    await world.work()
    await world.runs.done(id, "one", happened="yes", note="ok", by=world.caller(MARCUS))
    await world.work(patience=20)
    assert await world.state(id) is RunState.SUCCEEDED
    back = await world.runs.undo(id, by=world.caller(DANA))
    await world.move()
    await world.approve(back.id)
    await world.work()
    await world.runs.done(back.id, "undo-one", happened="no", note="stuck", by=world.caller(MARCUS))
    await world.work()
    assert await world.state(back.id) is RunState.FAILED


async def _retried_and_rolled_back(world: HonestWorld, incident: str) -> None:
    retry = Retry(times=1, on=(Transient.CONFLICT,), wait=1)
    one = step("one", "lamp.set@1", arguments={"value": 1}, retry=retry)
    two = step("two", "lamp.wait@1", verify=SHINES)
    id = await world.during(incident, one, two, step("three", on_failure=OnFailure.ROLLBACK))
    await world.move()
    await world.approve(id)
    world.lamp.behaviour = [_conflicts, _obeys, _fails]
    await world.work(patience=20)
    assert await world.state(id) is RunState.ROLLED_BACK


async def _superseded(world: HonestWorld, incident: str) -> None:
    id = await world.during(incident, step())
    await world.move()
    await world.approve(id)
    await world.runs.supersede({})
    assert await world.state(id) is RunState.SUPERSEDED


async def _stopped_by_hand(world: HonestWorld, incident: str) -> None:
    id = await world.during(incident, step(uses="lamp.hand@1", timeout=7200))
    await world.move()
    await world.approve(id)
    await world.work()
    await world.runs.stop(id, by=world.caller(DANA))
    await world.work()
    assert await world.state(id) is RunState.IN_DOUBT
    await world.runs.settle(id, happened="no", by=world.caller(PRIYA))
    await world.work()
    assert await world.state(id) is RunState.CANCELLED


async def test_whatever_way_runs_go_their_record_is_found_sound(tmp_path: Path) -> None:
    async with honest(tmp_path / "w") as world:
        incident = await world.declare()
        for story in (_by_hand, _retried_and_rolled_back, _superseded, _stopped_by_hand):
            await story(world, str(incident))
        bundle = await world.export()
    audit = audited(bundle, world.trusted)
    assert audit.exit_code == 0, audit.lines
    assert audit.effects == 8
