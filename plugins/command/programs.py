"""The allow-list: which programs may be run, and with which arguments.

A program is known by a short name and run by its absolute path. One name is one
form: a program with two uses is listed under two names, which also read better
in a plan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from bot.domain.actions import ActionFailed
from bot.domain.argv import absolute, check_arguments, expressions
from bot.plugin import PluginSettings

Path = Annotated[str, AfterValidator(absolute)]
Patterns = Annotated[tuple[str, ...], AfterValidator(expressions)]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class Program(PluginSettings):
    """One program.

    `arguments` are regular expressions, one per argument. `effect` says whether
    it only reads. `environment` are the variables it gets beside PATH, LANG and
    HOME; `secrets` the names of those that come from `secret_values`.
    `unchanged_statuses` are the exit statuses by which it says that it changed
    nothing; any other status than 0 leaves in doubt how far it came.
    """

    path: Path
    arguments: Patterns = ()
    effect: Literal["read", "mutate"] = "mutate"
    directory: Path = "/"
    environment: Mapping[Variable, str] = {}
    secrets: tuple[Variable, ...] = ()
    unchanged_statuses: tuple[Annotated[int, Field(ge=1, le=255)], ...] = ()


def allowed(programs: Mapping[str, Program], name: str, arguments: Sequence[str]) -> Program:
    """Return a listed program, for arguments of its form.

    Raises:
        ActionFailed: the program or its arguments are not listed.
    """
    program = programs.get(name)
    if program is None:
        raise ActionFailed(f'program "{name}" is not in plugins.command.programs')
    check_arguments(name, program.arguments, arguments)
    return program
