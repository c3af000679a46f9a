"""Local times and durations, and what the clock changes do to them.

A window is written by the clock on the wall: `22:00 to 06:00` is 7 hours long in
one night of the year and 9 in another. Where a local time can be read in two
ways, a start takes the earlier reading and an end the later one, so that a
window is never shorter than somebody may have meant:

- It happens twice (autumn): a start is its first time (RFC 5545 section 3.3.5),
  an end its second, so that the last hour of a freeze is covered.
- It does not happen (spring): RFC 5545 moves it forward by the gap. An end does
  that. A start is the moment of the jump itself, the first at which the clock on
  the wall is past it; what RFC 5545 says lies within the window then.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from bot.calendars.lines import Property

YEARS = range(1970, 2200)
_TIME = re.compile(r"([0-9]{8})T([0-9]{6})(Z?)")
_DATE = re.compile(r"[0-9]{8}")
_DURATION = re.compile(
    r"\+?P(?:([0-9]{1,4})W|(?:([0-9]{1,4})D)?"
    r"(T(?:([0-9]{1,5})H)?(?:([0-9]{1,7})M)?(?:([0-9]{1,8})S)?)?)"
)
# Names that `zoneinfo` finds on this machine and that mean nothing elsewhere.
_NO_ZONES = frozenset({"localtime", "Factory", "posixrules"})
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, kw_only=True)
class LocalTime:
    """A time by the clock on the wall of a zone; a whole day is its midnight."""

    wall: datetime
    zone: ZoneInfo
    whole_day: bool

    @property
    def instant(self) -> datetime:
        """Return the moment as RFC 5545 reads it, which identifies an occurrence."""
        return instant(self.wall, self.zone)

    def on_the_wall_of(self, zone: ZoneInfo) -> datetime:
        """Return what the clock of another zone shows."""
        if zone.key == self.zone.key:
            return self.wall
        return self.instant.astimezone(zone).replace(tzinfo=None)


@dataclass(frozen=True, kw_only=True)
class Length:
    """How long an occurrence lasts: by the wall clock first, then by the stopwatch.

    A DTEND is all wall clock. In a DURATION days and weeks are, and hours and
    less are exact (RFC 5545 section 3.3.6).
    """

    wall: timedelta = timedelta()
    exact: timedelta = timedelta()

    @property
    def nominal(self) -> timedelta:
        """Return the length where no clock changes."""
        return self.wall + self.exact

    def end(self, wall: datetime, zone: ZoneInfo) -> datetime:
        """Return when an occurrence that starts at a wall-clock time ends, in UTC."""
        if not self.wall:
            return instant(wall, zone) + self.exact
        return _closing(wall + self.wall, zone) + self.exact


def instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return a local time in UTC as RFC 5545 section 3.3.5 reads it."""
    return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)


def opening(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return when a window opens, in UTC: at the jump if its local time is skipped."""
    first = instant(wall, zone)
    if first.astimezone(zone).replace(tzinfo=None) == wall:
        return first
    return _jump(wall.replace(tzinfo=zone, fold=1).astimezone(UTC), first, zone)


def _closing(wall: datetime, zone: ZoneInfo) -> datetime:
    return max(wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))


def _jump(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """Return the first second with the offset of `after`, by halving."""
    offset = after.astimezone(zone).utcoffset()
    while after - before > _SECOND:
        middle = before + (after - before) // 2 // _SECOND * _SECOND
        if middle.astimezone(zone).utcoffset() == offset:
            after = middle
        else:
            before = middle
    return after


def zone_named(prop: Property, name: str) -> ZoneInfo:
    """Return a zone of the IANA database.

    A zone that the calendar defines itself (VTIMEZONE) under another name is not
    taken: its rules are often those of the year in which it was exported.

    Raises:
        Unfit: there is no such zone.
    """
    if name not in _zones():
        raise prop.unfit(f'"{name[:60]}" is no zone of the IANA database, like Europe/Berlin')
    return ZoneInfo(name)


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones()) - _NO_ZONES


def local_times(prop: Property, days_in: ZoneInfo | None) -> tuple[LocalTime, ...]:
    """Read a property's DATE or DATE-TIME values; `days_in` is the zone of whole days.

    Raises:
        Unfit: a value is floating, of an unknown zone, or no time at all.
    """
    return tuple(_local_time(prop, value, days_in) for value in prop.value.split(","))


def local_time(prop: Property, days_in: ZoneInfo | None) -> LocalTime:
    """Read a property's one DATE or DATE-TIME value.

    Raises:
        Unfit: there are several, or it is floating, of an unknown zone, or no time.
    """
    return _local_time(prop, prop.value, days_in)


def _local_time(prop: Property, value: str, days_in: ZoneInfo | None) -> LocalTime:
    kind = prop.params.get("VALUE", "DATE-TIME").upper()
    if kind == "DATE":
        return _whole_day(prop, value, days_in)
    if kind != "DATE-TIME":
        raise prop.unfit(f"VALUE={kind[:20]} is not supported")
    found = _TIME.fullmatch(value)
    if found is None:
        raise prop.unfit(f'"{value[:40]}" is no time like 20261224T180000')
    wall = _checked(prop, found[1] + found[2], "%Y%m%d%H%M%S")
    return LocalTime(wall=wall, zone=_zone_of(prop, utc=found[3]), whole_day=False)


def _zone_of(prop: Property, *, utc: str) -> ZoneInfo:
    name = prop.params.get("TZID")
    if utc and name is not None:
        raise prop.unfit("has a TZID and ends in Z; only one of them can be meant")
    if utc:
        return ZoneInfo("UTC")
    if name is None:
        raise prop.unfit("is a floating time; write a TZID or a Z")
    return zone_named(prop, name)


def _whole_day(prop: Property, value: str, days_in: ZoneInfo | None) -> LocalTime:
    if _DATE.fullmatch(value) is None:
        raise prop.unfit(f'"{value[:40]}" is no date like 20261224')
    if "TZID" in prop.params:
        raise prop.unfit("is a date, which has no TZID; the calendar's X-WR-TIMEZONE counts")
    if days_in is None:
        raise prop.unfit("is a floating date; the calendar needs an X-WR-TIMEZONE")
    return LocalTime(wall=_checked(prop, value, "%Y%m%d"), zone=days_in, whole_day=True)


def _checked(prop: Property, value: str, form: str) -> datetime:
    try:
        wall = datetime.strptime(value, form)  # the zone is kept beside it
    except ValueError:
        raise prop.unfit(f'"{value}" does not exist') from None
    if wall.year not in YEARS:
        raise prop.unfit(f"lies outside of the years {YEARS.start} to {YEARS.stop - 1}")
    return wall


def length_of(prop: Property) -> Length:
    """Read a DURATION.

    Raises:
        Unfit: it is no duration, negative, or mixes weeks with something else.
    """
    found = _DURATION.fullmatch(prop.value)
    if found is None or prop.value.endswith(("P", "T")):
        raise prop.unfit(f'"{prop.value[:40]}" is no duration like PT8H')
    weeks, days, _, hours, minutes, seconds = (
        int(part) if part and part.isdigit() else 0 for part in found.groups()
    )
    return Length(
        wall=timedelta(weeks=weeks, days=days),
        exact=timedelta(hours=hours, minutes=minutes, seconds=seconds),
    )


def last_moment(prop: Property, value: str, start: LocalTime) -> datetime:
    """Read an UNTIL and return the last moment, in UTC, at which an occurrence may start.

    Beside a DTSTART with a zone it is in UTC, beside a date it is a date (RFC
    5545 section 3.3.10); anything else would have to be guessed.

    Raises:
        Unfit: it is of the wrong form.
    """
    if start.whole_day:
        if _DATE.fullmatch(value) is None:
            raise prop.unfit("UNTIL: is not a date, as DTSTART is")
        return instant(datetime.combine(_day(prop, value), datetime.min.time()), start.zone)
    found = _TIME.fullmatch(value)
    if found is None or not found[3]:
        raise prop.unfit("UNTIL: is not in UTC, like 20261231T225959Z")
    day = _day(prop, found[1])
    try:
        clock = datetime.strptime(found[2], "%H%M%S").time()  # UTC by the line below
    except ValueError:
        raise prop.unfit(f'UNTIL: "{value}" does not exist') from None
    return datetime.combine(day, clock, tzinfo=UTC)


def _day(prop: Property, value: str) -> date:
    """Read a date of any year: calendars write 9999 for "for ever"."""
    try:
        day = date(int(value[:4]), int(value[4:6]), int(value[6:]))
    except ValueError:
        raise prop.unfit(f'UNTIL: "{value}" does not exist') from None
    # Some days are kept free, so that no conversion of zones leaves what `datetime` holds.
    return min(max(day, date(1, 1, 3)), date(9999, 12, 29))
