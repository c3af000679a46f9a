"""What is kept of the documents, and one query from beginning to end. One thread's property."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bot.domain.documents import (
    Acceptance,
    Acceptances,
    Dependencies,
    Document,
    Found,
    Hit,
    Kind,
    Query,
)
from bot.search.chunks import LONGEST_TEXT, chunks_of, passage, piece_at
from bot.search.confidence import evidence, probability
from bot.search.entities import entities
from bot.search.explain import Related, reasons
from bot.search.filters import Filters
from bot.search.handed import Cut, Examined, Pending, Proposed
from bot.search.lexical import LexicalIndex
from bot.search.questions import Asked, Reader
from bot.search.ranker import SIGNALS, Matrix, Ranker, Scores
from bot.search.rows import Documents, Mask
from bot.search.sections import sections
from bot.search.signals import column, matrix, named, scaled
from bot.search.surroundings import Topology, acceptance, recency
from bot.search.tokens import Splitter

if TYPE_CHECKING:
    from bot.search.dense import Comparison, DenseIndex

Rows = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]

_POOL = 128  # candidates each side proposes; the ranker orders their union
_MOST_MATCHED = 6


@dataclass(frozen=True, kw_only=True)
class _Pool:
    """The candidates of one query, position by position; `order` is best first."""

    rows: Rows
    raw: Matrix
    scaled: Matrix
    scores: Scores
    chunks: npt.NDArray[np.int64] | None
    order: Sequence[int]
    evidence: Mapping[str, float]


class Index:
    """Documents by row, with all indexes over them.

    Every method runs on the same thread, so a query sees each document either
    before or after a change and never in between, without a lock. `encoder` is
    the name of the model its vectors come from.
    """

    def __init__(self, ranker: Ranker) -> None:
        self.encoder = ""
        self._ranker = ranker
        self._changes = 0  # of what a query's words are held against
        self._splitter = Splitter()
        self._words = LexicalIndex(fields=3)
        self._dense: DenseIndex | None = None
        self._documents = Documents()
        self._entities = LexicalIndex()
        self._without_vectors: set[int] = set()
        self._keys: dict[bytes, set[int]] = {}
        self._keyed: dict[int, Sequence[bytes]] = {}
        self._topology = Topology({})
        self._acceptances: Acceptances = {}
        self._reader = Reader(self._splitter, ranker.common)

    def put(self, documents: Sequence[Document]) -> list[Pending]:
        """Add or replace documents by id and return those that need vectors."""
        latest = {document.id: document for document in documents}
        self.remove(list(latest))
        return [self._add(document) for document in latest.values()]

    def remove(self, ids: Sequence[str]) -> None:
        """Delete documents; an unknown id is no error."""
        self._changes += 1
        for id in dict.fromkeys(ids):
            row = self._documents.remove(id)
            if row is None:
                continue
            for table in (self._words, self._entities):
                table.remove(row)
            if self._dense is not None:
                self._dense.remove(row)
            self._without_vectors.discard(row)
            for key in self._keyed.pop(row, ()):
                self._keys[key].discard(row)
                if not self._keys[key]:
                    del self._keys[key]

    def place(self, dependencies: Dependencies) -> None:
        """Learn which services need which."""
        self._changes += 1
        self._topology = Topology(dependencies)

    def accept(self, acceptances: Acceptances) -> None:
        """Learn how people judged documents."""
        self._acceptances = dict(acceptances)

    def pending(self) -> list[Pending]:
        """List every document that has no vectors yet."""
        rows = sorted(self._without_vectors)
        return [Pending(row=row, document=self._documents[row]) for row in rows]

    def cut(self, pending: Sequence[Pending]) -> list[Cut]:
        """Cut documents into chunks, but those that were replaced or removed meanwhile."""
        return [
            Cut(row=one.row, document=one.document, chunks=tuple(chunks_of(one.document)))
            for one in pending
            if one.row in self._without_vectors and self._documents.holds(one.row, one.document)
        ]

    def attach(self, cut: Cut, vectors: Vectors, keys: Sequence[bytes] = ()) -> None:
        """Give a document its vectors, unless it was replaced or removed meanwhile.

        `keys` are those of its chunks in a database that is asked what is near.
        """
        if not self._documents.holds(cut.row, cut.document):
            return
        if self._dense is None:
            from bot.search.dense import DenseIndex  # noqa: PLC0415 - words alone need no FAISS

            self._dense = DenseIndex(vectors.shape[1])
        gist = np.array([chunk.gist for chunk in cut.chunks], dtype=np.bool_)
        self._dense.put(cut.row, vectors, gist)
        self._without_vectors.discard(cut.row)
        for key in keys:
            self._keys.setdefault(key, set()).add(cut.row)
        self._keyed[cut.row] = keys

    def maintain(self) -> bool:
        """Do one slice of the upkeep of the vectors; say whether more is left."""
        return self._dense is not None and self._dense.maintain()

    def propose(self, query: Query, filters: Filters) -> Proposed:
        """Read a query and let the words propose candidates, which needs no vector."""
        asked = self._reader.read(query, self._words.rarity, self._topology)
        allowed = self._documents.allowed(
            kinds=filters.kinds,
            before=filters.before,
            services=filters.services,
            without=filters.without,
        )
        words = self._words.scores(asked.weights, rows=len(allowed))
        words *= allowed
        return Proposed(
            changes=self._changes,
            asked=asked,
            allowed=allowed,
            words=words,
            rows=self._documents.best(words, _POOL),
        )

    def find(
        self,
        query: Query,
        vector: Vectors | None,
        *,
        filters: Filters,
        limit: int,
        near: Sequence[bytes] | None = None,
        proposed: Proposed | None = None,
    ) -> Found:
        """Rank the allowed documents; without a vector the words alone decide.

        `near` are keys of chunks that a database found near to the query; without
        them the index looks itself. `proposed` is what `propose` said of this query
        and these filters; if documents or dependencies changed since, it is asked again.

        A document with neither a word in common nor a positive cosine is no
        hit. Equal scores are ordered by id, so that an answer can be repeated.
        """
        if proposed is None or proposed.changes != self._changes:
            proposed = self.propose(query, filters)
        asked, pool = proposed.asked, self._pool(proposed, vector, near)
        hits = tuple(self._hit(pool, position, asked) for position in pool.order[:limit])
        return Found(
            hits=hits,
            confidence=self._confidence(hits, pool.evidence),
            threshold=self._ranker.threshold,
            model=self._ranker.name,
        )

    def examine(self, query: Query, vector: Vectors | None, *, filters: Filters) -> Examined:
        """Return all candidates with their signals, as `find` sees them."""
        pool = self._pool(self.propose(query, filters), vector)
        return Examined(
            ids=tuple(self._documents[int(row)].id for row in pool.rows),
            raw=pool.raw,
            scaled=pool.scaled,
            scores=pool.scores,
            evidence=pool.evidence,
        )

    def _add(self, document: Document) -> Pending:
        row = self._documents.add(document)
        text = document.text[:LONGEST_TEXT]
        title = " ".join((document.title, *document.names))
        about = " ".join((*document.services, *document.labels.values()))
        gist = "\n".join(section.text for section in sections(text) if section.gist)
        terms = self._splitter.terms
        titles, abouts, texts = terms(title), terms(about), terms(text)
        words = [*titles, *abouts, *texts]
        whole = not gist or gist == text.strip()
        gists = words if whole else [*titles, *abouts, *terms(gist)]
        self._words.put(row, words, gists, titles)
        if named := entities(f"{title}\n{about}\n{text}"):
            self._entities.put(row, sorted(named))
        self._without_vectors.add(row)
        return Pending(row=row, document=document)

    def _pool(
        self, proposed: Proposed, vector: Vectors | None, near: Sequence[bytes] | None = None
    ) -> _Pool:
        """Join what the words and what the meaning propose, and score all of it."""
        asked, words, rows = proposed.asked, proposed.words, proposed.rows
        compared: Comparison | None = None
        if vector is not None and self._dense is not None:
            nearest = self._nearest(self._dense, vector, proposed.allowed, near)
            rows = np.union1d(rows, nearest)
            compared = self._dense.compare(vector, rows)
        raw = self._signals(asked, rows, words[rows], compared)
        weighable = scaled(raw)
        scores = self._ranker.scores(weighable)
        order = self._ranked(rows, scores, words[rows], compared)
        most = self._words.most(asked.weights)
        return _Pool(
            rows=rows,
            raw=raw,
            scaled=weighable,
            scores=scores,
            chunks=compared.chunk if compared else None,
            order=order,
            evidence=evidence(
                raw,
                self._ranker.text_scores(weighable),
                order,
                most=most,
                terms=len(asked.weights),
            ),
        )

    def _nearest(
        self, dense: DenseIndex, vector: Vectors, allowed: Mask, near: Sequence[bytes] | None
    ) -> Rows:
        """Return rows near to a query; where filters leave too few of `near`, look again."""
        held = (self._keys.get(key, _NO_ROWS) for key in near or ())
        rows = list(dict.fromkeys(row for rows in held for row in rows if allowed[row]))[:_POOL]
        if len(rows) >= min(_POOL, int(np.count_nonzero(allowed))) // 2 and rows:
            return np.array(rows, dtype=np.int64)
        return dense.nearest(vector, allowed=allowed, limit=_POOL)

    def _signals(
        self, asked: Asked, rows: Rows, words: Scores, compared: Comparison | None
    ) -> Matrix:
        joined = self._words.joined(rows)
        signals = {
            "words": words,
            "gist_words": self._words.scores_of(asked.weights, joined, field=_GIST),
            "tfidf": self._words.cosines(asked.weights, joined),
            "title": self._words.covered(asked.weights, joined, field=_TITLE),
            **self._context(asked, rows),
        }
        if compared is not None:
            signals |= {
                "meaning": compared.meaning,
                "gist": compared.gist,
                "cosine": compared.cosine,
            }
        return matrix(signals, len(rows))

    def _context(self, asked: Asked, rows: Rows) -> dict[str, npt.NDArray[Any]]:
        """Return the signals that are not in the text; what the query lacks costs nothing."""
        query, documents, listed = asked.query, self._documents, rows.tolist()
        columns: dict[str, npt.NDArray[Any]] = {"outcome": documents.outcomes[rows]}
        if asked.names:
            columns["name"] = self._named(rows, asked.names)
        if query.services:
            columns["service"] = documents.concerning(query.services, listed)
        if asked.around:
            columns["dependency"] = self._nearness(listed, asked.around)
        if asked.entities:
            shared = [self._entities.having(name, rows) for name in asked.entities]
            columns["entity"] = 1 - 0.5 ** np.sum(shared, axis=0)
        if query.at is not None:
            columns["recent"] = recency(documents.created[rows], query.at)
        if self._acceptances:
            ids = (documents[row].id for row in listed)
            columns["accepted"] = column(acceptance(self._acceptances.get(id)) for id in ids)
        nothing = np.zeros(len(rows), dtype=np.float32)
        return {name: columns.get(name, nothing) for name in _CONTEXT}

    def _named(self, rows: Rows, names: Mapping[str, str]) -> Mask:
        """Mark the rows that go by one of some names, or tell of it in their texts.

        A name that is a plain word is not looked for in texts.
        """
        asked = set(names)
        own = (self._documents[row].names for row in rows.tolist())
        marked = np.array([not asked.isdisjoint(each) for each in own], dtype=np.bool_)
        for term in filter(None, names.values()):
            marked |= self._words.having(term, rows)
        return marked

    def _nearness(self, rows: Sequence[int], around: Mapping[str, int]) -> Scores:
        """Return 1/hops to the nearest service that each row concerns, 0 without one."""
        near = np.zeros(len(rows), dtype=np.float32)
        for hops in sorted(set(around.values()), reverse=True):
            there = [name for name, count in around.items() if count == hops]
            near[self._documents.concerning(there, rows)] = 1 / hops
        return near

    def _ranked(
        self, rows: Rows, scores: Scores, words: Scores, compared: Comparison | None
    ) -> list[int]:
        """Order the positions of the hits, best first."""
        related = words > 0
        if compared is not None:
            related |= compared.cosine > 0
        places = np.flatnonzero(related)
        places = places[np.argsort(-scores[places], kind="stable")]
        order: list[int] = places.tolist()
        if (np.diff(scores[places]) == 0).any():
            ids = {place: self._documents[int(rows[place])].id for place in order}
            order.sort(key=lambda place: (-scores[place], ids[place]))
        return order

    def _related(self, row: int, asked: Asked, shared: Collection[str]) -> Related:
        document, query = self._documents[row], asked.query
        services = set(document.services) & set(query.services)
        return Related(
            names=frozenset(
                name
                for name, term in asked.names.items()
                if name in document.names or term in shared
            ),
            services=services,
            dependency="" if services else self._dependency(document, asked),
            entities=self._entities.shared(row, asked.entities),
            acceptance=self._acceptances.get(document.id, Acceptance()),
        )

    def _dependency(self, document: Document, asked: Asked) -> str:
        near = [name for name in document.services if asked.around.get(name) == 1]
        for name in near:
            for own in asked.query.services:
                if name in self._topology.around([own]):
                    return self._topology.told(own, name)
        return ""

    def _confidence(self, hits: Sequence[Hit], seen: Mapping[str, float]) -> float | None:
        """Return how sure the ranking is; None where nothing like it was calibrated.

        That is so for kinds of documents nobody has measured, for another encoder,
        and where the first hit was judged by words alone.
        """
        if not hits or hits[0].dense is None:
            return None
        if self._ranker.encoder not in ("", self.encoder):
            return None
        kind = hits[0].document.kind
        calibration = self._ranker.calibrations.get(_MEASURED_AS.get(kind, kind))
        if calibration is None:
            return None
        return probability(calibration, seen)

    def _hit(self, pool: _Pool, position: int, asked: Asked) -> Hit:
        """Say what was found and why."""
        row = int(pool.rows[position])
        document, signals = self._documents[row], named(pool.raw[position])
        cosine = signals.get("cosine")
        text, heading = self._nearest_text(pool, position, document)
        shared = self._words.shared(row, asked.spelled)
        matched = _matched(asked.spelled[term] for term in shared)
        return Hit(
            document=document,
            score=float(pool.scores[position]),
            lexical=signals["words"],
            dense=cosine,
            matched=matched,
            passage=passage(text, weigh=lambda sentence: self._weight(sentence, asked.rarities)),
            section=heading,
            reasons=reasons(
                document,
                asked.query,
                self._related(row, asked, shared),
                matched=matched,
                cosine=cosine,
                tells=self._reader.tells,
            ),
            signals=signals,
        )

    def _nearest_text(self, pool: _Pool, position: int, document: Document) -> tuple[str, str]:
        """Return the chunk nearest in meaning and its heading; without vectors, all text."""
        text = document.text[:LONGEST_TEXT]
        if pool.chunks is None or math.isnan(pool.raw[position, _COSINE]):
            return text, ""
        piece = piece_at(int(pool.chunks[position]), text)
        return piece.plain or text, piece.heading

    def _weight(self, sentence: str, rarities: Mapping[str, float]) -> float:
        """Sum the rarity of the query's terms in a sentence."""
        found = set(self._splitter.terms(sentence))
        return math.fsum(rarities[term] for term in found if term in rarities)

    def texts(self) -> Iterator[Sequence[str]]:
        """Yield what the encoder reads of each document, which is cut when its turn comes."""
        for document in self._documents.each():
            yield [chunk.text for chunk in chunks_of(document)]


_GIST, _TITLE = 1, 2  # fields of the words, after that of all
_COSINE = SIGNALS.index("cosine")
_MEASURED_AS: Mapping[str, str] = {Kind.POSTMORTEM: Kind.INCIDENT}
_CONTEXT = ("name", "service", "dependency", "entity", "recent", "accepted", "outcome")
_NO_ROWS: frozenset[int] = frozenset()


def _matched(spellings: Iterable[str]) -> tuple[str, ...]:
    """Pick the most telling words, given the rarest first; a whole name covers its parts."""
    matched: list[str] = []
    for spelling in spellings:
        if not any(spelling in longer for longer in matched):
            matched.append(spelling)
        if len(matched) == _MOST_MATCHED:
            break
    return tuple(matched)
