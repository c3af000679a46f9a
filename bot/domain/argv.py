"""Arguments of a listed program: an expression for each, and what no argument may be.

Each expression must match the whole of its argument; `"..."` at the end of the
list lets the last of them repeat.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from bot.domain.actions import ActionFailed

MOST_ARGUMENTS = 50
LONGEST_ARGUMENT = 4000  # characters
MORE = "..."

_SHOWN = 80


def absolute(path: str) -> str:
    """Return a path that says by itself where it leads.

    Raises:
        ValueError: it is relative, or goes up again.
    """
    pure = PurePosixPath(path)
    if not pure.is_absolute() or ".." in pure.parts:
        raise ValueError(f'"{path}" should be an absolute path without ".."')
    return path


def expressions(patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Return the expressions of a program.

    Raises:
        ValueError: one is no regular expression, or `"..."` is not the last of several.
    """
    if MORE in patterns[:-1] or patterns == (MORE,):
        raise ValueError(f'"{MORE}" stands at the end, after the expression that may repeat')
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f'"{pattern}" is not a regular expression: {error}') from None
    return patterns


def check_arguments(name: str, patterns: Sequence[str], arguments: Sequence[str]) -> None:
    """Hold arguments against the expressions of a program.

    Raises:
        ActionFailed: there are too many or too few, or one does not match.
    """
    for number, argument in enumerate(arguments, 1):
        _check_text(number, argument)
    wanted = _stretched(patterns, len(arguments))
    if len(wanted) != len(arguments):
        raise ActionFailed(
            f'"{name}" takes {len(wanted)} arguments as it is listed, not {len(arguments)}'
        )
    for number, (pattern, argument) in enumerate(zip(wanted, arguments, strict=True), 1):
        if not _fits(pattern, argument):
            raise ActionFailed(
                f'argument {number} of "{name}" may not be {argument[:_SHOWN]!r}'
                f" (listed is {pattern})"
            )


def _check_text(number: int, argument: str) -> None:
    """Hold an argument against what no argument may be, whatever its expression says."""
    if any(sign in argument for sign in "\0\n\r"):
        raise ActionFailed(f"argument {number} holds a NUL or a line break")
    if any("\ud800" <= sign <= "\udfff" for sign in argument):
        raise ActionFailed(f"argument {number} holds half of a character")


def _stretched(patterns: Sequence[str], length: int) -> Sequence[str]:
    """Repeat the last expression as often as there are arguments left, but at least once."""
    if not patterns or patterns[-1] != MORE:
        return patterns
    first = patterns[:-1]
    return [*first, *[first[-1]] * (length - len(first))]


def _fits(pattern: str, argument: str) -> bool:
    """Say whether an argument is meant: an option only where the expression begins like one.

    `.*` is written for names and values; that it also matches `--exec` is never meant.
    """
    if argument.startswith("-") and not pattern.startswith(("-", r"\-")):
        return False
    return re.fullmatch(pattern, argument) is not None
