"""What governs effects: kill switches, records of decisions, and small records by key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Generic, TypeVar

from sqlalchemy import bindparam, delete, insert, select, update
from sqlmodel import col

from bot.domain.decisions import DecisionId, DecisionRecord
from bot.domain.errors import NotFound
from bot.domain.people import Person
from bot.domain.switches import Halt
from bot.storage.codec import Codec
from bot.storage.prepared import Prepared
from bot.storage.rows import Rows
from bot.storage.tables import DecisionRow, EpochRow, KeyedRow, SwitchRow
from bot.storage.upserts import Upsert

T = TypeVar("T")

SWITCHES = "switches"
_LONGEST_KEY = 500  # characters

_decisions = Codec(DecisionRecord)
_people = Codec(tuple[Person, ...])
_PULLED = Prepared(
    select(
        col(SwitchRow.scope),
        col(SwitchRow.by),
        col(SwitchRow.at),
        col(SwitchRow.reason),
        col(SwitchRow.releases),
    )
)

_EPOCH = Prepared(
    select(col(EpochRow.count).label("total")).where(col(EpochRow.name) == bindparam("what"))
)
_ADD_DECISION = Prepared(insert(DecisionRow))
_IS_KEY = (col(KeyedRow.kind) == bindparam("of_kind"), col(KeyedRow.key) == bindparam("by_key"))
_KEYED = Prepared(select(col(KeyedRow.data)).where(*_IS_KEY))
_ALL_KEYED = Prepared(
    select(col(KeyedRow.key), col(KeyedRow.data))
    .where(col(KeyedRow.kind) == bindparam("of_kind"))
    .order_by(col(KeyedRow.key))
)
_SAVE_KEYED = Prepared(Upsert(KeyedRow, key=("kind", "key"), update=("data",)))
_ADD_KEYED = Prepared(Upsert(KeyedRow))
_REMOVE_KEYED = Prepared(delete(KeyedRow).where(*_IS_KEY))


class StoredSwitches:
    """The kill switch, by scope; every pull and release is counted."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    async def pulled(self) -> Sequence[Halt]:
        """Return every pulled switch."""
        return [
            Halt(
                scope=row.scope,
                by=row.by,
                at=row.at,
                reason=row.reason,
                releases=_people.load(row.releases),
            )
            for row in await self._rows.all(_PULLED)
        ]

    async def pull(self, halt: Halt) -> None:
        """Pull a switch, or replace what is known of its pull."""
        await self._rows.execute(delete(SwitchRow).where(col(SwitchRow.scope) == halt.scope))
        await self._rows.execute(
            insert(SwitchRow),
            {
                "scope": halt.scope,
                "by": halt.by,
                "at": halt.at,
                "reason": halt.reason,
                "releases": _people.dump(halt.releases),
            },
        )
        await self._count()

    async def release(self, scope: str) -> None:
        """Let the effects of a scope happen again."""
        await self._rows.execute(delete(SwitchRow).where(col(SwitchRow.scope) == scope))
        await self._count()

    async def epoch(self) -> int:
        """Return how often switches were pulled or released so far."""
        row = await self._rows.one(_EPOCH, {"what": SWITCHES})
        return int(row.total) if row else 0

    async def _count(self) -> None:
        await self._rows.execute(Prepared(Upsert(EpochRow)), {"name": SWITCHES, "count": 0})
        await self._rows.execute(
            update(EpochRow)
            .where(col(EpochRow.name) == SWITCHES)
            .values(count=col(EpochRow.count) + 1)
        )


class StoredDecisions:
    """Records of decisions: added once, never changed."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    async def add(self, decision: DecisionRecord) -> None:
        """Keep a record."""
        await self._rows.execute(
            _ADD_DECISION,
            {
                "id": decision.id,
                "run": decision.run,
                "at": decision.at,
                "data": _decisions.dump(decision),
            },
        )

    async def get(self, id: DecisionId) -> DecisionRecord:
        """Return a record, or raise NotFound."""
        row = await self._rows.one(select(col(DecisionRow.data)).where(col(DecisionRow.id) == id))
        if row is None:
            raise NotFound(f"There is no decision {id[:40]}.")
        return _decisions.load(row.data)

    async def recent(self, limit: int = 100) -> Sequence[DecisionRecord]:
        """Return the newest records."""
        rows = await self._rows.all(
            select(col(DecisionRow.data)).order_by(col(DecisionRow.at).desc()).limit(limit)
        )
        return [_decisions.load(row.data) for row in rows]

    async def of(self, run: str) -> Sequence[DecisionRecord]:
        """Return the records of a run, oldest first."""
        rows = await self._rows.all(
            select(col(DecisionRow.data))
            .where(col(DecisionRow.run) == run)
            .order_by(col(DecisionRow.at))
        )
        return [_decisions.load(row.data) for row in rows]


def _short(key: str) -> str:
    """Return a key that fits into PostgreSQL's index, which takes some 2,700 bytes.

    One that is too long is told from any other by its hash.
    """
    if len(key) <= _LONGEST_KEY:
        return key
    return f"{key[:100]}…sha256:{sha256(key.encode(errors='replace')).hexdigest()}"


class StoredKeyed(Generic[T]):
    """Small records of one kind by key."""

    def __init__(self, rows: Rows, kind: str, codec: Codec[T]) -> None:
        self._rows = rows
        self._kind = kind
        self._codec = codec

    async def get(self, key: str) -> T | None:
        """Return a record, or None."""
        row = await self._rows.one(_KEYED, self._place(key))
        return self._codec.load(row.data) if row else None

    async def save(self, key: str, record: T) -> None:
        """Add a record or replace it."""
        await self._rows.execute(_SAVE_KEYED, self._row(key, record))

    async def add(self, key: str, record: T) -> bool:
        """Add a record; say False, and change nothing, where the key is taken."""
        result = await self._rows.execute(_ADD_KEYED, self._row(key, record))
        return result.rowcount == 1

    async def remove(self, key: str) -> None:
        """Forget a record."""
        await self._rows.execute(_REMOVE_KEYED, self._place(key))

    async def all(self) -> Mapping[str, T]:
        """Return every record by key."""
        rows = await self._rows.all(_ALL_KEYED, {"of_kind": self._kind})
        return {row.key: self._codec.load(row.data) for row in rows}

    def _place(self, key: str) -> Mapping[str, str]:
        return {"of_kind": self._kind, "by_key": _short(key)}

    def _row(self, key: str, record: T) -> Mapping[str, str]:
        return {"kind": self._kind, "key": _short(key), "data": self._codec.dump(record)}
