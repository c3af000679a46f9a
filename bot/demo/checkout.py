"""The demo's service "checkout": it takes orders over HTTP and a worker process does them.

It is real where it matters: the worker is a process of its own, a hang is a frozen
process, a restart is a kill and a start, and the errors are answers of HTTP. Run it
apart with ``python -m bot.demo.checkout --ready-file F --admin-token-file T``, or
inside another program as `CheckoutService`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from bot.demo.admin import AdminEndpoints, authorised
from bot.demo.bodies import BadRequest, json_object, refusal, text, whole_number
from bot.demo.metrics import CheckoutMetrics
from bot.demo.orders import OrderBook, QueueFull
from bot.demo.rebuilding import QueueRebuilder
from bot.demo.supervision import Supervisor, WorkerState
from bot.demo.traffic import Traffic

_log = logging.getLogger(__name__)

_SLOW_BY = 0.4  # seconds that the slow feature adds to an order
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, kw_only=True)
class CheckoutOptions:
    """How the service is set up.

    `traffic` is in orders per second, `slow_restart` in seconds. The queue of 40
    fills within two seconds of the usual traffic once the worker hangs.
    """

    port: int = 0
    traffic: int = 20
    queue_capacity: int = 40
    slow_restart: float = 0.0


class CheckoutService:
    """The service: start it, use its `url`, stop it."""

    def __init__(self, admin_token: str, options: CheckoutOptions | None = None) -> None:
        options = options or CheckoutOptions()
        self.book = OrderBook(options.queue_capacity)
        self.metrics = CheckoutMetrics()
        self.supervisor = Supervisor(self.book, on_completed=self.metrics.completed.inc)
        self.supervisor.slow_restart = options.slow_restart
        self.rebuilder = QueueRebuilder(self.book)
        self.slow = False
        self.url = ""
        self._admin_token = admin_token
        self._port = options.port
        self._traffic_rate = options.traffic
        self._traffic: Traffic | None = None
        self._runner: web.AppRunner | None = None
        self._follow()

    async def start(self) -> None:
        """Start the worker, the interface on 127.0.0.1 and the traffic."""
        await self.supervisor.start()
        self._runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        except OSError:
            await self.stop()
            raise
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self._traffic = Traffic(self.url, self._traffic_rate)
        await self._traffic.start()

    async def stop(self) -> None:
        """End traffic, interface and worker, in this order."""
        if self._traffic:
            await self._traffic.stop()
        if self._runner:
            await self._runner.cleanup()
        await self.rebuilder.close()
        await self.supervisor.stop()

    @property
    def traffic_rate(self) -> int:
        """Tell how many orders per second the synthetic traffic sends."""
        return self._traffic_rate

    @traffic_rate.setter
    def traffic_rate(self, rate: int) -> None:
        self._traffic_rate = rate
        if self._traffic:
            self._traffic.rate = rate

    def faults(self) -> list[str]:
        """Name the faults that are switched on."""
        stuck = ["worker_stuck"] if self.supervisor.hung else []
        return stuck + (["feature_slow"] if self.slow else [])

    def complaints(self) -> list[str]:
        """Say why the service is unhealthy; nothing means healthy."""
        state = self.supervisor.state
        found = [] if state is WorkerState.RUNNING else [f"the worker is {state.value}"]
        if self.book.full:
            found.append("the queue is full")
        return found

    async def info(self, _request: web.Request) -> web.Response:
        """Say what this is."""
        return web.json_response(
            {"service": "checkout", "endpoints": ["/orders", "/healthz", "/metrics", "/admin"]}
        )

    async def place_order(self, request: web.Request) -> web.Response:
        """Accept an order (202), or refuse it (503) when the queue is full."""
        body = await json_object(request)
        item = text(body, "item", most=100)
        quantity = whole_number(body, "quantity", low=1, high=1000)
        if self.slow:
            await asyncio.sleep(_SLOW_BY)
        try:
            order = self.book.accept(item, quantity)
        except QueueFull:
            return refusal(503, "the order queue is full")
        self.supervisor.feed()
        return web.json_response(order.as_json(), status=202)

    async def show_order(self, request: web.Request) -> web.Response:
        """Show how an order stands."""
        order = self.book.get(request.match_info["id"])
        return web.json_response(order.as_json()) if order else refusal(404, "no such order")

    async def health(self, _request: web.Request) -> web.Response:
        """Answer 200 or, with the reasons, 503."""
        reasons = self.complaints()
        status = "unhealthy" if reasons else "healthy"
        body = {"status": status, "reasons": reasons}
        return web.json_response(body, status=503 if reasons else 200)

    async def exposition(self, _request: web.Request) -> web.Response:
        """Answer a scrape."""
        headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        return web.Response(body=self.metrics.exposition(), headers=headers)

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[self._judge], client_max_size=64 * 1024)
        application.add_routes(
            [
                web.get("/", self.info),
                web.post("/orders", self.place_order),
                web.get("/orders/{id}", self.show_order),
                web.get("/healthz", self.health),
                web.get("/metrics", self.exposition),
                *AdminEndpoints(self).routes(),
            ]
        )
        return application

    @web.middleware
    async def _judge(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Admit admins by their token, name what is wrong with a body, count what customers get."""
        if request.path.startswith("/admin") and not authorised(request, self._admin_token):
            return refusal(401, "the admin endpoints want Authorization: Bearer <token>")
        began, code = time.perf_counter(), 500
        try:
            answer = await self._answer(request, handler)
            code = answer.status
        finally:
            if request.path.startswith("/orders"):
                self.metrics.observe(code, time.perf_counter() - began)
        return answer

    async def _answer(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except BadRequest as error:
            return refusal(400, str(error))
        except web.HTTPException as error:
            return refusal(error.status, error.reason)

    def _follow(self) -> None:
        metrics, supervisor, book = self.metrics, self.supervisor, self.book
        metrics.follow("checkout_queue_depth", "Orders that wait.", lambda: book.depth)
        metrics.follow(
            "checkout_queue_revision",
            "How many queues there have been, counting rebuilds.",
            lambda: self.rebuilder.revision,
        )
        metrics.follow("checkout_queue_capacity", "Orders that may wait.", lambda: book.capacity)
        metrics.follow(
            "checkout_worker_up",
            "1 while the worker is seen to run.",
            lambda: supervisor.state is WorkerState.RUNNING,
        )
        metrics.follow(
            "checkout_worker_generation",
            "How many workers there have been.",
            lambda: supervisor.generation,
        )
        metrics.follow(
            "checkout_worker_concurrency",
            "Orders the worker may do at once.",
            lambda: supervisor.concurrency,
        )
        metrics.follow(
            "checkout_feature_slow", "1 while the slow feature is on.", lambda: self.slow
        )
        metrics.follow_total(
            "checkout_worker_restarts",
            "Restarts of the worker.",
            lambda: len(supervisor.restarts),
        )


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bot.demo.checkout", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 lets the system choose")
    parser.add_argument("--ready-file", type=Path, help="written, as JSON, once the service is up")
    parser.add_argument("--admin-token-file", type=Path, required=True)
    parser.add_argument("--traffic", type=int, default=20, metavar="ORDERS_PER_SECOND")
    parser.add_argument("--queue-capacity", type=int, default=40, metavar="ORDERS")
    parser.add_argument("--slow-restart", type=float, default=0.0, metavar="SECONDS")
    arguments = parser.parse_args(argv)
    try:
        arguments.admin_token = arguments.admin_token_file.read_text().strip()
    except OSError as error:
        parser.error(f"--admin-token-file cannot be read: {error.strerror}")
    if not arguments.admin_token:
        parser.error("--admin-token-file is empty")
    if arguments.traffic < 0 or arguments.queue_capacity < 1 or arguments.slow_restart < 0:
        parser.error("--traffic and --slow-restart cannot be negative, --queue-capacity not 0")
    return arguments


def _announce(url: str, ready_file: Path | None) -> None:
    _log.info("checkout listens on %s", url)
    if ready_file is None:
        return
    # Written aside and moved, so that a reader never sees half of it.
    beside = ready_file.with_name(ready_file.name + ".new")
    beside.write_text(json.dumps({"url": url, "pid": os.getpid()}))
    beside.replace(ready_file)


async def serve(arguments: argparse.Namespace) -> int:
    """Run the service until SIGTERM or SIGINT; return the exit status."""
    asked_to_stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked_to_stop.set)
    options = CheckoutOptions(
        port=arguments.port,
        traffic=arguments.traffic,
        queue_capacity=arguments.queue_capacity,
        slow_restart=arguments.slow_restart,
    )
    service = CheckoutService(arguments.admin_token, options)
    try:
        await service.start()
    except OSError as error:
        _log.error("checkout cannot listen on port %d: %s", arguments.port, error.strerror)
        return 1
    _announce(service.url, arguments.ready_file)
    await asked_to_stop.wait()
    await service.stop()
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run the service as the command line says."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    return asyncio.run(serve(_arguments(argv)))


if __name__ == "__main__":
    sys.exit(main())
