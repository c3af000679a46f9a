"""Who and what a trial needs besides actions: a clock, people who agree, and no calendars."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from bot.domain.freezes import Window, Windows
from bot.domain.people import Person, PersonId

ASKER = Person(id=PersonId("T0"), name="Asker")
BENCH = tuple(Person(id=PersonId(f"T{n}"), name=f"Approver {n}") for n in range(1, 9))


class StageClock:
    """A clock that moves only when the stage manager says so."""

    def __init__(self, start: datetime) -> None:
        self._now = start

    def now(self) -> datetime:
        """Return the moment on the stage."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += timedelta(seconds=seconds)


class Cast:
    """The people of a trial, in the place of a chat platform: who they are, and their groups.

    Whoever is asked to agree belongs to every group that the page names.
    Nothing is ever posted in a trial.
    """

    def __init__(self) -> None:
        self.groups: Collection[str] = ()

    async def person(self, id: PersonId) -> Person:
        """Return a person."""
        return next((p for p in (ASKER, *BENCH) if p.id == id), ASKER)

    async def member(self, id: PersonId) -> Person:
        """Return a person as they are now."""
        return await self.person(id)

    async def with_address(self, email: str) -> PersonId | None:
        """Know nobody by their address: who wrote the page is not on the stage."""
        return None

    async def groups_of(self, person: PersonId) -> frozenset[str]:
        """Return the groups a person belongs to."""
        return frozenset() if person == ASKER.id else frozenset(self.groups)

    async def members_of(self, group: str) -> Sequence[PersonId]:
        """Return the members of a group."""
        return [person.id for person in BENCH] if group in self.groups else []


class NoCalendars:
    """No freezes and no maintenance."""

    digest = ""

    def at(self, moment: datetime) -> Windows:
        """Return what is in force: nothing."""
        return Windows(active=(), faults=(), digest=self.digest)

    def between(self, start: datetime, end: datetime) -> Sequence[Window]:
        """Return no windows."""
        return ()

    def files(self) -> Mapping[str, bytes]:
        """Return no files."""
        return {}
