"""What is published of a log, to the byte: checkpoints, proofs, requests to witnesses.

A checkpoint (C2SP tlog-checkpoint) is a signed note that states a log's name,
size and root. A proof file (C2SP tlog-proof) shows that one entry is in a log.
A consistency file shows that one checkpoint only continues another: one hash a
line. A witness request (C2SP tlog-witness, add-checkpoint) is such a proof with
the newer checkpoint. Whether the hashes lead to the root is for `merkle` to say.

Reading is strict: what is read would be written again as the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bot.domain.notes import (
    ED25519,
    MAX_BYTES,
    BadNote,
    SignedNote,
    Unverified,
    VerifierKey,
    Verify,
    decode_base64,
    encode_base64,
    open_note,
)

MAX_SIZE = 2**63 - 1
MAX_HASHES = 63  # a path in a tree of that size is no longer; witnesses take no more
MAX_EXTRA_BYTES = 65_536
HASH_BYTES = 32

_PROOF = "c2sp.org/tlog-proof@v1"
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")
_UNFIT = re.compile(r"[\x00-\x1f\ud800-\udfff]")


class BadCheckpoint(ValueError):
    """A checkpoint, proof or request that is not exactly in its form: why."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A log's size and root at one moment, under the log's name.

    `extensions` are lines that others may add and no monitor can check; this
    program writes none, but keeps those it reads, because they are signed.

    Raises:
        BadCheckpoint: it could not be written.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_line("origin", self.origin)
        for line in self.extensions:
            _check_line("extension line", line)
        _check_number("size", self.size)
        _check_hash("root", self.root)

    def text(self) -> str:
        """Return the text to sign."""
        lines = (self.origin, str(self.size), encode_base64(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read the text of a note.

        Raises:
            BadCheckpoint: it is not exactly what `text` would write.
        """
        lines = _lines("checkpoint", text)
        if len(lines) < 3:
            raise BadCheckpoint(f"a checkpoint has at least 3 lines, not {len(lines)}")
        origin, size, root, *extensions = lines
        return cls(
            origin=origin,
            size=_number("size", size),
            root=_hash("root", root),
            extensions=tuple(extensions),
        )


@dataclass(frozen=True, kw_only=True)
class LogProof:
    """That the entry at an index is in a log: what a `.tlog-proof` file holds.

    `hashes` lead from the leaf's sibling up to the root's child; `checkpoint` is
    the signed note, verbatim. `extra` is for people and programs to agree on:
    nothing signs it.

    Raises:
        BadCheckpoint: it could not be written, or the checkpoint does not cover the index.
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None

    def __post_init__(self) -> None:
        _check_number("index", self.index)
        _check_hashes(self.hashes)
        if self.extra is not None and len(self.extra) > MAX_EXTRA_BYTES:
            raise BadCheckpoint(f"extra has {len(self.extra)} bytes; at most {MAX_EXTRA_BYTES} fit")
        size = read_checkpoint(self.checkpoint).size
        if self.index >= size:
            raise BadCheckpoint(f"a log of {size} entries has none with the index {self.index}")

    def write(self) -> bytes:
        """Return the file's bytes."""
        extra = "" if self.extra is None else f"extra {encode_base64(self.extra)}\n"
        head = f"{_PROOF}\n{extra}index {self.index}\n".encode()
        return head + write_consistency(self.hashes) + b"\n" + self.checkpoint

    @classmethod
    def parse(cls, data: bytes) -> LogProof:
        """Read a file's bytes. Nothing is verified: neither hashes nor signatures.

        Raises:
            BadCheckpoint: they are not exactly what `write` would write.
        """
        (version, *lines), checkpoint = _split("proof", data)
        if version != _PROOF:
            raise BadCheckpoint(f"the first line is not {_PROOF}")
        extra = None
        if lines and lines[0].startswith("extra "):
            extra = _base64("extra", lines.pop(0).removeprefix("extra "))
        if not lines or not lines[0].startswith("index "):
            raise BadCheckpoint("there is no line with the index")
        index = _number("index", lines.pop(0).removeprefix("index "))
        hashes = _hashes(lines)
        return cls(index=index, hashes=hashes, checkpoint=checkpoint, extra=extra)


@dataclass(frozen=True, kw_only=True)
class WitnessRequest:
    """What a witness is asked to cosign, and the size it is thought to have seen last.

    Raises:
        BadCheckpoint: it could not be sent.
    """

    old: int
    proof: tuple[bytes, ...]
    checkpoint: bytes

    def __post_init__(self) -> None:
        _check_number("old size", self.old)
        _check_hashes(self.proof)
        read_checkpoint(self.checkpoint)


def read_checkpoint(data: bytes) -> Checkpoint:
    """Return what a signed checkpoint says, without verifying who signed it.

    Raises:
        BadCheckpoint: the bytes are not a note, or its text is not a checkpoint.
    """
    try:
        note = SignedNote.parse(data)
    except BadNote as error:
        raise BadCheckpoint(f"the checkpoint is not a signed note: {error}") from error
    return Checkpoint.parse(note.text)


def open_checkpoint(
    data: bytes, keys: Collection[VerifierKey], verify: Verify
) -> tuple[Checkpoint, tuple[VerifierKey, ...]]:
    """Return what a checkpoint says and those of the trusted keys that signed it.

    One of them must be the log's own, an Ed25519 key named like the origin:
    a witness's signature alone, or that of another log, does not make it one.

    Raises:
        Unverified: the log did not sign it, or a trusted key signed it wrongly.
        BadNote: the bytes are not a signed note.
        BadCheckpoint: the note's text is not a checkpoint.
    """
    note, signers = open_note(data, keys, verify)
    checkpoint = Checkpoint.parse(note.text)
    if not any(key.name == checkpoint.origin and key.algorithm == ED25519 for key in signers):
        raise Unverified(f"no trusted key of {checkpoint.origin} signed its checkpoint")
    return checkpoint, signers


def write_consistency(hashes: Sequence[bytes]) -> bytes:
    """Write hashes as base64, one a line; no hash is no line.

    Raises:
        BadCheckpoint: they cannot be those of a proof.
    """
    _check_hashes(hashes)
    return "".join(f"{encode_base64(each)}\n" for each in hashes).encode()


def parse_consistency(data: bytes) -> tuple[bytes, ...]:
    """Read hashes from base64, one a line.

    Raises:
        BadCheckpoint: they are not exactly what `write_consistency` would write.
    """
    return _hashes(_lines("proof", _decode("proof", data))) if data else ()


def witness_request(old: int, proof: Sequence[bytes], checkpoint: bytes) -> bytes:
    """Write the body of an add-checkpoint request.

    `proof` leads from the tree of size `old` to the checkpoint's, and is empty
    where `old` is 0.

    Raises:
        BadCheckpoint: one of them could not be sent.
    """
    request = WitnessRequest(old=old, proof=tuple(proof), checkpoint=checkpoint)
    return f"old {old}\n".encode() + write_consistency(request.proof) + b"\n" + checkpoint


def parse_witness_request(data: bytes) -> WitnessRequest:
    """Read the body of an add-checkpoint request.

    Raises:
        BadCheckpoint: it is not exactly what `witness_request` would write.
    """
    (old, *hashes), checkpoint = _split("request", data)
    if not old.startswith("old "):
        raise BadCheckpoint("the first line is not the old size")
    return WitnessRequest(
        old=_number("old size", old.removeprefix("old ")),
        proof=_hashes(hashes),
        checkpoint=checkpoint,
    )


def parse_size(data: bytes) -> int:
    """Read the size that a witness answers with where `old` was not what it saw last.

    Raises:
        BadCheckpoint: it is not one decimal number and a newline.
    """
    lines = _lines("answer", _decode("answer", data))
    if len(lines) != 1:
        raise BadCheckpoint(f"the answer has {len(lines)} lines instead of 1")
    return _number("size", lines[0])


def _split(what: str, data: bytes) -> tuple[list[str], bytes]:
    """Return the lines before the first empty line, at least one, and what follows it."""
    head, separator, checkpoint = data.partition(b"\n\n")
    if not separator:
        raise BadCheckpoint(f"the {what} has no empty line before the checkpoint")
    return _lines(what, _decode(what, head + b"\n")), checkpoint


def _decode(what: str, data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise BadCheckpoint(f"the {what} has {len(data)} bytes; at most {MAX_BYTES} are read")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BadCheckpoint(f"the {what} is not UTF-8 at byte {error.start}") from None


def _lines(what: str, text: str) -> list[str]:
    if not text.endswith("\n"):
        raise BadCheckpoint(f"the {what} does not end in a newline")
    lines = text[:-1].split("\n")
    for number, line in enumerate(lines, 1):
        _check_line(f"line {number} of the {what}", line)
    return lines


def _number(what: str, text: str) -> int:
    if not _DECIMAL.fullmatch(text):
        raise BadCheckpoint(f"the {what} {text[:40]!r} is not a decimal without leading zeros")
    number = int(text)
    _check_number(what, number)
    return number


def _hashes(lines: Sequence[str]) -> tuple[bytes, ...]:
    if len(lines) > MAX_HASHES:
        raise BadCheckpoint(f"there are {len(lines)} hashes; at most {MAX_HASHES} can be needed")
    return tuple(_hash(f"hash {number}", line) for number, line in enumerate(lines, 1))


def _hash(what: str, text: str) -> bytes:
    data = _base64(what, text)
    _check_hash(what, data)
    return data


def _base64(what: str, text: str) -> bytes:
    try:
        return decode_base64(text)
    except ValueError as error:
        raise BadCheckpoint(f"the {what} is {error}") from None


def _check_line(what: str, line: str) -> None:
    if not line:
        raise BadCheckpoint(f"the {what} is empty")
    found = _UNFIT.search(line)
    if found is not None:
        raise BadCheckpoint(f"the {what} holds the character {found[0]!r}")


def _check_number(what: str, number: int) -> None:
    if not 0 <= number <= MAX_SIZE:
        raise BadCheckpoint(f"the {what} {number} is not between 0 and 2^63-1")


def _check_hashes(hashes: Sequence[bytes]) -> None:
    if len(hashes) > MAX_HASHES:
        raise BadCheckpoint(f"there are {len(hashes)} hashes; at most {MAX_HASHES} can be needed")
    for number, each in enumerate(hashes, 1):
        _check_hash(f"hash {number}", each)


def _check_hash(what: str, data: bytes) -> None:
    if len(data) != HASH_BYTES:
        raise BadCheckpoint(f"the {what} has {len(data)} bytes instead of {HASH_BYTES}")
