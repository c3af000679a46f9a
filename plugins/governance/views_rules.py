"""Decisions and rules as pages show them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.domain.actions import JSON
from bot.domain.canonical import NotCanonical, digest
from bot.domain.decisions import DecisionRecord
from plugins.governance.pages_queries import address
from plugins.governance.views_texts import visible

_ID = re.compile(r'^[ \t]*@id\("([^"\n]{1,120})"\)', re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class DecisionRow:
    """One decision in the list."""

    record: DecisionRecord
    risk: str
    service: str
    runbook: str

    @property
    def url(self) -> str:
        """Return the address of the decision."""
        return address("decision", id=self.record.id)


def decision_row(record: DecisionRecord) -> DecisionRow:
    """Return a decision with what its input says; the built-in rules record none."""
    risk = _within(record.input, "context", "risk")
    return DecisionRow(
        record=record,
        risk=f"R{risk}" if isinstance(risk, int) else "",
        service=str(_within(record.input, "resource", "id") or ""),
        runbook=str(_within(record.input, "context", "runbook") or ""),
    )


def _within(value: JSON, *keys: str) -> JSON:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


@dataclass(frozen=True, kw_only=True)
class Bound:
    """A part of a decision with the digest that was recorded of it."""

    name: str
    digest: str
    holds: bool


def bound(record: DecisionRecord) -> Sequence[Bound]:
    """Say whether what is stored of a decision is what was digested when it was made."""
    entities = [dict(entity) for entity in record.entities]
    return (
        Bound(
            name="Input",
            digest=record.input_digest,
            holds=_matches(dict(record.input), record.input_digest),
        ),
        Bound(
            name="Entities",
            digest=record.entities_digest,
            holds=_matches(entities, record.entities_digest),
        ),
    )


def _matches(value: JSON, recorded: str) -> bool:
    try:
        return digest(value) == recorded
    except NotCanonical:
        return False


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A part of a document: a rule with its id, or what stands before the first."""

    id: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Document:
    """A file of rules, in pieces that can be linked to."""

    name: str
    pieces: Sequence[Piece]


def document_of(name: str, text: str) -> Document:
    """Cut a file where its rules begin, together with the comments above each."""
    starts = [(_above(text, found.start()), found[1]) for found in _ID.finditer(text)]
    bounds = [(0, ""), *starts]
    ends = [*(start for start, _ in starts), len(text)]
    cut = [
        Piece(id=id, text=visible(text[start:end]).strip("\n"))
        for (start, id), end in zip(bounds, ends, strict=True)
    ]
    return Document(name=name, pieces=[piece for piece in cut if piece.text])


def _above(text: str, start: int) -> int:
    """Return where the comment begins that stands right above a line."""
    while start:
        line = text.rfind("\n", 0, start - 1) + 1
        if not text[line:start].lstrip().startswith("//"):
            return start
        start = line
    return start
