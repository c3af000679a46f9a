"""Domain facts, past tense, frozen: what plugins hear.

Events are stored by reference in the outbox and carry the current state of
their subject when they are delivered, so that a late delivery never tells old
news.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bot.domain.alerts import AlertGroup, Change
from bot.domain.incidents import Incident
from bot.domain.people import ChannelId, Person
from bot.domain.runs import Run


@dataclass(frozen=True, kw_only=True)
class Happening:
    """What goes into the outbox: which kind of event, about whom, and how it changed."""

    kind: str
    subject: str
    change: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class AlertChanged:
    """An alert group opened, changed or was touched by a person."""

    id: str
    at: datetime
    change: Change
    group: AlertGroup


@dataclass(frozen=True, kw_only=True)
class IncidentChanged:
    """An incident was declared or moved on. `change` is a past participle: `declared`."""

    id: str
    at: datetime
    change: str
    incident: Incident


@dataclass(frozen=True, kw_only=True)
class RunChanged:
    """A run moved on. `change` is the new state or what happened within it."""

    id: str
    at: datetime
    change: str
    run: Run


@dataclass(frozen=True, kw_only=True)
class GovernanceChanged:
    """What stands above plans changed: a switch, a breaker, autonomy, a broken glass.

    `subject` says which (`switch:global`, `breaker:demo.restart|checkout`,
    `autonomy:…`, `glass:<id>`), `change` how: `halted`, `opened`, `broken`.
    """

    id: str
    at: datetime
    subject: str
    change: str


@dataclass(frozen=True, kw_only=True)
class KnowledgeChanged:
    """Runbooks were edited while the assistant runs, and are in force as they are now.

    `changed` are the ids of those that are new or different, `removed` of those
    that are gone.
    """

    changed: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class MessagePosted:
    """A person wrote, pinned, reacted or joined in a channel the bot is in.

    `at` is when the message was written, `happened_at` when the person acted on
    it. `kind` is one of `message`, `pinned`, `joined`, `left`.
    """

    id: str
    kind: str
    channel: ChannelId
    person: Person
    text: str
    at: datetime
    happened_at: datetime
    ref: str
