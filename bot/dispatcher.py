"""Brings events from the outbox to plugins and to the cards.

Events of one subject are told in their order; subjects do not wait for each
other. Each call of a plugin is isolated and timed, and repeated for that plugin
alone when it fails. Nothing here is needed for the truth: it is in the rows.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bot.domain.alerts import Change, GroupId
from bot.domain.errors import NotFound
from bot.domain.events import AlertChanged, IncidentChanged, MessagePosted, RunChanged
from bot.domain.incidents import IncidentId
from bot.domain.runs import RunId
from bot.plugin import Plugin
from bot.ports import Clock, Database, Queued
from bot.services.cards import CardService

log = logging.getLogger(__name__)

PATIENCE = 30.0
ATTEMPTS = 8
BATCH = 200
CARD = "card"

Event = AlertChanged | IncidentChanged | RunChanged


@dataclass(frozen=True, kw_only=True)
class Hearer:
    """Someone who hears events, by name."""

    name: str
    hear: Callable[[Event], Awaitable[None]]


class Dispatcher:
    """Drains the outbox."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        plugins: Sequence[Plugin[Any]],
        cards: CardService,
    ) -> None:
        self._database = database
        self._clock = clock
        self._plugins = plugins
        self._cards = cards
        self._news = asyncio.Event()
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to drain."""
        self._loop = asyncio.create_task(self._drain(), name="dispatcher")

    async def stop(self) -> None:
        """Stop; what was not delivered is delivered after the next start."""
        tasks = [*self._busy.values(), *([self._loop] if self._loop else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def wake(self) -> None:
        """Say that there may be news."""
        self._news.set()

    @property
    def idle(self) -> bool:
        """Say whether no event is being delivered at this moment."""
        return not self._busy

    async def tell(self, event: MessagePosted) -> None:
        """Tell plugins what a person did in a channel; it is not stored here."""
        for plugin in self._plugins:
            await self._guarded(plugin.name, lambda p=plugin: p.on_message(event))  # type: ignore[misc]  # bound early

    async def _drain(self) -> None:
        while True:
            self._news.clear()
            for subject, events in (await self._due()).items():
                task = asyncio.create_task(self._lane(subject, events))
                self._busy[subject] = task
                task.add_done_callback(lambda _, s=subject: self._finished(s))  # type: ignore[misc]  # bound early
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), 1.0)

    def _finished(self, subject: str) -> None:
        self._busy.pop(subject, None)
        self._news.set()

    async def _due(self) -> dict[str, list[Queued]]:
        """Return due events by subject, without subjects that are being told about."""
        async with self._database.reading() as view:
            due = await view.outbox.due(now=self._clock.now(), limit=BATCH)
        lanes: dict[str, list[Queued]] = {}
        for queued in due:
            if queued.happening.subject not in self._busy:
                lanes.setdefault(queued.happening.subject, []).append(queued)
        return lanes

    async def _lane(self, subject: str, events: Sequence[Queued]) -> None:
        try:
            for number, queued in enumerate(events):
                await self._deliver(queued, last=number + 1 == len(events))
        except Exception:
            log.exception("events of %s could not be delivered; they stay queued", subject)
            await asyncio.sleep(1)

    async def _deliver(self, queued: Queued, *, last: bool) -> None:
        try:
            event = await self._event(queued)
        except NotFound:
            await self._settle(queued, queued.heard, failed="")
            return
        heard, failed = set(queued.heard), ""
        for hearer in self._hearers(event, last=last):
            if hearer.name in heard:
                continue
            fault = await self._guarded(hearer.name, lambda h=hearer: h.hear(event))  # type: ignore[misc]  # bound early
            if fault:
                failed = f"{hearer.name}: {fault}"
            else:
                heard.add(hearer.name)
        await self._settle(queued, frozenset(heard), failed=failed)

    async def _event(self, queued: Queued) -> Event:
        """Load the subject as it is now."""
        happening = queued.happening
        async with self._database.reading() as view:
            if happening.kind == "alert":
                group = await view.groups.get(GroupId(happening.subject))
                return AlertChanged(
                    id=queued.id, at=happening.at, change=Change(happening.change), group=group
                )
            if happening.kind == "incident":
                incident = await view.incidents.get(IncidentId(happening.subject))
                return IncidentChanged(
                    id=queued.id, at=happening.at, change=happening.change, incident=incident
                )
            run = await view.runs.get(RunId(happening.subject))
            return RunChanged(id=queued.id, at=happening.at, change=happening.change, run=run)

    def _hearers(self, event: Event, *, last: bool) -> Sequence[Hearer]:
        """Return who hears an event: the card first, so that plugins can reply below it.

        Of several changes in a row the card shows only the last.
        """
        plugins = [Hearer(name=p.name, hear=_hook(p, event)) for p in self._plugins]
        if not isinstance(event, AlertChanged):
            return plugins
        return [Hearer(name=CARD, hear=self._draw(show=last)), *plugins]

    def _draw(self, *, show: bool) -> Callable[[Event], Awaitable[None]]:
        async def draw(event: Event) -> None:
            assert isinstance(event, AlertChanged)  # noqa: S101  # chosen by _hearers
            group = await self._cards.assess(event.group, event.change)
            if show:
                await self._cards.show(group)

        return draw

    async def _guarded(self, name: str, call: Callable[[], Awaitable[None]]) -> str:
        """Call a plugin; return what went wrong, or nothing."""
        try:
            async with asyncio.timeout(PATIENCE):
                await call()
        except Exception as error:  # a plugin's failure stays its own
            log.exception("plugin %s failed", name)
            return f"{type(error).__name__}: {error}"
        return ""

    async def _settle(self, queued: Queued, heard: frozenset[str], *, failed: str) -> None:
        async with self._database.transaction() as tx:
            if not failed:
                await tx.outbox.done(queued.id)
                return
            wait = timedelta(seconds=min(2**queued.attempts, 300))
            again = queued.attempts + 1 < ATTEMPTS
            due = self._clock.now() + wait if again else None
            await tx.outbox.retry(queued.id, heard=heard, due_at=due, reason=failed)


def _hook(plugin: Plugin[Any], event: Event) -> Callable[[Event], Awaitable[None]]:
    if isinstance(event, AlertChanged):
        return plugin.on_alert  # type: ignore[return-value]  # matched by the event's type
    if isinstance(event, IncidentChanged):
        return plugin.on_incident  # type: ignore[return-value]  # matched by the event's type
    return plugin.on_run  # type: ignore[return-value]  # matched by the event's type
