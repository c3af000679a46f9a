"""Whether what is kept outside of the database agrees with what stands in it.

A database that was cut short, put back from an old backup, or rewritten as a
whole is sound in itself. What it cannot have is the checkpoints that were
handed out before: each names a size and the root the tree had then.

Nothing in the database is believed on its own word. The key in use comes from
outside; a past key counts only where a note signed by both leads to it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from bot.domain.checkpoints import BadCheckpoint, Checkpoint, open_checkpoint
from bot.domain.notes import BadNote, VerifierKey, Verify, open_note
from bot.ports import LedgerArchive

_LATER = re.compile(r"/([1-9][0-9]{0,5})")


@runtime_checkable
class Lasting(Protocol):
    """An anchor that shows for ever whatever it has confirmed once."""

    lasting: bool


@dataclass(frozen=True, kw_only=True)
class Names:
    """The log's name as it was set up, and the one it goes by since it was last restored."""

    base: str
    origin: str

    @property
    def generation(self) -> int:
        """Count the origins up to the one in force, from 1."""
        return self.generation_of(self.origin) or 0

    def generation_of(self, origin: str) -> int | None:
        """Return which origin of this log a name is, or None where it is another log's."""
        if origin == self.base:
            return 1
        later = _LATER.fullmatch(origin.removeprefix(self.base))
        known = later is not None and origin.startswith(self.base) and int(later[1]) > 1
        return int(later[1]) if known and later else None

    def at(self, generation: int) -> str:
        """Return the name of a later origin."""
        return f"{self.base}/{generation}"


@dataclass(frozen=True, kw_only=True)
class Trust:
    """Whose signatures count: public keys, by whatever origin they sign under."""

    publics: frozenset[bytes]
    verify: Verify

    def opened(self, note: bytes) -> Checkpoint:
        """Return what a note says, where a trusted key signed it.

        Raises:
            BadNote: nobody did, or it is no note.
            BadCheckpoint: it says something else.
        """
        keys = _named(origin_of(note), self.publics)
        return open_checkpoint(note, keys, self.verify)[0]


def trusted(
    signer: bytes, candidates: Collection[bytes], *, notes: Iterable[bytes], verify: Verify
) -> frozenset[bytes]:
    """Return the public keys that notes signed by two lead to from the signer's.

    Only keys of `candidates` come into question.
    """
    if not set(candidates) - {signer}:
        return frozenset({signer})
    every = {signer, *candidates}
    pairs = [signers for note in set(notes) if len(signers := _signers(note, every, verify)) > 1]
    found = {signer}
    while joined := [pair for pair in pairs if pair & found and pair - found]:
        found.update(*joined)
    return frozenset(found)


class Comparison:
    """One comparison of notes with the tree; what was found to agree is not asked again."""

    def __init__(self, archive: LedgerArchive, names: Names, trust: Trust) -> None:
        self._archive = archive
        self._names = names
        self._trust = trust
        self._agreed: dict[bytes, int] = {}
        self._roots: dict[int, bytes | None] = {}

    async def of(self, place: str, notes: Sequence[bytes]) -> tuple[list[str], int]:
        """Return how the notes of a place contradict the tree, and the latest generation there.

        The reasons are sentences that name the place. A place without notes
        has the generation 0.
        """
        # The size is read after the notes: what was signed since then only makes it larger.
        size = await self._archive.size()
        reasons, latest = [], 0
        for note in notes:
            generation = self._agreed.get(note)
            if generation is None:
                reason, generation = await self._judged(note, size)
                if reason is not None:
                    reasons.append(f"{place} {reason}.")
                    continue
                self._agreed[note] = generation
            latest = max(latest, generation)
        return reasons, latest

    async def _judged(self, note: bytes, size: int) -> tuple[str | None, int]:
        try:
            origin = origin_of(note)
            generation = self._names.generation_of(origin)
            if generation is None:
                return f"holds a checkpoint of another log, {origin[:200]}", 0
            if generation < self._names.generation:
                return None, generation  # the entry of the restoration has closed that account
            said = self._trust.opened(note)
        except (BadNote, BadCheckpoint) as error:
            return f"holds something that cannot be trusted: {error}", 0
        if generation > self._names.generation:
            reason = f"knows the log as {said.origin}: the database is from before it was restored"
            return reason, generation
        return await self._against_tree(said, size), generation

    async def _against_tree(self, said: Checkpoint, size: int) -> str | None:
        if said.size > size:
            return (
                f"holds a checkpoint of {said.size} entries, and the database has only {size}: "
                "its end was cut off, or it is an old copy"
            )
        if said.size not in self._roots:
            self._roots[said.size] = await self._root(said.size)
        if self._roots[said.size] != said.root:
            return f"holds another root for {said.size} entries: the history was rewritten"
        return None

    async def _root(self, size: int) -> bytes | None:
        try:
            return await self._archive.root(size)
        except ValueError:  # a node is missing, so that the tree has no such root
            return None


def origin_of(note: bytes) -> str:
    """Return the first line of a note, which is the origin where it is a checkpoint."""
    return note.partition(b"\n")[0].decode(errors="replace")


def _signers(note: bytes, publics: Collection[bytes], verify: Verify) -> frozenset[bytes]:
    try:
        keys = _named(origin_of(note), publics)
        return frozenset(key.public for key in open_note(note, keys, verify)[1])
    except (BadNote, BadCheckpoint):
        return frozenset()


def _named(origin: str, publics: Collection[bytes]) -> tuple[VerifierKey, ...]:
    return tuple(VerifierKey(name=origin, public=public) for public in publics)
