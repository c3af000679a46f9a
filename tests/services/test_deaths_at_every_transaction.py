"""A worker that dies right before or after any transaction of a run loses and repeats nothing.

One run goes through everything there is: preconditions, a failure that is tried
again, a step by hand, a wait with its proof, a step that fails, and the rollback.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from bot.domain.actions import ActionCall, ActionFailed, Transient
from bot.domain.effects import EffectState
from bot.domain.runbooks import Check, DoneWhen, Expectation, OnFailure, Retry
from bot.domain.runs import RunId, RunState
from tests.services.gate_world import LEASE, MARCUS, SHINES, World, step, world_at
from tests.services.test_gate_machine import Crash, Eventful

MOST = 60  # transactions of workers that the story surely has fewer of
UP = Check(id="up", title="Up", uses="lamp.look@1", arguments={}, expect=Expectation(equals=1))
STEPS = (
    step(
        "one", "lamp.set@1", arguments={"value": 1},
        retry=Retry(times=3, on=(Transient.CONFLICT,), wait=1),
    ),
    step("two", "lamp.hand@1"),
    step("three", "lamp.wait@1", verify=SHINES),
)  # fmt: skip
FAILS = step("four", "lamp.once@1", on_failure=OnFailure.ROLLBACK)
GOAL = DoneWhen(when="facts.up == 1", within=20, every=5)


class Story:
    """One run from its wish to its end, with one death on the way."""

    def __init__(self, world: World, number: int, *, after: bool) -> None:
        self.world = world
        self.died = False
        self.conflicts = 1
        self.hard = Eventful(world, number=number, event=self._die, after=after)
        world.lamp.before = self._hand

    async def _die(self) -> None:
        self.died = True
        raise Crash

    async def _hand(self, call: ActionCall) -> None:
        """Let the first attempt at the first step fail, and the fourth step for good."""
        name = call.key.split(":")[1]
        if name == "one" and self.conflicts:
            self.conflicts -= 1
            raise ActionFailed("somebody was faster", transient=Transient.CONFLICT)
        if name == "four":
            raise ActionFailed("it jams")

    async def tell(self, id: RunId) -> None:
        """Go on until there is nothing left to do, as workers, a person and time do."""
        approved = False
        for _ in range(200):
            run = await self.world.run(id)
            if run.state is RunState.AWAITING and not approved:
                approved = True
                await self.world.approve(id)
            if run.state is RunState.MANUAL:
                await self._by_hand(id)
            if run.state.over:
                return
            claim = await self.world.claim()
            if claim is None:
                self.world.clock.advance(seconds=LEASE / 3)
                continue
            with suppress(Crash):
                await self.world.worker(self.hard).move(claim)

    async def _by_hand(self, id: RunId) -> None:
        self.world.lamp.done[f"{id}:two"] += 1
        await self.world.runs.done(id, "two", happened="yes", by=self.world.caller(MARCUS))


@pytest.mark.parametrize("after", (False, True), ids=("before", "after"))
@pytest.mark.parametrize("rolls_back", (False, True), ids=("well", "badly"))
async def test_a_death_at_any_transaction_loses_and_repeats_nothing(
    tmp_path: Path, after: bool, rolls_back: bool
) -> None:
    steps = (*STEPS, FAILS) if rolls_back else STEPS
    reached = 0
    for number in range(1, MOST):
        async with world_at(tmp_path / f"{number}.db") as world:
            id = await world.ask(*steps, diagnose=(UP,), preconditions=(UP,), done_when=GOAL)
            story = Story(world, number, after=after)
            await story.tell(id)
            await _hold(world, id, rolled_back=rolls_back)
            reached = number if story.died else reached
            if not story.died:
                break
    assert 15 <= reached < MOST - 1


async def _hold(world: World, id: RunId, *, rolled_back: bool) -> None:
    expected = RunState.ROLLED_BACK if rolled_back else RunState.SUCCEEDED
    run = await world.run(id)
    assert run.state is expected, (run.state, run.reason)
    assert set(world.lamp.done.values()) == {1}, world.lamp.done
    for run in await world.runs.recent():
        assert run.plan is not None
        for planned in run.plan.steps:
            effect = await world.effect(run.id, planned.id)
            assert effect is not None
            assert effect.state in (EffectState.SUCCEEDED, EffectState.FAILED)
