"""Our index of words beside tantivy and bm25s, all fed with our own terms."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bot.search.lexical import LexicalIndex
from bot.search.tokens import Splitter
from tests.benchmarks import search_material
from tests.benchmarks.search_machine import Times, timed, times

Terms = Sequence[str]

PEERS = ("tantivy", "bm25s")
BEST = 128  # as many as `find` takes from the words
_ROUNDS = 3
_QUERIES = 200
_CHANGES = 1000


class Words(Protocol):
    """An index of words under test."""

    def build(self, texts: Sequence[Terms]) -> None:
        """Index texts by their place."""

    def best(self, query: Terms) -> object:
        """Return the best rows and their scores."""

    def change(self, row: int, terms: Terms) -> None:
        """Replace a row, so that the next query knows it."""


class Ours:
    """`bot.search.lexical`, and the choice of the best as `find` makes it."""

    def __init__(self) -> None:
        self._index = LexicalIndex()
        self._rows = 0

    def build(self, texts: Sequence[Terms]) -> None:
        """Put one text after the other."""
        for row, terms in enumerate(texts):
            self._index.put(row, terms)
        self._rows = len(texts)

    def best(self, query: Terms) -> object:
        """Score all rows and take the best."""
        scores = self._index.scores(Counter(query), rows=self._rows)
        return _best(scores)

    def change(self, row: int, terms: Terms) -> None:
        """Remove and put."""
        self._index.remove(row)
        self._index.put(row, terms)


class Tantivy:
    """Tantivy, with terms split at blanks only, on one thread."""

    def __init__(self) -> None:
        import tantivy

        self._tantivy = tantivy
        builder = tantivy.SchemaBuilder()
        builder.add_unsigned_field("row", indexed=True, fast=True)
        builder.add_text_field("terms", tokenizer_name="whitespace", index_option="freq")
        self._schema = builder.build()
        self._folder = Path(tempfile.mkdtemp(prefix="tantivy-"))
        self._index = tantivy.Index(self._schema, path=str(self._folder))
        self._writer = self._index.writer(heap_size=128_000_000, num_threads=1)

    def build(self, texts: Sequence[Terms]) -> None:
        """Add all, commit once."""
        for row, terms in enumerate(texts):
            self._add(row, terms)
        self._commit()

    def best(self, query: Terms) -> object:
        """Search for any of the terms and read the rows' numbers."""
        tantivy = self._tantivy
        counts = Counter(query)
        clauses = [
            (
                tantivy.Occur.Should,
                tantivy.Query.boost_query(
                    tantivy.Query.term_query(self._schema, "terms", term, "freq"), float(count)
                ),
            )
            for term, count in counts.items()
        ]
        wanted = tantivy.Query.boolean_query(clauses)
        hits = self._searcher.search(wanted, limit=BEST, count=False).hits
        return self._searcher.fast_field_values("row", [address for _, address in hits])

    def change(self, row: int, terms: Terms) -> None:
        """Delete, add and commit."""
        self._writer.delete_documents("row", row)
        self._add(row, terms)
        self._commit()

    def close(self) -> None:
        """Remove its files."""
        del self._writer
        shutil.rmtree(self._folder, ignore_errors=True)

    def _add(self, row: int, terms: Terms) -> None:
        document = self._tantivy.Document()
        document.add_unsigned("row", row)
        document.add_text("terms", " ".join(terms))
        self._writer.add_document(document)

    def _commit(self) -> None:
        self._writer.commit()
        self._index.reload()
        self._searcher = self._index.searcher()


class Bm25s:
    """bm25s, which knows no change: every one is a new index."""

    def __init__(self) -> None:
        import bm25s

        self._new: Callable[[], Any] = lambda: bm25s.BM25(k1=1.5, b=0.75, method="lucene")
        self._texts: list[Terms] = []

    def build(self, texts: Sequence[Terms]) -> None:
        """Index all at once."""
        self._texts = list(texts)
        self._index = self._new()
        self._index.index([list(terms) for terms in texts], show_progress=False)

    def best(self, query: Terms) -> object:
        """Score all rows and take the best."""
        known = [term for term in query if term in self._index.vocab_dict]
        return _best(self._index.get_scores(known)) if known else ()

    def change(self, row: int, terms: Terms) -> None:
        """Build anew."""
        self._texts[row] = terms
        self.build(self._texts)


def measure(size: int, *, with_peers: Sequence[str]) -> Iterator[str]:
    """Yield one line per index: build, query, and a change that the next query sees."""
    splitter = Splitter()
    texts = [
        splitter.terms(f"{document.title}\n{document.text}")
        for document in search_material.documents(size)
    ]
    asked = [splitter.terms(query.text) for query in search_material.queries(_QUERIES)]
    yield f"{size:>9,} documents in words, {np.mean([len(t) for t in texts]):.0f} terms each"
    built: dict[str, tuple[Words, float]] = {}
    for name in ("ours", *with_peers):
        index = _made(name)
        started = time.perf_counter()
        index.build(texts)
        built[name] = index, time.perf_counter() - started
    found = _queried({name: index for name, (index, _) in built.items()}, asked)
    for name, (index, seconds) in built.items():
        changes = _CHANGES if name == "ours" else 20 if name == "tantivy" else 1
        changed = times(_changed(index, texts, changes=changes))
        yield (
            f"  {name:8} build {seconds:8.2f} s   query {found[name]} ms   "
            f"change {changed} ms  (n={changes})"
        )
        if isinstance(index, Tantivy):
            index.close()


def why_missing(name: str) -> str:
    """Say why a peer cannot be measured, "" if it can."""
    return "" if find_spec(name) else f"{name} is not installed"


def _made(name: str) -> Words:
    makers: dict[str, Callable[[], Words]] = {"ours": Ours, "tantivy": Tantivy, "bm25s": Bm25s}
    return makers[name]()


def _queried(indexes: dict[str, Words], asked: Sequence[Terms]) -> dict[str, Times]:
    """Ask all of them in turns, and keep each one's best round."""
    rounds: dict[str, list[Times]] = {name: [] for name in indexes}
    for _ in range(_ROUNDS):
        for name, index in indexes.items():
            rounds[name].append(times(timed([_asking(index, terms) for terms in asked])))
    return {name: min(found, key=lambda t: t.p50) for name, found in rounds.items()}


def _changed(index: Words, texts: Sequence[Terms], *, changes: int) -> list[float]:
    chance = random.Random(5)
    calls = [_changing(index, chance.randrange(len(texts)), chance, texts) for _ in range(changes)]
    return timed(calls)


def _changing(
    index: Words, row: int, chance: random.Random, texts: Sequence[Terms]
) -> Callable[[], object]:
    other = texts[chance.randrange(len(texts))]
    return lambda: index.change(row, other)


def _asking(index: Words, terms: Terms) -> Callable[[], object]:
    return lambda: index.best(terms)


def _best(scores: np.ndarray[Any, Any]) -> object:
    """Return the best rows, as `bot.search.index` picks them."""
    if len(scores) <= BEST:
        return np.argsort(-scores)
    return np.argpartition(-scores, BEST)[:BEST]
