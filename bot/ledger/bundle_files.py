"""The files of a bundle: a tar, or a folder it was unpacked to. Nothing is ever unpacked here.

A bundle comes from strangers. Only names of the bundle's own layout are
accepted, so that no path can lead out of it; links, devices, sparse files,
repeated names, compression and hidden bytes between files are faults; and no
file is read beyond its limit. What is written is the same bytes for the same
files: sorted names, no times, no owners.
"""

from __future__ import annotations

import os
import re
import stat
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, Protocol
from urllib.parse import quote, unquote_to_bytes

from bot.ledger.signing import sync_folder

MANIFEST = "manifest.json"
KEYS = "key.vkey"
MOST_FILES = 4_000_000
MOST_BYTES = 1 << 20  # of one file; a note, a proof and a policy are the largest
MOST_MANIFEST = 1 << 28
BLOCK = tarfile.BLOCKSIZE

_NUMBER = "(?:0|[1-9][0-9]{0,15})"
_PART = r"(?:[A-Za-z0-9_-]|%[0-9A-F]{2})(?:[A-Za-z0-9_.-]|%[0-9A-F]{2})*"
_LAYOUT = re.compile(
    rf"manifest\.json|key\.vkey|leaves/{_NUMBER}|bodies/{_NUMBER}|proofs/{_NUMBER}\.tlog-proof"
    rf"|checkpoints/{_NUMBER}|consistency/{_NUMBER}-{_NUMBER}|anchors/{_PART}/{_NUMBER}(?:\.note)?"
    rf"|decisions/{_PART}\.json|policies/{_PART}/{_PART}|policies/calendars/{_PART}/{_PART}"
)
_CHUNK = 1 << 20


class BadBundle(ValueError):
    """A bundle whose files cannot be read safely: which file, and why."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"{file}: {reason}" if file else reason)
        self.file = file
        self.reason = reason


class BundleFiles(Protocol):
    """The files of a bundle by name."""

    @property
    def names(self) -> Mapping[str, int]:
        """Return the size of each file, by its name."""
        ...

    def read(self, name: str) -> bytes:
        """Return a file's bytes; of one that is not there, KeyError.

        Raises:
            BadBundle: it is larger than it may be, or cannot be read.
        """
        ...


def quoted(text: str) -> str:
    """Return a name as one part of a path that every system can hold."""
    written = quote(text, safe="").replace("~", "%7E")
    return f"%2E{written[1:]}" if written.startswith(".") else written


def unquoted(part: str) -> str:
    """Return the name that `quoted` has written.

    Raises:
        ValueError: it has not.
    """
    text = unquote_to_bytes(part).decode()
    if quoted(text) != part:
        raise ValueError(f"{part} is not written the one right way")
    return text


@contextmanager
def opened(path: Path) -> Iterator[BundleFiles]:
    """Open a bundle for reading.

    Raises:
        BadBundle: it is neither a tar nor a folder of a bundle's files, or a
            file in it is not what may stand there.
    """
    try:
        if path.is_dir():
            yield _Folder(path)
            return
        with path.open("rb") as file:
            yield _Tar(file)
    except OSError as error:
        raise BadBundle("", f"it cannot be read: {error.strerror or error}") from None


def _check_name(name: str, names: Mapping[str, int], size: int) -> None:
    if not _LAYOUT.fullmatch(name):
        raise BadBundle(ascii(name)[1:201], "this is no name of a bundle's file")
    if name in names:
        raise BadBundle(name, "the file is there twice")
    if not 0 <= size <= _most(name):
        raise BadBundle(name, f"it has {size} bytes; at most {_most(name)} are read")
    if len(names) >= MOST_FILES:
        raise BadBundle("", f"there are more than {MOST_FILES} files")


def _most(name: str) -> int:
    return MOST_MANIFEST if name == MANIFEST else MOST_BYTES


class _Tar:
    """An uncompressed tar; where each file stands in it is looked up once."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._places: dict[str, int] = {}
        self.names: dict[str, int] = {}
        try:
            self._index()
        except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
            if isinstance(error, BadBundle):
                raise
            raise BadBundle("", f"the tar is damaged: {error}") from None

    def _index(self) -> None:
        end = os.fstat(self._file.fileno()).st_size
        with tarfile.open(fileobj=self._file, mode="r:") as tar:
            for member in tar:
                tar.members.clear()  # type: ignore[attr-defined]  # it keeps all it read
                if member.isdir():
                    continue
                self._check(member, end)
                self.names[member.name] = member.size
                self._places[member.name] = member.offset_data
                self._check_zeros(member.offset_data + member.size, -member.size % BLOCK)
            self._check_zeros(tar.offset, end - tar.offset)

    def _check(self, member: tarfile.TarInfo, end: int) -> None:
        name = ascii(member.name)[1:201]
        if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.issparse():
            raise BadBundle(name, "it is not an ordinary file")
        _check_name(member.name, self.names, member.size)
        if member.offset_data + member.size > end:
            raise BadBundle(name, "the tar was cut off within it")

    def _check_zeros(self, start: int, count: int) -> None:
        """Hold that nothing hides where another program might look for something."""
        self._file.seek(start)
        while count > 0:
            piece = self._file.read(min(count, _CHUNK))
            if not piece:
                return
            if piece.count(0) != len(piece):
                raise BadBundle("", f"there are bytes of no file in the tar, behind byte {start}")
            count -= len(piece)

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""
        self._file.seek(self._places[name])
        data = self._file.read(self.names[name])
        if len(data) != self.names[name]:
            raise BadBundle(name, "the tar was cut off within it")
        return data


class _Folder:
    """A folder, in which no link is followed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.names: dict[str, int] = {}
        pending = [""]
        while pending:
            pending += self._look(pending.pop())

    def _look(self, folder: str) -> Iterator[str]:
        with os.scandir(self._root / folder) as found:
            for entry in found:
                name = f"{folder}{entry.name}"
                mode = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(mode.st_mode):
                    yield f"{name}/"
                    continue
                if not stat.S_ISREG(mode.st_mode):
                    raise BadBundle(ascii(name)[1:201], "it is not an ordinary file")
                _check_name(name, self.names, mode.st_size)
                self.names[name] = mode.st_size

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""
        most = self.names[name]
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            with os.fdopen(os.open(self._root / name, flags), "rb") as file:
                return file.read(most)
        except OSError as error:
            raise BadBundle(name, f"it cannot be read: {error.strerror or error}") from None


@dataclass(frozen=True)
class _Kept:
    offset: int
    size: int
    digest: str


class BundleWriter:
    """Collects files in a temporary one, and writes them as a tar in the end.

    Nobody sees the bundle under its name before it is whole and on the disk.
    """

    def __init__(self) -> None:
        self._spool = TemporaryFile()  # noqa: SIM115  # closed by `write`
        self._kept: dict[str, _Kept] = {}
        self._end = 0

    @property
    def digests(self) -> Mapping[str, str]:
        """Return the SHA-256 of every file so far, in hex."""
        return {name: kept.digest for name, kept in self._kept.items()}

    def add(self, name: str, data: bytes) -> None:
        """Add a file.

        Raises:
            BadBundle: it could not be read again.
        """
        _check_name(name, {}, len(data))
        if name in self._kept:
            raise BadBundle(name, "the file is there twice")
        self._spool.write(data)
        self._kept[name] = _Kept(self._end, len(data), sha256(data).hexdigest())
        self._end += len(data)

    def write(self, path: Path) -> None:
        """Write the tar beside its place, and put it there.

        Raises:
            OSError: it cannot be written; whatever was there before stays.
        """
        beside = path.with_name(f".{path.name}.{os.getpid()}.new")
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            # Bodies tell of people: who may read them is for the exporter to say.
            with os.fdopen(os.open(beside, flags, 0o600), "wb") as file:
                self._write(file)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
            self._spool.close()
        sync_folder(path.parent)

    def _write(self, file: BinaryIO) -> None:
        with tarfile.open(fileobj=file, mode="w:", format=tarfile.PAX_FORMAT) as tar:
            for name, kept in sorted(self._kept.items()):
                info = tarfile.TarInfo(name)
                info.size, info.mode = kept.size, 0o644
                self._spool.seek(kept.offset)
                tar.addfile(info, BytesIO(self._spool.read(kept.size)))
                tar.members.clear()  # type: ignore[attr-defined]  # as above
