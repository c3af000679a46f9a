"""What an event says, and what it may not say."""
# ruff: noqa: E501  # a table reads better with one case a line

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bot.calendars.calendar import LARGEST, Calendar, read
from bot.calendars.lines import Unfit
from bot.domain.freezes import Window, WindowKind
from tests.calendars.written import calendar, event, loaded, nightly

YEAR = datetime(2026, 1, 1, tzinfo=UTC)
TIMES = ("DTSTART:20260301T100000Z", "DTEND:20260301T110000Z")


def all_of(found: Calendar) -> list[Window]:
    return list(found.between(YEAR - timedelta(days=10), YEAR + timedelta(days=400)))


def starts(found: Calendar) -> list[str]:
    return [f"{window.starts_at:%m%dT%H}" for window in all_of(found)]


def test_an_event_says_what_and_whom_and_where_it_is_written() -> None:
    [window] = all_of(
        loaded(
            event(
                *TIMES,
                "SUMMARY:Swap disks\\, then\\ncheck \\\\ them\x07",
                "X-TOCSIN-SERVICES:checkout, cart",
                "X-TOCSIN-TEAMS:storage",
                "BEGIN:VALARM",
                "TRIGGER:-PT15M",
                "DTSTART:nonsense",
                "END:VALARM",
                category="IT,Maintenance",
            )
        )
    )
    assert window == Window(
        kind=WindowKind.MAINTENANCE,
        title="Swap disks, then check \\ them",
        starts_at=datetime(2026, 3, 1, 10, tzinfo=UTC),
        ends_at=datetime(2026, 3, 1, 11, tzinfo=UTC),
        services=frozenset({"checkout", "cart"}),
        teams=frozenset({"storage"}),
        source="test.ics: a@test",
    )


def test_folded_lines_a_byte_order_mark_and_plain_newlines_are_read() -> None:
    text = calendar(event(*TIMES, "SUMMARY:a long\r\n  title")).decode().replace("\r\n", "\n")
    [window] = all_of(read(("\ufeff" + text).encode(), name="test.ics"))
    assert window.title == "a long title"


def test_a_calendar_without_events_says_nothing() -> None:
    assert all_of(loaded()) == []


def test_whole_days_are_those_of_the_calendars_zone() -> None:
    days = ("DTSTART;VALUE=DATE:20260328", "DTEND;VALUE=DATE:20260330")
    [window] = all_of(loaded(event(*days), head="X-WR-TIMEZONE:Europe/Berlin"))
    assert window.starts_at == datetime(2026, 3, 27, 23, tzinfo=UTC)
    assert window.ends_at == datetime(2026, 3, 29, 22, tzinfo=UTC)  # 47 hours


def test_an_exception_in_another_zone_hits_the_same_occurrence() -> None:
    found = loaded(
        nightly(
            "RRULE:FREQ=DAILY;COUNT=4",
            "EXDATE:20260102T210000Z",
            "EXDATE;TZID=Asia/Tokyo:20260104T060000",
        )
    )
    assert starts(found) == ["0101T21", "0104T21"]


def test_an_exception_that_hits_nothing_leaves_the_freeze() -> None:
    found = loaded(nightly("RRULE:FREQ=DAILY;COUNT=2", "EXDATE:20260102T220000Z"))
    assert starts(found) == ["0101T21", "0102T21"]


def test_further_dates_are_added_once_and_last_as_long() -> None:
    found = loaded(
        nightly(
            "RRULE:FREQ=DAILY;COUNT=2",
            "RDATE;TZID=Europe/Berlin:20260102T220000,20260325T220000",
            "RDATE:20260328T210000Z",
        )
    )
    assert starts(found) == ["0101T21", "0102T21", "0325T21", "0328T21"]
    assert all_of(found)[-1].ends_at == datetime(2026, 3, 29, 4, tzinfo=UTC)


def test_a_further_date_is_not_bound_by_the_rules_end() -> None:
    found = loaded(nightly("RRULE:FREQ=DAILY;UNTIL=20260102T210000Z", "RDATE:20260310T210000Z"))
    assert starts(found) == ["0101T21", "0102T21", "0310T21"]


def test_an_until_is_compared_in_utc() -> None:
    """22:00 on 2 January in Berlin is 21:00 in UTC; a second earlier it is out."""
    assert starts(loaded(nightly("RRULE:FREQ=DAILY;UNTIL=20260102T205959Z"))) == ["0101T21"]
    assert len(starts(loaded(nightly("RRULE:FREQ=DAILY;UNTIL=20260102T210000Z")))) == 2


def test_an_occurrence_can_be_moved() -> None:
    moved = event(
        "RECURRENCE-ID;TZID=Europe/Berlin:20260102T220000",
        "DTSTART;TZID=Europe/Berlin:20260104T080000",
        "DTEND;TZID=Europe/Berlin:20260104T090000",
    )
    for events in (
        (nightly("RRULE:FREQ=DAILY;COUNT=3"), moved),
        (moved, nightly("RRULE:FREQ=DAILY;COUNT=3")),
    ):
        assert starts(loaded(*events)) == ["0101T21", "0103T21", "0104T07"]


def test_an_occurrence_can_be_cancelled_and_needs_nothing_else_for_it() -> None:
    gone = "BEGIN:VEVENT\r\nUID:a@test\r\nSTATUS:CANCELLED\r\nRECURRENCE-ID:20260102T210000Z\r\nEND:VEVENT"
    assert starts(loaded(nightly("RRULE:FREQ=DAILY;COUNT=3"), gone)) == ["0101T21", "0103T21"]


def test_a_cancelled_event_does_not_take_place() -> None:
    assert starts(loaded(nightly("RRULE:FREQ=DAILY", "STATUS:CANCELLED"))) == []
    assert len(starts(loaded(nightly("RRULE:FREQ=DAILY;COUNT=2", "STATUS:TENTATIVE")))) == 2


def test_an_occurrence_in_a_gap_of_the_clock_does_not_take_place() -> None:
    hour = event(
        "DTSTART;TZID=Europe/Berlin:20260327T020000",
        "DTEND;TZID=Europe/Berlin:20260327T030000",
        "RRULE:FREQ=DAILY;COUNT=4",
    )
    assert starts(loaded(hour)) == ["0327T01", "0328T01", "0330T00"]


def test_a_span_shows_what_began_before_it() -> None:
    found = loaded(nightly())
    middle = datetime(2026, 5, 5, 23, tzinfo=UTC)
    [window] = found.between(middle, middle + timedelta(seconds=1))
    assert window.during(middle)
    assert not found.between(window.ends_at, window.ends_at + timedelta(hours=1))
    assert found.between(window.ends_at - timedelta(seconds=1), window.ends_at)


BERLIN = "DTSTART;TZID=Europe/Berlin:20260301T100000"
ZONE = "BEGIN:VTIMEZONE\r\nTZID:W. Europe Standard Time\r\nEND:VTIMEZONE"


@pytest.mark.parametrize(
    ("lines", "reason"),
    (
        (("DTSTART:20260301T100000", "DURATION:PT1H"), "DTSTART: is a floating time"),
        (("DTSTART;TZID=Nowhere/City:20260301T100000", "DURATION:PT1H"), 'DTSTART: "Nowhere/City" is no zone'),
        (("DTSTART;TZID=localtime:20260301T100000", "DURATION:PT1H"), "is no zone"),
        (("DTSTART;TZID=../../etc/passwd:20260301T100000", "DURATION:PT1H"), "is no zone"),
        (("DTSTART;TZID=W. Europe Standard Time:20260301T100000", "DURATION:PT1H"), "is no zone"),
        (("DTSTART;TZID=Europe/Berlin:20260301T100000Z", "DURATION:PT1H"), "TZID and ends in Z"),
        (("DTSTART;VALUE=DATE:20260301", "DTEND;VALUE=DATE:20260302"), "DTSTART: is a floating date"),
        (("DTSTART:20260301", "DURATION:PT1H"), "is no time like"),
        (("DTSTART:20260229T100000Z", "DURATION:PT1H"), "does not exist"),
        (("DTSTART:20260301T106000Z", "DURATION:PT1H"), "does not exist"),
        (("DTSTART:00010101T000000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=1000000000"), "1970 to 2199"),
        (("DTSTART;VALUE=PERIOD:20260301T100000Z/PT1H", "DURATION:PT1H"), "VALUE=PERIOD is not supported"),
        ((TIMES[0], TIMES[0], TIMES[1]), "DTSTART: stands more than once"),
        ((TIMES[1],), "DTSTART: is missing"),
        ((TIMES[0],), "DTEND or DURATION: there has to be one"),
        ((*TIMES, "DURATION:PT1H"), "DTEND or DURATION: there has to be one"),
        ((BERLIN, "DTEND:20260301T090000Z"), "DTEND: is not after DTSTART"),
        ((BERLIN, "DTEND:20260301T080000Z"), "DTEND: is not after DTSTART"),
        ((BERLIN, "DTEND;VALUE=DATE:20260302"), "DTEND: is a floating date"),
        ((TIMES[0], "DURATION:-PT1H"), "DURATION: .* is no duration"),
        ((TIMES[0], "DURATION:PT0S"), "DURATION: is not after DTSTART"),
        ((TIMES[0], "DURATION:P"), "is no duration"),
        ((TIMES[0], "DURATION:P1DT"), "is no duration"),
        ((TIMES[0], "DURATION:P1W1D"), "is no duration"),
        ((TIMES[0], "DURATION:PT999999H"), "is no duration"),
        ((TIMES[0], "DURATION:P61D"), "DURATION: makes it longer than 60 days"),
        ((TIMES[0], "DTEND:20260501T100000Z"), "DTEND: makes it longer than 60 days"),
        ((*TIMES, "RRULE:FREQ=MINUTELY"), "RRULE: FREQ"),
        ((*TIMES, "RRULE:FREQ=DAILY", "RRULE:FREQ=WEEKLY"), "RRULE: stands more than once"),
        ((*TIMES, "EXRULE:FREQ=DAILY"), "EXRULE: is not supported"),
        ((*TIMES, "EXDATE:20260301T100000"), "EXDATE: is a floating time"),
        ((*TIMES, "EXDATE;VALUE=DATE:20260301"), "EXDATE: is a floating date"),
        ((*TIMES, "RDATE;VALUE=PERIOD:20260302T100000Z/PT1H"), "RDATE: VALUE=PERIOD"),
        ((*TIMES, "RECURRENCE-ID;RANGE=THISANDFUTURE:20260301T100000Z"), "RANGE is not supported"),
        ((*TIMES, "RECURRENCE-ID:20260301T100000Z", "RRULE:FREQ=DAILY"), "RECURRENCE-ID: stands in"),
        ((*TIMES, "CATEGORIES:MAINTENANCE"), "CATEGORIES: has to be one of"),
        ((*TIMES, "X-TOCSIN-SERVICE:checkout"), "X-TOCSIN-SERVICE: is unknown"),
        ((*TIMES, "X-TOCSIN-SERVICES:"), 'X-TOCSIN-SERVICES: "" is not a name'),
        ((*TIMES, "X-TOCSIN-TEAMS:a,,b"), 'X-TOCSIN-TEAMS: "" is not a name'),
        ((*TIMES, "X-TOCSIN-SERVICES:a\\,b"), "is not a name"),
        ((*TIMES, "nonsense"), 'the line "nonsense" cannot be read'),
        ((*TIMES, "UID:another"), "UID: stands more than once"),
    ),
)  # fmt: skip
def test_an_event_that_leaves_a_doubt_refuses_the_file(lines: tuple[str, ...], reason: str) -> None:
    with pytest.raises(Unfit, match=reason) as refused:
        loaded(event(*lines, uid="doubt@test"))
    assert "doubt@test" in str(refused.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    (
        (b"", "exactly one VCALENDAR"),
        (b"hello", "cannot be read"),
        (b"\xff\xfe", "not UTF-8"),
        (b"SUMMARY:x", "outside of VCALENDAR"),
        (b"END:VCALENDAR", "ends nothing that has begun"),
        (calendar() + calendar(), "exactly one VCALENDAR"),
        (calendar(nightly())[:-30], "the file is torn"),
        (calendar(nightly())[:-100], "the file is torn"),
        (calendar(nightly()).replace(b"END:VEVENT", b"END:VTODO"), "ends nothing"),
        (calendar(head="VERSION:1.0"), "VERSION: stands more than once"),
        (calendar(head="CALSCALE:HEBREW"), "CALSCALE: is not GREGORIAN"),
        (calendar(head="X-WR-TIMEZONE:Mars/Phobos"), "X-WR-TIMEZONE: .* is no zone"),
        (calendar(head=ZONE), 'TZID: "W. Europe Standard Time" is no zone'),
        (calendar(nightly(), nightly()), "UID: stands more than once"),
        (calendar(event(*TIMES, category="MEETING")), "CATEGORIES: has to be one of"),
        (calendar(nightly().replace("UID:a@test", "X-A:b")), "an event has no UID"),
        (calendar(event(*TIMES, uid="x" * 300)), "UID: is longer than"),
        (b"BEGIN:A\n" * 100, "nested too deeply"),
        (calendar() + b"X" * LARGEST, "larger than 256 KB"),
    ),
)  # fmt: skip
def test_a_file_that_is_no_calendar_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(Unfit, match=reason):
        read(content, name="test.ics")


def test_an_override_of_the_wrong_kind_is_refused() -> None:
    gone = "BEGIN:VEVENT\r\nUID:a@test\r\nSTATUS:CANCELLED\r\nRECURRENCE-ID;VALUE=DATE:20260102\r\nEND:VEVENT"
    with pytest.raises(Unfit, match="RECURRENCE-ID: is a date where DTSTART is a time"):
        loaded(nightly(), gone, head="X-WR-TIMEZONE:Europe/Berlin")


def test_two_overrides_of_one_occurrence_are_refused() -> None:
    moved = event(*TIMES, "RECURRENCE-ID:20260102T210000Z")
    with pytest.raises(Unfit, match="RECURRENCE-ID: stands twice"):
        loaded(nightly(), moved, moved)


def test_every_beginning_of_a_calendar_is_refused_as_torn() -> None:
    whole = calendar(nightly(), event(*TIMES, uid="b@test")).rstrip()
    for length in range(len(whole)):
        with pytest.raises(Unfit):
            read(whole[:length], name="test.ics")
    assert all_of(read(whole, name="test.ics"))
