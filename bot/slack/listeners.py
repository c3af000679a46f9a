"""Slack's way in: find the handler by name, acknowledge what it committed, show its reply.

Bolt is given one listener per kind of payload; names are looked up in our own
tables, so that nothing goes unanswered, not even a button from an older version.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.domain.messages import FieldErrors, Form, Message, Reply
from bot.domain.people import Caller, Person, PersonId
from bot.plugin import CommandRequest, Interaction, InteractionRequest
from bot.ports import ChatError
from bot.slack.chat import SlackChat
from bot.slack.commands import CommandBook
from bot.slack.dispatch import Declined, attempt
from bot.slack.escape import typed
from bot.slack.forms import answers, field_errors, first_error
from bot.slack.handlers import SlackHandlers
from bot.slack.home import render_home
from bot.slack.observed import Observer
from bot.slack.payloads import (
    Body,
    Origin,
    action_origin,
    command_origin,
    shortcut_origin,
    view_origin,
)
from bot.slack.replies import Replies, as_message
from bot.slack.spans import Json

log = logging.getLogger(__name__)

SUBMISSION_DEADLINE = 2.5  # seconds; Slack gives a form up after 3
ACKNOWLEDGE_WITHIN = 1.0  # seconds; a press whose handler takes longer is acknowledged before it
_ANY = re.compile(".*", re.DOTALL)
_OLDER = Declined("This button is from an older version of the bot and does nothing any more.")


class Listeners:
    """Takes what Slack sends to the handlers and brings their replies back."""

    def __init__(
        self,
        handlers: SlackHandlers,
        *,
        chat: SlackChat,
        replies: Replies,
        observer: Observer,
        now: Callable[[], datetime],
        deadline: float = SUBMISSION_DEADLINE,
    ) -> None:
        self._handlers = handlers
        self._book = CommandBook(handlers.commands)
        self._chat = chat
        self._replies = replies
        self._observer = observer
        self._now = now
        self._deadline = deadline
        self._busy: set[asyncio.Task[Any]] = set()

    def register(self, app: AsyncApp) -> None:
        """Listen to every kind of payload."""
        app.command(_ANY)(self.on_command)
        app.action(_ANY)(self.on_action)
        app.view(_ANY)(self.on_view)
        app.shortcut(_ANY)(self.on_shortcut)
        app.event(_ANY)(self.on_event)

    async def drain(self, seconds: float) -> None:
        """Give the work in hand some time to end."""
        if self._busy:
            await asyncio.wait(set(self._busy), timeout=seconds)

    async def on_command(self, ack: AsyncAck, body: dict[str, Any]) -> None:
        """Hear a slash command."""
        origin = command_origin(body)
        await self._acknowledged(ack, lambda: self._command(origin), origin)

    async def on_action(self, ack: AsyncAck, body: dict[str, Any]) -> None:
        """Hear a pressed button."""
        origin = action_origin(body)
        given = answers(body.get("view") or {})
        await self._acknowledged(ack, lambda: self._interaction(origin, given), origin)
        if origin.home:
            await self._tracked(self._home(origin.user, origin.user_name))

    async def on_shortcut(self, ack: AsyncAck, body: dict[str, Any]) -> None:
        """Hear a shortcut."""
        origin = shortcut_origin(body)
        await self._acknowledged(ack, lambda: self._interaction(origin, {}), origin)

    async def on_view(self, ack: AsyncAck, body: dict[str, Any]) -> None:
        """Hear a submitted form; its acknowledgement is the answer, if that comes in time."""
        origin, view = view_origin(body), body["view"]
        work = self._tracked(
            attempt(lambda: self._interaction(origin, answers(view)), name=origin.name)
        )
        await asyncio.wait({work}, timeout=self._deadline)
        if not work.done():
            await ack()
            await self._tracked(self._show_late(await work, origin))
            return
        answer = self._acknowledgement(work.result(), origin, view)
        if answer is not None:
            await ack(**answer)
            return
        await ack()
        await self._tracked(self._show_late(work.result(), origin))

    async def on_event(self, body: dict[str, Any]) -> None:
        """Hear an event; Bolt has acknowledged it already."""
        event = body.get("event") or {}
        if event.get("type") == "app_home_opened":
            if event.get("tab", "home") == "home":
                await self._tracked(self._home(PersonId(event["user"]), ""))
            return
        await self._tracked(attempt(lambda: self._observe(body), name=str(event.get("type"))))

    def _tracked(self, work: Awaitable[Any]) -> asyncio.Task[Any]:
        task = asyncio.ensure_future(work)
        assert isinstance(task, asyncio.Task)  # noqa: S101 for mypy: these are coroutines
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)
        return task

    async def _acknowledged(
        self, ack: AsyncAck, work: Callable[[], Awaitable[Reply]], origin: Origin
    ) -> None:
        """Do the work, acknowledge, show the reply.

        What was acknowledged has been committed, so that a crash in between is
        seen by the person as an error of Slack's and never as a press that left
        no trace. Work that takes longer is acknowledged before Slack gives up.
        """
        doing = self._tracked(attempt(work, name=origin.name))
        await asyncio.wait({doing}, timeout=ACKNOWLEDGE_WITHIN)
        await ack()
        await self._show(await doing, origin)

    async def _show(self, reply: Reply | Declined, origin: Origin) -> None:
        shown = await attempt(lambda: self._replies.show(reply, origin), name=origin.name)
        if isinstance(shown, Declined):
            await self._apologise(shown, origin)

    async def _show_late(self, reply: Reply | Declined, origin: Origin) -> None:
        shown = await attempt(lambda: self._replies.show_late(reply, origin), name=origin.name)
        if isinstance(shown, Declined):
            await self._apologise(shown, origin)

    async def _apologise(self, declined: Declined, origin: Origin) -> None:
        try:
            await self._replies.show_late(declined, origin)
        except ChatError as error:
            log.warning("No way to tell %s about %s: %s", origin.user, origin.name, error)

    async def _command(self, origin: Origin) -> Reply:
        chosen = self._book.choose(origin.name, origin.value)
        if isinstance(chosen, Message):
            return chosen
        assert origin.channel is not None  # noqa: S101 commands always have one
        request = CommandRequest(
            caller=await self._caller(origin),
            channel=origin.channel,
            # Words name people by id, for the machine; the text is for people to read.
            words=tuple(typed(word) for word in chosen.words),
            text=await self._chat.readable(chosen.text),
        )
        return await chosen.command.handler(request)

    async def _interaction(self, origin: Origin, given: dict[str, str]) -> Reply:
        interaction: Interaction | None = self._handlers.interactions.get(origin.name)
        if interaction is None:
            return as_message(_OLDER)
        request = InteractionRequest(
            caller=await self._caller(origin),
            value=origin.value,
            answers=given,
            channel=origin.channel,
            message=origin.message,
        )
        return await interaction.handler(request)

    async def _caller(self, origin: Origin) -> Caller:
        """Name the person; without an answer from Slack by what the payload calls them."""
        try:
            person = await self._chat.person(origin.user)
        except ChatError as error:
            log.warning("Cannot look %s up: %s", origin.user, error)
            person = Person(id=origin.user, name=origin.user_name or origin.user)
        return Caller(person=person, request=origin.request)

    def _acknowledgement(self, reply: Reply | Declined, origin: Origin, view: Body) -> Json | None:
        """Return what Slack is to do with the form, or None to close it and speak elsewhere."""
        if isinstance(reply, Form):
            return {"response_action": "update", "view": self._replies.form(reply, origin)}
        if isinstance(reply, FieldErrors | Declined):
            errors = (
                first_error(reply.reason, view)
                if isinstance(reply, Declined)
                else field_errors(reply, view)
            )
            if errors:
                return {"response_action": "errors", "errors": errors}
        if reply is None or origin.channel:
            return None
        view = self._replies.message(as_message(reply), origin)
        return {"response_action": "update", "view": view}

    async def _observe(self, body: Body) -> None:
        posted = await self._observer.read(body)
        if posted is not None:
            await self._handlers.on_message(posted)

    async def _home(self, user: PersonId, name: str) -> None:
        async def draw() -> None:
            origin = Origin(user=user, user_name=name, request="", name="home")
            caller = await self._caller(origin)
            sections = await self._handlers.home(caller.person)
            await self._replies.publish(user, render_home(sections, now=self._now()))

        await attempt(draw, name="home")
