"""What the index is handed, and what it hands back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bot.domain.documents import Document
from bot.search.chunks import Chunk
from bot.search.questions import Asked
from bot.search.ranker import Matrix, Scores
from bot.search.rows import Mask
from bot.search.terms import Rows


@dataclass(frozen=True, kw_only=True)
class Pending:
    """A document that still needs vectors."""

    row: int
    document: Document


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A document that still needs vectors, with its chunks as the encoder shall read them."""

    row: int
    document: Document
    chunks: tuple[Chunk, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """Return what the encoder shall read."""
        return tuple(chunk.text for chunk in self.chunks)


@dataclass(frozen=True, kw_only=True)
class Proposed:
    """A query as the index read it, and what the words propose, at a number of `changes`.

    `allowed` marks the rows it may return, `words` has the score of every row, 0
    where it is not allowed, and `rows` are the best of them.
    """

    changes: int
    asked: Asked
    allowed: Mask
    words: Scores
    rows: Rows


@dataclass(frozen=True, kw_only=True)
class Examined:
    """The candidates of one query with all that is known of them, in no order.

    `raw` and `scaled` have a row per candidate and a column per signal; what is
    not known is NaN in `raw`. `evidence` is what the confidence is drawn from.
    """

    ids: tuple[str, ...]
    raw: Matrix
    scaled: Matrix
    scores: Scores
    evidence: Mapping[str, float]
