"""What steps print while they work: taken in at once, redacted, capped, and kept in rows.

A handler must not wait for those who watch it, so taking a line in only puts it
into memory, which is bounded (`bot/services/printed.py`). It is written once a
second at most, and those who show the run are told of it less often than that.
Of very much output the beginning and the end are kept, and the middle is cut. A
crash loses the last second; a normal end loses nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bot.domain.actions import Output, Report
from bot.domain.events import Happening
from bot.domain.redaction import RedactedStream, Redactor
from bot.domain.runs import RunId
from bot.ports import Clock, Database, OutputPiece, OutputSize, OutputTail, Transaction
from bot.services.printed import MOST_PIECES, Printed

log = logging.getLogger(__name__)

CHANGE = "output"  # how a run changed of which only the output is new

_LAST_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class OutputPace:
    """How often output is written and told of, in seconds, and how much of a step's is kept.

    `head` and `tail` are bytes of its beginning and of its end.
    """

    write: float = 1.0
    tell: float = 2.0
    head: int = 131_072
    tail: int = 131_072


class OutputService:
    """Takes the output of steps, and shows what there is of it."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        redactor: Redactor,
        *,
        pace: OutputPace = OutputPace(),  # frozen
    ) -> None:
        self._database = database
        self._clock = clock
        self._redactor = redactor
        self._pace = pace
        self._writing: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._told: dict[RunId, float] = {}

    def reporter(self, run: RunId, step: str, attempt: int) -> Report:
        """Return what takes the output of one attempt at a step, from any thread."""
        stream = RedactedStream(self._redactor)
        printed = Printed(run, step, attempt, stream, head=self._pace.head)
        loop = asyncio.get_running_loop()

        def report(output: Output) -> None:
            if printed.take(output):
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody reads it
                    loop.call_soon_threadsafe(self._write_soon, printed)

        return report

    async def stop(self) -> None:
        """Write what is still in memory; what somebody goes on printing is not waited for."""
        self._stopping.set()
        await asyncio.sleep(0)  # what was just reported is on its way to be written
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_SECONDS):
                while self._writing:
                    await asyncio.wait(self._writing)

    async def tail(self, run: RunId, step: str, *, lines: int) -> OutputTail:
        """Return the last lines that a step printed, in its last attempt."""
        async with self._database.reading() as view:
            pieces = await view.outputs.newest(run, step, limit=lines)
            progress = await view.outputs.progress(run, step)
        return OutputTail(
            lines=tuple(line for piece in pieces for line in piece.text.split("\n"))[-lines:],
            printed=max((piece.first + piece.lines for piece in pieces), default=0),
            progress=progress,
        )

    async def sizes(self, run: RunId) -> Sequence[OutputSize]:
        """Return how much every step of a run printed, by step and attempt."""
        async with self._database.reading() as view:
            return await view.outputs.sizes(run)

    async def whole(self, run: RunId, step: str, attempt: int) -> str:
        """Return everything that is kept of what a step printed; it says where lines were cut."""
        most = self._pace.head + MOST_PIECES
        async with self._database.reading() as view:
            pieces = await view.outputs.newest(run, step, attempt=attempt, limit=most)
        return "\n".join(_joined(pieces))

    def _write_soon(self, printed: Printed) -> None:
        task = asyncio.create_task(self._write_all(printed), name=f"output of {printed.run}")
        self._writing.add(task)
        task.add_done_callback(lambda _: self._wrote(task, printed))

    def _wrote(self, task: asyncio.Task[None], printed: Printed) -> None:
        self._writing.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("the output of %s could not be written: %s", printed.step, error)
            printed.give_up()
        elif printed.let_go():
            self._write_soon(printed)

    async def _write_all(self, printed: Printed) -> None:
        """Write until nothing comes any more."""
        while printed.more and not self._stopping.is_set():
            if printed.hand_over():
                await self._write(printed)
            await self._rest(self._pace.write)
        if printed.settle():
            await self._write(printed)
        if printed.untold:
            await self._rest(self._left(printed.run))
            await self._tell_late(printed)

    async def _rest(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _write(self, printed: Printed) -> None:
        """Write what is ready; where that fails, it is written with what comes next."""
        tell = self._left(printed.run) <= 0
        async with self._database.transaction() as tx:
            for piece in printed.pieces():
                await tx.outputs.add(piece)
            dropped = printed.beyond(self._pace.tail)
            if dropped:
                step, attempt = printed.step, printed.attempt
                await tx.outputs.remove(printed.run, step, attempt=attempt, seqs=dropped)
            if tell:
                await self._tell(tx, printed.run)
        printed.written(len(dropped))
        printed.untold = not tell

    async def _tell_late(self, printed: Printed) -> None:
        async with self._database.transaction() as tx:
            await self._tell(tx, printed.run)
        printed.untold = False

    async def _tell(self, tx: Transaction, run: RunId) -> None:
        now = self._clock.now()
        await tx.outbox.add(Happening(kind="run", subject=run, change=CHANGE, at=now))
        self._told[run] = asyncio.get_running_loop().time()

    def _left(self, run: RunId) -> float:
        """Return for how long those who show a run are not told again, in seconds."""
        now = asyncio.get_running_loop().time()
        self._told = {r: at for r, at in self._told.items() if now - at < self._pace.tell}
        return self._told[run] + self._pace.tell - now if run in self._told else 0


def _lines(count: int) -> str:
    return "1 line was" if count == 1 else f"{count:,} lines were"


def _joined(pieces: Sequence[OutputPiece]) -> Iterator[str]:
    line = 0
    for piece in pieces:
        if piece.first > line:
            yield f"… {_lines(piece.first - line)} cut here …"
        yield piece.text
        line = piece.first + piece.lines
