"""The composition root: builds everything once, starts it in order, stops it in reverse.

`build` only makes objects and reads files, so that `tocsin check` and
`tocsin manifest` see what `tocsin serve` would, without touching the world.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

from prometheus_client import CollectorRegistry

from bot import governance
from bot import knowledge as pages
from bot.dispatcher import Dispatcher
from bot.domain.alerts import AlertGroup
from bot.domain.events import KnowledgeChanged
from bot.domain.incidents import Incident
from bot.domain.messages import Button
from bot.domain.redaction import Redactor
from bot.domain.runbooks import Runbook
from bot.foundation import Core, SystemClock, lay, rules_of
from bot.loader import AnyPlugin, Offers, collect, find, make
from bot.plugin import Job, JobRun, Place
from bot.ports import Clock
from bot.reloading import KnowledgeWatch
from bot.scheduler import Scheduler
from bot.secrets import secrets_of
from bot.services.actions import ActionGate
from bot.services.cards import CardService, announced
from bot.services.engine import Pace, RunWorker
from bot.services.governing import Governor
from bot.services.planning import Expiries, Planner
from bot.services.registry import Registry
from bot.settings import Settings, SettingsError
from bot.slack.handlers import SlackHandlers
from bot.web.hooks import HookReceiver
from bot.web.pages import make_pages
from bot.web.site import WebServer, make_site

log = logging.getLogger(__name__)

_DAY = 24 * 60 * 60  # seconds


class App:
    """The assistant, whole."""

    def __init__(self, settings: Settings, core: Core, plugins: Sequence[AnyPlugin]) -> None:
        self.settings = settings
        self.core = core
        self.plugins = plugins
        self.offers: Offers = collect(plugins)
        core.room.offered = self._offered
        self.metrics = CollectorRegistry()
        self.policy = core.policy
        self.registry = _registry(self.offers)
        context = core.context
        runbooks, self.read_only = runnable(core.pages, self.registry)
        core.runbooks.update(runbooks)
        self.governor = Governor(rules_of(core, plugins))
        self.gate = ActionGate(
            core.database,
            core.clock,
            registry=self.registry,
            governor=self.governor,
            people=context.people,
            covered=self._covered,
            outputs=context.outputs,
            redact=core.redactor,
        )
        self.worker = RunWorker(
            core.database,
            core.clock,
            gate=self.gate,
            governor=self.governor,
            planner=Planner(
                core.database,
                self.gate,
                governor=self.governor,
                people=context.people,
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
            muted=announced(context.calendars, context.knowledge.catalog),
        )
        self.dispatcher = Dispatcher(core.database, core.clock, plugins=plugins, cards=self.cards)
        forgetting = Job(name="vectors", every=_DAY, handler=self._forget, everywhere=True)
        jobs = [*self.offers.jobs, ("search", forgetting)]
        self.scheduler = Scheduler(core.database, core.clock, jobs)
        self.knowledge = KnowledgeWatch(
            settings.bot.knowledge,
            core.runbooks,
            load=lambda: runnable(pages.load(settings.bot.knowledge), self.registry)[0],
            told=self._edited,
            every=settings.bot.reload_seconds,
        )
        self.receiver = HookReceiver(
            context.alerts,
            core.clock,
            webhooks=self.offers.webhooks,
            max_bytes=int(settings.web.max_body_mb * 1_000_000),
            metrics=self.metrics,
        )
        self.site = make_site(
            self.receiver,
            metrics=self.metrics,
            ready=self._ready,
            max_waiting=settings.web.max_waiting,
            slack=core.slack.handle if settings.slack.mode == "http" else None,
        )
        self.web = WebServer(self.site, host=settings.web.host, port=settings.web.port)
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
            governance.make_folders(self.settings)
            database.open()
            stack.push_async_callback(database.close)
            await self._govern(stack)
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
            # Stopped after the worker, who fills it.
            stack.push_async_callback(self.core.context.outputs.stop)
            self.worker.start()
            stack.push_async_callback(self.worker.stop)
            await self._supersede()
            self.knowledge.start()
            stack.push_async_callback(self.knowledge.stop)
            self._open_pages()
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
        settling = asyncio.create_task(self._settle(), name="settle")
        try:
            await done.wait()
        finally:
            settling.cancel()
            await self.stop()

    async def _settle(self) -> None:
        """Spare what has been read at the start from the collector of cycles.

        A full collection looks at every object and holds up all threads meanwhile:
        100 ms with 10,000 documents indexed, which stay anyway.
        """
        await self.core.search.wait_until_dense()
        gc.collect()
        gc.freeze()

    async def _govern(self, stack: AsyncExitStack) -> None:
        """Compare the ledger with its anchors and put the adopted policy into force.

        A ledger that contradicts an anchor does not keep the bot from starting:
        alerts are shown, and no effect happens.
        """
        context = self.core.context
        stack.push_async_callback(self.core.anchors_client.aclose)
        await self.core.privacy_service.finish_pending()
        await context.policies.start()
        context.calendars.at(self.core.clock.now())  # read them before an effect waits for it
        for reason in await context.checkpoints.compare():
            log.error("the ledger cannot be relied on: %s", reason)
        await context.checkpoints.start()
        stack.push_async_callback(context.checkpoints.stop)
        self.core.database.on_commit(context.checkpoints.wake)

    async def _edited(self, event: KnowledgeChanged) -> None:
        """End plans that were made from what a page said before, and tell plugins."""
        await self._supersede()
        await self.dispatcher.tell_of_knowledge(event)

    async def _supersede(self) -> None:
        digests = {id: runbook.digest for id, runbook in self.core.runbooks.items()}
        await self.core.context.runs.supersede(digests)

    def _open_pages(self) -> None:
        """Let people read the plugins' pages, where it is said how they sign in."""
        oidc = governance.oidc_of(self.settings)
        make_pages(
            self.site,
            pages=self.offers.pages,
            templates=self.offers.templates,
            oidc=oidc,
            secret=governance.pages_secret(self.settings),
            audiences=governance.audiences_of(self.settings, self.core.context.people),
            clock=self.core.clock,
        )

    async def _forget(self, _: JobRun) -> None:
        """Forget the vectors of texts that are gone."""
        await self.core.search.forget()

    async def _covered(self) -> None:
        await self.core.context.checkpoints.ensure_covered(await self.core.archive.size())

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
    secrets = secrets_of(settings).union(*(secrets_of(plugin.settings) for plugin in found))
    core = lay(settings, clock or SystemClock(), Redactor(secrets))
    return App(settings, core, make(found, core.context))


def runnable(
    known: pages.Knowledge, registry: Registry
) -> tuple[Mapping[str, Runbook], Sequence[str]]:
    """Make runbooks whose actions are not there for reading only, and say which and why.

    An installation enables the plugins it wants; a page that names an action of
    another plugin still helps people, and must not stop the bot.
    """
    problems = pages.check_actions(known, registry.actions)
    broken = {problem.file for problem in problems}
    runbooks = {
        id: replace(r, steps=(), diagnose=(), preconditions=(), decide=(), done_when=None)
        if r.path in broken
        else r
        for id, r in known.runbooks.items()
    }
    return runbooks, [str(problem) for problem in problems]


def _registry(offers: Offers) -> Registry:
    try:
        return Registry(offers.actions)
    except ValueError as error:
        raise SettingsError([str(error)]) from error
