"""Rules against `dateutil.rrule`, which nobody here wrote."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.errors import UnsatisfiedAssumption

from bot.calendars.lines import Property, Unfit
from bot.calendars.moments import LocalTime
from bot.calendars.rules import Rule, Work, read_rule

WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
DAY = timedelta(days=1)
SPAN = 5 * 366  # days compared
MOST = 200  # dates compared


def rule(text: str, start: date, *, steps: int = 100_000) -> Rule:
    wall = datetime.combine(start, datetime.min.time())
    at = LocalTime(wall=wall, zone=ZoneInfo("UTC"), whole_day=False)
    return read_rule(Property(name="RRULE", params={}, value=text), at, Work(steps))


def signed(most: int) -> st.SearchStrategy[int]:
    return st.integers(-most, most).filter(bool)


def joined(values: st.SearchStrategy[object]) -> st.SearchStrategy[str]:
    return st.lists(values, min_size=1, max_size=4, unique=True).map(
        lambda found: ",".join(map(str, found))
    )


@st.composite
def rules(draw: st.DrawFn) -> str:
    frequency = draw(st.sampled_from(("DAILY", "WEEKLY", "MONTHLY", "YEARLY")))
    most = {"DAILY": 40, "WEEKLY": 8, "MONTHLY": 14, "YEARLY": 3}[frequency]
    parts = [f"FREQ={frequency}"]
    if draw(st.booleans()):
        parts.append(f"INTERVAL={draw(st.integers(1, most))}")
    months = draw(st.booleans())
    if months:
        parts.append("BYMONTH=" + draw(joined(st.integers(1, 12))))
    if frequency != "WEEKLY" and draw(st.booleans()):
        parts.append("BYMONTHDAY=" + draw(joined(signed(31))))
    if frequency == "YEARLY" and draw(st.booleans()):
        parts.append("BYYEARDAY=" + draw(joined(signed(366))))
    days: st.SearchStrategy[object] = st.sampled_from(WEEKDAYS)
    if frequency in ("MONTHLY", "YEARLY") and draw(st.booleans()):
        # Above 52 dateutil 4.0 fails with an IndexError.
        most_places = 5 if months or frequency == "MONTHLY" else 52
        days = st.builds("{}{}".format, signed(most_places), days)
    if draw(st.booleans()):
        parts.append("BYDAY=" + draw(joined(days)))
    if draw(st.booleans()):
        parts.append("WKST=" + draw(st.sampled_from(WEEKDAYS)))
    return ";".join(parts)


def oracle(text: str, start: date, count: int) -> list[date]:
    """Let dateutil list so many dates; asked for one too many it may search to the year 9999."""
    found = rrulestr(text, dtstart=datetime.combine(start, datetime.min.time()))
    return [moment.date() for moment in itertools.islice(found, count)]


def synchronised(text: str, start: date) -> tuple[date, Rule]:
    """Return a rule, from the first day on that is an occurrence of it."""
    for number in range(800):
        try:
            return start + number * DAY, rule(text, start + number * DAY)
        except Unfit as error:
            if "DTSTART" not in str(error):
                raise
    raise UnsatisfiedAssumption


@given(text=rules(), start=st.dates(date(2019, 1, 1), date(2027, 12, 31)))
def test_dates_are_those_of_an_independent_reader(text: str, start: date) -> None:
    start, ours = synchronised(text, start)
    dates = list(itertools.islice(ours.dates(start, start + SPAN * DAY), MOST))
    assert dates[0] == start
    assert dates == oracle(text, start, len(dates))


@given(
    text=rules(),
    start=st.dates(date(2019, 1, 1), date(2027, 12, 31)),
    count=st.integers(1, 60),
    cut=st.integers(0, SPAN),
)
def test_counting_and_looking_at_a_part_change_nothing(
    text: str, start: date, count: int, cut: int
) -> None:
    start, whole = synchronised(text, start)
    dates = list(itertools.islice(whole.dates(start, start + SPAN * DAY), count))
    counted = rule(f"{text};COUNT={len(dates)}", start)
    middle = start + cut * DAY
    parts = [*counted.dates(date.min, middle), *counted.dates(middle + DAY, date.max)]
    assert parts == dates


@pytest.mark.parametrize(
    ("text", "start", "first"),
    (
        # RFC 5545 section 3.8.5.3, with the results it gives.
        ("FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO", (1997, 8, 5), (5, 10, 19, 24)),
        ("FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU", (1997, 8, 5), (5, 17, 19, 31)),
        ("FREQ=MONTHLY;BYMONTHDAY=15,30;COUNT=5", (2007, 1, 15), (15, 30, 15, 15, 30)),
        ("FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13;COUNT=4", (1998, 2, 13), (13, 13, 13, 13)),
        ("FREQ=YEARLY;INTERVAL=3;COUNT=4;BYYEARDAY=1,100,200", (1997, 1, 1), (1, 10, 19, 1)),
        ("FREQ=YEARLY;BYDAY=20MO;COUNT=3", (1997, 5, 19), (19, 18, 17)),
        ("FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO;COUNT=3", (1997, 5, 12), (12, 11, 17)),
        ("FREQ=MONTHLY;COUNT=6;BYDAY=-2MO", (1997, 9, 22), (22, 20, 17, 22, 19, 16)),
    ),
)
def test_the_examples_of_the_standard_come_out(
    text: str, start: tuple[int, int, int], first: tuple[int, ...]
) -> None:
    found = rule(text, date(*start)).dates(date.min, date.max)
    assert tuple(day.day for day in found) == first


@given(day=st.dates(date(1971, 1, 1), date(2190, 1, 1)))
def test_weeks_are_numbered_as_iso_8601_does(day: date) -> None:
    number = day.isocalendar().week
    text = f"FREQ=YEARLY;BYWEEKNO={number};BYDAY={WEEKDAYS[day.weekday()]}"
    found = list(rule(text, day).dates(day, day + 400 * DAY))
    assert found[0] == day
    assert all(one.isocalendar()[1:] == day.isocalendar()[1:] for one in found)


def test_weeks_are_numbered_from_the_end_too() -> None:
    found = rule("FREQ=YEARLY;BYWEEKNO=-1;BYDAY=MO", date(2026, 12, 28))
    assert list(found.dates(date.min, date(2029, 1, 1))) == [
        date(2026, 12, 28),
        date(2027, 12, 27),
        date(2028, 12, 25),
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    (
        ("FREQ=HOURLY", 'FREQ: "HOURLY" is none of'),
        ("FREQ=SECONDLY;COUNT=1000000000", "FREQ"),
        ("INTERVAL=2", "FREQ"),
        ("FREQ=DAILY;BYHOUR=3", "BYHOUR: is not supported"),
        ("FREQ=DAILY;BYMINUTE=3", "BYMINUTE: is not supported"),
        ("FREQ=DAILY;BYSECOND=3", "BYSECOND: is not supported"),
        ("FREQ=MONTHLY;BYDAY=FR;BYSETPOS=-1", "BYSETPOS: is not supported"),
        ("FREQ=DAILY;RSCALE=HEBREW", "RSCALE: is not supported"),
        ("FREQ=DAILY;SKIP=OMIT", "SKIP: is not supported"),
        ("FREQ=DAILY;FREQ=WEEKLY", "stands twice"),
        ("FREQ=DAILY;", "cannot be read"),
        ("FREQ=DAILY;COUNT", "cannot be read"),
        ("FREQ=DAILY;COUNT=", "cannot be read"),
        ("FREQ=DAILY;COUNT=0", "COUNT"),
        ("FREQ=DAILY;COUNT=1000000000", "COUNT"),
        ("FREQ=DAILY;COUNT=٣", "COUNT"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL"),
        ("FREQ=DAILY;INTERVAL=-1", "INTERVAL"),
        ("FREQ=DAILY;INTERVAL=1.5", "INTERVAL"),
        ("FREQ=DAILY;COUNT=3;UNTIL=20270101T000000Z", "COUNT and UNTIL"),
        ("FREQ=DAILY;UNTIL=20270101", "UNTIL: is not in UTC"),
        ("FREQ=DAILY;UNTIL=20270101T000000", "UNTIL: is not in UTC"),
        ("FREQ=DAILY;UNTIL=20270230T000000Z", "UNTIL"),
        ("FREQ=DAILY;UNTIL=20270101T250000Z", "UNTIL"),
        ("FREQ=DAILY;UNTIL=20251231T235959Z", "UNTIL: lies before DTSTART"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "DTSTART"),
        ("FREQ=WEEKLY;BYDAY=FR,SA", "DTSTART"),
        ("FREQ=YEARLY;BYMONTH=13", "BYMONTH"),
        ("FREQ=YEARLY;BYMONTH=-1", "BYMONTH"),
        ("FREQ=YEARLY;BYMONTH=5L", "BYMONTH"),
        ("FREQ=MONTHLY;BYMONTHDAY=32", "BYMONTHDAY"),
        ("FREQ=MONTHLY;BYMONTHDAY=0", "BYMONTHDAY"),
        ("FREQ=WEEKLY;BYMONTHDAY=1", "BYMONTHDAY: has no meaning"),
        ("FREQ=MONTHLY;BYYEARDAY=1", "BYYEARDAY: has no meaning"),
        ("FREQ=DAILY;BYWEEKNO=1", "BYWEEKNO: has no meaning"),
        ("FREQ=YEARLY;BYWEEKNO=1", "BYWEEKNO: needs a BYDAY"),
        ("FREQ=YEARLY;BYWEEKNO=1;BYDAY=1TH", "BYDAY"),
        ("FREQ=WEEKLY;BYDAY=1TH", "BYDAY"),
        ("FREQ=MONTHLY;BYDAY=6TH", "BYDAY"),
        ("FREQ=YEARLY;BYDAY=54TH", "BYDAY"),
        ("FREQ=WEEKLY;BYDAY=XX", "BYDAY"),
        ("FREQ=MONTHLY;BYDAY=TH,1TH", "BYDAY: mixes"),
        ("FREQ=WEEKLY;WKST=XX", "WKST"),
        ("FREQ=YEARLY;BYYEARDAY=" + ",".join(["1"] * 1000), "longer than"),
    ),
)
def test_what_is_ambiguous_or_too_much_is_refused_by_name(text: str, reason: str) -> None:
    with pytest.raises(Unfit, match=reason) as refused:
        rule(text, date(2026, 1, 1))  # a Thursday
    assert str(refused.value).startswith("RRULE: ")


def test_a_count_that_takes_too_long_to_search_is_refused() -> None:
    with pytest.raises(Unfit, match="COUNT: takes too many days"):
        rule("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;COUNT=500", date(2024, 2, 29))
    with pytest.raises(Unfit, match="COUNT: takes too many days"):
        rule("FREQ=DAILY;COUNT=900", date(2026, 1, 1), steps=800)


def test_an_until_is_the_last_moment_at_which_one_may_start() -> None:
    found = rule("FREQ=DAILY;UNTIL=20260103T000000Z", date(2026, 1, 1))
    assert found.until == datetime(2026, 1, 3, tzinfo=UTC)
    assert rule("FREQ=DAILY;UNTIL=99991231T235959Z", date(2026, 1, 1)).until is not None
