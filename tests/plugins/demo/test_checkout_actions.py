"""The actions against the real checkout service."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from bot.demo.checkout import CheckoutOptions, CheckoutService
from bot.domain.actions import (
    Action,
    ActionCall,
    ActionFailed,
    ActionResult,
    Happened,
    OutcomeUnknown,
)
from plugins.demo.actions import CheckoutActions
from plugins.demo.admin import CheckoutAdmin, Conflict

TOKEN = "admin-token-of-the-test"


@pytest.fixture
async def checkout() -> AsyncIterator[CheckoutService]:
    service = CheckoutService(TOKEN, CheckoutOptions(traffic=0))
    await service.start()
    yield service
    await service.stop()


def offered(url: str, token: str = TOKEN) -> dict[str, Action]:
    return {a.reference: a for a in CheckoutActions(CheckoutAdmin(url, token)).all()}


def call(key: str = "r1:restart", **arguments: Any) -> ActionCall:
    return ActionCall(key=key, arguments=arguments, timeout=10)


async def restarted(url: str, key: str = "r1:restart") -> tuple[ActionCall, ActionResult]:
    action = offered(url)["checkout.restart_worker@1"]
    assert action.dry_run is not None
    seen = await action.dry_run(call(key))
    bound = call(key, **seen.pinned)
    return bound, await action.handler(bound)


def test_schemas_are_valid_and_closed() -> None:
    for action in offered("http://127.0.0.1:1").values():
        Draft202012Validator.check_schema(dict(action.arguments))
        assert action.arguments["additionalProperties"] is False


async def test_the_status_is_one_while_the_worker_runs_and_zero_when_it_hangs(
    checkout: CheckoutService,
) -> None:
    status = offered(checkout.url)["checkout.worker_status@1"]
    assert (await status.handler(call())).value == 1.0
    checkout.supervisor.hang()
    deadline = asyncio.get_running_loop().time() + 10
    while (await status.handler(call())).value != 0.0:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.1)


async def test_a_restart_is_bound_to_the_worker_that_was_seen(checkout: CheckoutService) -> None:
    action = offered(checkout.url)["checkout.restart_worker@1"]
    assert action.dry_run is not None
    seen = await action.dry_run(call())
    assert seen.pinned == {"expected_generation": 1}
    assert "generation 2 is started" in seen.diff
    await checkout.supervisor.restart("somebody", 1)
    with pytest.raises(Conflict, match="expected_generation is 1"):
        await action.handler(call(**seen.pinned))


async def test_a_restart_happens_once_per_key(checkout: CheckoutService) -> None:
    bound, result = await restarted(checkout.url)
    assert result.summary == "the worker of generation 2 runs"
    await offered(checkout.url)["checkout.restart_worker@1"].handler(bound)
    assert len(checkout.supervisor.restarts) == 1


async def test_a_restart_without_a_dry_run_is_refused(checkout: CheckoutService) -> None:
    with pytest.raises(ActionFailed, match="dry run"):
        await offered(checkout.url)["checkout.restart_worker@1"].handler(call())


async def test_a_lost_restart_is_looked_up(checkout: CheckoutService) -> None:
    action = offered(checkout.url)["checkout.restart_worker@1"]
    assert action.reconcile is not None
    before = await action.reconcile(call(expected_generation=1))
    assert before.happened is Happened.NO
    bound, _ = await restarted(checkout.url)
    assert (await action.reconcile(bound)).happened is Happened.YES
    other = await action.reconcile(replace(bound, key="r2:restart"))
    assert other.happened is Happened.UNKNOWN


async def test_the_concurrency_is_set_found_and_undone(checkout: CheckoutService) -> None:
    action = offered(checkout.url)["checkout.set_concurrency@1"]
    assert action.dry_run is not None
    assert action.reconcile is not None
    assert action.undo is not None
    seen = await action.dry_run(call(value=8))
    assert seen.diff == "- concurrency: 2\n+ concurrency: 8"
    bound = call(value=8, **seen.pinned)
    assert (await action.reconcile(bound)).happened is Happened.NO
    result = await action.handler(bound)
    assert (await action.reconcile(bound)).happened is Happened.YES
    assert (await action.handler(bound)).value == 8  # a repetition is no conflict
    undo = action.undo(bound, result)
    assert undo is not None
    assert (undo.uses, undo.arguments) == ("checkout.set_concurrency@1", {"value": 2})


async def test_a_concurrency_that_somebody_changed_is_left_alone(checkout: CheckoutService) -> None:
    checkout.supervisor.concurrency = 5
    with pytest.raises(Conflict):
        await offered(checkout.url)["checkout.set_concurrency@1"].handler(call(value=8, expected=2))
    assert checkout.supervisor.concurrency == 5


async def test_a_wrong_token_changes_nothing_and_is_not_repeated_in_the_reason(
    checkout: CheckoutService,
) -> None:
    with pytest.raises(ActionFailed, match="401") as caught:
        await offered(checkout.url, "wrong-token")["checkout.worker_status@1"].handler(call())
    assert "wrong-token" not in caught.value.reason


async def test_an_unreachable_or_unconfigured_service_is_a_clear_failure() -> None:
    for url, word in (("http://127.0.0.1:1", "cannot be reached"), ("", "plugins.demo.url")):
        with pytest.raises(ActionFailed, match=word):
            await offered(url)["checkout.restart_worker@1"].handler(call(expected_generation=1))


async def test_an_answer_that_never_comes_leaves_the_outcome_unknown() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = httpx.URL(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    with pytest.raises(OutcomeUnknown):
        await offered(str(url))["checkout.restart_worker@1"].handler(call(expected_generation=1))
    server.close()
    await server.wait_closed()
