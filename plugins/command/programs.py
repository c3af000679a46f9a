"""The allow-list: which programs may be run, and with which arguments.

A program is known by a short name and run by its absolute path. Its `forms` are
the argument lists it may get: one regular expression per argument, each of which
must match the whole of it. An argument more or less is another form.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, Field

from bot.domain.actions import ActionFailed
from bot.plugin import PluginSettings

MOST_ARGUMENTS = 50


def _absolute(path: str) -> str:
    pure = PurePosixPath(path)
    if not pure.is_absolute() or ".." in pure.parts:
        raise ValueError(f'"{path}" should be an absolute path without ".."')
    return path


def _expression(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f'"{pattern}" is not a regular expression: {error}') from None
    return pattern


Pattern = Annotated[str, AfterValidator(_expression)]


class Program(PluginSettings):
    """One program.

    `unchanged` lists the exit statuses by which it says that it changed nothing;
    any other status than 0 leaves in doubt how far it came.
    """

    path: Annotated[str, AfterValidator(_absolute)]
    forms: tuple[tuple[Pattern, ...], ...] = Field(default=((),), min_length=1)
    unchanged: tuple[int, ...] = ()


def command_line(
    programs: Mapping[str, Program], name: str, arguments: Sequence[str]
) -> tuple[Program, list[str]]:
    """Return the program and the whole argv of an allowed call.

    Raises:
        ActionFailed: the program or its arguments are not listed.
    """
    program = programs.get(name)
    if program is None:
        raise ActionFailed(f'program "{name}" is not in plugins.command.programs')
    if any("\x00" in argument for argument in arguments):
        raise ActionFailed("an argument holds a NUL character")
    if not any(_fits(form, arguments) for form in program.forms):
        raise ActionFailed(f'"{name}" may not be run with these arguments')
    return program, [program.path, *arguments]


def _fits(form: Sequence[str], arguments: Sequence[str]) -> bool:
    return len(form) == len(arguments) and all(
        re.fullmatch(pattern, argument) for pattern, argument in zip(form, arguments, strict=True)
    )
