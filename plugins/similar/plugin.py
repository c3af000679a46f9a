"""The plugin: knows the stories, asks the search, and learns from incidents that end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from typing_extensions import override

from bot.domain.alerts import AlertGroup, GroupId
from bot.domain.errors import NotFound
from bot.domain.events import IncidentChanged
from bot.domain.findings import Finding
from bot.domain.incidents import Incident
from bot.domain.relevance import convincing, query
from bot.plugin import Plugin, PluginContext, PluginSettings
from plugins.similar.messages import nothing_similar, similar
from plugins.similar.stories import KIND, Story, lived, told

_CANDIDATES = 3


class SimilarSettings(PluginSettings):
    """`most` is how many past incidents are shown for one alert."""

    most: int = 1


class Similar(Plugin[SimilarSettings]):
    """Finds past incidents that resemble alerts."""

    name: ClassVar[str] = "similar"
    Settings: ClassVar[type[PluginSettings]] = SimilarSettings

    def __init__(self, settings: SimilarSettings, context: PluginContext) -> None:
        super().__init__(settings, context)
        self._stories: dict[str, Story] = {}

    @override
    async def start(self) -> None:
        stories = [told(incident) for incident in self.context.knowledge.incidents]
        for incident in await self.context.incidents.recent():
            if not incident.status.open:
                stories.append(await self._lived(incident))
        await self._learn(stories)

    @override
    async def on_incident(self, event: IncidentChanged) -> None:
        if not event.incident.status.open:
            await self._learn([await self._lived(event.incident)])
        elif self._stories.pop(event.incident.id, None) is not None:
            await self.context.search.remove([event.incident.id])  # it is worked on again

    @override
    async def findings(self, subject: AlertGroup | Incident) -> Sequence[Finding]:
        if isinstance(subject, Incident):
            return ()
        ready = self.context.search.dense_ready
        hits = await self.context.search.find(
            query(subject), kinds=(KIND,), limit=_CANDIDATES, before=subject.first_seen
        )
        others = self._stories.keys() - {subject.incident}
        known = [hit for hit in hits if hit.document.id in others]
        good = [hit for hit in known if convincing(hit, subject.name)]
        if not good:
            searched = len(self._stories)
            return (nothing_similar(known, searched=searched, dense_ready=ready),)
        now = self.context.clock.now()
        return [
            similar(self._stories[hit.document.id], hit, now=now, dense_ready=ready)
            for hit in good[: self.settings.most]
        ]

    async def _learn(self, stories: Sequence[Story]) -> None:
        self._stories.update((story.id, story) for story in stories)
        await self.context.search.put([story.document for story in stories])

    async def _lived(self, incident: Incident) -> Story:
        names = [await self._name(GroupId(id)) for id in incident.groups]
        postmortem = await self.context.postmortems.get(incident.id)
        return lived(
            incident,
            names=[name for name in names if name],
            runs=await self.context.runs.of([incident.id, *incident.groups]),
            timeline=await self.context.timelines.of(incident),
            postmortem=postmortem.summary if postmortem else "",
        )

    async def _name(self, id: GroupId) -> str:
        try:
            return (await self.context.alerts.get(id)).name
        except NotFound:
            return ""
