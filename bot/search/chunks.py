"""Cut a document into chunks an encoder can read, and pick the sentence to show."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bot.search.sections import sections
from bot.search.tokens import spaced

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_HEADING = re.compile(r"#{1,6}\s|```[^`]*$|~~~")
_MARKS = "#>*-+`| \t"
_WORDS_PER_CHUNK = 80
_CHUNKS_PER_DOCUMENT = 64
_PASSAGE_LENGTH = 200


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """One piece of a document: `text` as the encoder reads it, `plain` as a person does.

    `heading` is what it stands under; `gist` says whether it tells what the
    document is about.
    """

    text: str
    plain: str
    heading: str
    gist: bool


def document_chunks(title: str, text: str) -> list[Chunk]:
    """Cut a document into chunks of one section each, each beginning with the title.

    Without any prose the title alone is the one chunk. At most 64 are made:
    what stands behind some five thousand words is still found by the words.
    """
    made: list[Chunk] = []
    for section in sections(text):
        for piece in chunks(section.text):
            made.append(_chunk(title, piece, heading=section.heading, gist=section.gist))
            if len(made) == _CHUNKS_PER_DOCUMENT:
                return made
    return made or [_chunk(title, "", heading="", gist=True)]


def chunks(text: str) -> list[str]:
    """Cut a text into pieces of about 80 words, never within a sentence if it can be helped.

    The encoder reads 256 tokens: 80 words of prose fit, of a stack trace only
    the beginning does. Pieces of 120 words measured worse on most development
    sets.
    """
    pieces: list[str] = []
    current: list[str] = []
    words = 0
    for sentence in _fitting_sentences(text):
        length = sentence.count(" ") + 1
        if current and words + length > _WORDS_PER_CHUNK:
            pieces.append(" ".join(current))
            if len(pieces) == _CHUNKS_PER_DOCUMENT:
                return pieces
            current, words = [], 0
        current.append(sentence)
        words += length
    if current:
        pieces.append(" ".join(current))
    return pieces


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences and lines of a text without Markdown's headings and marks."""
    for line in text.split("\n"):
        if _HEADING.match(line):
            continue
        for sentence in _SENTENCE_END.split(line):
            plain = " ".join(sentence.strip(_MARKS).split())
            if plain:
                yield plain


def passage(text: str, *, weigh: Callable[[str], float]) -> str:
    """Return the sentence that weighs most, the first on equality, within 200 characters."""
    best = max(sentences(text), key=weigh, default="")
    if len(best) <= _PASSAGE_LENGTH:
        return best
    cut = best[: _PASSAGE_LENGTH - 1]
    return (cut[: cut.rfind(" ")] if " " in cut else cut) + "…"


def _chunk(title: str, piece: str, *, heading: str, gist: bool) -> Chunk:
    text = f"{spaced(title)}. {spaced(piece)}".strip(". ")
    return Chunk(text=text, plain=piece, heading=heading, gist=gist)


def _fitting_sentences(text: str) -> Iterator[str]:
    """Yield sentences, the overlong ones in pieces of a chunk's size."""
    for sentence in sentences(text):
        words = sentence.split(" ")
        for start in range(0, len(words), _WORDS_PER_CHUNK):
            yield " ".join(words[start : start + _WORDS_PER_CHUNK])
