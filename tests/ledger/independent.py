"""A second verifier, written from the published formats alone.

It shares no code with the program: its own parsing, `cryptography` for the
signatures, and `pymerkle` for the roots. It knows less than `bot.ledger.audits`
(no rules, no rotation), and must agree wherever it has something to say.
"""

from __future__ import annotations

import base64
import hashlib
import json
import tarfile
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pymerkle import InmemoryTree


def holds(bundle: Path, vkey: str) -> bool:
    """Say whether a bundle of a whole log, all of whose checkpoints one key signed, holds."""
    try:
        with tarfile.open(bundle) as tar:
            files = {m.name: tar.extractfile(m).read() for m in tar}  # type: ignore[union-attr]
        _check(files, vkey)
    except (AssertionError, ValueError, KeyError, IndexError, InvalidSignature):
        return False
    return True


def _check(files: dict[str, bytes], vkey: str) -> None:
    manifest = json.loads(files["manifest.json"])
    for name, wanted in manifest["files"].items():
        assert hashlib.sha256(files[name]).hexdigest() == wanted
    tree = InmemoryTree(algorithm="sha256")
    for index in range(manifest["size"]):
        leaf = files[f"leaves/{index}"]
        tree.append_entry(leaf)
        header = json.loads(leaf)
        assert header["seq"] == index
        if f"bodies/{index}" in files:
            assert hashlib.sha256(files[f"bodies/{index}"]).hexdigest() == header["body_sha256"]
    for name, note in files.items():
        if name.startswith("checkpoints/"):
            origin, size, root = _opened(note, vkey)
            assert origin == manifest["origin"]
            assert name == f"checkpoints/{size}"
            assert tree.get_root(size) == root
    for index in range(manifest["size"]):
        _included(files, index, vkey)


def _opened(note: bytes, vkey: str) -> tuple[str, int, bytes]:
    """Return what a checkpoint says, if the key signed it (C2SP signed-note)."""
    name, key_id, key = vkey.split("+", 2)
    text, lines = note.decode().rsplit("\n\n", 1)
    text += "\n"
    for line in lines.splitlines():
        dash, who, blob = line.split(" ")
        raw = base64.b64decode(blob, validate=True)
        assert dash == "\u2014"
        if who == name and raw[:4].hex() == key_id:
            public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key)[1:])
            public.verify(raw[4:], text.encode())
            origin, size, root = text.splitlines()
            return origin, int(size), base64.b64decode(root, validate=True)
    raise AssertionError("the key has not signed")


def _included(files: dict[str, bytes], index: int, vkey: str) -> None:
    """Follow a C2SP tlog-proof from its leaf to the root, by RFC 6962 §2.1.1's recursion."""
    head, note = files[f"proofs/{index}.tlog-proof"].split(b"\n\n", 1)
    version, at, *hashes = head.decode().splitlines()
    assert version == "c2sp.org/tlog-proof@v1"
    assert at == f"index {index}"
    _, size, root = _opened(note, vkey)
    leaf = hashlib.sha256(b"\0" + files[f"leaves/{index}"]).digest()
    path = [base64.b64decode(line, validate=True) for line in hashes]
    assert _root(leaf, index, size, path) == root


def _root(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    if size == 1:
        assert not path
        return leaf
    split = 1
    while split * 2 < size:
        split *= 2
    if index < split:
        pair = _root(leaf, index, split, path[:-1]) + path[-1]
    else:
        pair = path[-1] + _root(leaf, index - split, size - split, path[:-1])
    return hashlib.sha256(b"\1" + pair).digest()
