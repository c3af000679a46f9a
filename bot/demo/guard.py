"""Run a command that never outlives the process that asked for it.

Run as a script: ``python -I -S guard.py PARENT_PID COMMAND…``. On Linux it asks the
kernel for SIGKILL on the parent's death and then becomes the command, so that the
process id stays the same. Elsewhere it stays beside the command and watches.

The kernel watches the *thread* that started the child: start guarded commands from
a thread that lives as long as they shall, which the main thread does.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LOOK_EVERY = 0.5  # seconds between two looks at the parent, where the kernel does not tell


def guarded(command: Sequence[str]) -> list[str]:
    """Return the command line that runs `command` under this process's guard."""
    return [sys.executable, "-I", "-S", str(Path(__file__)), str(os.getpid()), *command]


def become(parent: int, command: list[str]) -> None:
    """Turn into `command`, to be killed by the kernel when the parent dies (Linux).

    The parent may have died before the request reached the kernel, so it is looked
    at once more afterwards.
    """
    import ctypes  # noqa: PLC0415 - Linux alone needs it, and importers of `guarded` never do

    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        return
    os.execvp(command[0], command)  # noqa: S606 - the caller names the command


def watch(parent: int, command: list[str]) -> int:
    """Run `command` as a child and kill it when the parent is gone; return its exit status."""
    import subprocess  # noqa: PLC0415 - only where the kernel does not help

    with subprocess.Popen(command) as child:  # noqa: S603 - the caller names the command
        signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        while True:
            try:
                return child.wait(_LOOK_EVERY)
            except subprocess.TimeoutExpired:
                if os.getppid() != parent:
                    child.kill()


def main() -> int:
    """Run the command of the command line, in the way this system offers."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform != "linux":
        return watch(parent, command)
    become(parent, command)
    return 1


if __name__ == "__main__":
    sys.exit(main())
