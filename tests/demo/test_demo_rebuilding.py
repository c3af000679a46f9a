"""Rebuilds of checkout's order queue: nothing changes before the end, and they really stop."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.demo.checkout import CheckoutOptions, CheckoutService
from bot.demo.orders import PARTITIONS, OrderBook, OrderStatus, partition_of
from bot.demo.rebuilding import HALVES

TOKEN = "let me in"


@pytest.fixture
async def service() -> AsyncIterator[CheckoutService]:
    """A quiet service whose worker hangs, so that its queue stays as it is."""
    service = CheckoutService(TOKEN, CheckoutOptions(traffic=0, queue_capacity=100))
    service.rebuilder.pace = 0.02
    await service.start()
    service.supervisor.hang()
    for _ in range(40):
        service.book.accept("coffee", 1)
    yield service
    await service.stop()


@pytest.fixture
async def client(service: CheckoutService, connect: Any) -> Any:
    return connect(service.url)


def damage(book: OrderBook) -> list[str]:
    """Put wrong entries into the queue: one order twice, one done, one that nobody knows."""
    waiting = list(book._waiting)
    done = waiting.pop(3)
    book._orders[done].status = OrderStatus.COMPLETED
    book._waiting.extend([waiting[0], "0123456789ab"])
    return waiting


def begin(half: str, key: str = "k", revision: int = 1) -> dict[str, object]:
    return {"half": half, "idempotency_key": key, "expected_revision": revision}


async def ended(client: Any, key: str = "k") -> Any:
    """Watch a rebuild until it has ended."""
    async with asyncio.timeout(10):
        while True:
            status, seen = await client.ask(
                "POST", "/admin/rebuilds/watch", {"idempotency_key": key}
            )
            assert status == 200
            if seen["state"] != "building":
                return seen
            await asyncio.sleep(0.01)


async def test_both_halves_rebuilt_leave_each_waiting_order_once_and_in_its_order(
    service: CheckoutService, client: Any
) -> None:
    waiting = damage(service.book)
    assert (await client.ask("GET", "/admin/queue"))[1]["faults"] == 3
    for revision, half in enumerate(HALVES, start=1):
        body = begin(half, key=half, revision=revision)
        status, begun = await client.ask("POST", "/admin/rebuilds", body)
        assert (status, begun["state"], begun["of"]) == (200, "building", 8)
        done = await ended(client, half)
        assert (done["state"], done["built"]) == ("done", 8)
    assert list(service.book._waiting) == waiting
    _, queue = await client.ask("GET", "/admin/queue")
    assert (queue["faults"], queue["revision"], queue["depth"]) == (0, 3, len(waiting))
    assert "checkout_queue_revision 3.0" in await client.text("/metrics")


async def test_a_rebuild_that_is_told_to_stop_has_changed_nothing_and_builds_no_further(
    service: CheckoutService, client: Any, until: Any
) -> None:
    damage(service.book)
    before = list(service.book._waiting)
    service.rebuilder.pace = 0.1
    await client.ask("POST", "/admin/rebuilds", begin("first"))
    await until(lambda: service.rebuilder.rebuilds[0].built >= 2)
    status, seen = await client.ask("POST", "/admin/rebuilds/stop", {"idempotency_key": "k"})
    assert (status, seen["state"], seen["reason"]) == (200, "stopped", "it was told to stop")
    built = seen["built"]
    await asyncio.sleep(0.3)
    (rebuild,) = service.rebuilder.rebuilds
    assert (rebuild.built, rebuild.state.value) == (built, "stopped")
    assert rebuild.task is not None
    assert rebuild.task.done()
    assert list(service.book._waiting) == before
    assert service.rebuilder.revision == 1


async def test_a_rebuild_that_nobody_watches_stops_by_itself(
    service: CheckoutService, client: Any, until: Any
) -> None:
    service.rebuilder.pace, service.rebuilder.patience = 0.2, 0.3
    await client.ask("POST", "/admin/rebuilds", begin("first"))
    # Looking at the list, as somebody curious or a reconciliation does, keeps it not alive.
    await until(lambda: _state(client, "stopped"), within=3)
    _, (rebuild,) = await client.ask("GET", "/admin/rebuilds")
    assert rebuild["reason"] == "nobody watched it any more"
    assert service.rebuilder.revision == 1


async def _state(client: Any, wanted: str) -> bool:
    _, rebuilds = await client.ask("GET", "/admin/rebuilds")
    return [r["state"] for r in rebuilds] == [wanted]


async def test_stopping_what_has_ended_shows_how_it_ended(
    service: CheckoutService, client: Any
) -> None:
    await client.ask("POST", "/admin/rebuilds", begin("first"))
    await ended(client)
    _, seen = await client.ask("POST", "/admin/rebuilds/stop", {"idempotency_key": "k"})
    assert seen["state"] == "done"
    assert service.rebuilder.revision == 2


async def test_a_key_rebuilds_once_and_begins_again_only_after_a_stop(
    service: CheckoutService, client: Any
) -> None:
    service.rebuilder.pace = 0.1
    await client.ask("POST", "/admin/rebuilds", begin("first"))
    status, again = await client.ask("POST", "/admin/rebuilds", begin("first"))
    assert (status, again["state"]) == (200, "building")
    await client.ask("POST", "/admin/rebuilds/stop", {"idempotency_key": "k"})
    service.rebuilder.pace = 0.01
    assert (await client.ask("POST", "/admin/rebuilds", begin("first")))[1]["state"] == "building"
    assert (await ended(client))["state"] == "done"
    status, known = await client.ask("POST", "/admin/rebuilds", begin("first", revision=2))
    assert (status, known["state"]) == (200, "done")
    assert service.rebuilder.revision == 2


async def test_only_the_expected_queue_is_rebuilt_and_only_once_at_a_time(
    service: CheckoutService, client: Any
) -> None:
    status, told = await client.ask("POST", "/admin/rebuilds", begin("first", revision=7))
    assert (status, told["revision"]) == (409, 1)
    await client.ask("POST", "/admin/rebuilds", begin("first"))
    status, told = await client.ask("POST", "/admin/rebuilds", begin("second", key="other"))
    assert (status, told["error"]) == (409, "another rebuild is under way")
    assert len(service.rebuilder.rebuilds) == 1


async def test_a_sweep_drops_the_wrong_entries_of_one_partition_and_a_second_nothing(
    service: CheckoutService, client: Any
) -> None:
    damage(service.book)
    wrong = partition_of("0123456789ab")
    before = service.book.depth
    _, swept = await client.ask("POST", "/admin/queue/sweep", {"partition": wrong})
    assert swept["dropped"] >= 1
    assert service.book.depth == before - swept["dropped"]
    revision = service.rebuilder.revision
    _, again = await client.ask("POST", "/admin/queue/sweep", {"partition": wrong})
    assert (again["dropped"], service.rebuilder.revision) == (0, revision)
    for name in PARTITIONS:
        await client.ask("POST", "/admin/queue/sweep", {"partition": name})
    assert service.book.faults == 0


async def test_the_service_ends_in_the_middle_of_a_rebuild(connect: Any) -> None:
    service = CheckoutService(TOKEN, CheckoutOptions(traffic=0))
    await service.start()
    await connect(service.url).ask("POST", "/admin/rebuilds", begin("first"))
    async with asyncio.timeout(5):
        await service.stop()
    assert [r.state.value for r in service.rebuilder.rebuilds] == ["stopped"]


@pytest.mark.parametrize(
    ("path", "body", "status", "reason"),
    (
        ("/admin/rebuilds", begin("third"), 400, "half must be first or second"),
        ("/admin/rebuilds", {"half": "first", "idempotency_key": "k"}, 400, "expected_revision"),
        ("/admin/rebuilds", {"half": "first", "expected_revision": 1}, 400, "idempotency_key"),
        ("/admin/rebuilds/watch", {"idempotency_key": "x"}, 404, "no such rebuild"),
        ("/admin/rebuilds/stop", {"idempotency_key": "x"}, 404, "no such rebuild"),
        (
            "/admin/queue/sweep",
            {"partition": "partition-17"},
            400,
            "there is no partition partition-17",
        ),
    ),
)
async def test_a_bad_wish_is_refused_with_its_reason(
    client: Any, path: str, body: Any, status: int, reason: str
) -> None:
    answered, told = await client.ask("POST", path, body)
    assert answered == status
    assert told["error"].startswith(reason)


async def test_the_new_endpoints_want_the_token_too(service: CheckoutService, connect: Any) -> None:
    stranger = connect(service.url, token="guess")
    for path in ("/admin/rebuilds", "/admin/rebuilds/stop", "/admin/queue/sweep"):
        assert (await stranger.ask("POST", path, begin("first")))[0] == 401
    assert service.rebuilder.rebuilds == ()


@given(st.data())
def test_a_rebuild_keeps_what_belongs_once_in_its_order_and_touches_no_other_partition(
    data: st.DataObject,
) -> None:
    book = OrderBook(100)
    orders = [book.accept("cup", 1).id for _ in range(data.draw(st.integers(0, 12)))]
    strange = st.integers(0, 2**48 - 1).map(lambda n: f"{n:012x}")
    ids = st.one_of(st.sampled_from(orders), strange) if orders else strange
    for id in data.draw(st.lists(ids, max_size=20)):
        book._waiting.append(id)
    done = data.draw(st.sets(st.sampled_from(orders))) if orders else set()
    for id in done:
        book.complete(id)
    named = data.draw(st.sets(st.sampled_from(PARTITIONS)))
    before = list(book._waiting)
    dropped = book.rebuild(named)
    after = list(book._waiting)
    assert len(before) - len(after) == dropped
    assert not Counter(after) - Counter(before)
    inside = [id for id in after if partition_of(id) in named]
    assert inside == list(
        dict.fromkeys(
            id for id in before if partition_of(id) in named and id in orders and id not in done
        )
    )
    outside = [id for id in before if partition_of(id) not in named]
    assert [id for id in after if partition_of(id) not in named] == outside
    assert book.rebuild(named) == 0
