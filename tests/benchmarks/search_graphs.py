"""The graphs of usearch and hnswlib (HNSW), kept between runs, since building takes minutes."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.benchmarks.search_material import CACHE

Vectors = npt.NDArray[np.float32]
Made = tuple[Callable[[Vectors], npt.NDArray[Any]], Callable[[int], None], float]

BREADTHS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1024, 2048)

_NEAREST = 10
_NEIGHBOURS = 16  # of a node
_BREADTH = 100  # of the search while building
_THREADS = 2  # while building; a query has one


def usearch_graph(vectors: Vectors) -> Made:
    """usearch over float16."""
    from usearch.index import Index

    index = Index(
        ndim=vectors.shape[1], metric="ip", dtype="f16",
        connectivity=_NEIGHBOURS, expansion_add=_BREADTH,
    )  # fmt: skip
    seconds = _built(
        "usearch",
        vectors,
        build=lambda: index.add(np.arange(len(vectors)), vectors, threads=_THREADS),
        load=index.load,
        save=index.save,
    )

    def ask(query: Vectors) -> npt.NDArray[Any]:
        return np.asarray(index.search(query, _NEAREST, threads=1).keys)

    graph: Any = index  # its stub has no setter

    def choose(breadth: int) -> None:
        graph.expansion_search = breadth

    return ask, choose, seconds


def hnswlib_graph(vectors: Vectors) -> Made:
    """hnswlib over float32."""
    import hnswlib

    index = hnswlib.Index(space="ip", dim=vectors.shape[1])

    def build() -> None:
        index.init_index(len(vectors), ef_construction=_BREADTH, M=_NEIGHBOURS)
        index.add_items(vectors, num_threads=_THREADS)

    seconds = _built(
        "hnswlib",
        vectors,
        build=build,
        load=lambda path: index.load_index(str(path)),
        save=lambda path: index.save_index(str(path)),
    )

    def ask(query: Vectors) -> npt.NDArray[Any]:
        return np.asarray(index.knn_query(query, k=_NEAREST, num_threads=1)[0][0], dtype=np.int64)

    return ask, index.set_ef, seconds


def _built(
    name: str,
    vectors: Vectors,
    *,
    build: Callable[[], object],
    load: Callable[[Path], object],
    save: Callable[[Path], object],
) -> float:
    """Build a graph or load the one of these very vectors; return the seconds building took."""
    told = f"{len(vectors)} {_NEIGHBOURS} {_BREADTH}".encode() + vectors[::97].tobytes()
    digest = hashlib.sha256(told).hexdigest()[:16]
    kept, note = CACHE / f"{name}-{digest}.graph", CACHE / f"{name}-{digest}.json"
    if note.is_file():
        load(kept)
        return float(json.loads(note.read_text())["seconds"])
    started = time.perf_counter()
    build()
    seconds = time.perf_counter() - started
    save(kept)
    note.write_text(json.dumps({"seconds": seconds}))
    return seconds
