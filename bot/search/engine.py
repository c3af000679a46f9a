"""The asynchronous face of search: answers by words at once, by meaning once it can."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from bot.domain.documents import Document, Hit
from bot.search.encoder import (
    EncoderFactory,
    EncoderUnavailable,
    RememberingEncoder,
    limit_native_threads,
)

if TYPE_CHECKING:
    from bot.search.blend import Weights
    from bot.search.encoder import Vectors
    from bot.search.index import Index, Pending

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

_DOCUMENTS = 32  # indexed before a waiting query gets its turn
_TEXTS = 8  # encoded before a waiting query gets its turn
_LONGEST_ENCODED = 4_000  # characters; the encoder reads 256 tokens


class HybridSearch:
    """Finds documents by BM25 and sentence vectors together.

    One thread owns the index and another one the encoder, so neither work ever
    runs on the event loop and a query waits for at most one slice of a long
    `put`. Until the encoder is loaded, and for good if it cannot be,
    `dense_ready` is False and hits carry no cosine.
    """

    def __init__(
        self,
        encoder_factory: EncoderFactory,
        cache_directory: Path,
        *,
        weights: Weights | None = None,
    ) -> None:
        self._encoder_factory = encoder_factory
        self._cache_directory = cache_directory
        self._weights = weights
        self._indexing = ThreadPoolExecutor(1, thread_name_prefix="search-index")
        self._encoding = ThreadPoolExecutor(1, thread_name_prefix="search-encoder")
        self._index: Index | None = None
        self._encoder: RememberingEncoder | None = None
        self._loading: asyncio.Task[None] | None = None
        self._dense_ready = False

    @property
    def dense_ready(self) -> bool:
        """Tell whether documents and queries are compared by meaning, too."""
        return self._dense_ready

    async def start(self) -> None:
        """Begin to load the encoder in the background and return at once."""
        if self._loading is None:
            self._loading = asyncio.create_task(self._load(), name="search-load-encoder")
            self._loading.add_done_callback(_report)

    async def wait_until_dense(self) -> bool:
        """Wait until loading has ended and return whether vectors are there to use."""
        if self._loading is not None:
            await asyncio.wait({self._loading})
        return self._dense_ready

    async def stop(self) -> None:
        """Give up loading, finish the slices at work, and end both threads."""
        self._dense_ready = False
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.gather(self._loading, return_exceptions=True)
        for executor in (self._encoding, self._indexing):
            executor.shutdown(wait=False, cancel_futures=True)
            await asyncio.to_thread(executor.shutdown)

    async def put(self, documents: Sequence[Document]) -> None:
        """Add documents or replace those of the same id.

        They can be found by words as soon as this returns, and by meaning too
        if the encoder is loaded by then.
        """
        pending: list[Pending] = []
        for start in range(0, len(documents), _DOCUMENTS):
            pending += await self._put(documents[start : start + _DOCUMENTS])
        if self._encoder is not None:
            await self._encode_documents(pending)

    async def remove(self, ids: Sequence[str]) -> None:
        """Delete documents; an unknown id is no error."""
        await self._indexed(lambda index: index.remove(ids))

    async def find(
        self,
        query: str,
        *,
        kinds: Collection[str],
        limit: int,
        before: datetime | None = None,
    ) -> Sequence[Hit]:
        """Return up to `limit` documents of the given kinds, the best first.

        With `before`, only those created earlier, and the timeless ones. An
        empty query, like an empty index, finds nothing.
        """
        if not query.strip() or not kinds or limit < 1:
            return ()
        vector: Vectors | None = None
        if self._dense_ready and (vectors := await self._encode([query])) is not None:
            vector = vectors[0]
        return await self._indexed(
            lambda index: index.find(query, vector, kinds=kinds, limit=limit, before=before)
        )

    async def _put(self, documents: Sequence[Document]) -> list[Pending]:
        """Index the words of one slice of documents."""
        return await self._indexed(lambda index: index.put(documents))

    async def _load(self) -> None:
        """Load the encoder, then encode what was put meanwhile, then say so."""
        loop = asyncio.get_running_loop()
        try:
            encoder = await loop.run_in_executor(
                self._encoding, self._encoder_factory, self._cache_directory
            )
        except (EncoderUnavailable, ImportError) as error:
            logger.warning("search goes on by words alone: %s", error)
            return
        self._encoder = RememberingEncoder(encoder)
        await self._encode_documents(await self._indexed(lambda index: index.pending()))
        self._dense_ready = True

    async def _encode_documents(self, pending: Sequence[Pending]) -> None:
        """Encode one document after the other; what fails is still found by words."""
        for document in pending:
            parts: list[Vectors] = []
            for start in range(0, len(document.texts), _TEXTS):
                vectors = await self._encode(document.texts[start : start + _TEXTS])
                if vectors is None:
                    return
                parts.append(vectors)
            await self._attach(document, parts)

    async def _attach(self, document: Pending, parts: Sequence[Vectors]) -> None:
        """Hand a document's vectors to the index."""
        await self._indexed(lambda index: index.attach(document, parts))

    async def _encode(self, texts: Sequence[str]) -> Vectors | None:
        """Encode on the encoder's thread; None, with a warning, if it fails."""
        encoder = self._encoder
        if encoder is None:
            return None
        cut = [text[:_LONGEST_ENCODED] for text in texts]
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._encoding, encoder.encode, cut
            )
        except EncoderUnavailable as error:
            logger.warning("encoding failed, words alone decide: %s", error)
            return None

    async def _indexed(self, work: Callable[[Index], Result]) -> Result:
        """Do something with the index on the thread that owns it."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._indexing, lambda: work(self._opened()))

    def _opened(self) -> Index:
        """Make the index on first use, for then NumPy has to be loaded."""
        if self._index is None:
            limit_native_threads()
            from bot.search.blend import Weights  # noqa: PLC0415 - loads NumPy
            from bot.search.index import Index  # noqa: PLC0415 - loads NumPy

            self._index = Index(self._weights or Weights())
        return self._index


def _report(loading: asyncio.Task[None]) -> None:
    """Log a failure nobody foresaw; the task is kept, so asyncio would stay silent."""
    if not loading.cancelled() and (error := loading.exception()) is not None:
        logger.error("loading the encoder failed; words alone decide", exc_info=error)
