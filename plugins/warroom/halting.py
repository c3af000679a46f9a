"""The kill switch as people use it, and everybody's word of it.

A switch changes no subject, so no event tells of it: the handler itself shows
the message, once per pull, and turns it when the switch is released.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from bot.domain.messages import Message, Reply, note
from bot.plugin import Command, CommandRequest, PluginContext
from bot.ports import ChatError
from plugins.warroom import messages

log = logging.getLogger(__name__)

LONGEST_REASON = 500


class Halting:
    """Lets anyone stop all actions, and people release them."""

    def __init__(self, context: PluginContext) -> None:
        self._context = context

    def commands(self, root: str) -> Sequence[Command]:
        """Return the two verbs."""
        return (
            Command(
                root=root,
                verb="halt",
                usage="<reason>",
                summary="pull the kill switch: no action is run until it is released",
                handler=self._halt,
            ),
            Command(
                root=root,
                verb="release",
                usage="",
                summary="release the kill switch",
                handler=self._release,
            ),
        )

    async def _halt(self, request: CommandRequest) -> Reply:
        """Stop everything; a missing reason must not stand in the way of that."""
        reason = request.text.strip()[:LONGEST_REASON] or "no reason given"
        halt = await self._context.switches.halt(reason, by=request.caller)
        await self._show(halt.at, messages.halted(halt.reason, halt.by))
        return note(
            f"The kill switch is pulled by {halt.by}. No action is run until it is released."
        )

    async def _release(self, request: CommandRequest) -> Reply:
        halt = await self._context.switches.state()
        await self._context.switches.release(by=request.caller)
        if halt is not None:
            await self._show(halt.at, messages.released(request.caller.person.name))
        return note("The kill switch is released. Actions are run again.")

    async def _show(self, pulled: datetime, message: Message) -> None:
        """Show it in the alerts channel; the switch works whether the chat platform does or not."""
        channel = self._context.channels().alerts
        if channel is None:
            return
        try:
            await self._context.posts.show(f"halt:{pulled.isoformat()}", message, channel=channel)
        except ChatError as error:
            log.warning("Nobody could be told about the kill switch: %s", error)
