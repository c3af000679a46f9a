"""People, channels and the ways they are named: opaque ids from the chat platform."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NewType

from bot.domain.errors import Refused

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
    """Someone in the workspace. Bots and apps are people that may not approve.

    A guest sees only some channels, a stranger belongs to another organisation
    (Slack Connect), and who is not active has left. `account` is the same for
    two accounts of one human being; empty, it is the id.
    """

    id: PersonId
    name: str
    bot: bool = False
    guest: bool = False
    stranger: bool = False
    active: bool = True
    account: str = ""

    @property
    def actor(self) -> str:
        """Return the reference the ledger and the timeline use."""
        return f"bot:{self.id}" if self.bot else f"person:{self.id}"

    @property
    def human(self) -> str:
        """Return what two accounts of one human being have in common."""
        return self.account or self.id


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A person with what they belong to at a moment.

    `groups` are handles of user groups, `teams` follow from them (the members of
    `payments` and of `payments-oncall` are of the team payments), and `roles`
    are parts they play in the incident at hand.
    """

    person: Person
    groups: frozenset[str] = frozenset()
    teams: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()

    @property
    def on_call(self) -> bool:
        """Say whether they are on call for any team."""
        return any(group.endswith(ON_CALL) for group in self.groups)

    def belongs(self, who: str) -> bool:
        """Say whether a place in a quorum is open to them: `sre`, `team:web`, `role:commander`."""
        kind, _, name = who.rpartition(":")
        if kind == "team":
            return name in self.teams
        if kind == "role":
            return name in self.roles
        return who in self.groups


ON_CALL = "-oncall"


BOT = Person(id=PersonId("tocsin"), name="Tocsin", bot=True)


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who asks, and by which request.

    `request` is the id of the envelope that carried the wish. It is stored in
    the transaction of the effect, so that a repeated envelope does nothing.
    """

    person: Person
    request: str


def check_member(person: Person, *, does: str) -> None:
    """Let only full members of this workspace do what `does` says: `name causes`.

    Raises:
        Refused: it is a bot, a guest, a stranger or somebody who has left.
    """
    if person.bot:
        raise Refused(f"Only people {does}.")
    if person.guest or person.stranger or not person.active:
        raise Refused(f"Only full members of this workspace {does}.")
