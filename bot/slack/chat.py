"""Slack as the chat platform that the use cases see."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bot.domain.messages import Message
from bot.domain.people import ChannelId, Person, PersonId
from bot.ports import ChatError, MessageRef, Said
from bot.slack import limits
from bot.slack.api import Api, Uncertain
from bot.slack.blocks import render
from bot.slack.channels import Channels
from bot.slack.directory import Directory
from bot.slack.escape import cut, readable, references, unbracketed
from bot.slack.history import History
from bot.slack.queue import ChannelQueues
from bot.slack.spans import Json

EVENT_TYPE = "tocsin_message"
_MOST = 10_000
"""Messages of which we remember what they consist of."""


class SlackChat:
    """Implements the `Chat` port.

    Everything that changes a channel's messages goes through the channel's
    queue. Each message carries our key in its metadata: a post that may or may
    not have come through is looked for before it is sent again.
    """

    def __init__(
        self, api: Api, *, directory: Directory, queues: ChannelQueues, now: Callable[[], datetime]
    ) -> None:
        self._api = api
        self._directory = directory
        self._queues = queues
        self._channels = Channels(api)
        self._history = History(api)
        self._bodies: dict[MessageRef, str] = {}
        self._now = now

    async def post(
        self, channel: ChannelId, message: Message, *, key: str, thread: MessageRef | None = None
    ) -> MessageRef:
        """Post a message, never twice."""
        payload: Json = {
            "channel": channel,
            **_filled(render(message, now=self._now())),
            "metadata": {"event_type": EVENT_TYPE, "event_payload": {"key": key}},
            "unfurl_links": False,
            "unfurl_media": False,
        }
        if thread:
            payload["thread_ts"] = thread.id
        return await self._queues.send(channel, lambda: self._post(payload, key, thread))

    async def find(self, channel: ChannelId, key: str) -> MessageRef | None:
        """Return our message with this key among the channel's recent ones and their threads."""
        return await self._history.find(channel, key)

    async def update(self, ref: MessageRef, message: Message, *, key: str) -> None:
        """Replace a message of ours; the last of several waiting updates is sent."""
        payload: Json = {
            "channel": ref.channel,
            "ts": ref.id,
            **render(message, now=self._now()),
            "metadata": {"event_type": EVENT_TYPE, "event_payload": {"key": key}},
        }
        await self._queues.send(ref.channel, lambda: self._update(ref, payload), replaces=ref.id)

    async def whisper(self, channel: ChannelId, person: PersonId, message: Message) -> None:
        """Show a message in a channel to one person only."""
        payload = _filled(render(message, now=self._now()))
        await self._api.call("chat.postEphemeral", channel=channel, user=person, **payload)

    async def direct(self, person: PersonId) -> ChannelId:
        """Return the channel in which we and a person talk alone."""
        return await self._channels.direct(person)

    async def create_channel(self, name: str, *, topic: str) -> ChannelId:
        """Create a public channel, or return the one of that name we created before."""
        channel = await self._channels.create(name)
        await self.set_topic(channel, topic)
        return channel

    async def channel_named(self, name: str) -> ChannelId | None:
        """Return a channel by its name, joining it if it is public; None if there is none."""
        return await self._channels.named(name)

    async def set_topic(self, channel: ChannelId, topic: str) -> None:
        """Set a channel's topic; nothing in it mentions or links."""
        short = cut(unbracketed(" ".join(topic.split())), limits.TOPIC)
        await self._api.call_inside("conversations.setTopic", channel=channel, topic=short)

    async def invite(self, channel: ChannelId, people: Collection[PersonId]) -> None:
        """Invite people; those who are in already or cannot be invited are skipped."""
        await self._channels.invite(channel, people)

    async def pin(self, ref: MessageRef) -> None:
        """Pin a message; one that is pinned stays so."""
        await self._unless("already_pinned", "pins.add", channel=ref.channel, timestamp=ref.id)

    async def react(self, ref: MessageRef, name: str) -> None:
        """Add a reaction of ours; one that is there stays."""
        await self._unless(
            "already_reacted", "reactions.add", channel=ref.channel, timestamp=ref.id, name=name
        )

    async def person(self, id: PersonId) -> Person:
        """Look a person up."""
        return await self._directory.person(id)

    async def member(self, id: PersonId) -> Person:
        """Return a person as they are in the workspace now, seconds old at most."""
        return await self._directory.member(id)

    async def with_address(self, email: str) -> PersonId | None:
        """Return whose e-mail address this is, or None."""
        return await self._directory.with_address(email)

    async def groups_of(self, person: PersonId) -> frozenset[str]:
        """Return the handles of the user groups a person belongs to now."""
        return await self._directory.groups_of(person)

    async def members_of(self, group: str) -> Sequence[PersonId]:
        """Return the members of a user group by its handle; nobody for an unknown one."""
        return await self._directory.members_of(group)

    async def said(self, ref: MessageRef) -> Said | None:
        """Return a message as it was written, with a link to it."""
        message = await self._history.at(ref)
        if message is None:
            return None
        return Said(
            ref=ref,
            person=await self._author(message),
            text=await self.readable(_text_of(message)),
            at=moment(ref.id),
            link=await self.link(ref),
        )

    async def readable(self, text: str) -> str:
        """Turn a text from Slack into what its reader saw."""
        names = {id: await self._name(PersonId(id)) for id in references(text)}
        return readable(text, {id: name for id, name in names.items() if name})

    async def link(self, ref: MessageRef) -> str:
        """Return a permanent link to a message."""
        answer = await self._api.call("chat.getPermalink", channel=ref.channel, message_ts=ref.id)
        return str(answer["permalink"])

    async def _post(self, payload: Json, key: str, thread: MessageRef | None) -> MessageRef:
        try:
            answer = await self._api.call_inside("chat.postMessage", **payload)
        except Uncertain:
            find, place = self._history.find, ChannelId(payload["channel"])
            found = await (self._history.find_reply(thread, key) if thread else find(place, key))
            if found:
                return found
            answer = await self._api.call_inside("chat.postMessage", **payload)
        ref = MessageRef(channel=ChannelId(answer["channel"]), id=answer["ts"])
        self._remember(ref, payload)
        return ref

    async def _update(self, ref: MessageRef, payload: Json) -> None:
        """Replace a message; what it consists of so far stays unless it is taken away."""
        stands = self._bodies.get(ref) or await self._body_of(ref)
        if stands and stands not in payload:
            text = payload["text"] or payload["attachments"][0]["fallback"]
            without = {"channel": ref.channel, "ts": ref.id, "text": text, stands: []}
            await self._api.call("chat.update", **without)
        await self._api.call("chat.update", **payload)
        self._remember(ref, payload)

    def _remember(self, ref: MessageRef, payload: Json) -> None:
        if len(self._bodies) >= _MOST:
            self._bodies.clear()
        self._bodies[ref] = "blocks" if "blocks" in payload else "attachments"

    async def _body_of(self, ref: MessageRef) -> str | None:
        """Read what a message consists of that was posted before our start."""
        message = await self._history.at(ref) or {}
        return next((body for body in ("attachments", "blocks") if message.get(body)), None)

    async def _unless(self, fine: str, method: str, **arguments: Any) -> None:
        try:
            await self._api.call_inside(method, **arguments)
        except ChatError as error:
            if error.error != fine:
                raise

    async def _name(self, id: PersonId) -> str | None:
        try:
            return (await self._directory.person(id)).name
        except ChatError:
            return None

    async def _author(self, message: Mapping[str, Any]) -> Person:
        if message.get("user"):
            return await self._directory.person(PersonId(message["user"]))
        id = str(message.get("bot_id") or "unknown")
        return Person(id=PersonId(id), name=str(message.get("username") or "An app"), bot=True)


def moment(ts: str) -> datetime:
    """Read Slack's timestamps, which are seconds and also name the message."""
    return datetime.fromtimestamp(float(ts), UTC)


def _filled(payload: Json) -> Json:
    return {name: value for name, value in payload.items() if value}


def _text_of(message: Mapping[str, Any]) -> str:
    """Return a message's text; one that is only a card is told by its fallback."""
    if message.get("text"):
        return str(message["text"])
    cards = message.get("attachments") or ()
    return "\n".join(str(card["fallback"]) for card in cards if card.get("fallback"))
