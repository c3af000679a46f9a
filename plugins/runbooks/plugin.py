"""The plugin: what it offers, the finding it gives, and where a run's message stands."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from bot.domain.alerts import AlertGroup, AlertStatus
from bot.domain.deciding import ASKED
from bot.domain.errors import NotFound
from bot.domain.events import AlertChanged, GovernanceChanged, KnowledgeChanged, RunChanged
from bot.domain.findings import Finding
from bot.domain.incidents import Incident, IncidentId
from bot.domain.messages import Button, Message
from bot.domain.people import ChannelId
from bot.domain.runs import Run, RunState
from bot.domain.switches import GLOBAL
from bot.plugin import (
    Command,
    Interaction,
    Job,
    JobRun,
    Offer,
    Place,
    Plugin,
    PluginContext,
    PluginSettings,
)
from bot.ports import ChatError, MessageRef
from plugins.runbooks import buttons, byhand, consent, judging, messages
from plugins.runbooks.acting import Acting
from plugins.runbooks.answering import Answering
from plugins.runbooks.asking import Asking
from plugins.runbooks.choosing import Choosing
from plugins.runbooks.fitting import Fitting
from plugins.runbooks.forms import SUBMIT
from plugins.runbooks.listing import READ
from plugins.runbooks.proposing import PROPOSE, Proposing, propose_button
from plugins.runbooks.subjects import CHANNEL, of_group
from plugins.runbooks.suggestions import document, finding
from plugins.runbooks.watching import Watching

log = logging.getLogger(__name__)

# A look of the verification, or some more output: nobody is asked anything then.
QUIET = frozenset({"checked", "output"})

COUNTDOWN_SECONDS = 15.0
_COUNTING = frozenset({RunState.RUNNING, RunState.VERIFYING})

OPEN = "runbooks.open"
OPEN_FOR_INCIDENT = "runbooks.open_for_incident"
ORDER = 30


@dataclass(frozen=True, kw_only=True)
class Spot:
    """Where a run's message stands."""

    channel: ChannelId
    thread: MessageRef | None = None


class Runbooks(Plugin[PluginSettings]):
    """Suggests runbooks and lets people run them."""

    name: ClassVar[str] = "runbooks"

    def __init__(self, settings: PluginSettings, context: PluginContext) -> None:
        super().__init__(settings, context)
        self._watching = Watching(context)
        self._choosing = Choosing(context, self._watching)
        self._answering = Answering(context)
        self._asking = Asking(context)
        self._acting = Acting(context)
        self._proposing = Proposing(context)
        self._fitting = Fitting(context, self._choosing)

    @override
    async def start(self) -> None:
        runbooks = self.context.knowledge.runbooks.values()
        await self.context.search.put([document(runbook) for runbook in runbooks])

    @override
    def commands(self) -> Sequence[Command]:
        return (
            Command(
                root="/incident",
                verb="runbook",
                usage="[words]",
                summary="list the runbooks that fit this incident, or some words",
                handler=self._choosing.command,
                aliases=("runbooks",),
            ),
        )

    @override
    def interactions(self) -> Sequence[Interaction]:
        choosing, answering, watching = self._choosing, self._answering, self._watching
        on_alert = Offer(place=Place.ALERT, order=ORDER, button=self._alert_button)
        on_incident = Offer(place=Place.INCIDENT, order=ORDER, button=self._incident_button)
        return (
            Interaction(name=OPEN, handler=choosing.open, offer=on_alert),
            Interaction(name=OPEN_FOR_INCIDENT, handler=choosing.open, offer=on_incident),
            Interaction(name=buttons.PICK, handler=choosing.pick),
            Interaction(name=SUBMIT, handler=choosing.submit),
            Interaction(name=READ, handler=choosing.read),
            Interaction(name=consent.APPROVE, handler=answering.approve),
            Interaction(name=consent.WHOLE, handler=answering.plan),
            Interaction(name=consent.DENY, handler=answering.deny),
            Interaction(name=consent.DENIED, handler=answering.denied),
            Interaction(name=buttons.STOP, handler=answering.stop),
            Interaction(name=buttons.HALT, handler=answering.halt),
            Interaction(name=buttons.UNDO, handler=answering.undo),
            Interaction(name=buttons.HAPPENED, handler=answering.happened),
            Interaction(name=buttons.NOT_HAPPENED, handler=answering.not_happened),
            Interaction(name=byhand.DONE, handler=answering.done),
            Interaction(name=byhand.NOT_DONE, handler=answering.not_done),
            Interaction(name=byhand.NOT_DONE_BECAUSE, handler=answering.not_done_because),
            Interaction(
                name=PROPOSE,
                handler=self._proposing.propose,
                offer=Offer(place=Place.INCIDENT, order=95, button=propose_button),
            ),
            Interaction(name=buttons.OUTPUT, handler=watching.whole),
            Interaction(name=buttons.HELPFUL, handler=watching.helpful),
            Interaction(name=buttons.UNHELPFUL, handler=watching.unhelpful),
            Interaction(name=judging.USEFUL, handler=self._fitting.useful),
            Interaction(name=judging.USELESS, handler=self._fitting.useless),
            Interaction(name=judging.BECAUSE, handler=self._fitting.because),
        )

    @override
    def jobs(self) -> Sequence[Job]:
        return (Job(name="runbooks.countdown", every=COUNTDOWN_SECONDS, handler=self._count_down),)

    async def _count_down(self, slot: JobRun) -> None:
        """Redraw runs under way, whose times pass though nothing happens.

        An event may be drawn at the same time, so it is looked at until what was
        drawn is what there is: an old state must not stand there as the last.
        """
        for run in await self.context.runs.recent():
            drawn = None if run.state in _COUNTING else run
            while run != drawn:
                await self._draw(run)
                drawn, run = run, await self.context.runs.get(run.id)  # noqa: PLW2901  # as it is now

    def _alert_button(self, group: AlertGroup) -> Button | None:
        if group.status is AlertStatus.RESOLVED or not self.context.knowledge.runbooks:
            return None
        return Button(label="Run runbook…", interaction=OPEN, value=group.id)

    def _incident_button(self, incident: Incident) -> Button | None:
        if not incident.status.open or not self.context.knowledge.runbooks:
            return None
        return Button(label="Run runbook…", interaction=OPEN_FOR_INCIDENT, value=incident.id)

    @override
    async def findings(self, subject: AlertGroup | Incident) -> Sequence[Finding]:
        if isinstance(subject, Incident):
            return ()
        suggestions = await self._choosing.suggest(of_group(subject))
        await self._watching.suggested([s.runbook for s in suggestions], subject.id)
        return (finding(suggestions, subject),)

    @override
    async def on_alert(self, event: AlertChanged) -> None:
        await self._acting.consider(event)

    @override
    async def on_knowledge(self, event: KnowledgeChanged) -> None:
        runbooks = self.context.knowledge.runbooks
        changed = [runbooks[id] for id in event.changed if id in runbooks]
        await self.context.search.remove(event.removed)
        await self.context.search.put([document(runbook) for runbook in changed])

    @override
    async def on_run(self, event: RunChanged) -> None:
        ref = await self._draw(event.run)
        if ref is not None and event.change not in QUIET:
            await self._asking.update(event.run, ref)

    async def _draw(self, run: Run) -> MessageRef | None:
        """Show a run as it is now; None where nobody has to see it, or it has no place."""
        if await self._unseen(run):
            return None
        spot = await self._spot(run)
        if spot is None:
            log.warning("run %s has no place to be shown", run.id)
            return None
        runbook = self.context.knowledge.runbooks.get(run.runbook)
        message = messages.run_message(
            run,
            owner=runbook.owner if runbook else "",
            at=self.context.clock.now(),
            output=await self._watching.output(run),
            halted=await self._halted(run),
        )
        return await self._show(run, message, spot)

    async def _halted(self, run: Run) -> bool:
        """Say whether a switch stands in the way of a step that a person is asked to do."""
        if run.state is not RunState.MANUAL:
            return False
        scopes = {GLOBAL, f"runbook:{run.runbook}", f"service:{run.service}"}
        return any(halt.scope in scopes for halt in await self.context.switches.state())

    @override
    async def on_governance(self, event: GovernanceChanged) -> None:
        if not event.subject.startswith("switch:"):
            return
        for run in await self.context.runs.recent():
            if run.state is RunState.MANUAL:
                await self._draw(run)

    async def _unseen(self, run: Run) -> bool:
        """Say whether nobody has to see a run: the assistant's own wish, without a plan so far.

        Where nothing comes of it (a switch, a freeze, policy), that is no news,
        unless a person has to decide.
        """
        if not run.requester.bot or run.plan is not None or run.reason.startswith(ASKED):
            return False
        return await self.context.posts.get(f"run:{run.id}") is None

    async def _show(self, run: Run, message: Message, spot: Spot) -> MessageRef:
        """Show a run at its place, or in the alerts channel where that is closed to us."""
        key, alerts = f"run:{run.id}", self.context.channels().alerts
        try:
            return await self.context.posts.show(
                key, message, channel=spot.channel, thread=spot.thread
            )
        except ChatError as error:
            if not error.closed or alerts is None or alerts == spot.channel:
                raise
            log.warning("run %s is shown in the alerts channel: %s", run.id, error)
        return await self.context.posts.show(key, message, channel=alerts)

    async def _spot(self, run: Run) -> Spot | None:
        """Find the incident's channel, or the alert card's thread, or the alerts channel.

        It is asked for every event, but only the first answer counts: once the
        message stands somewhere, it is updated there.
        """
        if run.incident is not None:
            try:
                incident = await self.context.incidents.get(IncidentId(run.incident))
            except NotFound:
                incident = None
            if incident is not None and incident.channel is not None:
                return Spot(channel=incident.channel)
        if run.subject.startswith(CHANNEL):
            return Spot(channel=ChannelId(run.subject.removeprefix(CHANNEL)))
        card = await self.context.posts.get(f"alert:{run.subject}")
        if card is not None:
            return Spot(channel=card.channel, thread=card.ref)
        alerts = self.context.channels().alerts
        return Spot(channel=alerts) if alerts is not None else None
