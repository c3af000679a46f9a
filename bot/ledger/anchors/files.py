"""Checkpoints in a file elsewhere, to which is only ever appended.

The format is that of `paragraphs`. The file belongs on another disk or another
machine, under another account where possible: whoever can rewrite both it and
the database can rewrite history. `chattr +a` is compatible with all that is
done here. A restored log has a new origin and gets a file of its own beside the
first: `<name>.2`, `<name>.3`, …
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import TypeVar

from bot.domain.checkpoints import BadCheckpoint, Checkpoint, read_checkpoint
from bot.ledger.anchors.continuity import check_continuity
from bot.ledger.anchors.paragraphs import mending, newest_in, notes_in, written
from bot.ledger.signing import sync_folder
from bot.ports import AnchorFailed, Proof, SignedCheckpoint

_TAIL = 65_536  # bytes, in which the newest note is looked for first
_APPEND = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe in its place would block for ever

T = TypeVar("T")


class FileAnchor:
    """Keeps every checkpoint, in one file for each origin; the folder must be there.

    A missing folder is not created: it may be a disk that is not mounted, and
    a new folder in its place would look just as well.
    """

    # Whatever it confirmed once must be found in it again: see `bot.services.agreement`.
    lasting = True

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def name(self) -> str:
        """Return what the anchor is called in records."""
        return f"file:{self._path}"

    async def keep(self, checkpoint: SignedCheckpoint, *, proof: Proof) -> bytes:
        """Append a checkpoint, on the disk when this returns; one that is there stays once.

        Raises:
            AnchorFailed: it contradicts what is there, or could not be written.
        """
        done = False
        while not done:
            held = await self._told(partial(self._newest, checkpoint.origin))
            if held is not None:
                await check_continuity(self._read(held), checkpoint, proof=proof)
            done = await self._told(partial(self._append, checkpoint, held))
        return b""

    async def kept(self) -> Sequence[bytes]:
        """Return every note, of the oldest origin first.

        Raises:
            AnchorFailed: a file cannot be read.
        """
        return await self._told(self._all)

    async def _told(self, work: Callable[[], T]) -> T:
        """Do something with files, off the event loop."""
        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            place = error.filename or self._path
            raise AnchorFailed(f"{place}: {error.strerror or error}") from error

    def _all(self) -> list[bytes]:
        if not self._path.parent.is_dir():
            parent = str(self._path.parent)
            raise FileNotFoundError(errno.ENOENT, "the folder is not there", parent)
        return [note for path in self._files() for note in notes_in(_content(path))]

    def _newest(self, origin: str) -> bytes | None:
        path = self._file_of(origin)
        if not path.exists():
            return None
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL))
            tail = file.read()
        found = newest_in(tail) if size > _TAIL else None
        return found or next(reversed(notes_in(_content(path))), None)

    def _append(self, checkpoint: SignedCheckpoint, seen: bytes | None) -> bool:
        """Append a checkpoint unless another process was faster; then say False."""
        with self._locked():
            if self._newest(checkpoint.origin) != seen:
                return False
            path = self._file_of(checkpoint.origin)
            with _opened(path, _APPEND) as file:
                fresh = os.fstat(file).st_size == 0
                if not self._there(seen, checkpoint):
                    _write(file, mending(_end(file)) + written(checkpoint.note))
                # Also where it was there: whoever wrote it may not have come to this line.
                os.fsync(file)
        if fresh:
            sync_folder(path.parent)
        return True

    def _there(self, seen: bytes | None, checkpoint: SignedCheckpoint) -> bool:
        if seen is None:
            return False
        return seen == checkpoint.note or self._read(seen).size > checkpoint.size

    def _read(self, note: bytes) -> Checkpoint:
        try:
            return read_checkpoint(note)
        except BadCheckpoint as error:
            raise AnchorFailed(f"{self._path} is damaged: {error}") from None

    def _file_of(self, origin: str) -> Path:
        """Return the file of an origin: the one that begins with it, or the next free one."""
        empty = []
        for path in self._files():
            first = next(iter(notes_in(_content(path, most=_TAIL))), None)
            if first is None:
                empty.append(path)
            elif self._read(first).origin == origin:
                return path
        return next(iter(empty), None) or next(p for p in self._names() if not p.exists())

    def _files(self) -> Iterator[Path]:
        """Return the files there are; the numbers have no gaps, but the first may be gone."""
        for number, path in enumerate(self._names()):
            if path.exists():
                yield path
            elif number:
                return

    def _names(self) -> Iterator[Path]:
        yield self._path
        for number in count(2):
            yield self._path.with_name(f"{self._path.name}.{number}")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes from appending, to whichever of the files."""
        with _opened(self._path, _APPEND) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags, 0o644)  # checkpoints are public
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "it is not a regular file", str(path))
        yield descriptor
    finally:
        os.close(descriptor)


def _content(path: Path, *, most: int | None = None) -> bytes:
    with _opened(path, _READ) as descriptor, os.fdopen(descriptor, "rb", closefd=False) as file:
        return file.read(-1 if most is None else most)


def _end(file: int) -> bytes:
    """Return the end of a file, which is all that mending needs to see."""
    size = os.fstat(file).st_size
    return os.pread(file, _TAIL, max(0, size - _TAIL))


def _write(file: int, data: bytes) -> None:
    """Write all of it: a disk that fills up cuts one write short and refuses the next."""
    while data:
        data = data[os.write(file, data) :]
