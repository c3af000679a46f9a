"""A whole query through the bot's own `find`, and where its time goes."""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from bot.domain.documents import Document, Kind, Query
from bot.ports import Database
from bot.search.dense import DenseIndex
from bot.search.engine import HybridSearch
from bot.search.index import Index
from bot.search.lexical import LexicalIndex
from tests.benchmarks.figures import percentile
from tests.benchmarks.search_machine import Times, times
from tests.benchmarks.search_material import CACHE, SwitchedEncoder

KINDS = tuple(Kind)
HITS = 10

_ROUNDS = 3
_WARMING = 20
_SLICE = 500  # documents filled in per turn of the index's thread

# Which methods are counted to which stage; "rank" is what else happens in the index.
# The words propose while the query is encoded, so the stages add up to more than the whole.
_STAGES: tuple[tuple[str, type[Any], str], ...] = (
    ("encode", SwitchedEncoder, "encode"),
    ("lexical", LexicalIndex, "scores"),
    ("lexical", LexicalIndex, "joined"),
    ("lexical", LexicalIndex, "scores_of"),
    ("lexical", LexicalIndex, "cosines"),
    ("lexical", LexicalIndex, "covered"),
    ("dense", DenseIndex, "nearest"),
    ("dense", DenseIndex, "compare"),
    ("index", Index, "find"),
    ("index", Index, "propose"),
)
STAGES = ("encode", "lexical", "dense", "rank", "whole", "cpu")


@dataclass(frozen=True, kw_only=True)
class Filled:
    """A search with documents, and how long filling it took."""

    search: HybridSearch
    documents: int
    indexed: float  # seconds, without encoding
    kept_up: float  # seconds of whitening and lists


async def filled(
    documents: Iterator[Document], folder: Path, *, database: Database | None = None
) -> Filled:
    """Make a search whose encoder encodes queries for real and invents documents' vectors."""
    made: list[SwitchedEncoder] = []

    def factory(_: Path) -> SwitchedEncoder:
        made.append(SwitchedEncoder(CACHE))
        return made[0]

    search = HybridSearch(factory, folder, database=database)
    await search.start()
    assert await search.wait_until_dense()
    made[0].real = False
    started = time.perf_counter()
    count = 0
    while part := list(islice(documents, _SLICE)):
        await _fill(search, made[0], part)
        count += len(part)
    indexed = time.perf_counter() - started
    while await search._indexed(lambda index: index.maintain()):
        pass
    made[0].real = True
    return Filled(
        search=search,
        documents=count,
        indexed=indexed,
        kept_up=time.perf_counter() - started - indexed,
    )


async def stages(search: HybridSearch, queries: Sequence[Query]) -> dict[str, Times]:
    """Return what each stage and the whole took, of the best of several rounds.

    Every query is new to the encoder, whose memory would answer at once otherwise.
    `cpu` is the processor time of the whole, which a busy neighbour does not stretch.
    """
    for query in queries[:_WARMING]:
        await asked(search, query)
    left = queries[_WARMING:]
    rounds = [left[number::_ROUNDS] for number in range(_ROUNDS)]
    found = [await _round(search, part) for part in rounds]
    best = min(found, key=lambda seconds: percentile(seconds["whole"], 0.5))
    return {stage: times(best[stage]) for stage in STAGES}


async def asked(search: HybridSearch, query: Query) -> float:
    """Ask as the bot does and return the seconds until the answer."""
    started = time.perf_counter()
    found = await search.find(query, kinds=KINDS, limit=HITS)
    took = time.perf_counter() - started
    assert found.hits, query
    return took


async def _fill(
    search: HybridSearch, encoder: SwitchedEncoder, documents: Sequence[Document]
) -> None:
    """Put documents and their vectors in one turn, which `put` would do one by one."""

    def fill(index: Index) -> None:
        for cut in index.cut(index.put(documents)):
            index.attach(cut, encoder.encode(cut.texts))

    await search._indexed(fill)


async def _round(search: HybridSearch, queries: Sequence[Query]) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {stage: [] for stage in STAGES}
    gc.collect()
    with stopwatch() as lap:
        for query in queries:
            worked = time.process_time()
            whole = await asked(search, query)
            spent = lap() | {"whole": whole, "cpu": time.process_time() - worked}
            spent["rank"] = spent["index"] - spent["lexical"] - spent["dense"]
            for stage, took in spent.items():
                if stage in seconds:
                    seconds[stage].append(took)
    return seconds


@contextmanager
def stopwatch() -> Iterator[Callable[[], dict[str, float]]]:
    """Time the stages' methods; what is given returns the seconds since it was last called."""
    spent: dict[str, float] = defaultdict(float)

    def lap() -> dict[str, float]:
        taken = {stage: spent[stage] for stage, _, _ in _STAGES}
        spent.clear()
        return taken

    originals = [(owner, name, getattr(owner, name)) for _, owner, name in _STAGES]
    for stage, owner, name in _STAGES:
        setattr(owner, name, _watched(getattr(owner, name), stage, spent))
    try:
        yield lap
    finally:
        for owner, name, original in originals:
            setattr(owner, name, original)


def _watched(method: Callable[..., Any], stage: str, spent: dict[str, float]) -> Any:
    def watched(*arguments: Any, **named: Any) -> Any:
        started = time.perf_counter()
        try:
            return method(*arguments, **named)
        finally:
            spent[stage] += time.perf_counter() - started

    return watched


def line(name: str, found: dict[str, Times]) -> str:
    """Write the stages side by side."""
    return f"{name:>14}  " + "  ".join(f"{found[stage]}" for stage in STAGES)


def heading() -> str:
    """Write what stands above the lines."""
    return f"{'documents':>14}  " + "  ".join(f"{stage + ' p50':>8} {'p99':>8}" for stage in STAGES)


async def fill_and_measure(
    documents: Iterator[Document], queries: Sequence[Query]
) -> tuple[Filled, dict[str, Times]]:
    """Do both and stop the search."""
    with tempfile.TemporaryDirectory() as folder:
        made = await filled(documents, Path(folder))
        try:
            return made, await stages(made.search, queries)
        finally:
            await made.search.stop()


def run(documents: Iterator[Document], queries: Sequence[Query]) -> tuple[Filled, dict[str, Times]]:
    """Run `fill_and_measure` in a loop of its own."""
    return asyncio.run(fill_and_measure(documents, queries))
