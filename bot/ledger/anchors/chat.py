"""Checkpoints in a channel, where many people have seen them.

One message a day, updated without notifying anybody, shows the newest
checkpoint. Whoever doubts the ledger compares what stands there, or what the
chat platform's export says stood there, with the database.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, timedelta

from bot.domain.checkpoints import BadCheckpoint, Checkpoint, read_checkpoint
from bot.domain.messages import Code, Message, Moment, paragraph, quiet
from bot.domain.people import ChannelId
from bot.ledger.anchors.continuity import check_continuity
from bot.ledger.anchors.paragraphs import notes_in, written
from bot.ports import AnchorFailed, Chat, ChatError, Clock, MessageRef, Proof, SignedCheckpoint

_PLAIN = re.compile(r"[A-Za-z0-9./-]+")
_DAYS = 7  # in which the newest message is looked for


class ChatAnchor:
    """Keeps the newest checkpoint of each origin in the day's message in one channel.

    What is read back is the message's summary, since that is the part of a
    message that the platform returns as text; so the notes stand there as well.
    """

    def __init__(self, chat: Chat, channel: ChannelId, *, clock: Clock) -> None:
        self._chat = chat
        self._channel = channel
        self._clock = clock
        self._today: tuple[date, MessageRef] | None = None
        self._shown: dict[str, bytes] = {}

    @property
    def name(self) -> str:
        """Return what the anchor is called in records."""
        return f"chat:{self._channel}"

    async def keep(self, checkpoint: SignedCheckpoint, *, proof: Proof) -> bytes:
        """Show a checkpoint in the day's message; the receipt is the message's id.

        Raises:
            AnchorFailed: it contradicts what is shown, or could not be shown.
        """
        if not _PLAIN.fullmatch(checkpoint.origin):
            # What is markup is drawn with look-alikes, and so would come back as another origin.
            raise AnchorFailed(
                f"the origin {checkpoint.origin} cannot be shown in a chat unchanged"
            )
        try:
            return await self._keep(checkpoint, proof)
        except ChatError as error:
            raise AnchorFailed(f"the channel cannot be written to: {error}") from error

    async def kept(self) -> Sequence[bytes]:
        """Return the notes of the newest message of the last days, oldest origin first.

        Raises:
            AnchorFailed: the channel cannot be read.
        """
        try:
            return await self._newest()
        except ChatError as error:
            raise AnchorFailed(f"the channel cannot be read: {error}") from error

    async def _keep(self, checkpoint: SignedCheckpoint, proof: Proof) -> bytes:
        ref = await self._message()
        held = _read(self._shown.get(checkpoint.origin))
        if held is not None:
            await check_continuity(held, checkpoint, proof=proof)
        if ref is not None and held is not None and held.size > checkpoint.size:
            return ref.id.encode()
        others = {origin: n for origin, n in self._shown.items() if origin != checkpoint.origin}
        shown = {**others, checkpoint.origin: checkpoint.note}
        message, key = _message(list(shown.values()), checkpoint), _key(self._now)
        if ref is None:
            ref = await self._chat.post(self._channel, message, key=key)
        else:
            await self._chat.update(ref, message, key=key)
        self._today, self._shown = (self._now, ref), shown
        return ref.id.encode()

    async def _message(self) -> MessageRef | None:
        """Return the day's message; after a start, look for it and for what it shows."""
        if self._today is None:
            self._shown = {_origin(note): note for note in await self._newest() if _read(note)}
        elif self._today[0] == self._now:
            return self._today[1]
        return await self._chat.find(self._channel, _key(self._now))

    async def _newest(self) -> list[bytes]:
        for back in range(_DAYS):
            ref = await self._chat.find(self._channel, _key(self._now - timedelta(days=back)))
            said = None if ref is None else await self._chat.said(ref)
            if said is not None:
                shown = notes_in(said.text.encode() + b"\n\n")
                return [note for note in reversed(shown) if _read(note)]
        return []

    @property
    def _now(self) -> date:
        return self._clock.now().date()


def _message(notes: Sequence[bytes], newest: SignedCheckpoint) -> Message:
    title = f"The ledger stands at {newest.size} entries."
    # A summary may be cut at its end, and the newest origin's note must not be.
    body = b"".join(map(written, reversed(notes))).decode().rstrip("\n")
    return Message(
        summary=f"{title}\n\n{body}",
        parts=(
            paragraph(title),
            Code(body),
            quiet("Signed ", Moment(newest.at), ". Updated through the day; nobody is notified."),
        ),
    )


def _key(day: date) -> str:
    return f"ledger-checkpoint:{day.isoformat()}"


def _origin(note: bytes) -> str:
    return read_checkpoint(note).origin


def _read(note: bytes | None) -> Checkpoint | None:
    try:
        return None if note is None else read_checkpoint(note)
    except BadCheckpoint:
        return None
