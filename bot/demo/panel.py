"""What a page shows beside the practice workspace: the service's state and two buttons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

_WITHIN = aiohttp.ClientTimeout(total=5)
_BREAK, _REPAIR = "break", "repair"


@dataclass(frozen=True)
class PanelFact:
    """One line of the panel. `tone` is ``good``, ``bad`` or ``plain``."""

    label: str
    value: str
    tone: str = "plain"


@dataclass(frozen=True)
class PanelButton:
    """One button of the panel. `tone` is ``danger`` or ``plain``."""

    id: str
    label: str
    tone: str = "plain"


class PanelFailed(Exception):
    """A press had no effect; the text says why."""


@dataclass(frozen=True)
class _Counts:
    errors: float
    requests: float


class CheckoutPanel:
    """Read the service's state over HTTP and press its fault switch.

    The error rate is that of the requests since the previous look, so look about
    once a second.
    """

    buttons = (
        PanelButton(_BREAK, "Break it", "danger"),
        PanelButton(_REPAIR, "Repair by hand"),
    )

    def __init__(self, checkout_url: str, *, admin_token: str, alerting: str) -> None:
        self._url = checkout_url
        self._headers = {"Authorization": f"Bearer {admin_token}"}
        self._alerting = alerting
        self._session: aiohttp.ClientSession | None = None
        self._last = _Counts(0, 0)
        self._error_rate = 0.0

    async def facts(self) -> tuple[PanelFact, ...]:
        """Return the present state. A service that cannot be reached is a fact, not an error."""
        watched = PanelFact("Watched by", self._alerting)
        try:
            worker = await self._json("GET", "/admin/worker")
            healthy = await self._status("/healthz") == 200
            metrics = await self._metrics()
            rebuilds = await self._json("GET", "/admin/rebuilds")
        except (aiohttp.ClientError, TimeoutError, PanelFailed):
            return PanelFact("Health", "cannot be reached", "bad"), watched
        return (
            PanelFact("Health", *(("healthy", "good") if healthy else ("unhealthy", "bad"))),
            self._errors(metrics),
            _queue(metrics),
            PanelFact(
                "Worker",
                f"{worker['state']}, generation {worker['generation']}",
                "good" if worker["state"] == "running" else "bad",
            ),
            *(_rebuild(rebuild) for rebuild in rebuilds[-1:]),
            watched,
        )

    async def press(self, button: str) -> str:
        """Press a button by its id; return what was done.

        "Repair by hand" clears the fault and, where the worker has ended, starts another.

        Raises:
            PanelFailed: no such button, or the service refuses or cannot be reached.
        """
        try:
            if button == _BREAK:
                await self._json("POST", "/admin/fault", {"kind": "worker_stuck"})
                return "The worker hangs. Orders pile up, and soon customers get errors."
            if button == _REPAIR:
                return await self._repair()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise PanelFailed(f"checkout cannot be reached: {error}") from error
        raise PanelFailed(f"there is no button {button!r}")

    async def close(self) -> None:
        """Close the connections."""
        if self._session:
            await self._session.close()

    async def _repair(self) -> str:
        await self._json("DELETE", "/admin/fault")
        worker = await self._json("GET", "/admin/worker")
        if worker["state"] != "stopped":
            return "The fault is cleared. The worker goes on where it hung."
        generation = worker["generation"]
        restart = {
            "expected_generation": generation,
            "idempotency_key": f"repair-by-hand-{generation}",
        }
        await self._json("POST", "/admin/worker/restart", restart)
        return "The worker had ended; another is started."

    def _errors(self, metrics: dict[str, float]) -> PanelFact:
        now = _Counts(metrics["errors"], metrics["requests"])
        requests = now.requests - self._last.requests
        if requests > 0:
            self._error_rate = (now.errors - self._last.errors) / requests
        self._last = now
        tone = "bad" if self._error_rate > 0.1 else "good"
        return PanelFact("Errors", f"{self._error_rate:.0%} of requests", tone)

    async def _metrics(self) -> dict[str, float]:
        async with self._connection().get("/metrics", raise_for_status=True) as answer:
            families = list(text_string_to_metric_families(await answer.text()))
        samples = [sample for family in families for sample in family.samples]
        requests = [s for s in samples if s.name == "checkout_requests_total"]
        return {
            **{s.name: s.value for s in samples if not s.labels},
            "requests": sum(s.value for s in requests),
            "errors": sum(s.value for s in requests if s.labels["code"].startswith("5")),
        }

    async def _status(self, path: str) -> int:
        async with self._connection().get(path) as answer:
            return answer.status

    async def _json(self, method: str, path: str, body: object = None) -> Any:
        async with self._connection().request(
            method, path, json=body, headers=self._headers
        ) as answer:
            told = await answer.json()
        if answer.status >= 400:
            raise PanelFailed(f"checkout refuses: {told.get('error', answer.reason)}")
        return told

    def _connection(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(self._url, timeout=_WITHIN)
        return self._session


def _queue(metrics: dict[str, float]) -> PanelFact:
    depth, capacity = metrics["checkout_queue_depth"], metrics["checkout_queue_capacity"]
    tone = "bad" if depth > 0.8 * capacity else "good"
    return PanelFact("Queue", f"{depth:.0f} of {capacity:.0f}", tone)


def _rebuild(rebuild: dict[str, Any]) -> PanelFact:
    """Show the latest rebuild of the queue; one that was stopped is no fault."""
    value = f"{rebuild['state']}, {rebuild['built']} of {rebuild['of']}"
    return PanelFact("Queue rebuild", value, "good" if rebuild["state"] == "done" else "plain")
