"""The allow-list: which hosts are known, and which programs may be run on them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from bot.domain.actions import ActionFailed
from bot.domain.argv import absolute, check_arguments, expressions
from bot.plugin import PluginSettings

_LONGEST_COMMAND = 100_000  # bytes; Linux takes 131,072 in one argument of the login shell

# The shell stays as the leader of the program's process group. It tells the group
# to whoever may have to end it, outlives SIGTERM so that a program may take its
# time to end, and ends what the program leaves behind in the group.
_LEADER = """\
if ! cd "$1" || ! test -x "$2"; then echo "$0 absent"; exit 126; fi
shift 2
trap : TERM HUP
echo "$0 $$"
"$@" </dev/null
status=$?
trap '' TERM
kill -s TERM -- -$$ 2>/dev/null
exit $status"""

_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/nonexistent"}

Path = Annotated[str, AfterValidator(absolute)]
Patterns = Annotated[tuple[str, ...], AfterValidator(expressions)]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class Host(PluginSettings):
    """One machine, and how we make sure that it is the one.

    `known_hosts` is a file in OpenSSH's format that holds its key; `key` is the
    file of the private key we sign in with, or of one with a certificate beside it.
    """

    address: Annotated[str, Field(min_length=1)]
    port: int = Field(default=22, ge=1, le=65_535)
    username: Annotated[str, Field(min_length=1)]
    known_hosts: Path
    key: Path


class Program(PluginSettings):
    """One program, as it may be run on `hosts`.

    `arguments` are regular expressions, one per argument. `effect` says whether
    it only reads. `environment` are the variables it gets beside PATH, LANG and
    HOME; other users of the machine can read them. `unchanged_statuses` are the exit
    statuses by which it says that it changed nothing; any other status than 0
    leaves in doubt how far it came.
    """

    hosts: Annotated[tuple[str, ...], Field(min_length=1)]
    path: Path
    arguments: Patterns = ()
    effect: Literal["read", "mutate"] = "mutate"
    directory: Path = "/"
    environment: Mapping[Variable, str] = {}
    unchanged_statuses: tuple[Annotated[int, Field(ge=1, le=255)], ...] = ()


def allowed(
    programs: Mapping[str, Program], name: str, arguments: Sequence[str], *, host: str
) -> Program:
    """Return a program that is listed for a host, for arguments of its form.

    Raises:
        ActionFailed: the program, the host or the arguments are not listed.
    """
    program = programs.get(name)
    if program is None:
        raise ActionFailed(f'program "{name}" is not in plugins.ssh.programs')
    if host not in program.hosts:
        raise ActionFailed(f'program "{name}" is not listed for host "{host}"')
    check_arguments(name, program.arguments, arguments)
    return program


def shown(program: Program, arguments: Sequence[str]) -> str:
    """Return the words of a call as a person would type them."""
    return shlex.join([program.path, *arguments])


def command_line(program: Program, arguments: Sequence[str], *, key: str, mark: str) -> str:
    """Return what the login shell of the other side gets to read.

    SSH carries one text and no list of arguments, so every word is quoted for a
    POSIX shell, which gives it to the program as it was. Before the program begins, a
    line says `<mark> <process group>`, or `<mark> absent` where there is no
    such program or directory; what the login shell printed before is not ours.

    Raises:
        ActionFailed: it is longer than the other side can take.
    """
    variables = {**_ENVIRONMENT, **program.environment, "TOCSIN_KEY": key}
    words = ["/usr/bin/env", "-i", *(f"{name}={value}" for name, value in variables.items())]
    words += [program.path, *arguments]
    line = shlex.join(["/bin/sh", "-c", _LEADER, mark, program.directory, program.path, *words])
    if len(line.encode()) > _LONGEST_COMMAND:
        raise ActionFailed("the arguments are too long together")
    return line


def ending_line(group: int, signal: str) -> str:
    """Return what sends a signal to a process group of the other side."""
    return shlex.join(["/bin/sh", "-c", f"kill -s {signal} -- -{group:d}"])
