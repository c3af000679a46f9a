"""What governs effects: kill switches, records of decisions, and small records by key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

from sqlalchemy import delete, insert, select
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlmodel import col

from bot.domain.decisions import DecisionId, DecisionRecord
from bot.domain.errors import NotFound
from bot.domain.people import Person
from bot.domain.switches import Halt
from bot.storage.codec import Codec
from bot.storage.prepared import Prepared
from bot.storage.rows import Rows
from bot.storage.tables import DecisionRow, EpochRow, KeyedRow, SwitchRow

T = TypeVar("T")

SWITCHES = "switches"

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
        row = await self._rows.one(
            select(col(EpochRow.count).label("total")).where(col(EpochRow.name) == SWITCHES)
        )
        return int(row.total) if row else 0

    async def _count(self) -> None:
        first = upsert(EpochRow).values(name=SWITCHES, count=1)
        await self._rows.execute(
            first.on_conflict_do_update(
                index_elements=["name"], set_={"count": col(EpochRow.count) + 1}
            )
        )


class StoredDecisions:
    """Records of decisions: added once, never changed."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    async def add(self, decision: DecisionRecord) -> None:
        """Keep a record."""
        await self._rows.execute(
            insert(DecisionRow),
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


class StoredKeyed(Generic[T]):
    """Small records of one kind by key."""

    def __init__(self, rows: Rows, kind: str, codec: Codec[T]) -> None:
        self._rows = rows
        self._kind = kind
        self._codec = codec

    async def get(self, key: str) -> T | None:
        """Return a record, or None."""
        row = await self._rows.one(
            select(col(KeyedRow.data)).where(
                col(KeyedRow.kind) == self._kind, col(KeyedRow.key) == key
            )
        )
        return self._codec.load(row.data) if row else None

    async def save(self, key: str, record: T) -> None:
        """Add a record or replace it."""
        statement = upsert(KeyedRow)
        await self._rows.execute(
            statement.on_conflict_do_update(
                index_elements=["kind", "key"], set_={"data": statement.excluded.data}
            ),
            self._row(key, record),
        )

    async def add(self, key: str, record: T) -> bool:
        """Add a record; say False, and change nothing, where the key is taken."""
        statement = upsert(KeyedRow).on_conflict_do_nothing()
        result = await self._rows.execute(statement, self._row(key, record))
        return result.rowcount == 1

    async def remove(self, key: str) -> None:
        """Forget a record."""
        await self._rows.execute(
            delete(KeyedRow).where(col(KeyedRow.kind) == self._kind, col(KeyedRow.key) == key)
        )

    async def all(self) -> Mapping[str, T]:
        """Return every record by key."""
        rows = await self._rows.all(
            select(col(KeyedRow.key), col(KeyedRow.data))
            .where(col(KeyedRow.kind) == self._kind)
            .order_by(col(KeyedRow.key))
        )
        return {row.key: self._codec.load(row.data) for row in rows}

    def _row(self, key: str, record: T) -> Mapping[str, str]:
        return {"kind": self._kind, "key": key, "data": self._codec.dump(record)}
