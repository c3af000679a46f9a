"""A site that takes deliveries, with the real services and storage behind it."""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from bot.domain.alerts import AlertGroup
from bot.domain.deliveries import Delivery, DeliveryState
from bot.plugin import Webhook
from bot.services.alerts import AlertService
from bot.storage.sqlite import SqliteDatabase
from bot.web.hooks import HookReceiver
from bot.web.site import make_site
from plugins.alertmanager.payloads import parse
from tests.fakes import FakeClock

TOKEN = "correct horse"
LIMIT = 300_000
HOOK = "/hooks/alertmanager"

GOOD: dict[str, Any] = {
    "version": "4",
    "groupKey": '{}:{alertname="HighLatency"}',
    "truncatedAlerts": 0,
    "status": "firing",
    "receiver": "tocsin",
    "groupLabels": {"alertname": "HighLatency"},
    "commonLabels": {"alertname": "HighLatency", "service": "checkout"},
    "commonAnnotations": {},
    "externalURL": "http://alertmanager.example",
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "HighLatency", "service": "checkout"},
            "annotations": {"summary": "Requests are slow"},
            "startsAt": "2026-11-20T11:58:00Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus.example/graph",
            "fingerprint": "780476c8ab59ff62",
        }
    ],
}


def good(**changes: Any) -> dict[str, Any]:
    """Return a good payload with other values at its top."""
    return {**copy.deepcopy(GOOD), **changes}


def one(**changes: Any) -> dict[str, Any]:
    """Return a good payload whose one alert has other values."""
    return good(alerts=[{**copy.deepcopy(GOOD["alerts"][0]), **changes}])


@dataclass
class Receiving:
    """A running site and what is behind it."""

    client: httpx.AsyncClient
    site: FastAPI
    receiver: HookReceiver
    webhooks: dict[str, Webhook]
    database: SqliteDatabase
    clock: FakeClock

    async def post(
        self, body: object, *, headers: Mapping[str, str] | None = None, path: str = HOOK
    ) -> httpx.Response:
        """Send a body: bytes as they are, anything else as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"authorization": f"Bearer {TOKEN}", **(headers or {})}
        return await self.client.post(path, content=content, headers=given)

    async def kept(self) -> Sequence[Delivery]:
        """Return what is kept for replay."""
        async with self.database.reading() as view:
            return await view.deliveries.find(DeliveryState.QUARANTINED, limit=10_000)

    async def taken(self) -> Sequence[Delivery]:
        """Return what was taken."""
        async with self.database.reading() as view:
            return await view.deliveries.find(DeliveryState.TAKEN, limit=10_000)

    async def firing(self) -> Sequence[AlertGroup]:
        """Return the groups that fire."""
        async with self.database.reading() as view:
            return await view.groups.firing(limit=10_000)


@asynccontextmanager
async def receiving(folder: Path, *, token: str | None = TOKEN) -> AsyncIterator[Receiving]:
    """Run a site on a database in a folder."""
    clock = FakeClock()
    database = SqliteDatabase(folder / "tocsin.db", clock)
    database.open()
    webhooks = {"alertmanager": Webhook(parse=parse, token=token)}
    metrics = CollectorRegistry()
    receiver = HookReceiver(
        AlertService(database, clock), clock, webhooks=webhooks, max_bytes=LIMIT, metrics=metrics
    )

    async def ready() -> Mapping[str, Any]:
        return {"ready": True}

    site = make_site(receiver, metrics=metrics, ready=ready, max_waiting=3)
    transport = httpx.ASGITransport(app=site, client=("127.0.0.1", 50_000))
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://tocsin") as client:
            yield Receiving(client, site, receiver, webhooks, database, clock)
    finally:
        await database.close()
