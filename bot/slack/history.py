"""Messages that stand in channels, read back: by place, and ours by their key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bot.domain.people import ChannelId
from bot.ports import ChatError, MessageRef
from bot.slack.api import Api

_RECENT = 100
_THREADS = 10


class History:
    """Reads channels and threads."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def at(self, ref: MessageRef) -> Mapping[str, Any] | None:
        """Return the message at a place, which may be within a thread."""
        place = {"latest": ref.id, "oldest": ref.id, "inclusive": True, "limit": 1}
        history = await self._api.call("conversations.history", channel=ref.channel, **place)
        found = _at(ref.id, history.get("messages", ()))
        if found is not None:
            return found
        try:
            replies = await self._api.call(
                "conversations.replies", channel=ref.channel, ts=ref.id, **place
            )
        except ChatError as error:
            if error.error in {"thread_not_found", "message_not_found"}:
                return None
            raise
        return _at(ref.id, replies.get("messages", ()))

    async def find(self, channel: ChannelId, key: str) -> MessageRef | None:
        """Return our message with this key among the channel's recent ones and their threads."""
        recent = await self._messages("conversations.history", channel=channel)
        found = self._with_key(channel, recent, key)
        if found:
            return found
        threads = [message for message in recent if message.get("reply_count")]
        threads.sort(key=lambda message: str(message.get("latest_reply", "")), reverse=True)
        for root in threads[:_THREADS]:
            found = await self.find_reply(MessageRef(channel=channel, id=root["ts"]), key)
            if found:
                return found
        return None

    async def find_reply(self, root: MessageRef, key: str) -> MessageRef | None:
        """Return our message with this key in a thread."""
        replies = await self._messages("conversations.replies", channel=root.channel, ts=root.id)
        return self._with_key(root.channel, replies, key)

    async def _messages(self, method: str, **arguments: Any) -> list[Mapping[str, Any]]:
        answer = await self._api.call(method, limit=_RECENT, include_all_metadata=True, **arguments)
        return list(answer.get("messages", ()))

    def _with_key(
        self, channel: ChannelId, messages: Iterable[Mapping[str, Any]], key: str
    ) -> MessageRef | None:
        for message in messages:
            metadata = message.get("metadata") or {}
            if self._ours(message) and (metadata.get("event_payload") or {}).get("key") == key:
                return MessageRef(channel=channel, id=message["ts"])
        return None

    def _ours(self, message: Mapping[str, Any]) -> bool:
        """Say whether we wrote a message: another app could copy our metadata."""
        us = self._api.identity
        return message.get("user") == us.user or bool(us.bot and message.get("bot_id") == us.bot)


def _at(ts: str, messages: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    return next((message for message in messages if message.get("ts") == ts), None)
