"""The admin endpoints of checkout's order queue: look at it, sweep it, rebuild it, stop that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from bot.demo.bodies import json_object, refusal, text, whole_number
from bot.demo.orders import PARTITIONS
from bot.demo.rebuilding import HALVES, Rebuild, RebuildUnderWay, RevisionMismatch

if TYPE_CHECKING:
    from bot.demo.checkout import CheckoutService

_MOST_REVISIONS = 10**9


class QueueEndpoints:
    """Handlers under /admin/queue and /admin/rebuilds."""

    def __init__(self, service: CheckoutService) -> None:
        self._book = service.book
        self._rebuilder = service.rebuilder

    def routes(self) -> list[web.RouteDef]:
        """List the endpoints."""
        return [
            web.get("/admin/queue", self.queue),
            web.post("/admin/queue/sweep", self.sweep),
            web.get("/admin/rebuilds", self.rebuilds),
            web.post("/admin/rebuilds", self.begin),
            web.post("/admin/rebuilds/watch", self.watch),
            web.post("/admin/rebuilds/stop", self.stop),
        ]

    async def queue(self, _request: web.Request) -> web.Response:
        """Show the queue as it is now."""
        return web.json_response(
            {
                "revision": self._rebuilder.revision,
                "depth": self._book.depth,
                "faults": self._book.faults,
                "partitions": {name: self._book.waiting_in([name]) for name in PARTITIONS},
            }
        )

    async def sweep(self, request: web.Request) -> web.Response:
        """Drop what should not be in a partition."""
        partition = text(await json_object(request), "partition", most=40)
        if partition not in PARTITIONS:
            return refusal(400, f"there is no partition {partition}")
        dropped = self._rebuilder.sweep(partition)
        return web.json_response({"partition": partition, "dropped": dropped})

    async def rebuilds(self, _request: web.Request) -> web.Response:
        """List every rebuild that was begun, oldest first. Looking here keeps none alive."""
        return web.json_response([rebuild.as_json() for rebuild in self._rebuilder.rebuilds])

    async def begin(self, request: web.Request) -> web.Response:
        """Begin to rebuild a half, once per idempotency key; 409 when the queue is another."""
        body = await json_object(request)
        half = text(body, "half", most=10)
        if half not in HALVES:
            return refusal(400, "half must be first or second")
        expected = whole_number(body, "expected_revision", low=0, high=_MOST_REVISIONS)
        key = text(body, "idempotency_key", most=200)
        try:
            return _shown(self._rebuilder.begin(key, HALVES[half], expected))
        except RevisionMismatch as error:
            reason = f"expected_revision is {expected}, but {error}"
            return refusal(409, reason, revision=error.current)
        except RebuildUnderWay:
            return refusal(409, "another rebuild is under way")

    async def watch(self, request: web.Request) -> web.Response:
        """Show a rebuild, which goes on only as long as somebody asks here."""
        key = text(await json_object(request), "idempotency_key", most=200)
        return _shown(self._rebuilder.watch(key))

    async def stop(self, request: web.Request) -> web.Response:
        """Stop a rebuild; one that has ended is shown as it ended."""
        key = text(await json_object(request), "idempotency_key", most=200)
        return _shown(self._rebuilder.stop(key, "it was told to stop"))


def _shown(rebuild: Rebuild | None) -> web.Response:
    if rebuild is None:
        return refusal(404, "no such rebuild")
    return web.json_response(rebuild.as_json())
