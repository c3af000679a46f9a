"""What is kept of the documents, and one query from beginning to end. One thread's property."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bot.domain.documents import Document, Hit
from bot.search.blend import Scores, Weights, blend
from bot.search.chunks import chunks, passage
from bot.search.lexical import LexicalIndex
from bot.search.tokens import Splitter

if TYPE_CHECKING:
    from bot.search.dense import DenseIndex

Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]

_POOL = 256  # candidates each side proposes; the blend ranks their union
_LONGEST_TEXT = 200_000  # characters of a document that are read
_LONGEST_QUERY = 10_000  # characters of a query that are read
_MOST_MATCHED = 6


@dataclass(frozen=True, kw_only=True)
class Pending:
    """A document that still needs vectors, with its chunks as the encoder shall read them."""

    row: int
    document: Document
    texts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Candidates:
    """What one query knows of the documents it may return, position by position."""

    rows: Rows
    lexical: Scores
    cosines: Scores | None
    chunks: list[int]


class Index:
    """Documents by row, with both indexes over them.

    Every method runs on the same thread, so a query sees each document either
    before or after a change and never in between, without a lock.
    """

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._splitter = Splitter()
        self._lexical = LexicalIndex()
        self._dense: DenseIndex | None = None
        self._documents: list[Document | None] = []
        self._rows: dict[str, int] = {}
        self._free: list[int] = []
        self._without_vectors: set[int] = set()

    def put(self, documents: Sequence[Document]) -> list[Pending]:
        """Add or replace documents by id and return those that need vectors."""
        latest = {document.id: document for document in documents}
        self.remove(list(latest))
        return [self._add(document) for document in latest.values()]

    def remove(self, ids: Sequence[str]) -> None:
        """Delete documents; an unknown id is no error."""
        for row in [self._rows.pop(id_) for id_ in set(ids) if id_ in self._rows]:
            self._lexical.remove(row)
            if self._dense is not None:
                self._dense.remove(row)
            self._without_vectors.discard(row)
            self._documents[row] = None
            self._free.append(row)

    def pending(self) -> list[Pending]:
        """List every document that has no vectors yet."""
        return [
            _pending(row, document)
            for row in sorted(self._without_vectors)
            if (document := self._documents[row]) is not None
        ]

    def attach(self, pending: Pending, parts: Sequence[Vectors]) -> None:
        """Give a document its vectors, unless it was replaced or removed meanwhile."""
        if self._documents[pending.row] is not pending.document:
            return
        vectors = np.concatenate(parts)
        if self._dense is None:
            from bot.search.dense import DenseIndex  # noqa: PLC0415 - words alone need no FAISS

            self._dense = DenseIndex(vectors.shape[1])
        self._dense.put(pending.row, vectors)
        self._without_vectors.discard(pending.row)

    def find(
        self,
        query: str,
        vector: Vectors | None,
        *,
        kinds: Collection[str],
        limit: int,
        before: datetime | None,
    ) -> list[Hit]:
        """Rank the allowed documents; without a vector the words alone decide.

        A document with neither a word in common nor a positive cosine is no
        hit. Equal scores are ordered by id, so that an answer can be repeated.
        """
        terms = self._splitter.terms(query[:_LONGEST_QUERY])
        allowed = self._allowed(kinds, before)
        candidates = self._candidates(Counter(terms), vector, allowed)
        scores = blend(candidates.lexical, candidates.cosines, weights=self._weights)
        spelled = self._spelled(query)
        return [
            self._hit(candidates, position, score=float(scores[position]), spelled=spelled)
            for position in self._ranked(candidates, scores)[:limit]
        ]

    def _add(self, document: Document) -> Pending:
        """Take a row for a document whose id is not known, and index its words."""
        if self._free:
            row = self._free.pop()
            self._documents[row] = document
        else:
            row = len(self._documents)
            self._documents.append(document)
        self._rows[document.id] = row
        self._lexical.put(row, self._splitter.terms(_words(document)))
        self._without_vectors.add(row)
        return _pending(row, document)

    def _allowed(self, kinds: Collection[str], before: datetime | None) -> Mask:
        """Mark the rows of the given kinds that are older than a time."""
        limit = None if before is None else _aware(before)
        return np.fromiter(
            (
                document is not None
                and document.kind in kinds
                and (
                    limit is None
                    or document.created_at is None
                    or _aware(document.created_at) < limit
                )
                for document in self._documents
            ),
            dtype=np.bool_,
            count=len(self._documents),
        )

    def _candidates(
        self, query: Mapping[str, int], vector: Vectors | None, allowed: Mask
    ) -> _Candidates:
        """Join what the words and what the meaning propose, and score all of it by both."""
        lexical = self._lexical.scores(query, rows=len(allowed))
        lexical[~allowed] = 0
        rows = np.argsort(-lexical, kind="stable")[:_POOL]
        rows = rows[lexical[rows] > 0]
        if vector is None or self._dense is None:
            return _Candidates(rows=rows, lexical=lexical[rows], cosines=None, chunks=[])
        rows = np.union1d(rows, self._dense.nearest(vector, allowed=allowed, limit=_POOL))
        cosines, best = self._dense.cosines(vector, rows.tolist())
        return _Candidates(rows=rows, lexical=lexical[rows], cosines=cosines, chunks=best)

    def _ranked(self, candidates: _Candidates, scores: Scores) -> list[int]:
        """Order the positions of the hits, best first."""
        related = candidates.lexical > 0
        if candidates.cosines is not None:
            related |= candidates.cosines > 0
        return sorted(
            np.flatnonzero(related).tolist(),
            key=lambda position: (-scores[position], self._document(candidates, position).id),
        )

    def _document(self, candidates: _Candidates, position: int) -> Document:
        document = self._documents[int(candidates.rows[position])]
        if document is None:
            raise LookupError("a removed document was found")
        return document

    def _hit(
        self, candidates: _Candidates, position: int, *, score: float, spelled: Mapping[str, str]
    ) -> Hit:
        """Say what was found and why."""
        document = self._document(candidates, position)
        text = document.text[:_LONGEST_TEXT]
        dense: float | None = None
        if candidates.cosines is not None and not np.isnan(candidates.cosines[position]):
            dense = float(candidates.cosines[position])
            pieces = chunks(text)
            text = pieces[candidates.chunks[position]] if pieces else text
        return Hit(
            document=document,
            score=score,
            lexical=float(candidates.lexical[position]),
            dense=dense,
            matched=self._matched(int(candidates.rows[position]), spelled),
            passage=passage(text, weigh=lambda sentence: self._weight(sentence, spelled)),
        )

    def _spelled(self, query: str) -> dict[str, str]:
        """Map the query's known terms to how they were first typed, the rarest first."""
        spelled: dict[str, str] = {}
        for term, spelling in self._splitter.spellings(query[:_LONGEST_QUERY]):
            spelled.setdefault(term, spelling)
        rarity = self._lexical.rarity
        known = [(term, spelling) for term, spelling in spelled.items() if rarity(term) > 0]
        return dict(sorted(known, key=lambda pair: (-rarity(pair[0]), -len(pair[1]))))

    def _matched(self, row: int, spelled: Mapping[str, str]) -> tuple[str, ...]:
        """Pick the most telling of the query's words in a row; a whole name covers its parts."""
        matched: list[str] = []
        for term, spelling in spelled.items():
            if not self._lexical.holds(row, term):
                continue
            if not any(spelling in longer for longer in matched):
                matched.append(spelling)
            if len(matched) == _MOST_MATCHED:
                break
        return tuple(matched)

    def _weight(self, sentence: str, spelled: Mapping[str, str]) -> float:
        """Sum the rarity of the query's terms in a sentence."""
        found = set(self._splitter.terms(sentence))
        return sum(self._lexical.rarity(term) for term in found if term in spelled)


def _words(document: Document) -> str:
    """Join everything of a document that can be searched by words."""
    parts = (document.title, *document.names, *document.services, document.text[:_LONGEST_TEXT])
    return "\n".join(parts)


def _pending(row: int, document: Document) -> Pending:
    """Cut a document into chunks that each begin with its title."""
    pieces = chunks(document.text[:_LONGEST_TEXT]) or [""]
    texts = tuple(f"{document.title}\n{piece}".strip() for piece in pieces)
    return Pending(row=row, document=document, texts=texts)


def _aware(moment: datetime) -> datetime:
    """Read a time without a zone as UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
