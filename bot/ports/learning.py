"""What is learned from use: how runbooks fare, how hits are judged, and vectors of texts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class Use(StrEnum):
    """What became of a runbook once: it was offered, looked at, or judged by a person."""

    SUGGESTED = "suggested"
    OPENED = "opened"
    HELPFUL = "helpful"
    UNHELPFUL = "unhelpful"


@dataclass(frozen=True, kw_only=True)
class RunbookUse:
    """One use of a runbook. `person` is a pseudonym, and None for the assistant.

    `subject` is the alert group, incident, channel or run it was about. Of
    several judgements of one person about one subject the newest counts.
    """

    id: str
    runbook: str
    what: Use
    subject: str
    person: str | None
    at: datetime


class RunbookUsage(Protocol):
    """How runbooks are used: rows are added and never changed."""

    async def add(self, use: RunbookUse) -> bool:
        """Keep a use; say False, and change nothing, where its id is known already."""
        ...

    async def since(self, moment: datetime) -> Sequence[RunbookUse]:
        """Return what happened from a moment on, oldest first."""
        ...

    async def of(self, subject: str) -> Sequence[RunbookUse]:
        """Return what happened about one subject, oldest first."""
        ...


class Judgement(StrEnum):
    """What a person said of a hit."""

    USEFUL = "useful"
    USELESS = "not this one"


@dataclass(frozen=True, kw_only=True)
class SearchLabel:
    """A person's word on one hit: what was searched, what was shown, and what they thought.

    `query` is the searched text, `names` and `services` what was known besides;
    `subject` the alert group or incident it was searched for. `place` counts
    from 1; `confidence` is what was claimed then, if anything; `model` the
    ranker that claimed it. `person` is a pseudonym. The assistant never labels.
    """

    id: str
    query: str
    names: tuple[str, ...]
    services: tuple[str, ...]
    subject: str
    document: str
    kind: str
    judgement: Judgement
    reason: str
    place: int
    confidence: float | None
    model: str
    person: str
    at: datetime


class SearchLabels(Protocol):
    """What people said of hits: rows are added and never changed."""

    async def add(self, label: SearchLabel) -> bool:
        """Keep a label; say False, and change nothing, where its id is known already."""
        ...

    async def all(self) -> Sequence[SearchLabel]:
        """Return all labels, oldest first."""
        ...

    async def of(self, subject: str) -> Sequence[SearchLabel]:
        """Return what was said about one subject, oldest first."""
        ...


class Embeddings(Protocol):
    """Sentence vectors by model and text: the truth that every index is derived from.

    A key is the sha256 of the exact text that was encoded; a vector is its raw
    unit vector as little-endian float16. `model` names the weights (their sha256).
    """

    async def get(self, model: str, keys: Collection[bytes]) -> Mapping[bytes, bytes]:
        """Return the vectors that are known among these keys."""
        ...

    async def all(self, model: str) -> Sequence[tuple[bytes, bytes]]:
        """Return every key of a model with its vector, ordered by key."""
        ...

    async def keys(self, model: str) -> Collection[bytes]:
        """Return every key of a model, in order."""
        ...

    async def add(self, model: str, vectors: Mapping[bytes, bytes]) -> None:
        """Keep vectors; those of known keys are replaced."""
        ...

    async def remove(self, model: str, keys: Collection[bytes]) -> None:
        """Forget vectors; an unknown key is no error."""
        ...

    async def nearest(self, model: str, vector: bytes, *, limit: int) -> Sequence[bytes] | None:
        """Return the keys nearest to a vector by cosine; None where the store cannot search."""
        ...
