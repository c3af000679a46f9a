"""Signed notes and the keys that verify them, to the byte.

A note is text that one or more keys signed (C2SP signed-note, of which
golang.org/x/mod/sumdb/note is the reference): the text, an empty line, and one
line for each signature. Witnesses sign a checkpoint together with the time
(C2SP tlog-cosignature, `cosignature/v1`).

Reading is strict, so that there is exactly one way to write a note: base64 has
its padding and no stray bits, and `SignedNote.parse(data).write() == data`.
Ed25519 itself is not in the standard library; whoever opens a note brings a
`Verify`.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64encode
from collections.abc import Callable, Collection
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeAlias

ED25519 = 0x01  # the note's text is what is signed
COSIGNATURE = 0x04  # the text and the time are what is signed
MAX_BYTES = 1_000_000  # of a whole note
MAX_SIGNATURES = 100  # the specification asks for at least 16

_ALGORITHMS = {ED25519: "Ed25519", COSIGNATURE: "Ed25519 cosignature"}
_PUBLIC_BYTES = 32
_SIGNATURE_BYTES = 64
_TIME_BYTES = 8
_ID_BYTES = 4
_MAX_TIME = 2**63 - 1  # Unix seconds
_PREFIX = "\u2014 "
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_HEX = re.compile(r"[0-9a-f]{8}")

# Says whether an Ed25519 signature holds: public key (32 bytes), signature, message.
Verify: TypeAlias = Callable[[bytes, bytes, bytes], bool]


class BadNote(ValueError):
    """Bytes that are not a signed note, or a note that cannot be trusted: why."""


class Unverified(BadNote):
    """A well-formed note that no trusted key signed, or one signed wrongly."""


class BadVerifierKey(BadNote):
    """A text that is not a verifier key, or a key that could not be written as one."""


@dataclass(frozen=True, kw_only=True)
class VerifierKey:
    """Who may sign, and how that is checked; `str` gives the published line.

    The line is `<name>+<id in hex>+<base64 of algorithm and public key>`. A key
    of a witness has the algorithm `COSIGNATURE`.

    Raises:
        BadVerifierKey: the name, the length or the algorithm cannot be.
    """

    name: str
    public: bytes
    algorithm: int = ED25519

    def __post_init__(self) -> None:
        reason = _reason_against_name(self.name)
        if reason is not None:
            raise BadVerifierKey(reason)
        if self.algorithm not in _ALGORITHMS:
            raise BadVerifierKey(f"the algorithm {self.algorithm:#04x} is not known here")
        if len(self.public) != _PUBLIC_BYTES:
            raise BadVerifierKey(
                f"the public key has {len(self.public)} bytes instead of {_PUBLIC_BYTES}"
            )

    @property
    def id(self) -> bytes:
        """Return the four bytes that, with the name, tell this key from others.

        They are no fingerprint: anybody can make another key with the same ones.
        """
        return sha256(self.name.encode() + b"\n" + self._material).digest()[:_ID_BYTES]

    @property
    def _material(self) -> bytes:
        return bytes([self.algorithm]) + self.public

    # `typing.override` came with Python 3.12, and the domain takes it from nowhere else.
    def __str__(self) -> str:  # type: ignore[explicit-override]
        return f"{self.name}+{self.id.hex()}+{encode_base64(self._material)}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read the published line, without a newline at its end.

        Raises:
            BadVerifierKey: it is not exactly what `str` would write.
        """
        name, _, rest = text.partition("+")
        identity, plus, encoded = rest.partition("+")
        if not plus or not _HEX.fullmatch(identity):
            raise BadVerifierKey("it is not of the form name+8 hex digits in lower case+base64")
        try:
            material = decode_base64(encoded)
        except ValueError as error:
            raise BadVerifierKey(f"the public key is {error}") from None
        if not material:
            raise BadVerifierKey("there is no public key")
        key = cls(name=name, public=material[1:], algorithm=material[0])
        if key.id.hex() != identity:
            raise BadVerifierKey(f"its id is {key.id.hex()}, not {identity}")
        return key

    def accepts(self, text: str, signature: bytes, *, verify: Verify) -> bool:
        """Say whether a signature by this key holds for a note's text."""
        if self.algorithm == ED25519:
            right = len(signature) == _SIGNATURE_BYTES
            return right and verify(self.public, signature, text.encode())
        at = cosigned_at(signature)
        if at is None:
            return False
        return verify(self.public, signature[_TIME_BYTES:], cosignature_message(text, at))


@dataclass(frozen=True, kw_only=True)
class Signature:
    """One signature line, by a key that may be known or not.

    Raises:
        BadNote: it could not be written as a line.
    """

    name: str
    key_id: bytes
    signature: bytes

    def __post_init__(self) -> None:
        reason = _reason_against_name(self.name)
        if reason is not None:
            raise BadNote(reason)
        if len(self.key_id) != _ID_BYTES or not self.signature:
            raise BadNote(f"the signature of {self.name} is too short")

    @property
    def line(self) -> str:
        """Return the line, with its newline."""
        return f"{_PREFIX}{self.name} {encode_base64(self.key_id + self.signature)}\n"


@dataclass(frozen=True, kw_only=True)
class SignedNote:
    """A text, which ends in a newline, and the signatures below it.

    That it was parsed says nothing about the signatures: see `open_note`.

    Raises:
        BadNote: it could not be written as a note.
    """

    text: str
    signatures: tuple[Signature, ...]

    def __post_init__(self) -> None:
        _check_text(self.text)
        if not self.text.endswith("\n"):
            raise BadNote("the text does not end in a newline")
        if not 0 < len(self.signatures) <= MAX_SIGNATURES:
            raise BadNote(
                f"there are {len(self.signatures)} signatures instead of 1 to {MAX_SIGNATURES}"
            )
        _check_length(self.write())

    @classmethod
    def parse(cls, data: bytes) -> SignedNote:
        """Read a note's bytes, without trusting any signature.

        Raises:
            BadNote: they are not exactly what `write` could have written.
        """
        # The text may hold empty lines; the last one ends it.
        text, separator, lines = _decode(data).rpartition("\n\n")
        if not separator:
            raise BadNote("there is no empty line before the signatures")
        return cls(text=text + "\n", signatures=_signatures(lines))

    def write(self) -> bytes:
        """Return the note's bytes."""
        return (self.text + "\n" + "".join(each.line for each in self.signatures)).encode()

    def with_signature(self, signature: Signature) -> SignedNote:
        """Add a signature at the end; an earlier one by the same key gives way."""
        identity = (signature.name, signature.key_id)
        others = tuple(each for each in self.signatures if (each.name, each.key_id) != identity)
        return SignedNote(text=self.text, signatures=(*others, signature))


def sign(text: str, *, key: VerifierKey, signature: bytes) -> SignedNote:
    """Return the note of a text with one key's signature below it.

    What an Ed25519 key signs is the text's UTF-8; what a witness signs is
    `cosignature_message`, and its signature starts with the time in 8 bytes.

    Raises:
        BadNote: the text cannot stand in a note.
    """
    line = Signature(name=key.name, key_id=key.id, signature=signature)
    return SignedNote(text=text, signatures=(line,))


def open_note(
    data: bytes, keys: Collection[VerifierKey], verify: Verify
) -> tuple[SignedNote, tuple[VerifierKey, ...]]:
    """Read a note and return it with those of the trusted keys that signed it.

    Signatures by other keys are ignored, even where the name or the id is that
    of a trusted one. One wrong signature by a trusted key spoils the note, also
    where the key signed it rightly as well; Go's reader skips repeated ones.

    Raises:
        Unverified: no trusted key signed it, or one signed wrongly.
        BadNote: the bytes are not a note.
    """
    note = SignedNote.parse(data)
    known = _by_identity(keys)
    signers: dict[VerifierKey, None] = {}
    for line in note.signatures:
        key = known.get((line.name, line.key_id))
        if key is None:
            continue
        if not key.accepts(note.text, line.signature, verify=verify):
            raise Unverified(f"the signature by {key.name}+{key.id.hex()} does not hold")
        signers[key] = None
    if not signers:
        raise Unverified("no trusted key signed the note")
    return note, tuple(signers)


def parse_signatures(data: bytes) -> tuple[Signature, ...]:
    """Read signature lines that stand alone, as a witness answers with them.

    They are not joined to the note as bytes: an empty line among them would
    move the end of the text.

    Raises:
        BadNote: there is none, or something else is among them.
    """
    return _signatures(_decode(data))


def cosignature_message(text: str, at: int) -> bytes:
    """Return what a witness signs, at a time in Unix seconds (C2SP tlog-cosignature)."""
    return f"cosignature/v1\ntime {at}\n{text}".encode()


def cosigned_at(signature: bytes) -> int | None:
    """Return the Unix seconds a cosignature states; None where it is not one."""
    if len(signature) != _TIME_BYTES + _SIGNATURE_BYTES:
        return None
    at = int.from_bytes(signature[:_TIME_BYTES], "big")
    return at if at <= _MAX_TIME else None


def encode_base64(data: bytes) -> str:
    """Write base64 as RFC 4648 §4 has it: standard alphabet, padded."""
    return b64encode(data).decode()


def decode_base64(text: str) -> bytes:
    """Read base64 that is written the one right way.

    Raises:
        ValueError: it is not; the message goes on from "it is".
    """
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        raise ValueError("not base64") from None
    # Python ignores bits that stand between the data and the padding.
    if encode_base64(data) != text:
        raise ValueError("not base64 in its only right form")
    return data


def _decode(data: bytes) -> str:
    _check_length(data)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise BadNote(f"byte {error.start} is not UTF-8") from None
    _check_text(text)
    return text


def _signatures(lines: str) -> tuple[Signature, ...]:
    if not lines:
        raise BadNote("there is no signature")
    if not lines.endswith("\n"):
        raise BadNote("the last signature line does not end in a newline")
    if lines.count("\n") > MAX_SIGNATURES:
        raise BadNote(f"there are more than {MAX_SIGNATURES} signatures")
    return tuple(map(_signature, lines[:-1].split("\n")))


def _signature(line: str) -> Signature:
    if not line.startswith(_PREFIX):
        raise BadNote(f"{line[:40]!r} is not a signature line")
    name, _, encoded = line.removeprefix(_PREFIX).partition(" ")
    try:
        data = decode_base64(encoded)
    except ValueError as error:
        raise BadNote(f"the signature of {name[:40]!r} is {error}") from None
    return Signature(name=name, key_id=data[:_ID_BYTES], signature=data[_ID_BYTES:])


def _by_identity(keys: Collection[VerifierKey]) -> dict[tuple[str, bytes], VerifierKey]:
    known: dict[tuple[str, bytes], VerifierKey] = {}
    for key in keys:
        if known.setdefault((key.name, key.id), key) != key:
            raise BadVerifierKey(f"two trusted keys are both {key.name}+{key.id.hex()}")
    return known


def _reason_against_name(name: str) -> str | None:
    if not name:
        return "the name of a key is empty"
    if any(letter.isspace() or letter < " " or letter == "+" for letter in name):
        return f"the key name {name[:40]!r} holds a space, a plus or a control character"
    return "the key name is not UTF-8" if _SURROGATE.search(name) else None


def _check_text(text: str) -> None:
    found = _CONTROL.search(text)
    if found is not None:
        raise BadNote(f"character {found.start()} is the control character {found[0]!r}")
    found = _SURROGATE.search(text)
    if found is not None:
        raise BadNote(f"character {found.start()} is half of a surrogate pair")


def _check_length(data: bytes) -> None:
    if len(data) > MAX_BYTES:
        raise BadNote(f"it has {len(data)} bytes; at most {MAX_BYTES} are read")
