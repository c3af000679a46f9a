"""The checkout service's worker: a process that takes orders from its input and does them.

It is run by path (``python -I -S worker.py``) and imports little, so that a restart
costs some hundredths of a second. One line in is an order's id; lines out are
``ready PID``, ``done ID`` and, twice a second, ``beat``. A worker that hangs stops
beating: that, and not a flag, is how the service knows.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

BEAT_EVERY = 0.5
ORDER_TAKES = 0.025
MOST_AT_ONCE = 32

_output = threading.Lock()


def tell(line: str) -> None:
    """Write one line whole, whichever thread it comes from."""
    with _output:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def do(order_id: str) -> None:
    """Fulfil one order."""
    time.sleep(ORDER_TAKES)
    tell(f"done {order_id}")


def beat() -> None:
    """Say again and again that this process still runs."""
    while True:
        tell("beat")
        time.sleep(BEAT_EVERY)


def main() -> None:
    """Take orders until the input ends."""
    tell(f"ready {os.getpid()}")
    threading.Thread(target=beat, daemon=True).start()
    with ThreadPoolExecutor(MOST_AT_ONCE) as pool:
        for line in sys.stdin:
            pool.submit(do, line.strip())


if __name__ == "__main__":
    main()
