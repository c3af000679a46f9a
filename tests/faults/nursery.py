"""Forks a child for every order and has it live the story; under strace where calls shall fail.

`strace -f` counts the calls of every process on its own, and lets call number
`AT` fail or kill. A child that is to meet its end at call `n` first makes
`AT - n` calls that mean nothing, on a file that is not open. So one tracer, and
one start of Python, serve a whole sweep.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import resource
import signal
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.faults.story import note, tell

AT = 4000  # more calls than any life has
WINDOW = 4000  # calls that fail one after another, unless somebody mends the disk first
NOWHERE = 1 << 20  # no file is open under this number

CALLS: dict[str, Callable[[], object]] = {
    "pwrite64": lambda: os.pwrite(NOWHERE, b"", 0),
    "fdatasync": lambda: os.fdatasync(NOWHERE),
    "fsync": lambda: os.fsync(NOWHERE),
}


def idle(call: str) -> int:
    """Make one call that does nothing, and return its error."""
    try:
        CALLS[call]()
    except OSError as error:
        return error.errno or 0
    return 0


def mended(call: str) -> None:
    """Call until calls do not fail any more for want of a disk."""
    while idle(call) != errno.EBADF:
        pass


@dataclass(frozen=True, kw_only=True)
class Order:
    """How a life is to end: at which call, at which point, or on how long a file.

    `call` and `n` name the traced call that fails or kills; with `dies`, nobody
    mends what fails, and the process is killed instead. `point` is killed at
    when it is reached for the `n`th time. `most` bytes is all a file may have.
    """

    folder: str
    call: str = ""
    n: int = 0
    dies: bool = False
    point: str = ""
    most: int = 0


def die() -> None:
    """End like a process that is killed: nothing is finished, nothing is closed."""
    os.kill(os.getpid(), signal.SIGKILL)


async def live(order: Order) -> None:
    """Live the story of an order."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]

    def mend() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        if order.dies:
            die()
        elif order.call:
            mended(order.call)

    if order.most:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order.most, hard))
    for _ in range(AT - order.n if order.call else 0):
        idle(order.call)
    await tell(Path(order.folder), mend, reached=_fatal(order))


def _fatal(order: Order) -> Callable[[str], None]:
    met: Counter[str] = Counter()

    def reached(point: str) -> None:
        met[point] += 1
        if point == order.point and met[point] == order.n:
            die()

    return reached


def born(order: Order) -> None:
    """Live in a child, and never return."""
    status = 1
    try:
        logging.getLogger().handlers.clear()
        asyncio.run(live(order))
        status = 0
    except BaseException as error:  # noqa: BLE001  # whatever it was, the tests read it
        note(Path(order.folder) / "told", f"died: {type(error).__name__}: {error}")
    finally:
        os._exit(status)


def serve() -> None:
    """Take orders from standard input, and answer each with how its child ended."""
    print("ready", flush=True)  # the answer
    for line in sys.stdin:
        order = Order(**json.loads(line))
        child = os.fork()
        if child == 0:
            born(order)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # the answer


if __name__ == "__main__":
    serve()
