"""The checkout service's admin endpoints: faults, the worker, and settings.

Every one of them wants the bearer token.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from aiohttp import web

from bot.demo.bodies import json_object, refusal, text, whole_number
from bot.demo.queue_admin import QueueEndpoints
from bot.demo.supervision import GenerationMismatch, WorkerFailed
from bot.demo.worker import MOST_AT_ONCE

if TYPE_CHECKING:
    from bot.demo.checkout import CheckoutService

_MOST_GENERATIONS = 10**9


def authorised(request: web.Request, token: str) -> bool:
    """Tell whether the request carries the token, in constant time."""
    given = request.headers.get("Authorization", "")
    return hmac.compare_digest(given.encode("utf-8", "replace"), f"Bearer {token}".encode())


class AdminEndpoints:
    """Handlers under /admin."""

    def __init__(self, service: CheckoutService) -> None:
        self._service = service
        self._supervisor = service.supervisor

    def routes(self) -> list[web.RouteDef]:
        """List the endpoints."""
        return [
            *QueueEndpoints(self._service).routes(),
            web.get("/admin/worker", self.worker),
            web.post("/admin/worker/restart", self.restart),
            web.get("/admin/restarts", self.restarts),
            web.get("/admin/fault", self.faults),
            web.post("/admin/fault", self.set_fault),
            web.delete("/admin/fault", self.clear_faults),
            web.get("/admin/concurrency", self.concurrency),
            web.put("/admin/concurrency", self.set_concurrency),
            web.get("/admin/traffic", self.traffic),
            web.put("/admin/traffic", self.set_traffic),
        ]

    async def worker(self, _request: web.Request) -> web.Response:
        """Show the worker as it is seen now."""
        started_at = self._supervisor.started_at
        return web.json_response(
            {
                "generation": self._supervisor.generation,
                "state": self._supervisor.state.value,
                "started_at": started_at.isoformat() if started_at else None,
                "restarts": len(self._supervisor.restarts),
                "queue_depth": self._service.book.depth,
            }
        )

    async def restart(self, request: web.Request) -> web.Response:
        """Restart the worker once per idempotency key; 409 when it is not the expected one."""
        body = await json_object(request)
        expected = whole_number(body, "expected_generation", low=0, high=_MOST_GENERATIONS)
        key = text(body, "idempotency_key", most=200)
        try:
            restart, repeated = await self._supervisor.restart(key, expected)
        except GenerationMismatch as error:
            reason = f"expected_generation is {expected}, but {error}"
            return refusal(409, reason, generation=error.current)
        except WorkerFailed as error:
            return refusal(502, str(error), generation=self._supervisor.generation)
        return web.json_response(restart.as_json() | {"repeated": repeated})

    async def restarts(self, _request: web.Request) -> web.Response:
        """List every restart that was performed, oldest first."""
        return web.json_response([restart.as_json() for restart in self._supervisor.restarts])

    async def faults(self, _request: web.Request) -> web.Response:
        """Show the faults that are switched on."""
        return web.json_response({"faults": self._service.faults()})

    async def set_fault(self, request: web.Request) -> web.Response:
        """Switch a fault on."""
        kind = text(await json_object(request), "kind", most=50)
        if kind not in {"worker_stuck", "feature_slow"}:
            return refusal(400, "kind must be worker_stuck or feature_slow")
        if kind == "feature_slow":
            self._service.slow = True
            return await self.faults(request)
        try:
            self._supervisor.hang()
        except WorkerFailed as error:
            return refusal(409, str(error))
        return await self.faults(request)

    async def clear_faults(self, request: web.Request) -> web.Response:
        """Switch all faults off."""
        self._supervisor.unhang()
        self._service.slow = False
        return await self.faults(request)

    async def concurrency(self, _request: web.Request) -> web.Response:
        """Show how many orders the worker may do at once."""
        return web.json_response({"value": self._supervisor.concurrency})

    async def set_concurrency(self, request: web.Request) -> web.Response:
        """Change how many orders the worker may do at once; 409 when it was not as expected."""
        body = await json_object(request)
        value = whole_number(body, "value", low=1, high=MOST_AT_ONCE)
        expected = whole_number(body, "expected", low=1, high=MOST_AT_ONCE)
        previous = self._supervisor.concurrency
        if expected != previous:
            reason = f"expected is {expected}, but the concurrency is {previous}"
            return refusal(409, reason, value=previous)
        self._supervisor.concurrency = value
        self._supervisor.feed()
        return web.json_response({"value": value, "previous": previous})

    async def traffic(self, _request: web.Request) -> web.Response:
        """Show the synthetic traffic in orders per second."""
        return web.json_response({"value": self._service.traffic_rate})

    async def set_traffic(self, request: web.Request) -> web.Response:
        """Change the synthetic traffic; 0 switches it off."""
        rate = whole_number(await json_object(request), "value", low=0, high=200)
        self._service.traffic_rate = rate
        return await self.traffic(request)
