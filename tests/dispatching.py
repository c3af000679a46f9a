"""Plugins that keep what they heard, and a dispatcher that brings it to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from typing_extensions import override

from bot.dispatcher import Dispatcher
from bot.domain.events import AlertChanged, IncidentChanged, MessagePosted
from bot.domain.findings import Finding, FindingKind
from bot.plugin import Plugin, PluginSettings
from bot.services.cards import CardService
from tests.stage import Stage


class Listener(Plugin[PluginSettings]):
    """Keeps what it heard; `on` does something first and may fail."""

    name: ClassVar[str] = "listener"

    def __init__(self, stage: Stage, name: str = "listener") -> None:
        super().__init__(PluginSettings(), stage.context)
        self.name = name  # type: ignore[misc]  # one class plays several plugins
        self.heard: list[tuple[str, str]] = []
        self.on: Callable[[str, str], Awaitable[None]] | None = None

    async def _hear(self, subject: str, change: str) -> None:
        if self.on is not None:
            await self.on(subject, change)
        self.heard.append((subject, change))

    @override
    async def on_alert(self, event: AlertChanged) -> None:
        await self._hear(event.group.id, event.change)

    @override
    async def on_incident(self, event: IncidentChanged) -> None:
        await self._hear(event.incident.id, event.change)

    @override
    async def on_message(self, event: MessagePosted) -> None:
        await self._hear(event.channel, event.kind)

    @override
    async def findings(self, subject: Any) -> Sequence[Finding]:
        return (Finding(kind=FindingKind.SEVERITY, claim=f"sev2: {self.name} says so"),)


def cards(stage: Stage, *plugins: Listener) -> CardService:
    """Return the service that draws the cards of a stage."""
    return CardService(
        stage.context.alerts,
        stage.context.posts,
        stage.clock,
        plugins=[(p.name, p.findings) for p in plugins],
        offers=lambda group: (),
        channel=lambda: stage.alerts,
    )


@asynccontextmanager
async def dispatching(stage: Stage, *plugins: Listener) -> AsyncIterator[Dispatcher]:
    """Run a dispatcher that is woken by every commit, as in the application."""
    dispatcher = Dispatcher(
        stage.database, stage.clock, plugins=plugins, cards=cards(stage, *plugins)
    )
    stage.database.on_commit(dispatcher.wake)
    dispatcher.start()
    try:
        yield dispatcher
    finally:
        await dispatcher.stop()


async def delivered(stage: Stage, *, seconds: float = 10) -> None:
    """Wait until nothing is due any more."""
    async with asyncio.timeout(seconds):
        while await waiting(stage):  # noqa: ASYNC110  # rows change, nothing signals that
            await asyncio.sleep(0.01)


async def waiting(stage: Stage) -> Sequence[str]:
    """Return the changes that are still due at the stage's moment."""
    async with stage.database.reading() as view:
        due = await view.outbox.due(now=stage.clock.now(), limit=1000)
    return [queued.happening.change for queued in due]
