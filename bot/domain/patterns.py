"""Patterns that a whole value must match, in time proportional to its length.

The syntax is the part of regular expressions that an automaton without memory can
follow: literals, `.`, classes, groups, `|`, and `*`, `+`, `?`, `{2,5}`. Left out are
back references and looking around. All states are followed at once (Thompson,
"Regular Expression Search Algorithm", 1968), so that no value can make a pattern
hang: with Python's `re`, forty letters from an alert's label and `(a+)+` can.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from bot.domain.pattern_syntax import (
    LONGEST_PATTERN,
    MOST_STATES,
    PatternError,
    State,
    read,
)

__all__ = ["LONGEST_PATTERN", "MOST_STATES", "Pattern", "PatternError", "compile_pattern"]


@dataclass(frozen=True)
class Pattern:
    """A compiled pattern. State 0 is where it begins; the last one is where it has matched."""

    text: str
    states: tuple[State, ...]

    def fits(self, value: str) -> bool:
        """Say whether the whole of a value matches."""
        active = self._reached({0})
        for character in value:
            stepped = {
                state.after
                for number in active
                if (state := self.states[number]).accepts is not None
                and state.accepts.has(character)
            }
            if not stepped:
                return False
            active = self._reached(stepped)
        return len(self.states) - 1 in active

    def _reached(self, numbers: set[int]) -> set[int]:
        """Return the states with all those that are reached without a character."""
        reached, waiting = set(numbers), list(numbers)
        while waiting:
            for number in self.states[waiting.pop()].free:
                if number not in reached:
                    reached.add(number)
                    waiting.append(number)
        return reached


@lru_cache(maxsize=1024)
def compile_pattern(text: str) -> Pattern:
    """Read a pattern. A `^` at its beginning and a `$` at its end say nothing new.

    Raises:
        PatternError: it is not of the syntax, or too large.
    """
    return Pattern(text, read(text))
