"""New pages: what a runbook needs, with TODO where only a person knows.

A new page keeps the whole format, so that it can be read and linted from its
first minute on; `advice` then names every TODO that is left.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from bot.domain.errors import Refused
from bot.knowledge.fields import SLUG

MOST_TITLE = 120

_PAGE = """\
---
format: runbook/v1
id: "{id}"
version: 1
title: {title}
owner: todo-your-team           # TODO: the team that answers for this page
reviewed: {{by: todo-your-name, at: {today}, max_age: 180d}}
match:
  alerts: [{alerts}]            # the names of the alerts it is for
  tags: [{tags}]                # words that people search for
diagnose:
  - id: symptom
    title: "TODO: what this number tells"
    uses: prometheus.query@1
    with:
      query: up == bool 0       # TODO: the query that shows the fault
    expect: {{below: 1}}          # TODO: what is normal
# TODO: steps that the assistant may do; knowledge/README.md has them all. Without
# steps the page is for reading, which is a good first version.
---

## Meaning

TODO: what the alert really says, and what it does not.

## Impact

TODO: who suffers, how much, how soon. This decides the severity.

## Diagnosis

TODO: what to look at, the quickest discrimination first.

## Mitigation

TODO: what to do, harmless things first, and how to see that it is over.
"""


def new_page(id: str, *, today: date, alerts: Sequence[str] = (), title: str = "") -> str:
    """Return the text of a page to fill in.

    Raises:
        Refused: the id has no fitting form.
    """
    if SLUG.fullmatch(id) is None:
        raise Refused(
            f'"{id}" cannot be a runbook\'s id; it is lower case, digits and hyphens, '
            "at most 63 characters, like redis-memory-high."
        )
    return _PAGE.format(
        id=id,
        title=_text(title[:MOST_TITLE] or f"TODO {id.replace('-', ' ')}"),
        today=today.isoformat(),
        alerts=", ".join(_text(name) for name in alerts or ["TODO"]),
        tags=", ".join(_text(word) for word in dict.fromkeys(id.split("-"))),
    )


def _text(value: str) -> str:
    """Write a text so that YAML reads it as it is."""
    return json.dumps(value, ensure_ascii=False)


def place(knowledge: Path, *, area: str, id: str) -> Path:
    """Return where a new page belongs.

    Raises:
        Refused: the area has no fitting form, or something is there already.
    """
    if SLUG.fullmatch(area) is None:
        raise Refused(f'"{area}" cannot be an area; it is a folder\'s name, like databases.')
    path = knowledge / "runbooks" / area / f"{id}.md"
    if path.exists() or path.is_symlink():
        raise Refused(f"{path} is there already; nothing was written.")
    return path


def write_new(path: Path, text: str) -> None:
    """Write a new file, and never over one that is there.

    Raises:
        Refused: somebody was faster.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise Refused(f"{path} is there already; nothing was written.") from None
