"""Past incidents on the real store, with a search that finds what it is told to find."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from bot.domain.alerts import Alert, AlertGroup, AlertStatus, GroupId
from bot.domain.catalog import Catalog, PastIncident, Service
from bot.domain.documents import Because, Document, Found, Hit, Kind, Reason
from bot.domain.errors import NotFound
from bot.domain.events import IncidentChanged
from bot.domain.incidents import IncidentId, IncidentStatus
from bot.domain.messages import Button, Buttons, Form, Part
from bot.domain.people import Caller, Person, PersonId
from bot.ledger.subjects import SubjectKeys
from bot.plugin import InteractionRequest, PluginContext
from bot.ports import SearchLabel
from bot.services.judging import JudgingService
from bot.storage.sqlite import SqliteDatabase
from plugins.similar.plugin import Similar, SimilarSettings
from tests.fakes import NOON, FakeClock, FakeSearch
from tests.incident_records import INCIDENT
from tests.storage.opened import opened

DANA = Person(id=PersonId("U1"), name="Dana")
RAVI = Person(id=PersonId("U2"), name="Ravi")

PAGES = tuple(
    PastIncident(
        id=f"EX-{number}",
        title=f"Outage number {number}",
        service="checkout",
        severity="sev2",
        started_at=datetime(2026, 2, number, tzinfo=UTC),
        resolved_after_minutes=number,
        summary="Orders failed.",
        cause=f"Cause number {number}. More of it.",
        resolution="The worker was restarted.",
    )
    for number in range(1, 7)
)

GROUP = AlertGroup(
    id=GroupId("g1"),
    source="alertmanager",
    group_key="k",
    labels={},
    alerts=(
        Alert(
            fingerprint="f",
            status=AlertStatus.FIRING,
            labels={"alertname": "QueueFull", "service": "checkout"},
            annotations={"summary": "The queue is full"},
            starts_at=NOON,
        ),
    ),
    first_seen=NOON,
    last_seen=NOON,
)


def hit(id: str, *reasons: str, passage: str = "the queue was full") -> Hit:
    return Hit(
        document=Document(id=id, kind=Kind.INCIDENT, title=f"Title of {id}", text=""),
        score=1,
        lexical=7,
        dense=0.5,
        matched=("queue", "full"),
        passage=passage,
        section="Summary",
        reasons=tuple(Reason(because=Because.WORDS, text=text) for text in reasons),
    )


FOUND = Found(
    hits=tuple(hit(page.id, "same alert name", "shares connection pool") for page in PAGES),
    confidence=0.84,
    threshold=0.6,
    model="ranker-7",
)


class Missing:
    """Has nothing."""

    async def ended(self, *, below: int | None, limit: int) -> Sequence[Any]:
        return ()

    async def get(self, id: str) -> Any:
        return None

    async def all(self) -> Sequence[Any]:
        return ()

    async def of(self, id: str) -> Sequence[Any]:
        return ()


class Groups:
    """Knows one group."""

    def __init__(self) -> None:
        self.group = GROUP

    async def get(self, id: str) -> AlertGroup:
        if id != self.group.id:
            raise NotFound("There is no such group.")
        return self.group


@dataclass
class Past:
    """The plugin with everything around it."""

    plugin: Similar
    database: SqliteDatabase
    search: FakeSearch
    groups: Groups
    forms: list[Form] = field(default_factory=list)

    async def press(
        self, name: str, value: str, person: Person = DANA, request: str = "", **answers: str
    ) -> Any:
        """Press a button or submit a form, and return what is shown then."""
        handlers = {each.name: each.handler for each in self.plugin.interactions()}
        request = request or f"request-{len(self.forms)}"
        caller = Caller(person=person, request=request)
        reply = await handlers[name](
            InteractionRequest(caller=caller, value=value, answers=answers)
        )
        self.forms.append(cast(Form, reply))
        return reply

    async def labels(self) -> Sequence[SearchLabel]:
        async with self.database.reading() as view:
            return await view.labels.all()

    def finds(self, **changes: Any) -> None:
        """Make the search find something else from now on."""
        self.search.found = replace(self.search.found, **changes)


@asynccontextmanager
async def remembering(folder: Path) -> AsyncIterator[Past]:
    """Start the plugin."""
    async with opened(folder) as database:
        search, groups, clock = FakeSearch(found=FOUND), Groups(), FakeClock()
        checkout = Service(
            name="checkout", team="shop", description="", tier=1, depends_on=("payments",)
        )
        context = SimpleNamespace(
            search=search,
            knowledge=SimpleNamespace(
                incidents=PAGES, runbooks={}, catalog=Catalog(services={"checkout": checkout})
            ),
            incidents=Missing(),
            known_errors=Missing(),
            posts=Missing(),
            alerts=groups,
            judging=JudgingService(database, clock, SubjectKeys(folder / "keys")),
            clock=clock,
        )
        plugin = Similar(SimilarSettings(), cast(PluginContext, context))
        await plugin.start()
        yield Past(plugin=plugin, database=database, search=search, groups=groups)
        await plugin.stop()


def reopened(id: str) -> IncidentChanged:
    """Tell that an incident is worked on again."""
    incident = replace(INCIDENT, id=IncidentId(id), status=IncidentStatus.INVESTIGATING)
    return IncidentChanged(id="e", at=NOON, change="investigating", incident=incident)


def words_of(form: Form) -> str:
    """Return every word of a form's parts, a line for each part."""
    return "\n".join(_words(part) for part in form.parts)


def _words(part: Part) -> str:
    spans = getattr(part, "spans", ())
    return "".join(span if isinstance(span, str) else getattr(span, "text", "") for span in spans)


def buttons_of(form: Form, label: str) -> list[Button]:
    """Return the buttons with a label."""
    rows = [part.buttons for part in form.parts if isinstance(part, Buttons)]
    return [button for row in rows for button in row if button.label == label]
