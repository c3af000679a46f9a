"""War rooms: opened once, their card, topic and announcement kept current.

Everything here may be done again at any time: events are told at least once,
and those of an alert and of its incident may come at the same moment.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict

from bot.domain.alerts import AlertGroup, GroupId
from bot.domain.errors import NotFound
from bot.domain.incidents import Incident, IncidentId
from bot.domain.people import ChannelId
from bot.plugin import Place, PluginContext
from bot.ports import ChatError, MessageRef
from plugins.warroom import messages
from plugins.warroom.messages import Surroundings

log = logging.getLogger(__name__)

DECLARED = "declared"

_CHANGES_TOPIC = frozenset(
    {"role claimed", "severity changed", "investigating", "resolved", "closed"}
)
_LONGEST_NAME = 80


class Rooms:
    """Keeps each incident's channel; one thing at a time per incident."""

    def __init__(self, context: PluginContext) -> None:
        self._context = context
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._topics: dict[str, str] = {}
        self._links: dict[str, str] = {}

    async def keep(self, id: IncidentId, change: str) -> None:
        """Open the room if need be, and make everything show the incident as it is now."""
        async with self._locks[id]:
            incident = await self._context.incidents.get(id)
            channel = incident.channel
            fresh = channel is None or change == DECLARED
            if channel is None:
                incident, channel = await self._open(incident)
            card = await self._draw_if_open(incident, channel)
            await self._announce(incident)
            if card is None:
                return
            if fresh:
                await self._context.chat.pin(card)
                # Last, since it takes longest and fails most easily.
                await self._context.chat.invite(channel, [p.id for p in incident.responders])
            if change in _CHANGES_TOPIC:
                await self._retitle(incident, channel)

    async def redraw(self, id: IncidentId) -> None:
        """Draw the card again after something around the incident changed."""
        async with self._locks[id]:
            incident = await self._context.incidents.get(id)
            if incident.channel is not None:
                await self._draw_if_open(incident, incident.channel)

    async def around(self, incident: Incident) -> Surroundings:
        """Look up what the card tells besides the incident."""
        alerts = await self.alerts(incident)
        links = {group.id: await self._link(group) for group in alerts}
        runs = await self._context.runs.of([incident.id, *incident.groups])
        return Surroundings(
            alerts=alerts, links={id: url for id, url in links.items() if url}, runs=runs
        )

    async def alerts(self, incident: Incident) -> list[AlertGroup]:
        """Return the incident's alert groups, as far as they are known."""
        found = []
        for id in incident.groups:
            try:
                found.append(await self._context.alerts.get(GroupId(id)))
            except NotFound:
                continue
        return found

    async def _open(self, incident: Incident) -> tuple[Incident, ChannelId]:
        channel = await self._channel(incident)
        self._topics[incident.id] = messages.topic(incident)
        return await self._context.incidents.open_room(incident.id, channel), channel

    async def _channel(self, incident: Incident) -> ChannelId:
        """Create the channel; where its name is somebody else's, the date is added."""
        topic = messages.topic(incident)
        try:
            return await self._context.chat.create_channel(incident.slug, topic=topic)
        except ChatError as error:
            if error.error != "name_taken":
                raise
        day = f"-{incident.declared_at:%Y%m%d}"
        name = incident.slug[: _LONGEST_NAME - len(day)].rstrip("-") + day
        return await self._context.chat.create_channel(name, topic=topic)

    async def _draw_if_open(self, incident: Incident, channel: ChannelId) -> MessageRef | None:
        """Draw the card; a room that was closed to us has none to draw, now or later."""
        try:
            return await self._draw(incident, channel)
        except ChatError as error:
            if not error.closed:
                raise
            log.warning("the war room of %s cannot be drawn in: %s", incident.id, error)
            return None

    async def _draw(self, incident: Incident, channel: ChannelId) -> MessageRef:
        offers = self._context.offers(Place.INCIDENT, incident)
        card = messages.card(incident, await self.around(incident), offers)
        return await self._context.posts.show(f"incident:{incident.id}", card, channel=channel)

    async def _announce(self, incident: Incident) -> None:
        alerts = self._context.channels().alerts
        if alerts is None:
            return
        message = messages.announcement(incident)
        await self._context.posts.show(f"announce:{incident.id}", message, channel=alerts)

    async def _retitle(self, incident: Incident, channel: ChannelId) -> None:
        topic = messages.topic(incident)
        if self._topics.get(incident.id) == topic:
            return
        await self._context.chat.set_topic(channel, topic)
        self._topics[incident.id] = topic

    async def _link(self, group: AlertGroup) -> str:
        """Return a link to a group's card; without one the card does without it."""
        if group.id in self._links:
            return self._links[group.id]
        posted = await self._context.posts.get(f"alert:{group.id}")
        if posted is None or posted.ref is None:
            return ""
        try:
            self._links[group.id] = await self._context.chat.link(posted.ref)
        except ChatError:
            return ""
        return self._links[group.id]
