"""A model's answer as plain text: it notifies nobody, links nowhere, and is not too long."""

from __future__ import annotations

import re

LONGEST = 4_000  # characters

_THOUGHTS = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
_ANGLES = re.compile(r"<[^<>\s][^<>\n]*>")
_OPENED = re.compile(r"<(?=[^\s\d])")
_LINK = re.compile(r"!?\[([^\]\n]*)\]\([^)\n]*\)")
_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)
_CALL = re.compile(r"(?<!\w)[@\uff20](?=\w)")
_LINE_START = re.compile(r"^[ \t]*(?:#{1,6}[ \t]+|>+[ \t]*|(?:[-*_][ \t]*){3,}$)", re.MULTILINE)
_MARKS = re.compile(r"[*`~|]+|(?<!\w)_+|_+(?!\w)")
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
_SENTENCE_END = re.compile(r"[.!?](?=\s)")


def plain(text: str, *, longest: int = LONGEST) -> str:
    """Return an answer without mentions, markup, links, thoughts and control characters.

    What is drawn is escaped anyway; this keeps stray marks, and calls that look
    like mentions, out of documents that are exported and copied.
    """
    text = _THOUGHTS.sub("", text[: longest * 4])
    text = _UNSEEN.sub("", text)
    text = _LINK.sub(r"\1", text)
    while (without := _ANGLES.sub("", text)) != text:
        text = without
    for pattern in (_OPENED, _ADDRESS, _CALL, _LINE_START, _MARKS):
        text = pattern.sub("", text)
    paragraphs = (" ".join(part.split()) for part in re.split(r"\n\s*\n", text))
    return _shortened("\n\n".join(part for part in paragraphs if part), longest)


def _shortened(text: str, longest: int) -> str:
    """Cut at the end of a sentence where there is one."""
    if len(text) <= longest:
        return text
    cut = text[: longest - 1]
    ends = [match.end() for match in _SENTENCE_END.finditer(cut)]
    return cut[: ends[-1]] if ends else f"{cut.rstrip()}…"
