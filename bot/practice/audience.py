"""The open pages of the workspace: who watches as whom, and what they are sent."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bot.practice.records import Json

Render = Callable[[str], Json | None]


class Audience:
    """Pass on what happens to every open page, each as its own person may see it."""

    def __init__(self) -> None:
        self._watchers: list[tuple[str, asyncio.Queue[Json | None]]] = []

    @contextmanager
    def watch(self, user_id: str) -> Iterator[asyncio.Queue[Json | None]]:
        """Give the stream of one page for as long as it is open; None ends it."""
        watcher: tuple[str, asyncio.Queue[Json | None]] = (user_id, asyncio.Queue())
        self._watchers.append(watcher)
        try:
            yield watcher[1]
        finally:
            self._watchers.remove(watcher)

    def publish(self, render: Render) -> None:
        """Send each page what `render` makes for its person; None sends nothing."""
        for user_id, queue in self._watchers:
            event = render(user_id)
            if event is not None:
                queue.put_nowait(event)

    def tell(self, user_id: str, event: Json) -> None:
        """Send one person's pages an event."""
        self.publish(lambda watcher: event if watcher == user_id else None)

    def dismiss(self) -> None:
        """End every page's stream: None is the last thing it gets."""
        for _, queue in self._watchers:
            queue.put_nowait(None)
