"""One unit of work: every repository over one connection."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from bot.domain.autonomy import Autonomy
from bot.domain.breakers import Breaker
from bot.domain.emergencies import BreakGlass, PreAuthorisation
from bot.domain.errors import AlreadyDone
from bot.domain.known_errors import KnownError
from bot.ports import AdoptedPolicy, Hold, Privacy
from bot.storage.alerts import StoredDeliveries, StoredGroups
from bot.storage.checkpoints import StoredCheckpoints
from bot.storage.codec import Codec
from bot.storage.embeddings import StoredEmbeddings
from bot.storage.governance import StoredDecisions, StoredKeyed, StoredSwitches
from bot.storage.incidents import StoredIncidents, StoredPostmortems, StoredTimelines
from bot.storage.labels import StoredSearchLabels
from bot.storage.ledger import DraftedLedger
from bot.storage.messages import StoredMessages, StoredOutbox, StoredSlots
from bot.storage.outputs import StoredRunbookUsage, StoredRunOutputs
from bot.storage.prepared import Prepared
from bot.storage.rows import Rows
from bot.storage.runs import StoredEffects, StoredRuns
from bot.storage.tables import ReceiptRow
from bot.storage.upserts import Upsert

_BREAKERS = Codec(Breaker)
_AUTONOMY = Codec(Autonomy)
_GLASSES = Codec(BreakGlass)
_AUTHORISATIONS = Codec(PreAuthorisation)
_TEXTS = Codec(str)
_HOLDS = Codec(Hold)
_POLICIES = Codec(AdoptedPolicy)
_KNOWN_ERRORS = Codec(KnownError)
_WRITE_DOWN = Prepared(Upsert(ReceiptRow))


class StoredTransaction:
    """Repositories that share a connection, and with it their fate.

    `embeddings` is the repository of vectors that the database is good for.
    """

    def __init__(
        self,
        rows: Rows,
        privacy: Privacy,
        embeddings: type[StoredEmbeddings] = StoredEmbeddings,
    ) -> None:
        self._rows = rows
        self.groups = StoredGroups(rows)
        self.deliveries = StoredDeliveries(rows)
        self.incidents = StoredIncidents(rows)
        self.timeline = StoredTimelines(rows)
        self.postmortems = StoredPostmortems(rows)
        self.runs = StoredRuns(rows)
        self.effects = StoredEffects(rows)
        self.ledger = DraftedLedger(privacy, rows)
        self.outbox = StoredOutbox(rows)
        self.posted = StoredMessages(rows)
        self.switches = StoredSwitches(rows)
        self.slots = StoredSlots(rows)
        self.decisions = StoredDecisions(rows)
        self.checkpoints = StoredCheckpoints(rows)
        self.breakers = StoredKeyed(rows, "breaker", _BREAKERS)
        self.autonomy = StoredKeyed(rows, "autonomy", _AUTONOMY)
        self.glasses = StoredKeyed(rows, "break-glass", _GLASSES)
        self.authorisations = StoredKeyed(rows, "pre-authorisation", _AUTHORISATIONS)
        self.reservations = StoredKeyed(rows, "reservation", _TEXTS)
        self.holds = StoredKeyed(rows, "legal-hold", _HOLDS)
        self.policies = StoredKeyed(rows, "policy", _POLICIES)
        self.keys = StoredKeyed(rows, "verifier-key", _TEXTS)
        self.outputs = StoredRunOutputs(rows)
        self.usage = StoredRunbookUsage(rows)
        self.labels = StoredSearchLabels(rows)
        self.embeddings = embeddings(rows)
        self.known_errors = StoredKeyed(rows, "known-error", _KNOWN_ERRORS)

    async def once(self, request: str, at: datetime) -> None:
        """Write a request down, or raise AlreadyDone where it was written before."""
        values: Mapping[str, object] = {"id": request, "at": at}
        result = await self._rows.execute(_WRITE_DOWN, values)
        if result.rowcount != 1:
            raise AlreadyDone(request)
