"""Gathers what is known of the ledger outside of the database, and holds it against the tree."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bot.domain.checkpoints import BadCheckpoint, Checkpoint, read_checkpoint
from bot.domain.notes import BadNote, VerifierKey, Verify
from bot.ports import (
    Anchor,
    AnchorFailed,
    Database,
    LedgerArchive,
    Receipt,
    SignedCheckpoint,
)
from bot.services.agreement import Comparison, Lasting, Names, Trust, origin_of, trusted
from bot.services.origins import filed_under, keys_in, origin_in

WITHIN = 30.0  # seconds for an anchor to show what it holds
_DASH = "\n\u2014 ".encode()


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What there is to compare; read before the size of the tree, never after.

    `notes` and `unreadable` are by the names of anchors; `spoiled` is why what
    the database says of its checkpoints could not be read.
    """

    names: Names
    trust: Trust
    rows: Sequence[SignedCheckpoint]
    receipts: Sequence[Receipt]
    notes: Mapping[str, Sequence[bytes]]
    unreadable: Mapping[str, str]
    spoiled: str | None = None

    @property
    def longest(self) -> int:
        """Count the checkpoints where most of them are."""
        return max(map(len, (self.rows, *self.notes.values())))

    def recent(self, count: int) -> Evidence:
        """Return only the last checkpoints of each place; each binds all that came before it."""
        notes = {place: notes[-count:] for place, notes in self.notes.items()}
        return replace(self, rows=self.rows[-count:], notes=notes)

    @property
    def newest(self) -> bytes | None:
        """Return the newest note that is known; one that can be trusted goes first."""
        known = [(*place, note) for note in self._every if (place := self._place(note))]
        return max(known, default=(False, 0, 0, None), key=lambda each: each[:3])[3]

    @property
    def generation(self) -> int:
        """Return the latest generation of origins that is heard of anywhere."""
        heard = [place[1] for note in self._every if (place := self._place(note))]
        return max([*heard, self.names.generation])

    @property
    def _every(self) -> set[bytes]:
        return {row.note for row in self.rows}.union(*self.notes.values())

    def _place(self, note: bytes) -> tuple[bool, int, int] | None:
        try:
            said = read_checkpoint(note)
        except BadCheckpoint:
            return None
        generation = self.names.generation_of(said.origin)
        return None if generation is None else (self._signed(note), generation, said.size)

    def _signed(self, note: bytes) -> bool:
        try:
            self.trust.opened(note)
        except (BadNote, BadCheckpoint):
            return False
        return True


@dataclass(frozen=True, kw_only=True)
class _Stored:
    """What the database says of its checkpoints."""

    origin: str
    publics: Sequence[bytes] = ()
    rows: Sequence[SignedCheckpoint] = ()
    receipts: Sequence[Receipt] = ()
    spoiled: str | None = None


class Comparer:
    """Compares anchors and stored checkpoints with the tree."""

    def __init__(
        self,
        database: Database,
        archive: LedgerArchive,
        *,
        base: str,
        verify: Verify,
        anchors: Sequence[Anchor],
    ) -> None:
        self._database = database
        self._archive = archive
        self._base = base
        self._verify = verify
        self._anchors = anchors

    async def gather(self, public: bytes, *, only: Anchor | None = None) -> Evidence:
        """Return what is known; `public` is the key in use, which alone is believed."""
        stored = await self._stored()
        notes, unreadable = await self._shown(self._anchors if only is None else [only])
        every = [row.note for row in stored.rows] + [n for each in notes.values() for n in each]
        publics = trusted(
            public,
            stored.publics,
            notes=[note for note in every if note.count(_DASH) > 1],
            verify=self._verify,
        )
        return Evidence(
            names=Names(base=self._base, origin=stored.origin),
            trust=Trust(publics=publics, verify=self._verify),
            rows=stored.rows,
            receipts=stored.receipts,
            notes=notes,
            unreadable=unreadable,
            spoiled=stored.spoiled,
        )

    async def reasons(self, evidence: Evidence) -> list[str]:
        """Return every contradiction, in one sentence each."""
        reasons, sealed_as, known_as = await self._judged(evidence)
        return reasons or _unconfirmed(evidence.names, sealed_as, known_as)

    async def doubts(self, evidence: Evidence) -> list[str]:
        """Return contradictions where only some of the anchors have been asked."""
        return (await self._judged(evidence))[0]

    async def _judged(self, evidence: Evidence) -> tuple[list[str], int, list[int]]:
        """Return contradictions, and as which generations database and anchors know the log."""
        if evidence.spoiled is not None:
            return [evidence.spoiled], 0, []
        comparison = Comparison(self._archive, evidence.names, evidence.trust)
        stored, sealed_as = await comparison.of("The database", [r.note for r in evidence.rows])
        reasons = stored or [misfit for row in evidence.rows if (misfit := _misfit(row))]
        known_as = []
        for place, notes in evidence.notes.items():
            found, generation = await comparison.of(place, notes)
            reasons += found or self._lost(place, evidence)
            known_as += [generation] if notes else []
        return reasons, sealed_as, known_as

    async def _stored(self) -> _Stored:
        """Read what the database says; SQLite takes any value in any column."""
        try:
            async with self._database.reading() as view:
                return _Stored(
                    origin=await origin_in(view) or self._base,
                    publics=[VerifierKey.parse(key).public for key in await keys_in(view)],
                    rows=[_checked(row) for row in await view.checkpoints.all()],
                    receipts=await view.checkpoints.receipts(),
                )
        except (ValueError, TypeError) as error:
            reason = f"What the database says of its checkpoints cannot be read: {error}."
            return _Stored(origin=self._base, spoiled=reason)

    async def _shown(
        self, anchors: Sequence[Anchor]
    ) -> tuple[dict[str, Sequence[bytes]], dict[str, str]]:
        answers = await asyncio.gather(*map(_shown_by, anchors))
        notes, unreadable = {}, {}
        for anchor, answer in zip(anchors, answers, strict=True):
            if isinstance(answer, str):
                unreadable[anchor.name] = answer
            else:
                notes[anchor.name] = answer
        return notes, unreadable

    def _lost(self, place: str, evidence: Evidence) -> list[str]:
        """Say where an anchor that forgets nothing has forgotten what it confirmed."""
        anchor = next(each for each in self._anchors if each.name == place)
        if not isinstance(anchor, Lasting):
            return []
        origin, notes = evidence.names.origin, evidence.notes[place]
        filed = filed_under(place, origin, base=self._base)
        confirmed = max((r.size for r in evidence.receipts if r.anchor == filed), default=0)
        last = next((note for note in reversed(notes) if origin_of(note) == origin), None)
        holds = read_checkpoint(last).size if last is not None else 0
        if holds >= confirmed:
            return []
        return [f"{place} has confirmed {confirmed} entries and now holds only {holds}."]


async def _shown_by(anchor: Anchor) -> Sequence[bytes] | str:
    try:
        async with asyncio.timeout(WITHIN):
            return await anchor.kept()
    except TimeoutError:
        return f"it did not answer within {WITHIN:g} s"
    except AnchorFailed as error:
        return str(error)


def _checked(row: SignedCheckpoint) -> SignedCheckpoint:
    values: tuple[object, ...] = (row.note, row.root, row.size)
    if tuple(map(type, values)) != (bytes, bytes, int):
        raise TypeError("a checkpoint is not what it was when it was written")
    return row


def _misfit(row: SignedCheckpoint) -> str | None:
    try:
        text = Checkpoint(origin=row.origin, size=row.size, root=row.root).text()
    except BadCheckpoint:
        text = ""
    if text and row.note.startswith(f"{text}\n".encode()):
        return None
    return f"The database has a checkpoint of {row.size} entries whose note says something else."


def _unconfirmed(names: Names, sealed_as: int, known_as: Sequence[int]) -> list[str]:
    """Say where a restoration that the database tells of is known to it alone.

    Otherwise whoever rewrites the database would name a new origin, under which
    no anchor holds anything yet.
    """
    if names.generation == 1:
        return []
    if sealed_as < names.generation or max(known_as, default=sealed_as) < names.generation:
        return [f"The database says it was restored as {names.origin}, which no anchor knows."]
    return []
