"""Reads the text of a pattern into the states of an automaton."""

from __future__ import annotations

import string
from dataclasses import dataclass, field
from typing import TypeAlias

LONGEST_PATTERN = 500
MOST_STATES = 1000
DEEPEST = 32
MOST_TIMES = 1000

_DIGITS = frozenset(string.digits)
_WORD = frozenset(string.ascii_letters + string.digits + "_")
_SPACE = frozenset(" \t\n\r\f\v")
_CLASSES = {"d": _DIGITS, "w": _WORD, "s": _SPACE}
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r"}
_SIGNS = frozenset("\\.[]{}()*+?|^$-/ \"'#&~:@=,;!%<>_`")


class PatternError(ValueError):
    """A pattern that cannot be used, with the reason."""


@dataclass(frozen=True)
class Characters:
    """A set of characters: those listed and those in ranges, or all but those."""

    listed: frozenset[str] = frozenset()
    ranges: tuple[tuple[str, str], ...] = ()
    negated: bool = False

    def has(self, character: str) -> bool:
        """Say whether a character belongs to it."""
        inside = character in self.listed or any(a <= character <= z for a, z in self.ranges)
        return inside is not self.negated


@dataclass
class State:
    """One state: what it accepts to go on to `after`, and where it goes without a character."""

    accepts: Characters | None = None
    after: int = 0
    free: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Sequence:
    """Parts one after the other."""

    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Choice:
    """One of several parts."""

    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Repeat:
    """A part so many times; None is without end."""

    part: Part
    least: int
    most: int | None


Part: TypeAlias = "Characters | Sequence | Choice | Repeat"


def read(text: str) -> tuple[State, ...]:
    """Return the states of a pattern; the last one is where it has matched.

    Raises:
        PatternError: it is not of the syntax, or too large.
    """
    if len(text) > LONGEST_PATTERN:
        raise PatternError(f"it is longer than {LONGEST_PATTERN} characters")
    inner = text.removeprefix("^")
    if inner.endswith("$") and not _escaped(inner, len(inner) - 1):
        inner = inner[:-1]
    builder = _Builder()
    builder.finish(builder.add(_Reader(inner).whole(), builder.state()))
    return tuple(builder.states)


def _escaped(text: str, at: int) -> bool:
    before = text[:at]
    return (len(before) - len(before.rstrip("\\"))) % 2 == 1


class _Reader:
    """Takes a pattern character by character."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def whole(self) -> Part:
        part = self._choice(1)
        if self._at < len(self._text):
            raise PatternError('")" closes nothing')
        return part

    @property
    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self) -> str:
        self._at += 1
        return self._text[self._at - 1 : self._at]

    def _choice(self, depth: int) -> Part:
        if depth > DEEPEST:
            raise PatternError(f"it nests deeper than {DEEPEST}")
        parts = [self._sequence(depth)]
        while self._next == "|":
            self._take()
            parts.append(self._sequence(depth))
        return parts[0] if len(parts) == 1 else Choice(tuple(parts))

    def _sequence(self, depth: int) -> Part:
        parts: list[Part] = []
        while self._next and self._next not in "|)":
            parts.append(self._repeated(self._atom(depth)))
        return Sequence(tuple(parts))

    def _atom(self, depth: int) -> Part:
        character = self._take()
        if character == "(":
            return self._group(depth)
        if character == "[":
            return self._class()
        if character == "\\":
            return self._escape()
        if character == ".":
            return Characters(frozenset("\n"), negated=True)
        if character in "*+?{}]":
            raise PatternError(f'"{character}" repeats or closes nothing; write \\{character}')
        if character in "^$":
            raise PatternError(f'"{character}" stands only at the very beginning or end')
        return Characters(frozenset(character))

    def _group(self, depth: int) -> Part:
        if self._text.startswith("?:", self._at):
            self._at += 2
        elif self._next == "?":
            raise PatternError(
                f'"(?{self._text[self._at + 1 : self._at + 2]}" is not supported; '
                "groups are (..) or (?:..), without looking around and without flags"
            )
        part = self._choice(depth + 1)
        if self._take() != ")":
            raise PatternError('"(" is never closed')
        return part

    def _escape(self) -> Characters:
        character = self._take()
        if not character:
            raise PatternError("a backslash ends it")
        if character.lower() in _CLASSES:
            return Characters(_CLASSES[character.lower()], negated=character.isupper())
        if character in _CONTROLS or character in _SIGNS:
            return Characters(frozenset(_CONTROLS.get(character, character)))
        if character.isdigit():
            raise PatternError(f'the back reference "\\{character}" is not supported')
        raise PatternError(f'"\\{character}" is not supported')

    def _class(self) -> Characters:
        negated = self._next == "^"
        self._at += negated
        listed: set[str] = set()
        ranges: list[tuple[str, str]] = []
        first = True
        while (character := self._take()) != "]" or first:
            if not character:
                raise PatternError('"[" is never closed')
            first = False
            self._member(character, listed, ranges)
        return Characters(frozenset(listed), tuple(ranges), negated)

    def _member(self, character: str, listed: set[str], ranges: list[tuple[str, str]]) -> None:
        found = self._escape() if character == "\\" else Characters(frozenset(character))
        if found.negated:
            raise PatternError("a negated class like \\D has no place in [..]")
        if self._next != "-" or self._text[self._at + 1 : self._at + 2] in ("]", ""):
            listed |= found.listed
            return
        self._take()
        last = self._take()
        end = self._escape() if last == "\\" else Characters(frozenset(last))
        if len(found.listed) != 1 or len(end.listed) != 1 or end.negated:
            raise PatternError("a range runs from one character to one character")
        start, stop = min(found.listed), min(end.listed)
        if start > stop:
            raise PatternError(f'the range "{start}-{stop}" runs backwards')
        ranges.append((start, stop))

    def _repeated(self, part: Part) -> Part:
        if not self._next or self._next not in "*+?{":
            return part
        sign = self._take()
        if sign == "{":
            least, most = self._bounds()
        else:
            least, most = (1 if sign == "+" else 0), (1 if sign == "?" else None)
        if self._next and self._next in "*+?{":
            raise PatternError(f'"{self._next}" repeats a repetition; the whole value counts')
        return Repeat(part, least, most)

    def _bounds(self) -> tuple[int, int | None]:
        inside, closed, _ = self._text[self._at :].partition("}")
        least, comma, most = inside.partition(",")
        if not closed or not _number(least) or (most and not _number(most)):
            raise PatternError('"{" opens no bounds such as {3} or {2,5}; write \\{')
        self._at += len(inside) + 1
        first, last = int(least), int(most) if most else None if comma else int(least)
        if max(first, last or 0) > MOST_TIMES or (last is not None and last < first):
            raise PatternError(f"the bounds {{{inside}}} are not from low to high, to {MOST_TIMES}")
        return first, last


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 4


class _Builder:
    """Lays out states. Each part is entered at one state and left at one."""

    def __init__(self) -> None:
        self.states: list[State] = []
        self._work = 0

    def state(self) -> int:
        if len(self.states) >= MOST_STATES:
            raise PatternError(f"with its repetitions it needs more than {MOST_STATES} states")
        self.states.append(State())
        return len(self.states) - 1

    def finish(self, end: int) -> None:
        self._join(end, self.state())

    def add(self, part: Part, start: int) -> int:
        """Lay out a part behind a state and return the state where it ends.

        Repeating what is empty takes no states, so that the work is bounded too.
        """
        self._work += 1
        if self._work > 4 * MOST_STATES:
            raise PatternError("its repetitions repeat each other too often")
        if isinstance(part, Characters):
            end = self.state()
            self.states[start].accepts, self.states[start].after = part, end
            return end
        if isinstance(part, Sequence):
            for each in part.parts:
                start = self.add(each, start)
            return start
        return self._repeat(part, start) if isinstance(part, Repeat) else self._choose(part, start)

    def _choose(self, part: Choice, start: int) -> int:
        ends = []
        for each in part.parts:
            entry = self.state()
            self._join(start, entry)
            ends.append(self.add(each, entry))
        end = self.state()
        for each_end in ends:
            self._join(each_end, end)
        return end

    def _repeat(self, part: Repeat, start: int) -> int:
        for _ in range(part.least):
            start = self.add(part.part, start)
        if part.most is None:
            return self._loop(part.part, start)
        skipping = []
        for _ in range(part.most - part.least):
            skipping.append(start)
            entry = self.state()
            self._join(start, entry)
            start = self.add(part.part, entry)
        end = self.state()
        for each in (*skipping, start):
            self._join(each, end)
        return end

    def _loop(self, part: Part, start: int) -> int:
        entry, end = self.state(), self.state()
        self._join(start, entry)
        self._join(entry, end)
        self._join(self.add(part, entry), entry)
        return end

    def _join(self, start: int, end: int) -> None:
        self.states[start].free.append(end)
