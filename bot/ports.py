"""What the use cases need from the world, as bare protocols.

Implementations live in the adapters (`storage`, `slack`, `search`, `llm`);
`tests/fakes.py` has in-memory ones that behave.
"""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol, TypeVar

from bot.domain.actions import Report
from bot.domain.alerts import AlertGroup, GroupId
from bot.domain.audits import Verdict
from bot.domain.autonomy import Autonomy
from bot.domain.breakers import Breaker
from bot.domain.decisions import DecisionId, DecisionRecord
from bot.domain.deliveries import Delivery, DeliveryState
from bot.domain.documents import Acceptances, Dependencies, Document, Found, Query
from bot.domain.effects import EffectRecord
from bot.domain.emergencies import BreakGlass, PreAuthorisation
from bot.domain.errors import TocsinError
from bot.domain.events import Happening
from bot.domain.incidents import Incident, IncidentId
from bot.domain.known_errors import KnownError
from bot.domain.ledger import Entry, Sealed
from bot.domain.messages import Message
from bot.domain.people import ChannelId, Person, PersonId
from bot.domain.policy import PolicyDecision, PolicyRequest
from bot.domain.postmortems import Postmortem
from bot.domain.runs import Run, RunId
from bot.domain.switches import Halt
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

    @property
    def documents(self) -> Mapping[str, bytes]:
        """Return the files of the rules in force by name, as they were read."""
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

    async def member(self, id: PersonId) -> Person:
        """Return a person as they are in the workspace now, seconds old at most."""
        ...

    async def with_address(self, email: str) -> PersonId | None:
        """Return whose e-mail address this is, or None."""
        ...

    async def groups_of(self, person: PersonId) -> frozenset[str]:
        """Return the handles of the user groups a person belongs to now."""
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

    async def place(self, dependencies: Dependencies) -> None:
        """Learn which services need which; what was known before is replaced."""
        ...

    async def accept(self, acceptances: Acceptances) -> None:
        """Learn how people judged documents, by id; what was known before is replaced."""
        ...

    async def find(
        self,
        query: Query,
        *,
        kinds: Collection[str],
        limit: int,
        before: datetime | None = None,
        services: Collection[str] | None = None,
        without: Collection[str] = (),
    ) -> Found:
        """Return the best documents of some kinds, best first.

        With `before`, only those created earlier, and the timeless ones; with
        `services`, only those that concern one of them; never those `without`.
        """
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


class Outputs(Protocol):
    """Takes what steps print while they work."""

    def reporter(self, run: RunId, step: str, attempt: int) -> Report:
        """Return what takes the output of one attempt at a step.

        It returns at once and never raises, whatever it is handed and from
        whichever thread: an effect must not wait for those who watch it.
        """
        ...


class Privacy(Protocol):
    """Keeps people's data apart from the record, so that it can be erased."""

    def pseudonym(self, reference: str) -> str:
        """Return what stands for a person in the record; software keeps its name."""
        ...

    def encrypt(self, body: bytes, subjects: Collection[str]) -> bytes:
        """Return a body so that nobody reads it without the key of every subject."""
        ...

    def decrypt(self, box: bytes, subjects: Collection[str]) -> bytes | None:
        """Return a body, or None where a key is gone.

        Raises:
            ValueError: the key is there, and this is not what was encrypted.
            KeysElsewhere: nobody here has any keys, so nothing is known.
        """
        ...

    def erase(self, reference: str) -> bool:
        """Destroy a subject's key; say False where there was none."""
        ...


class KeysUnfit(TocsinError):
    """Keys that are there and cannot be used: which, and why."""


class KeysElsewhere(Exception):
    """What is encrypted cannot be read here, which says nothing about it."""


@dataclass(frozen=True, kw_only=True)
class SignedCheckpoint:
    """A checkpoint as it was signed: a C2SP signed note. `size` counts the entries under it."""

    origin: str
    size: int
    root: bytes
    note: bytes
    at: datetime


class Anchor(Protocol):
    """A place outside of the database that remembers checkpoints."""

    @property
    def name(self) -> str:
        """Return a short name for people and records."""
        ...

    async def keep(self, checkpoint: SignedCheckpoint, *, proof: Proof) -> bytes:
        """Remember a checkpoint; return its receipt, which may be empty.

        Raises:
            AnchorFailed: it could not be kept, or contradicts what is kept.
        """
        ...

    async def kept(self) -> Sequence[bytes]:
        """Return the signed notes that are remembered, oldest first, as far as they can be read.

        Raises:
            AnchorFailed: the place cannot be read.
        """
        ...


class Proof(Protocol):
    """Proves that the log at one size is the start of the log at a later one."""

    def __call__(self, old: int, new: int) -> Awaitable[Sequence[bytes]]:
        """Return the hashes of the RFC 9162 consistency proof."""
        ...


class AnchorFailed(Exception):
    """A place outside of the database could not keep or show a checkpoint."""


class LedgerArchive(Protocol):
    """The ledger as it stands, to be read and proven; nothing of it is written here."""

    async def size(self) -> int:
        """Return the number of entries."""
        ...

    async def root(self, size: int) -> bytes:
        """Return the root the tree had at some size."""
        ...

    async def inclusion(self, seq: int, size: int) -> Sequence[bytes]:
        """Return the proof that an entry is in the tree of some size."""
        ...

    async def consistency(self, old: int, new: int) -> Sequence[bytes]:
        """Return the proof that the tree only grew from one size to another."""
        ...

    async def entry(self, seq: int) -> Sealed:
        """Return one entry, or raise NotFound."""
        ...

    async def entries(
        self,
        *,
        start: int = 0,
        before: int | None = None,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> Sequence[Sealed]:
        """Return entries from `start` up to, not including, `before`."""
        ...

    async def verify(self) -> Verdict:
        """Verify the whole ledger."""
        ...


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

    async def ended(self, *, below: int | None = None, limit: int = 200) -> Sequence[Incident]:
        """Return a page of the incidents that are over, newest first.

        Only those with a number below a given one, so that a page goes on where
        the last one ended even if incidents end or are reopened in between.
        """
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

    async def claim(
        self, *, now: datetime, lease: float, worker: str, but: Collection[RunId] = ()
    ) -> Claim | None:
        """Take the run that has been due longest, none of `but`; the lease is in seconds."""
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

    async def scheduled(self) -> Sequence[Run]:
        """Return every run that has a move to come by itself, oldest first."""
        ...


class Effects(Protocol):
    """Intents and outcomes, which are also what rates are counted by."""

    async def since(self, moment: datetime) -> Sequence[EffectRecord]:
        """Return effects that were intended after a moment, oldest first."""
        ...

    async def get(self, key: str) -> EffectRecord | None:
        """Return what is known of an effect."""
        ...

    async def save(self, effect: EffectRecord) -> None:
        """Write an intent, or complete it."""
        ...


class LedgerWriter(Protocol):
    """The ledger as use cases see it: entries are appended, and bodies at most erased."""

    async def append(self, entry: Entry) -> None:
        """Append an entry in this transaction."""
        ...

    async def telling_of(self, subject: str) -> Sequence[int]:
        """Return which entries have a body that tells of a person."""
        ...

    async def erase(self, seqs: Sequence[int]) -> None:
        """Remove the bodies of entries, with their salts; their leaves stay."""
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
    """The kill switch, by scope."""

    async def pulled(self) -> Sequence[Halt]:
        """Return every pulled switch."""
        ...

    async def pull(self, halt: Halt) -> None:
        """Pull a switch, or replace what is known of its pull."""
        ...

    async def release(self, scope: str) -> None:
        """Let the effects of a scope happen again."""
        ...

    async def epoch(self) -> int:
        """Return how often switches were pulled or released so far."""
        ...


class Decisions(Protocol):
    """Records of decisions: added once, never changed."""

    async def add(self, decision: DecisionRecord) -> None:
        """Keep a record."""
        ...

    async def get(self, id: DecisionId) -> DecisionRecord:
        """Return a record, or raise NotFound."""
        ...

    async def recent(self, limit: int = 100) -> Sequence[DecisionRecord]:
        """Return the newest records."""
        ...

    async def of(self, run: str) -> Sequence[DecisionRecord]:
        """Return the records of a run, oldest first."""
        ...


K = TypeVar("K")


class Keyed(Protocol[K]):
    """Small records of one kind by key."""

    async def get(self, key: str) -> K | None:
        """Return a record, or None."""
        ...

    async def save(self, key: str, record: K) -> None:
        """Add a record or replace it."""
        ...

    async def add(self, key: str, record: K) -> bool:
        """Add a record; say False, and change nothing, where the key is taken."""
        ...

    async def remove(self, key: str) -> None:
        """Forget a record."""
        ...

    async def all(self) -> Mapping[str, K]:
        """Return every record by key."""
        ...


class Checkpoints(Protocol):
    """Signed checkpoints, and where they are anchored."""

    async def add(self, checkpoint: SignedCheckpoint) -> None:
        """Keep a checkpoint; a second one of the same origin and size replaces nothing."""
        ...

    async def newest(self, origin: str | None = None) -> SignedCheckpoint | None:
        """Return the newest checkpoint, of one origin or of any."""
        ...

    async def all(self) -> Sequence[SignedCheckpoint]:
        """Return every checkpoint in the order in which they were made."""
        ...

    async def anchored(self, anchor: str, *, size: int, receipt: bytes, at: datetime) -> None:
        """Remember that an anchor holds the checkpoint of a size, with its receipt."""
        ...

    async def receipts(self) -> Sequence[Receipt]:
        """Return what anchors have confirmed, oldest first."""
        ...


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """An anchor's word that it holds the checkpoint of a size."""

    anchor: str
    size: int
    receipt: bytes
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Hold:
    """A legal hold: what it covers is not erased. `subject` is a person, an incident, or `all`."""

    subject: str
    by: str
    reason: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class AdoptedPolicy:
    """A set of rules that was put into force, with its files by name."""

    digest: str
    documents: Mapping[str, str]
    at: datetime
    by: str
    run: str = ""


@dataclass(frozen=True, kw_only=True)
class OutputPiece:
    """Some lines that a step printed, redacted.

    `first` is the number of its first line, from 0; what is missing between two
    pieces was cut. `progress` is how far the step was by then (0 to 1).
    """

    run: RunId
    step: str
    attempt: int
    seq: int
    first: int
    lines: int
    text: str
    progress: float | None = None


@dataclass(frozen=True, kw_only=True)
class OutputSize:
    """How many lines one attempt at a step printed, and how many of them are kept."""

    step: str
    attempt: int
    printed: int
    kept: int


@dataclass(frozen=True, kw_only=True)
class OutputTail:
    """The last lines a step printed, of how many, and how far it is (0 to 1) if it says so."""

    lines: tuple[str, ...] = ()
    printed: int = 0
    progress: float | None = None


class RunOutputs(Protocol):
    """What steps print, in pieces that are added and never changed."""

    async def add(self, piece: OutputPiece) -> None:
        """Keep a piece."""
        ...

    async def remove(self, run: RunId, step: str, *, attempt: int, seqs: Sequence[int]) -> None:
        """Forget pieces out of the middle."""
        ...

    async def newest(
        self, run: RunId, step: str, *, attempt: int | None = None, limit: int
    ) -> Sequence[OutputPiece]:
        """Return the newest pieces of a step that have lines, oldest first.

        They are those of one attempt, or of its last one.
        """
        ...

    async def progress(self, run: RunId, step: str) -> float | None:
        """Return how far a step is in its last attempt (0 to 1), where it says so."""
        ...

    async def sizes(self, run: RunId) -> Sequence[OutputSize]:
        """Return how much every step of a run printed, by step and attempt."""
        ...


class Use(StrEnum):
    """What became of a runbook once: it was offered, looked at, or judged by a person."""

    SUGGESTED = "suggested"
    OPENED = "opened"
    HELPFUL = "helpful"
    UNHELPFUL = "unhelpful"


@dataclass(frozen=True, kw_only=True)
class RunbookUse:
    """One use of a runbook. `person` is a pseudonym, and None for the assistant.

    `subject` is the alert group, incident, channel or run it was about. Of
    several judgements of one person about one subject the newest counts.
    """

    id: str
    runbook: str
    what: Use
    subject: str
    person: str | None
    at: datetime


class RunbookUsage(Protocol):
    """How runbooks are used: rows are added and never changed."""

    async def add(self, use: RunbookUse) -> bool:
        """Keep a use; say False, and change nothing, where its id is known already."""
        ...

    async def since(self, moment: datetime) -> Sequence[RunbookUse]:
        """Return what happened from a moment on, oldest first."""
        ...

    async def of(self, subject: str) -> Sequence[RunbookUse]:
        """Return what happened about one subject, oldest first."""
        ...


class Judgement(StrEnum):
    """What a person said of a hit."""

    USEFUL = "useful"
    USELESS = "not this one"


@dataclass(frozen=True, kw_only=True)
class SearchLabel:
    """A person's word on one hit: what was searched, what was shown, and what they thought.

    `query` is the searched text, `names` and `services` what was known besides;
    `subject` the alert group or incident it was searched for. `place` counts
    from 1; `confidence` is what was claimed then, if anything; `model` the
    ranker that claimed it. `person` is a pseudonym. The assistant never labels.
    """

    id: str
    query: str
    names: tuple[str, ...]
    services: tuple[str, ...]
    subject: str
    document: str
    kind: str
    judgement: Judgement
    reason: str
    place: int
    confidence: float | None
    model: str
    person: str
    at: datetime


class SearchLabels(Protocol):
    """What people said of hits: rows are added and never changed."""

    async def add(self, label: SearchLabel) -> bool:
        """Keep a label; say False, and change nothing, where its id is known already."""
        ...

    async def all(self) -> Sequence[SearchLabel]:
        """Return all labels, oldest first."""
        ...

    async def of(self, subject: str) -> Sequence[SearchLabel]:
        """Return what was said about one subject, oldest first."""
        ...


class Embeddings(Protocol):
    """Sentence vectors by model and text: the truth that every index is derived from.

    A key is the sha256 of the exact text that was encoded; a vector is its raw
    unit vector as little-endian float16. `model` names the weights (their sha256).
    """

    async def get(self, model: str, keys: Collection[bytes]) -> Mapping[bytes, bytes]:
        """Return the vectors that are known among these keys."""
        ...

    async def all(self, model: str) -> Sequence[tuple[bytes, bytes]]:
        """Return every key of a model with its vector, ordered by key."""
        ...

    async def add(self, model: str, vectors: Mapping[bytes, bytes]) -> None:
        """Keep vectors; those of known keys are replaced."""
        ...

    async def prune(self, model: str, *, keep: Collection[bytes]) -> int:
        """Forget a model's vectors but these, and return how many were forgotten."""
        ...

    async def nearest(self, model: str, vector: bytes, *, limit: int) -> Sequence[bytes] | None:
        """Return the keys nearest to a vector by cosine; None where the store cannot search."""
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
    @property
    def decisions(self) -> Decisions: ...
    @property
    def checkpoints(self) -> Checkpoints: ...
    @property
    def breakers(self) -> Keyed[Breaker]: ...
    @property
    def autonomy(self) -> Keyed[Autonomy]: ...
    @property
    def glasses(self) -> Keyed[BreakGlass]: ...
    @property
    def authorisations(self) -> Keyed[PreAuthorisation]: ...
    @property
    def reservations(self) -> Keyed[str]: ...
    @property
    def holds(self) -> Keyed[Hold]: ...
    @property
    def policies(self) -> Keyed[AdoptedPolicy]: ...
    @property
    def keys(self) -> Keyed[str]: ...
    @property
    def outputs(self) -> RunOutputs: ...
    @property
    def usage(self) -> RunbookUsage: ...
    @property
    def labels(self) -> SearchLabels: ...
    @property
    def embeddings(self) -> Embeddings: ...
    @property
    def known_errors(self) -> Keyed[KnownError]: ...


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
