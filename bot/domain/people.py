"""People, channels and the ways they are named: opaque ids from the chat platform."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NewType

PersonId = NewType("PersonId", str)
ChannelId = NewType("ChannelId", str)


class Role(Enum):
    """A part a person plays in an incident."""

    COMMANDER = "commander"
    SCRIBE = "scribe"
    COMMUNICATIONS = "communications"

    @property
    def title(self) -> str:
        """Return the role's name as people say it."""
        return _TITLES[self]

    @property
    def duty(self) -> str:
        """Say in one sentence what the holder does."""
        return _DUTIES[self]


_TITLES = {
    Role.COMMANDER: "Incident commander",
    Role.SCRIBE: "Scribe",
    Role.COMMUNICATIONS: "Communications lead",
}
_DUTIES = {
    Role.COMMANDER: "decides, delegates and keeps the incident moving",
    Role.SCRIBE: "keeps the timeline complete",
    Role.COMMUNICATIONS: "tells stakeholders what is going on",
}


@dataclass(frozen=True, kw_only=True)
class Person:
    """Someone in the workspace. Bots and apps are people that may not approve."""

    id: PersonId
    name: str
    bot: bool = False

    @property
    def actor(self) -> str:
        """Return the reference the ledger and the timeline use."""
        return f"bot:{self.id}" if self.bot else f"person:{self.id}"


BOT = Person(id=PersonId("tocsin"), name="Tocsin", bot=True)


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who asks, and by which request.

    `request` is the id of the envelope that carried the wish. It is stored in
    the transaction of the effect, so that a repeated envelope does nothing.
    """

    person: Person
    request: str
