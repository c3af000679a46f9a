"""Who is asking, and what they may open: asked of the chat's directory, not of the cookie."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.domain.errors import Refused
from bot.domain.people import Person, PersonId
from bot.plugin import Audience
from bot.ports import Clock

Audiences = Callable[[PersonId], Awaitable[tuple[Person, frozenset[Audience]]]]

# Who was taken out of a group, or out of the company, is out at the latest after this.
_KEPT = timedelta(seconds=30)
_MOST = 1_000


@dataclass(frozen=True, kw_only=True)
class Visitor:
    """Somebody who is signed in, with the audiences they belong to now."""

    person: Person
    audiences: frozenset[Audience]


class Visitors:
    """Knows people; remembers an answer for half a minute, and never a refusal."""

    def __init__(self, audiences: Audiences, clock: Clock) -> None:
        self._audiences = audiences
        self._clock = clock
        self._kept: dict[PersonId, tuple[datetime, Visitor]] = {}

    async def visitor(self, id: PersonId) -> Visitor:
        """Return who this is now.

        Raises:
            Refused: they may open no page, and why.
        """
        now = self._clock.now()
        kept = self._kept.get(id)
        if kept and timedelta() <= now - kept[0] < _KEPT:
            return kept[1]
        self._kept.pop(id, None)
        person, audiences = await self._audiences(id)
        if person.bot:
            raise Refused("These pages are for people, not for bots.")
        if not audiences:
            raise Refused("These pages are for members of the workspace.")
        if len(self._kept) >= _MOST:
            self._kept.clear()
        self._kept[id] = (now, Visitor(person=person, audiences=audiences))
        return self._kept[id][1]

    def forget(self, id: PersonId) -> None:
        """Ask anew the next time."""
        self._kept.pop(id, None)
