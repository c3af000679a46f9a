"""A key for every person, outside the database: erasing it erases what was said of them.

The ledger's bodies are encrypted under the keys of the people they are about,
and people appear in headers under pseudonyms made with the same keys. A backup
of the database keeps both; without the key, neither leads to a person any more.
A backup of the folder undoes an erasure, so keep none for longer than you may
take to erase.

A box is the version (1), a random salt and a mark (eight bytes each) that tell
which key it is under, a random nonce of twelve bytes, and AES-256-GCM's
ciphertext and tag. The mark tells a body whose key is gone from a damaged one,
though its subjects came back and have new keys; the salt hides that two boxes
are under the same key.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest, digest
from pathlib import Path
from secrets import token_bytes
from threading import Lock
from typing import TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bot.ledger.signing import BadKey, create_private, read_private, sync_folder

INSTALLATION = "installation"  # what bodies about nobody are encrypted under
CACHED = 4096  # keys, and as many combinations of keys

_VERSION = b"\x01"
_KEY_BYTES = 32
_SALT_BYTES = 8
_MARK_BYTES = 8
_NONCE_BYTES = 12
_TAG_BYTES = 16
_HEAD_BYTES = len(_VERSION) + _SALT_BYTES + _MARK_BYTES + _NONCE_BYTES
_PERSON = "person:"
_PSEUDONYM = b"tocsin/pseudonym/v1\n"
_BODY = b"tocsin/body/v1\n"

_K = TypeVar("_K")
_V = TypeVar("_V")


class Damaged(ValueError):
    """An encrypted body that is not what was written under a key that is still there."""


@dataclass(frozen=True, kw_only=True)
class _Held:
    """A key in memory, and which file it was read from."""

    key: bytes
    path: str
    stamp: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class _Cipher:
    """What boxes about certain subjects are closed and opened with."""

    keys: bytes  # those of the subjects, joined
    aead: AESGCM
    mark: bytes

    def marked(self, salt: bytes) -> bytes:
        """Return the mark of a box with this salt."""
        return digest(self.mark, salt, "sha256")[:_MARK_BYTES]


class SubjectKeys:
    """The keys in one folder, which only its owner may enter.

    Safe to use from several threads and processes at once: a key that another
    process erases is not used here any more from that moment on.

    Raises:
        BadKey: the folder is not one, or others may enter it.
        OSError: it cannot be created.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mutex = Lock()
        self._held: dict[str, _Held] = {}
        self._ciphers: dict[tuple[str, ...], _Cipher] = {}
        _open_folder(folder)

    def pseudonym(self, reference: str) -> str:
        """Return the form of a reference that may stand in a header for ever.

        The same person is always the same one, until their key is erased: what
        they do later stands under another, and nothing joins the two. Software
        keeps its name.

        Raises:
            BadKey: the person's key file is not fit for use.
            OSError: a new key cannot be written.
        """
        if not reference.startswith(_PERSON):
            return reference
        message = _PSEUDONYM + reference.encode()
        return _PERSON + digest(self._key(reference), message, "sha256").hex()[:16]

    def encrypt(self, body: bytes, subjects: Collection[str]) -> bytes:
        """Close a body so that the keys of all its subjects are needed to open it.

        A body about nobody is closed under the installation's own key.

        Raises:
            BadKey: a key file is not fit for use.
            OSError: a new key cannot be written.
        """
        names = _names(subjects)
        cipher = self._cipher(names, [self._key(name) for name in names])
        fresh = token_bytes(_SALT_BYTES + _NONCE_BYTES)
        salt, nonce = fresh[:_SALT_BYTES], fresh[_SALT_BYTES:]
        closed = cipher.aead.encrypt(nonce, body, _VERSION)
        return b"".join((_VERSION, salt, cipher.marked(salt), nonce, closed))

    def decrypt(self, box: bytes, subjects: Collection[str]) -> bytes | None:
        """Open a box; None where a key it needs was erased.

        The key of somebody who was erased and came back is another one, and
        does not count as damage to what was written before.

        Raises:
            Damaged: the keys are there and the box does not open.
            BadKey: a key file is not fit for use.
        """
        if len(box) < _HEAD_BYTES + _TAG_BYTES or box[:1] != _VERSION:
            raise Damaged("the body is not in a form this program writes")
        names = _names(subjects)
        keys = [self._find(name) for name in names]
        found = [key for key in keys if key is not None]
        if len(found) < len(names):
            if names == (INSTALLATION,):
                raise Damaged("the installation's own key is gone, which nothing erases")
            return None
        return _opened(self._cipher(names, found), box)

    def erase(self, reference: str) -> bool:
        """Remove a subject's key for good; say whether there was one.

        Every body they have a part in cannot be read any more, by anyone.

        Raises:
            ValueError: it is the installation's own key.
            OSError: it cannot be removed, or that did not reach the disk: try again.
        """
        if reference == INSTALLATION:
            raise ValueError("the installation's own key is not a person's and cannot be erased")
        with self._mutex:
            self._forget(reference)
            path = self._path(reference)
            erased = _unlinked(path)
            # Second names that a crash left behind hold the key too.
            for left in self._folder.glob(f"{path.name}.*.new"):
                left.unlink(missing_ok=True)
            sync_folder(self._folder)
        return erased

    def _key(self, reference: str) -> bytes:
        """Return a subject's key, made now if there is none."""
        key = self._find(reference)
        if key is not None:
            return key
        path = self._path(reference)
        with self._mutex:
            create_private(path, token_bytes(_KEY_BYTES))
            key = self._read(reference)
        if key is None:
            raise BadKey(path, "it was removed while it was being made")
        return key

    def _find(self, reference: str) -> bytes | None:
        """Return a subject's key if there is one; look at the file each time, not into it."""
        held = self._held.get(reference)
        if held is not None and _stamp(held.path) == held.stamp:
            return held.key
        # Reading and keeping are one step, or a key that is erased between them would stay.
        with self._mutex:
            if held is not None:
                self._forget(reference)
            return self._read(reference)

    def _read(self, reference: str) -> bytes | None:
        path = self._path(reference)
        stamp = _stamp(str(path))
        key = None if stamp is None else read_private(path, most=_KEY_BYTES)
        if key is None or stamp is None:
            return None
        if len(key) != _KEY_BYTES:
            raise BadKey(path, f"it does not hold a key of {_KEY_BYTES} bytes")
        _keep(self._held, reference, _Held(key=key, path=str(path), stamp=stamp))
        return key

    def _cipher(self, names: tuple[str, ...], keys: list[bytes]) -> _Cipher:
        joined = b"".join(keys)
        cipher = self._ciphers.get(names)
        if cipher is not None and cipher.keys == joined:
            return cipher
        cipher = _derived(names, joined)
        with self._mutex:
            if all(name in self._held for name in names):  # not erased in the meantime
                _keep(self._ciphers, names, cipher)
        return cipher

    def _forget(self, reference: str) -> None:
        self._held.pop(reference, None)
        for names in [names for names in self._ciphers if reference in names]:
            del self._ciphers[names]

    def _path(self, reference: str) -> Path:
        return self._folder / f"{sha256(reference.encode()).hexdigest()[:32]}.key"


def _names(subjects: Collection[str]) -> tuple[str, ...]:
    if isinstance(subjects, str):  # it would be taken for a collection of letters
        raise TypeError("subjects: one reference instead of a collection of them")
    return tuple(sorted(set(subjects))) or (INSTALLATION,)


def _derived(names: tuple[str, ...], keys: bytes) -> _Cipher:
    """Derive what a combination of subjects needs (RFC 5869), bound to who they are."""
    who = b"".join(sha256(name.encode()).digest() for name in names)
    kdf = HKDF(algorithm=SHA256(), length=2 * _KEY_BYTES, salt=None, info=_BODY + who)
    derived = kdf.derive(keys)
    return _Cipher(keys=keys, aead=AESGCM(derived[:_KEY_BYTES]), mark=derived[_KEY_BYTES:])


def _opened(cipher: _Cipher, box: bytes) -> bytes | None:
    salt, rest = box[1 : 1 + _SALT_BYTES], box[1 + _SALT_BYTES :]
    ours = compare_digest(rest[:_MARK_BYTES], cipher.marked(salt))
    nonce, closed = box[_HEAD_BYTES - _NONCE_BYTES : _HEAD_BYTES], box[_HEAD_BYTES:]
    try:
        body = cipher.aead.decrypt(nonce, closed, _VERSION)
    except InvalidTag:
        if not ours:
            return None
        raise Damaged("the body is not what was encrypted") from None
    if not ours:  # it opens, so only salt or mark can have been changed
        raise Damaged("the body does not say which key it is under")
    return body


def _open_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        pass
    else:
        sync_folder(folder.parent)
    found = folder.stat()
    if not stat.S_ISDIR(found.st_mode):
        raise BadKey(folder, "it is not a folder")
    if found.st_mode & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        raise BadKey(folder, f"others may enter it (mode {mode:04o}); run chmod 700 on it")


def _stamp(path: str) -> tuple[int, int] | None:
    """Return what changes when a file of this name is removed and made anew."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_ctime_ns


def _unlinked(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def _keep(cache: dict[_K, _V], key: _K, value: _V) -> None:
    """Put a value into a cache, in place of the oldest one where it is full."""
    if key not in cache and len(cache) >= CACHED:
        del cache[next(iter(cache))]
    cache[key] = value
