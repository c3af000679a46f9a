"""What the bot works on, kept by kind: each protocol is a part of a `Transaction`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bot.domain.alerts import AlertGroup, GroupId
from bot.domain.decisions import DecisionId, DecisionRecord
from bot.domain.deliveries import Delivery, DeliveryState
from bot.domain.effects import EffectRecord
from bot.domain.events import Happening
from bot.domain.incidents import Incident, IncidentId
from bot.domain.people import ChannelId
from bot.domain.postmortems import Postmortem
from bot.domain.runs import Run, RunId
from bot.domain.switches import Halt
from bot.domain.timeline import TimelineEntry
from bot.ports.chat import MessageRef


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
