"""Alert groups and raw deliveries."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, insert, select, update
from sqlmodel import col

from bot.domain.alerts import AlertGroup, GroupId
from bot.domain.deliveries import Delivery, DeliveryState
from bot.domain.errors import NotFound
from bot.storage.codec import Codec
from bot.storage.prepared import Prepared
from bot.storage.rows import Rows
from bot.storage.tables import DeliveryRow, GroupRow
from bot.storage.upserts import Upsert

_groups = Codec(AlertGroup)


class StoredGroups:
    """Alert groups, each whole in one row."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    async def get(self, id: GroupId) -> AlertGroup:
        """Return a group, or raise NotFound."""
        row = await self._rows.one(_GROUP, {"group": id})
        if row is None:
            raise NotFound("This alert is not known any more.")
        return _groups.load(row.data)

    async def latest(self, source: str, group_key: str) -> AlertGroup | None:
        """Return the newest story of a group key."""
        row = await self._rows.one(_LATEST, {"source": source, "group_key": group_key})
        return _groups.load(row.data) if row else None

    async def save(self, group: AlertGroup) -> None:
        """Add a group or replace it."""
        values = {
            "id": group.id,
            "source": group.source,
            "group_key": group.group_key,
            "opened_at": group.first_seen,
            "firing": bool(group.firing),
            "data": _groups.dump(group),
        }
        await self._rows.execute(_SAVE_GROUP, values)

    async def firing(self, limit: int = 50) -> Sequence[AlertGroup]:
        """Return groups that still fire, newest first."""
        rows = await self._rows.all(
            select(col(GroupRow.data))
            .where(col(GroupRow.firing))
            .order_by(col(GroupRow.opened_at).desc())
            .limit(limit)
        )
        return [_groups.load(row.data) for row in rows]


# The statements on the way of every delivery.
_LATEST = Prepared(
    select(col(GroupRow.data))
    .where(
        col(GroupRow.source) == bindparam("source"),
        col(GroupRow.group_key) == bindparam("group_key"),
    )
    .order_by(col(GroupRow.opened_at).desc())
    .limit(1)
)
_SAVE_GROUP = Prepared(Upsert(GroupRow, key=("id",), update=("firing", "data")))
_GROUP = Prepared(select(col(GroupRow.data)).where(col(GroupRow.id) == bindparam("group")))


class StoredDeliveries:
    """Raw deliveries."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    async def add(self, delivery: Delivery) -> None:
        """Keep a delivery as it came."""
        await self._rows.execute(
            _ADD_DELIVERY,
            {
                "id": delivery.id,
                "source": delivery.source,
                "received_at": delivery.received_at,
                "state": delivery.state.value,
                "reason": delivery.reason,
                "headers": json.dumps(dict(delivery.headers)),
                "body": delivery.body,
            },
        )

    async def get(self, id: str) -> Delivery:
        """Return a delivery, or raise NotFound."""
        row = await self._rows.one(select(*_DELIVERY).where(col(DeliveryRow.id) == id))
        if row is None:
            raise NotFound(f"There is no delivery {id}.")
        return _delivery(row)

    async def find(self, state: DeliveryState, limit: int = 100) -> Sequence[Delivery]:
        """Return deliveries in a state, oldest first."""
        rows = await self._rows.all(
            select(*_DELIVERY)
            .where(col(DeliveryRow.state) == state.value)
            .order_by(col(DeliveryRow.received_at))
            .limit(limit)
        )
        return [_delivery(row) for row in rows]

    async def mark(self, id: str, state: DeliveryState, reason: str = "") -> None:
        """Change what became of a delivery."""
        await self._rows.execute(
            update(DeliveryRow)
            .where(col(DeliveryRow.id) == id)
            .values(state=state.value, reason=reason)
        )


_ADD_DELIVERY = Prepared(insert(DeliveryRow))
_DELIVERY = tuple(DeliveryRow.__table__.columns)  # type: ignore[attr-defined]  # added by SQLModel


def _delivery(row: Any) -> Delivery:
    return Delivery(
        id=row.id,
        source=row.source,
        received_at=row.received_at,
        body=row.body,
        headers=json.loads(row.headers),
        state=DeliveryState(row.state),
        reason=row.reason,
    )
