"""What one attempt at a step printed: in memory until it is written, and never much of it.

The beginning is redacted line by line as it comes. After that only the newest
lines wait to be written; those that have to go before they could be are only
looked through for what they tell of the lines that follow.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from threading import Lock

from bot.domain.actions import Output
from bot.domain.redaction import RedactedStream
from bot.domain.runs import RunId
from bot.ports import OutputPiece

MOST_PIECES = 512
WAITING = 65_536  # bytes that wait to be written, once the beginning is kept

_CUT_LINE = 16_384  # characters of one line that are looked at
_LONGEST_LINE = 2_000  # and that are kept
_MOST_UNWRITTEN = 8

_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]{0,64}[ -/]{0,8}[@-~]|\][^\x07\x1b\n]{0,512}(?:\x07|\x1b\\)?"
    r"|[ -/]{1,3}[0-~]|[@-Z\\-_])"
)
_CONTROLS = dict.fromkeys((*range(9), *range(11, 32), 127))
_NO_WORD = re.compile(r"[^\w+/=.~-]")
_LONGEST_WORD = 4_000


@dataclass(frozen=True)
class Part:
    """Some lines in a row, redacted: the number of the first, how many, and their text."""

    first: int
    lines: int
    text: str


@dataclass
class Kept:
    """Which pieces stand in the store, and their sizes in bytes."""

    head: int = 0
    tail: deque[tuple[int, int]] = field(default_factory=deque)
    next: int = 0

    def add(self, size: int, *, most: int) -> int:
        """Count a piece in, to the beginning while that is not `most` yet; return its number."""
        number = self.next
        self.next += 1
        if not self.tail and self.head < most:
            self.head += size
        else:
            self.tail.append((number, size))
        return number

    def beyond(self, most: int) -> list[int]:
        """Say which pieces have to go out of the middle; the newest always stays."""
        size, left = sum(size for _, size in self.tail), len(self.tail)
        dropped = []
        for number, length in list(self.tail)[:-1]:
            if size <= most and left <= MOST_PIECES:
                break
            dropped.append(number)
            size, left = size - length, left - 1
        return dropped

    def drop(self, count: int) -> None:
        """Forget the oldest pieces after the beginning."""
        for _ in range(count):
            self.tail.popleft()


class Printed:
    """Takes lines in from any thread, and hands them over to be written."""

    def __init__(
        self, run: RunId, step: str, attempt: int, stream: RedactedStream, *, head: int
    ) -> None:
        self.run = run
        self.step = step
        self.attempt = attempt
        self.untold = False
        self._kept = Kept()
        self._head = head
        self._head_left = head
        self._stream = stream
        self._lock = Lock()
        self._newest: deque[str] = deque()
        self._newest_size = 0
        self._shown: list[str] = []  # redacted, in a row, from line `_first` on
        self._first = 0
        self._next = 0
        self._parts: list[Part] = []
        self._ready: list[Part] = []  # only whoever writes touches these, and `_kept`
        self._progress: float | None = None
        self._moved = False
        self._followed = False

    def take(self, output: Output) -> bool:
        """Take a line or a progress in; say True where nobody is about to write it."""
        with self._lock:
            if output.progress is not None and math.isfinite(output.progress):
                self._progress = min(max(output.progress, 0.0), 1.0)
                self._moved = True
            if output.line or output.progress is None:
                self._take(readable(output.line))
            first, self._followed = not self._followed, True
            return first

    def _take(self, line: str) -> None:
        if self._head_left > 0:
            self._head_left -= _size(line)
            self._feed([line])
            return
        self._newest.append(line)
        self._newest_size += _size(line)
        while self._newest_size > WAITING and len(self._newest) > 1:
            self._drop(self._newest.popleft())

    def _feed(self, lines: Sequence[str]) -> None:
        text = "".join(f"{line}\n" for line in lines)
        self._shown.append(self._stream.feed(text))
        self._next += text.count("\n")

    def _drop(self, line: str) -> None:
        self._newest_size -= _size(line)
        self._close()
        self._stream.skip(f"{line}\n")
        self._next += line.count("\n") + 1
        self._first = self._next

    def _close(self) -> None:
        if self._next > self._first:
            self._shown.append(self._stream.end())
            self._cut_off(self._next)

    def _cut_off(self, end: int) -> None:
        if end > self._first:
            text = "".join(self._shown).removesuffix("\n")
            self._parts.append(Part(self._first, end - self._first, text))
            self._first, self._shown = end, []

    @property
    def more(self) -> bool:
        """Say whether something has come that is not handed over."""
        with self._lock:
            return bool(self._moved or self._newest or any(self._shown))

    def hand_over(self) -> bool:
        """Make ready what can be written; say whether there is anything."""
        with self._lock:
            self._feed_newest()
            self._cut_off(self._next - self._stream.lines_kept)
            return self._make_ready()

    def settle(self) -> bool:
        """Make ready everything, as if nothing more came; say whether there is anything."""
        with self._lock:
            self._feed_newest()
            self._close()
            return self._make_ready()

    def _feed_newest(self) -> None:
        if self._newest:
            self._feed(self._newest)
            self._newest.clear()
            self._newest_size = 0

    def _make_ready(self) -> bool:
        self._ready += self._parts
        del self._ready[:-_MOST_UNWRITTEN]
        there_is = bool(self._ready) or self._moved
        self._parts, self._moved = [], False
        return there_is

    def pieces(self) -> Iterator[OutputPiece]:
        """Yield what is ready as pieces to write; without lines it is the progress alone."""
        for part in self._ready or [Part(self._first, 0, "")]:
            text = "\n".join(map(_shortened, part.text.split("\n")))
            yield OutputPiece(
                run=self.run,
                step=self.step,
                attempt=self.attempt,
                seq=self._kept.add(len(text.encode()), most=self._head),
                first=part.first,
                lines=part.lines,
                text=text,
                progress=self._progress,
            )

    def beyond(self, most: int) -> list[int]:
        """Say which pieces have to go for the end to take `most` bytes."""
        return self._kept.beyond(most)

    def written(self, dropped: int) -> None:
        """Forget what is written by now, and so many pieces that are gone."""
        self._ready.clear()
        self._kept.drop(dropped)

    def let_go(self) -> bool:
        """End the writing; say True where something has come in the meantime, to go on."""
        with self._lock:
            self._followed = bool(self._moved or self._newest or any(self._shown))
            return self._followed

    def give_up(self) -> None:
        """End the writing after a failure; what comes next begins it again."""
        with self._lock:
            self._followed = False


def readable(line: str) -> str:
    """Return a line as people read it: without colours, and as it stood in the end.

    It is done before secrets are looked for: a colour in the midst of one hides it.
    """
    cut = len(line) > _CUT_LINE
    text = line[:_CUT_LINE].removesuffix("\n").removesuffix("\r")
    if cut:
        text = _without_last_word(text)  # half of a token is not known as one
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()
    if text.isprintable():
        return text
    text = _ESCAPES.sub("", text)
    lines = (part[part.rfind("\r") + 1 :] for part in text.split("\n"))
    return "\n".join(lines).translate(_CONTROLS)


def _without_last_word(text: str) -> str:
    """Return a text without the word that it ends in, which is looked for from behind."""
    found = _NO_WORD.search(text[: -_LONGEST_WORD - 1 : -1])
    length = found.start() if found else _LONGEST_WORD
    return text[: len(text) - length]


def _size(line: str) -> int:
    return 1 + (len(line) if line.isascii() else len(line.encode()))


def _shortened(line: str) -> str:
    if len(line) <= _LONGEST_LINE:
        return line
    return f"{line[:_LONGEST_LINE]}… ({len(line) - _LONGEST_LINE} more characters)"
