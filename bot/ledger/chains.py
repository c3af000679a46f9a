"""The checkpoints of a bundle: who signed them, and whether each continues the one before.

Only the keys that the auditor brought count, and those that the log itself
names as their successors or predecessors: an entry `key.rotate` under a
checkpoint that a trusted key has signed speaks with that key's voice.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bot.domain.checkpoints import (
    BadCheckpoint,
    Checkpoint,
    open_checkpoint,
    parse_consistency,
    read_checkpoint,
)
from bot.domain.merkle import verify_consistency
from bot.domain.notes import ED25519, BadNote, VerifierKey, Verify
from bot.ledger.findings import Finding, incomplete, tampered

_RESTORED = re.compile(r"/[1-9][0-9]{0,5}")


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """What a proven entry `key.rotate` says: from its index on, one key follows another."""

    index: int
    old: VerifierKey
    new: VerifierKey


class Trust:
    """Whose signatures count, and what was made of each note so far.

    A key that another has replaced still vouches for what it signed then, but
    not for the end of a log: whoever stole it could go on with one.
    """

    def __init__(self, keys: Collection[VerifierKey], verify: Verify) -> None:
        self._given = tuple(keys)
        self._verify = verify
        self._known = {key.public for key in keys if key.algorithm == ED25519}
        self._active = set(self._known)
        self._seen: dict[bytes, str | frozenset[bytes]] = {}

    def reason_against(self, note: bytes) -> str | None:
        """Say why a note cannot be trusted, or None where it can."""
        judged = self._judged(note)
        return judged if isinstance(judged, str) else None

    def vouches(self, note: bytes) -> bool:
        """Say whether a key that was not replaced signed a note."""
        return self._signed_by(note, self._active)

    def knows(self, key: VerifierKey) -> bool:
        """Say whether signatures of a key count."""
        return key in self._given or key.public in self._known

    def extend(self, rotations: Sequence[Rotation], notes: Mapping[int, bytes]) -> None:
        """Trust the keys that the log names, as far as trusted checkpoints cover what it says.

        Back in time through keys that a trusted one followed, and on through
        those that follow one which is not replaced yet.
        """
        in_order = sorted(rotations, key=lambda rotation: rotation.index)
        for rotation in reversed(in_order):
            if rotation.new.public in self._known and self._covered(rotation, self._known, notes):
                self._add(rotation.old)
        for rotation in in_order:
            self._follow(rotation, notes)

    def _follow(self, rotation: Rotation, notes: Mapping[int, bytes]) -> None:
        old, new = rotation.old.public, rotation.new.public
        follows = old in self._active and self._covered(rotation, self._active, notes)
        if follows:
            self._add(rotation.new)
            self._active.add(new)
        if new in self._active and new != old:
            self._active.discard(old)

    def _add(self, key: VerifierKey) -> None:
        if key.public not in self._known:
            self._known.add(key.public)
            self._seen.clear()

    def _covered(
        self, rotation: Rotation, publics: Collection[bytes], notes: Mapping[int, bytes]
    ) -> bool:
        return any(
            size > rotation.index and self._signed_by(note, publics) for size, note in notes.items()
        )

    def _signed_by(self, note: bytes, publics: Collection[bytes]) -> bool:
        judged = self._judged(note)
        return not isinstance(judged, str) and not judged.isdisjoint(publics)

    def _judged(self, note: bytes) -> str | frozenset[bytes]:
        if note not in self._seen:
            self._seen[note] = self._opened(note)
        return self._seen[note]

    def _opened(self, note: bytes) -> str | frozenset[bytes]:
        """Return the public keys that signed a note, or why it cannot be trusted."""
        try:
            origin = read_checkpoint(note).origin
            _, signers = open_checkpoint(note, self._named(origin), self._verify)
        except (BadNote, BadCheckpoint) as error:
            return str(error)
        return frozenset(key.public for key in signers if key.algorithm == ED25519)

    def _named(self, origin: str) -> Collection[VerifierKey]:
        """Return the keys, also under the name that the log has since it was restored."""
        named = dict.fromkeys(self._given)
        if any(same_log(key.name, origin) for key in self._given):
            others = {key.public for key in self._given if not same_log(key.name, origin)}
            for public in self._known - others:
                named[VerifierKey(name=origin, public=public)] = None
        return list(named)


def same_log(one: str, other: str) -> bool:
    """Say whether two origins are of one log: restoring it adds a number to its name."""
    short, long = sorted((_base(one), _base(other)), key=len)
    return short == long


def _base(origin: str) -> str:
    head, slash, number = origin.rpartition("/")
    return head if slash and _RESTORED.fullmatch(f"/{number}") else origin


@dataclass(frozen=True, kw_only=True)
class Chain:
    """The checkpoints that hold, by their sizes, and what is wrong with the others."""

    held: Mapping[int, Checkpoint]
    sizes: Sequence[int]
    findings: Sequence[Finding]

    def before(self, size: int) -> int:
        """Return the first entry that the checkpoint before a size does not cover."""
        return max((each for each in self.sizes if each < size), default=0)


def check_chain(
    notes: Mapping[int, bytes],
    proofs: Mapping[tuple[int, int], bytes],
    *,
    origin: str,
    trust: Trust,
) -> Chain:
    """Open each checkpoint, and hold each against the one before it.

    `proofs` are the consistency files by both sizes.
    """
    sizes = sorted(notes)
    held: dict[int, Checkpoint] = {}
    findings: list[Finding] = []
    for before, size in pairwise([0, *sizes]):
        reason = _reason_against(notes[size], size, origin, trust)
        if reason is None:
            held[size] = read_checkpoint(notes[size])
        else:
            findings.append(tampered(before, f"checkpoints/{size}", reason))
    findings += _consistent(sizes, held, proofs)
    findings += _vouched(notes, held, trust)
    return Chain(held=held, sizes=sizes, findings=findings)


def _vouched(
    notes: Mapping[int, bytes], held: Mapping[int, Checkpoint], trust: Trust
) -> Iterator[Finding]:
    """Hold that the end of the log is signed with a key that is still in force."""
    newest = max(held, default=0)
    sure = max((size for size in held if trust.vouches(notes[size])), default=0)
    if sure < newest:
        reason = "from here on only a key has signed that another had replaced before"
        yield incomplete(sure, f"checkpoints/{newest}", reason)


def _reason_against(note: bytes, size: int, origin: str, trust: Trust) -> str | None:
    try:
        said = read_checkpoint(note)
    except BadCheckpoint as error:
        return str(error)
    if said.origin != origin:
        return f"it is of another log, {said.origin[:80]}"
    if said.size != size:
        return f"it is of another size, {said.size}"
    return trust.reason_against(note)


def _consistent(
    sizes: Sequence[int],
    held: Mapping[int, Checkpoint],
    proofs: Mapping[tuple[int, int], bytes],
) -> Iterator[Finding]:
    pairs = list(pairwise(sizes))
    for old, new in sorted(proofs.keys() - set(pairs)):
        yield incomplete(
            old, f"consistency/{old}-{new}", "a checkpoint between or beside is missing"
        )
    for old, new in pairs:
        name = f"consistency/{old}-{new}"
        if (old, new) not in proofs:
            yield incomplete(old, name, "the proof is missing")
        elif old in held and new in held:
            reason = _reason_against_proof(held[old], held[new], proofs[old, new])
            if reason is not None:
                yield tampered(old, name, reason)


def _reason_against_proof(old: Checkpoint, new: Checkpoint, data: bytes) -> str | None:
    try:
        proof = parse_consistency(data)
    except BadCheckpoint as error:
        return str(error)
    good = verify_consistency(
        old=old.size, old_root=old.root, new=new.size, new_root=new.root, proof=proof
    )
    return None if good else "the later checkpoint does not continue the earlier one"


def compare(
    file: str, note: bytes, chain: Chain, *, origin: str, trust: Trust, roots: Mapping[int, bytes]
) -> Iterator[Finding]:
    """Hold a checkpoint from elsewhere against the chain; `roots` are recomputed from leaves."""
    newest = max(chain.sizes, default=0)
    try:
        said = read_checkpoint(note)
    except BadCheckpoint as error:
        yield tampered(None, file, str(error))
        return
    if said.origin != origin and same_log(said.origin, origin):
        return  # from before the log was restored, or of a later restoration
    reason = trust.reason_against(note)
    if reason is None and said.origin != origin:
        reason = f"it is of another log, {said.origin[:80]}"
    if reason is not None:
        yield tampered(None, file, reason)
        return
    if said.size > newest:
        reason = f"it knows {said.size} entries, and the bundle ends with {newest}: cut off"
        yield tampered(newest, file, reason)
        return
    known = chain.held[said.size].root if said.size in chain.held else roots.get(said.size)
    if known is None and said.size:
        yield incomplete(None, file, "there is no checkpoint of its size to compare it with")
    elif said.size and known != said.root:
        reason = f"there are two histories of {said.size} entries, both signed: a fork"
        yield tampered(chain.before(said.size), file, reason)
