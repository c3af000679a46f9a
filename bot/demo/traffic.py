"""Light synthetic traffic: customers who order, and now and then look after an order."""

from __future__ import annotations

import asyncio
import itertools
import logging

import aiohttp

_log = logging.getLogger(__name__)

_ITEMS = ("coffee", "kettle", "cup", "filter papers", "grinder")
_MOST_OPEN = 100
_LOOK_EVERY = 5  # every fifth customer asks how the order stands


class Traffic:
    """Send orders over HTTP at a steady rate (orders per second) that may be changed."""

    def __init__(self, url: str, rate: float) -> None:
        self.rate = rate
        self._url = url
        self._open: set[asyncio.Task[None]] = set()
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to send."""
        self._running = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop and leave no request open."""
        tasks = [*self._open, *([self._running] if self._running else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(self._url, timeout=timeout) as session:
            for number in itertools.count():
                await asyncio.sleep(1 / self.rate if self.rate else 0.2)
                if not self.rate or len(self._open) >= _MOST_OPEN:
                    continue
                task = asyncio.create_task(self._customer(session, number))
                self._open.add(task)
                task.add_done_callback(self._open.discard)

    async def _customer(self, session: aiohttp.ClientSession, number: int) -> None:
        order = {"item": _ITEMS[number % len(_ITEMS)], "quantity": 1 + number % 3}
        try:
            async with session.post("/orders", json=order) as answer:
                accepted = await answer.json() if answer.status == 202 else None
            if accepted and number % _LOOK_EVERY == 0:
                async with session.get(f"/orders/{accepted['id']}") as answer:
                    await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            _log.debug("a synthetic request failed: %s", error)
