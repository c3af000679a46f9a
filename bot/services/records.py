"""What governs and what was recorded, for people who look: entries, proofs, decisions, plans."""

from __future__ import annotations

from collections.abc import Sequence

from bot.domain.approvals import could_approve
from bot.domain.breakers import Breaker
from bot.domain.checkpoints import LogProof
from bot.domain.decisions import DecisionId, DecisionRecord
from bot.domain.entries import LOOKED_THROUGH, EntryFilter, ShownEntry, shown
from bot.domain.errors import Refused
from bot.domain.people import Standing
from bot.domain.runs import Run, RunState
from bot.ports import Database, LedgerArchive, SignedCheckpoint


class RecordService:
    """Reads what governance has written; nothing is changed here."""

    def __init__(self, database: Database, archive: LedgerArchive) -> None:
        self._database = database
        self._archive = archive

    async def entries(
        self, wanted: EntryFilter, *, before: int | None = None, limit: int = 50
    ) -> Sequence[ShownEntry]:
        """Return the newest wanted entries before an index, newest first."""
        found: list[ShownEntry] = []
        sealed = await self._archive.entries(before=before, limit=LOOKED_THROUGH, newest_first=True)
        for row in sealed:
            entry = shown(row)
            if wanted.wants(entry.header):
                found.append(entry)
            if len(found) == limit:
                break
        return found

    async def entry(self, seq: int) -> ShownEntry:
        """Return one entry, or raise NotFound."""
        return shown(await self._archive.entry(seq))

    async def leaf(self, seq: int) -> bytes:
        """Return the exact bytes of an entry's leaf, or raise NotFound."""
        leaf = (await self._archive.entry(seq)).leaf
        if not isinstance(leaf, bytes):
            raise Refused("The leaf of this entry is damaged.")
        return leaf

    async def proof(self, seq: int) -> bytes:
        """Return the C2SP tlog-proof of an entry under the newest checkpoint.

        Raises:
            Refused: no checkpoint covers it yet.
        """
        newest = await self.newest_checkpoint()
        if newest is None or seq >= newest.size:
            raise Refused("No checkpoint covers this entry yet; one is made within a minute.")
        hashes = await self._archive.inclusion(seq, newest.size)
        return LogProof(index=seq, hashes=tuple(hashes), checkpoint=newest.note).write()

    async def newest_checkpoint(self) -> SignedCheckpoint | None:
        """Return the newest signed checkpoint."""
        async with self._database.reading() as view:
            return await view.checkpoints.newest()

    async def decisions(self, limit: int = 100) -> Sequence[DecisionRecord]:
        """Return the newest decisions."""
        async with self._database.reading() as view:
            return await view.decisions.recent(limit)

    async def decision(self, id: DecisionId) -> DecisionRecord:
        """Return a decision, or raise NotFound."""
        async with self._database.reading() as view:
            return await view.decisions.get(id)

    async def breakers(self) -> Sequence[Breaker]:
        """Return every breaker that has counted something."""
        async with self._database.reading() as view:
            return list((await view.breakers.all()).values())

    async def awaiting(self) -> Sequence[Run]:
        """Return the runs whose plans wait for answers, oldest first."""
        async with self._database.reading() as view:
            runs = await view.runs.recent(limit=500)
        return [run for run in reversed(runs) if run.state is RunState.AWAITING]

    async def waiting_for(self, standing: Standing) -> Sequence[Run]:
        """Return the runs that this person could approve now, oldest first."""
        return [
            run
            for run in await self.awaiting()
            if run.approval is not None and could_approve(run.approval, standing)
        ]
