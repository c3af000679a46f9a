"""A ledger with its checkpoints and anchors, run in a folder, and what an attacker does to it."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bot.domain.notes import Signature, SignedNote, VerifierKey
from bot.ledger.anchors.files import FileAnchor
from bot.ledger.signing import FileKey, verify_ed25519
from bot.ports import Anchor, AnchorFailed, Proof, SignedCheckpoint
from bot.services.anchoring import Pace
from bot.services.checkpoints import CheckpointService
from bot.services.origins import Signer
from bot.storage.sqlite import SqliteDatabase
from tests.fakes import FakeClock
from tests.storage.opened import entry, until

ORIGIN = "tocsin.example/log"
QUICK = Pace(first_retry=0.01, longest_retry=0.05, within=2)


def key(seed: int = 1) -> FileKey:
    return FileKey(Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32), ORIGIN)


class Memory:
    """An anchor in memory that fails when told to, and forgets nothing."""

    def __init__(self, name: str = "memory") -> None:
        self.name = name
        self.notes: list[bytes] = []
        self.sizes: list[int] = []
        self.failing: str | None = None
        self.unreadable: str | None = None
        self.slow = 0.0

    async def keep(self, checkpoint: SignedCheckpoint, *, proof: Proof) -> bytes:
        await asyncio.sleep(self.slow)
        if self.failing:
            raise AnchorFailed(self.failing)
        self.notes.append(checkpoint.note)
        self.sizes.append(checkpoint.size)
        return b"kept"

    async def kept(self) -> Sequence[bytes]:
        if self.unreadable:
            raise AnchorFailed(self.unreadable)
        return list(self.notes)


@dataclass
class Ledger:
    """One process's view of a ledger under way."""

    database: SqliteDatabase
    service: CheckpointService
    clock: FakeClock
    anchors: Sequence[Anchor] = field(default_factory=tuple)

    async def append(self, count: int = 1, *, start: int = 0) -> None:
        async def one(number: int) -> None:
            async with self.database.transaction() as tx:
                await tx.ledger.append(entry(number))

        await asyncio.gather(*(one(start + n) for n in range(count)))

    async def anchored(self) -> None:
        """Wait until every anchor holds the newest checkpoint."""
        newest = (await self.service.state()).newest
        assert newest is not None
        keepers = self.service._keepers
        await until(lambda: all(k.state.size == newest.size for k in keepers))


@asynccontextmanager
async def running(
    folder: Path,
    *,
    anchors: Sequence[Anchor] | None = None,
    signer: Signer | None = None,
    origin: str = ORIGIN,
    clock: FakeClock | None = None,
    every_entries: int = 1000,
    every_seconds: float = 600,
    within: float = 2,
) -> AsyncIterator[Ledger]:
    """Run the ledger of a folder; unless told otherwise it seals only when asked to."""
    clock = clock or FakeClock()
    database = SqliteDatabase(folder / "tocsin.db", clock)
    database.open()
    anchors = [FileAnchor(folder / "anchor")] if anchors is None else anchors
    service = CheckpointService(
        database,
        database.archive,
        clock,
        signer=signer or key(),
        verify=verify_ed25519,
        origin=origin,
        anchors=anchors,
        every_entries=every_entries,
        every_seconds=every_seconds,
        within=within,
        pace=QUICK,
    )
    database.on_commit(service.wake)
    try:
        await service.start()
        yield Ledger(database=database, service=service, clock=clock, anchors=anchors)
    finally:
        await service.stop()
        await database.close()


async def sealed(
    folder: Path, sizes: Sequence[int], *, start: int = 0, signer: Signer | None = None
) -> None:
    """Bring the ledger of a folder to several sizes, sealed and anchored at each."""
    async with running(folder, signer=signer) as ledger:
        for size in sizes:
            grown = size - await ledger.database.archive.size()
            await ledger.append(grown, start=start)
            await ledger.service.ensure_covered(size)


async def reasons_in(folder: Path, **options: object) -> Sequence[str]:
    """Start the ledger of a folder and return what contradicts it."""
    async with running(folder, **options) as ledger:  # type: ignore[arg-type]  # as in `running`
        reasons = await ledger.service.compare()
        assert (ledger.service.fault is None) == (not reasons)
        return reasons


def let_go(folder: Path) -> None:
    """See that nobody has a database open, and that all of it is in its file.

    A connection that only reads leaves the log behind when it is the last.
    """
    with closing(sqlite3.connect(folder / "tocsin.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert not (folder / "tocsin.db-wal").exists(), "the database is still open"


def sql(folder: Path, *statements: str) -> None:
    """Change a database behind everybody's back."""
    with closing(sqlite3.connect(folder / "tocsin.db")) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def cut(folder: Path, size: int) -> None:
    """Cut the ledger off after some entries, with every trace in the database."""
    sql(
        folder,
        f"DELETE FROM ledger_entries WHERE seq >= {size}",
        f"DELETE FROM ledger_nodes WHERE ((position + 1) << level) > {size}",
        f"DELETE FROM checkpoints WHERE size > {size}",
        f"DELETE FROM anchor_receipts WHERE size > {size}",
    )


def backup(folder: Path, to: Path) -> None:
    """Copy a closed database, or put a copy back."""
    to.mkdir(exist_ok=True)
    let_go(folder)
    let_go(to)
    shutil.copy(folder / "tocsin.db", to / "tocsin.db")


@dataclass
class Broken:
    """A key that cannot be reached until it can."""

    works: bool = False
    asked: int = 0
    key: FileKey = field(default_factory=key)

    @property
    def verifier(self) -> VerifierKey:
        return self.key.verifier

    def sign(self, message: bytes) -> bytes:
        self.asked += 1
        if not self.works:
            raise ConnectionError("the key service is down")
        return self.key.sign(message)


def signatures(note: bytes) -> Sequence[Signature]:
    return SignedNote.parse(note).signatures
