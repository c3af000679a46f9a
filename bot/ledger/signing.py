"""The key that signs checkpoints: in a file of its own, or behind a program.

Key files are written once and never changed: complete and on the disk before
anybody can see them under their name, and never over another file. The same
way of writing serves the keys of `subjects`.
"""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from subprocess import PIPE, Popen, TimeoutExpired
from typing import Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from bot.domain.errors import TocsinError
from bot.domain.notes import ED25519, SignedNote, VerifierKey, decode_base64, sign

_MAX_FILE_BYTES = 16_384


class BadKey(ValueError):
    """A key file, or a folder of them, that is not fit for use: which, and why."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class NotSigned(TocsinError):
    """The program that holds the key gave no signature that holds: why."""


class Signer(Protocol):
    """Whatever can sign a log's checkpoints."""

    @property
    def verifier(self) -> VerifierKey:
        """Return the key that verifies what this signs."""

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature of a message.

        Raises:
            NotSigned: the key could not be reached or did not sign.
        """


class FileKey:
    """A key in a PEM file (PKCS #8, not encrypted) that only its owner may read."""

    def __init__(self, private: Ed25519PrivateKey, origin: str) -> None:
        self._private = private
        public = private.public_key().public_bytes_raw()
        self._verifier = VerifierKey(name=origin, public=public)

    @classmethod
    def load_or_create(cls, path: Path, origin: str) -> FileKey:
        """Return the key in a file, or make one where there is no file.

        A file that is there is never replaced. Of two processes that start at
        once, one makes the key and both use it.

        Raises:
            BadKey: the file is not a private Ed25519 key kept from others.
            BadVerifierKey: the origin cannot be the name of a key.
            OSError: the folder is missing, or it cannot be written to.
        """
        # An origin that cannot be a name is found before a key is made for it.
        VerifierKey(name=origin, public=bytes(32))
        data = read_private(path, most=_MAX_FILE_BYTES)
        if data is None:
            create_private(path, _new_pem())
            data = read_private(path, most=_MAX_FILE_BYTES)
        if data is None:
            raise BadKey(path, "it points to a file that is not there")
        return cls(_private_key(path, data), origin)

    @property
    def verifier(self) -> VerifierKey:
        """Return the key that verifies what this signs."""
        return self._verifier

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature of a message."""
        return self._private.sign(message)


class CommandKey:
    """A key that never leaves a key service: a program signs on our behalf.

    The program gets the message on standard input and answers with the base64
    of the 64-byte signature on standard output. `argv` is no shell line; `within`
    is in seconds, after which the program and what it started are killed.
    Signing blocks for that long: call it from a thread.
    """

    def __init__(self, argv: Sequence[str], verifier: VerifierKey, *, within: float = 10) -> None:
        if not argv:
            raise ValueError("the program that signs is not named")
        if verifier.algorithm != ED25519:
            raise ValueError(f"{verifier} is the key of a witness, not of a log")
        self._argv = tuple(argv)
        self._verifier = verifier
        self._within = within

    @property
    def verifier(self) -> VerifierKey:
        """Return the configured key; every signature is verified with it before use."""
        return self._verifier

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature of a message.

        Raises:
            NotSigned: the program failed, was too slow, or answered with anything
                but a signature that holds.
        """
        answer = self._ask(message)
        try:
            signature = decode_base64(answer.decode().strip())
        except ValueError:
            raise NotSigned(f"{self._argv[0]} did not answer in base64") from None
        if not verify_ed25519(self._verifier.public, signature, message):
            raise NotSigned(f"the signature by {self._argv[0]} does not hold for {self._verifier}")
        return signature

    def _ask(self, message: bytes) -> bytes:
        try:
            process = Popen(  # noqa: S603 - the operator's own program, and no shell
                self._argv, stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True
            )
        except OSError as error:
            raise NotSigned(f"{self._argv[0]} did not start: {error.strerror}") from error
        with process:
            try:
                answer, complaint = process.communicate(message, timeout=self._within)
            except TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise NotSigned(
                    f"{self._argv[0]} did not answer within {self._within:g} s"
                ) from None
        if process.returncode != 0:
            said = complaint.decode(errors="replace").strip()[-200:]
            raise NotSigned(f"{self._argv[0]} ended with {process.returncode}: {said}")
        return answer


def verify_ed25519(public: bytes, signature: bytes, message: bytes) -> bool:
    """Say whether an Ed25519 signature holds (RFC 8032); the `Verify` of `bot.domain.notes`."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def sign_text(text: str, signer: Signer) -> SignedNote:
    """Return the note of a text, signed.

    Raises:
        BadNote: the text cannot stand in a note.
        NotSigned: the key could not be reached or did not sign.
    """
    return sign(text, key=signer.verifier, signature=signer.sign(text.encode()))


def read_private(path: Path, *, most: int) -> bytes | None:
    """Return what a secret file holds, or None where there is none.

    A link is followed, as secrets are mounted as links in many places; what
    counts is the file it leads to. Bytes beyond `most` are cut off by one, so
    that a file that is too long shows as such.

    Raises:
        BadKey: it is no regular file, or others than its owner may read or write it.
        OSError: it cannot be read.
    """
    try:
        # Without O_NONBLOCK, a pipe in the file's place would block for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        found = os.fstat(descriptor)
        _check_private(path, found.st_mode)
        if found.st_nlink > 1:
            # Its maker may not have brought its name to the disk: see `create_private`.
            sync_folder(path.parent)
        return os.read(descriptor, most + 1)
    finally:
        os.close(descriptor)


def create_private(path: Path, data: bytes) -> None:
    """Write a secret file that is there from now on, unless there is one already.

    The bytes are on the disk before the file gets its name, and the name before
    this returns; until then the file has a second name, `<name>.<random>.new`,
    which a crash may leave behind. Where the name is taken, nothing is written.

    Raises:
        OSError: it cannot be written. Where only the name did not reach the disk,
            the second name stays, and whoever reads the file tries that again.
    """
    first = path.with_name(f"{path.name}.{token_hex(8)}.new")
    try:
        _write_private(first, data)
        with suppress(FileExistsError):
            os.link(first, path)
    except OSError as error:
        first.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error
    sync_folder(path.parent)
    first.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk.

    Raises:
        OSError: it could not be done; what was created or removed may come undone.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_private(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise BadKey(path, "it is not a regular file")
    if mode & 0o077:
        reason = f"others may use it (mode {stat.S_IMODE(mode):04o}); run chmod 600 on it"
        raise BadKey(path, reason)


def _write_private(path: Path, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _new_pem() -> bytes:
    private = Ed25519PrivateKey.generate()
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _private_key(path: Path, data: bytes) -> Ed25519PrivateKey:
    if len(data) > _MAX_FILE_BYTES:
        raise BadKey(path, f"it has more than {_MAX_FILE_BYTES} bytes, too many for a key")
    try:
        private = load_pem_private_key(data, password=None)
    except TypeError:
        raise BadKey(path, "the key is encrypted") from None
    except (ValueError, UnsupportedAlgorithm):
        raise BadKey(path, "it is not a private key in PEM") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise BadKey(path, "the key is not an Ed25519 key")
    return private
