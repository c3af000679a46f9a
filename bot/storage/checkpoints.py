"""Signed checkpoints of the ledger, and which anchors hold them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlmodel import col

from bot.ports import Receipt, SignedCheckpoint
from bot.storage.prepared import Prepared
from bot.storage.rows import Rows
from bot.storage.tables import CheckpointRow, ReceiptOfAnchorRow
from bot.storage.upserts import Upsert

_COLUMNS = tuple(CheckpointRow.__table__.columns)  # type: ignore[attr-defined]  # added by SQLModel
_ADD = Prepared(Upsert(CheckpointRow))
_ADD_RECEIPT = Prepared(Upsert(ReceiptOfAnchorRow))


class StoredCheckpoints:
    """Signed checkpoints, and where they are anchored."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    async def add(self, checkpoint: SignedCheckpoint) -> None:
        """Keep a checkpoint; a second one of the same origin and size replaces nothing."""
        await self._rows.execute(
            _ADD,
            {
                "origin": checkpoint.origin,
                "size": checkpoint.size,
                "at": checkpoint.at,
                "root": checkpoint.root,
                "note": checkpoint.note,
            },
        )

    async def newest(self, origin: str | None = None) -> SignedCheckpoint | None:
        """Return the newest checkpoint, of one origin or of any."""
        at, size = col(CheckpointRow.at).desc(), col(CheckpointRow.size).desc()
        statement = select(*_COLUMNS).order_by(at, size)
        if origin is not None:  # within one log, what is larger is newer, whatever a clock said
            of_it = col(CheckpointRow.origin) == origin
            statement = select(*_COLUMNS).where(of_it).order_by(size)
        row = await self._rows.one(statement)
        return _checkpoint(row) if row else None

    async def all(self) -> Sequence[SignedCheckpoint]:
        """Return every checkpoint in the order in which they were made."""
        rows = await self._rows.all(
            select(*_COLUMNS).order_by(col(CheckpointRow.at), col(CheckpointRow.size))
        )
        return [_checkpoint(row) for row in rows]

    async def anchored(self, anchor: str, *, size: int, receipt: bytes, at: datetime) -> None:
        """Remember that an anchor holds the checkpoint of a size, with its receipt."""
        await self._rows.execute(
            _ADD_RECEIPT,
            {"anchor": anchor, "size": size, "at": at, "receipt": receipt},
        )

    async def receipts(self) -> Sequence[Receipt]:
        """Return what anchors have confirmed, oldest first."""
        columns = tuple(ReceiptOfAnchorRow.__table__.columns)  # type: ignore[attr-defined]  # added by SQLModel
        rows = await self._rows.all(
            select(*columns).order_by(col(ReceiptOfAnchorRow.at), col(ReceiptOfAnchorRow.size))
        )
        return [
            Receipt(anchor=row.anchor, size=row.size, receipt=row.receipt, at=row.at)
            for row in rows
        ]


def _checkpoint(row: Any) -> SignedCheckpoint:
    return SignedCheckpoint(
        origin=row.origin, size=row.size, root=row.root, note=row.note, at=row.at
    )
