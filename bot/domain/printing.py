"""What a program prints: line by line to whoever listens, capped for the record.

Both streams are read to their end, so that no pipe ever fills up and blocks the
program. Secrets are taken out before a line goes anywhere.
"""

from __future__ import annotations

import codecs
import re
from collections import deque
from collections.abc import Callable, Sequence
from math import isfinite

HIDDEN = "(hidden)"

_LONGEST_LINE = 8192  # characters; more without a line break is cut into several
_LEAST_SECRET = 4  # characters; less would hide every other word
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")


class Printed:
    """The lines of both streams, in the order of their coming.

    `largest` is in bytes; where there is more, the middle is left out, because
    a program says at its beginning what it does and at its end what came of it.
    """

    def __init__(
        self, hear: Callable[[str], None], *, largest: int, secrets: Sequence[str] = ()
    ) -> None:
        self._hear = hear
        self._half = largest // 2
        self._head: list[str] = []
        self._tail: deque[str] = deque()
        self._sizes = [0, 0]
        self._size = 0
        self.secrets = secrets
        self.last = ""

    @property
    def left_out(self) -> int:
        """Return how many bytes were not kept."""
        return self._size - sum(self._sizes)

    @property
    def text(self) -> str:
        """Return what was kept."""
        gap = [f"({self.left_out} bytes left out)\n"] if self.left_out else []
        return "".join((*self._head, *gap, *self._tail))

    def line(self, line: str) -> None:
        """Take a whole line."""
        self._hear(line)
        self._size += len(line.encode()) + 1
        self._keep(_cut(f"{line}\n", self._half))
        if line.strip():
            self.last = line

    def _keep(self, line: str) -> None:
        """Fill the head first, then let the tail slide along."""
        size = len(line.encode())
        if not self._tail and self._sizes[0] + size <= self._half:
            self._head.append(line)
            self._sizes[0] += size
            return
        self._tail.append(line)
        self._sizes[1] += size
        while self._sizes[1] > self._half:
            self._sizes[1] -= len(self._tail.popleft().encode())


class Stream:
    """One of the two streams: bytes in, lines out."""

    def __init__(self, printed: Printed) -> None:
        self._printed = printed
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self.last = ""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""
        *lines, self._rest = (self._rest + self._decoder.decode(chunk)).split("\n")
        for line in lines:
            self._line(line)
        if len(self._rest) > _LONGEST_LINE:
            self._rest = self._let_go(self._rest)

    def close(self) -> None:
        """Take what was printed without a line break at the end."""
        rest = self._rest + self._decoder.decode(b"", final=True)
        if rest:
            self._line(rest)
        self._rest = ""

    def _line(self, line: str) -> None:
        """Take a line; of one that was written over (a progress bar) only what remained."""
        line = line.rstrip("\r").rpartition("\r")[2]
        line = hide(line, self._printed.secrets)
        if line.strip():
            self.last = line
        self._printed.line(line)

    def _let_go(self, line: str) -> str:
        """Let go of the beginning of an endless line, but never of half a secret."""
        line = hide(line, self._printed.secrets)
        held = max((len(secret) for secret in self._printed.secrets), default=1) - 1
        self._printed.line(line[: len(line) - held])
        return line[len(line) - held :]


def hide(text: str, secrets: Sequence[str]) -> str:
    """Take secrets out of a text, longest first, so that none covers another's rest."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def hideable(values: Sequence[str]) -> tuple[str, ...]:
    """Return secrets by their lines, because output is read by lines."""
    lines = {line.strip() for value in values for line in value.splitlines()}
    return tuple(sorted(line for line in lines if len(line) >= _LEAST_SECRET))


def number(line: str) -> float | None:
    """Return the number that stands alone on a line, or None."""
    found = _NUMBER.fullmatch(line.strip())
    value = float(found[0]) if found else None
    return value if value is not None and isfinite(value) else None


def _cut(text: str, most: int) -> str:
    """Return the first so many bytes of a text, by whole characters."""
    return text.encode()[:most].decode("utf-8", "ignore")
