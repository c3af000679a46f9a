from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from bot.demo.checkout import CheckoutOptions, CheckoutService
from bot.demo.supervision import WorkerState

ORDER = {"item": "coffee", "quantity": 1}
STUCK = {"kind": "worker_stuck"}


def restart(key: str, expected: int = 1) -> dict[str, object]:
    return {"expected_generation": expected, "idempotency_key": key}


async def test_an_order_is_accepted_and_done_by_the_worker(
    quiet_checkout: CheckoutService, connect: Any, until: Any
) -> None:
    client = connect(quiet_checkout.url)
    status, order = await client.ask("POST", "/orders", ORDER)
    assert status == 202

    async def completed() -> bool:
        _, now = await client.ask("GET", f"/orders/{order['id']}")
        return bool(now["status"] == "completed")

    await until(completed)
    text = await client.text("/metrics")
    assert "checkout_orders_completed_total 1.0" in text
    assert 'checkout_requests_total{code="202"} 1.0' in text


async def test_a_stuck_worker_fills_the_queue_until_orders_are_refused(
    quiet_checkout: CheckoutService, connect: Any, until: Any
) -> None:
    client = connect(quiet_checkout.url)
    assert (await client.ask("POST", "/admin/fault", STUCK))[0] == 200
    answers = [(await client.ask("POST", "/orders", ORDER))[0] for _ in range(10)]
    # Two are with the hung worker, five wait.
    assert answers == [202] * 7 + [503] * 3
    await until(lambda: quiet_checkout.supervisor.state is WorkerState.STUCK)
    status, health = await client.ask("GET", "/healthz")
    assert status == 503
    assert health["reasons"] == ["the worker is stuck", "the queue is full"]
    assert "checkout_worker_up 0.0" in await client.text("/metrics")


async def test_a_restart_replaces_the_hung_process_and_loses_no_order(
    quiet_checkout: CheckoutService, connect: Any, until: Any
) -> None:
    client = connect(quiet_checkout.url)
    await client.ask("POST", "/admin/fault", STUCK)
    orders = [(await client.ask("POST", "/orders", ORDER))[1] for _ in range(5)]
    status, told = await client.ask("POST", "/admin/worker/restart", restart("k"))
    assert (status, told["generation"], told["repeated"]) == (200, 2, False)

    async def all_completed() -> bool:
        found = [(await client.ask("GET", f"/orders/{o['id']}"))[1]["status"] for o in orders]
        return set(found) == {"completed"}

    await until(all_completed)
    _, worker = await client.ask("GET", "/admin/worker")
    assert (worker["state"], worker["restarts"], worker["queue_depth"]) == ("running", 1, 0)
    assert (await client.ask("GET", "/admin/fault"))[1] == {"faults": []}


async def test_one_key_restarts_once_even_when_it_comes_twice_at_the_same_time(
    connect: Any,
) -> None:
    service = CheckoutService("let me in", CheckoutOptions(traffic=0, slow_restart=0.2))
    await service.start()
    client = connect(service.url)
    asked = [client.ask("POST", "/admin/worker/restart", restart(key)) for key in "aab"]
    first, second, other = await asyncio.gather(*asked)
    again = await client.ask("POST", "/admin/worker/restart", restart("a", expected=2))
    _, performed = await client.ask("GET", "/admin/restarts")
    await service.stop()
    assert [first[1]["repeated"], second[1]["repeated"], again[1]["repeated"]] == [
        False,
        True,
        True,
    ]
    assert first[1]["generation"] == second[1]["generation"] == again[1]["generation"] == 2
    assert (other[0], other[1]["generation"]) == (409, 2)
    assert [entry["idempotency_key"] for entry in performed] == ["a"]


async def test_a_restart_goes_on_when_its_caller_hangs_up(connect: Any, until: Any) -> None:
    service = CheckoutService("let me in", CheckoutOptions(traffic=0, slow_restart=0.3))
    await service.start()
    client = connect(service.url)
    asking = asyncio.create_task(client.ask("POST", "/admin/worker/restart", restart("a")))
    await until(lambda: service.supervisor.restarts)
    asking.cancel()
    await until(lambda: service.supervisor.generation == 2)
    status, told = await client.ask("POST", "/admin/worker/restart", restart("a"))
    await service.stop()
    assert (status, told["repeated"]) == (200, True)


async def test_clearing_the_fault_lets_the_same_worker_go_on(
    quiet_checkout: CheckoutService, connect: Any, until: Any
) -> None:
    client = connect(quiet_checkout.url)
    await client.ask("POST", "/admin/fault", STUCK)
    await client.ask("POST", "/orders", ORDER)
    await client.ask("DELETE", "/admin/fault")
    await until(lambda: quiet_checkout.metrics.completed._value.get() == 1)
    assert quiet_checkout.supervisor.generation == 1


async def test_a_worker_killed_from_outside_is_reported_and_can_be_restarted(
    quiet_checkout: CheckoutService, connect: Any, until: Any
) -> None:
    client = connect(quiet_checkout.url)
    worker = quiet_checkout.supervisor._worker
    assert worker is not None
    os.kill(worker.pid, signal.SIGKILL)
    await until(lambda: quiet_checkout.supervisor.state is WorkerState.STOPPED)
    assert (await client.ask("POST", "/admin/fault", STUCK))[0] == 409
    assert (await client.ask("POST", "/admin/worker/restart", restart("k")))[0] == 200
    assert (await client.ask("GET", "/healthz"))[0] == 200


async def test_concurrency_changes_only_from_the_expected_value(
    quiet_checkout: CheckoutService, connect: Any
) -> None:
    client = connect(quiet_checkout.url)
    path = "/admin/concurrency"
    assert await client.ask("PUT", path, {"value": 4, "expected": 2}) == (
        200,
        {"value": 4, "previous": 2},
    )
    status, told = await client.ask("PUT", path, {"value": 8, "expected": 2})
    assert (status, told["value"]) == (409, 4)
    assert await client.ask("GET", path) == (200, {"value": 4})


async def test_the_slow_feature_makes_orders_slow(
    quiet_checkout: CheckoutService, connect: Any
) -> None:
    client = connect(quiet_checkout.url)
    await client.ask("POST", "/admin/fault", {"kind": "feature_slow"})
    await client.ask("POST", "/orders", ORDER)
    text = await client.text("/metrics")
    assert "checkout_feature_slow 1.0" in text
    assert 'checkout_request_duration_seconds_bucket{le="0.25"} 0.0' in text


async def test_admin_endpoints_refuse_a_wrong_token(
    quiet_checkout: CheckoutService, connect: Any
) -> None:
    client = connect(quiet_checkout.url, token="guess")
    status, told = await client.ask("POST", "/admin/worker/restart", restart("k"))
    assert status == 401
    assert "Bearer" in told["error"]
    assert quiet_checkout.supervisor.restarts == []


@pytest.mark.parametrize(
    ("request_line", "body", "reason"),
    (
        ("POST /orders", [], "the body is not a JSON object"),
        ("POST /orders", {"item": "", "quantity": 1}, "item must be a text of 1 to 100"),
        ("POST /orders", {"item": "cup", "quantity": True}, "quantity must be a whole number"),
        ("POST /admin/fault", {"kind": "meteor"}, "kind must be worker_stuck or"),
        ("POST /admin/worker/restart", {"expected_generation": 1}, "idempotency_key must be"),
        ("PUT /admin/concurrency", {"value": 0, "expected": 2}, "value must be a whole number"),
    ),
)
async def test_a_bad_body_is_refused_with_its_field_and_reason(
    quiet_checkout: CheckoutService, connect: Any, request_line: str, body: Any, reason: str
) -> None:
    status, told = await connect(quiet_checkout.url).ask(*request_line.split(), body)
    assert status == 400
    assert told["error"].startswith(reason)


async def test_traffic_moves_the_metrics_and_can_be_switched_off(
    checkout: CheckoutService, connect: Any, until: Any
) -> None:
    await until(lambda: checkout.metrics.completed._value.get() >= 5)
    client = connect(checkout.url)
    assert await client.ask("PUT", "/admin/traffic", {"value": 0}) == (200, {"value": 0})


async def started(tmp_path: Path, until: Any, *more: str) -> tuple[Any, dict[str, Any]]:
    (tmp_path / "token").write_text("let me in\n")
    ready = tmp_path / "ready.json"
    arguments = ["--ready-file", str(ready), "--admin-token-file", str(tmp_path / "token"), *more]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot.demo.checkout", *arguments, stderr=asyncio.subprocess.PIPE
    )
    await until(lambda: ready.exists() or process.returncode is not None)
    return process, json.loads(ready.read_text())


async def test_it_runs_as_a_process_of_its_own_and_ends_on_sigterm(
    tmp_path: Path, connect: Any, until: Any
) -> None:
    process, told = await started(tmp_path, until)
    assert told["pid"] == process.pid
    assert (await connect(told["url"]).ask("GET", "/healthz"))[0] == 200
    process.terminate()
    assert await asyncio.wait_for(process.wait(), 5) == 0


async def test_a_missing_token_file_is_named(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "bot.demo.checkout"],
        *["--admin-token-file", str(tmp_path / "nothing")],
        stderr=asyncio.subprocess.PIPE,
    )
    _, complaint = await process.communicate()
    assert process.returncode == 2
    assert b"--admin-token-file cannot be read: No such file" in complaint


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return True
    return state == "Z"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_not_even_a_hung_worker_outlives_a_killed_service(
    tmp_path: Path, connect: Any, until: Any
) -> None:
    process, told = await started(tmp_path, until)
    workers = children_of(told["pid"])
    assert len(workers) == 1
    await connect(told["url"]).ask("POST", "/admin/fault", STUCK)
    process.kill()
    await process.wait()
    await until(lambda: gone(workers[0]))
