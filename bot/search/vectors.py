"""Sentence vectors that need no encoding again: in the database, and in a file beside it."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from bot.ports import Database
from bot.search import snapshot

Vectors = npt.NDArray[np.float32]
Encode = Callable[[Sequence[str]], Awaitable[Vectors | None]]
Item = TypeVar("Item")

logger = logging.getLogger(__name__)

_KEYS = 500  # per statement of the database
_KEPT = 64  # per transaction: a graph that grows meanwhile holds up other writers
_FORGOTTEN = 100  # per transaction: others wait for it, since one writes at a time
_TEXTS = 1  # encoded before a waiting query gets its turn; more at once is no faster


class VectorCache:
    """Vectors in the database, by the sha256 of the text they were made of.

    They are little-endian float16 of the raw vector. Without a database nothing
    is known and nothing kept.
    """

    def __init__(self, database: Database | None, model: str, *, dimension: int) -> None:
        self._database = database
        self._model = model
        self._dimension = dimension

    @property
    def kept(self) -> bool:
        """Say whether there is a database that keeps what it is given."""
        return self._database is not None

    async def known(self, texts: Collection[str]) -> dict[str, Vectors]:
        """Return the vectors of those texts that were kept.

        One of the wrong size, or that is not finite, counts as unknown: it will
        be encoded anew and replaced.
        """
        found: dict[str, Vectors] = {}
        if self._database is None:
            return found
        for some in _pieces(list(dict.fromkeys(texts)), _KEYS):
            keys = {key_of(text): text for text in some}
            try:
                async with self._database.reading() as tx:
                    stored = await tx.embeddings.get(self._model, list(keys))
            except Exception as error:  # noqa: BLE001  # any store's error: it only saves time
                logger.warning("kept vectors cannot be read, so texts are encoded: %s", error)
                return found
            for key, content in stored.items():
                if key in keys and (vector := self._read(content)) is not None:
                    found[keys[key]] = vector
        return found

    async def keep(self, vectors: Mapping[str, Vectors]) -> None:
        """Keep the vectors of texts."""
        if self._database is None:
            return
        for some in _pieces(list(vectors.items()), _KEPT):
            contents = {key_of(text): as_bytes(vector) for text, vector in some}
            try:
                async with self._database.transaction() as tx:
                    await tx.embeddings.add(self._model, contents)
            except Exception as error:  # noqa: BLE001  # any store's error: it only saves time
                logger.warning("vectors cannot be kept; they are made again: %s", error)
                return

    async def keys(self) -> Collection[bytes] | None:
        """Return the keys of all vectors; None where no database can tell."""
        if self._database is None:
            return None
        try:
            async with self._database.reading() as tx:
                return await tx.embeddings.keys(self._model)
        except Exception as error:  # noqa: BLE001  # any store's error: it only saves time
            logger.warning("it cannot be told which vectors are kept: %s", error)
            return None

    async def forget(self, keys: Collection[bytes]) -> None:
        """Forget vectors, all in one transaction."""
        if self._database is not None:
            async with self._database.transaction() as tx:
                await tx.embeddings.remove(self._model, keys)

    async def nearest(self, vector: Vectors, *, limit: int) -> Sequence[bytes] | None:
        """Return the keys nearest to a vector; None where the database cannot tell."""
        if self._database is None:
            return None
        try:
            async with self._database.reading() as tx:
                return await tx.embeddings.nearest(self._model, as_bytes(vector), limit=limit)
        except Exception as error:  # noqa: BLE001  # any store's error: memory can tell as well
            logger.warning("the database cannot say what is near: %s", error)
            return None

    async def all(self) -> Sequence[tuple[bytes, bytes]]:
        """Return every key with the content of its vector, those of the wrong size left out."""
        if self._database is None:
            return ()
        async with self._database.reading() as tx:
            stored = await tx.embeddings.all(self._model)
        size = 2 * self._dimension
        return [(key, content) for key, content in stored if len(content) == size]

    def _read(self, content: bytes) -> Vectors | None:
        if len(content) != 2 * self._dimension:
            return None
        vector = np.frombuffer(content, dtype="<f2").astype(np.float32)
        return vector if np.isfinite(vector).all() else None


class Vault:
    """Vectors of texts: from the file, else from the database, else encoded and kept.

    The database is the truth and the file only saves time. Without either,
    everything is encoded; without a database, the file alone remembers.
    A vector is the same, rounded to float16, wherever it comes from.
    """

    def __init__(
        self, database: Database | None, path: Path | None, *, model: str, dimension: int
    ) -> None:
        self._cache = VectorCache(database, model, dimension=dimension)
        self._path = path
        self._model = model
        self._dimension = dimension
        self._file: snapshot.Snapshot | None = None
        self._places: dict[bytes, int] = {}
        self._fresh: dict[bytes, bytes] = {}
        self._changed = False
        self._saving = asyncio.Lock()
        self._writing: asyncio.Task[None] | None = None
        # The last look at which the text of a known vector was wanted. A dict of
        # 100,000 keys takes 12 MB; the texts would take far more.
        self._wanted: dict[bytes, int] = {}
        self._looks = 0
        # No vector is forgotten between finding that it is known and using it.
        self._using = asyncio.Lock()

    async def open(self) -> None:
        """Read the file and what the database has of it.

        A file that is of no use, or has more than the database, is written anew
        by `save`: a crash may come between forgetting in the one and in the other.
        """
        if self._path is not None:
            self._file = await asyncio.to_thread(
                snapshot.load, self._path, self._model, self._dimension
            )
            self._changed = self._file is None
        stood = await self._cache.keys()
        await asyncio.to_thread(self._know, stood)

    def _know(self, stood: Collection[bytes] | None) -> None:
        """Note which vectors there are; `stood` are those of the database, if it can tell."""
        filed = {} if self._file is None else _places(self._file.keys)
        kept = filed.keys() if stood is None else frozenset(stood)
        self._places = {key: place for key, place in filed.items() if key in kept}
        self._changed = self._changed or len(self._places) < len(filed)
        self._wanted = dict.fromkeys(kept, 0)

    async def vectors(self, texts: Sequence[str], encode: Encode) -> Vectors | None:
        """Return one vector per text; None where encoding failed.

        What was encoded before the failure is kept. `encode` gets a few texts at
        a time, and no transaction is open meanwhile.

        Raises:
            ValueError: the encoder's vectors are not of the dimension it names.
        """
        async with self._using:
            self._want(key_of(text) for text in texts)
            return await self._vectors(texts, encode)

    async def _vectors(self, texts: Sequence[str], encode: Encode) -> Vectors | None:
        known = self._remembered(texts)
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        known |= await self._cache.known(missing)
        missing = [text for text in missing if text not in known]
        for some in _pieces(missing, _KEYS):
            made = await self._encoded(some, encode)
            await self._keep(made)
            known |= made
            if len(made) < len(some):
                return None
        if not texts:
            return np.empty((0, self._dimension), dtype=np.float32)
        return np.stack([known[text] for text in texts])

    async def nearest(self, vector: Vectors, *, limit: int) -> Sequence[bytes] | None:
        """Return the keys nearest to a vector; None where no database can tell."""
        return await self._cache.nearest(vector, limit=limit)

    async def forget(self, wanted: AsyncIterator[Collection[bytes]]) -> int:
        """Forget vectors that were not wanted at two looks in a row, this being one.

        `wanted` yields the keys of all texts there are. That makes a look, unless
        there are none: then nothing is indexed yet. The first look may come while
        older texts are still being read, so one alone decides nothing.

        Only what this vault knows is forgotten: what stood there when it was
        opened, and what it was asked for. What another bot on the same database
        keeps meanwhile is for texts this one may not hear of before its next
        start, and stays. Where a text that is gone here is still used there, or
        older texts could not be read, forgetting costs encoding again at a start.
        Vectors of other models stay: only a bot with that model knows its texts.
        """
        look = self._looks + 1
        if not await self._looked(wanted):
            return 0
        self._looks = look
        missed = [key for key, last in self._wanted.items() if last < look - 1]
        return sum([await self._forget(some) for some in _pieces(missed, _FORGOTTEN)])

    async def _looked(self, wanted: AsyncIterator[Collection[bytes]]) -> int:
        """Note which texts there are, and say how many."""
        count = 0
        async for keys in wanted:
            self._want(keys)
            count += len(keys)
        return count

    def _want(self, keys: Iterable[bytes]) -> None:
        """Note that texts were wanted at the look to come, or the one under way."""
        self._wanted.update(dict.fromkeys(keys, self._looks + 1))

    async def _forget(self, keys: Sequence[bytes]) -> int:
        """Forget some vectors, but none that was asked for since."""
        async with self._using:
            before = self._looks - 1
            gone = [key for key in keys if self._wanted.get(key, before) < before]
            if not gone:
                return 0
            for key in gone:
                self._places.pop(key, None)
                self._fresh.pop(key, None)
            self._changed = True
            await self._cache.forget(gone)
            for key in gone:
                del self._wanted[key]
            return len(gone)

    async def save(self) -> None:
        """Write the file if anything is new, on another thread; a failure is logged.

        With a database its content is written, and what was read from the file
        is let go: from then on the database is asked. Who is cancelled meanwhile
        leaves the writing to its end, which the next save waits for.
        """
        async with self._saving:
            if self._writing is not None:
                await asyncio.wait({self._writing})
            if self._path is not None and self._changed:
                self._writing = asyncio.create_task(self._save(self._path))
                await asyncio.shield(self._writing)
            if self._cache.kept and not self._changed:
                self._file, self._places = None, {}

    async def _save(self, path: Path) -> None:
        self._changed = False
        try:
            contents = await self._cache.all() if self._cache.kept else self._held()
            await asyncio.to_thread(self._write, path, contents)
        except Exception as error:  # noqa: BLE001  # any store's error: the file only saves time
            logger.warning("the vectors cannot be saved at %s: %s", path, error)
            self._changed = True

    async def close(self) -> None:
        """Save what is new, and let everything go."""
        await self.save()
        self._path, self._file = None, None
        self._places, self._fresh = {}, {}

    def _remembered(self, texts: Sequence[str]) -> dict[str, Vectors]:
        """Look texts up in the file, and where there is no database among the encoded."""
        found: dict[str, Vectors] = {}
        for text in dict.fromkeys(texts) if self._places or self._fresh else ():
            key = key_of(text)
            if (place := self._places.get(key)) is not None and self._file is not None:
                vector = self._file.vectors[place].astype(np.float32)
            elif (content := self._fresh.get(key)) is not None:
                vector = np.frombuffer(content, dtype="<f2").astype(np.float32)
            else:
                continue
            if np.isfinite(vector).all():
                found[text] = vector
        return found

    async def _encoded(self, texts: Sequence[str], encode: Encode) -> dict[str, Vectors]:
        """Encode a few texts at a time, as far as it works."""
        made: dict[str, Vectors] = {}
        for some in _pieces(texts, _TEXTS):
            vectors = await encode(some)
            if vectors is None:
                break
            if vectors.shape != (len(some), self._dimension):
                raise ValueError(f"vectors of shape {vectors.shape}, not {self._dimension} wide")
            halves = vectors.astype(np.float16).astype(np.float32)
            # What a model cannot put into numbers is close to nothing, and is not kept.
            halves[~np.isfinite(halves).all(axis=1)] = 0.0
            made |= zip(some, halves, strict=True)
        return made

    async def _keep(self, made: Mapping[str, Vectors]) -> None:
        made = {text: vector for text, vector in made.items() if vector.any()}
        if not made:
            return
        self._changed = True
        if self._cache.kept:
            await self._cache.keep(made)
        elif self._path is not None:
            self._fresh |= {key_of(text): as_bytes(vector) for text, vector in made.items()}

    def _held(self) -> Sequence[tuple[bytes, bytes]]:
        """List what the file had and what came since."""
        read = [] if self._file is None else list(self._places.items())
        vectors = self._file.vectors if self._file is not None else None
        held = {key: vectors[place].tobytes() for key, place in read if vectors is not None}
        return list((held | self._fresh).items())

    def _write(self, path: Path, contents: Sequence[tuple[bytes, bytes]]) -> None:
        keys = tuple(key for key, _ in contents)
        joined = b"".join(content for _, content in contents)
        vectors = np.frombuffer(joined, dtype="<f2").reshape(len(keys), self._dimension)
        snapshot.save(path, self._model, snapshot.Snapshot(keys=keys, vectors=vectors))


def key_of(text: str) -> bytes:
    """Return the sha256 of a text as the encoder reads it, lone surrogates replaced."""
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()


def as_bytes(vector: Vectors) -> bytes:
    """Write a vector as little-endian float16."""
    return vector.astype("<f2").tobytes()


def _places(keys: Sequence[bytes]) -> dict[bytes, int]:
    return {key: place for place, key in enumerate(keys)}


def _pieces(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
