"""Slack's events, turned into what people did: wrote, pinned, joined, left."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from bot.domain.events import MessagePosted
from bot.domain.people import ChannelId, PersonId
from bot.ports import MessageRef
from bot.slack.chat import SlackChat, moment
from bot.slack.payloads import Body

_SPOKEN = frozenset({None, "file_share", "thread_broadcast", "me_message"})


@dataclass(frozen=True, kw_only=True)
class Observer:
    """Reads events; what concerns nobody or comes from bots is nothing."""

    chat: SlackChat
    pin_emojis: Collection[str]
    own_user: Callable[[], str]

    async def read(self, body: Body) -> MessagePosted | None:
        """Return what a person did, if an event says so."""
        event = body.get("event") or {}
        if event.get("user") == self.own_user():
            return None
        reader = _READERS.get(event.get("type", ""))
        return await reader(self, body["event_id"], event) if reader else None

    async def message(self, id: str, event: Mapping[str, Any]) -> MessagePosted | None:
        """Read a person's own new message."""
        if event.get("subtype") not in _SPOKEN or event.get("bot_id") or not event.get("user"):
            return None
        at = moment(event["ts"])
        return MessagePosted(
            id=id,
            kind="message",
            channel=ChannelId(event["channel"]),
            person=await self.chat.person(PersonId(event["user"])),
            text=await self.chat.readable(event.get("text") or ""),
            at=at,
            happened_at=at,
            ref=event["ts"],
        )

    async def reaction(self, id: str, event: Mapping[str, Any]) -> MessagePosted | None:
        """Read a reaction that marks a message for the timeline."""
        item = event.get("item") or {}
        # Slack appends the skin tone to the name.
        name = str(event.get("reaction", "")).split("::")[0]
        if name not in self.pin_emojis or item.get("type") != "message":
            return None
        ref = MessageRef(channel=ChannelId(item["channel"]), id=item["ts"])
        return await self._marked(id, ref, event["event_ts"])

    async def pin(self, id: str, event: Mapping[str, Any]) -> MessagePosted | None:
        """Read that a message was pinned to its channel."""
        item = event.get("item") or {}
        message = item.get("message") or {}
        if not message.get("ts"):
            return None
        channel = ChannelId(item.get("channel") or event["channel_id"])
        return await self._marked(
            id, MessageRef(channel=channel, id=message["ts"]), event["event_ts"]
        )

    async def membership(self, id: str, event: Mapping[str, Any]) -> MessagePosted | None:
        """Read that a person came or went."""
        at = moment(event["event_ts"])
        return MessagePosted(
            id=id,
            kind="joined" if event["type"] == "member_joined_channel" else "left",
            channel=ChannelId(event["channel"]),
            person=await self.chat.person(PersonId(event["user"])),
            text="",
            at=at,
            happened_at=at,
            ref=event["event_ts"],
        )

    async def _marked(self, id: str, ref: MessageRef, event_ts: str) -> MessagePosted | None:
        """Return a marked message: its author, text and time, and when it was marked."""
        said = await self.chat.said(ref)
        if said is None:
            return None
        return MessagePosted(
            id=id,
            kind="pinned",
            channel=ref.channel,
            person=said.person,
            text=said.text,
            at=said.at,
            happened_at=moment(event_ts),
            ref=ref.id,
        )


_Reader = Callable[[Observer, str, Mapping[str, Any]], Awaitable[MessagePosted | None]]
_READERS: Mapping[str, _Reader] = {
    "message": Observer.message,
    "reaction_added": Observer.reaction,
    "pin_added": Observer.pin,
    "member_joined_channel": Observer.membership,
    "member_left_channel": Observer.membership,
}
