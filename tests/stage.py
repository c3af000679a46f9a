"""A small stage for plugins: real storage and services, a fake chat platform, events by hand."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bot.domain.alerts import Alert, AlertGroup, AlertStatus, Change, GroupId, Notification
from bot.domain.breakers import BreakerRules
from bot.domain.catalog import Catalog, Service
from bot.domain.deliveries import Delivery
from bot.domain.events import AlertChanged, GovernanceChanged, IncidentChanged, RunChanged
from bot.domain.incidents import IncidentId
from bot.domain.messages import (
    Bold,
    Button,
    Buttons,
    ChannelName,
    Code,
    Facts,
    Form,
    Heading,
    Link,
    Mention,
    Message,
    Mono,
    Paragraph,
    PersonName,
    Quiet,
    Reply,
    Span,
)
from bot.domain.people import Caller, ChannelId, Person
from bot.domain.policy import RiskPolicy
from bot.domain.redaction import Redactor
from bot.domain.runs import RunId
from bot.domain.switches import Halt
from bot.ledger.signing import verify_ed25519
from bot.plugin import (
    Channels,
    CommandRequest,
    InteractionRequest,
    Knowledge,
    Place,
    Plugin,
    PluginContext,
)
from bot.ports import MessageRef, Policy, Queued
from bot.services.alerts import AlertService
from bot.services.autonomy import AutonomyService
from bot.services.brakes import Brakes
from bot.services.checkpoints import CheckpointService
from bot.services.emergencies import EmergencyService
from bot.services.feedback import FeedbackService
from bot.services.incidents import IncidentService
from bot.services.judging import JudgingService
from bot.services.known_errors import KnownErrorService
from bot.services.outputs import OutputService
from bot.services.people import PeopleService
from bot.services.policies import ActivePolicy, PolicyService
from bot.services.postmortems import PostmortemService
from bot.services.posts import PostService
from bot.services.proposals import ProposalService
from bot.services.records import RecordService
from bot.services.runs import RunService
from bot.services.switches import SwitchService
from bot.services.timelines import TimelineService
from bot.storage.ledger import UNKEYED
from bot.storage.sqlite import SqliteDatabase
from tests.fakes import FakeCalendars, FakeChat, FakeClock, FakeModel, FakePrompts, FakeSearch
from tests.services.sealing import ORIGIN, key

CHECKOUT = Service(name="checkout", team="payments", description="Takes orders", tier=1)


class Stage:
    """Everything a plugin needs, and what a test needs to play people and the world.

    The alerts channel exists; Dana and Ravi are members of the workspace. What
    a test sets on the stage counts from then on: `proposed` is the policy that
    lies in the knowledge folder, `by_file` the kill switch's file.
    """

    def __init__(
        self, database: SqliteDatabase, clock: FakeClock, folder: Path = Path("var")
    ) -> None:
        self.database, self.clock, self.folder = database, clock, folder
        self.chat = FakeChat(clock)
        self.search = FakeSearch()
        self.calendars = FakeCalendars()
        self.policy = ActivePolicy(RiskPolicy())
        self.proposed: Policy = self.policy.current
        self.by_file: Halt | None = None
        self.dana = self.chat.add_person("U001", "Dana Ito")
        self.ravi = self.chat.add_person("U002", "Ravi Sen")
        self.alerts = self.chat.add_channel("alerts", self.dana, self.ravi)
        self.channels = Channels(alerts=self.alerts)
        self.offered: Callable[[Place, Any], Sequence[Button]] = lambda place, subject: ()
        self._numbers = itertools.count(1)
        self.context = self._context()

    def _context(self) -> PluginContext:
        database, clock = self.database, self.clock
        prompts, model = FakePrompts(), FakeModel()
        catalog, rules = Catalog(services={"checkout": CHECKOUT}), BreakerRules()
        emergencies = EmergencyService(database, clock)
        return PluginContext(
            alerts=AlertService(database, clock),
            incidents=IncidentService(database, clock),
            runs=RunService(
                database,
                clock,
                emergencies=emergencies,
                brakes=Brakes(rules),
                alerts_channel=lambda: self.channels.alerts,
            ),
            timelines=TimelineService(database, clock),
            postmortems=PostmortemService(database, clock, prompts, model),
            posts=PostService(database, self.chat),
            people=PeopleService(self.chat, catalog),
            switches=SwitchService(database, clock, by_file=lambda: self.by_file),
            autonomy=AutonomyService(database, clock),
            emergencies=emergencies,
            policies=self._policies(),
            records=RecordService(database, database.archive),
            checkpoints=CheckpointService(
                database,
                database.archive,
                clock,
                signer=key(),
                verify=verify_ed25519,
                origin=ORIGIN,
            ),
            outputs=OutputService(database, clock, Redactor()),
            feedback=FeedbackService(database, clock, UNKEYED),
            judging=JudgingService(database, clock, UNKEYED),
            known_errors=KnownErrorService(database, clock),
            proposals=ProposalService(
                database, clock, data=self.folder, services=tuple(catalog.services)
            ),
            calendars=self.calendars,
            policy=self.policy,
            breaker_rules=rules,
            security_contact="",
            knowledge=Knowledge(runbooks={}, catalog=catalog, incidents=()),
            channels=lambda: self.channels,
            search=self.search,
            chat=self.chat,
            clock=clock,
            prompts=prompts,
            model=model,
            offers=self._offers,
        )

    def _policies(self) -> PolicyService:
        return PolicyService(
            self.database,
            self.clock,
            active=self.policy,
            proposed=lambda: self.proposed,
            compile=lambda documents: self.proposed,
        )

    def _offers(self, place: Place, subject: Any) -> Sequence[Button]:
        return self.offered(place, subject)

    def by(self, person: Person) -> Caller:
        """Let a person ask, by a request of its own."""
        return Caller(person=person, request=f"request-{next(self._numbers)}")

    async def fire(self, *alerts: Alert, source: str = "alertmanager") -> AlertGroup:
        """Let alerts arrive; those of one stage are one group."""
        now = self.clock.now()
        news = Notification(
            source=source,
            group_key="checkout",
            alerts=alerts or (alert(),),
            labels={"service": "checkout"},
            external_url="http://alertmanager.example",
        )
        delivery = Delivery(
            id=f"d{next(self._numbers)}", source=source, received_at=now, body=b"{}", headers={}
        )
        ids = await self.context.alerts.ingest(delivery, [news])
        return await self.context.alerts.get(ids[0])

    async def press(
        self,
        plugin: Plugin[Any],
        name: str,
        *,
        by: Person | Caller,
        value: str = "",
        channel: ChannelId | None = None,
        message: MessageRef | None = None,
        answers: Mapping[str, str] = MappingProxyType({}),
    ) -> Reply:
        """Press a button or submit a form."""
        handler = next(i.handler for i in plugin.interactions() if i.name == name)
        caller = by if isinstance(by, Caller) else self.by(by)
        request = InteractionRequest(
            caller=caller, value=value, answers=answers, channel=channel, message=message
        )
        return await handler(request)

    async def type(
        self, plugin: Plugin[Any], text: str, *, by: Person | Caller, channel: ChannelId
    ) -> Reply:
        """Type a verb of a command and what follows it."""
        verb, _, rest = text.partition(" ")
        command = next(c for c in plugin.commands() if verb in (c.verb, *c.aliases))
        caller = by if isinstance(by, Caller) else self.by(by)
        request = CommandRequest(
            caller=caller, channel=channel, words=tuple(rest.split()), text=rest.strip()
        )
        return await command.handler(request)

    async def tell(self, *plugins: Plugin[Any]) -> list[str]:
        """Bring all waiting events to plugins; return what happened, in order."""
        told = []
        async with self.database.reading() as view:
            due = await view.outbox.due(now=self.clock.now(), limit=1000)
        for queued in due:
            for plugin in plugins:
                await self._deliver(plugin, queued)
            async with self.database.transaction() as tx:
                await tx.outbox.done(queued.id)
            told.append(f"{queued.happening.subject}: {queued.happening.change}")
        return told

    async def _deliver(self, plugin: Plugin[Any], queued: Queued) -> None:
        happening = queued.happening
        id, at, subject = queued.id, happening.at, happening.subject
        if happening.kind == "alert":
            group = await self.context.alerts.get(GroupId(subject))
            change = Change(happening.change)
            await plugin.on_alert(AlertChanged(id=id, at=at, change=change, group=group))
        elif happening.kind == "incident":
            incident = await self.context.incidents.get(IncidentId(subject))
            changed = IncidentChanged(id=id, at=at, change=happening.change, incident=incident)
            await plugin.on_incident(changed)
        elif happening.kind == "governance":
            await plugin.on_governance(
                GovernanceChanged(id=id, at=at, subject=subject, change=happening.change)
            )
        else:
            run = await self.context.runs.get(RunId(subject))
            await plugin.on_run(RunChanged(id=id, at=at, change=happening.change, run=run))


@asynccontextmanager
async def stage_in(folder: Path, now: datetime | None = None) -> AsyncIterator[Stage]:
    """Set a stage up with a database in a folder."""
    clock = FakeClock(now) if now else FakeClock()
    database = SqliteDatabase(folder / "tocsin.db", clock)
    database.open()
    try:
        yield Stage(database, clock, folder)
    finally:
        await database.close()


def alert(
    name: str = "CheckoutHighErrorRate",
    *,
    status: AlertStatus = AlertStatus.FIRING,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
    summary: str = "Half of all orders fail",
    **labels: str,
) -> Alert:
    """Make an alert of the checkout service; its labels are its identity."""
    whole = {"alertname": name, "service": "checkout", **labels}
    return Alert(
        fingerprint="|".join(f"{key}={value}" for key, value in sorted(whole.items())),
        status=status,
        labels=whole,
        annotations={"summary": summary},
        starts_at=starts_at or FakeClock().now(),
        ends_at=ends_at,
        generator_url="http://prometheus.example/graph",
    )


def text_of(reply: Reply) -> str:
    """Return everything a reply says, as plain text, a line per part."""
    if isinstance(reply, Message | Form):
        return "\n".join(_part(part) for part in reply.parts)
    return "" if reply is None else " ".join(reply.errors.values())


def buttons_of(reply: Reply) -> list[Button]:
    """Return the buttons of a message or form."""
    parts = reply.parts if isinstance(reply, Message | Form) else ()
    rows = [part for part in parts if isinstance(part, Buttons)]
    return [button for row in rows for button in row.buttons]


def _part(part: object) -> str:
    if isinstance(part, Heading | Code):
        return part.text
    if isinstance(part, Paragraph | Quiet):
        return _spans(part.spans)
    if isinstance(part, Facts):
        return "\n".join(f"{label}: {_spans(spans)}" for label, spans in part.pairs)
    return ""


def _spans(spans: Iterable[Span]) -> str:
    return "".join(map(_span, spans))


def _span(span: Span) -> str:
    if isinstance(span, str):
        return span
    if isinstance(span, Bold | Mono | Link):
        return span.text
    if isinstance(span, PersonName):
        return span.name
    if isinstance(span, Mention | ChannelName):
        return f"<{span.id}>"
    return f"{span.at:%H:%M}" if hasattr(span, "at") else f"{span.seconds} s"
