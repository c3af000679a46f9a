"""What this machine gives: its memory's speed, a process's peak memory, percentiles of times."""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from typing_extensions import override

from tests.benchmarks.figures import percentile

_READ = 512 * 2**20  # bytes, many times the last level of cache
_READS = 7


@dataclass(frozen=True, kw_only=True)
class Times:
    """What one kind of call took, in milliseconds."""

    p50: float
    p99: float

    @override
    def __str__(self) -> str:
        """Write both with three significant places."""
        return f"{self.p50:8.3f} {self.p99:8.3f}"


def times(seconds: Sequence[float]) -> Times:
    """Summarize durations given in seconds."""
    return Times(p50=percentile(seconds, 0.5) * 1000, p99=percentile(seconds, 0.99) * 1000)


def timed(calls: Sequence[Callable[[], object]]) -> list[float]:
    """Return the seconds each call took, with the garbage collector on as in the bot."""
    gc.collect()
    taken = []
    for call in calls:
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return taken


def bandwidth() -> float:
    """Measure how many bytes per second one thread reads from memory.

    The best of a sum of products (BLAS), a maximum (NumPy) and the C library's
    search for a byte that does not occur: whichever this machine does fastest
    is nearest to what the memory allows.
    """
    numbers = np.ones(_READ // 4, dtype=np.float32)
    whole = numbers.view(np.int64)
    memchr = ctypes.CDLL(None).memchr
    memchr.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t)
    memchr.restype = ctypes.c_void_p
    ways: tuple[Callable[[], object], ...] = (
        lambda: np.dot(numbers, numbers),
        whole.max,
        lambda: memchr(numbers.ctypes.data, 0x55, _READ),
    )
    return _READ / min(min(timed([way] * _READS)) for way in ways)


def peak_memory() -> float:
    """Return the most megabytes this process has held at once (`VmHWM` of Linux)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024
