"""Messages of ours that must stand exactly once and show the latest state."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from bot.domain.messages import Message
from bot.domain.people import ChannelId
from bot.ports import Chat, Database, MessageRef, Posted


class PostService:
    """Shows messages by key: the first time it posts, later it updates.

    The row is written before the message is sent. After a crash in between, the
    message is looked for by its key in the channel before it is posted again.
    """

    def __init__(self, database: Database, chat: Chat) -> None:
        self._database = database
        self._chat = chat

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
        """Make the message with this key stand in the channel and show this content."""
        digest = hashlib.sha256(repr(message).encode()).hexdigest()
        known = await self._begin(Posted(key=key, channel=channel, ref=None, digest=""))
        ref = known.ref or await self._found(known)
        if ref is None:
            ref = await self._chat.post(channel, message, key=key, thread=thread)
        elif known.digest != digest:
            await self._chat.update(ref, message, key=key)
        if known.ref != ref or known.digest != digest:
            await self._save(replace(known, ref=ref, digest=digest))
        return ref

    async def _begin(self, fresh: Posted) -> Posted:
        """Return the known row, or write a new one whose digest says it is the first try."""
        async with self._database.transaction() as tx:
            known = await tx.posted.get(fresh.key)
            if known is None:
                await tx.posted.save(replace(fresh, digest="begun"))
        return known or fresh

    async def _found(self, known: Posted) -> MessageRef | None:
        if known.digest != "begun":
            return None
        return await self._chat.find(known.channel, known.key)

    async def _save(self, posted: Posted) -> None:
        async with self._database.transaction() as tx:
            await tx.posted.save(posted)
