"""One process: its own group, a clean environment, capped output, and no survivors."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Sequence
from dataclasses import dataclass

from bot.domain.actions import ActionFailed

# Nothing of ours is inherited: our environment holds tokens.
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/nonexistent"}

_CHUNK = 65_536
_LAST_WORDS = 1.0  # seconds that children may keep the output open after the program's end


class OutcomeUnknown(Exception):
    """The program was started and did not end well: it may have taken effect."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a process ended.

    `output` is standard output and error together; `cut` says that there was more.
    """

    status: int
    output: str
    cut: bool


async def run(argv: Sequence[str], *, timeout: float, largest: int) -> Ended:
    """Run a program to its end; `timeout` is in seconds, `largest` in bytes of output.

    The program leads a process group of its own, which is killed whole when the
    time is over, when the caller gives up, and when children stay behind.

    Raises:
        ActionFailed: it could not be started.
        OutcomeUnknown: it was killed because its time was over.
    """
    reader, process = await _start(argv)
    reading = asyncio.create_task(_read(reader, largest))
    try:
        async with asyncio.timeout(timeout):
            await process.wait()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(reading), _LAST_WORDS)
    except TimeoutError:
        raise OutcomeUnknown(f"{argv[0]} was killed after {timeout:g} s") from None
    finally:
        await _end(process, reading)
    output, cut = reading.result()
    return Ended(status=process.returncode or 0, output=output.decode("utf-8", "replace"), cut=cut)


async def _start(argv: Sequence[str]) -> tuple[asyncio.StreamReader, Process]:
    """Start a program that writes into a pipe of ours.

    With a pipe of asyncio's own, waiting for the program would also wait for
    every child that inherited the pipe.
    """
    ours, theirs = os.pipe()
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours, "rb", buffering=0)
    )
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=DEVNULL,
            stdout=theirs,
            stderr=STDOUT,
            env=ENVIRONMENT,
            cwd="/",
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not usable"
        raise ActionFailed(f"{argv[0]} cannot be started: {reason}") from error
    finally:
        os.close(theirs)
    return reader, process


async def _read(reader: asyncio.StreamReader, largest: int) -> tuple[bytes, bool]:
    """Keep the beginning of the output and throw the rest away, so that no pipe ever fills up."""
    kept, cut = bytearray(), False
    while chunk := await reader.read(_CHUNK):
        room = largest - len(kept)
        kept += chunk[:room]
        cut = cut or len(chunk) > room
    return bytes(kept), cut


async def _end(process: Process, reading: asyncio.Task[tuple[bytes, bool]]) -> None:
    """Kill what is left of the group; an open pipe is the sign that something is."""
    if process.returncode is None or not reading.done():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
    await reading
