"""Change a thousand documents while queries go on: how long the longest of them waits."""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from typing_extensions import override

from bot.domain.documents import Document, Query
from bot.search.engine import HybridSearch
from tests.benchmarks import search_material
from tests.benchmarks.figures import percentile
from tests.benchmarks.search_whole import KINDS, asked, filled
from tests.storage.opened import opened

CHANGED = 1000
_PROVED = 20  # changed documents searched for afterwards, one by one
_NOTHING = 10  # seconds of queries alone, to tell what the machine itself does
_WARMING = 50
_QUERIES = 50_000  # far more than are asked


@dataclass(frozen=True, kw_only=True)
class Change:
    """What one kind of change cost."""

    name: str
    took: float  # seconds for all
    p50: float  # milliseconds of the queries meanwhile
    longest: float  # milliseconds
    queries: int
    cpu: float  # seconds of all threads
    wrong: int | None  # of the documents searched for right after; None where none changed

    @override
    def __str__(self) -> str:
        """Write one line of the table."""
        return (
            f"  {self.name:12} in {self.took:7.2f} s (cpu {self.cpu:6.2f})   "
            f"{self.queries:5} queries meanwhile, p50 {self.p50:7.2f} ms, "
            f"longest {self.longest:7.2f} ms (goal <= 50)"
            + ("" if self.wrong is None else f"   wrong right after: {self.wrong} of {_PROVED}")
        )


def measure(size: int) -> list[Change]:
    """Do nothing, then add, replace and delete a thousand documents among `size`."""
    return asyncio.run(_measure(size))


async def _measure(size: int) -> list[Change]:
    with tempfile.TemporaryDirectory() as folder:
        async with opened(Path(folder)) as database:
            documents = search_material.documents(size)
            search = (await filled(documents, Path(folder), database=database)).search
            gc.collect()
            gc.freeze()  # as the bot does once it has read what there is
            try:
                return await _changes(search)
            finally:
                await search.stop()


async def _changes(search: HybridSearch) -> list[Change]:
    new = list(search_material.documents(CHANGED, seed=11, prefix="new"))
    new = [replace(d, text=f"{d.text} addedword{n}") for n, d in enumerate(new)]
    other = [replace(d, text=f"{d.text} replacedword{n}") for n, d in enumerate(new)]
    ids = [document.id for document in new]
    # Each query is new to the encoder, whose memory would answer at once otherwise.
    fresh = iter(search_material.queries(_QUERIES, seed=12))
    for query in islice(fresh, _WARMING):
        await asked(search, query)
    return [
        await _during("nothing", search, lambda: asyncio.sleep(_NOTHING), fresh,
                      proof=_nothing_to_prove),
        await _during(f"add {CHANGED}", search, lambda: search.put(new), fresh,
                      proof=lambda: _missing(search, new, "addedword")),
        await _during(f"replace {CHANGED}", search, lambda: search.put(other), fresh,
                      proof=lambda: _missing(search, other, "replacedword")),
        await _during(f"delete {CHANGED}", search, lambda: search.remove(ids), fresh,
                      proof=lambda: _still_there(search, other)),
    ]  # fmt: skip


async def _during(
    name: str,
    search: HybridSearch,
    change: Callable[[], Awaitable[None]],
    queries: Iterator[Query],
    *,
    proof: Callable[[], Awaitable[int | None]],
) -> Change:
    """Ask one query after the other as long as the change goes on."""
    started, worked = time.perf_counter(), time.process_time()
    changing = asyncio.ensure_future(change())
    waited: list[float] = []
    while not changing.done() or not waited:
        waited.append(await asked(search, next(queries)))
    await changing
    took = time.perf_counter() - started
    return Change(
        name=name,
        took=took,
        p50=percentile(waited, 0.5) * 1000,
        longest=max(waited) * 1000,
        queries=len(waited),
        cpu=time.process_time() - worked,
        wrong=await proof(),
    )


async def _nothing_to_prove() -> None:
    return None


async def _missing(search: HybridSearch, documents: Sequence[Document], word: str) -> int:
    """Count those that their own new word does not find first."""
    wrong = 0
    for number in range(0, len(documents), len(documents) // _PROVED):
        found = await search.find(Query(text=f"{word}{number}"), kinds=KINDS, limit=1)
        wrong += [hit.document for hit in found.hits] != [documents[number]]
    return wrong


async def _still_there(search: HybridSearch, documents: Sequence[Document]) -> int:
    """Count those that are found although they were deleted."""
    wrong, gone = 0, {document.id for document in documents}
    for document in documents[:: len(documents) // _PROVED]:
        found = await search.find(Query(text=document.text), kinds=KINDS, limit=50)
        wrong += any(hit.document.id in gone for hit in found.hits)
    return wrong
