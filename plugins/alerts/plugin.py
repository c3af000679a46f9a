"""The plugin: buttons on the alert card, a list of what fires, a part of the home page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from typing_extensions import override

from bot.domain.alerts import AlertGroup, AlertStatus, GroupId
from bot.domain.errors import Refused
from bot.domain.messages import FieldErrors, Message, Reply
from bot.domain.people import Person
from bot.plugin import (
    Command,
    CommandRequest,
    Interaction,
    InteractionRequest,
    Job,
    JobRun,
    Offer,
    Place,
    Plugin,
    PluginContext,
    PluginSettings,
)
from bot.ports import ChatError
from plugins.alerts import messages
from plugins.alerts.details import details_form

_MOST_LINKS = 1_000  # remembered
SILENCES_EVERY = 30.0  # seconds between two looks for silences that have run out


class Alerts(Plugin[PluginSettings]):
    """Lets people acknowledge, silence and look into alerts."""

    name: ClassVar[str] = "alerts"

    def __init__(self, settings: PluginSettings, context: PluginContext) -> None:
        super().__init__(settings, context)
        self._links: dict[str, str] = {}

    @override
    def commands(self) -> Sequence[Command]:
        return (
            Command(
                root="/incident",
                verb="alerts",
                usage="",
                summary="list the alerts that are firing",
                handler=self._list,
                aliases=("firing",),
            ),
        )

    @override
    def jobs(self) -> Sequence[Job]:
        return (Job(name="silences", every=SILENCES_EVERY, handler=self._end_silences),)

    async def _end_silences(self, run: JobRun) -> None:
        await self.context.alerts.end_silences()

    @override
    def interactions(self) -> Sequence[Interaction]:
        return (
            Interaction(
                name=messages.ACKNOWLEDGE,
                handler=self._acknowledge,
                offer=Offer(place=Place.ALERT, order=10, button=messages.acknowledge_button),
            ),
            Interaction(
                name=messages.SILENCE,
                handler=self._silence,
                offer=Offer(place=Place.ALERT, order=40, button=messages.silence_button),
            ),
            Interaction(name=messages.SILENCE_SUBMIT, handler=self._silence_submit),
            Interaction(
                name=messages.DETAILS,
                handler=self._details,
                offer=Offer(place=Place.ALERT, order=50, button=messages.details_button),
            ),
        )

    @override
    async def home_section(self, viewer: Person) -> Message | None:
        groups = await self.context.alerts.firing()
        now = self.context.clock.now()
        links = await self._linked(messages.at_home(groups, viewer=viewer.id, at=now))
        return messages.home(groups, links, viewer=viewer.id, at=now)

    async def _list(self, request: CommandRequest) -> Reply:
        groups = await self.context.alerts.firing()
        links = await self._linked(messages.listed(groups))
        return messages.firing_list(groups, links, at=self.context.clock.now())

    async def _acknowledge(self, request: InteractionRequest) -> Reply:
        group = await self._firing(request.value)
        await self.context.alerts.acknowledge(group.id, by=request.caller)
        return None

    async def _silence(self, request: InteractionRequest) -> Reply:
        group = await self._firing(request.value)
        return messages.silence_form(group, at=self.context.clock.now())

    async def _silence_submit(self, request: InteractionRequest) -> Reply:
        span = messages.SPANS.get(request.answers.get("duration", ""))
        reason = " ".join(request.answers.get("reason", "").split())
        if span is None:
            return FieldErrors({"duration": "Choose one of the times."})
        if not reason:
            return FieldErrors({"reason": "Say why, for those who look at it later."})
        group = await self._firing(request.value)
        await self.context.alerts.silence(
            group.id, span, by=request.caller, reason=reason[: messages.LONGEST_REASON]
        )
        return None

    async def _details(self, request: InteractionRequest) -> Reply:
        group = await self.context.alerts.get(GroupId(request.value))
        offered = self.context.offers(Place.DETAILS, group)
        return details_form(group, await self.context.timelines.about(group.id), offered)

    async def _firing(self, id: str) -> AlertGroup:
        """Return a group that fires; the card may have been older than the alert's end."""
        group = await self.context.alerts.get(GroupId(id))
        if group.status is AlertStatus.RESOLVED:
            raise Refused(f"{group.name} has resolved by itself; there is nothing left to do.")
        return group

    async def _linked(self, groups: Sequence[AlertGroup]) -> Mapping[str, str]:
        """Return links to the groups' cards, as far as these stand and links are to be had."""
        if len(self._links) > _MOST_LINKS:
            self._links.clear()
        for group in groups:
            if group.id not in self._links and (url := await self._card_link(group)):
                self._links[group.id] = url
        return dict(self._links)

    async def _card_link(self, group: AlertGroup) -> str:
        card = await self.context.posts.get(f"alert:{group.id}")
        if card is None or card.ref is None:
            return ""
        try:
            return await self.context.chat.link(card.ref)
        except ChatError:
            return ""
