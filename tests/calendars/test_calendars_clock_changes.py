"""52,560 probes in each of three zones, against what the clock on the wall says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.calendars.moments import Length, instant, opening
from tests.calendars.written import calendar, event, folder_of
from tests.fakes import FakeClock

PROBES = 52_560
TEN_MINUTES = timedelta(minutes=10)
YEAR = datetime(2026, 1, 1, tzinfo=UTC)
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Sydney")
DAY = timedelta(days=1)


def repeating(uid: str, start: str, end: str, *lines: str) -> Callable[[str], str]:
    return lambda zone: event(
        f"DTSTART;TZID={zone}:{start}", f"DTEND;TZID={zone}:{end}", *lines, uid=uid
    )


def until(zone: str) -> str:
    """End with the night of 20 October, which starts at 22:00 local time, in UTC."""
    last = datetime(2026, 10, 20, 22, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    return event(
        f"DTSTART;TZID={zone}:20260110T220000",
        f"DTEND;TZID={zone}:20260111T060000",
        f"RRULE:FREQ=DAILY;UNTIL={last:%Y%m%dT%H%M%SZ}",
        f"EXDATE;TZID={zone}:20260328T220000,20260403T220000",
        f"EXDATE;TZID={zone}:20260307T220000",
        uid="until",
    )


SHAPES: Mapping[str, Callable[[str], str]] = {
    "nightly": repeating("nightly", "20251201T220000", "20251202T060000", "RRULE:FREQ=DAILY"),
    "weekend": repeating(
        "weekend", "20251205T160000", "20251208T080000", "RRULE:FREQ=WEEKLY;BYDAY=FR"
    ),
    "last-friday": repeating(
        "last-friday", "20251226T180000", "20251227T030000", "RRULE:FREQ=MONTHLY;BYDAY=-1FR"
    ),
    "third-hour": repeating("third-hour", "20251201T020000", "20251201T030000", "RRULE:FREQ=DAILY"),
    "one-off": repeating("one-off", "20260320T200000", "20260410T083000"),
    "until": until,
    "every-other-sunday": repeating(
        "every-other-sunday", "20251228T000000", "20251229T000000", "RRULE:FREQ=WEEKLY;INTERVAL=2"
    ),
}


def night_of(now: datetime) -> date | None:
    """Return the date of the evening on which the night began."""
    if now.hour >= 22:
        return now.date()
    return now.date() - DAY if now.hour < 6 else None


def last_friday(day: date) -> bool:
    return day.weekday() == 4 and (day + 7 * DAY).month != day.month


def in_weekend(now: datetime) -> bool:
    hours = now.weekday() * 24 + now.hour
    return hours >= 4 * 24 + 16 or hours < 8


# What a person with a clock on the wall and no idea of UTC would say.
SKIPPED = {date(2026, 3, 28), date(2026, 4, 3), date(2026, 3, 7)}
ORACLE: Mapping[str, Callable[[datetime], bool]] = {
    "nightly": lambda now: night_of(now) is not None,
    "weekend": in_weekend,
    "last-friday": lambda now: (
        (now.hour >= 18 and last_friday(now.date()))
        or (now.hour < 3 and last_friday(now.date() - DAY))
    ),
    "third-hour": lambda now: now.hour == 2,
    "one-off": lambda now: datetime(2026, 3, 20, 20) <= now < datetime(2026, 4, 10, 8, 30),
    "until": lambda now: (
        (night := night_of(now)) is not None
        and date(2026, 1, 10) <= night <= date(2026, 10, 20)
        and night not in SKIPPED
    ),
    "every-other-sunday": lambda now: (now.date() - date(2025, 12, 28)).days % 14 == 0,
}


@pytest.mark.parametrize("zone", ZONES)
def test_a_year_of_probes_agrees_with_the_clock_on_the_wall(zone: str, tmp_path: Path) -> None:
    (tmp_path / "shapes.ics").write_bytes(calendar(*(write(zone) for write in SHAPES.values())))
    calendars = folder_of(tmp_path, FakeClock())
    local = ZoneInfo(zone)
    offsets = set()
    wrong = []
    for number in range(PROBES):
        moment = YEAR + number * TEN_MINUTES
        wall = moment.astimezone(local)
        offsets.add(wall.utcoffset())
        windows = calendars.at(moment)
        assert not windows.faults
        said = {window.source.removeprefix("shapes.ics: ") for window in windows.active}
        told = {name for name, holds in ORACLE.items() if holds(wall.replace(tzinfo=None))}
        if said != told:
            wrong.append((moment, said ^ told))
    assert len(offsets) == 2  # both clock changes lie within the year
    assert wrong == []


@pytest.mark.parametrize(
    ("night", "hours"),
    ((date(2026, 3, 28), 7), (date(2026, 10, 24), 9), (date(2026, 7, 1), 8)),
)
def test_a_night_is_as_long_as_the_clock_change_makes_it(night: date, hours: int) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    start = datetime.combine(night, time(22))
    length = Length(wall=timedelta(hours=8))
    assert length.end(start, berlin) - opening(start, berlin) == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("night", "hours"), ((date(2026, 3, 28), 8), (date(2026, 10, 24), 8), (date(2026, 7, 1), 8))
)
def test_hours_of_a_duration_are_exact(night: date, hours: int) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    start = datetime.combine(night, time(22))
    length = Length(exact=timedelta(hours=8))
    assert length.end(start, berlin) - opening(start, berlin) == timedelta(hours=hours)


def test_days_of_a_duration_are_days_on_the_wall_and_its_hours_exact() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    length = Length(wall=timedelta(days=1), exact=timedelta(hours=1))
    end = length.end(datetime(2026, 10, 24, 12), berlin)
    assert end == datetime(2026, 10, 25, 12, tzinfo=UTC)  # 13:00, 26 hours later


def test_an_end_that_happens_twice_is_its_second_time() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    end = Length(wall=timedelta(hours=4, minutes=30)).end(datetime(2026, 10, 24, 22), berlin)
    assert end == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    assert end.astimezone(berlin).fold == 1


def test_a_start_that_happens_twice_is_its_first_time() -> None:
    assert opening(datetime(2026, 10, 25, 2, 30), ZoneInfo("Europe/Berlin")) == datetime(
        2026, 10, 25, 0, 30, tzinfo=UTC
    )


def test_a_start_that_does_not_happen_is_the_jump() -> None:
    """RFC 5545 says 03:30; a freeze from 02:30 to 03:30 would be lost with that."""
    berlin, start = ZoneInfo("Europe/Berlin"), datetime(2026, 3, 29, 2, 30)
    assert opening(start, berlin) == datetime(2026, 3, 29, 1, tzinfo=UTC)
    end = Length(wall=timedelta(hours=1)).end(start, berlin)
    assert end == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def test_a_zone_that_left_out_a_whole_day_has_a_jump_too() -> None:
    """Samoa went from 29 to 31 December 2011."""
    apia = ZoneInfo("Pacific/Apia")
    jump = datetime(2011, 12, 30, 10, tzinfo=UTC)
    assert opening(datetime(2011, 12, 30), apia) == jump
    assert Length(wall=DAY).end(datetime(2011, 12, 29), apia) == jump


changes = st.sampled_from(
    (
        ("Europe/Berlin", date(2026, 3, 29)),
        ("Europe/Berlin", date(2026, 10, 25)),
        ("America/New_York", date(2026, 3, 8)),
        ("America/New_York", date(2026, 11, 1)),
        ("Australia/Sydney", date(2026, 4, 5)),
        ("Australia/Sydney", date(2026, 10, 4)),
        ("Australia/Lord_Howe", date(2026, 4, 5)),
        ("Australia/Lord_Howe", date(2026, 10, 4)),
        ("Europe/Dublin", date(2026, 10, 25)),
        ("America/Sao_Paulo", date(2018, 11, 4)),
    )
)


@given(change=changes, minute=st.integers(-180, 300), lasting=st.integers(1, 400))
def test_no_minute_that_somebody_may_have_meant_is_left_out(
    change: tuple[str, date], minute: int, lasting: int
) -> None:
    zone = ZoneInfo(change[0])
    start = datetime.combine(change[1], time()) + timedelta(minutes=minute)
    end = start + timedelta(minutes=lasting)
    opens, closes = opening(start, zone), Length(wall=end - start).end(start, zone)
    assert opens <= instant(start, zone)
    assert closes >= instant(end, zone)
    probe = instant(start, zone) - timedelta(hours=3)
    inside = []
    for _ in range(3 * 60 * 2 + lasting + 120):
        if start <= probe.astimezone(zone).replace(tzinfo=None) < end:
            inside.append(probe)
        probe += timedelta(minutes=1)
    assert all(opens <= minute < closes for minute in inside)
    # Nor is it longer than the clock change can explain.
    assert closes - opens <= end - start + timedelta(hours=1)
