"""The actions on the queue against the real checkout service: a halt really stops the work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from bot.demo.checkout import CheckoutOptions, CheckoutService
from bot.domain.actions import (
    Action,
    ActionCall,
    ActionFailed,
    Effect,
    Happened,
    OutcomeUnknown,
    Risk,
)
from plugins.demo import queue_actions
from plugins.demo.admin import CheckoutAdmin, Conflict
from plugins.demo.queue_actions import QueueActions

TOKEN = "admin-token-of-the-test"


@pytest.fixture
async def checkout(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CheckoutService]:
    monkeypatch.setattr(queue_actions, "LOOK", 0.05)
    service = CheckoutService(TOKEN, CheckoutOptions(traffic=0))
    service.rebuilder.pace = 0.05
    await service.start()
    yield service
    await service.stop()


def offered(url: str) -> dict[str, Action]:
    return {a.reference: a for a in QueueActions(CheckoutAdmin(url, TOKEN)).all()}


def call(key: str = "r1:rebuild", timeout: float = 10, **arguments: Any) -> ActionCall:
    return ActionCall(key=key, arguments=arguments, timeout=timeout)


def rebuild_of(checkout: CheckoutService) -> Action:
    return offered(checkout.url)["checkout.rebuild_queue@1"]


async def bound(checkout: CheckoutService, half: str = "first", key: str = "r1:rebuild") -> Any:
    dry_run = rebuild_of(checkout).dry_run
    assert dry_run is not None
    seen = await dry_run(call(half=half))
    return call(key, half=half, **seen.pinned)


async def found(checkout: CheckoutService, of: ActionCall) -> Happened:
    reconcile = rebuild_of(checkout).reconcile
    assert reconcile is not None
    return (await reconcile(of)).happened


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # the service has no event for it
            await asyncio.sleep(0.01)


def begun(checkout: CheckoutService, partitions: int = 1) -> Any:
    return lambda: any(r.built >= partitions for r in checkout.rebuilder.rebuilds)


def test_the_rebuild_is_grave_and_nothing_takes_it_back() -> None:
    action = offered("")["checkout.rebuild_queue@1"]
    assert (action.risk, action.effect, action.idempotent) == (Risk.R3, Effect.MUTATE, False)
    assert action.undo is None
    Draft202012Validator.check_schema(dict(action.arguments))


async def test_the_dry_run_names_the_partitions_of_how_many_and_binds_the_revision(
    checkout: CheckoutService,
) -> None:
    dry_run = rebuild_of(checkout).dry_run
    assert dry_run is not None
    first, second = [await dry_run(call(half=half)) for half in ("first", "second")]
    assert first.targets == tuple(f"partition-{n:02}" for n in range(1, 9))
    assert second.targets == tuple(f"partition-{n:02}" for n in range(9, 17))
    assert first.out_of == second.out_of == 16
    assert first.pinned == {"expected_revision": 1}
    assert "a stop before changes nothing" in first.diff
    assert checkout.rebuilder.rebuilds == ()


async def test_a_rebuild_ends_with_its_numbers_and_happens_once_per_key(
    checkout: CheckoutService,
) -> None:
    wish = await bound(checkout)
    assert await found(checkout, wish) is Happened.NO
    result = await rebuild_of(checkout).handler(wish)
    assert result.summary == "the first half of the queue is rebuilt, 0 entries dropped"
    assert result.value == 8
    assert await found(checkout, wish) is Happened.YES
    await rebuild_of(checkout).handler(wish)
    assert checkout.rebuilder.revision == 2


async def test_a_handler_that_is_cancelled_stops_the_work_in_the_service(
    checkout: CheckoutService,
) -> None:
    checkout.rebuilder.pace = 0.2
    wish = await bound(checkout)
    running = asyncio.ensure_future(rebuild_of(checkout).handler(wish))
    await until(begun(checkout))
    running.cancel()
    with pytest.raises(ActionFailed, match="as it was"):
        await running
    (rebuild,) = checkout.rebuilder.rebuilds
    # No waiting here: by the time the handler has ended, the work has.
    assert (rebuild.state.value, rebuild.reason) == ("stopped", "it was told to stop")
    assert checkout.rebuilder.revision == 1
    assert await found(checkout, wish) is Happened.NO


async def test_a_handler_that_is_cancelled_before_its_request_is_answered_leaves_nothing_behind(
    checkout: CheckoutService,
) -> None:
    checkout.rebuilder.pace, checkout.rebuilder.patience = 0.2, 0.4
    wish = await bound(checkout)
    for wait in (0.0, 0.001, 0.005, 0.02, 0.04):
        running = asyncio.ensure_future(rebuild_of(checkout).handler(wish))
        await asyncio.sleep(wait)
        running.cancel()
        await asyncio.wait({running})
        await until(lambda: all(r.state != "building" for r in checkout.rebuilder.rebuilds))
    assert checkout.rebuilder.revision == 1
    assert await found(checkout, wish) is Happened.NO


async def test_a_handler_that_dies_without_a_word_leaves_a_rebuild_that_stops_by_itself(
    checkout: CheckoutService,
) -> None:
    checkout.rebuilder.pace, checkout.rebuilder.patience = 0.2, 0.3
    wish = await bound(checkout)
    body = {**wish.arguments, "idempotency_key": wish.key}
    await CheckoutAdmin(checkout.url, TOKEN).change("POST", "/admin/rebuilds", body, timeout=5)
    assert await found(checkout, wish) is Happened.UNKNOWN
    await until(lambda: checkout.rebuilder.rebuilds[0].state == "stopped")
    assert await found(checkout, wish) is Happened.NO
    # What did not happen may be done after all, by the same key.
    assert (await rebuild_of(checkout).handler(wish)).value == 8


async def test_a_rebuild_that_somebody_stops_at_the_service_is_a_clear_failure(
    checkout: CheckoutService,
) -> None:
    checkout.rebuilder.pace = 0.2
    wish = await bound(checkout)
    running = asyncio.ensure_future(rebuild_of(checkout).handler(wish))
    await until(begun(checkout))
    checkout.rebuilder.stop(wish.key, "by hand")
    with pytest.raises(ActionFailed, match=r"of 8 partitions \(by hand\); the queue is as it was"):
        await running


async def test_a_queue_that_changed_since_the_plan_is_left_alone(checkout: CheckoutService) -> None:
    first, second = await bound(checkout), await bound(checkout, "second", key="r2:rebuild")
    await rebuild_of(checkout).handler(first)
    with pytest.raises(Conflict, match="expected_revision is 1"):
        await rebuild_of(checkout).handler(second)
    assert await found(checkout, second) is Happened.UNKNOWN


async def test_a_rebuild_without_a_dry_run_is_refused(checkout: CheckoutService) -> None:
    with pytest.raises(ActionFailed, match="dry run"):
        await rebuild_of(checkout).handler(call(half="first"))
    assert checkout.rebuilder.rebuilds == ()


async def test_a_service_that_vanishes_in_the_middle_leaves_the_outcome_unknown(
    checkout: CheckoutService,
) -> None:
    checkout.rebuilder.pace = 0.5
    wish = await bound(checkout)
    running = asyncio.ensure_future(rebuild_of(checkout).handler(wish))
    await until(lambda: checkout.rebuilder.rebuilds)
    assert checkout._runner is not None
    await checkout._runner.cleanup()
    with pytest.raises(OutcomeUnknown):
        await running


async def test_the_status_counts_what_should_not_be_there(checkout: CheckoutService) -> None:
    status = offered(checkout.url)["checkout.queue_status@1"]
    assert (await status.handler(call())).value == 0
    checkout.book._waiting.append("0123456789ab")
    seen = await status.handler(call())
    assert seen.value == 1
    assert seen.summary == "the queue of revision 1: 1 waiting, 1 of them wrong"


async def test_a_sweep_touches_one_partition_and_changes_nothing_the_second_time(
    checkout: CheckoutService,
) -> None:
    action = offered(checkout.url)["checkout.sweep_partition@1"]
    assert (action.risk, action.idempotent) == (Risk.R1, True)
    assert action.dry_run is not None
    checkout.book._waiting.append("0123456789ab")
    name = "partition-12"  # 0xab is 11 more than a multiple of 16, and they count from 1
    seen = await action.dry_run(call(partition=name))
    assert (seen.targets, seen.out_of) == ((name,), 16)
    assert (await action.handler(call(partition=name))).value == 1
    assert (await action.handler(call(partition=name))).value == 0
    with pytest.raises(ActionFailed, match="has no partition-99"):
        await action.dry_run(call(partition="partition-99"))


async def test_the_work_stops_within_a_second_of_the_halt_at_its_real_pace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()
    service = CheckoutService(TOKEN, CheckoutOptions(traffic=0))
    await service.start()
    try:
        wish = await bound(service)
        running = asyncio.ensure_future(rebuild_of(service).handler(wish))
        await until(begun(service, 2))
        clock = asyncio.get_running_loop().time
        halted = clock()
        running.cancel()
        await asyncio.wait({running})
        assert clock() - halted < 1
        assert [r.state.value for r in service.rebuilder.rebuilds] == ["stopped"]
    finally:
        await service.stop()
