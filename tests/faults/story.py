"""One life of a run, told by a process that may die or meet a failing disk at any call.

What was acknowledged to a person is a line in `acks`, what anybody was told of
a failure a line in `told`; both outlive the process.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from typing_extensions import override

from bot.domain.errors import AlreadyDone, Refused
from bot.domain.people import Person
from bot.domain.runs import RunId, RunState
from tests.fakes import NOON
from tests.faults.house import LEASE, House, house_at, nothing
from tests.services.gate_world import MARCUS, PRIYA

T = TypeVar("T")
Mend = Callable[[], None]

TRIES = 12
BEFORE_MENDING = 3


class Inline(ThreadPoolExecutor):
    """Does everything at once in the one thread there is, so that calls can be counted."""

    @override
    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001  # handed to whoever waits
            future.set_exception(error)
        return future


def note(path: Path, line: str) -> None:
    """Add a line to a file; the system keeps it when the process is killed."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(file, (line.replace("\n", " ") + "\n").encode())
    finally:
        os.close(file)


class Told(logging.Handler):
    """Writes down what the log says, with the error that is named in it."""

    def __init__(self, path: Path) -> None:
        super().__init__(logging.WARNING)
        self._path = path

    @override
    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        cause = f" [{type(error).__name__}: {error}]" if error else ""
        note(self._path, f"log: {record.getMessage()}{cause}")


class Story:
    """A run from the wish to the last card. `mend` repairs what fails, after a few tries."""

    def __init__(self, house: House, mend: Mend) -> None:
        self._house = house
        self._mend = mend
        self._failures = 0

    async def live(self) -> None:
        """Live it all, and acknowledge each thing once its call has returned."""
        house = self._house
        await self._insist(house.checkpoints.start)
        await self._insist(house.ask)
        run = await self._insist(house.newest)
        assert run is not None
        self._ack(f"asked {run.id}")
        await self._until(run.id, lambda state: state is RunState.AWAITING)
        for person in (PRIYA, MARCUS):
            await self._approve(run.id, person)
        await self._until(run.id, lambda state: state.over)
        await self._insist(lambda: house.show(run.id))
        self._ack(f"state {(await house.runs.get(run.id)).state}")
        size = await house.database.archive.size()
        await self._insist(house.checkpoints.ensure_covered)
        self._ack(f"anchored {size}")

    async def _approve(self, id: RunId, person: Person) -> None:
        async def press() -> None:
            try:
                await self._house.approve(id, person)
            except AlreadyDone:
                return

        await self._insist(press)
        self._ack(f"approved-{person.id} {id}")

    async def _until(self, id: RunId, reached: Callable[[RunState], bool]) -> None:
        """Move the run until it stands where it should; a claim that broke off has to run out."""
        for _ in range(TRIES):
            while await self._insist(self._house.move):
                pass
            if reached((await self._house.runs.get(id)).state):
                return
            self._house.clock.advance(seconds=LEASE)
        raise Refused("The run never got there.")

    async def _insist(self, act: Callable[[], Awaitable[T]]) -> T:
        """Try again after every failure, as Slack, the worker and people do."""
        for _ in range(TRIES):
            try:
                return await act()
            except Exception as error:  # noqa: BLE001  # what it was is what the tests look at
                note(self._house.folder / "told", f"raised: {type(error).__name__}: {error}")
                self._failures += 1
                if self._failures == BEFORE_MENDING:
                    self._mend()
                self._house.clock.advance(seconds=LEASE)
        raise Refused("It never worked again.")

    def _ack(self, line: str) -> None:
        note(self._house.folder / "acks", line)


async def tell(folder: Path, mend: Mend, *, reached: Callable[[str], None] = nothing) -> None:
    """Open the house of a folder, live the story and close it."""
    asyncio.get_running_loop().set_default_executor(Inline())
    handler = Told(folder / "told")
    logging.getLogger("bot").addHandler(handler)
    async with house_at(folder, NOON) as house:
        house.reached = reached
        await Story(house, mend).live()
