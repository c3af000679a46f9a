"""Documents that can be found again, and the hits that say why they were."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Document:
    """A text worth finding during an incident.

    `kind` is "runbook", "incident" or "postmortem". `names` are the exact
    names it goes by, such as alert names; `services` those it concerns. A
    document without `created_at` is timeless: it is never too new to be found.
    """

    id: str
    kind: str
    title: str
    text: str
    names: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    created_at: datetime | None = None
    url: str = ""


@dataclass(frozen=True, kw_only=True)
class Hit:
    """One document found, with what a person needs to judge it.

    `score` is blended and scaled to 0..1 within its query, so it orders hits
    but says nothing about how good the best one is. `lexical` (raw BM25) and
    `dense` (cosine, None while the encoder is not ready) can be compared
    between queries. `matched` holds at most six of the query's words as typed;
    `passage` is the nearest sentence, at most 200 characters.
    """

    document: Document
    score: float
    lexical: float
    dense: float | None
    matched: tuple[str, ...]
    passage: str
