"""Read a folder of documents and questions with known answers, or say what is wrong with it.

A folder holds `corpus.jsonl` (id, title, text, and perhaps created) and
`queries.jsonl` (id, text, variant, relevant, and perhaps group, doc_id and
created); `queries-dead-link.jsonl` adds questions that have no answer there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bot.domain.documents import Document, Kind
from bot.search.training.lines import Lines, Problem

CORPUS = "corpus.jsonl"
QUERIES = "queries.jsonl"
DEAD_LINKS = "queries-dead-link.jsonl"

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Question:
    """One query and the ids of its right answers; none where there is no answer.

    `group` ties questions together that are not independent of each other: they
    are drawn and left out as one. `without` is the document that asks.
    """

    id: str
    text: str
    variant: str
    group: str
    relevant: frozenset[str] = frozenset()
    without: str = ""
    before: datetime | None = None
    row: Row

    @property
    def answerable(self) -> bool:
        """Say whether there is a right answer."""
        return bool(self.relevant)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A folder as read. `sha256` is of its files' contents, in the order of their names."""

    name: str
    sha256: str
    kind: str
    documents: tuple[Document, ...]
    questions: tuple[Question, ...]
    rows: Mapping[str, Row]

    @property
    def variants(self) -> tuple[str, ...]:
        """List the kinds of question, in the order in which they first occur."""
        return tuple(dict.fromkeys(question.variant for question in self.questions))


class BadDataset(Exception):
    """A folder cannot be used; `problems` says each reason with its file and line."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


def read(folder: Path) -> Dataset:
    """Read a folder.

    Runbooks are told by Markdown headings in most texts; anything else is taken
    for incidents. A question without a group stands for itself.

    Raises:
        BadDataset: it cannot be used, for every reason that was found.
    """
    corpus, queries = Lines(folder / CORPUS), Lines(folder / QUERIES)
    dead = Lines(folder / DEAD_LINKS) if (folder / DEAD_LINKS).exists() else None
    documents = _documents(corpus)
    known = frozenset(documents)
    seen: dict[str, str] = {}
    questions = _questions(queries, known, seen)
    if dead is not None:
        questions += _questions(dead, known, seen, answers=False)
    files = [file for file in (corpus, queries, dead) if file is not None]
    if problems := [problem for file in files for problem in file.problems]:
        raise BadDataset(problems)
    return Dataset(
        name=folder.resolve().name,
        sha256=digest(folder),
        kind=_kind(documents.values()),
        documents=_made(documents.values(), _kind(documents.values())),
        questions=tuple(questions),
        rows=documents,
    )


def digest(folder: Path) -> str:
    """Return the sha256 over what a folder's files of data contain, by which it is known again."""
    total = hashlib.sha256()
    for name in (CORPUS, DEAD_LINKS, QUERIES):
        if (folder / name).is_file():
            content = hashlib.sha256((folder / name).read_bytes()).hexdigest()
            total.update(f"{name} {content}\n".encode())
    return total.hexdigest()


def _documents(lines: Lines) -> dict[str, Row]:
    """Read the corpus by id; the first of two that share an id is kept."""
    found: dict[str, Row] = {}
    for line in lines:
        id_ = line.name("id")
        parts = (line.text("title", "may be empty"), line.text("text", "may be empty"))
        created = line.moment("created")
        if id_ in found:
            line.wrong("id", f"{id_!r} is a document already")
        elif id_ and None not in parts:
            found[id_] = {**line.row, "created": created}
    if not found and not lines.problems:
        lines.wrong(1, "id", "there is no document")
    return found


def _questions(
    lines: Lines, known: frozenset[str], seen: dict[str, str], *, answers: bool = True
) -> list[Question]:
    found: list[Question] = []
    for line in lines:
        id_, variant, text = line.name("id"), line.name("variant"), line.text("text", "asks")
        group = line.name("group") if "group" in line.row else id_
        relevant = line.names("relevant") if answers else line.names("relevant") or ()
        without, before = line.row.get("doc_id"), line.moment("created")
        if id_ in seen:
            line.wrong("id", f"{id_!r} is a query already, in {seen[id_]}")
        if without is not None and not isinstance(without, str):
            line.wrong("doc_id", "must be text")
        for unknown in sorted(set(relevant or ()) - known):
            line.wrong("relevant", f"{unknown!r} is not in {CORPUS}")
        if relevant and not answers:
            line.wrong("relevant", "must be empty: these queries have no answer")
        if not line.fine or not id_ or not variant or not group or text is None:
            continue
        seen[id_] = line.where
        found.append(
            Question(
                id=id_,
                text=text,
                variant=variant,
                group=group,
                relevant=frozenset(relevant or ()),
                without=without or "",
                before=before,
                row=line.row,
            )
        )
    if not found and not lines.problems:
        lines.wrong(1, "id", "there is no query")
    return found


def _kind(rows: Sequence[Row] | Any) -> str:
    """Tell runbooks by their headings."""
    texts = [str(row["text"]) for row in rows]
    headed = sum(text.startswith("## ") or "\n## " in text for text in texts)
    return Kind.RUNBOOK if 2 * headed > len(texts) else Kind.INCIDENT


def _made(rows: Any, kind: str) -> tuple[Document, ...]:
    return tuple(
        Document(
            id=row["id"],
            kind=kind,
            title=row["title"],
            text=row["text"],
            created_at=row["created"],
        )
        for row in rows
    )
