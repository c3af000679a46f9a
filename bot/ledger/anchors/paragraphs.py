"""Signed checkpoints one after another, as text that people and other programs read.

A checkpoint is two paragraphs: its text, which has no empty line, and its
signatures, every line of which starts with an em dash. An empty line follows
each. So a note has ended only with the empty line after its signatures: what a
crash tore off has none. Whoever writes next ends the torn paragraph with
`# torn`, wherever it was torn; that, and a text before it without signatures,
is no note.
"""

from __future__ import annotations

from dataclasses import dataclass, field

TORN = b"# torn"
_BREAK = b"\n\n"
_DASH = "\u2014 ".encode()


@dataclass
class _Reading:
    """Paragraphs that are being put together to notes."""

    notes: list[bytes] = field(default_factory=list)
    text: bytes | None = None

    def take(self, paragraph: bytes) -> None:
        """Go on by one paragraph."""
        if paragraph.endswith(TORN):
            self.text = None
        elif paragraph.startswith(_DASH):
            self.notes.append((self.text or b"") + _BREAK + paragraph + b"\n")
            self.text = None
        else:
            if self.text is not None:
                self.notes.append(self.text)
            self.text = paragraph


def notes_in(data: bytes) -> list[bytes]:
    """Return the notes, oldest first, without what is torn.

    Where something else stands between two notes it is returned as it is:
    whoever opens it finds that nobody signed it.
    """
    *ended, _ = data.split(_BREAK)
    reading = _Reading()
    for paragraph in filter(None, ended):
        reading.take(paragraph)
    return reading.notes


def newest_in(tail: bytes) -> bytes | None:
    """Return the last note in the end of a file, which may begin within another; None if unsure."""
    start = tail.find(_DASH)
    after = tail.find(_BREAK, start)
    if start < 0 or after < 0:
        return None
    return next(reversed(notes_in(tail[after + len(_BREAK) :])), None)


def mending(data: bytes) -> bytes:
    """Return what to write behind data so that the next note starts afresh: usually nothing."""
    if not data:
        return b""
    whole, _, tail = data.rpartition(_BREAK)
    last = whole.rpartition(_BREAK)[2]
    ended = not tail and (last.startswith(_DASH) or last.endswith(TORN))
    return b"" if ended else TORN + _BREAK


def written(note: bytes) -> bytes:
    """Return a note with the empty line that ends it."""
    return note + b"\n"
