"""The contract between the assistant and its plugins.

A plugin is a class with the hooks it wants: it *offers* commands, interactions,
actions, jobs and webhooks, is *asked* for findings, and *hears* events. Every
hook takes one object, so that new facts become fields and no plugin breaks.
A hook returns data or nothing; the frame renders, posts, stores and logs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from bot.domain.actions import Action
from bot.domain.alerts import AlertGroup, Notification
from bot.domain.breakers import BreakerRules
from bot.domain.catalog import Catalog, PastIncident
from bot.domain.events import (
    AlertChanged,
    GovernanceChanged,
    IncidentChanged,
    KnowledgeChanged,
    MessagePosted,
    RunChanged,
)
from bot.domain.findings import Finding
from bot.domain.freezes import Calendars
from bot.domain.incidents import Incident
from bot.domain.messages import Button, Message, Reply
from bot.domain.people import Caller, ChannelId, Person
from bot.domain.runbooks import Runbook
from bot.ports import Chat, Clock, LanguageModel, MessageRef, Policy, Prompts, Search
from bot.services.alerts import AlertService
from bot.services.autonomy import AutonomyService
from bot.services.checkpoints import CheckpointService
from bot.services.emergencies import EmergencyService
from bot.services.feedback import FeedbackService
from bot.services.incidents import IncidentService
from bot.services.judging import JudgingService
from bot.services.known_errors import KnownErrorService
from bot.services.outputs import OutputService
from bot.services.people import PeopleService
from bot.services.policies import PolicyService
from bot.services.postmortems import PostmortemService
from bot.services.posts import PostService
from bot.services.proposals import ProposalService
from bot.services.records import RecordService
from bot.services.runs import RunService
from bot.services.switches import SwitchService
from bot.services.timelines import TimelineService


class PluginSettings(BaseModel):
    """The root of every plugin's settings: unknown keys are errors, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


S = TypeVar("S", bound=PluginSettings)


@dataclass(frozen=True, kw_only=True)
class Knowledge:
    """The curated pages: runbooks as they are now, the rest as it was at start-up."""

    runbooks: Mapping[str, Runbook]
    catalog: Catalog
    incidents: Sequence[PastIncident]


@dataclass(frozen=True, kw_only=True)
class Channels:
    """Where the assistant speaks when a subject has no channel of its own.

    `alerts` is None until a channel is configured and found.
    """

    alerts: ChannelId | None


def _no_offers(place: Place, subject: Any) -> Sequence[Button]:
    return ()


@dataclass(frozen=True, kw_only=True)
class PluginContext:
    """What a plugin may use: services and ports, nothing of another plugin's.

    `offers` returns the buttons that all plugins offer for a subject at a
    place, in their order, for the plugin that draws the card of that place.
    `security_contact` is the user group or channel that hears of a broken glass.
    """

    alerts: AlertService
    incidents: IncidentService
    runs: RunService
    timelines: TimelineService
    postmortems: PostmortemService
    posts: PostService
    people: PeopleService
    switches: SwitchService
    autonomy: AutonomyService
    emergencies: EmergencyService
    policies: PolicyService
    records: RecordService
    checkpoints: CheckpointService
    outputs: OutputService
    feedback: FeedbackService
    judging: JudgingService
    known_errors: KnownErrorService
    proposals: ProposalService
    calendars: Calendars
    policy: Policy
    breaker_rules: BreakerRules
    security_contact: str
    knowledge: Knowledge
    channels: Callable[[], Channels]
    search: Search
    chat: Chat
    clock: Clock
    prompts: Prompts
    model: LanguageModel
    offers: Callable[[Place, Any], Sequence[Button]] = _no_offers


@dataclass(frozen=True, kw_only=True)
class CommandRequest:
    """A typed command: who, where, and the words after the verb."""

    caller: Caller
    channel: ChannelId
    words: tuple[str, ...]
    text: str


@dataclass(frozen=True, kw_only=True)
class Command:
    """A verb of a slash command: `Command(root="/incident", verb="note", …)`.

    `usage` shows the arguments (`<text>`), `summary` is one line for the help.
    """

    root: str
    verb: str
    usage: str
    summary: str
    handler: Callable[[CommandRequest], Awaitable[Reply]]
    aliases: tuple[str, ...] = ()


def storable(text: str) -> str:
    """Return a text without lone surrogates."""
    return text.encode("utf-8", "replace").decode()


@dataclass(frozen=True, kw_only=True)
class InteractionRequest:
    """A pressed button or a submitted form.

    `value` is the opaque id the button or form carries, `answers` the form's
    fields by name (people as ids joined by commas), `message` the message that
    held the button.
    """

    caller: Caller
    value: str
    answers: Mapping[str, str] = field(default_factory=dict)
    channel: ChannelId | None = None
    message: MessageRef | None = None

    def __post_init__(self) -> None:
        # Text from outside may hold lone surrogates, which nothing can store.
        object.__setattr__(self, "value", storable(self.value))
        object.__setattr__(self, "answers", {k: storable(v) for k, v in self.answers.items()})


class Place(Enum):
    """A card that offers buttons of plugins; DETAILS is what stands behind an alert's."""

    ALERT = "alert"
    DETAILS = "details"
    INCIDENT = "incident"


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A button on a card. `order` sorts; `button` returns None where it does not fit now."""

    place: Place
    order: int
    button: Callable[[Any], Button | None]


@dataclass(frozen=True, kw_only=True)
class Shortcut:
    """Where an interaction also appears in the platform's menus.

    A `message` shortcut gets the message it was used on as `message`.
    """

    title: str
    on_message: bool


@dataclass(frozen=True, kw_only=True)
class Interaction:
    """Something to press or submit, by its name: `alerts.acknowledge`."""

    name: str
    handler: Callable[[InteractionRequest], Awaitable[Reply]]
    offer: Offer | None = None
    shortcut: Shortcut | None = None


@dataclass(frozen=True, kw_only=True)
class JobRun:
    """One slot of a job that this replica does."""

    slot: datetime


@dataclass(frozen=True, kw_only=True)
class Job:
    """Scheduled work. `every` is in seconds; each slot runs once, on one replica.

    With `everywhere` each replica does it for itself: it concerns what only that one holds.
    """

    name: str
    every: float
    handler: Callable[[JobRun], Awaitable[None]]
    everywhere: bool = False


@dataclass(frozen=True, kw_only=True)
class Payload:
    """A delivery as a webhook's parser sees it: decoded JSON and lower-case headers."""

    json: Any
    headers: Mapping[str, str]
    received_at: datetime


class Audience(Enum):
    """Who may open a page. Guests and people of other organisations may open none."""

    MEMBER = "member"
    RESPONDER = "responder"
    AUDITOR = "auditor"


@dataclass(frozen=True, kw_only=True)
class PageRequest:
    """A page that somebody who is signed in opens: who, in which parts, and the query."""

    viewer: Person
    audiences: frozenset[Audience]
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PageView:
    """What a page shows: a template of the plugin's own folder `templates`, and its data."""

    template: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Download:
    """A file instead of a page."""

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page to read in the browser: `GET /pages/<plugin>/<path>`.

    Pages only show; whatever changes something goes through the chat, where
    everybody sees it. An unlisted page is reached by a link, not by the menu.
    """

    path: str
    title: str
    audience: Audience
    handler: Callable[[PageRequest], Awaitable[PageView | Download]]
    listed: bool = True


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """An alert source: `POST /hooks/<plugin>`.

    `parse` turns a payload into notifications and raises `Unreadable`, which
    keeps the delivery for replay. `token` is the bearer token senders must
    present; without one only loopback senders are let in.
    """

    parse: Callable[[Payload], Sequence[Notification]]
    token: str | None = None


class Plugin(Generic[S]):
    """The base of every plugin: hooks that do nothing until overridden."""

    name: ClassVar[str]
    Settings: ClassVar[type[PluginSettings]] = PluginSettings

    def __init__(self, settings: S, context: PluginContext) -> None:
        self.settings = settings
        self.context = context

    # Offers: read once at start-up; clashes stop the bot.

    def commands(self) -> Sequence[Command]:
        """Return the verbs people can type."""
        return ()

    def interactions(self) -> Sequence[Interaction]:
        """Return the buttons and forms people can use."""
        return ()

    def actions(self) -> Sequence[Action]:
        """Return what the plugin can do to systems; the gate alone calls it."""
        return ()

    def jobs(self) -> Sequence[Job]:
        """Return scheduled work."""
        return ()

    def webhooks(self) -> Sequence[Webhook]:
        """Return the plugin's webhook, if it is an alert source."""
        return ()

    def pages(self) -> Sequence[Page]:
        """Return the pages people can open in the browser."""
        return ()

    # Asked: what do you know about this?

    async def findings(self, subject: AlertGroup | Incident) -> Sequence[Finding]:
        """Return what the plugin claims about a subject, with evidence."""
        return ()

    async def home_section(self, viewer: Person) -> Message | None:
        """Return the plugin's part of a person's home page."""
        return None

    # Hears: each call isolated, bounded by a timeout, logged, repeated on failure.

    async def on_alert(self, event: AlertChanged) -> None:
        """Hear that an alert group changed."""

    async def on_incident(self, event: IncidentChanged) -> None:
        """Hear that an incident changed."""

    async def on_run(self, event: RunChanged) -> None:
        """Hear that a run changed."""

    async def on_governance(self, event: GovernanceChanged) -> None:
        """Hear that a switch, a breaker, autonomy or a broken glass changed."""

    async def on_knowledge(self, event: KnowledgeChanged) -> None:
        """Hear that runbooks were edited; `context.knowledge` has them already.

        Every replica hears of its own files, and nothing is repeated.
        """

    async def on_message(self, event: MessagePosted) -> None:
        """Hear what people did in a channel."""

    async def start(self) -> None:
        """Prepare before the first event."""

    async def stop(self) -> None:
        """Let go of what was held."""
