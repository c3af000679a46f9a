"""Small folders of documents and questions, made for tests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]

THINGS = (
    "disk pressure volume",
    "expired certificate authority",
    "replication lag follower",
    "memory leak heap",
    "dns resolver timeout",
    "queue backlog consumer",
    "throttled api quota",
    "crashed scheduler leader",
)


def document(number: int, **more: Any) -> Row:
    thing = THINGS[number % len(THINGS)]
    text = f"## Meaning\n\nThe {thing} of part {number} is broken.\n\n## Mitigation\n\nRestart it."
    return {"id": f"D{number}", "title": f"Part{number} {thing}", "text": text, **more}


def query(number: int, **more: Any) -> Row:
    return {
        "id": f"Q{number}",
        "text": f"{THINGS[number % len(THINGS)]} seen on part {number}",
        "variant": "desc",
        "relevant": [f"D{number}"],
        "group": f"D{number}",
        **more,
    }


def dead(number: int) -> Row:
    return {
        "id": f"X{number}",
        "text": f"unheard of trouble number {number}",
        "variant": "desc",
        "relevant": [],
        "group": f"X{number}",
    }


def write(path: Path, rows: Sequence[Row]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def folder(
    path: Path,
    *,
    documents: Sequence[Row] | None = None,
    queries: Sequence[Row] | None = None,
    without_answer: Sequence[Row] = (),
) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    write(
        path / "corpus.jsonl", [document(n) for n in range(12)] if documents is None else documents
    )
    write(path / "queries.jsonl", [query(n) for n in range(12)] if queries is None else queries)
    if without_answer:
        write(path / "queries-dead-link.jsonl", without_answer)
    return path
