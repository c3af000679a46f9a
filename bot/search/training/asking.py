"""Put questions to the bot's own engine, exactly as the bot does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from bot.domain.documents import Document, Query
from bot.search.encoder import Encoder
from bot.search.engine import HybridSearch
from bot.search.ranker import SIGNALS, Ranker
from bot.search.training.datasets import Dataset, Question
from bot.search.training.measures import DEPTH

Matrix = npt.NDArray[np.float32]


class NoMeaning(Exception):
    """The encoder cannot be used, so what the bot would answer cannot be measured."""


class OnceEncoder:
    """Encodes each text once for all engines of a run: folds differ in weights, not in texts."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.model, self.dimension = encoder.model, encoder.dimension
        self._known: dict[str, Matrix] = {}

    def encode(self, texts: Sequence[str]) -> Matrix:
        """Encode what is new and recall the rest."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._known.update(zip(new, self._encoder.encode(new), strict=True))
        return np.stack([self._known[text] for text in texts])


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the bot found for a question; `novel` where its right answers were hidden first."""

    question: Question
    found: tuple[str, ...]
    confidence: float | None
    threshold: float
    novel: bool = False

    @property
    def right(self) -> bool:
        """Say whether the first hit is right; nothing is where the answers are hidden."""
        return not self.novel and self.found[:1] != () and self.found[0] in self.question.relevant


@dataclass(frozen=True, kw_only=True)
class Example:
    """The candidates of a question with their signals, and which of them are right."""

    question: Question
    ids: tuple[str, ...]
    raw: Matrix
    scaled: Matrix
    scores: npt.NDArray[np.float32]
    evidence: Mapping[str, float]
    novel: bool = False

    @property
    def relevant(self) -> npt.NDArray[np.bool_]:
        """Mark the right candidates."""
        right = () if self.novel else self.question.relevant
        return np.array([id_ in right for id_ in self.ids], dtype=np.bool_)

    def best(self, scores: npt.NDArray[np.float32]) -> tuple[str, ...]:
        """Order the candidates by other scores, best first; unknown scores last, ties by id."""
        known = np.nan_to_num(scores, nan=-np.inf)
        order = sorted(range(len(self.ids)), key=lambda at: (-known[at], self.ids[at]))
        return tuple(self.ids[at] for at in order[:DEPTH])

    def alone(self, signal: str) -> tuple[str, ...]:
        """Order the candidates by one signal."""
        return self.best(self.raw[:, SIGNALS.index(signal)])


@asynccontextmanager
async def engine(
    documents: Sequence[Document], encoder: Encoder, *, ranker: Ranker | None = None
) -> AsyncIterator[HybridSearch]:
    """Open the bot's search over documents, with the shipped ranker unless told otherwise.

    Raises:
        NoMeaning: the encoder failed.
    """
    with TemporaryDirectory(prefix="tocsin-search-") as folder:
        search = HybridSearch(lambda _: encoder, Path(folder), ranker=ranker)
        try:
            await search.put(documents)
            await search.start()
            if not await search.wait_until_dense():
                raise NoMeaning("the encoder is not available")
            yield search
        finally:
            await search.stop()


async def answer(search: HybridSearch, question: Question, *, hidden: bool = False) -> Answer:
    """Ask one question through `find`; with its right answers `hidden`, it is a novel case."""
    found = await search.find(
        Query(text=question.text),
        kinds=_ALL,
        limit=DEPTH,
        before=question.before,
        without=_without(question, hidden=hidden),
    )
    return Answer(
        question=question,
        found=tuple(hit.document.id for hit in found.hits),
        confidence=found.confidence,
        threshold=found.threshold,
        novel=hidden or not question.answerable,
    )


async def example(search: HybridSearch, question: Question, *, hidden: bool = False) -> Example:
    """Take one question's candidates apart; see `answer`."""
    seen = await search.examine(
        Query(text=question.text),
        kinds=_ALL,
        before=question.before,
        without=_without(question, hidden=hidden),
    )
    return Example(
        question=question,
        ids=seen.ids,
        raw=seen.raw,
        scaled=seen.scaled,
        scores=seen.scores,
        evidence=seen.evidence,
        novel=hidden or not question.answerable,
    )


async def answers(search: HybridSearch, dataset: Dataset) -> list[Answer]:
    """Ask everything, and once more with its answers hidden whatever has an answer."""
    given = [await answer(search, question) for question in dataset.questions]
    asked = [question for question in dataset.questions if question.answerable]
    return given + [await answer(search, question, hidden=True) for question in asked]


async def examples(
    search: HybridSearch, questions: Sequence[Question], *, novel: bool = False
) -> list[Example]:
    """Take questions apart; with `novel`, those that have an answer once more without it."""
    seen = [await example(search, question) for question in questions]
    if novel:
        asked = [question for question in questions if question.answerable]
        seen += [await example(search, question, hidden=True) for question in asked]
    return seen


def signals_of(seen: Sequence[Example]) -> tuple[str, ...]:
    """List the signals that tell candidates apart anywhere in these examples."""
    columns = [np.concatenate([one.raw[:, at] for one in seen]) for at in range(len(SIGNALS))]
    return tuple(
        name
        for name, values in zip(SIGNALS, columns, strict=True)
        if not np.isnan(values).all() and np.nanmin(values) < np.nanmax(values)
    )


def _without(question: Question, *, hidden: bool) -> frozenset[str]:
    asked = frozenset((question.without,)) - {""}
    return asked | question.relevant if hidden else asked


_ALL = ("runbook", "incident")
