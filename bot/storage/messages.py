"""What goes out: the outbox and our own messages; and what happens once: slots of jobs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import bindparam, delete, insert, select, update
from sqlmodel import col

from bot.domain.events import Happening
from bot.domain.people import ChannelId
from bot.ports import MessageRef, Posted, Queued
from bot.storage.prepared import Prepared
from bot.storage.rows import Rows
from bot.storage.tables import OutboxRow, PostedRow, SlotRow
from bot.storage.upserts import Upsert


class StoredOutbox:
    """Events on their way to plugins."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    async def add(self, happening: Happening) -> None:
        """Queue an event; it is delivered after the commit, at least once."""
        await self._rows.execute(
            _ADD_EVENT,
            {
                "kind": happening.kind,
                "subject": happening.subject,
                "change": happening.change,
                "at": happening.at,
                "due_at": happening.at,
                "attempts": 0,
                "heard": "",
                "reason": "",
            },
        )

    async def due(self, *, now: datetime, limit: int) -> Sequence[Queued]:
        """Return events to deliver now, oldest first."""
        rows = await self._rows.all(_DUE, {"now": now, "most": limit})
        return [
            Queued(
                id=str(row.id),
                happening=Happening(
                    kind=row.kind, subject=row.subject, change=row.change, at=row.at
                ),
                attempts=row.attempts,
                heard=frozenset(filter(None, row.heard.split(","))),
            )
            for row in rows
        ]

    async def done(self, id: str) -> None:
        """Mark an event as heard by everyone."""
        await self._rows.execute(_END_EVENT, {"event": int(id)})

    async def retry(
        self, id: str, *, heard: Collection[str], due_at: datetime | None, reason: str
    ) -> None:
        """Keep an event for another attempt; without a time it is given up and kept."""
        await self._rows.execute(
            update(OutboxRow)
            .where(col(OutboxRow.id) == int(id))
            .values(
                heard=",".join(sorted(heard)),
                due_at=due_at,
                reason=reason[:500],
                attempts=col(OutboxRow.attempts) + 1,
            )
        )


_OUTBOX = tuple(OutboxRow.__table__.columns)  # type: ignore[attr-defined]  # added by SQLModel
_ADD_EVENT = Prepared(insert(OutboxRow))
_END_EVENT = Prepared(delete(OutboxRow).where(col(OutboxRow.id) == bindparam("event")))
_DUE = Prepared(
    select(*_OUTBOX)
    .where(col(OutboxRow.due_at) <= bindparam("now"))
    .order_by(col(OutboxRow.id))
    .limit(bindparam("most"))
)


class StoredMessages:
    """Where our own messages stand."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    async def get(self, key: str) -> Posted | None:
        """Return what is known of a message of ours."""
        row = await self._rows.one(_FIND_POSTED, {"by_key": key})
        if row is None:
            return None
        channel = ChannelId(row.channel)
        ref = MessageRef(channel=channel, id=row.message) if row.message else None
        return Posted(key=row.key, channel=channel, ref=ref, digest=row.digest)

    async def save(self, posted: Posted) -> None:
        """Remember a message."""
        await self._rows.execute(
            _SAVE_POSTED,
            {
                "key": posted.key,
                "channel": posted.ref.channel if posted.ref else posted.channel,
                "message": posted.ref.id if posted.ref else None,
                "digest": posted.digest,
            },
        )


_POSTED = tuple(PostedRow.__table__.columns)  # type: ignore[attr-defined]  # added by SQLModel
_FIND_POSTED = Prepared(select(*_POSTED).where(col(PostedRow.key) == bindparam("by_key")))
_SAVE_POSTED = Prepared(Upsert(PostedRow, key=("key",), update=("channel", "message", "digest")))
_TAKE_SLOT = Prepared(Upsert(SlotRow))


class StoredSlots:
    """Slots of scheduled jobs."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    async def take(self, job: str, slot: str) -> bool:
        """Claim a slot; exactly one caller ever gets True for it."""
        result = await self._rows.execute(_TAKE_SLOT, {"job": job, "slot": slot})
        return result.rowcount == 1
