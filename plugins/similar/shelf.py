"""The stories of past incidents, kept where the search finds them, and links to their cards."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from bot.domain.alerts import AlertGroup, GroupId
from bot.domain.documents import Found, Query
from bot.domain.errors import NotFound
from bot.domain.incidents import Incident
from bot.domain.relevance import labelled
from bot.plugin import PluginContext
from bot.ports import ChatError, MessageRef
from plugins.similar.stories import KINDS, Story, lived, told

MOST = 10  # hits that are ever shown for one question
PAGE = 200  # incidents that are read at once

# Stories that are put at once: an incident that moves on meanwhile waits for no more than these.
_AT_ONCE = 20

_PATIENCE = 1.0  # seconds for all links of a view together
_MOST_LINKS = 1_000

log = logging.getLogger(__name__)


class Shelf:
    """Holds the incidents of the knowledge folder and our own that have ended.

    All of them are read at the start: the newest before it returns, the others
    behind the bot's back. What happens to an incident meanwhile is newer than
    what was read of it, and counts.
    """

    def __init__(self, context: PluginContext) -> None:
        self._context = context
        self._stories: dict[str, Story] = {}
        self._followed: set[str] = set()
        self._changing = asyncio.Lock()
        self._rest: asyncio.Task[None] | None = None
        self.links = Links(context)

    def __len__(self) -> int:
        return len(self._stories)

    def get(self, id: str) -> Story | None:
        """Return a story, if it is (still) one of the past."""
        return self._stories.get(id)

    async def fill(self) -> None:
        """Learn the stories of the knowledge folder and of our newest; begin with the others."""
        pages = self._context.knowledge.runbooks
        stories = []
        for incident in self._context.knowledge.incidents:
            page = pages.get(incident.runbook or "")
            stories.append(told(incident, run=page.title if page else ""))
        await self._put(stories)
        below = await self._learn(below=None)
        if below is not None:
            self._rest = asyncio.create_task(self._learn_all(below), name="past incidents")
            self._rest.add_done_callback(_tell_failure)

    async def stop(self) -> None:
        """Stop reading."""
        if self._rest is not None:
            self._rest.cancel()
            await asyncio.wait((self._rest,))

    async def follow(self, incident: Incident) -> None:
        """Learn an incident that has ended; forget one that is worked on again."""
        self._followed.add(incident.id)
        async with self._changing:
            if not incident.status.open:
                await self._put([await self._lived(incident, await self._causes())])
            elif self._stories.pop(incident.id, None) is not None:
                await self._context.search.remove([incident.id])

    async def follow_causes(self) -> None:
        """Tell every story with the cause that people name for it now.

        A known error that is extended changes the stories of all its incidents.
        """
        async with self._changing:
            changed = [
                replace(story, cause=cause)
                for id, cause in (await self._causes()).items()
                if (story := self._stories.get(id)) is not None and story.cause != cause
            ]
            await self._put(changed)

    async def like(self, query: Query, group: AlertGroup) -> Found:
        """Search for what was before an alert group; its own incident does not resemble it."""
        return await self._context.search.find(
            query, kinds=KINDS, limit=MOST, before=group.first_seen, without=_own(group)
        )

    async def matching(self, query: Query, group: AlertGroup) -> Found:
        """Search for a person's words, among later incidents too."""
        return await self._context.search.find(query, kinds=KINDS, limit=MOST, without=_own(group))

    async def _learn_all(self, below: int) -> None:
        """Read page after page, then the causes once more: some may be newer than their page."""
        left: int | None = below
        while left is not None:
            left = await self._learn(below=left)
        await self.follow_causes()

    async def _learn(self, *, below: int | None) -> int | None:
        """Learn a page of our own incidents; return the number below which there are more."""
        page = await self._context.incidents.ended(below=below, limit=PAGE)
        causes = await self._causes()
        for start in range(0, len(page), _AT_ONCE):
            read = page[start : start + _AT_ONCE]
            stories = [await self._lived(incident, causes) for incident in read]
            async with self._changing:
                await self._put([story for story in stories if story.id not in self._followed])
        return page[-1].number if len(page) == PAGE else None

    async def _put(self, stories: Sequence[Story]) -> None:
        if stories:
            self._stories.update((story.id, story) for story in stories)
            await self._context.search.put([story.document for story in stories])

    async def _causes(self) -> Mapping[str, str]:
        """Return the causes that people named, by incident; of several the newest."""
        known = await self._context.known_errors.all()
        return {incident: one.cause for one in known for incident in one.incidents}

    async def _lived(self, incident: Incident, causes: Mapping[str, str]) -> Story:
        groups = [group for id in incident.groups if (group := await self._group(id))]
        postmortem = await self._context.postmortems.get(incident.id)
        return lived(
            incident,
            names=[name for group in groups for name in labelled(group, "alertname")],
            services=[name for group in groups for name in labelled(group, "service")],
            runs=await self._context.runs.of([incident.id, *incident.groups]),
            timeline=await self._context.timelines.of(incident),
            postmortem=postmortem.summary if postmortem else None,
            cause=causes.get(incident.id, ""),
        )

    async def _group(self, id: str) -> AlertGroup | None:
        try:
            return await self._context.alerts.get(GroupId(id))
        except NotFound:
            return None


class Links:
    """Links to the cards of our own incidents, asked for as seldom as can be.

    The chat platform may make its callers wait for half a minute. So nothing that
    has a deadline asks it: a permanent link never changes and is remembered, and
    a view shows the links that come in time.
    """

    def __init__(self, context: PluginContext) -> None:
        self._context = context
        self._known: OrderedDict[MessageRef, str] = OrderedDict()

    async def remembered(self, story: Story) -> str:
        """Return a link that was asked for before, "" without; never ask the chat platform."""
        ref = await self._ref(story)
        return self._known.get(ref, "") if ref else ""

    async def to(self, stories: Iterable[Story]) -> Mapping[str, str]:
        """Return links by incident, without those that do not come in time."""
        refs = {story.id: ref for story in stories if (ref := await self._ref(story))}
        await self._ask(ref for ref in refs.values() if ref not in self._known)
        return {id: self._known[ref] for id, ref in refs.items() if ref in self._known}

    async def _ask(self, refs: Iterable[MessageRef]) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await asyncio.gather(*map(self._learn, refs))

    async def _learn(self, ref: MessageRef) -> None:
        try:
            self._known[ref] = await self._context.chat.link(ref)
        except ChatError:
            return
        if len(self._known) > _MOST_LINKS:
            self._known.popitem(last=False)

    async def _ref(self, story: Story) -> MessageRef | None:
        posted = await self._context.posts.get(f"incident:{story.id}")
        return posted.ref if posted else None


def _own(group: AlertGroup) -> tuple[str, ...]:
    return (group.incident,) if group.incident else ()


def _tell_failure(reading: asyncio.Task[None]) -> None:
    if not reading.cancelled() and (error := reading.exception()) is not None:
        log.error(
            "older incidents could not be read and are not found until the next start",
            exc_info=error,
        )
