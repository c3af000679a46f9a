"""Texts that are shown whole, in as many blocks as they take: nobody approves what was cut off."""

from __future__ import annotations

from collections.abc import Iterator

from bot.domain.messages import Code

LONGEST_BLOCK = 2_900  # characters of one block, which holds 3000


def code_parts(text: str) -> Iterator[Code]:
    """Show a text whole, as it is."""
    for start in range(0, len(text), LONGEST_BLOCK):
        yield Code(text[start : start + LONGEST_BLOCK])


def written(text: str) -> int:
    """Say how many characters a text takes in small print, which writes some signs as five."""
    return len(text) + 4 * sum(map(text.count, "&<>"))
