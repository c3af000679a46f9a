"""What people said of hits, one row for each word."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, select
from sqlmodel import col

from bot.ports import SearchLabel
from bot.storage.codec import Codec
from bot.storage.prepared import Prepared
from bot.storage.rows import Rows
from bot.storage.tables import SearchLabelRow
from bot.storage.upserts import Upsert

_labels = Codec(SearchLabel)
_OLDEST_FIRST = select(col(SearchLabelRow.data)).order_by(
    col(SearchLabelRow.at), col(SearchLabelRow.id)
)
_ADD = Prepared(Upsert(SearchLabelRow))
_ALL = Prepared(_OLDEST_FIRST)
_OF = Prepared(_OLDEST_FIRST.where(col(SearchLabelRow.subject) == bindparam("about")))


class StoredSearchLabels:
    """What people said of hits: rows are added and never changed."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    async def add(self, label: SearchLabel) -> bool:
        """Keep a label; say False, and change nothing, where its id is known already."""
        values = {
            "id": label.id,
            "subject": label.subject,
            "at": label.at,
            "data": _labels.dump(label),
        }
        result = await self._rows.execute(_ADD, values)
        return result.rowcount == 1

    async def all(self) -> Sequence[SearchLabel]:
        """Return all labels, oldest first."""
        return [_labels.load(row.data) for row in await self._rows.all(_ALL)]

    async def of(self, subject: str) -> Sequence[SearchLabel]:
        """Return what was said about one subject, oldest first."""
        return [_labels.load(row.data) for row in await self._rows.all(_OF, {"about": subject})]
