from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bot.domain.people import ChannelId
from bot.ports import ChatError
from bot.slack.queue import ChannelQueues

ONE, TWO = ChannelId("C1"), ChannelId("C2")


class Line:
    """Records calls in order; the first waits until it is let go."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.open = asyncio.Event()

    def call(self, name: str) -> Callable[[], Awaitable[str]]:
        async def make() -> str:
            await self.open.wait()
            self.made.append(name)
            return name

        return make


async def test_calls_of_one_channel_are_made_in_order() -> None:
    queues, line = ChannelQueues(), Line()
    waiting = [asyncio.create_task(queues.send(ONE, line.call(str(number)))) for number in range(5)]
    line.open.set()
    assert await asyncio.gather(*waiting) == ["0", "1", "2", "3", "4"]
    assert line.made == ["0", "1", "2", "3", "4"]


async def test_a_newer_update_takes_the_place_of_a_waiting_one() -> None:
    queues, line = ChannelQueues(), Line()
    first = asyncio.create_task(queues.send(ONE, line.call("first")))
    await asyncio.sleep(0)
    updates = [
        asyncio.create_task(queues.send(ONE, line.call(f"u{number}"), replaces="1.2"))
        for number in range(10)
    ]
    other = asyncio.create_task(queues.send(ONE, line.call("other"), replaces="3.4"))
    await asyncio.sleep(0)
    line.open.set()
    assert await asyncio.gather(first, *updates, other) == ["first", *["u9"] * 10, "other"]
    assert line.made == ["first", "u9", "other"]


async def test_channels_do_not_wait_for_each_other() -> None:
    queues, slow, fast = ChannelQueues(), Line(), Line()
    fast.open.set()
    stuck = asyncio.create_task(queues.send(ONE, slow.call("slow")))
    assert await queues.send(TWO, fast.call("fast")) == "fast"
    slow.open.set()
    assert await stuck == "slow"


async def test_an_error_reaches_its_caller_and_the_next_call_is_made() -> None:
    queues, line = ChannelQueues(), Line()
    line.open.set()

    async def fail() -> str:
        raise ChatError("channel_not_found")

    failing = asyncio.create_task(queues.send(ONE, fail))
    fine = asyncio.create_task(queues.send(ONE, line.call("fine")))
    with pytest.raises(ChatError):
        await failing
    assert await fine == "fine"


async def test_a_cancelled_caller_does_not_take_the_call_back() -> None:
    queues, line = ChannelQueues(), Line()
    gone = asyncio.create_task(queues.send(ONE, line.call("said")))
    await asyncio.sleep(0)
    gone.cancel()
    line.open.set()
    await queues.drain()
    assert line.made == ["said"]
