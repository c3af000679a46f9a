"""Documents that can be found again, what is asked for, and what was found and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Kind(StrEnum):
    """What a document is."""

    RUNBOOK = "runbook"
    INCIDENT = "incident"
    POSTMORTEM = "postmortem"
    KNOWN_ERROR = "known error"
    CHANGE = "change"


class Outcome(StrEnum):
    """Whether what was done then helped, as far as records tell."""

    WORKED = "worked"
    FAILED = "did not work"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Document:
    """A text worth finding during an incident.

    `text` may be Markdown: what stands under headings such as Meaning, Impact,
    Summary or Cause counts for more than commands and logs. `names` are the
    exact names it goes by, such as alert names; `services` those it concerns;
    `labels` further facts by name. A document without `created_at` is
    timeless: it is never too new to be found, and never old.
    """

    id: str
    kind: str
    title: str
    text: str
    names: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    created_at: datetime | None = None
    outcome: Outcome = Outcome.UNKNOWN
    url: str = ""


@dataclass(frozen=True, kw_only=True)
class Query:
    """What is searched for: words, and what is known besides.

    `names` are exact names such as the alert's; `services` those concerned;
    `at` is when it happens, from which recency is counted.
    """

    text: str
    names: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    at: datetime | None = None


class Because(StrEnum):
    """Why a document was found, the most telling first."""

    NAME = "name"
    WORDS = "words"
    MEANING = "meaning"
    SERVICE = "service"
    DEPENDENCY = "dependency"
    ENTITY = "entity"
    ACCEPTED = "accepted"
    OUTCOME = "outcome"
    RECENT = "recent"


@dataclass(frozen=True, kw_only=True)
class Reason:
    """One reason, with the words a person reads: "same alert name", "checkout needs payments"."""

    because: Because
    text: str


@dataclass(frozen=True, kw_only=True)
class Hit:
    """One document found, with what a person needs to judge it.

    `score` orders the hits of one query and says nothing about how good the
    best one is; `Found.confidence` does. `lexical` (raw BM25) and `dense`
    (cosine, None while the encoder is not ready) can be compared between
    queries; `signals` holds every signal as the ranker weighed it. `matched`
    has at most six of the query's words as typed; `passage` is the nearest
    sentence, at most 200 characters, and `section` the heading above it.
    """

    document: Document
    score: float
    lexical: float
    dense: float | None
    matched: tuple[str, ...]
    passage: str
    section: str = ""
    reasons: tuple[Reason, ...] = ()
    signals: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Found:
    """The answer to a query, best hit first.

    `confidence` is the calibrated probability that the first hit is right, None
    where nothing was found or nothing is calibrated. `threshold` is what it has
    to reach to be shown unasked. `model` names the ranker, for the record.
    """

    hits: tuple[Hit, ...] = ()
    confidence: float | None = None
    threshold: float = 0.5
    model: str = ""

    @property
    def sure(self) -> bool:
        """Say whether the first hit is worth showing to somebody who did not ask."""
        return self.confidence is not None and self.confidence >= self.threshold


@dataclass(frozen=True, kw_only=True)
class Acceptance:
    """How often people called a document useful, and how often not."""

    useful: int = 0
    useless: int = 0


Dependencies = Mapping[str, Collection[str]]
Acceptances = Mapping[str, Acceptance]
Hits = Sequence[Hit]
