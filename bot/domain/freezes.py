"""Windows in time: change freezes, and maintenance that was announced.

A freeze forbids changes; maintenance mutes the alerts it announces. A freeze
beats maintenance for actions; for muting, maintenance counts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol


class WindowKind(Enum):
    """What a window does, by the word that a calendar's category has for it."""

    FREEZE = "freeze"
    MAINTENANCE = "maintenance"


@dataclass(frozen=True, kw_only=True)
class Window:
    """One occurrence, half open: `ends_at` is the first moment after it. Times are UTC-aware.

    It covers the named services and the services of the named teams; where
    neither is named it covers everything. `source` says where it is written:
    the calendar's file and the event's UID.

    Raises:
        ValueError: a time has no zone, or the window has no length.
    """

    kind: WindowKind
    title: str
    starts_at: datetime
    ends_at: datetime
    services: frozenset[str] = frozenset()
    teams: frozenset[str] = frozenset()
    source: str

    def __post_init__(self) -> None:
        if self.starts_at.tzinfo is None or self.ends_at.tzinfo is None:
            raise ValueError("a window's times need a zone")
        if self.ends_at <= self.starts_at:
            raise ValueError("a window ends after it starts")

    def during(self, moment: datetime) -> bool:
        """Say whether a moment lies in the window."""
        return self.starts_at <= moment < self.ends_at

    def covers(self, service: str | None, team: str | None) -> bool:
        """Say whether the window is about a service, or about its team.

        What names no service and no team is covered only by a window for everything.
        """
        if not self.services and not self.teams:
            return True
        return service in self.services or team in self.teams


@dataclass(frozen=True, kw_only=True)
class CalendarFault:
    """A calendar that cannot be relied on: unreadable, torn or stale."""

    source: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Windows:
    """What is in force at one moment, and which calendars could not say.

    `digest` identifies the calendars' content that was asked, for the record.
    """

    active: tuple[Window, ...] = ()
    faults: tuple[CalendarFault, ...] = ()
    digest: str = ""

    def freezes(
        self, service: str | None, team: str | None, touched: Collection[str] = ()
    ) -> tuple[Window, ...]:
        """Return the freezes that forbid changing a service.

        A freeze of any service that the change touches counts too. Of those only
        the names are known here: who knows their teams asks for each of them.
        """
        return tuple(
            window
            for window in self.active
            if window.kind is WindowKind.FREEZE
            and (window.covers(service, team) or not window.services.isdisjoint(touched))
        )

    def maintenance(self, service: str | None, team: str | None) -> Window | None:
        """Return the maintenance that covers a service; of several the one that ends last."""
        covering = [
            window
            for window in self.active
            if window.kind is WindowKind.MAINTENANCE and window.covers(service, team)
        ]
        return max(covering, key=lambda window: (window.ends_at, window.source), default=None)


class Calendars(Protocol):
    """The windows that people have written down."""

    @property
    def digest(self) -> str:
        """Return what identifies the calendars: SHA-256 over the files' names and bytes."""
        ...

    def at(self, moment: datetime) -> Windows:
        """Return what is in force at a moment.

        Synchronous and quick, since the gate asks within its transaction.
        """
        ...

    def between(self, start: datetime, end: datetime) -> Sequence[Window]:
        """Return the windows that touch a time, in their order; at most 1,000."""
        ...

    def files(self) -> Mapping[str, bytes]:
        """Return the calendars as they were read, by name, for evidence."""
        ...
