"""Markdown cut at its headings: what says what a page is about, and what is to be done."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

# Documents come from strangers: every pattern takes time in proportion to the text.
_HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]+(\S.*)$")
_FENCE = re.compile(r"^ {0,3}(`{3,}(?=[^`]*$)|~{3,})")
_ANCHOR = re.compile(r"\{#[\w-]+\}$")
_JIRA_BLOCK = re.compile(r"\{(code|noformat)(?::[^}\n]{0,200})?\}.*?(?:\{\1\}|\Z)", re.DOTALL)
_GIST = re.compile(
    r"(meaning|impact|summary|description|cause|root cause|overview|symptoms?|what happened)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class Section:
    """What stands under one heading, "" before the first, without blocks of code.

    `gist` is True where the section says what the page is about rather than
    what to type: before the first heading, under the page's own title, and
    under Meaning, Impact, Cause …
    """

    heading: str
    text: str
    gist: bool


def sections(text: str) -> list[Section]:
    """Cut a text at its headings; blocks of code are left out, their headings are not.

    Code and logs are found by their words; a sentence vector of them says little.
    """
    cut: list[tuple[str, list[str]]] = [("", [])]
    fence = title = ""
    for line in _JIRA_BLOCK.sub("\n", text).splitlines():
        if fence:
            fence = "" if _closes(line, fence) else fence
        elif mark := _FENCE.match(line):
            fence = mark.group(1)
        elif heading := _HEADING.match(line):
            if heading.group(1) == "#" and not _begun(cut):
                title = _named(heading.group(2))
            cut.append((_named(heading.group(2)), []))
        else:
            cut[-1][1].append(line)
    return [
        Section(
            heading=heading,
            text="\n".join(lines).strip(),
            gist=heading == title or _is_gist(heading),
        )
        for heading, lines in cut
        if heading or any(line.strip() for line in lines)
    ]


def _begun(cut: Sequence[tuple[str, Sequence[str]]]) -> bool:
    """Say whether anything stands above."""
    return len(cut) > 1 or any(line.strip() for line in cut[0][1])


def _closes(line: str, fence: str) -> bool:
    """Say whether a line ends a block: as many marks as began it, and nothing else (CommonMark)."""
    marks = line.strip()
    return marks.startswith(fence) and not marks.strip(fence[0])


def _named(heading: str) -> str:
    """Return a heading without its closing hashes and its anchor."""
    bare = heading.rstrip()
    name = bare.rstrip("#")
    if not name or name[-1].isspace():
        bare = name.rstrip()
    return _ANCHOR.sub("", bare).rstrip()


def _is_gist(heading: str) -> bool:
    return not heading or _GIST.match(heading) is not None
