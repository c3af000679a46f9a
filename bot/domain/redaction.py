"""Hiding secrets in text that comes from outside: known values, and what looks like one.

Values that are known are found exactly, as they are, URL-encoded, as JSON writes
them, and within Base64, whatever line breaks and blanks stand between their
characters: terminals wrap, and a program may print half of a line. Others are
found by their form. It hides rather too much than too little, takes time in
proportion to the text, and never fails.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TypeAlias

from bot.domain.secret_shapes import BEGIN, END, MASK, RULES, forms, without_blanks

__all__ = ["MASK", "RedactedStream", "Redactor"]

_TELLING = 4  # characters of a value that are held back until the rest is seen
_LONGEST_LINE = 32_768
_LONGEST_HELD = 16_384
_LONGEST_KEY = 32_768  # a private RSA key of 16384 bits takes less than half

Span: TypeAlias = tuple[int, int]


class Redactor:
    """Hides secrets: `secrets` are the values that are known."""

    def __init__(self, secrets: Collection[str] = ()) -> None:
        needles = {needle for secret in secrets for needle in forms(secret)}
        self._needles = tuple(sorted(needles, key=lambda n: (-len(n), n)))
        self._begins: dict[str, list[str]] = {}
        for needle in self._needles:
            self._begins.setdefault(needle[:_TELLING], []).append(needle)
        self.longest = max(map(len, self._needles), default=1)

    def __call__(self, text: str) -> str:
        """Return a text without its secrets; one at its end may be cut off."""
        stream = RedactedStream(self)
        return stream.feed(text) + stream.end()

    def known(self, text: str, *, before: str, after: str, begun: int) -> str:
        """Hide known values, those too that began in `before` or end in `after`.

        These two are not returned. The last `begun` characters of the text,
        blanks aside, are hidden as well.
        """
        packed = without_blanks(text)
        spans = [(len(packed) - begun, len(packed))] if begun else []
        for start, end in self._found(before + packed + after):
            clipped = max(start - len(before), 0), min(end - len(before), len(packed))
            spans += [clipped] if clipped[0] < clipped[1] else []
        if not spans:
            return text
        places = [place for place, sign in enumerate(text) if not sign.isspace()]
        return _masked(text, [(places[start], places[end - 1] + 1) for start, end in spans])

    def _found(self, packed: str) -> Iterator[Span]:
        """Yield where known values stand in a text without blanks."""
        for needle in self._needles:
            start = packed.find(needle)
            while start >= 0:
                yield start, start + len(needle)
                start = packed.find(needle, start + 1)

    def begun(self, text: str) -> int:
        """Say how many of the last characters may be the beginning of a known value.

        `text` has no blanks. Fewer than a telling number count as none.
        """
        tail = text[-self.longest :]
        for start in range(len(tail) - _TELLING + 1):
            for needle in self._begins.get(tail[start : start + _TELLING], ()):
                if len(tail) - start < len(needle) and needle.startswith(tail[start:]):
                    return len(tail) - start
        return 0


class RedactedStream:
    """Hides secrets in a text that comes in pieces, wherever it is cut into them.

    What comes out of `feed` is whole lines; a line is kept back while it is not
    complete, or while it may hold the first half of a known value.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._kept = ""
        self._seen = ""  # the last characters that came out, before redaction, without blanks
        self._in_key = 0  # how many characters of a private key may still come

    @property
    def lines_kept(self) -> int:
        """Return how many complete lines are kept back."""
        return self._kept.count("\n")

    def feed(self, text: str) -> str:
        """Take a piece in; return what is safe to show by now."""
        self._kept += text
        end = self._kept.rfind("\n") + 1
        if len(self._kept) - end > _LONGEST_LINE:
            end = len(self._kept) - _LONGEST_LINE // 8
        block, rest = self._kept[:end], self._kept[end:]
        safe = self._safe(block)
        if end - safe > _LONGEST_HELD:
            self._kept = rest
            return self._shown(block, begun=self._begun(block))
        self._kept = block[safe:] + rest
        return self._shown(block[:safe], after=without_blanks(block[safe:]))

    def end(self) -> str:
        """Return the rest; what may be the first half of a known value stays hidden.

        More may follow: it is read as the rest of what was there before.
        """
        block, self._kept = self._kept, ""
        return self._shown(block, begun=self._begun(block))

    def skip(self, text: str) -> None:
        """Take in a piece that nobody is shown, so that what follows it is read rightly.

        It has to come after an `end`. This is quick: nothing is hidden in it.
        """
        self._remember(text)
        if self._in_key or "PRIVATE KEY" in text:
            list(self._keys(text))

    def _begun(self, block: str) -> int:
        packed = without_blanks(block)
        if not packed:
            return 0
        return min(self._redactor.begun(self._seen + packed), len(packed))

    def _safe(self, block: str) -> int:
        """Return where the line begins that may hold the first half of a known value."""
        begun = self._begun(block)
        if begun == 0:
            return len(block)
        place = len(block)
        while begun:
            place -= 1
            begun -= not block[place].isspace()
        return block.rfind("\n", 0, place) + 1

    def _shown(self, block: str, *, after: str = "", begun: int = 0) -> str:
        if not block:
            return ""
        shown = self._redactor.known(block, before=self._seen, after=after, begun=begun)
        self._remember(block)
        shown = self._without_keys(shown)
        lowered = shown.lower()
        for rule in RULES:
            if any(word in lowered for word in rule.near):
                shown = rule.form.sub(rule.stays, shown)
        return shown

    def _remember(self, block: str) -> None:
        longest = self._redactor.longest
        if longest > 1:
            self._seen = (self._seen + without_blanks(block))[-(longest - 1) :]

    def _without_keys(self, text: str) -> str:
        """Hide private keys, also one that goes on later; the rest of one leaves no trace."""
        goes_on = self._in_key > 0
        if not goes_on and "PRIVATE KEY" not in text:
            return text
        spans = list(self._keys(text))
        if not goes_on or not spans:
            return _masked(text, spans)
        end = spans[0][1]
        end += text.startswith("\n", end)
        return _masked(text[end:], [(start - end, stop - end) for start, stop in spans[1:]])

    def _keys(self, text: str) -> Iterator[Span]:
        place = 0
        while place < len(text):
            if not self._in_key:
                begin = BEGIN.search(text, place)
                if begin is None:
                    return
                place, self._in_key = begin.start(), _LONGEST_KEY
            end = END.search(text, place, place + self._in_key)
            until = end.end() if end else min(len(text), place + self._in_key)
            yield place, until
            self._in_key = 0 if end else self._in_key - (until - place)
            place = until


def _masked(text: str, spans: Sequence[Span]) -> str:
    """Put the mask in the place of spans, which may overlap; a last line break stays."""
    parts: list[str] = []
    done = 0
    for start, end in _merged(spans):
        parts += [text[done:start], MASK]
        done = end
    return "".join((*parts, "\n" if text.endswith("\n") and done == len(text) else text[done:]))


def _merged(spans: Sequence[Span]) -> Iterator[Span]:
    current: Span | None = None
    for start, end in sorted(spans):
        if current is not None and start <= current[1]:
            current = (current[0], max(current[1], end))
            continue
        if current is not None:
            yield current
        current = (start, end)
    if current is not None:
        yield current
