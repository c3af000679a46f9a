"""One unit of work: every repository over one connection."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection
from sqlalchemy.dialects.sqlite import insert as upsert

from bot.domain.errors import AlreadyDone
from bot.storage.alerts import StoredDeliveries, StoredGroups
from bot.storage.incidents import StoredIncidents, StoredPostmortems, StoredTimelines
from bot.storage.ledger import DraftedLedger
from bot.storage.messages import StoredMessages, StoredOutbox, StoredSlots, StoredSwitches
from bot.storage.prepared import Prepared
from bot.storage.rows import Rows
from bot.storage.runs import StoredEffects, StoredRuns
from bot.storage.tables import ReceiptRow

_WRITE_DOWN = Prepared(upsert(ReceiptRow).on_conflict_do_nothing())


class StoredTransaction:
    """Repositories that share a connection, and with it their fate."""

    def __init__(self, connection: Connection) -> None:
        rows = Rows(connection)
        self._rows = rows
        self.groups = StoredGroups(rows)
        self.deliveries = StoredDeliveries(rows)
        self.incidents = StoredIncidents(rows)
        self.timeline = StoredTimelines(rows)
        self.postmortems = StoredPostmortems(rows)
        self.runs = StoredRuns(rows)
        self.effects = StoredEffects(rows)
        self.ledger = DraftedLedger()
        self.outbox = StoredOutbox(rows)
        self.posted = StoredMessages(rows)
        self.switches = StoredSwitches(rows)
        self.slots = StoredSlots(rows)

    async def once(self, request: str, at: datetime) -> None:
        """Write a request down, or raise AlreadyDone where it was written before."""
        values: Mapping[str, object] = {"id": request, "at": at}
        result = await self._rows.execute(_WRITE_DOWN, values)
        if result.rowcount != 1:
            raise AlreadyDone(request)
