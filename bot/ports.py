"""What the use cases need from the world, as bare protocols.

Implementations live in the adapters (`storage`, `slack`, `search`, `llm`);
`tests/fakes.py` has in-memory ones that behave.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bot.domain.alerts import AlertGroup, GroupId
from bot.domain.deliveries import Delivery, DeliveryState
from bot.domain.documents import Document, Hit
from bot.domain.effects import EffectRecord
from bot.domain.events import Happening
from bot.domain.incidents import Incident, IncidentId
from bot.domain.ledger import Entry
from bot.domain.messages import Message
from bot.domain.people import ChannelId, Person, PersonId
from bot.domain.policy import PolicyDecision, PolicyRequest
from bot.domain.postmortems import Postmortem
from bot.domain.runs import Run, RunId
from bot.domain.timeline import TimelineEntry


class Clock(Protocol):
    """The time, always UTC-aware."""

    def now(self) -> datetime:
        """Return the current moment."""
        ...


class Policy(Protocol):
    """Decides what a plan needs before it may run."""

    @property
    def digest(self) -> str:
        """Return what identifies the rules in force."""
        ...

    def decide(self, request: PolicyRequest) -> PolicyDecision:
        """Say whether a plan may be asked for, and whose consent it needs."""
        ...


@dataclass(frozen=True, kw_only=True)
class MessageRef:
    """Where a message stands on the chat platform."""

    channel: ChannelId
    id: str


@dataclass(frozen=True, kw_only=True)
class Said:
    """A message as people wrote it."""

    ref: MessageRef
    person: Person
    text: str
    at: datetime
    link: str


class Chat(Protocol):
    """The chat platform. Every method may raise `ChatError`."""

    async def post(
        self, channel: ChannelId, message: Message, *, key: str, thread: MessageRef | None = None
    ) -> MessageRef:
        """Post a message. `key` is our own id for it, kept with it for `find`."""
        ...

    async def find(self, channel: ChannelId, key: str) -> MessageRef | None:
        """Return our message with this key if it stands among the channel's recent ones."""
        ...

    async def update(self, ref: MessageRef, message: Message, *, key: str) -> None:
        """Replace a message of ours. Updates of one message may be coalesced."""
        ...

    async def whisper(self, channel: ChannelId, person: PersonId, message: Message) -> None:
        """Show a message in a channel to one person only."""
        ...

    async def direct(self, person: PersonId) -> ChannelId:
        """Return the channel in which we and a person talk alone."""
        ...

    async def create_channel(self, name: str, *, topic: str) -> ChannelId:
        """Create a public channel, or return the one of that name we created before."""
        ...

    async def set_topic(self, channel: ChannelId, topic: str) -> None:
        """Set a channel's topic."""
        ...

    async def invite(self, channel: ChannelId, people: Collection[PersonId]) -> None:
        """Invite people; those who are in already or cannot be invited are skipped."""
        ...

    async def pin(self, ref: MessageRef) -> None:
        """Pin a message; one that is pinned stays so."""
        ...

    async def react(self, ref: MessageRef, name: str) -> None:
        """Add a reaction of ours; one that is there stays."""
        ...

    async def person(self, id: PersonId) -> Person:
        """Look a person up."""
        ...

    async def groups_of(self, person: PersonId, among: Collection[str]) -> frozenset[str]:
        """Return which of the named user groups a person belongs to."""
        ...

    async def members_of(self, group: str) -> Sequence[PersonId]:
        """Return the members of a user group by its handle; nobody for an unknown one."""
        ...

    async def said(self, ref: MessageRef) -> Said | None:
        """Return a message as it was written, with a link to it."""
        ...

    async def link(self, ref: MessageRef) -> str:
        """Return a permanent link to a message."""
        ...


class ChatError(Exception):
    """The chat platform refused or could not be reached. `error` is its own word for it."""

    def __init__(self, error: str, detail: str = "") -> None:
        super().__init__(f"{error} {detail}".strip())
        self.error = error

    @property
    def closed(self) -> bool:
        """Say whether the channel is closed to us: archived, gone, or we are not in it."""
        return self.error in {"channel_not_found", "is_archived", "not_in_channel"}


class Search(Protocol):
    """Finds documents by words and, once its encoder is ready, by meaning."""

    @property
    def dense_ready(self) -> bool:
        """Say whether meaning is taken into account yet."""
        ...

    async def put(self, documents: Sequence[Document]) -> None:
        """Add documents, or replace those of the same id."""
        ...

    async def remove(self, ids: Sequence[str]) -> None:
        """Forget documents."""
        ...

    async def find(
        self,
        query: str,
        *,
        kinds: Collection[str],
        limit: int,
        before: datetime | None = None,
    ) -> Sequence[Hit]:
        """Return the best documents of some kinds, best first."""
        ...


class LanguageModel(Protocol):
    """Writes prose from a prompt. Never decides, never acts."""

    @property
    def name(self) -> str:
        """Return the model's name and version, for the record."""
        ...

    async def write(self, prompt: str) -> str:
        """Return the model's text.

        Raises:
            ModelUnavailable: there is none, or it failed, or took too long.
        """
        ...


class ModelUnavailable(Exception):
    """No text came from the language model; the deterministic writer does the work."""


class Prompts(Protocol):
    """Prompt templates by name."""

    def render(self, name: str, variables: object) -> str:
        """Render a prompt from a frozen dataclass of its variables."""
        ...

    def digest(self, name: str) -> str:
        """Return the SHA-256 of a prompt's source, for the ledger."""
        ...


@dataclass(frozen=True, kw_only=True)
class Posted:
    """What we know of a message of ours: where it stands and what it shows.

    `ref` is None from the moment the posting began until it is known to stand.
    """

    key: str
    channel: ChannelId
    ref: MessageRef | None
    digest: str


@dataclass(frozen=True, kw_only=True)
class Queued:
    """An event in the outbox, with the plugins that have heard it already."""

    id: str
    happening: Happening
    attempts: int
    heard: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A worker's hold on a run. Every write carries the fencing token."""

    run: Run
    fence: int


@dataclass(frozen=True, kw_only=True)
class Halt:
    """The kill switch is pulled."""

    by: str
    at: datetime
    reason: str


class Groups(Protocol):
    """Alert groups."""

    async def get(self, id: GroupId) -> AlertGroup:
        """Return a group, or raise NotFound."""
        ...

    async def latest(self, source: str, group_key: str) -> AlertGroup | None:
        """Return the newest story of a group key."""
        ...

    async def save(self, group: AlertGroup) -> None:
        """Add a group or replace it."""
        ...

    async def firing(self, limit: int = 50) -> Sequence[AlertGroup]:
        """Return groups that still fire, newest first."""
        ...


class Incidents(Protocol):
    """Incidents with their milestones."""

    async def get(self, id: IncidentId) -> Incident:
        """Return an incident, or raise NotFound."""
        ...

    async def of_channel(self, channel: ChannelId) -> Incident | None:
        """Return the incident whose war room a channel is."""
        ...

    async def next_number(self) -> int:
        """Return the next free number; used and stored within one transaction."""
        ...

    async def save(self, incident: Incident) -> None:
        """Add an incident or replace it; milestones are only ever added."""
        ...

    async def open(self) -> Sequence[Incident]:
        """Return incidents people still work on, newest first."""
        ...

    async def recent(self, limit: int = 100) -> Sequence[Incident]:
        """Return the newest incidents."""
        ...


class Timelines(Protocol):
    """Timeline entries."""

    async def add(self, entry: TimelineEntry) -> bool:
        """Record an entry; say False where its origin is recorded already."""
        ...

    async def of(self, subjects: Collection[str]) -> Sequence[TimelineEntry]:
        """Return the entries of some subjects in the order in which things happened."""
        ...


class Runs(Protocol):
    """Runs, claimed by lease and fencing token."""

    async def get(self, id: RunId) -> Run:
        """Return a run, or raise NotFound."""
        ...

    async def add(self, run: Run, *, due_at: datetime | None) -> None:
        """Add a run; it is worked on from `due_at`, or only when something wakes it."""
        ...

    async def save(self, run: Run, *, due_at: datetime | None, fence: int | None = None) -> None:
        """Replace a run and say when it is due next.

        With a fence the claim ends with it; without one a claim stays in force.

        Raises:
            Stale: `fence` is given and the claim has passed on.
        """
        ...

    async def keep(self, run: Run, *, fence: int) -> None:
        """Replace a run and go on holding it.

        Raises:
            Stale: the claim has passed on.
        """
        ...

    async def claim(self, *, now: datetime, lease: float, worker: str) -> Claim | None:
        """Take the run that has been due longest; the lease is in seconds."""
        ...

    async def extend(self, id: RunId, *, fence: int, until: datetime) -> bool:
        """Prolong a lease; say False where the claim has passed on."""
        ...

    async def of(self, subjects: Collection[str]) -> Sequence[Run]:
        """Return the runs for some subjects (groups or incidents), oldest first."""
        ...

    async def recent(self, limit: int = 50) -> Sequence[Run]:
        """Return the newest runs."""
        ...


class Effects(Protocol):
    """Intents and outcomes."""

    async def get(self, key: str) -> EffectRecord | None:
        """Return what is known of an effect."""
        ...

    async def save(self, effect: EffectRecord) -> None:
        """Write an intent, or complete it."""
        ...


class LedgerWriter(Protocol):
    """The ledger as use cases see it: append only."""

    async def append(self, entry: Entry) -> None:
        """Append an entry in this transaction."""
        ...


class Outbox(Protocol):
    """Events on their way to plugins."""

    async def add(self, happening: Happening) -> None:
        """Queue an event; it is delivered after the commit, at least once."""
        ...

    async def due(self, *, now: datetime, limit: int) -> Sequence[Queued]:
        """Return events to deliver now, oldest first."""
        ...

    async def done(self, id: str) -> None:
        """Mark an event as heard by everyone."""
        ...

    async def retry(
        self, id: str, *, heard: Collection[str], due_at: datetime | None, reason: str
    ) -> None:
        """Keep an event for another attempt; without a time it is given up and kept."""
        ...


class Deliveries(Protocol):
    """Raw deliveries."""

    async def add(self, delivery: Delivery) -> None:
        """Keep a delivery as it came."""
        ...

    async def get(self, id: str) -> Delivery:
        """Return a delivery, or raise NotFound."""
        ...

    async def find(self, state: DeliveryState, limit: int = 100) -> Sequence[Delivery]:
        """Return deliveries in a state, oldest first."""
        ...

    async def mark(self, id: str, state: DeliveryState, reason: str = "") -> None:
        """Change what became of a delivery."""
        ...


class PostedMessages(Protocol):
    """Where our own messages stand."""

    async def get(self, key: str) -> Posted | None:
        """Return what is known of a message of ours."""
        ...

    async def save(self, posted: Posted) -> None:
        """Remember a message."""
        ...


class Postmortems(Protocol):
    """Post-mortem documents."""

    async def get(self, incident: IncidentId) -> Postmortem | None:
        """Return an incident's newest draft."""
        ...

    async def save(self, postmortem: Postmortem) -> None:
        """Keep a draft."""
        ...


class Switches(Protocol):
    """The kill switch."""

    async def halted(self) -> Halt | None:
        """Return who pulled the switch, if it is pulled."""
        ...

    async def set(self, halt: Halt | None) -> None:
        """Pull the switch, or release it."""
        ...


class Slots(Protocol):
    """Slots of scheduled jobs."""

    async def take(self, job: str, slot: str) -> bool:
        """Claim a slot; exactly one caller ever gets True for it."""
        ...


class Transaction(Protocol):
    """One unit of work: everything in it is committed, or nothing."""

    @property
    def groups(self) -> Groups: ...
    @property
    def incidents(self) -> Incidents: ...
    @property
    def timeline(self) -> Timelines: ...
    @property
    def runs(self) -> Runs: ...
    @property
    def effects(self) -> Effects: ...
    @property
    def ledger(self) -> LedgerWriter: ...
    @property
    def outbox(self) -> Outbox: ...
    @property
    def deliveries(self) -> Deliveries: ...
    @property
    def posted(self) -> PostedMessages: ...
    @property
    def postmortems(self) -> Postmortems: ...
    @property
    def switches(self) -> Switches: ...
    @property
    def slots(self) -> Slots: ...


class Database(Protocol):
    """The store of everything that a restart may not lose."""

    def transaction(self, once: str | None = None) -> AbstractAsyncContextManager[Transaction]:
        """Open a transaction: committed when left, rolled back on an error.

        With `once`, the id of a request is stored along; entering with an id
        that was stored before raises `AlreadyDone` before anything runs.
        """
        ...

    def reading(self) -> AbstractAsyncContextManager[Transaction]:
        """Open a view of the last committed state; nothing may be written in it."""
        ...
