"""A runbook to read: its sections as message parts.

Only what helps reading is understood: paragraphs, headings, code blocks, bold,
inline code and links. Anything else is shown as it was written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

from bot.domain.messages import (
    Bold,
    Buttons,
    Code,
    Divider,
    Form,
    Heading,
    Link,
    Mono,
    Part,
    Span,
    paragraph,
    quiet,
)
from bot.domain.runbooks import SECTIONS, Runbook
from plugins.runbooks.buttons import judge_buttons

MOST_PARTS = 60  # a form holds 100 blocks
PAGE = "page:"  # how the subject begins of what people thought of a page itself

_INLINE = re.compile(r"\*\*(.+?)\*\*|`([^`]+)`|\[([^\]]+)\]\((https?://[^)\s]+)\)")
_FENCE = re.compile(r"^\s*(```|~~~)")
_ANCHOR = re.compile(r"\s*\{#[^}]+\}\s*$")


ASKED = "Was this helpful? The answers are counted for those who keep the page."


def page(runbook: Runbook, *, today: date, noted: str = ASKED) -> Form:
    """Show a runbook as a form without fields: to read, with nothing to submit.

    `noted` stands above the buttons for whether it was helpful.
    """
    return Form(
        title="Runbook",
        interaction="runbooks.read",
        value=runbook.id,
        parts=(
            *page_parts(runbook, today=today),
            Divider(),
            quiet(noted),
            Buttons(judge_buttons(f"{PAGE}{runbook.id}", runbook.id)),
        ),
    )


def page_parts(runbook: Runbook, *, today: date) -> tuple[Part, ...]:
    """Return the page: its title, who vouches for it, and its sections in reading order."""
    parts: list[Part] = [Heading(runbook.title), quiet(review_line(runbook, today=today))]
    for name in SECTIONS:
        text = runbook.sections.get(name, "").strip()
        if text:
            parts += [Divider(), paragraph(Bold(name)), *markdown_parts(text)]
    if len(parts) <= MOST_PARTS:
        return tuple(parts)
    return (*parts[:MOST_PARTS], quiet(f"The page goes on in {runbook.path}."))


def review_line(runbook: Runbook, *, today: date) -> str:
    """Say who owns the page and how fresh it is."""
    review = runbook.review
    line = f"{runbook.owner} · version {runbook.version} · reviewed {review.at} by {review.by}"
    return f"{line} · due for another look" if review.stale(today) else line


def markdown_parts(text: str) -> Iterator[Part]:
    """Turn a section's Markdown into parts."""
    prose: list[str] = []
    code: list[str] | None = None
    for line in text.splitlines():
        if _FENCE.match(line):
            if code is None:
                yield from _prose(prose)
                prose, code = [], []
            else:
                yield from _code(code)
                code = None
        elif code is not None:
            code.append(line)
        elif line.strip():
            prose.append(line)
        else:
            yield from _prose(prose)
            prose = []
    yield from _prose(prose)
    yield from _code(code or [])


def _prose(lines: list[str]) -> Iterator[Part]:
    """Join wrapped lines; an item of a list stays on a line of its own."""
    if not lines:
        return
    if lines[0].startswith("#"):
        yield paragraph(Bold(_ANCHOR.sub("", lines[0].lstrip("# "))))
        lines = lines[1:]
    text = ""
    for line in lines:
        item = re.match(r"\s*([-*+]|\d+[.)])\s", line) is not None
        separator = "\n" if item else " "
        text = f"{text}{separator if text else ''}{line.strip()}"
    if text:
        yield paragraph(*spans(text))


def _code(lines: list[str]) -> Iterator[Part]:
    text = "\n".join(lines).strip("\n")
    if text.strip():
        yield Code(text)


def spans(text: str) -> tuple[Span, ...]:
    """Turn inline Markdown into spans."""
    found: list[Span] = []
    end = 0
    for match in _INLINE.finditer(text):
        if match.start() > end:
            found.append(text[end : match.start()])
        bold, mono, label, url = match.groups()
        found.append(Bold(bold) if bold else Mono(mono) if mono else Link(label, url))
        end = match.end()
    if end < len(text) or not found:
        found.append(text[end:])
    return tuple(found)
