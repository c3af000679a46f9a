"""Tells of a broken glass: everybody in one message, and the security contact directly."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from bot.domain.emergencies import BreakGlass
from bot.domain.messages import Message
from bot.domain.people import ChannelId, PersonId
from bot.plugin import PluginContext
from bot.ports import ChatError
from plugins.governance import glass as says

log = logging.getLogger(__name__)

# Whoever is in a larger group is not on call for this.
MOST_PAGED = 20


class Paging:
    """Keeps the messages about broken glasses current."""

    def __init__(self, context: PluginContext) -> None:
        self._context = context

    async def update(self, id: str) -> None:
        """Show one glass as it stands.

        Who can be reached is told even where somebody else cannot; then it is
        tried again as a whole, which repeats nothing.

        Raises:
            ChatError: somebody could not be told.
        """
        found = [g for g in await self._context.emergencies.all() if g.id == id]
        for glass in found:
            failures = await self._page(glass)
            await self._everybody(glass)
            if failures:
                raise failures[0]

    async def _everybody(self, glass: BreakGlass) -> None:
        channel = self._context.channels().alerts
        if channel is None:
            return
        message = says.everybody(glass, told=await self._told())
        await self._context.posts.show(f"glass:{glass.id}", message, channel=channel)

    async def _told(self) -> str:
        contact = self._context.security_contact
        if not contact:
            return "No security contact is configured, so nobody was told directly."
        if contact.startswith("#") or await self._members(contact):
            return f"The security contact ({contact}) was told."
        return f"Nobody is in the security contact {contact}, so nobody was told directly."

    async def _page(self, glass: BreakGlass) -> Sequence[ChatError]:
        contact, message = self._context.security_contact, says.page(glass)
        if contact.startswith("#"):
            key = f"glass:{glass.id}:{contact}"
            return await self._tried(key, message, channel=ChannelId(contact))
        failures: list[ChatError] = []
        for person in await self._members(contact):
            failures += await self._page_one(glass, person, message)
        return failures

    async def _page_one(
        self, glass: BreakGlass, person: PersonId, message: Message
    ) -> Sequence[ChatError]:
        try:
            channel = await self._context.chat.direct(person)
        except ChatError as error:
            log.warning("%s could not be told of a broken glass: %s", person, error)
            return [error]
        return await self._tried(f"glass:{glass.id}:{person}", message, channel=channel)

    async def _tried(
        self, key: str, message: Message, *, channel: ChannelId
    ) -> Sequence[ChatError]:
        try:
            await self._context.posts.show(key, message, channel=channel)
        except ChatError as error:
            log.warning("The security contact could not be told of a broken glass: %s", error)
            return [error]
        return []

    async def _members(self, contact: str) -> Sequence[PersonId]:
        if not contact:
            return ()
        return (await self._context.chat.members_of(contact.lstrip("@")))[:MOST_PAGED]
