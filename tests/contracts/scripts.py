"""A program as a target: it counts what it did, and hangs or leaks when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from typing_extensions import override

from bot.domain.actions import JSON
from tests.contracts.subjects import Reached, Subject

# It works in its own folder: `hang` makes it hang with a child, `leak` makes it tell its secret.
SCRIPT = """#!/bin/sh
cd "$(dirname "$0")" || exit 1
test -e leak && echo "password is $PASSWORD" && echo "$PASSWORD" >&2
if test -e hang; then
    trap '' TERM
    sleep 300 &
    echo > reached
    wait
    sleep 300
fi
WORK
echo 42
"""


class Script(Subject):
    """A script in a folder of its own, whose effect is a line in a file."""

    binds_state = False  # a plan is bound to the program, which may be run again and again
    work = 'echo "$1" >> written; sleep 0.05'

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.script = folder / "script"
        folder.mkdir(parents=True, exist_ok=True)
        self.write(self.work)

    def write(self, work: str) -> None:
        """Make the script do this."""
        self.script.write_text(SCRIPT.replace("WORK", work))
        self.script.chmod(0o755)

    @override
    async def state(self) -> JSON:
        written = self.folder / "written"
        return written.read_text() if written.exists() else ""

    @override
    async def reset(self) -> None:
        (self.folder / "written").unlink()

    @override
    def left(self) -> Sequence[str]:
        found = []
        for path in Path("/proc").glob("[0-9]*/cwd"):
            with contextlib.suppress(OSError):
                words = (path.parent / "cmdline").read_bytes()
                if path.readlink() == self.folder or bytes(self.folder) in words:
                    found.append(path.parent.name)
        return found

    @override
    @asynccontextmanager
    async def hanging(self) -> AsyncIterator[Reached]:
        (self.folder / "hang").touch()
        (self.folder / "reached").unlink(missing_ok=True)
        yield self.reached
        (self.folder / "hang").unlink()

    async def reached(self) -> None:
        while not (self.folder / "reached").exists():  # noqa: ASYNC110  # a file tells nobody
            await asyncio.sleep(0.02)

    @override
    @asynccontextmanager
    async def leaking(self) -> AsyncIterator[None]:
        (self.folder / "leak").touch()
        yield
        (self.folder / "leak").unlink()
