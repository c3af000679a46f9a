"""One queue per channel: what is said there stands in order and is said once.

A newer update of a message takes the place of one that still waits, so that a
storm of changes costs one call and shows the latest state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from bot.domain.people import ChannelId

T = TypeVar("T")


@dataclass
class _Job:
    call: Callable[[], Awaitable[Any]]
    done: asyncio.Future[Any]


class ChannelQueues:
    """Sends to each channel one call after the other.

    A channel's worker lives only as long as something waits, so that quiet
    channels cost nothing.
    """

    def __init__(self) -> None:
        self._waiting: dict[ChannelId, dict[object, _Job]] = {}
        self._workers: dict[ChannelId, asyncio.Task[None]] = {}

    async def send(
        self, channel: ChannelId, call: Callable[[], Awaitable[T]], *, replaces: str | None = None
    ) -> T:
        """Make a call when its turn comes, and return what it returns.

        With `replaces`, a waiting call of the same name is dropped for this one;
        both callers get this one's result. A caller that is cancelled does not
        take the call back.
        """
        waiting = self._waiting.setdefault(channel, {})
        slot: object = replaces if replaces is not None else object()
        job = waiting.get(slot)
        if job is None:
            job = waiting[slot] = _Job(call, asyncio.get_running_loop().create_future())
        else:
            job.call = call
        if channel not in self._workers:
            self._workers[channel] = asyncio.create_task(self._work(channel))
        result: T = await asyncio.shield(job.done)
        return result

    async def drain(self) -> None:
        """Wait until everything has been said."""
        while self._workers:
            await asyncio.wait(set(self._workers.values()))

    async def _work(self, channel: ChannelId) -> None:
        waiting = self._waiting[channel]
        try:
            while waiting:
                job = waiting.pop(next(iter(waiting)))
                call = asyncio.ensure_future(job.call())
                await asyncio.wait({call})
                _pass_on(call, job.done)
        finally:
            del self._workers[channel], self._waiting[channel]


def _pass_on(call: asyncio.Future[Any], done: asyncio.Future[Any]) -> None:
    if call.cancelled():
        done.cancel()
    elif error := call.exception():
        done.set_exception(error)
        done.exception()  # Read once: nobody may be left to hear it.
    else:
        done.set_result(call.result())
