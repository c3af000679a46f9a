"""Our index of vectors beside usearch, hnswlib, FAISS and NumPy: same vectors, same recall.

Each contender has settings from quick to thorough. It is timed with the quickest
setting whose recall within the first ten is at least ours, so that no one wins
by finding less. All of them hold the vectors our index whitened and whiten each
query by the same map; ours checks besides which rows are allowed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from bot.search.dense import EXACT_UP_TO, DenseIndex
from bot.search.whitening import Whitening
from tests.benchmarks import search_material
from tests.benchmarks.search_graphs import BREADTHS, hnswlib_graph, usearch_graph
from tests.benchmarks.search_machine import Times, bandwidth, timed, times

Vectors = npt.NDArray[np.float32]
Ask = Callable[[Vectors], npt.NDArray[Any]]
True_ = Sequence[set[int]]

NEAREST = 10
QUERIES = 200
GRAPHS = ("usearch", "hnswlib")
PEERS = ("numpy", "faiss", "usearch", "usearch exact", "hnswlib")

_ROUNDS = 5
_BYTES = 768  # of a vector in float16
_EQUAL = 0.0005  # half of the last place in which recall is shown
_FEWEST_FOR_LISTS = 10_000


@dataclass(frozen=True, kw_only=True)
class Contender:
    """An index under test: how it is asked, and its settings from quick to thorough."""

    name: str
    built: float  # seconds
    ask: Ask
    queries: Vectors
    settings: Sequence[int] = (0,)
    choose: Callable[[int], None] = field(default=lambda _: None)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a contender reached."""

    name: str
    setting: int
    recall: float
    times: Times
    built: float

    @override
    def __str__(self) -> str:
        """Write one line of the table."""
        breadth = f"   breadth {self.setting}" if self.setting else ""
        return (
            f"  {self.name:14} recall {self.recall:.4f}   query {self.times} ms   "
            f"build {self.built:7.1f} s{breadth}"
        )


def measure(size: int, *, with_peers: Sequence[str], largest_graph: int) -> Iterator[str]:
    """Yield the lines of one size: ours, then the peers at the recall of each of ours."""
    if size > largest_graph and (left := sorted(set(with_peers) & set(GRAPHS))):
        yield f"{size:>9,} vectors: without {', '.join(left)}, as was asked"
        with_peers = [name for name in with_peers if name not in left]
    vectors = search_material.vectors(size)
    queries = search_material.vectors(QUERIES, seed=99)
    exact, lists, whitening = _ours(vectors, queries)
    whitened = whitening.apply(vectors)
    asked = whitening.apply(queries)
    true = truth(whitened, asked)
    peers = [_whitening(_peer(name, whitened, queries), whitening) for name in with_peers]
    for own in (exact, lists):
        if own is None:
            continue
        least = recall(own, true)
        before = bandwidth()
        results = race([own, *peers], true=true, least=least)
        memory = max(before, bandwidth())
        chosen = (own is exact) == (size <= EXACT_UP_TO)
        yield f"{size:>9,} vectors, {own.name}" + (", as shipped" if chosen else "")
        yield from map(str, results)
        yield against_best(results, least=least)
        if own is exact:
            read = size * _BYTES / (results[0].times.p50 / 1000)
            yield (
                f"  ours reads {read / 1e9:.1f} GB/s, {read / memory:.2f} of what one thread reads "
                f"from memory ({memory / 1e9:.1f} GB/s)"
            )


def why_missing(name: str) -> str:
    """Say why a peer cannot be measured, "" if it can."""
    module = name.partition(" ")[0]
    return "" if find_spec(module) else f"{module} is not installed"


def truth(vectors: Vectors, queries: Vectors) -> True_:
    """Find the true nearest by comparing with every vector in float32."""
    nearest = []
    for query in queries:
        products = vectors @ query
        nearest.append(set(np.argpartition(-products, NEAREST)[:NEAREST].tolist()))
    return nearest


def recall(contender: Contender, true: True_) -> float:
    """Return the share of the true nearest that it finds."""
    found = (set(contender.ask(q)[:NEAREST].tolist()) for q in contender.queries)
    return float(np.mean([len(f & t) / NEAREST for f, t in zip(found, true, strict=True)]))


def settled(contender: Contender, true: True_, *, least: float) -> tuple[int, float]:
    """Choose the quickest setting that reaches a recall, else the most thorough one."""
    setting, reached = 0, 0.0
    for setting in contender.settings:
        contender.choose(setting)
        reached = recall(contender, true)
        if reached >= least - _EQUAL:
            break
    return setting, reached


def race(contenders: Sequence[Contender], *, true: True_, least: float) -> list[Result]:
    """Time all in turns at equal recall, and keep each one's best round."""
    chosen = {c.name: settled(c, true, least=least) for c in contenders}
    rounds: dict[str, list[Times]] = {c.name: [] for c in contenders}
    for _ in range(_ROUNDS):
        for contender in contenders:
            calls = [_asking(contender, query) for query in contender.queries]
            rounds[contender.name].append(times(timed(calls)))
    return [
        Result(
            name=c.name,
            setting=chosen[c.name][0],
            recall=chosen[c.name][1],
            times=min(rounds[c.name], key=lambda t: t.p50),
            built=c.built,
        )
        for c in contenders
    ]


def against_best(results: Sequence[Result], *, least: float) -> str:
    """Say how ours stands to the best peer that finds as much."""
    own, *others = results
    equal = [r for r in others if r.recall >= least - _EQUAL]
    if not equal:
        return "  no peer reaches this recall"
    best = min(equal, key=lambda r: r.times.p50)
    ratio = own.times.p50 / best.times.p50
    return f"  ours takes {ratio:.2f} of the best peer's time ({best.name}); goal <= 1.10"


def _ours(vectors: Vectors, queries: Vectors) -> tuple[Contender, Contender | None, Whitening]:
    """Build `bot.search.dense` with all compared, and with lists where there are enough."""
    exact, whitening = _own(vectors, queries, name="ours, exact", exact_up_to=len(vectors))
    if len(vectors) < _FEWEST_FOR_LISTS:
        return exact, None, whitening
    lists, same = _own(vectors, queries, name="ours, lists", exact_up_to=0)
    assert np.allclose(whitening.apply(queries), same.apply(queries), atol=1e-3)
    return exact, lists, whitening


def _own(
    vectors: Vectors, queries: Vectors, *, name: str, exact_up_to: int
) -> tuple[Contender, Whitening]:
    """Put vectors row by row and bring the index to rest; it tells how it whitens."""
    started = time.perf_counter()
    index = DenseIndex(vectors.shape[1], exact_up_to=exact_up_to)
    for row in range(len(vectors)):
        index.put(row, vectors[row : row + 1])
    while index.maintain():
        pass
    allowed = np.ones(len(vectors), dtype=np.bool_)

    def ask(query: Vectors) -> npt.NDArray[Any]:
        return index.nearest(query, allowed=allowed, limit=NEAREST)

    built = time.perf_counter() - started
    return Contender(name=name, built=built, ask=ask, queries=queries), index.whitening


def _peer(name: str, vectors: Vectors, queries: Vectors) -> Contender:
    """Build a peer, or load it where its graph was built before."""
    started = time.perf_counter()
    if name in GRAPHS:
        make = usearch_graph if name == "usearch" else hnswlib_graph
        ask, choose, built = make(vectors)
        return Contender(
            name=name, built=built, ask=ask, queries=queries, settings=BREADTHS, choose=choose
        )
    made = {"numpy": _numpy, "faiss": _faiss_flat, "usearch exact": _usearch_exact}
    ask = made[name](vectors)
    return Contender(name=name, built=time.perf_counter() - started, ask=ask, queries=queries)


def _whitening(peer: Contender, whitening: Whitening) -> Contender:
    """Let a peer whiten its queries, as ours has to."""
    return replace(peer, ask=lambda query: peer.ask(whitening.query(query)))


def _numpy(vectors: Vectors) -> Ask:
    """Multiply and choose."""

    def ask(query: Vectors) -> npt.NDArray[Any]:
        products = vectors @ query
        best = np.argpartition(products, len(products) - NEAREST)[-NEAREST:]
        return best[np.argsort(-products[best])]

    return ask


def _faiss_flat(vectors: Vectors) -> Ask:
    """FAISS's own flat index of float16, without anything of ours around it."""
    import faiss

    faiss.omp_set_num_threads(1)
    index = faiss.IndexScalarQuantizer(
        vectors.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    )
    index.train(vectors[:1])
    index.add(vectors)
    return lambda query: index.search(query[None], NEAREST)[1][0]


def _usearch_exact(vectors: Vectors) -> Ask:
    """usearch's exact search over an array of float16."""
    from usearch.compiled import MetricKind
    from usearch.index import search

    halves = vectors.astype(np.float16)

    def ask(query: Vectors) -> npt.NDArray[Any]:
        half = query.astype(np.float16)
        found = search(halves, half, NEAREST, MetricKind.IP, exact=True, threads=1)
        return np.asarray(found.keys)

    return ask


def _asking(contender: Contender, query: Vectors) -> Callable[[], object]:
    return lambda: contender.ask(query)
