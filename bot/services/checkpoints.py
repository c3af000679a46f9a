"""Checkpoints: the ledger's size and root, signed, and kept outside of the database.

Sealing signs what the log has become; anchoring takes the note to places that
whoever can write to the database cannot reach. Before anything is signed, the
newest checkpoint must be the start of the tree as it stands; and at start-up
every anchor is compared. While something contradicts the ledger, `fault` says
what, nothing is signed any more, and the gate lets no effect happen: only a
person who restores the log on purpose ends that.

Times between two seals are measured by the event loop, so that a clock which
jumps by a day neither delays nor hurries them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from bot.domain.checkpoints import Checkpoint
from bot.domain.errors import Refused
from bot.domain.notes import SignedNote, Verify
from bot.ports import Anchor, Clock, Database, LedgerArchive, SignedCheckpoint
from bot.services.anchoring import STEADY, AnchorState, Keeper, Pace, attempted
from bot.services.comparing import Comparer, Evidence
from bot.services.origins import (
    Signer,
    adopt,
    filed_under,
    keys_in,
    named,
    origin_in,
    record_restoration,
    record_rotation,
    save_key,
    signed,
)

log = logging.getLogger(__name__)

_NOT_SEALED = "The record could not be sealed outside of the database; nothing was run."
_RECENT = 16  # checkpoints of a place that are compared after an anchor has failed
_AT_START = 1000  # and before the bot has started


@dataclass(frozen=True, kw_only=True)
class LedgerState:
    """How far the ledger is sealed and anchored; `error` is why sealing failed last."""

    size: int
    sealed_size: int
    newest: SignedCheckpoint | None
    anchors: tuple[AnchorState, ...]
    fault: str | None
    error: str | None


class CheckpointService:
    """Seals the ledger, sees to its anchors, and compares both with the database.

    A seal is made once `every_entries` have been appended, or `every_seconds`
    after the first that has none; `within` is how many seconds an effect waits
    for its intent to be anchored. Several processes may do this for one database.
    """

    def __init__(
        self,
        database: Database,
        archive: LedgerArchive,
        clock: Clock,
        *,
        signer: Signer,
        verify: Verify,
        origin: str,
        anchors: Sequence[Anchor] = (),
        every_entries: int = 64,
        every_seconds: float = 60.0,
        within: float = 5.0,
        pace: Pace = STEADY,
    ) -> None:
        self._database = database
        self._archive = archive
        self._clock = clock
        self._signer = signer
        self._base = origin
        self._every_entries = every_entries
        self._every_seconds = every_seconds
        self._within = within
        self._pace = pace
        self._comparer = Comparer(database, archive, base=origin, verify=verify, anchors=anchors)
        self._keepers = [self._keeper(anchor) for anchor in anchors]
        self._sealing = asyncio.Lock()
        self._committed = asyncio.Event()
        self._deadline: float | None = None
        self._newest: SignedCheckpoint | None = None
        self._origin: str | None = None  # the one that was compared with the anchors
        self._fault: str | None = None
        self._error: str | None = None
        self._loop: asyncio.Task[None] | None = None
        self._thorough: asyncio.Task[str | None] | None = None

    @property
    def fault(self) -> str | None:
        """Say what contradicts the ledger, if something does: then no effect may happen."""
        return self._fault

    async def start(self) -> None:
        """Compare with every anchor, hand them what they missed, and begin to seal.

        Where there are many checkpoints, the older ones are compared behind this:
        a newer one binds all that was before it, so they could only show that an
        anchor contradicts itself.

        Raises:
            Refused: the database belongs to a log of another name.
        """
        async with self._database.transaction() as tx:
            await adopt(tx, self._base)
        evidence = await self._comparer.gather(self._public)
        if not self._judge(evidence, await self._comparer.reasons(evidence.recent(_AT_START))):
            await self._take_up()
        if evidence.longest > _AT_START:
            self._thorough = asyncio.create_task(attempted(self._look_closer()), name="comparing")
        self._loop = asyncio.create_task(self._watch(), name="sealing")
        self.wake()

    async def stop(self) -> None:
        """Stop sealing and anchoring."""
        tasks: list[asyncio.Task[Any] | None] = [self._loop, self._thorough]
        for task in filter(None, tasks):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        for keeper in self._keepers:
            await keeper.stop()

    def wake(self) -> None:
        """Say that something was committed."""
        self._committed.set()

    async def seal(self, reason: str) -> SignedCheckpoint:
        """Return a checkpoint that covers every entry committed so far, and have it anchored.

        Where nothing was appended since the newest, that is the one. Anchoring
        goes on after this returns.

        Raises:
            Refused: the ledger contradicts what was sealed before.
        """
        async with self._sealing:
            await self._check_compared()
            return await self._sealed(reason, self._signer)

    async def ensure_covered(self, size_at_least: int = 0) -> None:
        """Seal what was committed, and wait until an anchor holds it.

        Raises:
            Refused: it did not succeed in time, or the ledger is contradicted.
        """
        error = await self._covered(size_at_least)
        if error is not None:
            log.error("an effect was refused, since its intent is not sealed: %s", error)
            raise Refused(_NOT_SEALED)

    async def state(self) -> LedgerState:
        """Return how far the ledger is sealed and anchored."""
        async with self._database.reading() as view:
            newest = await view.checkpoints.newest(await origin_in(view) or self._base)
        return LedgerState(
            size=await self._archive.size(),
            sealed_size=newest.size if newest else 0,
            newest=newest,
            anchors=tuple(keeper.state for keeper in self._keepers),
            fault=self._fault,
            error=self._error,
        )

    async def vkeys(self) -> Sequence[str]:
        """Return every verifier key this log has used, the newest last."""
        async with self._database.reading() as view:
            return await keys_in(view)

    async def compare(self) -> Sequence[str]:
        """Return every way in which anchors and stored checkpoints contradict the tree.

        The tree is taken for what its entries make it, which is for
        `LedgerArchive.verify` to say. An anchor that cannot be read contradicts
        nothing: that shows in `state`, and before an effect of R3 or R4.
        """
        evidence = await self._comparer.gather(self._public)
        return self._judge(evidence, await self._comparer.reasons(evidence))

    async def rotate(self, signer: Signer, *, by: str = "system") -> SignedCheckpoint:
        """Sign with another key from now on; return the checkpoint that both have signed.

        It is what leads from the old key to the new. Should this break off
        before it is made, the old key stays in force and rotating is repeated.

        Raises:
            Refused: it is the same key, or the ledger contradicts what was sealed before.
        """
        if signer.verifier.public == self._public:
            raise Refused("The new key is the one that is in use already.")
        async with self._sealing:
            await self._check_compared()
            checkpoint = await self._rotated(signer, by)
            while len(SignedNote.parse(checkpoint.note).signatures) < 2:
                # Another process has sealed that very size with the old key alone.
                checkpoint = await self._rotated(signer, by)
            self._signer = signer
        return checkpoint

    async def restore(self, reason: str, *, by: str) -> SignedCheckpoint:
        """Go on from what the database holds, under a new origin, though anchors contradict it.

        The entry that says so carries the newest checkpoint that is known, so
        that everybody can see what was lost.

        Raises:
            Refused: nothing contradicts the ledger; or the new origin could not be
                anchored, and restoring has to be repeated once it can be.
        """
        if not await self.compare():
            raise Refused("Nothing contradicts the ledger, so there is nothing to restore.")
        async with self._sealing:
            await self._begin_anew(reason, by=by)
        error = await self._covered(0)
        if await self.compare() or error is not None:
            why = error or self._fault
            raise Refused(f"The restored ledger could not be anchored ({why}); restore it again.")
        return await self.seal("restored")

    def _judge(self, evidence: Evidence, reasons: Sequence[str]) -> Sequence[str]:
        """Take note of what a comparison found."""
        for keeper in self._keepers:
            keeper.unreadable = evidence.unreadable.get(keeper.anchor.name)
        self._fault = reasons[0] if reasons else None
        self._origin = None if reasons else evidence.names.origin
        for reason in reasons:
            log.critical("the ledger is contradicted: %s", reason)
        return reasons

    async def _look_closer(self) -> None:
        """Compare everything; what was found in the meantime is not forgotten over it."""
        evidence = await self._comparer.gather(self._public)
        for reason in await self._comparer.reasons(evidence):
            self._fail(reason)

    @property
    def _public(self) -> bytes:
        return self._signer.verifier.public

    def _keeper(self, anchor: Anchor) -> Keeper:
        return Keeper(
            anchor,
            self._archive.consistency,
            confirmed=self._confirm,
            doubted=self._doubt,
            pace=self._pace,
        )

    async def _check_compared(self) -> None:
        """Refuse to sign what contradicts an anchor, or was never compared with any."""
        if self._origin is None and self._fault is None:
            await self.compare()
        self._check_sound()

    def _check_sound(self) -> None:
        if self._fault is not None:
            raise Refused(f"The ledger is contradicted and cannot be sealed: {self._fault}")

    def _fail(self, reason: str) -> NoReturn:
        self._fault = reason
        log.critical("the ledger is contradicted: %s", reason)
        raise Refused(f"The ledger is contradicted and cannot be sealed: {reason}")

    async def _take_up(self) -> None:
        async with self._database.reading() as view:
            self._newest = await view.checkpoints.newest(await origin_in(view))
        if self._newest is not None:
            self._offer(self._newest)

    def _offer(self, checkpoint: SignedCheckpoint) -> None:
        for keeper in self._keepers:
            keeper.offer(checkpoint)

    async def _sealed(self, reason: str, *signers: Signer) -> SignedCheckpoint:
        """Sign the tree as it is. Called under the lock that keeps seals in order."""
        async with self._database.reading() as view:
            origin = await origin_in(view) or self._base
            newest = await view.checkpoints.newest(origin)
        if origin != self._origin:  # whoever can write to the database can write that too
            self._fail(f"The database calls the log {origin}, and it was {self._origin}.")
        size = await self._continued(newest, origin)
        if newest is None or newest.size < size:
            checkpoint = Checkpoint(origin=origin, size=size, root=await self._archive.root(size))
            note = await asyncio.to_thread(signed, checkpoint, signers)
            newest = await self._store(checkpoint, note, signers)
            log.info("the ledger was sealed at %d entries: %s", size, reason)
        self._newest = newest
        self._offer(newest)
        return newest

    async def _continued(self, stored: SignedCheckpoint | None, origin: str) -> int:
        """Return the tree's size, if what was sealed before is its start."""
        size = await self._archive.size()
        for known in {stored, self._newest}:
            if known is None or known.origin != origin:
                continue
            if known.size > size:
                self._fail(f"{known.size} entries were sealed, and the database has only {size}.")
            if await self._root(known.size) != known.root:
                self._fail(f"The first {known.size} entries are not those that were sealed.")
        return size

    async def _root(self, size: int) -> bytes | None:
        try:
            return await self._archive.root(size)
        except ValueError:  # a node is missing
            return None

    async def _store(
        self, checkpoint: Checkpoint, note: bytes, signers: Sequence[Signer]
    ) -> SignedCheckpoint:
        """Store a checkpoint; return the newest one then, whichever process stored it."""
        fresh = SignedCheckpoint(
            origin=checkpoint.origin,
            size=checkpoint.size,
            root=checkpoint.root,
            note=note,
            at=self._clock.now(),
        )
        async with self._database.transaction() as tx:
            before = await tx.checkpoints.newest(fresh.origin)
            if before is not None:
                # The newest is found by its time, which a clock that is set back must not change.
                fresh = replace(fresh, at=max(fresh.at, before.at))
            await tx.checkpoints.add(fresh)
            for signer in signers:
                await save_key(tx, named(signer, fresh.origin))
            stands = await tx.checkpoints.newest(fresh.origin) or fresh
        if stands.size == fresh.size and stands.root != fresh.root:
            self._fail(f"{fresh.size} entries were sealed with another root.")
        return stands

    async def _rotated(self, signer: Signer, by: str) -> SignedCheckpoint:
        async with self._database.transaction() as tx:
            origin = await origin_in(tx) or self._base
            old, new = named(self._signer, origin), named(signer, origin)
            await record_rotation(tx, old, new, by=by, at=self._clock.now())
        return await self._sealed("the key is rotated", self._signer, signer)

    async def _begin_anew(self, reason: str, *, by: str) -> None:
        evidence = await self._comparer.gather(self._public)
        key = named(self._signer, evidence.names.at(evidence.generation + 1))
        async with self._database.transaction() as tx:
            await record_restoration(
                tx, key, last=evidence.newest, reason=reason, by=by, at=self._clock.now()
            )
        self._newest, self._fault, self._origin = None, None, key.name

    async def _covered(self, size_at_least: int) -> str | None:
        """Return why no anchor holds what was committed, or None where one does."""
        try:
            async with asyncio.timeout(self._within):
                return await attempted(self._cover(size_at_least))
        except TimeoutError:
            failed = [f"{s.name}: {s.error}" for s in (k.state for k in self._keepers) if s.error]
            return f"no anchor held it within {self._within:g} s; {'; '.join(failed)}"

    async def _cover(self, size_at_least: int) -> None:
        checkpoint = await self.seal("an effect is about to happen")
        if checkpoint.size < size_at_least:
            raise Refused(f"Only {checkpoint.size} of {size_at_least} entries are sealed.")
        for keeper in self._keepers:
            keeper.hurry()
        waits = [asyncio.create_task(keeper.holding(checkpoint)) for keeper in self._keepers]
        try:
            if waits:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        self._check_sound()

    async def _watch(self) -> None:
        """Seal whenever it is due, for as long as the bot runs."""
        pause = self._pace.first_retry
        while True:
            await self._woken()
            self._error = await attempted(self._seal_if_due())
            if self._error is None:
                pause = self._pace.first_retry
                continue
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._pace.longest_retry)
            self.wake()

    async def _woken(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(self._deadline):
                await self._committed.wait()
        self._committed.clear()

    async def _seal_if_due(self) -> None:
        sealed = self._newest.size if self._newest else 0
        # Fewer entries than were sealed count as well: the seal finds out why.
        unsealed = abs(await self._archive.size() - sealed)
        now = asyncio.get_running_loop().time()
        if not unsealed:
            self._deadline = None
            return
        if self._deadline is None:
            self._deadline = now + self._every_seconds
        if unsealed >= self._every_entries or now >= self._deadline:
            await self.seal("it was due")
            self._deadline = None

    async def _confirm(self, anchor: Anchor, checkpoint: SignedCheckpoint, receipt: bytes) -> None:
        place = filed_under(anchor.name, checkpoint.origin, base=self._base)
        async with self._database.transaction() as tx:
            await tx.checkpoints.anchored(
                place, size=checkpoint.size, receipt=receipt, at=self._clock.now()
            )

    async def _doubt(self, anchor: Anchor) -> None:
        """Compare what an anchor that has failed holds: it may have refused a forgery."""
        evidence = await self._comparer.gather(self._public, only=anchor)
        for reason in await self._comparer.doubts(evidence.recent(_RECENT)):
            self._fail(reason)
