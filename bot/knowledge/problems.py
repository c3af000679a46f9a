"""What is wrong with the knowledge folder: every problem at once, each with its line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from typing_extensions import override

from bot.domain.errors import TocsinError


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake. `file` is relative to the knowledge folder; lines count from 1.

    Line 0 is the folder or the file as a whole.
    """

    file: str
    line: int
    reason: str

    @override
    def __str__(self) -> str:
        return f"{self.file}{f':{self.line}' if self.line else ''}: {self.reason}"


class KnowledgeError(TocsinError):
    """The knowledge folder cannot be used; nothing of it was taken over."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        count = len(self.problems)
        title = f"{count} problem{'' if count == 1 else 's'} in the knowledge folder"
        super().__init__("\n".join([title, *(f"  {problem}" for problem in self.problems)]))


class Unparsable(Exception):
    """A file whose form is so broken that reading on would only mislead."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason


class Notes:
    """Collects the problems of one file while it is read."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def add(self, line: int, reason: str) -> None:
        """Note a problem and read on."""
        self.problems.append(Problem(self.file, line, reason))

    @property
    def clean(self) -> bool:
        """Say whether nothing was noted."""
        return not self.problems
