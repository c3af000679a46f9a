"""Cut a document into chunks an encoder can read, and pick the sentence to show."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from bot.domain.documents import Document
from bot.search.sections import sections
from bot.search.tokens import spaced

LONGEST_TEXT = 200_000  # characters of a document that are read

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_HEADING = re.compile(r"#{1,6}\s|```[^`]*$|~~~")
_MARKS = "#>*-+`| \t"
_WORDS_PER_CHUNK = 80
_CHUNKS_PER_DOCUMENT = 64
_PASSAGE_LENGTH = 200


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One piece of a document as a person reads it.

    `heading` is what it stands under; `gist` says whether it tells what the
    document is about.
    """

    plain: str
    heading: str
    gist: bool


_NO_PROSE = Piece(plain="", heading="", gist=True)


@dataclass(frozen=True, kw_only=True)
class Chunk(Piece):
    """A piece that has vectors; `text` is what the encoder reads."""

    text: str


def chunks_of(document: Document) -> list[Chunk]:
    """Cut a document; the same document is always cut alike."""
    title = document.title or " ".join(document.names)
    return document_chunks(title, document.text[:LONGEST_TEXT])


def document_chunks(title: str, text: str) -> list[Chunk]:
    """Cut a document into chunks of one section each, each beginning with the title.

    Without any prose the title alone is the one chunk. At most 64 are made:
    what stands behind some five thousand words is still found by the words.
    """
    pieces = list(islice(_pieces(text), _CHUNKS_PER_DOCUMENT)) or [_NO_PROSE]
    begin = spaced(title)
    return [
        Chunk(
            text=f"{begin}. {spaced(piece.plain)}".strip(". "),
            plain=piece.plain,
            heading=piece.heading,
            gist=piece.gist,
        )
        for piece in pieces
    ]


def piece_at(number: int, text: str) -> Piece:
    """Return the piece that a text's chunk of some number is made of, cutting no further."""
    return next(islice(_pieces(text), number, None), _NO_PROSE)


def chunks(text: str) -> list[str]:
    """Cut a text into pieces of about 80 words, never within a sentence if it can be helped.

    The encoder reads 256 tokens: 80 words of prose fit, of a stack trace only
    the beginning does. Pieces of 120 words measured worse on most development
    sets.
    """
    return list(islice(_cut(text), _CHUNKS_PER_DOCUMENT))


def _cut(text: str) -> Iterator[str]:
    current: list[str] = []
    words = 0
    for sentence in _fitting_sentences(text):
        length = sentence.count(" ") + 1
        if current and words + length > _WORDS_PER_CHUNK:
            yield " ".join(current)
            current, words = [], 0
        current.append(sentence)
        words += length
    if current:
        yield " ".join(current)


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


def _pieces(text: str) -> Iterator[Piece]:
    for section in sections(text):
        for plain in _cut(section.text):
            yield Piece(plain=plain, heading=section.heading, gist=section.gist)


def _fitting_sentences(text: str) -> Iterator[str]:
    """Yield sentences, the overlong ones in pieces of a chunk's size."""
    for sentence in sentences(text):
        words = sentence.split(" ")
        for start in range(0, len(words), _WORDS_PER_CHUNK):
            yield " ".join(words[start : start + _WORDS_PER_CHUNK])
