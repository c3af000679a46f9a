"""What becomes of a run whose worker dies, is held up, or is not alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.domain.actions import ActionCall, ActionResult, Effect, Risk
from bot.domain.effects import EffectState
from bot.domain.errors import Refused, Stale
from bot.domain.parameters import Parameter, ParameterKind
from bot.domain.people import Caller
from bot.domain.runbooks import Check, Expectation
from bot.domain.runs import RunId, RunState
from bot.ports import Claim, Transaction
from bot.services.planning import Planner
from bot.storage.sqlite import SqliteDatabase
from tests.services.gate_world import (
    DANA,
    EXECUTE_WITHIN,
    LEASE,
    MARCUS,
    PRIYA,
    SHINES,
    World,
    runbook,
    step,
    until,
)

Do = Callable[[], None]


class Crash(BaseException):
    """The worker is gone: nothing of ours catches it, as nothing catches SIGKILL."""


async def dies_before(call: ActionCall, do: Do) -> ActionResult:
    raise Crash


async def dies_after(call: ActionCall, do: Do) -> ActionResult:
    do()
    raise Crash


async def _running(world: World, *steps: object, **changes: object) -> RunId:
    """Bring a run to the point where its first effect is due."""
    id = await world.planned(*steps, **changes)  # type: ignore[arg-type]
    await world.approve(id)
    await world.move()
    assert await world.state(id) is RunState.RUNNING
    return id


async def _dies(world: World) -> Claim:
    claim = await world.claimed()
    with pytest.raises(Crash):
        await world.worker().move(claim)
    return claim


async def _next_worker(world: World) -> None:
    """Let lease and deadline pass, and another worker take over."""
    world.clock.advance(seconds=LEASE + 1)
    await world.work()


# A crash leaves an intent without an outcome.


@pytest.mark.parametrize(
    ("dies", "uses", "answers", "ends", "effects"),
    (
        # What took place is found, and never repeated.
        (dies_after, "lamp.on@1", True, RunState.SUCCEEDED, 1),
        (dies_after, "lamp.set@1", True, RunState.SUCCEEDED, 1),
        # What certainly did not take place is done now.
        (dies_before, "lamp.on@1", True, RunState.SUCCEEDED, 1),
        # What cannot be known goes to a person, unless a repetition changes nothing.
        (dies_before, "lamp.on@1", False, RunState.IN_DOUBT, 0),
        (dies_after, "lamp.on@1", False, RunState.IN_DOUBT, 1),
        (dies_before, "lamp.blind@1", True, RunState.IN_DOUBT, 0),
        (dies_after, "lamp.blind@1", True, RunState.IN_DOUBT, 1),
        (dies_after, "lamp.set@1", False, RunState.SUCCEEDED, 2),
    ),
)
async def test_the_next_worker_settles_what_a_dead_one_left(  # noqa: PLR0917  # a table's columns
    world: World, dies: object, uses: str, answers: bool, ends: RunState, effects: int
) -> None:
    id = await _running(world, step(uses=uses, arguments={"value": 1}))
    world.lamp.behaviour = [dies]  # type: ignore[list-item]  # they are Behaviours
    await _dies(world)
    world.lamp.answers = answers
    assert await world.claim() is None  # the lease still holds
    await _next_worker(world)
    assert await world.state(id) is ends
    assert world.lamp.done[f"{id}:one"] == effects


async def test_an_outcome_that_was_written_is_not_looked_up_again(world: World) -> None:
    id = await _running(world, step(verify=SHINES))
    claim = await world.claimed()
    world.worker()
    await world.gate.perform(claim)  # and the worker dies before it moves the run on
    await _next_worker(world)
    assert await world.state(id) is RunState.VERIFYING
    assert world.lamp.calls == [f"{id}:one"]
    assert len((await world.run(id)).undoes) == 1


async def test_a_second_attempt_counts_as_one_and_has_its_own_intent(world: World) -> None:
    id = await _running(world)
    world.lamp.behaviour = [dies_before]
    await _dies(world)
    await _next_worker(world)
    effect = await world.effect(id)
    assert effect is not None
    assert effect.attempts == 2
    types = [e["type"] for e in world.ledger() if e["type"].startswith("action.")]
    assert types == ["action.intent", "action.intent", "action.outcome"]


@pytest.mark.parametrize("what", ("switch", "stop", "expiry"))
async def test_what_was_forbidden_meanwhile_is_not_done_by_the_next_worker(
    world: World, what: str
) -> None:
    id = await _running(world)
    world.lamp.behaviour = [dies_before]
    await _dies(world)
    if what == "switch":
        await world.switches.halt("wait", by=world.caller(MARCUS))
    elif what == "stop":
        await world.runs.stop(id, by=world.caller(MARCUS))
    else:
        world.clock.advance(seconds=EXECUTE_WITHIN)
    await _next_worker(world)
    effect = await world.effect(id)
    assert effect is not None
    assert effect.state is EffectState.FAILED
    expected = RunState.CANCELLED if what == "stop" else RunState.FAILED
    assert await world.state(id) is expected
    assert world.lamp.done == {}


@pytest.mark.parametrize("what", ("switch", "stop"))
@pytest.mark.parametrize("uses", ("lamp.blind@1", "lamp.set@1"))
async def test_a_doubt_is_never_hidden_by_what_forbids_a_repetition(
    world: World, what: str, uses: str
) -> None:
    id = await _running(world, step(uses=uses, arguments={"value": 1}))
    world.lamp.behaviour, world.lamp.answers = [dies_after], False
    await _dies(world)
    if what == "switch":
        await world.switches.halt("wait", by=world.caller(MARCUS))
    else:
        await world.runs.stop(id, by=world.caller(MARCUS))
    await _next_worker(world)
    effect = await world.effect(id)
    assert effect is not None
    assert effect.state is EffectState.IN_DOUBT
    assert await world.state(id) is RunState.IN_DOUBT
    assert world.lamp.done == {f"{id}:one": 1}


async def test_a_stop_after_a_crash_still_accounts_for_the_effect(world: World) -> None:
    id = await _running(world, step("one"), step("two"))
    world.lamp.behaviour = [dies_after]
    await _dies(world)
    await world.runs.stop(id, by=world.caller(MARCUS))
    await _next_worker(world)
    run = await world.run(id)
    assert run.state is RunState.CANCELLED
    assert [u.step for u in run.undoes] == ["one"]


async def test_an_action_that_is_gone_leaves_the_effect_in_doubt(world: World) -> None:
    id = await _running(world)
    world.lamp.behaviour = [dies_after]
    await _dies(world)
    del world.actions["lamp.on@1"]
    await _next_worker(world)
    assert await world.state(id) is RunState.IN_DOUBT


async def test_a_worker_that_was_held_up_does_not_act_past_its_deadline(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = await _running(world)
    claim = await world.claimed()
    worker = world.worker()
    intend = world.gate._intend

    async def held_up(*args: object, **named: object) -> object:
        intent = await intend(*args, **named)  # type: ignore[arg-type]
        world.clock.advance(seconds=6)  # the step's timeout is 5 s
        return intent

    monkeypatch.setattr(world.gate, "_intend", held_up)
    await worker.move(claim)
    assert await world.state(id) is RunState.FAILED
    assert world.lamp.calls == []


# Leases and fences.


async def test_a_run_is_held_by_one_worker_until_its_lease_ends(world: World) -> None:
    await world.ask()
    first = await world.claimed()
    assert await world.claim() is None
    world.clock.advance(seconds=LEASE)
    assert await world.claim() is None  # to the last moment
    world.clock.advance(seconds=0.001)
    second = await world.claimed()
    assert second.fence == first.fence + 1


async def test_a_heartbeat_prolongs_a_lease_and_an_old_one_does_not(world: World) -> None:
    await world.ask()
    first = await world.claimed()
    longer = world.clock.now() + timedelta(seconds=2 * LEASE)
    async with world.database.transaction() as tx:
        assert await tx.runs.extend(first.run.id, fence=first.fence, until=longer)
    world.clock.advance(seconds=LEASE + 1)
    assert await world.claim() is None
    world.clock.advance(seconds=LEASE)
    await world.claimed()
    async with world.database.transaction() as tx:
        assert not await tx.runs.extend(first.run.id, fence=first.fence, until=longer)


@pytest.mark.parametrize("state", (RunState.DRAFT, RunState.APPROVED, RunState.RUNNING))
async def test_a_worker_that_lost_its_claim_cannot_write(world: World, state: RunState) -> None:
    id = await world.ask()
    if state is not RunState.DRAFT:
        await world.move()
        await world.approve(id)
    if state is RunState.RUNNING:
        await world.move()
    old = await world.claimed()
    world.clock.advance(seconds=LEASE + 1)
    new = await world.claimed()
    with pytest.raises(Stale):
        await world.worker().move(old)
    assert world.lamp.calls == []
    await world.worker().move(new)
    await world.work()
    assert len(world.lamp.calls) <= 1


async def test_the_outcome_of_a_worker_that_lost_its_claim_is_not_written(world: World) -> None:
    id = await _running(world)

    async def taken_over(call: ActionCall, do: Do) -> ActionResult:
        do()
        world.clock.advance(seconds=LEASE + 1)
        await world.work()  # another worker finds the effect and goes on
        return ActionResult(summary="a late answer")

    world.lamp.behaviour = [taken_over]
    claim = await world.claimed()
    with pytest.raises(Stale):
        await world.worker().move(claim)
    assert await world.state(id) is RunState.SUCCEEDED
    effect = await world.effect(id)
    assert effect is not None
    assert effect.summary == "looked: yes"
    assert world.lamp.calls == [f"{id}:one"]


async def test_an_approval_given_while_a_worker_looks_is_not_overwritten(world: World) -> None:
    id = await world.planned()
    run = await world.run(id)
    async with world.database.transaction() as tx:
        await tx.runs.save(run, due_at=world.clock.now())
    claim = await world.claimed()
    await world.approve(id)
    await world.worker().move(claim)
    await world.work()
    assert await world.state(id) is RunState.SUCCEEDED


async def test_an_approval_at_the_last_moment_is_not_expired_by_old_news(world: World) -> None:
    id = await world.planned()
    run = await world.run(id)
    assert run.plan is not None
    assert run.approval is not None
    world.clock.set(run.approval.answer_by - timedelta(seconds=0.5))
    async with world.database.transaction() as tx:
        await tx.runs.save(run, due_at=world.clock.now())
    claim = await world.claimed()
    await world.approve(id)
    world.clock.advance(seconds=1)
    await world.worker().move(claim)
    await world.work()
    assert await world.state(id) is RunState.SUCCEEDED


async def test_two_workers_on_one_file_do_everything_once(world: World) -> None:
    other = SqliteDatabase(world.path, world.clock)
    other.open()
    workers = [world.worker(), world.worker(other)]
    try:
        ids = [await world.planned() for _ in range(8)]
        await asyncio.gather(*(world.approve(id) for id in ids))
        for worker in workers:
            worker.start()

        async def all_done() -> bool:
            return {await world.state(id) for id in ids} == {RunState.SUCCEEDED}

        await until(all_done)
    finally:
        for worker in workers:
            await worker.stop()
        await other.close()
    assert world.lamp.done == {f"{id}:one": 1 for id in ids}


# The loop itself.


async def _until(world: World, id: RunId, state: RunState) -> None:
    async def there() -> bool:
        return await world.state(id) is state

    await until(there)


async def test_a_started_worker_brings_a_run_to_its_end(world: World) -> None:
    worker = world.worker(poll=0.02)
    id = await world.ask()
    worker.start()
    await _until(world, id, RunState.AWAITING)
    await world.approve(id)
    worker.wake()
    await _until(world, id, RunState.SUCCEEDED)
    await worker.stop()


async def test_a_worker_without_work_rests(world: World) -> None:
    commits: list[None] = []
    worker = world.worker()
    world.database.on_commit(worker.wake)
    world.database.on_commit(lambda: commits.append(None))
    worker.start()
    await asyncio.sleep(0.3)
    await worker.stop()
    assert commits == []


@pytest.mark.parametrize("turns", range(6))
async def test_a_worker_that_is_just_woken_can_be_stopped(world: World, turns: int) -> None:
    worker = world.worker(poll=5)
    worker.start()
    await asyncio.sleep(0.02)  # it rests by now; whether or not, it must stop
    worker.wake()
    for _ in range(turns):
        await asyncio.sleep(0)
    stopping = asyncio.create_task(worker.stop())
    await asyncio.wait({stopping}, timeout=2)  # a second cancellation would hide a lost one
    assert stopping.done()


async def test_a_worker_outlives_a_database_that_fails_for_a_while(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failures = world.database.transaction, [OSError("disk")] * 3

    @asynccontextmanager
    async def failing(once: str | None = None) -> AsyncIterator[Transaction]:
        if failures:
            raise failures.pop()
        async with real(once) as tx:
            yield tx

    id = await world.ask()
    worker = world.worker(poll=0.02)
    monkeypatch.setattr(world.database, "transaction", failing)
    worker.start()
    await _until(world, id, RunState.AWAITING)
    await worker.stop()


async def test_a_run_that_breaks_off_again_and_again_is_given_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = world.worker(poll=0.02, attempts=3)

    async def broken(*args: object, **named: object) -> None:
        raise KeyError("ours")

    monkeypatch.setattr(Planner, "plan", broken)
    id = await world.ask()
    worker.start()

    async def failed() -> bool:
        world.clock.advance(seconds=LEASE + 1)
        return await world.state(id) is RunState.FAILED

    await until(failed)
    await worker.stop()
    assert "given up after" in (await world.run(id)).reason


# Planning.


async def test_a_plan_that_cannot_be_recorded_fails_the_run(world: World) -> None:
    id = await world.ask(step(explanation="x" * 70_000))
    await world.work()
    run = await world.run(id)
    assert run.state is RunState.FAILED
    assert "cannot be recorded" in run.reason


@pytest.mark.parametrize("error", (Refused("no"), ValueError("what?"), TimeoutError()))
async def test_a_dry_run_that_fails_fails_the_plan(world: World, error: Exception) -> None:
    async def broken(call: ActionCall) -> object:
        raise error

    world.actions["lamp.on@1"] = replace(world.actions["lamp.on@1"], dry_run=broken)  # type: ignore[arg-type]
    id = await world.ask()
    await world.work()
    assert await world.state(id) is RunState.FAILED
    assert world.lamp.calls == []


async def test_policy_refuses_what_no_button_is_for(world: World) -> None:
    world.actions["lamp.on@1"] = replace(
        world.actions["lamp.on@1"], risk=Risk.R4, effect=Effect.DESTRUCTIVE
    )
    id = await world.ask()
    await world.work()
    run = await world.run(id)
    assert run.state is RunState.FAILED
    assert "Policy says no" in run.reason


async def test_a_duration_that_a_person_gave_reaches_the_plan_in_seconds(world: World) -> None:
    parameters = (
        Parameter(name="patience", kind=ParameterKind.DURATION),
        Parameter(name="grace", kind=ParameterKind.DURATION, default="10m"),
        Parameter(name="host", kind=ParameterKind.STRING, label="instance", required=False),
    )
    arguments = {"wait": "${patience}", "grace": "${grace}", "host": "${host}"}
    world.book = replace(runbook(step(arguments=arguments)), parameters=parameters)
    run = await world.runs.request(
        world.book, {"patience": "5m"}, subject="group", labels={"instance": "db-1"},
        incident=None, service=None, by=Caller(person=DANA, request="r"),
    )  # fmt: skip
    await world.work()
    planned = await world.run(run.id)
    assert planned.plan is not None, planned.reason
    wanted = {"wait": 300, "grace": 600, "host": "db-1", "seen": 1}
    assert planned.plan.steps[0].arguments == wanted
    assert planned.state is RunState.AWAITING


async def test_diagnosis_that_fails_is_a_fact_of_the_plan(world: World) -> None:
    async def broken(call: ActionCall) -> ActionResult:
        raise ValueError("\ud800 what?")

    world.actions["lamp.look@1"] = replace(world.actions["lamp.look@1"], handler=broken)
    check = Check(
        id="c", title="Shines", uses="lamp.look@1", arguments={}, expect=Expectation(equals=1)
    )
    world.book = replace(runbook(), diagnose=(check,))
    run = await world.runs.request(
        world.book, {}, subject="group", labels={}, incident=None, service=None,
        by=world.caller(PRIYA),
    )  # fmt: skip
    await world.work()
    planned = await world.run(run.id)
    assert planned.plan is not None, planned.reason
    assert "could not be found out" in planned.plan.facts[0].summary
