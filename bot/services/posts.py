"""Messages of ours that must stand exactly once and show the latest state."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from dataclasses import replace
from weakref import WeakValueDictionary

from bot.domain.messages import Message
from bot.domain.people import ChannelId
from bot.ports import Chat, ChatError, Database, MessageRef, Posted

log = logging.getLogger(__name__)

_BEGUN = "begun"

# The chat platform's words for a message that cannot be changed any more.
_LOST = frozenset({"message_not_found", "cant_update_message"})


class PostService:
    """Shows messages by key: the first time it posts, later it updates.

    The row is written before the message is sent. After a crash in between, the
    message is looked for by its key in the channel before it is posted again.
    Two who show the same key at once take turns, so that one posts and one updates.
    A message that somebody deleted, or whose channel was closed, is posted anew.
    """

    def __init__(self, database: Database, chat: Chat) -> None:
        self._database = database
        self._chat = chat
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._showing: set[asyncio.Task[MessageRef]] = set()

    async def get(self, key: str) -> Posted | None:
        """Return what is known of a message of ours."""
        async with self._database.reading() as view:
            return await view.posted.get(key)

    async def show(
        self,
        key: str,
        message: Message,
        *,
        channel: ChannelId,
        thread: MessageRef | None = None,
    ) -> MessageRef:
        """Make the message with this key stand in the channel and show this content.

        A caller that is cancelled does not take it back. The post may be on its way,
        held up by a rate limit, where nobody could find it: a second one would stand
        beside it.
        """
        task = asyncio.create_task(self._in_turn(key, message, channel=channel, thread=thread))
        self._showing.add(task)
        task.add_done_callback(self._shown)
        return await asyncio.shield(task)

    def _shown(self, task: asyncio.Task[MessageRef]) -> None:
        self._showing.discard(task)
        if not task.cancelled():
            task.exception()  # Read once: nobody may be left to hear it.

    async def _in_turn(
        self, key: str, message: Message, *, channel: ChannelId, thread: MessageRef | None
    ) -> MessageRef:
        turn = self._turns.setdefault(key, asyncio.Lock())
        async with turn:
            return await self._show(key, message, channel=channel, thread=thread)

    async def _show(
        self, key: str, message: Message, *, channel: ChannelId, thread: MessageRef | None
    ) -> MessageRef:
        digest = hashlib.sha256(repr(message).encode()).hexdigest()
        known = await self._begin(Posted(key=key, channel=channel, ref=None, digest=""))
        ref = known.ref or await self._found(known, channel)
        if ref is not None and known.digest != digest:
            ref = await self._updated(ref, message, key=key, channel=channel)
        if ref is None:
            if known.ref is not None or known.channel != channel:
                known = replace(known, channel=channel, ref=None, digest=_BEGUN)
                await self._save(known)
            ref = await self._chat.post(channel, message, key=key, thread=thread)
        if known.ref != ref or known.digest != digest:
            await self._save(replace(known, ref=ref, digest=digest))
        return ref

    async def _begin(self, fresh: Posted) -> Posted:
        """Return the known row, or write a new one whose digest says it is the first try."""
        async with self._database.transaction() as tx:
            known = await tx.posted.get(fresh.key)
            if known is None:
                await tx.posted.save(replace(fresh, digest=_BEGUN))
        return known or fresh

    async def _found(self, known: Posted, channel: ChannelId) -> MessageRef | None:
        if known.digest != _BEGUN:
            return None
        try:
            return await self._chat.find(known.channel, known.key)
        except ChatError as error:
            if error.closed and known.channel != channel:
                return None
            raise

    async def _updated(
        self, ref: MessageRef, message: Message, *, key: str, channel: ChannelId
    ) -> MessageRef | None:
        """Update a message; None where it has to be posted anew."""
        try:
            await self._chat.update(ref, message, key=key)
        except ChatError as error:
            elsewhere = error.closed and ref.channel != channel
            if error.error not in _LOST and not elsewhere:
                raise
            log.warning("message %s is posted anew: %s", key, error)
            return None
        return ref

    async def _save(self, posted: Posted) -> None:
        async with self._database.transaction() as tx:
            await tx.posted.save(posted)
