"""Puts edited runbooks into force while the assistant runs.

A page is judged as at the start: all of the folder's runbooks, or none. What
has a mistake changes nothing, and the log names its file and line, so that
saving half a sentence never takes a runbook away from whoever is on call.
Services and past incidents are read at the start only.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from bot.domain.errors import TocsinError
from bot.domain.events import KnowledgeChanged
from bot.domain.runbooks import Runbook

log = logging.getLogger(__name__)

Snapshot = frozenset[tuple[str, int, int]]


class KnowledgeWatch:
    """Looks every few seconds whether the folder's runbooks were edited.

    `shelf` is what everybody reads runbooks from; it is changed in place.
    `told` hears of every change after it is in force.
    """

    def __init__(
        self,
        folder: Path,
        shelf: dict[str, Runbook],
        *,
        load: Callable[[], Mapping[str, Runbook]],
        told: Callable[[KnowledgeChanged], Awaitable[None]],
        every: float,
    ) -> None:
        self._folder = folder
        self._shelf = shelf
        self._load = load
        self._told = told
        self._every = every
        self._seen = snapshot(folder)
        self._untold: list[KnowledgeChanged] = []
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch, unless that is switched off."""
        if self._every > 0:
            self._loop = asyncio.create_task(self._watch(), name="knowledge")

    async def stop(self) -> None:
        """Stop watching."""
        if self._loop is not None:
            self._loop.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._loop

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            try:
                await self.look()
            except Exception:  # a look that breaks off is repeated, and ends nothing
                log.exception("edited runbooks could not be put into force; it is tried again")

    async def look(self) -> KnowledgeChanged | None:
        """Read the folder again where it changed; return what is different now, if anything.

        A folder that changes while it is read is read again at the next look. What
        could not be told is told first.
        """
        await self._tell()
        now = await asyncio.to_thread(snapshot, self._folder)
        if now == self._seen:
            return None
        try:
            runbooks = await asyncio.to_thread(self._load)
        except (TocsinError, OSError) as error:
            log.error("the runbooks were edited and stay as they were: %s", error)
            self._seen = now
            return None
        if await asyncio.to_thread(snapshot, self._folder) != now:
            return None
        self._seen = now
        return await self._exchange(runbooks)

    async def _exchange(self, runbooks: Mapping[str, Runbook]) -> KnowledgeChanged | None:
        before = dict(self._shelf)
        changed = tuple(id for id, new in runbooks.items() if before.get(id) != new)
        removed = tuple(id for id in before if id not in runbooks)
        if not changed and not removed:
            return None
        self._shelf.update(runbooks)
        for id in removed:
            del self._shelf[id]
        log.info("runbooks in force: %d changed, %d removed", len(changed), len(removed))
        event = KnowledgeChanged(changed=changed, removed=removed)
        self._untold.append(event)
        await self._tell()
        return event

    async def _tell(self) -> None:
        while self._untold:
            await self._told(self._untold[0])
            self._untold.pop(0)


def snapshot(folder: Path) -> Snapshot:
    """Return what tells an edited folder from an untouched one: names, sizes, times in ns."""
    found = set()
    for path in (folder / "runbooks").glob("**/*.md"):
        with contextlib.suppress(OSError):  # gone between the listing and the look
            seen = path.stat()
            found.add((str(path), seen.st_size, seen.st_mtime_ns))
    return frozenset(found)
