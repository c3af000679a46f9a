"""An event loop that never waits: where nothing is left to do, time jumps to what comes next.

A history of hours is played in milliseconds, and always in the same order. What
others do in threads is done at once. A clock can be told how time passes.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from typing import Any

from typing_extensions import override


class _Jumping(selectors.SelectSelector):
    """A selector that lets time pass instead of waiting."""

    def __init__(self, passed: Callable[[float], None]) -> None:
        super().__init__()
        self._passed = passed

    @override
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return at once, having let time pass."""
        if timeout is None:
            raise AssertionError("everybody waits, and nothing will ever happen")
        if timeout > 0:
            self._passed(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Tells `passed` of every second that went by; `elapsed` counts them."""

    def __init__(self, passed: Callable[[float], None] = lambda _: None) -> None:
        self.elapsed = 0.0
        self.passed = passed
        super().__init__(_Jumping(self._pass))

    def _pass(self, seconds: float) -> None:
        self.elapsed += seconds
        self.passed(seconds)

    @override
    def time(self) -> float:
        """Return how much time has passed, in seconds."""
        return self.elapsed

    @override
    def run_in_executor(self, _executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """Do at once what others do in a thread."""
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  # handed on to whoever awaits it
            done.set_exception(error)
        return done
