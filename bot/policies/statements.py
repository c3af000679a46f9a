"""A document's text, taken apart into single policies.

Cedar's parser reports neither a line nor the number of a policy, and stops at
the first mistake; nested a thousand deep, it takes the process down with it. So
the text is cut at its semicolons, and every piece is measured before it is
parsed. Where this cut and Cedar's own idea of a policy differ, a piece does not
hold exactly one policy, and is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

DEEPEST = 40
LONGEST = 16_384  # characters

# Lexical rules of Cedar: strings with backslashes, comments to the end of a line.
_SKIPPED = re.compile(r"(?:\s+|//[^\n\r]*)*")
_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n\r]*|[;()\[\]{}<>]|\bif\b', re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One policy as text: in which file, which of its policies, and on which line it begins."""

    file: str
    number: int
    line: int
    text: str

    @property
    def where(self) -> str:
        """Return its position in words."""
        return f"policy {self.number} (line {self.line})"


def statements(file: str, text: str) -> Iterator[Statement]:
    """Cut a document at the semicolons that end its policies."""
    start, number = 0, 0
    for end in [*(t.end() for t in _TOKEN.finditer(text) if t[0] == ";"), len(text)]:
        begins = _start(text, start)
        if begins < end:
            number += 1
            line = text.count("\n", 0, begins) + 1
            yield Statement(file=file, number=number, line=line, text=text[begins:end])
        start = end


def _start(text: str, position: int) -> int:
    """Return where the next thing begins that is neither blank nor a comment."""
    match = _SKIPPED.match(text, position)
    return match.end() if match else position


def excess(text: str, *, brackets: str = "()[]{}", longest: int = LONGEST) -> str | None:
    """Say what makes a text too much for the parser, or None.

    `brackets` are pairs of what opens and what closes a level.
    """
    if len(text) > longest:
        return f"is longer than {longest} characters"
    depth, deepest, ifs = 0, 0, 0
    for token in _TOKEN.finditer(text):
        ifs += token[0] == "if"
        if len(token[0]) == 1 and token[0] in brackets:
            depth = depth + 1 if brackets.index(token[0]) % 2 == 0 else max(0, depth - 1)
            deepest = max(deepest, depth)
    if max(deepest, ifs) > DEEPEST:
        return f"is nested deeper than {DEEPEST} levels"
    return None
