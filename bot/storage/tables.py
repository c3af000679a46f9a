"""What is stored. Aggregates are kept whole as JSON beside the columns that queries need."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.schema import SchemaItem
from sqlmodel import Field, SQLModel
from typing_extensions import override


class UtcTime(TypeDecorator[datetime]):
    """A moment, stored in UTC and returned UTC-aware whatever the database keeps."""

    impl = DateTime(timezone=True)
    cache_ok = True

    @override
    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    @override
    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or value.tzinfo is None:
            return None if value is None else value.replace(tzinfo=UTC)
        return value.astimezone(UTC)


# Whole numbers of 64 bits; SQLite numbers rows by itself only where the type is INTEGER.
_NUMBER = BigInteger().with_variant(Integer, "sqlite")


def only(dialect: str, index: Index) -> Index:
    """Make an index that one kind of database has."""
    index.info["only"] = dialect
    return index.ddl_if(dialect)


def belongs(dialect: str) -> Callable[..., bool]:
    """Return what tells Alembic which parts of the tables a kind of database has."""

    def told(part: SchemaItem, *_: object) -> bool:
        return bool(part.info.get("only", dialect) == dialect)

    return told


class ReceiptRow(SQLModel, table=True):
    """A request that had its effect."""

    __tablename__ = "receipts"
    id: str = Field(primary_key=True)
    at: datetime = Field(sa_type=UtcTime)


class DeliveryRow(SQLModel, table=True):
    """A raw delivery."""

    __tablename__ = "deliveries"
    id: str = Field(primary_key=True)
    source: str
    received_at: datetime = Field(sa_type=UtcTime, index=True)
    state: str = Field(index=True)
    reason: str
    headers: str
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class GroupRow(SQLModel, table=True):
    """An alert group, whole in `data`."""

    __tablename__ = "alert_groups"
    # PostgreSQL's trees hold no key as long as Alertmanager's may be.
    __table_args__ = (
        only("sqlite", Index("ix_alert_groups_key", "source", "group_key", "opened_at")),
        only("postgresql", Index("ix_alert_groups_hash", "group_key", postgresql_using="hash")),
    )
    id: str = Field(primary_key=True)
    source: str
    group_key: str
    opened_at: datetime = Field(sa_type=UtcTime)
    firing: bool = Field(index=True)
    data: str


class IncidentRow(SQLModel, table=True):
    """An incident, without its milestones."""

    __tablename__ = "incidents"
    id: str = Field(primary_key=True)
    number: int = Field(unique=True)
    channel: str | None = Field(default=None, index=True)
    is_open: bool = Field(index=True)
    data: str


class MilestoneRow(SQLModel, table=True):
    """A milestone: inserted once, never updated."""

    __tablename__ = "milestones"
    incident: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    at: datetime = Field(sa_type=UtcTime)
    by: str


class TimelineRow(SQLModel, table=True):
    """A timeline entry. One origin is recorded once per subject."""

    __tablename__ = "timeline"
    __table_args__ = (
        UniqueConstraint("subject", "origin"),
        Index("ix_timeline_subject", "subject", "at"),
    )
    id: int | None = Field(default=None, sa_type=_NUMBER, primary_key=True)
    subject: str
    at: datetime = Field(sa_type=UtcTime)
    kind: str
    text: str
    actor: str
    actor_name: str
    origin: str | None = None


class RunRow(SQLModel, table=True):
    """A run, whole in `data`, with what its claim needs."""

    __tablename__ = "runs"
    id: str = Field(primary_key=True)
    subject: str = Field(index=True)
    incident: str | None = Field(default=None, index=True)
    created_at: datetime = Field(sa_type=UtcTime)
    due_at: datetime | None = Field(default=None, sa_type=UtcTime, index=True)
    lease_until: datetime | None = Field(default=None, sa_type=UtcTime)
    worker: str | None = None
    fence: int = 0
    data: str


class EffectRow(SQLModel, table=True):
    """An intent and, later, its outcome."""

    __tablename__ = "effects"
    key: str = Field(primary_key=True)
    run: str = Field(index=True)
    state: str = Field(index=True)
    intended_at: datetime | None = Field(default=None, sa_type=UtcTime, index=True)
    data: str


class EntryRow(SQLModel, table=True):
    """A sealed ledger entry: the exact bytes of its leaf, and its body unless erased.

    The body is encrypted under the keys of `subjects`, references joined by spaces.
    """

    __tablename__ = "ledger_entries"
    seq: int = Field(sa_column=Column(_NUMBER, primary_key=True, autoincrement=False))
    leaf: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    salt: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    body: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    subjects: str | None = None


class NodeRow(SQLModel, table=True):
    """A complete subtree of the ledger's Merkle tree."""

    __tablename__ = "ledger_nodes"
    level: int = Field(primary_key=True)
    position: int = Field(sa_type=_NUMBER, primary_key=True)
    hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class OutboxRow(SQLModel, table=True):
    """An event on its way to plugins."""

    __tablename__ = "outbox"
    __table_args__ = {"sqlite_autoincrement": True}
    id: int | None = Field(default=None, sa_type=_NUMBER, primary_key=True)
    kind: str
    subject: str
    change: str
    at: datetime = Field(sa_type=UtcTime)
    due_at: datetime | None = Field(default=None, sa_type=UtcTime, index=True)
    attempts: int = 0
    heard: str = ""
    reason: str = ""


class PostedRow(SQLModel, table=True):
    """A message of ours."""

    __tablename__ = "posted"
    key: str = Field(primary_key=True)
    channel: str
    message: str | None = None
    digest: str


class PostmortemRow(SQLModel, table=True):
    """The newest draft of an incident's post-mortem."""

    __tablename__ = "postmortems"
    incident: str = Field(primary_key=True)
    drafted_at: datetime = Field(sa_type=UtcTime)
    data: str


class SwitchRow(SQLModel, table=True):
    """A pulled kill switch; no row means that it is not pulled."""

    __tablename__ = "switches"
    scope: str = Field(primary_key=True)
    by: str
    at: datetime = Field(sa_type=UtcTime)
    reason: str
    releases: str = "[]"


class EpochRow(SQLModel, table=True):
    """How often something has changed, by its name."""

    __tablename__ = "epochs"
    name: str = Field(primary_key=True)
    count: int


class DecisionRow(SQLModel, table=True):
    """The record of one evaluation of policy: inserted once, never updated."""

    __tablename__ = "decisions"
    id: str = Field(primary_key=True)
    run: str = Field(index=True)
    at: datetime = Field(sa_type=UtcTime, index=True)
    data: str


class CheckpointRow(SQLModel, table=True):
    """A signed checkpoint of the ledger, as the exact bytes of its note."""

    __tablename__ = "checkpoints"
    origin: str = Field(primary_key=True)
    size: int = Field(sa_type=_NUMBER, primary_key=True)
    at: datetime = Field(sa_type=UtcTime, index=True)
    root: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    note: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class ReceiptOfAnchorRow(SQLModel, table=True):
    """An anchor's word that it holds a checkpoint."""

    __tablename__ = "anchor_receipts"
    anchor: str = Field(primary_key=True)
    size: int = Field(sa_type=_NUMBER, primary_key=True)
    at: datetime = Field(sa_type=UtcTime)
    receipt: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class KeyedRow(SQLModel, table=True):
    """A small record of one kind, whole in `data`: breakers, autonomy, broken glasses, …"""

    __tablename__ = "keyed"
    kind: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    data: str


class RunOutputRow(SQLModel, table=True):
    """Some lines that a step printed, and its progress: inserted once, never updated."""

    __tablename__ = "run_outputs"
    run: str = Field(primary_key=True)
    step: str = Field(primary_key=True)
    attempt: int = Field(primary_key=True)
    seq: int = Field(primary_key=True)
    first: int
    lines: int
    text: str
    permille: int | None = None


class RunbookUsageRow(SQLModel, table=True):
    """One use of a runbook: inserted once, never updated."""

    __tablename__ = "runbook_usage"
    id: str = Field(primary_key=True)
    runbook: str
    what: str
    subject: str = Field(index=True)
    person: str | None = None
    at: datetime = Field(sa_type=UtcTime, index=True)


class EmbeddingRow(SQLModel, table=True):
    """The vector of a text by the model that made it."""

    __tablename__ = "embeddings"
    # Rows lie in the order of their keys, in which they are read.
    __table_args__ = {"sqlite_with_rowid": False}
    model: str = Field(primary_key=True)
    key: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    vector: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class SearchLabelRow(SQLModel, table=True):
    """A person's word on a hit, whole in `data`: inserted once, never updated."""

    __tablename__ = "search_labels"
    id: str = Field(primary_key=True)
    subject: str = Field(index=True)
    at: datetime = Field(sa_type=UtcTime, index=True)
    data: str


class SlotRow(SQLModel, table=True):
    """A slot of a scheduled job that somebody took."""

    __tablename__ = "slots"
    job: str = Field(primary_key=True)
    slot: str = Field(primary_key=True)
