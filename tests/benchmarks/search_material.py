"""What the speed of search is measured on: texts, queries and vectors, in any number.

Synthetic texts are made of sentences of the pages in `knowledge/`, with names
and numbers of their own so that the vocabulary grows with the documents as it
does in life. Their vectors are mixtures of real sentences' embeddings, for what
an index has to bear is how real embeddings lie, not how random ones do. Real
text is what the folders of public data hold, cut into one document per chunk.
"""

from __future__ import annotations

import hashlib
import json
import random
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bot.domain.documents import Document, Query
from bot.search.chunks import chunks, sentences
from bot.search.encoder import OnnxEncoder

Vectors = npt.NDArray[np.float32]

CACHE = Path(tempfile.gettempdir()) / "tocsin-search-speed"
DIMENSION = 384
NOW = datetime(2026, 11, 1, tzinfo=UTC)
SERVICES = tuple(f"service-{number}" for number in range(20))

_ROOT = Path(__file__).resolve().parents[2]
_DATA = Path("/work/shared/data")
_SETS = ("runbooks-dev", "similar-dev-ghstatus", "similar-dev-hadoop")
_KINDS = ("incident",) * 6 + ("runbook", "postmortem", "change", "known error")
_NOISE = 0.6  # length of the random part beside a mixture of length 1
_NOISES = 50_021  # a prime, so that sources and noise meet in ever new pairs


def documents(count: int, *, seed: int = 0, prefix: str = "d") -> Iterator[Document]:
    """Make short documents: a title, three sentences, a host and a code of their own."""
    chance = random.Random(seed)
    pool = _pool()
    for number in range(count):
        words = " ".join(chance.choices(pool, k=3)).split()
        words[chance.randrange(len(words))] = f"host{chance.randrange(1 + count // 4)}"
        words[chance.randrange(len(words))] = f"term{int(chance.paretovariate(0.7)) % 500_000}"
        yield Document(
            id=f"{prefix}{number}",
            kind=chance.choice(_KINDS),
            title=f"{' '.join(chance.choice(pool).split()[:8])} {number}",
            text=" ".join(words),
            services=(chance.choice(SERVICES),),
            created_at=NOW - timedelta(minutes=chance.randrange(1_000_000)),
        )


def queries(count: int, *, seed: int = 1) -> list[Query]:
    """Make descriptions of alerts, of one to three sentences, all different."""
    chance = random.Random(seed)
    pool = _pool()
    return [
        Query(
            text=f"{' '.join(chance.choices(pool, k=1 + number % 3))} host{number}",
            services=(chance.choice(SERVICES),),
            at=NOW,
        )
        for number in range(count)
    ]


def real_documents(count: int) -> list[Document]:
    """Cut the public texts into one document per chunk; fewer where there are not so many."""
    cut: list[Document] = []
    for name in _SETS:
        for row in _rows(_DATA / name / "corpus.jsonl"):
            for number, piece in enumerate(chunks(str(row["text"]))):
                id_ = f"{name}/{row['id']}/{number}"
                title = str(row["title"])
                cut.append(Document(id=id_, kind="incident", title=title, text=piece))
    random.Random(2).shuffle(cut)
    return cut[:count]


def real_queries() -> list[Query]:
    """Return the public queries, as people and alerts wrote them, in a fixed random order."""
    texts = [str(row["text"]) for name in _SETS for row in _rows(_DATA / name / "queries.jsonl")]
    random.Random(3).shuffle(texts)
    return [Query(text=text, at=NOW) for text in dict.fromkeys(texts)]


def why_no_real_text() -> str:
    """Say why real text cannot be measured, "" if it can."""
    missing = [name for name in _SETS if not (_DATA / name / "corpus.jsonl").is_file()]
    return f"{_DATA} has no {', '.join(missing)}" if missing else ""


def vectors(count: int, *, seed: int = 0) -> Vectors:
    """Make unit vectors that lie as real embeddings do."""
    made = np.empty((count, DIMENSION), dtype=np.float32)
    chance = np.random.default_rng(seed)
    for start in range(0, count, 20_000):
        part = made[start : start + 20_000]
        part[:] = mixed(chance.integers(0, 2**63, size=len(part)))
    return made


def mixed(numbers: npt.NDArray[np.int64]) -> Vectors:
    """Make one unit vector per number: two sources mixed, and noise."""
    sources, noise = _sources(), _noise()
    share = (0.5 + (numbers % 997) / 1994).astype(np.float32)[:, None]
    made = share * sources[numbers % len(sources)]
    made += (1 - share) * sources[numbers // 7919 % len(sources)]
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    made += noise[numbers % _NOISES]
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made


class SwitchedEncoder:
    """Encode for real, or, while `real` is off, make a vector out of each text's hash.

    Encoding a million documents would take an hour, and what they say is of no
    matter here. The query is always encoded for real.
    """

    def __init__(self, cache_directory: Path) -> None:
        self._encoder = OnnxEncoder(cache_directory)
        self.model, self.dimension = self._encoder.model, self._encoder.dimension
        self.real = True

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return one unit vector per text."""
        if self.real:
            return self._encoder.encode(texts)
        hashes = (hashlib.blake2b(t.encode("utf-8", "replace"), digest_size=8) for t in texts)
        numbers = [int.from_bytes(h.digest(), "little") >> 1 for h in hashes]
        return mixed(np.array(numbers, dtype=np.int64))


@cache
def _pool() -> tuple[str, ...]:
    """List the sentences of the project's own pages."""
    pages = sorted((_ROOT / "knowledge").rglob("*.md"))
    texts = (page.read_text(encoding="utf-8").partition("\n---\n")[2] for page in pages)
    lines = dict.fromkeys(line for text in texts for line in sentences(text))
    return tuple(line for line in lines if line.count(" ") >= 4)


@cache
def _sources() -> Vectors:
    """Encode the pool, once per version of it."""
    pool = _pool()
    digest = hashlib.sha256("\n".join(pool).encode()).hexdigest()[:16]
    kept = CACHE / f"sources-{digest}.npy"
    if kept.is_file():
        stored: Vectors = np.load(kept)
        return stored
    CACHE.mkdir(parents=True, exist_ok=True)
    encoded = OnnxEncoder(CACHE).encode(pool)
    np.save(kept, encoded)
    return encoded


@cache
def _noise() -> Vectors:
    noise = np.random.default_rng(7).standard_normal((_NOISES, DIMENSION), dtype=np.float32)
    noise *= _NOISE / np.linalg.norm(noise, axis=1, keepdims=True)
    return noise


def _rows(path: Path) -> list[dict[str, object]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line]
