"""The plugin: what it offers, what it claims about alerts, and what it learns from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from typing_extensions import override

from bot.domain.alerts import AlertGroup
from bot.domain.events import IncidentChanged, KnowledgeChanged
from bot.domain.findings import Finding
from bot.domain.incidents import Incident
from bot.domain.relevance import query_of, worth_showing
from bot.plugin import (
    Command,
    Interaction,
    Offer,
    Place,
    Plugin,
    PluginContext,
    PluginSettings,
)
from plugins.similar import views
from plugins.similar.known import KnownErrors
from plugins.similar.looking import Looking
from plugins.similar.messages import nothing_similar, similar
from plugins.similar.shelf import Shelf


class SimilarSettings(PluginSettings):
    """`most` is how many past incidents are claimed for one alert; Details shows more."""

    most: int = 1


class Similar(Plugin[SimilarSettings]):
    """Finds past incidents that resemble alerts."""

    name: ClassVar[str] = "similar"
    Settings: ClassVar[type[PluginSettings]] = SimilarSettings

    def __init__(self, settings: SimilarSettings, context: PluginContext) -> None:
        super().__init__(settings, context)
        self._shelf = Shelf(context)
        self._looking = Looking(context, self._shelf)
        self._known = KnownErrors(context)

    @override
    async def start(self) -> None:
        await self._place()
        await self._shelf.fill()
        await self._known.start()
        await self._looking.learn()

    @override
    async def stop(self) -> None:
        await self._shelf.stop()

    @override
    def commands(self) -> Sequence[Command]:
        return self._known.commands()

    @override
    def interactions(self) -> Sequence[Interaction]:
        looking = self._looking
        return (
            Interaction(
                name=views.SHOW,
                handler=looking.show,
                offer=Offer(place=Place.DETAILS, order=10, button=views.show_button),
            ),
            Interaction(name=views.OTHERS, handler=looking.others),
            Interaction(name=views.SEARCH, handler=looking.search),
            Interaction(name=views.USEFUL, handler=looking.useful),
            Interaction(name=views.USELESS, handler=looking.useless),
            Interaction(name=views.BECAUSE, handler=looking.because),
            *self._known.interactions(),
        )

    @override
    async def on_incident(self, event: IncidentChanged) -> None:
        await self._shelf.follow(event.incident)
        if event.change.startswith("known error"):
            await self._shelf.follow_causes()
        await self._known.on_change(event)
        if story := self._shelf.get(event.incident.id):
            await self._shelf.links.to((story,))  # cards may show it then without asking

    @override
    async def on_knowledge(self, event: KnowledgeChanged) -> None:
        await self._place()

    @override
    async def findings(self, subject: AlertGroup | Incident) -> Sequence[Finding]:
        if isinstance(subject, Incident):
            return ()
        known = await self._known.finding(subject)
        claims = await self._claims(subject)
        return claims if known is None else (known, *claims)

    async def _claims(self, group: AlertGroup) -> Sequence[Finding]:
        """Claim the past incidents that are sure to be like it, or say that there is none."""
        query = query_of(group)
        found = await self._shelf.like(query, group)
        ready, now = self.context.search.dense_ready, self.context.clock.now()
        claims = []
        for hit in worth_showing(found, query.names)[: self.settings.most]:
            story = self._shelf.get(hit.document.id)
            if story is not None:
                url = await self._shelf.links.remembered(story)
                claims.append(similar(story, hit, found=found, now=now, dense_ready=ready, url=url))
        if claims:
            return claims
        return (nothing_similar(found, searched=len(self._shelf), dense_ready=ready),)

    async def _place(self) -> None:
        """Tell the search which services need which."""
        services = self.context.knowledge.catalog.services
        await self.context.search.place({s.name: s.depends_on for s in services.values()})
