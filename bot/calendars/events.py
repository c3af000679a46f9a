"""VEVENT to series of occurrences (RFC 5545 section 3.6.1).

A master event with its RRULE, RDATE and EXDATE is one series; an occurrence that
was moved (RECURRENCE-ID) is a series of its own and leaves a hole in its master's.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from bot.calendars.lines import Component, Property, Unfit
from bot.calendars.moments import (
    Length,
    LocalTime,
    instant,
    length_of,
    local_time,
    local_times,
    opening,
    zone_named,
)
from bot.calendars.rules import Rule, Work, read_rule
from bot.domain.freezes import Window, WindowKind

MOST_EVENTS = 2_000
MOST_DATES = 2_000  # RDATE and EXDATE of a whole file
MOST_STEPS = 2_000  # days looked at for one evaluation of a file
LONGEST = timedelta(days=60)
_SEARCH = 20_000  # days looked at for all COUNTs of a file, once
_LONGEST_TITLE = 200
_LONGEST_UID = 255
# How far clock changes can move an occurrence; Samoa once skipped a whole day.
_MARGIN = timedelta(hours=25)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_SCOPES = ("X-TOCSIN-SERVICES", "X-TOCSIN-TEAMS")
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, kw_only=True)
class Series:
    """One event and all its occurrences.

    `extra` are further starts on the wall clock of the zone, in order; `without`
    are the occurrences that do not take place, as RFC 5545 reads their starts.
    """

    kind: WindowKind
    title: str
    services: frozenset[str]
    teams: frozenset[str]
    source: str
    start: LocalTime
    length: Length
    rule: Rule | None = None
    extra: tuple[datetime, ...] = ()
    without: frozenset[datetime] = frozenset()

    @property
    def steps(self) -> int:
        """Return how many days are looked at to tell what is in force on one day."""
        return (self.length.nominal + 2 * _MARGIN).days + 2 if self.rule else 1

    def between(self, start: datetime, end: datetime) -> Iterator[Window]:
        """Return the occurrences that touch a time, in no order."""
        zone = self.start.zone
        first = start.astimezone(zone).replace(tzinfo=None) - self.length.nominal - _MARGIN
        last = end.astimezone(zone).replace(tzinfo=None) + _MARGIN
        for wall in {*self._ruled(first, last), *self._dated(first, last)}:
            if instant(wall, zone) in self.without:
                continue
            starts_at, ends_at = opening(wall, zone), self.length.end(wall, zone)
            # An occurrence that lies wholly in a gap of the clock does not take place.
            if starts_at < ends_at and starts_at < end and start < ends_at:
                yield self._window(starts_at, ends_at)

    def _ruled(self, first: datetime, last: datetime) -> Iterator[datetime]:
        if self.rule is None:
            return
        until, clock = self.rule.until, self.start.wall.time()
        for day in self.rule.dates(first.date(), last.date()):
            wall = datetime.combine(day, clock)
            in_time = until is None or instant(wall, self.start.zone) <= until
            if in_time and first <= wall < last:
                yield wall

    def _dated(self, first: datetime, last: datetime) -> Sequence[datetime]:
        return self.extra[bisect_left(self.extra, first) : bisect_left(self.extra, last)]

    def _window(self, starts_at: datetime, ends_at: datetime) -> Window:
        return Window(
            kind=self.kind,
            title=self.title,
            starts_at=starts_at,
            ends_at=ends_at,
            services=self.services,
            teams=self.teams,
            source=self.source,
        )


def read_series(calendar: Component, file: str) -> Sequence[Series]:
    """Return the series of a calendar.

    Raises:
        Unfit: an event says something ambiguous, unsupported or too big.
    """
    events = [part for part in calendar.parts if part.name == "VEVENT"]
    if len(events) > MOST_EVENTS:
        raise Unfit(f"holds more than {MOST_EVENTS} events")
    _check_dates(events)
    reader = _Reader(file, _zone_of_days(calendar))
    series = reader.read(events)
    if sum(one.steps for one in series if one.rule) > MOST_STEPS:
        raise Unfit("repeats too many events, or too long ones; spread them over several files")
    return series


def _zone_of_days(calendar: Component) -> ZoneInfo | None:
    for part in calendar.parts:
        if part.name == "VTIMEZONE" and (name := part.one("TZID")) is not None:
            zone_named(name, name.value)
    if (version := calendar.one("VERSION")) is not None and version.value != "2.0":
        raise version.unfit("is not 2.0")
    if (scale := calendar.one("CALSCALE")) is not None and scale.value.upper() != "GREGORIAN":
        raise scale.unfit("is not GREGORIAN")
    zone = calendar.one("X-WR-TIMEZONE")
    return zone_named(zone, zone.value) if zone is not None else None


def _check_dates(events: Sequence[Component]) -> None:
    lists = [p for e in events for p in e.properties if p.name in ("RDATE", "EXDATE")]
    if sum(p.value.count(",") + 1 for p in lists) > MOST_DATES:
        raise lists[0].unfit(f"the calendar lists more than {MOST_DATES} single dates")


class _Reader:
    """Reads the events of one file, and what they say about each other."""

    def __init__(self, file: str, days_in: ZoneInfo | None) -> None:
        self._file = file
        self._days_in = days_in
        self._search = Work(_SEARCH)
        self._masters: dict[str, Series] = {}
        self._seen: set[str] = set()
        self._moved: list[Series] = []
        self._holes: dict[str, dict[datetime, LocalTime]] = {}

    def read(self, events: Sequence[Component]) -> Sequence[Series]:
        for event in events:
            self._take(event, _uid(event))
        return [self._with_holes(uid, one) for uid, one in self._masters.items()] + self._moved

    def _take(self, event: Component, uid: str) -> None:
        status = event.one("STATUS")
        cancelled = status is not None and status.value.strip().upper() == "CANCELLED"
        original = event.one("RECURRENCE-ID")
        if original is not None:
            self._note_hole(uid, original)
        elif uid in self._seen:
            raise Unfit("stands more than once", uid=uid, name="UID")
        else:
            self._seen.add(uid)
        if cancelled:
            return
        series = self._series(event, uid)
        if original is None:
            self._masters[uid] = series
        elif series.rule is not None or series.extra[1:]:
            raise original.unfit("stands in an event that repeats")
        else:
            self._moved.append(series)

    def _note_hole(self, uid: str, original: Property) -> None:
        if "RANGE" in original.params:
            raise original.unfit("RANGE is not supported; end the event and write a new one")
        time = local_time(original, self._days_in)
        holes = self._holes.setdefault(uid, {})
        if time.instant in holes:
            raise original.unfit("stands twice for the same occurrence")
        holes[time.instant] = time

    def _with_holes(self, uid: str, series: Series) -> Series:
        holes = self._holes.get(uid, {})
        if any(hole.whole_day != series.start.whole_day for hole in holes.values()):
            raise Unfit("is a date where DTSTART is a time", uid=uid, name="RECURRENCE-ID")
        return replace(series, without=series.without | frozenset(holes))

    def _series(self, event: Component, uid: str) -> Series:
        if event.all("EXRULE"):
            raise event.all("EXRULE")[0].unfit("is not supported")
        start = self._start(event, uid)
        services, teams = _scopes(event)
        kind, rule = _kind(event, uid), event.one("RRULE")
        series = Series(
            kind=kind,
            title=_title(event, kind),
            services=services,
            teams=teams,
            source=f"{self._file}: {uid}",
            start=start,
            length=self._length(event, uid, start),
            rule=read_rule(rule, start, self._search) if rule is not None else None,
        )
        gone = frozenset(time.instant for time in self._listed(event, "EXDATE", start))
        extra = {time.on_the_wall_of(start.zone) for time in self._listed(event, "RDATE", start)}
        return replace(series, extra=tuple(sorted(extra | {start.wall})), without=gone)

    def _start(self, event: Component, uid: str) -> LocalTime:
        prop = event.one("DTSTART")
        if prop is None:
            raise Unfit("is missing", uid=uid, name="DTSTART")
        return local_time(prop, self._days_in)

    def _length(self, event: Component, uid: str, start: LocalTime) -> Length:
        end, lasting = event.one("DTEND"), event.one("DURATION")
        prop = end or lasting
        if prop is None or (end and lasting):
            raise Unfit("there has to be one of both", uid=uid, name="DTEND or DURATION")
        length = length_of(prop) if prop is lasting else self._until_end(prop, start)
        if length.nominal <= timedelta():
            raise prop.unfit("is not after DTSTART")
        if length.nominal > LONGEST:
            raise prop.unfit(f"makes it longer than {LONGEST.days} days")
        if start.whole_day and length.exact:
            raise prop.unfit("is not whole days, as DTSTART is")
        return length

    def _until_end(self, prop: Property, start: LocalTime) -> Length:
        end = local_time(prop, self._days_in)
        if end.whole_day != start.whole_day:
            raise prop.unfit("is a date where DTSTART is a time, or the other way round")
        return Length(wall=end.on_the_wall_of(start.zone) - start.wall)

    def _listed(self, event: Component, name: str, start: LocalTime) -> Iterator[LocalTime]:
        for prop in event.all(name):
            for time in local_times(prop, self._days_in):
                if time.whole_day != start.whole_day:
                    raise prop.unfit("is a date where DTSTART is a time, or the other way round")
                yield time


def _uid(event: Component) -> str:
    prop = event.one("UID")
    if prop is None or not prop.value.strip():
        raise Unfit("an event has no UID")
    uid = prop.value.strip()
    if len(uid) > _LONGEST_UID or not uid.isprintable():
        raise prop.unfit(f"is longer than {_LONGEST_UID} characters, or not printable")
    return uid


def _kind(event: Component, uid: str) -> WindowKind:
    words = {w.strip().lower() for p in event.all("CATEGORIES") for w in p.value.split(",")}
    kinds = [kind for kind in WindowKind if kind.value in words]
    if len(kinds) != 1:
        raise Unfit("has to be one of FREEZE and MAINTENANCE", uid=uid, name="CATEGORIES")
    return kinds[0]


def _scopes(event: Component) -> tuple[frozenset[str], frozenset[str]]:
    for prop in event.properties:
        if prop.name.startswith("X-TOCSIN-") and prop.name not in _SCOPES:
            raise prop.unfit(f"is unknown; there are {' and '.join(_SCOPES)}")
    services, teams = (_names(event.one(name)) for name in _SCOPES)
    return services, teams


def _names(prop: Property | None) -> frozenset[str]:
    if prop is None:
        return frozenset()
    names = frozenset(name.strip() for name in prop.value.split(","))
    for name in sorted(names):
        if _NAME.fullmatch(name) is None:
            raise prop.unfit(f'"{name[:40]}" is not a name like checkout')
    return names


def _title(event: Component, kind: WindowKind) -> str:
    prop = event.one("SUMMARY")
    text = _ESCAPED.sub(_unescaped, prop.value) if prop is not None else ""
    shown = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return shown[:_LONGEST_TITLE] or kind.value.capitalize()


def _unescaped(found: re.Match[str]) -> str:
    return " " if found[1] in "nN" else found[1]
