"""Brings events from the outbox to plugins and to the cards.

Events of one subject are told in their order; subjects do not wait for each
other. Each call of a plugin is isolated and timed, and repeated for that plugin
alone when it fails: it then hears the event late, perhaps after a newer one, but
with the subject as it is by then. While the chat platform is away, it is tried
for much longer: what happened in its outage must still be shown. Nothing here is
needed for the truth: it is in the rows.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bot.domain.alerts import Change, GroupId
from bot.domain.errors import AlreadyDone, NotFound
from bot.domain.events import (
    AlertChanged,
    GovernanceChanged,
    IncidentChanged,
    KnowledgeChanged,
    MessagePosted,
    RunChanged,
)
from bot.domain.incidents import IncidentId
from bot.domain.messages import Message
from bot.domain.people import Person
from bot.domain.runs import RunId
from bot.plugin import Plugin
from bot.ports import ChatError, Clock, Database, Queued
from bot.services.cards import CardService

log = logging.getLogger(__name__)

PATIENCE = 30.0
ATTEMPTS = 8
LONGEST_WAIT = 300  # seconds between two attempts
CHAT_WAIT = 60  # the same, while the chat platform is what fails
CHAT_PATIENCE = timedelta(hours=24)
BATCH = 200
CARD = "@card"  # no plugin's name

Event = AlertChanged | IncidentChanged | RunChanged | GovernanceChanged


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

    async def tell_of_knowledge(self, event: KnowledgeChanged) -> None:
        """Tell plugins that runbooks were edited."""
        for plugin in self._plugins:
            await self._guarded(plugin.name, lambda p=plugin: p.on_knowledge(event))  # type: ignore[misc]  # bound early

    async def _drain(self) -> None:
        while True:
            self._news.clear()
            for subject, events in (await self._due_or_none()).items():
                task = asyncio.create_task(self._lane(subject, events))
                self._busy[subject] = task
                task.add_done_callback(lambda _, s=subject: self._finished(s))  # type: ignore[misc]  # bound early
            # Not wait_for: it can swallow a cancellation that meets the news.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._news.wait()

    def _finished(self, subject: str) -> None:
        self._busy.pop(subject, None)
        self._news.set()

    async def _due_or_none(self) -> dict[str, list[Queued]]:
        """Return what is due; a look that fails is tried again, and ends nothing."""
        try:
            return await self._due()
        except Exception:
            log.exception("the outbox could not be read; it is tried again")
            return {}

    async def _due(self) -> dict[str, list[Queued]]:
        """Return due events by subject, without subjects that are being told about.

        Where theirs fill the first look it goes further: nobody waits behind them.
        """
        limit = BATCH
        async with self._database.reading() as view:
            while True:
                due = await view.outbox.due(now=self._clock.now(), limit=limit)
                lanes = self._lanes(due)
                if lanes or len(due) < limit:
                    return lanes
                limit *= 4

    def _lanes(self, due: Sequence[Queued]) -> dict[str, list[Queued]]:
        lanes: dict[str, list[Queued]] = {}
        for queued in due:
            if queued.happening.subject not in self._busy:
                lanes.setdefault(queued.happening.subject, []).append(queued)
        return lanes

    async def _lane(self, subject: str, events: Sequence[Queued]) -> None:
        undrawn = [number for number, queued in enumerate(events) if CARD not in queued.heard]
        try:
            for number, queued in enumerate(events):
                await self._deliver(queued, last=number in undrawn[-1:])
        except Exception:
            log.exception("events of %s could not be delivered; they stay queued", subject)
            await asyncio.sleep(1)

    async def _deliver(self, queued: Queued, *, last: bool) -> None:
        try:
            event = await self._event(queued)
        except NotFound:
            await self._settle(queued, queued.heard, faults={})
            return
        heard = set(queued.heard)
        faults: dict[str, BaseException] = {}
        for hearer in self._hearers(event, last=last):
            if hearer.name in heard:
                continue
            fault = await self._guarded(hearer.name, lambda h=hearer: h.hear(event))  # type: ignore[misc]  # bound early
            if fault is None:
                heard.add(hearer.name)
            else:
                faults[hearer.name] = fault
        await self._settle(queued, frozenset(heard), faults=faults)

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
            if happening.kind == "governance":
                return GovernanceChanged(
                    id=queued.id,
                    at=happening.at,
                    subject=happening.subject,
                    change=happening.change,
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

    async def home(self, viewer: Person) -> Sequence[Message]:
        """Ask every plugin for its part of a person's home page; one that fails has none."""
        sections: list[Message] = []

        async def ask(plugin: Plugin[Any]) -> None:
            section = await plugin.home_section(viewer)
            if section is not None:
                sections.append(section)

        for plugin in self._plugins:
            await self._guarded(plugin.name, functools.partial(ask, plugin))
        return sections

    async def _guarded(
        self, name: str, call: Callable[[], Awaitable[None]]
    ) -> BaseException | None:
        """Call a plugin; return what went wrong, if something did."""
        try:
            async with asyncio.timeout(PATIENCE):
                await call()
        except AlreadyDone:
            return None  # it heard this event before, and its effect stands
        except asyncio.CancelledError as error:
            if _stopping():
                raise
            log.exception("plugin %s was cancelled from within", name)
            return error
        except ChatError as error:
            log.warning("%s is tried again, the chat platform says: %s", name, error)
            return error
        except Exception as error:  # a plugin's failure stays its own
            log.exception("plugin %s failed", name)
            return error
        return None

    async def _settle(
        self, queued: Queued, heard: frozenset[str], *, faults: Mapping[str, BaseException]
    ) -> None:
        async with self._database.transaction() as tx:
            if not faults:
                await tx.outbox.done(queued.id)
                return
            name, fault = list(faults.items())[-1]
            await tx.outbox.retry(
                queued.id,
                heard=heard,
                due_at=self._next_attempt(queued, faults.values()),
                reason=f"{name}: {type(fault).__name__}: {fault}",
            )

    def _next_attempt(self, queued: Queued, faults: Iterable[BaseException]) -> datetime | None:
        """Say when an event is told again; None gives it up."""
        now, wait = self._clock.now(), min(2**queued.attempts, LONGEST_WAIT)
        if any(isinstance(fault, ChatError) for fault in faults):
            late = now - queued.happening.at >= CHAT_PATIENCE
            return None if late else now + timedelta(seconds=min(wait, CHAT_WAIT))
        again = queued.attempts + 1 < ATTEMPTS
        return now + timedelta(seconds=wait) if again else None


def _stopping() -> bool:
    """Say whether this task itself was asked to end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _hook(plugin: Plugin[Any], event: Event) -> Callable[[Event], Awaitable[None]]:
    if isinstance(event, AlertChanged):
        return plugin.on_alert  # type: ignore[return-value]  # matched by the event's type
    if isinstance(event, IncidentChanged):
        return plugin.on_incident  # type: ignore[return-value]  # matched by the event's type
    if isinstance(event, GovernanceChanged):
        return plugin.on_governance  # type: ignore[return-value]  # matched by the event's type
    return plugin.on_run  # type: ignore[return-value]  # matched by the event's type
