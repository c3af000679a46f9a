"""Pages that change while a plan waits, and pages that nobody has looked at for too long."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from bot.domain.approvals import Verdict
from bot.domain.errors import Refused
from bot.domain.runbooks import OnFailure, Review
from bot.domain.runs import Run, RunId, RunState
from tests.services.gate_world import DANA, PRIYA, World, runbook, step

OLD, NEW = {"light": "0" * 64}, {"light": "1" * 64}
REASON = "the runbook was changed; ask for a new plan"


def _edit(world: World) -> None:
    world.book = replace(world.book, digest="1" * 64)


async def _superseded(world: World, digests: dict[str, str]) -> list[RunId]:
    return [run.id for run in await world.runs.supersede(digests)]


@pytest.mark.parametrize("approved", (False, True))
async def test_a_plan_from_a_page_that_changed_is_withdrawn(world: World, approved: bool) -> None:
    id = await world.planned()
    if approved:
        await world.approve(id)
    assert await _superseded(world, NEW) == [id]
    run = await world.run(id)
    assert run.state is RunState.SUPERSEDED
    assert run.reason == REASON
    assert run.ended_at == world.clock.now()
    assert run.approval is not None
    assert run.approval.verdict is Verdict.SUPERSEDED
    await world.work(patience=5)
    assert world.lamp.calls == []
    assert world.ledger()[-1]["type"] == "run.superseded"


async def test_a_withdrawn_plan_cannot_be_approved_any_more(world: World) -> None:
    id = await world.planned()
    await world.runs.supersede(NEW)
    with pytest.raises(Refused, match="superseded already"):
        await world.approve(id, PRIYA)


async def test_a_plan_from_the_page_as_it_is_stays(world: World) -> None:
    id = await world.planned()
    assert await _superseded(world, {**OLD, "another": "2" * 64}) == []
    assert await world.state(id) is RunState.AWAITING


async def test_a_plan_from_a_page_that_is_gone_is_withdrawn(world: World) -> None:
    id = await world.planned()
    assert await _superseded(world, {}) == [id]


async def test_a_run_that_is_not_planned_yet_takes_the_new_page(world: World) -> None:
    id = await world.ask()
    assert await _superseded(world, NEW) == []
    _edit(world)
    await world.move()
    plan = (await world.run(id)).plan
    assert plan is not None
    assert plan.runbook_digest == "1" * 64


async def test_a_run_that_has_begun_goes_on(world: World) -> None:
    id = await world.planned(step("one"), step("two"))
    await world.approve(id)
    await world.move()
    assert await _superseded(world, NEW) == []
    _edit(world)
    await world.work()
    assert await world.state(id) is RunState.SUCCEEDED


async def test_what_takes_effects_back_stands_on_no_page(world: World) -> None:
    id = await world.planned()
    await world.approve(id)
    await world.work()
    back = await world.runs.undo(id, by=world.caller(DANA))
    await world.move()
    assert await _superseded(world, NEW) == []
    _edit(world)
    await world.approve(back.id)
    await world.work()
    assert await world.state(back.id) is RunState.SUCCEEDED


async def test_a_rollback_goes_on_although_the_page_changed(world: World) -> None:
    id = await world.planned(step("one"), step("two", "lamp.gone@1", on_failure=OnFailure.ROLLBACK))
    assert await world.state(id) is RunState.FAILED  # there is no such action
    id = await world.planned(
        step("one"), step("two", "lamp.blind@1", on_failure=OnFailure.ROLLBACK)
    )
    await world.approve(id)
    await world.move()
    await world.move()
    del world.actions["lamp.blind@1"]
    await world.move()
    assert await world.state(id) is RunState.ROLLING_BACK
    assert await _superseded(world, NEW) == []
    _edit(world)
    await world.work()
    assert await world.state(id) is RunState.ROLLED_BACK


async def test_a_plan_approved_before_a_change_does_not_begin_after_it(world: World) -> None:
    id = await world.planned()
    await world.approve(id)
    _edit(world)  # and nobody has superseded it yet
    await world.work()
    run = await world.run(id)
    assert run.state is RunState.SUPERSEDED
    assert run.reason == REASON
    assert run.approval is not None
    assert run.approval.verdict is Verdict.SUPERSEDED
    assert world.lamp.calls == []


async def test_a_worker_that_begins_at_that_moment_lets_go(world: World) -> None:
    id = await world.planned()
    await world.approve(id)
    claim = await world.claimed()
    assert await _superseded(world, NEW) == [id]
    await world.worker().move(claim)
    await world.work(patience=3)
    assert await world.state(id) is RunState.SUPERSEDED
    assert world.lamp.calls == []


async def test_a_new_plan_can_be_asked_for_at_once(world: World) -> None:
    await world.planned(subject="the same alert")
    await world.runs.supersede(NEW)
    id = await world.planned(subject="the same alert")
    assert await world.state(id) is RunState.AWAITING


# Reviews.


async def _request(world: World, review: Review) -> Run:
    return await world.runs.request(
        runbook(review=review), {}, subject="group", labels={}, incident=None, service=None,
        by=world.caller(DANA),
    )  # fmt: skip


async def test_a_page_that_is_due_for_a_review_is_for_reading(world: World) -> None:
    today = world.clock.now().date()
    review = Review(by="dana", at=today - timedelta(days=30), max_age_days=30)
    await _request(world, review)
    stale = replace(review, at=today - timedelta(days=31))
    with pytest.raises(Refused) as refused:
        await _request(world, stale)
    assert refused.value.reason == (
        f"“Let there be light” was last reviewed on {stale.at.isoformat()}; "
        "it is for reading until somebody reviews it."
    )
    assert isinstance(stale.at, date)
