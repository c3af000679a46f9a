"""What the record of all that happened needs: secrecy, places elsewhere, and a store."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bot.domain.audits import Verdict
from bot.domain.errors import TocsinError
from bot.domain.ledger import Entry, Sealed


class Privacy(Protocol):
    """Keeps people's data apart from the record, so that it can be erased."""

    def pseudonym(self, reference: str) -> str:
        """Return what stands for a person in the record; software keeps its name."""
        ...

    def encrypt(self, body: bytes, subjects: Collection[str]) -> bytes:
        """Return a body so that nobody reads it without the key of every subject."""
        ...

    def decrypt(self, box: bytes, subjects: Collection[str]) -> bytes | None:
        """Return a body, or None where a key is gone.

        Raises:
            ValueError: the key is there, and this is not what was encrypted.
            KeysElsewhere: nobody here has any keys, so nothing is known.
        """
        ...

    def erase(self, reference: str) -> bool:
        """Destroy a subject's key; say False where there was none."""
        ...


class KeysUnfit(TocsinError):
    """Keys that are there and cannot be used: which, and why."""


class KeysElsewhere(Exception):
    """What is encrypted cannot be read here, which says nothing about it."""


@dataclass(frozen=True, kw_only=True)
class SignedCheckpoint:
    """A checkpoint as it was signed: a C2SP signed note. `size` counts the entries under it."""

    origin: str
    size: int
    root: bytes
    note: bytes
    at: datetime


class Anchor(Protocol):
    """A place outside of the database that remembers checkpoints."""

    @property
    def name(self) -> str:
        """Return a short name for people and records."""
        ...

    async def keep(self, checkpoint: SignedCheckpoint, *, proof: Proof) -> bytes:
        """Remember a checkpoint; return its receipt, which may be empty.

        Raises:
            AnchorFailed: it could not be kept, or contradicts what is kept.
        """
        ...

    async def kept(self) -> Sequence[bytes]:
        """Return the signed notes that are remembered, oldest first, as far as they can be read.

        Raises:
            AnchorFailed: the place cannot be read.
        """
        ...


class Proof(Protocol):
    """Proves that the log at one size is the start of the log at a later one."""

    def __call__(self, old: int, new: int) -> Awaitable[Sequence[bytes]]:
        """Return the hashes of the RFC 9162 consistency proof."""
        ...


class AnchorFailed(Exception):
    """A place outside of the database could not keep or show a checkpoint."""


class LedgerArchive(Protocol):
    """The ledger as it stands, to be read and proven; nothing of it is written here."""

    async def size(self) -> int:
        """Return the number of entries."""
        ...

    async def root(self, size: int) -> bytes:
        """Return the root the tree had at some size."""
        ...

    async def inclusion(self, seq: int, size: int) -> Sequence[bytes]:
        """Return the proof that an entry is in the tree of some size."""
        ...

    async def consistency(self, old: int, new: int) -> Sequence[bytes]:
        """Return the proof that the tree only grew from one size to another."""
        ...

    async def entry(self, seq: int) -> Sealed:
        """Return one entry, or raise NotFound."""
        ...

    async def entries(
        self,
        *,
        start: int = 0,
        before: int | None = None,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> Sequence[Sealed]:
        """Return entries from `start` up to, not including, `before`."""
        ...

    async def verify(self) -> Verdict:
        """Verify the whole ledger."""
        ...


class LedgerWriter(Protocol):
    """The ledger as use cases see it: entries are appended, and bodies at most erased."""

    async def append(self, entry: Entry) -> None:
        """Append an entry in this transaction."""
        ...

    async def telling_of(self, subject: str) -> Sequence[int]:
        """Return which entries have a body that tells of a person."""
        ...

    async def erase(self, seqs: Sequence[int]) -> None:
        """Remove the bodies of entries, with their salts; their leaves stay."""
        ...


class Checkpoints(Protocol):
    """Signed checkpoints, and where they are anchored."""

    async def add(self, checkpoint: SignedCheckpoint) -> None:
        """Keep a checkpoint; a second one of the same origin and size replaces nothing."""
        ...

    async def newest(self, origin: str | None = None) -> SignedCheckpoint | None:
        """Return the newest checkpoint, of one origin or of any."""
        ...

    async def all(self) -> Sequence[SignedCheckpoint]:
        """Return every checkpoint in the order in which they were made."""
        ...

    async def anchored(self, anchor: str, *, size: int, receipt: bytes, at: datetime) -> None:
        """Remember that an anchor holds the checkpoint of a size, with its receipt."""
        ...

    async def receipts(self) -> Sequence[Receipt]:
        """Return what anchors have confirmed, oldest first."""
        ...


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """An anchor's word that it holds the checkpoint of a size."""

    anchor: str
    size: int
    receipt: bytes
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Hold:
    """A legal hold: what it covers is not erased. `subject` is a person, an incident, or `all`."""

    subject: str
    by: str
    reason: str
    at: datetime
