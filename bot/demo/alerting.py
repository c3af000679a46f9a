"""Who watches the checkout service: the real Prometheus where it is installed, else our watcher."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from bot.demo.processes import NotStarted
from bot.demo.prometheus import Installation, RealAlerting, find
from bot.demo.watcher import WatcherAlerting

_log = logging.getLogger(__name__)


class AlertingKind(StrEnum):
    """Which one to start."""

    AUTOMATIC = "automatic"
    REAL = "real"
    WATCHER = "watcher"


class Alerting(Protocol):
    """Something that watches the service and posts Alertmanager webhooks.

    `description` is a line for people; `urls` are pages for people, by name;
    `prometheus_url` answers ``/api/v1/query``.
    """

    @property
    def description(self) -> str:
        """Say who watches."""
        ...

    @property
    def urls(self) -> Mapping[str, str]:
        """Return what a person may look at."""
        ...

    @property
    def prometheus_url(self) -> str:
        """Return where queries are answered."""
        ...

    async def stop(self) -> None:
        """Stop watching, and end every process that was started for it."""
        ...


async def start_alerting(
    checkout_url: str,
    webhook_url: str,
    *,
    token: str,
    directory: Path,
    kind: AlertingKind = AlertingKind.AUTOMATIC,
) -> Alerting:
    """Start to watch the service at `checkout_url` and tell `webhook_url`.

    A real Prometheus that is installed but does not start is no reason to have no
    demo: unless it was asked for by name, the watcher takes its place and says why.

    Raises:
        NotStarted: the real ones were asked for and are missing or do not start.
    """
    if kind is AlertingKind.WATCHER:
        return await _watcher(checkout_url, webhook_url, token, "as asked for")
    installation = await asyncio.to_thread(find)
    try:
        if not isinstance(installation, Installation):
            raise NotStarted(installation)
        real = RealAlerting(
            installation, checkout_url, webhook_url, token=token, directory=directory
        )
        await real.start()
    except NotStarted as error:
        if kind is AlertingKind.REAL:
            raise
        _log.info("the built-in watcher is used: %s", error)
        return await _watcher(checkout_url, webhook_url, token, str(error))
    return real


async def _watcher(checkout_url: str, webhook_url: str, token: str, reason: str) -> Alerting:
    watcher = WatcherAlerting(checkout_url, webhook_url, token=token, reason=reason)
    await watcher.start()
    return watcher
