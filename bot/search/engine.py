"""The asynchronous face of search: answers by words at once, by meaning once it can."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from bot.domain.documents import Acceptances, Dependencies, Document, Found, Query
from bot.ports import Database
from bot.search.encoder import (
    EncoderFactory,
    EncoderUnavailable,
    RememberingEncoder,
    limit_native_threads,
)
from bot.search.filters import Filters
from bot.search.tokens import spaced

if TYPE_CHECKING:
    from bot.search.encoder import Encoder, Vectors
    from bot.search.handed import Cut, Examined, Pending, Proposed
    from bot.search.index import Index
    from bot.search.ranker import Ranker
    from bot.search.vectors import Vault

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

_DOCUMENTS = 32  # indexed before a waiting query gets its turn
_CHARACTERS = 100_000  # of text, likewise
_NEAR = 256  # chunks that a database is asked for
_LAST_TEXTS = 500  # of documents whose vectors the encoder remembers
_LONGEST_ENCODED = 4_000  # characters; the encoder reads 256 tokens


class HybridSearch:
    """Finds documents by BM25 and sentence vectors together.

    One thread owns the index, and two encode, one the documents and one the
    queries: no work ever runs on the event loop, and a query waits for at most one
    slice of a long `put`, and for no document's encoding where the encoder bears
    two threads at work. Until it is loaded, and for good if it cannot be,
    `dense_ready` is False and hits carry no cosine.
    """

    def __init__(
        self,
        encoder_factory: EncoderFactory,
        cache_directory: Path,
        *,
        ranker: Ranker | None = None,
        ranker_file: Path | None = None,
        database: Database | None = None,
        nearest: Literal["memory", "database"] = "memory",
    ) -> None:
        self._encoder_factory = encoder_factory
        self._cache_directory = cache_directory
        self._ranker = ranker
        self._ranker_file = ranker_file
        self._database = database
        self._nearest = nearest
        self._vault: Vault | None = None
        self._indexing = ThreadPoolExecutor(1, thread_name_prefix="search-index")
        self._encoding = ThreadPoolExecutor(1, thread_name_prefix="search-encoder")
        self._asking = ThreadPoolExecutor(1, thread_name_prefix="search-query")
        self._index: Index | None = None
        self._encoder: RememberingEncoder | None = None
        self._questions: RememberingEncoder | None = None
        self._loading: asyncio.Task[None] | None = None
        self._dense_ready = False
        self._ahead = False  # a query's candidates are being proposed before its vector is there
        # Changes are applied in the order of the calls, however long the first one takes.
        self._changing = asyncio.Lock()
        self._catching_up = asyncio.Lock()

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
        """Give up loading, finish the slices at work, and end the threads."""
        self._dense_ready = False
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.gather(self._loading, return_exceptions=True)
        vault, self._vault = self._vault, None
        try:
            if vault is not None:
                await vault.close()
        finally:
            for executor in (self._encoding, self._asking, self._indexing):
                executor.shutdown(wait=False, cancel_futures=True)
                await asyncio.to_thread(executor.shutdown)

    async def put(self, documents: Sequence[Document]) -> None:
        """Add documents or replace those of the same id.

        They can be found by words as soon as this returns, and by meaning too
        once the first start has caught up; until then that work goes on by itself.
        """
        async with self._changing:
            for slice in _slices(documents):
                await self._put(slice)
        if self._dense_ready or self._behind():
            await self._catch_up()

    async def remove(self, ids: Sequence[str]) -> None:
        """Delete documents; an unknown id is no error."""
        async with self._changing:
            for start in range(0, len(ids), _DOCUMENTS):
                await self._remove(ids[start : start + _DOCUMENTS])
        await self._tidy()

    async def forget(self) -> int:
        """Forget the vectors of texts that are gone, and return how many that were.

        It is to be asked once a day: what no document had at two such looks goes,
        by the rule of `Vault.forget`. Nothing goes before the first start has
        caught up, nor where the database says what is near: another bot may have
        it asked for a document that this one does not know. What is put meanwhile
        keeps its vectors.
        """
        vault = self._vault
        if vault is None or not self._dense_ready or self._nearest == "database":
            return 0
        forgotten = await vault.forget(self._keys())
        if forgotten:
            logger.info("forgot %d vectors of texts that are gone", forgotten)
        await vault.save()
        return forgotten

    async def place(self, dependencies: Dependencies) -> None:
        """Learn which services need which; what was known before is replaced."""
        await self._indexed(lambda index: index.place(dependencies))

    async def accept(self, acceptances: Acceptances) -> None:
        """Learn how people judged documents, by id; what was known before is replaced."""
        await self._indexed(lambda index: index.accept(acceptances))

    async def find(
        self,
        query: Query,
        *,
        kinds: Collection[str],
        limit: int,
        before: datetime | None = None,
        services: Collection[str] | None = None,
        without: Collection[str] = (),
    ) -> Found:
        """Return up to `limit` documents of the given kinds, the best first.

        With `before`, only those created earlier, and the timeless ones; with
        `services`, only those that concern one of them; never those `without`.
        An empty query, like an empty index, finds nothing. The words propose
        candidates while the query is being encoded.
        """
        if not _said(query) or not kinds or limit < 1:
            return Found()
        filters = Filters(kinds=kinds, before=before, services=services, without=without)
        with self._proposing(query, filters) as proposing:
            vector = await self._meant(query)
            near = await self._near(vector)
            proposing.cancel()  # what has not begun by now is not worth a turn of its own

            def find(index: Index) -> Found:
                proposed = None if proposing.cancelled() else proposing.result()
                return index.find(
                    query, vector, filters=filters, limit=limit, near=near, proposed=proposed
                )

            return await self._indexed(find)

    async def examine(
        self,
        query: Query,
        *,
        kinds: Collection[str],
        before: datetime | None = None,
        without: Collection[str] = (),
    ) -> Examined:
        """Return all candidates of a query with their signals, for training and evaluation."""
        vector = await self._meant(query)
        filters = Filters(kinds=kinds, before=before, without=without)
        return await self._indexed(lambda index: index.examine(query, vector, filters=filters))

    async def _keys(self) -> AsyncIterator[Sequence[bytes]]:
        """Yield the keys of all texts; each slice is a turn that a query waits for."""
        texts = await self._indexed(lambda index: index.texts())
        while keys := await self._indexed(lambda _: _some_keys(texts)):
            yield keys

    @contextmanager
    def _proposing(self, query: Query, filters: Filters) -> Iterator[Future[Proposed]]:
        """Let the words propose candidates meanwhile, of one query at a time.

        Each proposal has a number for every document, so they must not pile up.
        Whoever leaves takes back what has not begun.
        """
        proposing: Future[Proposed] = Future()
        if self._ahead or not self._dense_ready:
            proposing.cancel()
            yield proposing
            return
        self._ahead = True
        try:
            proposing = self._indexing.submit(lambda: self._opened().propose(query, filters))
            yield proposing
        finally:
            proposing.cancel()
            self._ahead = False

    async def _meant(self, query: Query) -> Vectors | None:
        """Return the query's vector, None where words alone decide."""
        if not self._dense_ready:
            return None
        texts = [spaced(_said(query)[:_LONGEST_ENCODED])]
        vectors = await _encoded(self._asking, self._questions, texts)
        return None if vectors is None else vectors[0]

    async def _near(self, vector: Vectors | None) -> Sequence[bytes] | None:
        """Ask the database what is near, where it shall be asked; None where it cannot tell."""
        if vector is None or self._vault is None or self._nearest != "database":
            return None
        return await self._vault.nearest(vector, limit=_NEAR)

    async def _remove(self, ids: Sequence[str]) -> None:
        """Delete one slice of documents."""
        await self._indexed(lambda index: index.remove(ids))

    async def _put(self, documents: Sequence[Document]) -> None:
        """Index the words of one slice of documents."""
        await self._indexed(lambda index: index.put(documents))

    async def _load(self) -> None:
        """Load the encoder, then encode what was put meanwhile, then say so.

        What is being put at the start comes first, for words are had at once.
        """
        loop = asyncio.get_running_loop()
        await self._words_first()
        try:
            encoder = await loop.run_in_executor(
                self._encoding, self._encoder_factory, self._cache_directory
            )
        except (EncoderUnavailable, ImportError) as error:
            logger.warning("search goes on by words alone: %s", error)
            return
        await self._indexed(lambda index: setattr(index, "encoder", encoder.model))
        self._vault = await self._opened_vault(encoder)
        self._questions = RememberingEncoder(encoder)
        # What documents say is in the vault, and hardly ever encoded twice.
        self._encoder = RememberingEncoder(encoder, most=_LAST_TEXTS)
        if await self._catch_up():
            await self._vault.save()

    def _behind(self) -> bool:
        """Say whether the first catching up has ended, and not with success."""
        return self._encoder is not None and self._loading is not None and self._loading.done()

    async def _words_first(self) -> None:
        """Wait until no documents are being put."""
        async with self._changing:
            pass

    async def _opened_vault(self, encoder: Encoder) -> Vault:
        """Open what keeps vectors from one start to the next."""
        from bot.search.vectors import Vault  # noqa: PLC0415 - loads NumPy

        vault = Vault(
            self._database,
            self._cache_directory / "vectors.bin",
            model=encoder.model,
            dimension=encoder.dimension,
        )
        await vault.open()
        return vault

    async def _catch_up(self) -> bool:
        """Give every document its vectors that has none; say False where encoding failed.

        What failed is tried again with the next change; it is still found by words.
        Documents that are being put come first: words are had at once.
        """
        async with self._catching_up:
            while pending := await self._pending():
                if not await self._encode_all(pending):
                    return False
            return self._dense_ready

    async def _pending(self) -> Sequence[Pending]:
        """List the documents without vectors; where there are none, all is ready.

        Whoever puts one from then on sees that it is, and catches up by itself.
        """
        pending = await self._indexed(lambda index: index.pending())
        if pending:
            return pending
        await self._tidy()
        self._dense_ready = self._vault is not None
        return await self._indexed(lambda index: index.pending())

    async def _encode_all(self, pending: Sequence[Pending]) -> bool:
        """Give documents their vectors, slice by slice; say False where encoding failed."""
        for slice in _slices([one.document for one in pending]):
            await self._words_first()
            part, pending = pending[: len(slice)], pending[len(slice) :]
            if not await self._encode_documents(part):
                return False
        return True

    async def _encode_documents(self, pending: Sequence[Pending]) -> bool:
        """Give one slice of documents their vectors; say False where encoding failed."""
        slice = await self._cut(pending)
        vault = self._vault
        if vault is None:
            return False
        texts = [text[:_LONGEST_ENCODED] for document in slice for text in document.texts]
        vectors = await vault.vectors(texts, self._encode)
        if vectors is None:
            return False
        await self._attach(slice, vectors)
        return True

    async def _tidy(self) -> None:
        """Keep the vectors' index in order; each slice is a turn that a query waits for."""
        while await self._indexed(lambda index: index.maintain()):
            pass

    async def _cut(self, pending: Sequence[Pending]) -> Sequence[Cut]:
        """Cut a slice of documents into chunks."""
        return await self._indexed(lambda index: index.cut(pending))

    async def _attach(self, pending: Sequence[Cut], vectors: Vectors) -> None:
        """Hand the vectors of a slice of documents to the index."""

        def attach(index: Index) -> None:
            from bot.search.vectors import key_of  # noqa: PLC0415 - loads NumPy

            first = 0
            for cut in pending:
                count = len(cut.chunks)
                asked = cut.texts if self._nearest == "database" else ()
                keys = [key_of(text[:_LONGEST_ENCODED]) for text in asked]
                index.attach(cut, vectors[first : first + count], keys)
                first += count

        await self._indexed(attach)

    async def _encode(self, texts: Sequence[str]) -> Vectors | None:
        """Encode what documents say."""
        return await _encoded(self._encoding, self._encoder, texts)

    async def _indexed(self, work: Callable[[Index], Result]) -> Result:
        """Do something with the index on the thread that owns it."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._indexing, lambda: work(self._opened()))

    def _opened(self) -> Index:
        """Make the index on first use, for then NumPy has to be loaded."""
        if self._index is None:
            limit_native_threads()
            from bot.search.index import Index  # noqa: PLC0415 - loads NumPy
            from bot.search.ranker import chosen  # noqa: PLC0415 - loads NumPy

            self._index = Index(self._ranker or chosen(self._ranker_file))
        return self._index


async def _encoded(
    thread: ThreadPoolExecutor, encoder: RememberingEncoder | None, texts: Sequence[str]
) -> Vectors | None:
    """Encode on a thread; None, with a warning, if it fails."""
    if encoder is None:
        return None
    try:
        return await asyncio.get_running_loop().run_in_executor(thread, encoder.encode, texts)
    except EncoderUnavailable as error:
        logger.warning("encoding failed, words alone decide: %s", error)
        return None


def _slices(documents: Sequence[Document]) -> Iterator[Sequence[Document]]:
    """Cut documents into what is done in one turn, by number and by length of text."""
    first = length = 0
    for place, document in enumerate(documents):
        full = place - first == _DOCUMENTS or length + len(document.text) > _CHARACTERS
        if full and place > first:
            yield documents[first:place]
            first, length = place, 0
        length += len(document.text)
    if len(documents) > first:
        yield documents[first:]


def _some_keys(texts: Iterator[Sequence[str]]) -> Sequence[bytes]:
    """Return the keys of what is read of some more documents, in one turn; none at the end."""
    from bot.search.vectors import key_of  # noqa: PLC0415 - loads NumPy

    keys: list[bytes] = []
    length = 0
    for some in islice(texts, _DOCUMENTS):
        keys += [key_of(text[:_LONGEST_ENCODED]) for text in some]
        length += sum(map(len, some))
        if length > _CHARACTERS:
            break
    return keys


def _said(query: Query) -> str:
    """Return what is asked for in words: the text, or else the names."""
    return query.text.strip() or " ".join(query.names).strip()


def _report(loading: asyncio.Task[None]) -> None:
    """Log a failure nobody foresaw; the task is kept, so asyncio would stay silent."""
    if not loading.cancelled() and (error := loading.exception()) is not None:
        logger.error("loading the encoder failed; words alone decide", exc_info=error)
