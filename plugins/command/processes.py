"""One process: its own group, a clean environment, and no survivors."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.domain.actions import ActionFailed, OutcomeUnknown, Transient
from bot.domain.printing import Printed, Stream

# Nothing of ours is inherited: our environment holds tokens.
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/nonexistent"}

_CHUNK = 65_536
_GRACE = 3.0  # seconds between being asked to end and being killed
_LAST_WORDS = 1.0  # seconds that children may keep the output open after the program's end
_FOR_NOW = {errno.EAGAIN, errno.ENOMEM, errno.ENFILE, errno.EMFILE, errno.ETXTBSY}


class TookTooLong(OutcomeUnknown):
    """The program was killed because its time was over."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """What is started: the whole argv, where, and with which variables beside our own few."""

    argv: Sequence[str]
    directory: str = "/"
    environment: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a process ended. A negative status is the signal that killed it.

    `last` is the last line of its standard output that is not empty.
    """

    status: int
    last: str


@dataclass(frozen=True, kw_only=True)
class _Running:
    """A process, and what still reads its output."""

    process: Process
    reading: asyncio.Future[Any]
    out: Stream


async def run(start: Start, printed: Printed, *, timeout: float) -> Ended:
    """Run a program to its end; `timeout` is in seconds.

    The program leads a process group of its own. When the time is over or the
    caller gives up, the group gets SIGTERM and 3 s later SIGKILL; children that
    stay behind after a good end are killed as well. Only what moves to a session
    of its own escapes.

    Raises:
        ActionFailed: it could not be started.
        TookTooLong: it was killed because its time was over.
    """
    running = await _begin(start, printed)
    try:
        async with asyncio.timeout(timeout):
            status = await running.process.wait()
        await asyncio.wait((running.reading,), timeout=_LAST_WORDS)
    except TimeoutError:
        raise TookTooLong(f"{start.argv[0]} was killed after {timeout:g} s") from None
    finally:
        await _surely(_end(running))
    return Ended(status=status, last=running.out.last)


async def _begin(start: Start, printed: Printed) -> _Running:
    """Start a program; where the caller gives up meanwhile, it is ended again.

    What was started and not noted would run on without anybody knowing.
    """
    starting = asyncio.ensure_future(_started(start, printed))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait((starting,))
        if not starting.cancelled() and starting.exception() is None:
            await _surely(_end(starting.result()))
        raise


async def _surely(work: Coroutine[Any, Any, None]) -> None:
    """Bring a piece of work to its end, even where the caller is cancelled during it."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


async def _started(start: Start, printed: Printed) -> _Running:
    """Start a program that writes into pipes of ours.

    With pipes of asyncio's own, waiting for the program would also wait for
    every child that inherited them.
    """
    with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
        pipes = (os.pipe(), os.pipe())
        for reading, writing in pipes:
            ours.callback(os.close, reading)
            theirs.callback(os.close, writing)
        process = await _spawned(start, pipes[0][1], pipes[1][1])
        ours.pop_all()
    out, err = Stream(printed), Stream(printed)
    both = asyncio.gather(_read(pipes[0][0], out), _read(pipes[1][0], err))
    return _Running(process=process, reading=both, out=out)


async def _spawned(start: Start, out: int, err: int) -> Process:
    try:
        return await asyncio.create_subprocess_exec(
            *start.argv,
            stdin=DEVNULL,
            stdout=out,
            stderr=err,
            env={**ENVIRONMENT, **start.environment},
            cwd=start.directory,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not usable"
        later = Transient.UNAVAILABLE if getattr(error, "errno", None) in _FOR_NOW else None
        raise ActionFailed(
            f"{start.argv[0]} cannot be started: {reason}", transient=later
        ) from None


async def _read(pipe: int, stream: Stream) -> None:
    reader = asyncio.StreamReader()
    file = os.fdopen(pipe, "rb", buffering=0)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), file
    )
    try:
        while chunk := await reader.read(_CHUNK):
            stream.feed(chunk)
    finally:
        stream.close()
        transport.close()


async def _end(running: _Running) -> None:
    """Ask the group to end where it still runs, and kill what is left of it."""
    process = running.process
    if process.returncode is None:
        _signal(process.pid, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _GRACE)
    # The leader may be gone and its children not: the group's number is theirs till the last one.
    _signal(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):  # one that hangs in the kernel is not waited for
        await asyncio.wait_for(process.wait(), _LAST_WORDS)
    await asyncio.wait((running.reading,), timeout=_LAST_WORDS)
    # Who left the group with the output open is out of reach, and is not listened to any more.
    running.reading.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running.reading


def _signal(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
