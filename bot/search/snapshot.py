"""Vectors in one file beside the database, so that a start need not ask it for each.

The file is derived: whatever is wrong with it, it is not used, and the log says
why. Layout, all numbers little-endian:

    magic 8 · version u32 · dimension u32 · count u64 · sha256 of the model's name 32
    keys count * 32 · vectors count * dimension * float16
    sha256 of all of the above 32
"""

from __future__ import annotations

import hashlib
import logging
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Halves = npt.NDArray[np.float16]

logger = logging.getLogger(__name__)

_MAGIC = b"TOCSINVE"
_VERSION = 1
_HEADER = struct.Struct("<8sIIQ32s")
_DIGEST = 32
_NUMBER = 2  # bytes


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Keys, and one vector for each in the same order."""

    keys: tuple[bytes, ...]
    vectors: Halves


class _Unfit(Exception):
    """A file cannot be used, for the reason given."""


def save(path: Path, model: str, snapshot: Snapshot) -> None:
    """Write a file in place of what was there, so that any crash leaves the old or the new.

    Raises:
        OSError: it cannot be written; what was there remains.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.partial")
    try:
        # What is derived from incidents is for nobody else to read.
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            for piece in _pieces(model, snapshot):
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def load(path: Path, model: str, dimension: int) -> Snapshot | None:
    """Read a file, or say in the log why it is of no use and return None."""
    try:
        return _parsed(path.read_bytes(), model, dimension)
    except FileNotFoundError:
        logger.debug("no vectors at %s yet", path)
    except (OSError, _Unfit) as error:
        logger.warning("the vectors at %s are not used: %s", path, error)
    return None


def _pieces(model: str, snapshot: Snapshot) -> Iterator[bytes | memoryview]:
    """Yield the content of a file, the checksum last."""
    vectors = np.ascontiguousarray(snapshot.vectors, dtype="<f2")
    count, dimension = vectors.shape
    digest = hashlib.sha256()
    header = _HEADER.pack(_MAGIC, _VERSION, dimension, count, _named(model))
    numbers = vectors.reshape(-1).view(np.uint8).data
    for piece in (header, _joined(snapshot.keys, count), numbers):
        digest.update(piece)
        yield piece
    yield digest.digest()


def _joined(keys: Sequence[bytes], count: int) -> bytes:
    joined = b"".join(keys)
    if len(keys) != count or len(joined) != count * _DIGEST:
        raise ValueError(f"{len(keys)} keys of {len(joined)} bytes for {count} vectors")
    return joined


def _parsed(content: bytes, model: str, dimension: int) -> Snapshot:
    """Take a file's content apart; nothing in it is believed before the checksum agrees."""
    if len(content) < _HEADER.size + _DIGEST:
        raise _Unfit(f"it is torn: {len(content)} bytes are less than a header")
    magic, version, written, count, named = _HEADER.unpack_from(content)
    if magic != _MAGIC:
        raise _Unfit("it is another kind of file")
    if version != _VERSION:
        raise _Unfit(f"its version is {version}, not {_VERSION}")
    if named != _named(model):
        raise _Unfit("they were made by another model")
    if written != dimension:
        raise _Unfit(f"its dimension is {written}, not {dimension}")
    expected = _HEADER.size + count * (_DIGEST + dimension * _NUMBER) + _DIGEST
    if len(content) != expected:
        raise _Unfit(f"it is torn: {len(content)} bytes, {expected} for its {count} vectors")
    body = memoryview(content)[:-_DIGEST]
    if hashlib.sha256(body).digest() != content[-_DIGEST:]:
        raise _Unfit("its checksum does not agree")
    return _unpacked(body[_HEADER.size :], count, dimension)


def _unpacked(body: memoryview, count: int, dimension: int) -> Snapshot:
    """Cut keys and vectors out; the vectors stay where they were read to."""
    behind = count * _DIGEST
    keys = tuple(bytes(body[at : at + _DIGEST]) for at in range(0, behind, _DIGEST))
    vectors = np.frombuffer(body[behind:], dtype="<f2").reshape(count, dimension)
    return Snapshot(keys=keys, vectors=vectors)


def _named(model: str) -> bytes:
    return hashlib.sha256(model.encode()).digest()


def _sync_directory(directory: Path) -> None:
    """Make sure that a power cut does not undo the renaming."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
