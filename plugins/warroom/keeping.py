"""What is kept for the timeline: who joined, and what people marked."""

from __future__ import annotations

import logging

from bot.domain.errors import Refused
from bot.domain.events import MessagePosted
from bot.domain.incidents import Incident, IncidentId
from bot.domain.messages import Message, Reply, note
from bot.domain.timeline import TimelineKind
from bot.plugin import InteractionRequest, PluginContext
from bot.ports import ChatError, MessageRef, Said
from plugins.warroom.forms import keep_form

log = logging.getLogger(__name__)

KEEP = "warroom.keep"
SEEN = "white_check_mark"

JOINED = "joined"
PINNED = "pinned"


class Keeping:
    """Records what happens in war rooms, with its original time."""

    def __init__(self, context: PluginContext) -> None:
        self._context = context

    async def hear(self, event: MessagePosted) -> None:
        """Record a joining or a marked message; what people just write is theirs."""
        if event.kind not in (JOINED, PINNED):
            return
        incident = await self._context.incidents.of_channel(event.channel)
        if incident is None:
            return
        if event.kind == JOINED:
            await self._joined(incident, event)
        else:
            await self._pinned(incident, event)

    async def _joined(self, incident: Incident, event: MessagePosted) -> None:
        if event.person.bot:
            return
        await self._context.incidents.join(incident.id, event.person)
        await self._context.timelines.observe(
            incident,
            TimelineKind.JOIN,
            text="joined the channel",
            person=event.person,
            at=event.happened_at,
            origin=f"join:{event.channel}:{event.person.id}",
        )

    async def _pinned(self, incident: Incident, event: MessagePosted) -> None:
        ref = MessageRef(channel=event.channel, id=event.ref)
        said = Said(ref=ref, person=event.person, text=event.text, at=event.at, link="")
        await self._keep(incident, said)

    async def _keep(self, incident: Incident, said: Said) -> None:
        """Record a message once, however often it is marked, and show that it was seen."""
        await self._context.timelines.observe(
            incident,
            TimelineKind.PIN,
            text=said.text,
            person=said.person,
            at=said.at,
            origin=f"message:{said.ref.channel}:{said.ref.id}",
        )
        try:
            await self._context.chat.react(said.ref, SEEN)
        except ChatError as error:  # it is on the timeline, which is what counts
            log.info("message %s could not be marked as seen: %s", said.ref.id, error)

    async def keep(self, request: InteractionRequest) -> Reply:
        """Add the message to its war room's timeline, or ask to which one it belongs."""
        said = await self._said(request)
        incident = await self._context.incidents.of_channel(said.ref.channel)
        if incident is not None:
            return await self._kept(incident, said)
        incidents = await self._context.incidents.open()
        if not incidents:
            raise Refused("No incident is open whose timeline this could be added to.")
        return keep_form(incidents)

    async def choose(self, request: InteractionRequest) -> Reply:
        """Add the message to the timeline that was chosen."""
        id = IncidentId(request.answers.get("incident", ""))
        incident = await self._context.incidents.get(id)
        return await self._kept(incident, await self._said(request))

    async def _kept(self, incident: Incident, said: Said) -> Message:
        await self._keep(incident, said)
        return note(f"This message is on the timeline of {incident.id}.")

    async def _said(self, request: InteractionRequest) -> Said:
        said = await self._read(request.message) if request.message else None
        if said is None:
            raise Refused("This message cannot be read; invite me to its channel first.")
        return said

    async def _read(self, ref: MessageRef) -> Said | None:
        try:
            return await self._context.chat.said(ref)
        except ChatError as error:
            if not error.closed:
                raise
            return None
