"""The chat platform, and what stands on it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bot.domain.messages import Message
from bot.domain.people import ChannelId, Person, PersonId


@dataclass(frozen=True, kw_only=True)
class MessageRef:
    """Where a message stands on the chat platform."""

    channel: ChannelId
    id: str


@dataclass(frozen=True, kw_only=True)
class Said:
    """A message as people wrote it."""

    ref: MessageRef
    person: Person
    text: str
    at: datetime
    link: str


class Chat(Protocol):
    """The chat platform. Every method may raise `ChatError`."""

    async def post(
        self, channel: ChannelId, message: Message, *, key: str, thread: MessageRef | None = None
    ) -> MessageRef:
        """Post a message. `key` is our own id for it, kept with it for `find`."""
        ...

    async def find(self, channel: ChannelId, key: str) -> MessageRef | None:
        """Return our message with this key if it stands among the channel's recent ones."""
        ...

    async def update(self, ref: MessageRef, message: Message, *, key: str) -> None:
        """Replace a message of ours. Updates of one message may be coalesced."""
        ...

    async def whisper(self, channel: ChannelId, person: PersonId, message: Message) -> None:
        """Show a message in a channel to one person only."""
        ...

    async def direct(self, person: PersonId) -> ChannelId:
        """Return the channel in which we and a person talk alone."""
        ...

    async def create_channel(self, name: str, *, topic: str) -> ChannelId:
        """Create a public channel, or return the one of that name we created before."""
        ...

    async def set_topic(self, channel: ChannelId, topic: str) -> None:
        """Set a channel's topic."""
        ...

    async def invite(self, channel: ChannelId, people: Collection[PersonId]) -> None:
        """Invite people; those who are in already or cannot be invited are skipped."""
        ...

    async def pin(self, ref: MessageRef) -> None:
        """Pin a message; one that is pinned stays so."""
        ...

    async def react(self, ref: MessageRef, name: str) -> None:
        """Add a reaction of ours; one that is there stays."""
        ...

    async def person(self, id: PersonId) -> Person:
        """Look a person up."""
        ...

    async def member(self, id: PersonId) -> Person:
        """Return a person as they are in the workspace now, seconds old at most."""
        ...

    async def with_address(self, email: str) -> PersonId | None:
        """Return whose e-mail address this is, or None."""
        ...

    async def groups_of(self, person: PersonId) -> frozenset[str]:
        """Return the handles of the user groups a person belongs to now."""
        ...

    async def members_of(self, group: str) -> Sequence[PersonId]:
        """Return the members of a user group by its handle; nobody for an unknown one."""
        ...

    async def said(self, ref: MessageRef) -> Said | None:
        """Return a message as it was written, with a link to it."""
        ...

    async def link(self, ref: MessageRef) -> str:
        """Return a permanent link to a message."""
        ...


class ChatError(Exception):
    """The chat platform refused or could not be reached. `error` is its own word for it."""

    def __init__(self, error: str, detail: str = "") -> None:
        super().__init__(f"{error} {detail}".strip())
        self.error = error

    @property
    def closed(self) -> bool:
        """Say whether the channel is closed to us: archived, gone, or we are not in it."""
        return self.error in {"channel_not_found", "is_archived", "not_in_channel"}
