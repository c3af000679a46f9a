"""How an answer reaches the person: beside the message, in a modal, or directly."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime

from bot.domain.messages import FieldErrors, Form, Heading, Message, Reply, note, paragraph
from bot.ports import ChatError
from bot.slack.api import Api
from bot.slack.blocks import render
from bot.slack.dispatch import Declined
from bot.slack.forms import render_form, render_message
from bot.slack.payloads import Origin
from bot.slack.spans import Json

log = logging.getLogger(__name__)

TITLE = "Tocsin"
_EXPIRED = "That took too long for Slack to open the form. Please try again."


class Replies:
    """Shows replies to the person who acted, and to nobody else."""

    def __init__(self, api: Api, now: Callable[[], datetime]) -> None:
        self._api = api
        self._now = now

    async def show(self, reply: Reply | Declined, origin: Origin) -> None:
        """Show a reply; a form that can no longer be opened is apologised for."""
        if isinstance(reply, Form):
            try:
                return await self._open(self.form(reply, origin), origin)
            except ChatError as error:
                if error.error not in {"expired_trigger_id", "trigger_exchanged", "not_found"}:
                    raise
                log.warning("The form %s came too late: %s", reply.interaction, error)
                reply = note(_EXPIRED)
        if reply is not None:
            await self._tell(as_message(reply), origin)
        return None

    async def show_late(self, reply: Reply | Declined, origin: Origin) -> None:
        """Show what a form's handler answered after the form had to be closed."""
        if reply is not None:
            await self._tell(as_message(reply), origin)

    def form(self, form: Form, origin: Origin) -> Json:
        """Draw a form so that it remembers where it was opened from."""
        return render_form(form, opened=origin.opened(form.value), now=self._now())

    def message(self, message: Message, origin: Origin) -> Json:
        """Draw a message as a modal."""
        opened = origin.opened("")
        return render_message(message, title=TITLE, opened=opened, now=self._now())

    async def publish(self, user: str, view: Json) -> None:
        """Show a person's home page."""
        await self._api.call("views.publish", user_id=user, view=view)

    async def _open(self, view: Json, origin: Origin) -> None:
        if origin.view:
            await self._api.call("views.update", view_id=origin.view, view=view)
        else:
            await self._api.call("views.open", trigger_id=origin.trigger, view=view)

    async def _tell(self, message: Message, origin: Origin) -> None:
        """Try the ways to the person, the nearest first.

        Raises:
            ChatError: none of them is open.
        """
        ways: list[Callable[[], Awaitable[None]]] = []
        if origin.view:
            ways.append(lambda: self._open(self.message(message, origin), origin))
        if origin.response_url:
            ways.append(lambda: self._respond(message, origin))
        if origin.channel:
            ways.append(lambda: self._whisper(message, origin))
        elif origin.trigger and not origin.view:
            ways.append(lambda: self._open(self.message(message, origin), origin))
        for way in ways:
            try:
                return await way()
            except ChatError as error:
                log.info("An answer to %s goes another way: %s", origin.name, error)
        return await self._direct(message, origin)

    async def _respond(self, message: Message, origin: Origin) -> None:
        thread = {"thread_ts": origin.thread} if origin.thread else {}
        await self._api.respond(origin.response_url or "", {**self._drawn(message), **thread})

    async def _whisper(self, message: Message, origin: Origin) -> None:
        await self._api.call(
            "chat.postEphemeral",
            channel=origin.channel,
            user=origin.user,
            thread_ts=origin.thread,
            **self._drawn(message),
        )

    async def _direct(self, message: Message, origin: Origin) -> None:
        answer = await self._api.call("conversations.open", users=origin.user)
        await self._api.call(
            "chat.postMessage", channel=answer["channel"]["id"], **self._drawn(message)
        )

    def _drawn(self, message: Message) -> Json:
        drawn = render(message, now=self._now())
        return {name: value for name, value in drawn.items() if value}


def as_message(reply: Message | Form | FieldErrors | Declined) -> Message:
    """Say a reply as a message where it cannot be a form."""
    if isinstance(reply, Declined):
        return note(reply.reason)
    if isinstance(reply, FieldErrors):
        return note(" ".join(reply.errors.values()) or "Something in the form is not right.")
    if isinstance(reply, Message):
        return reply
    again = [paragraph("Please open the form again to go on.")] if reply.fields else []
    return Message(summary=reply.title, parts=(Heading(reply.title), *reply.parts, *again))
