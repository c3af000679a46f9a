"""The store of everything that lasts, and its unit of work."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from bot.domain.autonomy import Autonomy
from bot.domain.breakers import Breaker
from bot.domain.emergencies import BreakGlass, PreAuthorisation
from bot.domain.known_errors import KnownError
from bot.ports.learning import Embeddings, RunbookUsage, SearchLabels
from bot.ports.ledger import Checkpoints, Hold, LedgerWriter
from bot.ports.outputs import RunOutputs
from bot.ports.repositories import (
    Decisions,
    Deliveries,
    Effects,
    Groups,
    Incidents,
    Outbox,
    PostedMessages,
    Postmortems,
    Runs,
    Switches,
    Timelines,
)

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


@dataclass(frozen=True, kw_only=True)
class AdoptedPolicy:
    """A set of rules that was put into force, with its files by name."""

    digest: str
    documents: Mapping[str, str]
    at: datetime
    by: str
    run: str = ""


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
