"""One calendar file: its windows around a moment, remembered by the day."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bot.calendars.events import Series, read_series
from bot.calendars.lines import Unfit, read_calendar
from bot.domain.freezes import Window

LARGEST = 256 * 1024  # bytes
_DAY = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Spell:
    """A span, `until` excluded, in which nothing begins or ends, and what is in force in it."""

    since: datetime
    until: datetime
    active: tuple[Window, ...]

    def holds(self, moment: datetime) -> bool:
        """Say whether a moment lies in the span."""
        return self.since <= moment < self.until


class Calendar:
    """The windows of one file.

    Occurrences are worked out for one day at a time and kept, and so is what is
    in force. The days of different files begin at different times, so that they
    are not all worked out anew in one and the same transaction.
    """

    def __init__(self, series: Sequence[Series], *, name: str = "") -> None:
        self._series = series
        self._phase = timedelta(seconds=zlib.crc32(name.encode()) % 86_400)
        self._day = _EPOCH
        self._windows: Sequence[Window] | None = None
        self._spell: Spell | None = None

    def at(self, moment: datetime) -> Spell:
        """Return what is in force at a moment, and how long that stays so."""
        if self._spell is None or not self._spell.holds(moment):
            self._spell = self._work_out(moment)
        return self._spell

    def _work_out(self, moment: datetime) -> Spell:
        start = moment - (moment - _EPOCH - self._phase) % _DAY
        if self._windows is None or self._day != start:
            self._day, self._windows = start, self.between(start, start + _DAY)
        edges = [edge for w in self._windows for edge in (w.starts_at, w.ends_at)]
        return Spell(
            since=max((edge for edge in edges if start < edge <= moment), default=start),
            until=min((e for e in edges if moment < e < start + _DAY), default=start + _DAY),
            active=tuple(window for window in self._windows if window.during(moment)),
        )

    def between(self, start: datetime, end: datetime) -> Sequence[Window]:
        """Return the windows that touch a time, in their order."""
        windows = (window for series in self._series for window in series.between(start, end))
        return sorted(windows, key=order)


def order(window: Window) -> tuple[datetime, datetime, str]:
    """Return what windows are ordered by."""
    return window.starts_at, window.ends_at, window.source


def read(content: bytes, *, name: str) -> Calendar:
    """Read a calendar file.

    Raises:
        Unfit: it cannot be relied on; the reason names the event and the property.
    """
    if len(content) > LARGEST:
        raise Unfit(f"is larger than {LARGEST // 1024} KB")
    return Calendar(read_series(read_calendar(content), name), name=name)
