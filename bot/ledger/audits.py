"""Verifying evidence with nothing but the bundle and a key.

A bundle is a tar, or the folder it was unpacked to:

    manifest.json            what is in it (`manifests`)
    leaves/<index>           the exact bytes of a leaf
    bodies/<index>           salt (16 bytes) and body: its SHA-256 stands in the leaf
    proofs/<index>.tlog-proof   inclusion under the newest checkpoint (C2SP tlog-proof)
    checkpoints/<size>       signed checkpoints (C2SP tlog-checkpoint)
    consistency/<old>-<new>  between each two that follow one another: a base64 hash a line
    key.vkey                 the log's verifier keys; believed by nobody, only compared
    anchors/<anchor>/<size>  receipts; with `.note`, the checkpoint that the anchor shows
    decisions/<id>.json      records of decisions, RFC 8785
    policies/<digest>/<file>, policies/calendars/<digest>/<file>

The order: files and manifest, leaves, inclusion, signatures, consistency, forks,
bodies, gaps, rules. What the rules say counts only where everything before
holds, since otherwise nobody knows whose words they judge.

What this shows: that what is there was in the log, unchanged, when the
checkpoints were signed. A whole log, or one from some entry on, also shows that
nothing was left out. One incident's entries cannot show that, and no bundle can
that was cut short at an older checkpoint: that takes a newer one from an anchor
(`anchored`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from bot.domain.audits import erased_by
from bot.domain.checkpoints import BadCheckpoint, LogProof, read_checkpoint
from bot.domain.ledger import ERASED, NotAHeader, read
from bot.domain.merkle import Frontier, leaf_hash, verify_inclusion
from bot.domain.notes import BadNote, VerifierKey, Verify
from bot.ledger.absences import check_absent, check_gaps
from bot.ledger.bundle_files import MANIFEST, BadBundle, BundleFiles, opened, unquoted
from bot.ledger.chains import Chain, Rotation, Trust, check_chain, compare
from bot.ledger.findings import Audit, Finding, Kind, in_order, incomplete, tampered
from bot.ledger.grounds import calendars_in, check_grounds, check_keys, decisions_in
from bot.ledger.histories import Fields, Told
from bot.ledger.manifests import BadManifest, Manifest
from bot.ledger.receipts import check_receipt
from bot.ledger.restorations import RESTORED, Restoration, check_restored, restoration
from bot.ledger.rules import CalendarsAt, Judge, Source, parsed, reads_body

_ROTATED = "key.rotate"
_ABOUT = re.compile(r"(?:leaves|bodies|proofs|consistency)/([0-9]{1,16})(?![0-9])", re.ASCII)


def verify_bundle(
    path: Path,
    *,
    keys: Sequence[VerifierKey],
    verify: Verify,
    calendars_at: CalendarsAt | None = None,
    anchored: Sequence[bytes] = (),
) -> Audit:
    """Verify a bundle, and return everything that was found.

    `keys` are those the auditor trusts, of witnesses too. `anchored` are signed
    checkpoints that came from an anchor rather than from whoever made the bundle.
    """
    try:
        with opened(path) as files:
            manifest = Manifest.parse(_read(files, MANIFEST))
            audit = _Auditing(files, manifest, Trust(keys, verify), verify, keys)
            return audit.result(anchored, calendars_at)
    except BadBundle as error:
        return Audit(findings=(tampered(_index(error.file), error.file, error.reason),))
    except BadManifest as error:
        return Audit(findings=(tampered(None, MANIFEST, str(error)),))


def _read(files: BundleFiles, name: str) -> bytes:
    if name not in files.names:
        raise BadBundle(name, "the file is missing")
    return files.read(name)


class _Auditing:
    """One verification under way."""

    def __init__(
        self,
        files: BundleFiles,
        manifest: Manifest,
        trust: Trust,
        verify: Verify,
        keys: Sequence[VerifierKey],
    ) -> None:
        self.files = files
        self.manifest = manifest
        self.trust = trust
        self.verify = verify
        self.keys = keys
        self.findings: list[Finding] = []
        self.notes: list[str] = []
        self.bodies = 0
        self.told: set[int] = set()
        self.rotations: list[Rotation] = []
        self.restorations: list[Restoration] = []
        self.under: dict[bytes, int] = {}
        self.roots: dict[int, bytes] = {}

    def result(self, anchored: Sequence[bytes], calendars_at: CalendarsAt | None) -> Audit:
        """Go through everything, in order."""
        self._listed()
        self.findings += check_gaps(self.manifest, self._indices("leaves/"))
        notes = self._numbered("checkpoints/")
        judge = Judge(
            Source(
                whole=self.manifest.start == 0,
                decisions=decisions_in(self.files),
                calendars=calendars_in(self.files),
                calendars_at=calendars_at,
            )
        )
        broken = self._entries(judge, frozenset(notes))
        self.trust.extend(self.rotations, notes)
        chain = check_chain(
            notes, self._consistencies(), origin=self.manifest.origin, trust=self.trust
        )
        self.findings += chain.findings
        self._newest(chain)
        self._proven(chain)
        self._recomputed(chain)
        self._anchors(chain, anchored)
        self.findings += check_absent(self.manifest, self._indices("bodies/"), self.told)
        self.findings += check_grounds(self.files)
        self.findings += check_keys(self.files, self.trust, self.notes)
        broken += judge.end()
        if not any(finding.kind is Kind.TAMPERED for finding in self.findings):
            self.findings += broken
        newest = chain.held.get(self.manifest.size)
        return Audit(
            findings=in_order(self.findings),
            size=self.manifest.size,
            root=newest.root if newest is not None else None,
            origin=self.manifest.origin,
            entries=len(self.manifest.entries),
            checkpoints=len(chain.held),
            bodies=self.bodies,
            erased=len(self.told.intersection(self.manifest.absent.get("erased", ()))),
            effects=judge.effects,
            notes=(*self.notes, *judge.notes),
        )

    # The files.

    def _listed(self) -> None:
        """Hold every file against the manifest."""
        listed = self.manifest.files
        for name in sorted(self.files.names.keys() - listed.keys() - {MANIFEST}):
            self._bad(_index(name), name, "the manifest does not list it")
        for name, wanted in listed.items():
            if name not in self.files.names:
                self._bad(_index(name), name, "the file is missing")
            elif sha256(self.files.read(name)).hexdigest() != wanted:
                self._bad(_index(name), name, "it has not the hash in the manifest")

    def _bad(self, index: int | None, file: str, reason: str) -> None:
        self.findings.append(tampered(index, file, reason))

    def _numbered(self, folder: str) -> dict[int, bytes]:
        names = [name for name in self.files.names if name.startswith(folder)]
        return {int(name.removeprefix(folder)): self.files.read(name) for name in names}

    def _indices(self, folder: str) -> set[int]:
        return {int(n.removeprefix(folder)) for n in self.files.names if n.startswith(folder)}

    def _consistencies(self) -> dict[tuple[int, int], bytes]:
        found: dict[tuple[int, int], bytes] = {}
        for name in self.files.names:
            folder, _, rest = name.partition("/")
            if folder == "consistency":
                old, _, new = rest.partition("-")
                found[int(old), int(new)] = self.files.read(name)
        return found

    # Entries.

    def _entries(self, judge: Judge, sizes: frozenset[int]) -> list[Finding]:
        """Check every entry by itself; return what breaks the rules among them."""
        broken: list[Finding] = []
        frontier = Frontier() if self.manifest.start == 0 else None
        for index in self.manifest.entries:
            if f"leaves/{index}" not in self.files.names:
                frontier = None
                continue
            leaf = self.files.read(f"leaves/{index}")
            if frontier is not None:
                frontier, _ = frontier.append(leaf_hash(leaf))
                if frontier.size in sizes or frontier.size == self.manifest.size:
                    self.roots[frontier.size] = frontier.root()
            told = self._entry(index, leaf)
            if told is not None:
                broken += judge.take(told)
        return broken

    def _entry(self, index: int, leaf: bytes) -> Told | None:
        try:
            header = read(leaf)
        except NotAHeader as error:
            self._bad(index, f"leaves/{index}", str(error))
            return None
        if header["seq"] != index:
            self._bad(index, f"leaves/{index}", f"the leaf says it is entry {header['seq']}")
        self._included(index, leaf)
        body = self._body(index, header)
        told = Told(index=index, header=header, body=body)
        if told.type == _ROTATED and body is not None:
            self._rotated(told, body)
        if told.type == RESTORED and told.body is not None:
            self.restorations.append(restoration(index, told.body))
        return told

    def _included(self, index: int, leaf: bytes) -> None:
        """Hold a leaf against its proof by hashes alone; who signed the note is asked later."""
        name = f"proofs/{index}.tlog-proof"
        if name not in self.files.names:
            self._bad(index, name, "the proof is missing")
            return
        try:
            proof = LogProof.parse(self.files.read(name))
            said = read_checkpoint(proof.checkpoint)
        except BadCheckpoint as error:
            self._bad(index, name, str(error))
            return
        if proof.index != index or proof.extra is not None:
            self._bad(index, name, "it is not the proof of this entry")
        elif not verify_inclusion(
            leaf_hash(leaf), index=index, size=said.size, root=said.root, proof=proof.hashes
        ):
            self._bad(index, f"leaves/{index}", "the leaf is not in the log at this index")
        else:
            self.under.setdefault(proof.checkpoint, index)

    def _body(self, index: int, header: Fields) -> Fields | None:
        """Hold a body against its hash; return it where a rule reads it."""
        name, type = f"bodies/{index}", str(header["type"])
        if name not in self.files.names:
            return None
        data = self.files.read(name)
        if sha256(data).hexdigest() != header["body_sha256"]:
            self._bad(index, name, "MISMATCH: the body does not match the hash in the leaf")
            return None
        self.bodies += 1
        if type == ERASED:
            self.told |= {seq for seq in erased_by(data[16:]) if seq < index}
        if not reads_body(type):
            return None
        body = parsed(data[16:])
        if body is None:
            self._bad(index, name, "the body is not a JSON object")
        return body

    def _rotated(self, told: Told, body: Fields) -> None:
        try:
            old, new = (VerifierKey.parse(str(body.get(name))) for name in ("old", "new"))
        except BadNote:
            return  # the rules tell of it
        self.rotations.append(Rotation(index=told.index, old=old, new=new))

    # Checkpoints.

    def _newest(self, chain: Chain) -> None:
        newest = max(chain.sizes, default=None)
        if newest is None:
            self._bad(0, "checkpoints/", "there is no checkpoint")
        elif newest != self.manifest.size:
            reason = f"the newest checkpoint is of {newest} entries, not {self.manifest.size}"
            self._bad(min(newest, self.manifest.size), "checkpoints/", reason)

    def _proven(self, chain: Chain) -> None:
        """Hold the checkpoints that proofs lead to against the chain."""
        for note, index in self.under.items():
            said, file = read_checkpoint(note), f"proofs/{index}.tlog-proof"
            reason = self.trust.reason_against(note)
            if reason is not None:
                self._bad(index, file, reason)
            elif said.size not in chain.sizes:
                self._bad(index, file, "its checkpoint is not among those of the bundle")
            elif said.size in chain.held and chain.held[said.size].root != said.root:
                reason = f"there are two histories of {said.size} entries, both signed: a fork"
                self._bad(chain.before(said.size), file, reason)

    def _recomputed(self, chain: Chain) -> None:
        """Hold the roots over the leaves alone against the checkpoints.

        Where a leaf is known to be wrong, all roots behind it are, which says nothing new.
        """
        wrong = min((f.index for f in self.findings if f.index is not None), default=None)
        for size, root in self.roots.items():
            if size not in chain.held or (wrong is not None and wrong < size):
                continue
            if chain.held[size].root != root:
                reason = "the leaves have another root than the checkpoint"
                self._bad(chain.before(size), f"checkpoints/{size}", reason)
                return

    def _anchors(self, chain: Chain, anchored: Sequence[bytes]) -> None:
        """Hold what anchors say against the chain."""
        told = [("an anchor's checkpoint", note) for note in anchored]
        receipts = 0
        for name in sorted(n for n in self.files.names if n.startswith("anchors/")):
            data = self.files.read(name)
            if name.endswith(".note"):
                told.append((name, data))
                continue
            receipts += 1
            self._receipt(name, data)
        for file, note in told:
            self.findings += compare(
                file,
                note,
                chain,
                origin=self.manifest.origin,
                trust=self.trust,
                roots=self.roots,
            )
        self.findings += check_restored(
            self.manifest.origin,
            self.restorations,
            dict(told),
            names=[key.name for key in self.keys],
            whole=self.manifest.start == 0,
        )
        if told or receipts:
            self.notes.append(f"anchors: {len(told)} checkpoints and {receipts} receipts")

    def _receipt(self, name: str, data: bytes) -> None:
        _, part, size = name.split("/")
        note = f"checkpoints/{size}"
        if note not in self.files.names:
            self.findings.append(incomplete(None, name, "there is no checkpoint of its size"))
            return
        try:
            anchor = unquoted(part)
        except ValueError as error:
            self._bad(None, name, str(error))
            return
        checkpoint = self.files.read(note)
        reason = check_receipt(anchor, data, checkpoint, keys=self.keys, verify=self.verify)
        if reason is not None:
            self._bad(None, name, reason)


def _index(name: str) -> int | None:
    """Return the entry that a file is about; of one between checkpoints, where it begins."""
    found = _ABOUT.match(name)
    return int(found[1]) if found is not None else None
