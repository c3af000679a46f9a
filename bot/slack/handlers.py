"""What the rest of the assistant hands to the Slack adapter: whom to call for what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bot.domain.events import MessagePosted
from bot.domain.messages import Message
from bot.domain.people import Person
from bot.plugin import Command, Interaction


async def _nothing(event: MessagePosted) -> None:
    """Hear nothing."""


async def _empty(person: Person) -> Sequence[Message]:
    return ()


@dataclass(frozen=True, kw_only=True)
class SlackHandlers:
    """Everything the listeners call, by the names that Slack's payloads carry."""

    commands: Sequence[Command] = ()
    interactions: Mapping[str, Interaction] = field(default_factory=dict)
    on_message: Callable[[MessagePosted], Awaitable[None]] = _nothing
    home: Callable[[Person], Awaitable[Sequence[Message]]] = _empty
