"""Measure retrieval on a folder of real queries with known answers.

    python -m tests.benchmarks.search_eval DIRECTORY...

A folder holds `corpus.jsonl` (id, title, text, created) and `queries.jsonl`
(id, text, relevant, variant, group, and perhaps doc_id, the document that must
not be found, and created, before which documents must have been). Prints recall
within 1, 3 and 5 and the mean reciprocal rank within 10 for words alone,
meaning alone and the blend the bot uses, through the bot's own `find`.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from bot.domain.documents import Document
from bot.search.blend import Weights
from bot.search.encoder import DEFAULT_MODEL, Encoder, RememberingEncoder, encoder_named
from bot.search.engine import HybridSearch

DEPTH = 10
WAYS = {
    "words": Weights(lexical=1, dense=0),
    "meaning": Weights(lexical=0, dense=1),
    "blend": Weights(),
}
Query = dict[str, object]


def main() -> int:
    """Evaluate each folder; 2 if one is not a retrieval set."""
    parser = argparse.ArgumentParser(description="Measure retrieval on folders of known answers.")
    parser.add_argument("directory", nargs="+", type=Path)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    arguments = parser.parse_args()
    cache = Path(tempfile.gettempdir()) / "tocsin-search-eval"
    encoder = RememberingEncoder(encoder_named(arguments.model)(cache))
    for directory in arguments.directory:
        if not (directory / "queries.jsonl").is_file():
            print(f"{directory}: no queries.jsonl in this folder", file=sys.stderr)
            return 2
        asyncio.run(evaluate(directory, encoder))
    return 0


async def evaluate(directory: Path, encoder: Encoder) -> None:
    """Print one line per variant and way."""
    documents = [_document(row) for row in _rows(directory / "corpus.jsonl")]
    queries = list(_rows(directory / "queries.jsonl"))
    print(f"\n{directory.name}: {len(documents)} documents, R@1 / R@3 / R@5 / MRR@{DEPTH}")
    for way, weights in WAYS.items():
        started = time.perf_counter()
        search = HybridSearch(lambda _: encoder, Path(), weights=weights)
        await search.put(documents)
        await search.start()
        if not await search.wait_until_dense():
            raise SystemExit("the encoder is not available")
        loaded = time.perf_counter()
        ranks: dict[str, list[int | None]] = defaultdict(list)
        for query in queries:
            ranks[str(query["variant"])].append(await _rank(search, query))
        each = (time.perf_counter() - loaded) / len(queries) * 1000
        await search.stop()
        for variant, found in ranks.items():
            print(f"  {variant:10} {way:8} n={len(found):4}  {_measures(found)}")
        print(f"  ({way}: {loaded - started:.1f} s to index, {each:.1f} ms per query)")


async def _rank(search: HybridSearch, query: Query) -> int | None:
    """Return the place of the first right answer, None if it is not among the first ten."""
    created = query.get("created")
    hits = await search.find(
        str(query["text"]),
        kinds=("incident",),
        limit=DEPTH + 1,
        before=datetime.fromisoformat(str(created)) if created else None,
    )
    found = [hit.document.id for hit in hits if hit.document.id != query.get("doc_id")][:DEPTH]
    relevant = query["relevant"]
    assert isinstance(relevant, list)
    return next((place for place, id_ in enumerate(found, 1) if id_ in relevant), None)


def _measures(ranks: Sequence[int | None]) -> str:
    """Write recall within 1, 3, 5 and the mean reciprocal rank."""
    recalls = [
        sum(rank is not None and rank <= k for rank in ranks) / len(ranks) for k in (1, 3, 5)
    ]
    reciprocal = sum(1 / rank for rank in ranks if rank) / len(ranks)
    return " / ".join(f"{recall:.2f}" for recall in recalls) + f" / {reciprocal:.3f}"


def _document(row: dict[str, object]) -> Document:
    created = row.get("created")
    return Document(
        id=str(row["id"]),
        kind="incident",
        title=str(row["title"]),
        text=str(row["text"]),
        created_at=datetime.fromisoformat(str(created)) if created else None,
    )


def _rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


if __name__ == "__main__":
    raise SystemExit(main())
