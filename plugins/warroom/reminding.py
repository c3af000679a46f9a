"""One reminder for an incident that nobody commands; it says so when somebody does.

What is due is read from the incidents' own rows, so that a restart forgets
nothing, and the message has a key, so that it stands once.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from bot.domain.incidents import Incident
from bot.domain.messages import Buttons, Message, PersonName, note, paragraph
from bot.domain.people import ChannelId, Role
from bot.plugin import JobRun, PluginContext
from bot.ports import ChatError
from plugins.warroom.messages import role_button

log = logging.getLogger(__name__)


def reminder(incident: Incident) -> Message:
    """Draw the reminder as things stand now."""
    commander = incident.roles.get(Role.COMMANDER)
    if commander is not None:
        text = f"{incident.id} has a commander: {commander.name}."
        spans = (f"{incident.id} has a commander: ", PersonName(commander.id, commander.name), ".")
        return Message(summary=text, parts=(paragraph(*spans),))
    if not incident.status.open:
        return note(f"{incident.id} is {incident.status}.")
    text = f"{incident.id} has no incident commander yet. Who takes it?"
    button = role_button(incident, Role.COMMANDER)
    return Message(summary=text, parts=(paragraph(text), Buttons((button,))))


class Reminding:
    """Looks at open incidents now and then."""

    def __init__(self, context: PluginContext, *, after: timedelta) -> None:
        self._context = context
        self._after = after

    async def remind(self, run: JobRun) -> None:
        """Remind each war room that has waited for a commander for too long, once."""
        now = self._context.clock.now()
        for incident in await self._context.incidents.open():
            waited = now - incident.declared_at >= self._after
            alone = Role.COMMANDER not in incident.roles
            if waited and alone and incident.channel is not None:
                await self._remind(incident, incident.channel)

    async def _remind(self, incident: Incident, channel: ChannelId) -> None:
        """Show the reminder, and once more where somebody took command meanwhile.

        A room that cannot be reminded keeps the reminder from no other.
        """
        try:
            await self._show(incident, channel)
            await self.update(await self._context.incidents.get(incident.id))
        except ChatError as error:
            log.info("the war room of %s cannot be reminded: %s", incident.id, error)

    async def update(self, incident: Incident) -> None:
        """Bring a reminder that stands up to date; make none."""
        known = await self._context.posts.get(_key(incident))
        if known is None:
            return
        try:
            await self._show(incident, known.channel)
        except ChatError as error:
            if not error.closed:
                raise

    async def _show(self, incident: Incident, channel: ChannelId) -> None:
        await self._context.posts.show(_key(incident), reminder(incident), channel=channel)


def _key(incident: Incident) -> str:
    return f"reminder:commander:{incident.id}"
