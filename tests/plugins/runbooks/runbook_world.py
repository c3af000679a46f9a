"""The runbooks plugin on the real services and the real store, with a chat that remembers."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from bot.domain.alerts import Severity
from bot.domain.breakers import BreakerRules
from bot.domain.catalog import Catalog, Service
from bot.domain.documents import Acceptances, Document, Found, Hit, Query
from bot.domain.incidents import Incident, IncidentId, IncidentStatus
from bot.domain.messages import Buttons, Form, Message, SelectField, TextField
from bot.domain.people import Caller, ChannelId, Person, PersonId
from bot.domain.redaction import Redactor
from bot.domain.runs import Run
from bot.ledger.subjects import SubjectKeys
from bot.plugin import (
    Channels,
    CommandRequest,
    InteractionRequest,
    PluginContext,
    PluginSettings,
)
from bot.ports import MessageRef, Posted
from bot.services.alerts import AlertService
from bot.services.autonomy import AutonomyService
from bot.services.brakes import Brakes
from bot.services.emergencies import EmergencyService
from bot.services.feedback import FeedbackService
from bot.services.incidents import IncidentService
from bot.services.judging import JudgingService
from bot.services.outputs import OutputPace, OutputService
from bot.services.people import PeopleService
from bot.services.posts import PostService
from bot.services.runs import RunService
from bot.services.switches import SwitchService
from bot.services.timelines import TimelineService
from bot.storage.sqlite import SqliteDatabase
from plugins.runbooks.plugin import Runbooks
from tests.fakes import FakeCalendars
from tests.plugins.runbooks.runbook_samples import (
    DANA,
    EVE,
    NOW,
    PARAMETERS,
    runbook,
)

STUCK = runbook(parameters=PARAMETERS)
READ_ONLY = runbook("disk-full", "Disk is full", steps=(), match=replace(STUCK.match, alerts=()))
CHANNEL = ChannelId("C9")


class StillClock:
    """The time of the samples."""

    def now(self) -> datetime:
        return NOW


class ListSearch:
    """Finds whatever the test put in, if a word of the query is in its title."""

    dense_ready = False

    def __init__(self) -> None:
        self.kept: list[Document] = []
        self.acceptances: Acceptances = {}
        self.found = Found(model="list")  # all but the hits

    async def put(self, documents: Sequence[Document]) -> None:
        self.kept = [d for d in self.kept if d.id not in {each.id for each in documents}]
        self.kept += documents

    async def remove(self, ids: Sequence[str]) -> None:
        self.kept = [document for document in self.kept if document.id not in ids]

    async def accept(self, acceptances: Acceptances) -> None:
        self.acceptances = acceptances

    async def find(self, query: Query, *, kinds: Collection[str], limit: int) -> Found:
        words = query.text.lower().split()
        hits = [
            Hit(
                document=Document(id=book.id, kind="runbook", title=book.title, text=""),
                score=1,
                lexical=9,
                dense=None,
                passage="",
                matched=tuple(w for w in book.title.split() if w.lower() in words),
            )
            for book in (STUCK, READ_ONLY)
            if any(word in book.title.lower().split() for word in words)
        ]
        return replace(self.found, hits=tuple(hits[:limit]))


class TalkingChat:
    """Remembers what was posted; Eve is on call."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, ChannelId, MessageRef | None, Message]] = []
        self.updates: list[Message] = []

    async def groups_of(self, person: str) -> frozenset[str]:
        return frozenset({"payments-oncall"} if person == EVE.id else set())

    async def member(self, person: str) -> Person:
        return {each.id: each for each in (DANA, EVE)}[PersonId(person)]

    async def members_of(self, group: str) -> Sequence[str]:
        return ()

    async def link(self, ref: MessageRef) -> str:
        return "https://chat.example/plan"

    async def post(
        self, channel: ChannelId, message: Message, *, key: str, thread: MessageRef | None = None
    ) -> MessageRef:
        self.posts.append((key, channel, thread, message))
        return MessageRef(channel=channel, id=str(len(self.posts)))

    async def find(self, channel: ChannelId, key: str) -> MessageRef | None:
        return None

    async def update(self, ref: MessageRef, message: Message, *, key: str) -> None:
        self.updates.append(message)


@dataclass
class World:
    """A plugin with everything around it."""

    plugin: Runbooks
    database: SqliteDatabase
    chat: TalkingChat
    context: PluginContext
    outputs: OutputService
    requests: int = 0

    async def press(self, name: str, value: str, person: Person = DANA, **answers: Any) -> Any:
        self.requests += 1
        handlers = {i.name: i.handler for i in self.plugin.interactions()}
        caller = Caller(person=person, request=f"request-{self.requests}")
        return await handlers[name](InteractionRequest(caller=caller, value=value, answers=answers))

    async def command(self, *words: str, channel: ChannelId = CHANNEL) -> Message:
        self.requests += 1
        caller = Caller(person=DANA, request=f"request-{self.requests}")
        (command,) = self.plugin.commands()
        reply = await command.handler(
            CommandRequest(caller=caller, channel=channel, words=words, text=" ".join(words))
        )
        assert isinstance(reply, Message)
        return reply

    async def keep(self, *things: Any) -> None:
        async with self.database.transaction() as tx:
            for thing in things:
                if isinstance(thing, Run):
                    await tx.runs.add(thing, due_at=None)
                elif isinstance(thing, Incident):
                    await tx.incidents.save(thing)
                elif isinstance(thing, Posted):
                    await tx.posted.save(thing)
                else:
                    await tx.groups.save(thing)

    async def runs(self) -> Sequence[Run]:
        return await self.context.runs.recent()


@asynccontextmanager
async def opened_world(folder: Path) -> AsyncIterator[World]:
    """Open a world in a folder."""
    clock, chat = StillClock(), TalkingChat()
    database = SqliteDatabase(folder / "test.db", clock)
    database.open()
    catalog = Catalog(
        services={
            name: Service(name=name, team="payments", description="", tier=1)
            for name in ("checkout", "search")
        }
    )
    emergencies = EmergencyService(database, clock)
    outputs = OutputService(database, clock, Redactor(), pace=OutputPace(write=0.01, tell=0.01))
    knowledge = SimpleNamespace(
        runbooks={book.id: book for book in (STUCK, READ_ONLY)}, catalog=catalog
    )
    context = cast(
        PluginContext,
        SimpleNamespace(
            knowledge=knowledge,
            search=ListSearch(),
            chat=chat,
            clock=clock,
            alerts=AlertService(database, clock),
            incidents=IncidentService(database, clock),
            runs=RunService(
                database, clock, emergencies=emergencies, brakes=Brakes(BreakerRules())
            ),
            emergencies=emergencies,
            autonomy=AutonomyService(database, clock),
            switches=SwitchService(database, clock),
            timelines=TimelineService(database, clock),
            people=PeopleService(cast(Any, chat), catalog),
            calendars=FakeCalendars(),
            posts=PostService(database, cast(Any, chat)),
            channels=lambda: Channels(alerts=ChannelId("C-alerts")),
            outputs=outputs,
            feedback=FeedbackService(database, clock, SubjectKeys(folder / "keys")),
            judging=JudgingService(database, clock, SubjectKeys(folder / "keys")),
        ),
    )
    yield World(Runbooks(PluginSettings(), context), database, chat, context, outputs)
    await outputs.stop()
    await database.close()


def incident(**changes: Any) -> Incident:
    made = Incident(
        id=IncidentId("INC-1"),
        number=1,
        title="Checkout refuses orders",
        service="checkout",
        severity=Severity.SEV2,
        status=IncidentStatus.INVESTIGATING,
        declared_by=DANA,
        declared_at=NOW,
        channel=CHANNEL,
        groups=("g1",),
    )
    return replace(made, **changes)


def fields(form: Form) -> dict[str, TextField | SelectField]:
    return {f.name: f for f in form.fields if isinstance(f, TextField | SelectField)}


def labels(message: Message) -> list[str]:
    rows = [part for part in message.parts if isinstance(part, Buttons)]
    return [button.label for row in rows for button in row.buttons]
