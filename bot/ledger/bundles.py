"""Writing evidence: a bundle that anybody can verify without this program's data.

What is in it and how it is verified is told in `audits`. The tree is worked out
from the leaves themselves, and nothing is held back where they contradict the
checkpoints: evidence of tampering is evidence.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from bot.domain.audits import erased_by
from bot.domain.canonical import canonical
from bot.domain.checkpoints import BadCheckpoint, LogProof, read_checkpoint, write_consistency
from bot.domain.decisions import DecisionId, DecisionRecord
from bot.domain.errors import NotFound, Refused
from bot.domain.freezes import Calendars
from bot.domain.ledger import ERASED, Sealed, timestamp
from bot.domain.merkle import consistency_proof, inclusion_proof, root_at
from bot.domain.notes import BadNote, SignedNote
from bot.ledger.bundle_files import KEYS, MANIFEST, BundleWriter, quoted
from bot.ledger.manifests import ABSENCES, Manifest, Scope
from bot.ledger.rules import parsed
from bot.ledger.selecting import AT_ONCE, Survey, selected, spans, survey
from bot.ports import (
    AdoptedPolicy,
    Anchor,
    AnchorFailed,
    Database,
    LedgerArchive,
    Receipt,
    SignedCheckpoint,
)
from bot.services.governing import CALENDARS
from bot.services.origins import keys_in, origin_in

__all__ = ["BundleReport", "Evidence", "Material", "Scope", "export_bundle", "write_bundle"]

# Looks a decision up; raises NotFound where there is none.
FindDecision = Callable[[DecisionId], Awaitable[DecisionRecord]]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Where an installation keeps what an export is made of."""

    database: Database
    archive: LedgerArchive
    calendars: Calendars
    anchors: Sequence[Anchor] = ()


@dataclass(frozen=True, kw_only=True)
class Material:
    """What an export is made of, beside the log itself.

    `checkpoints` are those of one origin, in the order of their sizes; `kept`
    are the notes that anchors show, by the anchors' names; `calendars` are
    files by their common digest and then by name.
    """

    archive: LedgerArchive
    checkpoints: Sequence[SignedCheckpoint]
    receipts: Sequence[Receipt] = ()
    kept: Mapping[str, Sequence[bytes]] = field(default_factory=dict)
    decision: FindDecision
    policies: Sequence[AdoptedPolicy] = ()
    calendars: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    vkeys: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class BundleReport:
    """What was written; `unread` are anchors that could not be asked what they hold."""

    path: Path
    entries: int
    size: int
    checkpoints: int
    absent: Mapping[str, int]
    unread: tuple[str, ...] = ()

    # `typing.override` came with Python 3.12.
    def __str__(self) -> str:  # type: ignore[explicit-override]
        without = [f"{count} bodies {why}" for why, count in self.absent.items() if count]
        unread = [f"{anchor} could not be read" for anchor in self.unread]
        what = f"{self.path}: {self.entries} of {self.size} entries, {self.checkpoints} checkpoints"
        return "; ".join([what, *without, *unread])


async def export_bundle(
    out: Path, evidence: Evidence, *, scope: Scope, redact: bool
) -> BundleReport:
    """Write the evidence of an installation up to its newest checkpoint.

    `redact` leaves out the bodies that tell of people.

    Raises:
        Refused: nothing is under a checkpoint yet, or there is nothing in the scope.
        OSError: the bundle cannot be written.
    """
    kept, unread = await _kept(evidence.anchors)
    files = evidence.calendars.files()
    async with evidence.database.reading() as view:
        adopted = await view.policies.all()
        every = await view.checkpoints.all()
        origin = await origin_in(view)
        material = Material(
            archive=evidence.archive,
            checkpoints=_of_origin(every, origin),
            receipts=_of_receipts(await view.checkpoints.receipts(), every, origin),
            kept=kept,
            decision=view.decisions.get,
            policies=[p for key, p in adopted.items() if key == p.digest],
            calendars=_calendars(adopted) | ({evidence.calendars.digest: files} if files else {}),
            vkeys=await keys_in(view),
        )
        return await write_bundle(out, material, scope=scope, redact=redact, unread=unread)


def _calendars(adopted: Mapping[str, AdoptedPolicy]) -> dict[str, Mapping[str, bytes]]:
    """Return the calendars that decisions were made by, which are kept beside the policies."""
    return {
        kept.digest: {name: text.encode() for name, text in kept.documents.items()}
        for key, kept in adopted.items()
        if key.startswith(CALENDARS)
    }


async def write_bundle(
    out: Path, material: Material, *, scope: Scope, redact: bool, unread: tuple[str, ...] = ()
) -> BundleReport:
    """Write a bundle; the same material and scope give the same bytes.

    Raises:
        Refused: as `export_bundle`.
        OSError: the bundle cannot be written.
    """
    if not material.checkpoints or not material.checkpoints[-1].size:
        raise Refused("No checkpoint covers the ledger yet; one is made within a minute.")
    newest = material.checkpoints[-1]
    found = await survey(material.archive, newest.size, scope)
    plain, entries = selected(found, scope)
    writing = _Writing(material, found, entries, redact=redact)
    await writing.log()
    await writing.grounds()
    manifest = Manifest(
        scope=plain,
        origin=newest.origin,
        size=newest.size,
        created_at=timestamp(newest.at),
        files=writing.files.digests,
        entries=entries,
        absent=writing.absent,
    )
    writing.files.add(MANIFEST, manifest.write())
    writing.files.write(out)
    return BundleReport(
        path=out,
        entries=len(entries),
        size=newest.size,
        checkpoints=len(writing.chosen),
        absent={why: len(those) for why, those in writing.absent.items()},
        unread=unread,
    )


class _Writing:
    """One bundle under way."""

    def __init__(
        self, material: Material, found: Survey, entries: Sequence[int], *, redact: bool
    ) -> None:
        self.files = BundleWriter()
        self.absent: dict[str, list[int]] = {why: [] for why in ABSENCES}
        self._material = material
        self._tree = found.tree
        self._entries = entries
        self._redact = redact
        self._newest = material.checkpoints[-1]
        self._told: set[int] = set()
        self._decided: list[str] = []
        self._governed: dict[str, None] = {}
        self._calendars: set[str] = set()
        self.chosen = _chosen(material.checkpoints, entries, whole=len(entries) == found.tree.size)

    # The log.

    async def log(self) -> None:
        """Add leaves, bodies, proofs, and the checkpoints they are under."""
        wanted = frozenset(self._entries)
        for start, before in spans(self._entries):
            for sealed in await self._material.archive.entries(start=start, before=before):
                if sealed.seq in wanted:
                    self._entry(sealed)
        await self._account()
        for checkpoint in self.chosen:
            self.files.add(f"checkpoints/{checkpoint.size}", checkpoint.note)
        for old, new in pairwise(self.chosen):
            hashes = consistency_proof(old.size, new.size, node=self._tree.node)
            self.files.add(f"consistency/{old.size}-{new.size}", write_consistency(hashes))
        self.files.add(KEYS, "".join(f"{vkey}\n" for vkey in self._material.vkeys).encode())

    def _entry(self, sealed: Sealed) -> None:
        self.files.add(f"leaves/{sealed.seq}", sealed.leaf)
        hashes = inclusion_proof(sealed.seq, self._tree.size, node=self._tree.node)
        proof = LogProof(index=sealed.seq, hashes=hashes, checkpoint=self._newest.note)
        self.files.add(f"proofs/{sealed.seq}.tlog-proof", proof.write())
        header = parsed(sealed.leaf) or {}
        policy = header.get("policy_digest")
        if policy is not None:
            self._governed[str(policy)] = None
        if header.get("type") == "policy.decided":
            self._decided.append(str(header.get("decision_id")))
            record = (parsed(sealed.body or b"") or {}).get("decision")
            digest = record.get("calendars_digest") if isinstance(record, dict) else None
            self._calendars.add(str(digest))
        if header.get("type") == ERASED and sealed.body is not None:
            self._told |= erased_by(sealed.body)
        self._body(sealed)

    def _body(self, sealed: Sealed) -> None:
        """Add a body as it stands, right or wrong, or note why it is not there."""
        if self._redact and sealed.subjects:
            self.absent["redacted"].append(sealed.seq)
        elif sealed.hidden:
            self.absent["hidden"].append(sealed.seq)
        elif sealed.body is None and sealed.salt is None:
            self.absent["erased"].append(sealed.seq)
        else:
            parts = (p for p in (sealed.salt, sealed.body) if isinstance(p, bytes))
            self.files.add(f"bodies/{sealed.seq}", b"".join(parts))

    async def _account(self) -> None:
        """Refuse where an erasure is told of only behind the newest checkpoint.

        The bundle would show a body that is gone without a word.
        """
        if self._told.issuperset(self.absent["erased"]):
            return
        start = self._newest.size
        while later := await self._material.archive.entries(start=start, limit=AT_ONCE):
            if any(b'"type":"privacy.erased"' in sealed.leaf for sealed in later):
                raise Refused("Somebody was erased just now; seal the ledger and export again.")
            start += len(later)

    # What decisions stood on.

    async def grounds(self) -> None:
        """Add the anchors' words, the decisions, and the rules they were made by."""
        self._anchors()
        for id in dict.fromkeys(self._decided):
            try:
                record = await self._material.decision(DecisionId(id))
            except NotFound:
                continue
            self.files.add(f"decisions/{quoted(id)}.json", canonical(dict(record.content)))
        adopted = {policy.digest: policy for policy in self._material.policies}
        for digest in self._governed.keys() & adopted.keys():
            for name, text in adopted[digest].documents.items():
                self.files.add(f"policies/{quoted(digest)}/{quoted(name)}", text.encode())
        for digest in self._calendars & self._material.calendars.keys():
            for name, content in self._material.calendars[digest].items():
                path = f"policies/calendars/{quoted(digest)}/{quoted(name)}"
                self.files.add(path, content)

    def _anchors(self) -> None:
        sizes = {checkpoint.size for checkpoint in self.chosen}
        for receipt in self._material.receipts:
            if receipt.receipt and receipt.size in sizes:
                self.files.add(f"anchors/{quoted(receipt.anchor)}/{receipt.size}", receipt.receipt)
        for anchor, notes in self._material.kept.items():
            for size, note in _by_size(notes, self._newest.origin).items():
                # What contradicts the log must not be kept silent about.
                if size in sizes or not self._confirms(note, size):
                    self.files.add(f"anchors/{quoted(anchor)}/{size}.note", note)

    def _confirms(self, note: bytes, size: int) -> bool:
        if size > self._tree.size:
            return False
        return read_checkpoint(note).root == root_at(size, self._tree.node)


def _chosen(
    checkpoints: Sequence[SignedCheckpoint], entries: Sequence[int], *, whole: bool
) -> list[SignedCheckpoint]:
    """Return all checkpoints, or those that matter to some entries.

    That is the first one over each entry, which shows when it was sealed at the
    latest, those that two keys have signed, and the newest.
    """
    if whole:
        return list(checkpoints)
    chosen = {checkpoints[-1].size} | {c.size for c in checkpoints if _signatures(c.note) > 1}
    pending = iter(checkpoints)
    over = next(pending)
    for index in entries:
        while over.size <= index:
            over = next(pending)
        chosen.add(over.size)
    return [checkpoint for checkpoint in checkpoints if checkpoint.size in chosen]


def _signatures(note: bytes) -> int:
    try:
        return len(SignedNote.parse(note).signatures)
    except BadNote:
        return 0


def _of_origin(
    checkpoints: Sequence[SignedCheckpoint], origin: str | None
) -> list[SignedCheckpoint]:
    """Return the checkpoints of the origin in force by their sizes, without that of nothing."""
    own = {c.size: c for c in checkpoints if c.origin == origin and c.size}
    return [own[size] for size in sorted(own)]


def _of_receipts(
    receipts: Sequence[Receipt], checkpoints: Sequence[SignedCheckpoint], origin: str | None
) -> list[Receipt]:
    """Return the receipts of the origin in force: those of later ones carry its name."""
    origins = {checkpoint.origin for checkpoint in checkpoints}
    named = [r for r in receipts if r.anchor.endswith(f" {origin}")]
    plain = [r for r in receipts if not any(r.anchor.endswith(f" {name}") for name in origins)]
    restored = any(str(origin).startswith(f"{other}/") for other in origins)
    return named if named or restored else plain


def _by_size(notes: Sequence[bytes], origin: str) -> dict[int, bytes]:
    """Return an anchor's notes of an origin by their sizes; what is no checkpoint is not ours."""
    found: dict[int, bytes] = {}
    for note in notes:
        try:
            checkpoint = read_checkpoint(note)
        except BadCheckpoint:
            continue
        if checkpoint.origin == origin and checkpoint.size:
            found[checkpoint.size] = note
    return found


async def _kept(
    anchors: Sequence[Anchor],
) -> tuple[dict[str, Sequence[bytes]], tuple[str, ...]]:
    """Return what anchors show, and the names of those that cannot be read now."""
    kept: dict[str, Sequence[bytes]] = {}
    unread: list[str] = []
    for anchor in anchors:
        try:
            kept[anchor.name] = await anchor.kept()
        except AnchorFailed:
            unread.append(anchor.name)
    return kept, tuple(unread)
