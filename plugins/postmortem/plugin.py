"""The plugin: handlers only call services; the event that follows posts the draft."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

from typing_extensions import override

from bot.domain.errors import Refused
from bot.domain.events import IncidentChanged
from bot.domain.incidents import Incident, IncidentId
from bot.domain.messages import Button, Reply
from bot.domain.people import ChannelId
from bot.plugin import (
    Command,
    CommandRequest,
    Interaction,
    InteractionRequest,
    Offer,
    Place,
    Plugin,
    PluginSettings,
)
from plugins.postmortem.document import whole
from plugins.postmortem.messages import caught_up, drafted, posted

DRAFT = "postmortem.draft"
SHOW = "postmortem.show"
CATCH_UP = "postmortem.catchup"

_ID = re.compile(r"(?:inc-?)?(\d{1,9})", re.IGNORECASE)


class PostmortemPlugin(Plugin[PluginSettings]):
    """Drafts post-mortems and tells people who join late what they missed."""

    name: ClassVar[str] = "postmortem"

    @override
    def commands(self) -> Sequence[Command]:
        return (
            Command(
                root="/incident",
                verb="postmortem",
                usage="[INC-n]",
                summary="draft the post-mortem from the records",
                handler=self.ask_for_draft,
                aliases=("pm", "post-mortem", "post mortem"),
            ),
            Command(
                root="/incident",
                verb="catchup",
                usage="[INC-n]",
                summary="tell you what you missed; only you see it",
                handler=self.ask_to_catch_up,
                aliases=("catch-up", "catch-me-up"),
            ),
        )

    @override
    def interactions(self) -> Sequence[Interaction]:
        return (
            Interaction(
                name=CATCH_UP,
                handler=self.press_catch_up,
                offer=Offer(place=Place.INCIDENT, order=80, button=_catch_up_button),
            ),
            Interaction(
                name=DRAFT,
                handler=self.press_draft,
                offer=Offer(place=Place.INCIDENT, order=90, button=_draft_button),
            ),
            Interaction(name=SHOW, handler=self.show),
        )

    async def ask_for_draft(self, request: CommandRequest) -> Reply:
        """Draft the post-mortem of the incident that is meant."""
        incident = await self._meant(request)
        postmortem = await self.context.postmortems.draft(incident.id, by=request.caller)
        return drafted(postmortem, incident)

    async def press_draft(self, request: InteractionRequest) -> Reply:
        """Draft the post-mortem of the card's incident."""
        incident = await self.context.incidents.get(IncidentId(request.value))
        postmortem = await self.context.postmortems.draft(incident.id, by=request.caller)
        return drafted(postmortem, incident)

    async def ask_to_catch_up(self, request: CommandRequest) -> Reply:
        """Tell where the incident that is meant stands."""
        incident = await self._meant(request)
        return caught_up(await self.context.postmortems.catch_up(incident.id))

    async def press_catch_up(self, request: InteractionRequest) -> Reply:
        """Tell where the card's incident stands."""
        return caught_up(await self.context.postmortems.catch_up(IncidentId(request.value)))

    async def show(self, request: InteractionRequest) -> Reply:
        """Show the newest draft, whole."""
        postmortem = await self.context.postmortems.get(IncidentId(request.value))
        if postmortem is None:
            raise Refused(
                f"{request.value} has no post-mortem yet; `/incident postmortem` drafts it."
            )
        return whole(postmortem)

    @override
    async def on_incident(self, event: IncidentChanged) -> None:
        incident = event.incident
        if event.change != "postmortem drafted" or incident.channel is None:
            return
        postmortem = await self.context.postmortems.get(incident.id)
        if postmortem is not None:
            message = posted(postmortem, show=SHOW)
            await self.context.posts.show(
                f"postmortem:{incident.id}", message, channel=incident.channel
            )

    async def _meant(self, request: CommandRequest) -> Incident:
        """Return the incident by the command's first word, or of the channel."""
        if request.words:
            return await self.context.incidents.get(_id(request.words[0]))
        return await self._of_channel(request.channel)

    async def _of_channel(self, channel: ChannelId) -> Incident:
        incident = await self.context.incidents.of_channel(channel)
        if incident is None:
            raise Refused("Say which incident you mean (INC-1), or ask in its channel.")
        return incident


def _id(word: str) -> IncidentId:
    found = _ID.fullmatch(word)
    if found is None:
        raise Refused(f"“{word[:40]}” is not an incident; say it like INC-1.")
    return IncidentId(f"INC-{int(found[1])}")


def _draft_button(incident: Incident) -> Button | None:
    if incident.status.open:
        return None
    return Button(label="Draft post-mortem", interaction=DRAFT, value=incident.id)


def _catch_up_button(incident: Incident) -> Button | None:
    if not incident.status.open:
        return None
    return Button(label="Catch me up", interaction=CATCH_UP, value=incident.id)
