"""The stories of past incidents, kept where the search finds them."""

from __future__ import annotations

from collections.abc import Sequence

from bot.domain.alerts import AlertGroup, GroupId
from bot.domain.documents import Found, Query
from bot.domain.errors import NotFound
from bot.domain.incidents import Incident
from bot.domain.relevance import labelled
from bot.plugin import PluginContext
from bot.ports import ChatError
from plugins.similar.stories import KINDS, Story, lived, told

MOST = 10  # hits that are ever shown for one question


class Shelf:
    """Holds the incidents of the knowledge folder and our own that have ended."""

    def __init__(self, context: PluginContext) -> None:
        self._context = context
        self._stories: dict[str, Story] = {}

    def __len__(self) -> int:
        return len(self._stories)

    def get(self, id: str) -> Story | None:
        """Return a story, if it is (still) one of the past."""
        return self._stories.get(id)

    async def fill(self) -> None:
        """Learn all stories there are."""
        pages = self._context.knowledge.runbooks
        stories = []
        for incident in self._context.knowledge.incidents:
            page = pages.get(incident.runbook or "")
            stories.append(told(incident, run=page.title if page else ""))
        for own in await self._context.incidents.recent():
            if not own.status.open:
                stories.append(await self._lived(own))
        await self._put(stories)

    async def follow(self, incident: Incident) -> None:
        """Learn an incident that has ended; forget one that is worked on again."""
        if not incident.status.open:
            await self._put([await self._lived(incident)])
        elif self._stories.pop(incident.id, None) is not None:
            await self._context.search.remove([incident.id])

    async def like(self, query: Query, group: AlertGroup) -> Found:
        """Search for what was before an alert group; its own incident does not resemble it."""
        return await self._context.search.find(
            query, kinds=KINDS, limit=MOST, before=group.first_seen, without=_own(group)
        )

    async def matching(self, query: Query, group: AlertGroup) -> Found:
        """Search for a person's words, among later incidents too."""
        return await self._context.search.find(query, kinds=KINDS, limit=MOST, without=_own(group))

    async def link(self, story: Story) -> str:
        """Return a link to the card of an incident of our own, where it stands."""
        posted = await self._context.posts.get(f"incident:{story.id}")
        if posted is None or posted.ref is None:
            return ""
        try:
            return await self._context.chat.link(posted.ref)
        except ChatError:
            return ""

    async def _put(self, stories: Sequence[Story]) -> None:
        self._stories.update((story.id, story) for story in stories)
        await self._context.search.put([story.document for story in stories])

    async def _lived(self, incident: Incident) -> Story:
        groups = [group for id in incident.groups if (group := await self._group(id))]
        postmortem = await self._context.postmortems.get(incident.id)
        known = await self._context.known_errors.of(incident.id)
        return lived(
            incident,
            names=[name for group in groups for name in labelled(group, "alertname")],
            services=[name for group in groups for name in labelled(group, "service")],
            runs=await self._context.runs.of([incident.id, *incident.groups]),
            timeline=await self._context.timelines.of(incident),
            postmortem=postmortem.summary if postmortem else None,
            cause=known[-1].cause if known else "",
        )

    async def _group(self, id: str) -> AlertGroup | None:
        try:
            return await self._context.alerts.get(GroupId(id))
        except NotFound:
            return None


def _own(group: AlertGroup) -> tuple[str, ...]:
    return (group.incident,) if group.incident else ()
