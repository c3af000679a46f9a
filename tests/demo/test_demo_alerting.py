from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.demo.alerting import Alerting, AlertingKind, start_alerting
from bot.demo.checkout import CheckoutService
from bot.demo.processes import NotStarted
from bot.demo.prometheus import Installation, find
from bot.demo.rules import RECORDED
from bot.demo.webhooks import fingerprint

INSTALLATION = find()
REAL = [
    pytest.mark.prometheus,
    pytest.mark.skipif(not isinstance(INSTALLATION, Installation), reason=str(INSTALLATION)),
]
BOTH = pytest.mark.parametrize(
    "kind",
    (pytest.param(AlertingKind.REAL, marks=REAL, id="real"), AlertingKind.WATCHER),
)
NAME = "CheckoutHighErrorRate"
TOKEN = 'webhook\'s "token"'


@pytest.fixture
async def alerting(
    kind: AlertingKind, checkout: CheckoutService, receiver: Any, tmp_path: Path
) -> AsyncIterator[Alerting]:
    alerting = await start_alerting(
        checkout.url, receiver.url, token=TOKEN, directory=tmp_path / "alerting", kind=kind
    )
    yield alerting
    await alerting.stop()


async def query(alerting: Alerting, expression: str) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(
            f"{alerting.prometheus_url}/api/v1/query", params={"query": expression}
        ) as answer,
    ):
        return answer.status, await answer.json()


@BOTH
async def test_a_break_fires_and_a_restart_resolves(
    alerting: Alerting, checkout: CheckoutService, receiver: Any, connect: Any, until: Any
) -> None:
    client = connect(checkout.url)
    await client.ask("POST", "/admin/fault", {"kind": "worker_stuck"})
    firing = await until(lambda: receiver.heard("firing", NAME), within=30)
    restart = {"expected_generation": 1, "idempotency_key": "k"}
    await client.ask("POST", "/admin/worker/restart", restart)
    resolved = await until(lambda: receiver.heard("resolved", NAME), within=30)

    assert (firing["version"], firing["receiver"]) == ("4", "tocsin")
    assert firing["truncatedAlerts"] == 0
    assert firing["groupKey"] == f'{{}}:{{alertname="{NAME}", service="checkout"}}'
    alert = firing["alerts"][0]
    assert alert["labels"] == {
        "alertname": NAME,
        "service": "checkout",
        "severity": "page",
        "team": "payments",
        "queue": "orders",
    }
    assert alert["fingerprint"] == fingerprint(alert["labels"])
    assert alert["endsAt"] == "0001-01-01T00:00:00Z"
    assert alert["annotations"]["runbook"] == "checkout-worker-stuck"
    assert alert["annotations"]["description"].split()[0].endswith("%")
    assert resolved["alerts"][0]["fingerprint"] == alert["fingerprint"]
    assert resolved["alerts"][0]["startsAt"] == alert["startsAt"]
    assert resolved["alerts"][0]["endsAt"] > alert["startsAt"]
    assert set(receiver.authorizations) == {f"Bearer {TOKEN}"}
    # One cause, one card: nothing else was told, and nothing twice.
    assert [(p["status"], p["groupLabels"]["alertname"]) for p in receiver.payloads] == [
        ("firing", NAME),
        ("resolved", NAME),
    ]


@BOTH
async def test_a_service_that_goes_away_fires(
    alerting: Alerting, checkout: CheckoutService, receiver: Any, until: Any
) -> None:
    await checkout.stop()
    down = await until(lambda: receiver.heard("firing", "CheckoutDown"), within=30)
    assert down["alerts"][0]["labels"]["job"] == "checkout"
    assert down["alerts"][0]["labels"]["instance"] == checkout.url.removeprefix("http://")


@BOTH
async def test_the_runbooks_questions_are_answered_alike(alerting: Alerting, until: Any) -> None:
    async def value(expression: str) -> float | None:
        status, told = await query(alerting, expression)
        assert status == 200, told
        assert told["data"]["resultType"] == "vector"
        return float(told["data"]["result"][0]["value"][1]) if told["data"]["result"] else None

    async def answered() -> bool:
        return await value("checkout:error_ratio") is not None

    await until(answered, within=15)
    assert await value("checkout_worker_up") == 1
    assert await value("checkout_worker_up == 0") is None
    assert await value("checkout_queue_depth") == 0
    assert await value("checkout:error_ratio") == 0
    assert await value(RECORDED["checkout:error_ratio"]) == 0
    assert await value("checkout_queue_depth / checkout_queue_capacity > 0.8") is None
    assert await value('up{job="checkout"} == 0') is None
    status, told = await query(alerting, "sum(")
    assert status == 400
    assert (told["status"], told["errorType"]) == ("error", "bad_data")


@BOTH
async def test_it_says_who_watches(alerting: Alerting, kind: AlertingKind) -> None:
    if kind is AlertingKind.WATCHER:
        assert alerting.description == "built-in watcher (as asked for)"
        return
    assert isinstance(INSTALLATION, Installation)
    assert alerting.description == INSTALLATION.description
    assert set(alerting.urls) == {"Prometheus", "Alertmanager"}


@pytest.mark.parametrize("kind", (AlertingKind.WATCHER,))
async def test_the_watcher_tries_again_when_the_receiver_is_overloaded(
    alerting: Alerting, checkout: CheckoutService, receiver: Any, connect: Any, until: Any
) -> None:
    receiver.refuse = 1
    await connect(checkout.url).ask("POST", "/admin/fault", {"kind": "worker_stuck"})
    await until(lambda: receiver.heard("firing", NAME), within=30)
    assert receiver.refuse == 0


async def test_without_prometheus_the_watcher_says_so(
    checkout: CheckoutService, receiver: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    started = start_alerting(checkout.url, receiver.url, token="t", directory=tmp_path)
    alerting = await started
    await alerting.stop()
    assert alerting.description == "built-in watcher (Prometheus is not installed)"
    with pytest.raises(NotStarted, match="Prometheus is not installed"):
        await start_alerting(
            checkout.url, receiver.url, token="t", directory=tmp_path, kind=AlertingKind.REAL
        )


def program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


async def test_a_prometheus_that_does_not_start_makes_way_for_the_watcher(
    checkout: CheckoutService, receiver: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("prometheus", "prometheus-alertmanager"):
        version = f'echo "{name.split("-")[-1]}, version 9.9.9 (branch: x)"'
        program(tmp_path / name, f'[ "$1" = --version ] && {version} && exit\necho no disk; exit 1')
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    alerting = await start_alerting(
        checkout.url, receiver.url, token="t", directory=tmp_path / "data"
    )
    await alerting.stop()
    assert alerting.description.startswith("built-in watcher (")
    assert alerting.description.endswith(" did not start: no disk)")


PARENT = """
import asyncio, sys
from pathlib import Path
from bot.demo.alerting import AlertingKind, start_alerting

async def main():
    await start_alerting("http://127.0.0.1:9", "http://127.0.0.1:9/", token="t",
                         directory=Path(sys.argv[1]), kind=AlertingKind.REAL)
    print("up", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"


@pytest.mark.prometheus
@pytest.mark.skipif(not isinstance(INSTALLATION, Installation), reason=str(INSTALLATION))
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("number", (signal.SIGKILL, signal.SIGTERM))
async def test_nothing_outlives_a_killed_parent(
    tmp_path: Path, until: Callable[..., Any], number: signal.Signals
) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    began = time.monotonic()
    assert await asyncio.wait_for(parent.stdout.readline(), 30) == b"up\n"
    assert time.monotonic() - began < 20
    children = children_of(parent.pid)
    assert len(children) == 2
    parent.send_signal(number)
    await parent.wait()
    await until(lambda: not any(alive(pid) for pid in children))
