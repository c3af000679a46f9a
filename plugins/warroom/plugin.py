"""The plugin: what it offers and hears, and who of its parts does it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar

from pydantic import Field
from typing_extensions import override

from bot.domain.events import AlertChanged, IncidentChanged, MessagePosted, RunChanged
from bot.domain.incidents import IncidentId
from bot.domain.messages import Message
from bot.domain.people import Person, Role
from bot.plugin import (
    Command,
    Interaction,
    Job,
    Offer,
    Place,
    Plugin,
    PluginContext,
    PluginSettings,
    Shortcut,
)
from plugins.warroom import forms, messages
from plugins.warroom.conduct import Conduct
from plugins.warroom.declaring import DECLARE, Declaring
from plugins.warroom.keeping import KEEP, Keeping
from plugins.warroom.reminding import Reminding
from plugins.warroom.rooms import Rooms
from plugins.warroom.verbs import Verbs

REMIND_EVERY = 60.0  # seconds between two looks at the open incidents


class WarroomSettings(PluginSettings):
    """`remind_after` is in seconds: how long an incident may go without a commander."""

    remind_after: float = Field(default=600.0, gt=0)


class Warroom(Plugin[WarroomSettings]):
    """Opens war rooms and keeps them current."""

    name: ClassVar[str] = "warroom"
    Settings: ClassVar[type[PluginSettings]] = WarroomSettings

    def __init__(self, settings: WarroomSettings, context: PluginContext) -> None:
        super().__init__(settings, context)
        self._rooms = Rooms(context)
        self._declaring = Declaring(context)
        self._conduct = Conduct(context, self._rooms)
        self._keeping = Keeping(context)
        self._reminding = Reminding(context, after=timedelta(seconds=settings.remind_after))
        self._verbs = Verbs(
            context, rooms=self._rooms, conduct=self._conduct, declaring=self._declaring
        )

    @override
    def commands(self) -> Sequence[Command]:
        return self._verbs.commands()

    @override
    def interactions(self) -> Sequence[Interaction]:
        conduct = self._conduct
        declare = Interaction(
            name=DECLARE,
            handler=self._declaring.open,
            offer=Offer(place=Place.ALERT, order=20, button=self._declaring.button),
            shortcut=Shortcut(title="Declare an incident", on_message=False),
        )
        keep = Interaction(
            name=KEEP,
            handler=self._keeping.keep,
            shortcut=Shortcut(title="Add to timeline", on_message=True),
        )
        return (
            declare,
            Interaction(name=forms.DECLARE_SUBMIT, handler=self._declaring.submit),
            keep,
            Interaction(name=forms.KEEP_SUBMIT, handler=self._keeping.choose),
            Interaction(name=messages.TAKE[Role.COMMANDER], handler=conduct.commander),
            Interaction(name=messages.TAKE[Role.SCRIBE], handler=conduct.scribe),
            Interaction(name=messages.TAKE[Role.COMMUNICATIONS], handler=conduct.communications),
            Interaction(name=messages.UPDATE, handler=conduct.update),
            Interaction(name=forms.UPDATE_SUBMIT, handler=conduct.updated),
            Interaction(name=messages.RESOLVE, handler=conduct.resolve),
            Interaction(name=messages.CLOSE, handler=conduct.close),
        )

    @override
    def jobs(self) -> Sequence[Job]:
        return (Job(name="remind", every=REMIND_EVERY, handler=self._reminding.remind),)

    @override
    async def home_section(self, viewer: Person) -> Message | None:
        incidents = await self.context.incidents.open()
        return messages.open_list(incidents) if incidents else None

    @override
    async def on_incident(self, event: IncidentChanged) -> None:
        await self._rooms.keep(event.incident.id, event.change)
        await self._reminding.update(event.incident)

    @override
    async def on_alert(self, event: AlertChanged) -> None:
        if event.group.incident is not None:
            await self._rooms.redraw(IncidentId(event.group.incident))

    @override
    async def on_run(self, event: RunChanged) -> None:
        if event.run.incident is not None:
            await self._rooms.redraw(IncidentId(event.run.incident))

    @override
    async def on_message(self, event: MessagePosted) -> None:
        await self._keeping.hear(event)
