"""The composition root: builds everything once, starts it in order, stops it in reverse.

`build` only makes objects and reads files, so that `tocsin check` and
`tocsin manifest` see what `tocsin serve` would, without touching the world.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry

from bot import knowledge as pages
from bot.dispatcher import Dispatcher
from bot.domain.actions import Risk
from bot.domain.alerts import AlertGroup
from bot.domain.incidents import Incident
from bot.domain.messages import Button
from bot.domain.people import ChannelId
from bot.domain.policy import RiskPolicy
from bot.domain.runbooks import Runbook
from bot.llm import configured
from bot.loader import AnyPlugin, Offers, collect, find, make
from bot.plugin import Channels, Knowledge, Place, PluginContext
from bot.ports import Chat, Clock
from bot.prompts import JinjaPrompts
from bot.scheduler import Scheduler
from bot.search.encoder import encoder_named
from bot.search.engine import HybridSearch
from bot.services.actions import ActionGate, Registry
from bot.services.alerts import AlertService
from bot.services.cards import CardService
from bot.services.engine import Pace, RunWorker
from bot.services.incidents import IncidentService
from bot.services.planning import Expiries, Planner
from bot.services.postmortems import PostmortemService
from bot.services.posts import PostService
from bot.services.runs import RunService
from bot.services.switches import SwitchService
from bot.services.timelines import TimelineService
from bot.settings import Settings, SettingsError
from bot.slack.app import SlackAdapter
from bot.slack.handlers import SlackHandlers
from bot.storage.sqlite import SqliteDatabase
from bot.web.hooks import HookReceiver
from bot.web.site import WebServer, make_site

log = logging.getLogger(__name__)


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the current moment."""
        return datetime.now(UTC)


@dataclass
class _Room:
    """What is known only later: the channel that speaks for alerts, the buttons on offer."""

    alerts: ChannelId | None = None
    offered: Callable[[Place, AlertGroup | Incident], Sequence[Button]] = lambda *_: ()


@dataclass(frozen=True, kw_only=True)
class Core:
    """Services and ports, before any plugin."""

    database: SqliteDatabase
    clock: Clock
    slack: SlackAdapter
    search: HybridSearch
    context: PluginContext
    pages: pages.Knowledge
    runbooks: dict[str, Runbook]
    room: _Room


class App:
    """The assistant, whole."""

    def __init__(self, settings: Settings, core: Core, plugins: Sequence[AnyPlugin]) -> None:
        self.settings = settings
        self.core = core
        self.plugins = plugins
        self.offers: Offers = collect(plugins)
        core.room.offered = self._offered
        self.metrics = CollectorRegistry()
        self.policy = RiskPolicy(counts=_counts(settings))
        self.registry = _registry(self.offers)
        context = core.context
        self.read_only = _restrict(core, self.registry)
        self.gate = ActionGate(
            core.database, core.clock, registry=self.registry, policy=self.policy
        )
        self.worker = RunWorker(
            core.database,
            core.clock,
            gate=self.gate,
            planner=Planner(
                self.gate,
                policy=self.policy,
                runbooks=context.knowledge.runbooks,
                expiries=Expiries(
                    answer_within=settings.approvals.answer_within,
                    execute_within=settings.approvals.execute_within,
                ),
            ),
            pace=Pace(
                lease=settings.runs.lease,
                poll=settings.runs.poll,
                parallel=settings.runs.parallel,
            ),
        )
        self.cards = CardService(
            context.alerts,
            context.posts,
            core.clock,
            plugins=[(p.name, p.findings) for p in plugins],
            offers=lambda group: self._offered(Place.ALERT, group),
            channel=lambda: core.room.alerts,
        )
        self.dispatcher = Dispatcher(core.database, core.clock, plugins=plugins, cards=self.cards)
        self.scheduler = Scheduler(core.database, core.clock, self.offers.jobs)
        self.receiver = HookReceiver(
            context.alerts,
            core.clock,
            webhooks=self.offers.webhooks,
            max_bytes=int(settings.web.max_body_mb * 1_000_000),
            metrics=self.metrics,
        )
        self.web = WebServer(
            make_site(
                self.receiver,
                metrics=self.metrics,
                ready=self._ready,
                max_waiting=settings.web.max_waiting,
                slack=core.slack.handle if settings.slack.mode == "http" else None,
            ),
            host=settings.web.host,
            port=settings.web.port,
        )
        self._running = AsyncExitStack()

    @property
    def handlers(self) -> SlackHandlers:
        """Return whom Slack's payloads go to."""
        return SlackHandlers(
            commands=self.offers.commands,
            interactions=self.offers.interactions,
            on_message=self.dispatcher.tell,
            home=self.dispatcher.home,
        )

    async def start(self) -> None:
        """Start in an order in which nothing arrives before it can be handled.

        Raises:
            SettingsError: a token is refused, or a secret is missing.
            OSError: the web server's address is taken.
        """
        async with AsyncExitStack() as stack:
            database, slack = self.core.database, self.core.slack
            database.open()
            stack.push_async_callback(database.close)
            database.on_commit(self.dispatcher.wake)
            database.on_commit(self.worker.wake)
            if self.settings.search.meaning:
                await self.core.search.start()
            stack.push_async_callback(self.core.search.stop)
            await slack.start()
            stack.push_async_callback(slack.stop)
            await self._find_room()
            for plugin in self.plugins:
                await plugin.start()
                stack.push_async_callback(plugin.stop)
            self.scheduler.start()
            stack.push_async_callback(self.scheduler.stop)
            self.dispatcher.start()
            stack.push_async_callback(self.dispatcher.stop)
            self.worker.start()
            stack.push_async_callback(self.worker.stop)
            await self.web.start()
            stack.push_async_callback(self.web.stop)
            await slack.listen(self.handlers)
            self._running = stack.pop_all()
        log.info("Tocsin is up: webhooks at %s/hooks/<plugin>", self.web.url)

    async def stop(self) -> None:
        """Stop in reverse; what is under way is finished or stays queued."""
        await self._running.aclose()

    async def run(self) -> None:
        """Start, and stay until SIGINT or SIGTERM."""
        done = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, done.set)
        await self.start()
        try:
            await done.wait()
        finally:
            await self.stop()

    async def _find_room(self) -> None:
        name = self.settings.slack.alerts_channel.lstrip("#")
        self.core.room.alerts = await self.core.slack.channel_named(name)
        if self.core.room.alerts is None:
            log.warning("slack.alerts_channel: there is no channel #%s; no cards are shown", name)

    async def _ready(self) -> Mapping[str, Any]:
        connected = await self.core.slack.connected()
        return {
            "ready": connected and self.core.room.alerts is not None,
            "slack": connected,
            "alerts_channel": self.core.room.alerts,
            "search_by_meaning": self.core.search.dense_ready,
        }

    def _offered(self, place: Place, subject: AlertGroup | Incident) -> Sequence[Button]:
        """Return the buttons of a card, in their order."""
        offers = [
            i.offer
            for i in self.offers.interactions.values()
            if i.offer is not None and i.offer.place is place
        ]
        buttons = [o.button(subject) for o in sorted(offers, key=lambda o: o.order)]
        return [button for button in buttons if button is not None]


def build(settings: Settings, clock: Clock | None = None) -> App:
    """Make the assistant from its settings; nothing is started.

    Raises:
        SettingsError: a plugin is unknown or misconfigured, or two clash.
        KnowledgeError: a page in the knowledge folder has a fault.
    """
    found = find(settings.bot.plugins, settings.plugins, settings.from_file.get("plugins", {}))
    core = _core(settings, clock or SystemClock())
    return App(settings, core, make(found, core.context))


def _core(settings: Settings, clock: Clock) -> Core:
    known = pages.load(settings.bot.knowledge)
    database = SqliteDatabase(settings.database, clock)
    slack = SlackAdapter(settings.slack, clock)
    search = HybridSearch(encoder_named(settings.search.model), settings.bot.data / "cache")
    room = _Room()
    runbooks = dict(known.runbooks)
    context = _context(
        settings,
        clock,
        database=database,
        chat=slack.chat,
        search=search,
        known=Knowledge(runbooks=runbooks, catalog=known.catalog, incidents=known.incidents),
        room=room,
    )
    return Core(
        database=database,
        clock=clock,
        slack=slack,
        search=search,
        context=context,
        pages=known,
        runbooks=runbooks,
        room=room,
    )


def _context(
    settings: Settings,
    clock: Clock,
    *,
    database: SqliteDatabase,
    chat: Chat,
    search: HybridSearch,
    known: Knowledge,
    room: _Room,
) -> PluginContext:
    prompts = JinjaPrompts()
    model = configured(settings.llm)
    return PluginContext(
        alerts=AlertService(database, clock),
        incidents=IncidentService(database, clock),
        runs=RunService(database, clock),
        timelines=TimelineService(database, clock),
        postmortems=PostmortemService(
            database, clock, prompts, model, runbooks=tuple(known.runbooks.values())
        ),
        posts=PostService(database, chat),
        switches=SwitchService(database, clock),
        knowledge=known,
        channels=lambda: Channels(alerts=room.alerts),
        search=search,
        chat=chat,
        clock=clock,
        prompts=prompts,
        model=model,
        offers=lambda place, subject: room.offered(place, subject),  # noqa: PLW0108  # set later
    )


def _restrict(core: Core, registry: Registry) -> Sequence[str]:
    """Make runbooks whose actions are not there for reading only, and say which and why.

    An installation enables the plugins it wants; a page that names an action of
    another plugin still helps people, and must not stop the bot.
    """
    notes = []
    for problem in pages.check_actions(core.pages, registry.actions):
        notes.append(str(problem))
        for runbook in core.pages.runbooks.values():
            if runbook.path == problem.file:
                core.runbooks[runbook.id] = replace(runbook, steps=(), diagnose=())
    return notes


def _registry(offers: Offers) -> Registry:
    try:
        return Registry(offers.actions)
    except ValueError as error:
        raise SettingsError([str(error)]) from error


def _counts(settings: Settings) -> Mapping[Risk, int]:
    return {Risk[name]: count for name, count in settings.approvals.counts.items()}
