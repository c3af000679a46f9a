"""What a person can do in Slack. The page and the tests act through the same functions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from bot.practice import annotations, membership, views
from bot.practice.commands import run_command
from bot.practice.elements import blocks_of, find_element
from bot.practice.envelopes import Doing, global_shortcut, message_shortcut
from bot.practice.errors import Refusal, SlackError
from bot.practice.events import emit
from bot.practice.forms import VALUE_KEYS, fill_in, plain_value
from bot.practice.page_json import notice, publish_channel
from bot.practice.posting import Draft, delete, edit, post
from bot.practice.records import Channel, InstalledApp, Json, Message, Person, View
from bot.practice.shapes import view_json
from bot.practice.state import State
from bot.practice.submission import Outcome, close, submit
from bot.practice.using import Use, send, use_in_view, use_on_message
from bot.practice.wording import encode

T = TypeVar("T")

_PLAIN = {
    "not_in_channel": "You are not in this channel.",
    "is_archived": "This channel is archived.",
    "name_taken": "That name is already taken by a channel.",
    "invalid_name_required": "A channel needs a name.",
    "invalid_name_maxlength": "Channel names can't be longer than 80 characters.",
    "invalid_name_specials": "Channel names can't contain spaces, periods, capital letters or "
    "most punctuation.",
    "already_reacted": "You have reacted with that already.",
    "no_reaction": "You have not reacted with that.",
    "invalid_name": "That is not an emoji.",
    "already_pinned": "That message is pinned already.",
    "no_pin": "That message is not pinned.",
    "too_many_emoji": "That message has as many reactions as it can take.",
    "thread_not_found": "That thread is no longer there.",
}


def explain(error: SlackError) -> str:
    """Say one of Slack's error names in words."""
    return _PLAIN.get(error.code, error.code.replace("_", " "))


def plainly(do: Callable[[], T]) -> T:
    """Do something, turning one of Slack's refusals into one for people."""
    try:
        return do()
    except SlackError as error:
        raise Refusal(explain(error)) from error


@dataclass(frozen=True, slots=True)
class Actor:
    """One person acting in a workspace.

    Everything raises `Refusal` with a sentence for the person when it cannot be done.
    Channels are given by name or id.
    """

    state: State
    record: Person

    @property
    def id(self) -> str:
        """Give the person's id."""
        return self.record.id

    @property
    def modal(self) -> View | None:
        """Give the modal the person is looking at."""
        return views.top(self.state, self.id)

    @property
    def home(self) -> View | None:
        """Give what the app's Home tab shows the person."""
        return self.state.homes.get((self.app.id, self.id))

    @property
    def app(self) -> InstalledApp:
        """Give the app, of which a practice workspace usually has one."""
        for app in self.state.apps.values():
            return app
        raise Refusal("No app is installed.")

    def sees(self, channel: str) -> list[Message]:
        """List what the person sees in a channel and its threads, ephemeral messages included."""
        place = self._channel(channel)
        own = [m for m in self.state.ephemerals.values() if m.ephemeral_to == self.id]
        messages = [*place.messages.values(), *(m for m in own if m.channel == place.id)]
        return sorted(messages, key=lambda message: message.ts)

    async def type(self, channel: str, text: str, *, thread_ts: str | None = None) -> None:
        """Type something and press Enter: a message, or a command if it starts with a slash."""
        if text.startswith("/"):
            place = self._channel(channel)
            await run_command(
                self.state, self.record, channel=place, text=text, thread_ts=thread_ts
            )
            return
        await self.say(channel, text, thread_ts=thread_ts)

    async def say(self, channel: str, text: str, *, thread_ts: str | None = None) -> Message:
        """Post a message."""
        place = self._member_of(channel)
        if not text.strip():
            raise Refusal("There is nothing to send.")
        if len(text) > 12_000:
            raise Refusal("That message is too long.")
        draft = Draft(text=encode(self.state, text), thread_ts=thread_ts)
        message = plainly(lambda: post(self.state, place, self.record, draft))
        self._warn_of_absent_apps(place, draft.text)
        return message

    async def edit(self, message: Message, text: str) -> None:
        """Change one's own message."""
        self._require_own(message)
        edit(self.state, message, Draft(text=encode(self.state, text)))

    async def delete(self, message: Message) -> None:
        """Delete one's own message."""
        self._require_own(message)
        delete(self.state, message)

    async def press(
        self,
        target: Message | View,
        name: str,
        *,
        block_id: str | None = None,
        choice: object = None,
        state: Json | None = None,
    ) -> None:
        """Use a button, menu or picker, named by `action_id` or by the button's text.

        `choice` is what was picked: an option's value or text, a person's or channel's name, a
        date. `state` holds other fields of the same message or view as `state.values`.
        """
        blocks = target.blocks or [] if isinstance(target, View) else blocks_of(target)
        _, element = find_element(blocks, name=name, block_id=block_id)
        given: Json = {}
        if element["type"] == "overflow":
            texts = {o["text"]["text"]: o["value"] for o in element["options"]}
            given = {"selected_option": {"value": texts.get(str(choice), choice)}}
        elif element["type"] in VALUE_KEYS:
            given = plain_value(self.state, element, choice)
        await self.use(target, Use(name, block_id, given, state or {}))

    async def use(self, target: Message | View, use: Use) -> None:
        """Use an element with its value in Slack's form, as the page sends it."""
        if isinstance(target, View):
            await use_in_view(self.state, self.record, target, use=use)
        else:
            await use_on_message(self.state, self.record, target, use=use)

    async def submit(self, answers: Mapping[str, object], *, view: View | None = None) -> Outcome:
        """Fill in the open modal and submit it; answers are keyed by block or action id."""
        target = view or self.modal
        if target is None:
            raise Refusal("No form is open.")
        values = fill_in(self.state, target.blocks, answers)
        return await self.submit_values(target, values)

    async def submit_values(self, view: View, values: Json) -> Outcome:
        """Submit a modal with `state.values` in Slack's form, as the page sends it."""
        self._require_open(view)
        return await submit(self._doing(view), view, values)

    async def close(self, view: View | None = None) -> View | None:
        """Dismiss a modal; give the one that comes to light, if any."""
        target = view or self.modal
        if target is None:
            return None
        self._require_open(target)
        return await close(self._doing(target), target)

    async def shortcut(self, callback_id: str, *, message: Message | None = None) -> None:
        """Use a shortcut, on a message if it is a message shortcut."""
        for app in self.state.apps.values():
            for offered in app.shortcuts:
                if offered.callback_id != callback_id:
                    continue
                doing = Doing(self.state, app, self.record)
                if offered.kind == "global":
                    await send(self.state, app, global_shortcut(doing, callback_id))
                    return
                if message is None:
                    raise Refusal("That shortcut needs a message.")
                await send(
                    self.state, app, message_shortcut(doing, message, callback_id=callback_id)
                )
                return
        raise Refusal("There is no such shortcut.")

    async def react(self, message: Message, name: str) -> None:
        """Add a reaction."""
        self._member_of(message.channel)
        plainly(lambda: annotations.react(self.state, message, name, by=self.record))

    async def unreact(self, message: Message, name: str) -> None:
        """Remove one's reaction."""
        plainly(lambda: annotations.unreact(self.state, message, name, by=self.record))

    async def pin(self, message: Message) -> None:
        """Pin a message to its channel."""
        self._member_of(message.channel)
        plainly(lambda: annotations.pin(self.state, message, by=self.record))

    async def unpin(self, message: Message) -> None:
        """Take a pin off."""
        plainly(lambda: annotations.unpin(self.state, message, by=self.record))

    async def join(self, channel: str) -> None:
        """Join a public channel."""
        place = self._channel(channel)
        if self.id in place.members:
            return
        if not place.is_public or place.is_archived:
            raise Refusal("That channel can't be joined.")
        membership.enter(self.state, place, self.record)

    async def leave(self, channel: str) -> None:
        """Leave a channel."""
        place = self._member_of(channel)
        if place.is_direct:
            raise Refusal("A direct message can't be left.")
        membership.depart(self.state, place, self.record)

    async def create_channel(self, name: str, *, kind: str = "channel") -> Channel:
        """Create a channel; `kind` is `channel`, or `group` for a private one."""
        return plainly(lambda: membership.create(self.state, name, by=self.record, kind=kind))

    async def invite(self, channel: str, person: str) -> None:
        """Add somebody, or the app, to a channel."""
        place = self._member_of(channel)
        guest = self._person(person)
        if guest.id in place.members:
            raise Refusal(f"{guest.real_name} is already in this channel.")
        membership.invite(self.state, place, [guest.id], by=self.record)

    async def open_home(self) -> View | None:
        """Open the app's Home tab; give what it shows at this moment."""
        self._emit_home("home")
        return self.home

    async def open_direct(self, person: str) -> Channel:
        """Open the direct message with somebody, or with the app."""
        other = self._person(person)
        channel = self.state.direct_channel(self.id, other.id)
        publish_channel(self.state, channel)
        if other.is_bot:
            self._emit_home("messages")
        return channel

    async def read(self, channel: str) -> None:
        """Mark everything in a channel as read."""
        place = self._channel(channel)
        if place.messages:
            place.last_read[self.id] = max(place.messages)
            publish_channel(self.state, place)

    def _emit_home(self, tab: str) -> None:
        channel = self.state.direct_channel(self.id, self.app.bot_user_id)
        event: Json = {
            "type": "app_home_opened",
            "user": self.id,
            "channel": channel.id,
            "tab": tab,
        }
        home = self.home
        if tab == "home" and home is not None:
            event["view"] = view_json(self.state, home)
        emit(self.state, event, channel=channel)

    def _warn_of_absent_apps(self, place: Channel, text: str) -> None:
        for app in self.state.apps.values():
            if f"<@{app.bot_user_id}>" in text and app.bot_user_id not in place.members:
                words = f"{app.name} is not in this channel, so it did not see your message."
                notice(self.state, self.id, f"{words} Add it with /invite @{self._handle(app)}.")

    def _handle(self, app: InstalledApp) -> str:
        return self.state.people[app.bot_user_id].name

    def _doing(self, view: View) -> Doing:
        return Doing(self.state, self.state.apps[view.app_id], self.record)

    def _channel(self, name: str) -> Channel:
        try:
            channel = self.state.channel(name)
        except KeyError:
            raise Refusal("There is no such channel.") from None
        if not self.state.may_see(self.id, channel):
            raise Refusal("There is no such channel.")
        return channel

    def _member_of(self, name: str) -> Channel:
        channel = self._channel(name)
        if self.id not in channel.members:
            raise Refusal("You are not in this channel.")
        if channel.is_archived:
            raise Refusal("This channel is archived.")
        return channel

    def _person(self, name: str) -> Person:
        try:
            return self.state.find_person(name)
        except KeyError:
            raise Refusal("There is nobody by that name.") from None

    def _require_own(self, message: Message) -> None:
        if message.user != self.id:
            raise Refusal("That is not your message.")

    def _require_open(self, view: View) -> None:
        if view not in self.state.modals.get(self.id, []):
            raise Refusal("That window is no longer open.")
