"""Measure how fast webhooks are taken: from request to commit.

    python -m tests.benchmarks.deliveries

Each figure is also given as a ratio to bare `sqlite3` transactions that write
the same number of bytes in the same run, with the same settings (WAL,
`synchronous=FULL`): what the disk alone would allow.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from bot.plugin import Webhook
from bot.services.alerts import AlertService
from bot.storage.sqlite import SqliteDatabase
from bot.web.hooks import HookReceiver
from bot.web.site import WebServer, make_site
from plugins.alertmanager.payloads import parse
from tests.benchmarks.figures import Figure, show

DELIVERIES = 400
CONCURRENT = 32
PATH = "/hooks/alertmanager"


class WallClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the current moment."""
        return datetime.now(UTC)


def payload(number: int) -> bytes:
    """Return one delivery of two alerts; every twentieth group is a new one."""
    labels = {"alertname": "HighLatency", "service": f"service-{number % 20}", "severity": "page"}
    alerts = [
        {
            "status": "firing",
            "labels": {**labels, "instance": f"10.0.0.{n}:9090"},
            "annotations": {"summary": "Requests are slow", "description": "p99 above 2 s"},
            "startsAt": "2026-11-20T15:48:58.568Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus.example/graph",
            "fingerprint": f"{number % 20:08x}{n:08x}",
        }
        for n in range(2)
    ]
    body = {
        "version": "4",
        "groupKey": f"{{}}:{{service={number // 20 * 20 + number % 20}}}",
        "status": "firing",
        "receiver": "tocsin",
        "groupLabels": labels,
        "commonLabels": labels,
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example",
        "truncatedAlerts": 0,
        "alerts": alerts,
    }
    return json.dumps(body).encode()


Post = Callable[[bytes], Awaitable[int]]


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[tuple[FastAPI, WebServer]]:
    """Run a site on a database in a folder, within this process and on a socket."""
    clock = WallClock()
    database = SqliteDatabase(folder / "tocsin.db", clock)
    database.open()
    metrics = CollectorRegistry()
    receiver = HookReceiver(
        AlertService(database, clock),
        clock,
        webhooks={"alertmanager": Webhook(parse=parse)},
        max_bytes=10_000_000,
        metrics=metrics,
    )

    async def ready() -> dict[str, bool]:
        return {"ready": True}

    site = make_site(receiver, metrics=metrics, ready=ready, max_waiting=200)
    server = WebServer(site, host="127.0.0.1", port=0)
    await server.start()
    try:
        yield site, server
    finally:
        await server.stop()
        await database.close()


@asynccontextmanager
async def inside(site: FastAPI) -> AsyncIterator[Post]:
    """Call the application itself, as a server would: no client's cost is in the figure."""

    async def post(body: bytes) -> int:
        status = 0

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)

        await site(_scope(), receive, send)
        return status

    yield post


def _scope() -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": PATH,
        "raw_path": PATH.encode(),
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }


@asynccontextmanager
async def outside(server: WebServer) -> AsyncIterator[Post]:
    """Send over one kept connection, with as little of a client as there can be."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))

    async def post(body: bytes) -> int:
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        await reader.readexactly(int(answer.partition("content-length: ")[2].split()[0]))
        return int(answer.split()[1])

    yield post
    writer.close()
    await writer.wait_closed()


async def send(
    connect: Callable[[], AbstractAsyncContextManager[Post]], bodies: list[bytes], *, at_once: int
) -> float:
    """Send deliveries, so many at once; return how many were taken in a second."""
    waiting = iter(bodies)

    async def sender(post: Post) -> None:
        for body in waiting:
            status = await post(body)
            assert status == 202, status

    async with AsyncExitStack() as stack:
        posts = [await stack.enter_async_context(connect()) for _ in range(at_once)]
        started = time.perf_counter()
        await asyncio.gather(*(sender(post) for post in posts))
        return len(bodies) / (time.perf_counter() - started)


def bare(folder: Path, size: int) -> float:
    """Return how many bare transactions of so many bytes are committed in a second."""
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS facts (id INTEGER PRIMARY KEY, data BLOB)")
    data = os.urandom(size)
    started = time.perf_counter()
    for _ in range(DELIVERIES):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO facts (data) VALUES (?)", (data,))
        connection.execute("COMMIT")
    took = time.perf_counter() - started
    connection.close()
    return DELIVERIES / took


def written(path: Path) -> int:
    """Return how many bytes the database holds, without what was freed."""
    connection = sqlite3.connect(path)
    try:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        return int(pages) * int(connection.execute("PRAGMA page_size").fetchone()[0])
    finally:
        connection.close()


async def rates(folder: Path) -> tuple[int, dict[str, float]]:
    """Measure all four ways of delivering; return bytes stored by each, and the rates."""
    numbers = itertools.count()

    def bodies() -> list[bytes]:
        return [payload(next(numbers)) for _ in range(DELIVERIES)]

    found: dict[str, float] = {}
    async with served(folder) as (site, server):
        await send(lambda: inside(site), bodies(), at_once=1)  # warm
        before = written(folder / "tocsin.db")
        for at_once in (1, CONCURRENT):
            found[f"in process, {at_once} at once"] = await send(
                lambda: inside(site), bodies(), at_once=at_once
            )
            found[f"over a socket, {at_once} at once"] = await send(
                lambda: outside(server), bodies(), at_once=at_once
            )
        size = (written(folder / "tocsin.db") - before) // (4 * DELIVERIES)
    return size, found


def main() -> list[Figure]:
    """Measure and return the figures."""
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as name:
        size, found = asyncio.run(rates(Path(name)))
        disk = bare(Path(name), size)
    figures = [
        Figure("webhook → committed: bytes stored by each delivery", f"{size}", "bytes"),
        Figure("bare sqlite3 commits of that size", f"{disk:.0f}", "/s"),
    ]
    for label, rate in found.items():
        goal = "0.50" if label.endswith(" 1 at once") else ""
        figures += [
            Figure(f"webhook → committed, {label}", f"{rate:.0f}", "/s"),
            Figure("  as a ratio to bare commits", f"{rate / disk:.2f}", "", goal),
        ]
    return figures


if __name__ == "__main__":
    show(main())
