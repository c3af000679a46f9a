"""A folder of calendars that people and machines write to meanwhile."""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.calendars import CalendarFolder, folder
from bot.calendars.calendar import Calendar
from bot.domain.freezes import WindowKind
from tests.calendars.written import calendar, event, folder_of, loaded, nightly, write
from tests.fakes import FakeClock

NIGHT = datetime(2026, 7, 15, 23, 30, tzinfo=UTC)
SPRING = datetime(2026, 2, 20, tzinfo=UTC)
HOUR = timedelta(hours=1)
SHIPPED = Path(__file__).parents[2] / "knowledge" / "calendars"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NIGHT)


def faults(calendars: CalendarFolder) -> list[str]:
    return [f"{fault.source}: {fault.reason}" for fault in calendars.at(NIGHT).faults]


def test_a_folder_that_is_missing_holds_no_calendars(tmp_path: Path, clock: FakeClock) -> None:
    calendars = folder_of(tmp_path / "none", clock)
    assert (calendars.at(NIGHT).active, calendars.at(NIGHT).faults) == ((), ())
    assert calendars.files() == {}
    assert calendars.digest == hashlib.sha256().hexdigest()


def test_a_folder_that_is_no_folder_is_a_fault(tmp_path: Path, clock: FakeClock) -> None:
    (tmp_path / "calendars").write_text("")
    assert faults(folder_of(tmp_path / "calendars", clock)) == [
        "calendars: cannot be read: Not a directory"
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_a_fault(tmp_path: Path, clock: FakeClock) -> None:
    tmp_path.chmod(0)
    try:
        assert "Permission denied" in faults(folder_of(tmp_path, clock))[0]
    finally:
        tmp_path.chmod(0o700)


def test_other_files_and_those_of_editors_are_not_read(tmp_path: Path, clock: FakeClock) -> None:
    for name in (".#freeze.ics", ".draft.ics", "freeze.ics~", "README.md", "freeze.ICS.bak"):
        (tmp_path / name).write_text("no calendar")
    assert folder_of(tmp_path, clock).files() == {}


def test_one_file_that_cannot_be_read_does_not_hide_the_others(
    tmp_path: Path, clock: FakeClock
) -> None:
    (tmp_path / "good.ics").write_bytes(calendar(nightly()))
    (tmp_path / "torn.ics").write_bytes(calendar(nightly())[:-15])
    (tmp_path / "folder.ics").mkdir()
    (tmp_path / "gone.ics").symlink_to(tmp_path / "nowhere")
    calendars = folder_of(tmp_path, clock)
    assert [window.source for window in calendars.at(NIGHT).active] == ["good.ics: a@test"]
    assert faults(calendars) == [
        "folder.ics: cannot be read: Is a directory",
        "gone.ics: cannot be read: No such file or directory",
        "torn.ics: ends within VCALENDAR; the file is torn",
    ]


def test_a_pipe_keeps_nobody_waiting(tmp_path: Path, clock: FakeClock) -> None:
    os.mkfifo(tmp_path / "pipe.ics")
    assert faults(folder_of(tmp_path, clock)) == ["pipe.ics: cannot be read: it is no file"]


def test_a_change_is_seen_a_second_later(tmp_path: Path, clock: FakeClock) -> None:
    path = tmp_path / "freeze.ics"
    path.write_bytes(calendar(nightly()))
    calendars = folder_of(tmp_path, clock)
    assert len(calendars.at(NIGHT).active) == 1
    first = calendars.digest
    write(path, calendar())
    assert len(calendars.at(NIGHT).active) == 1
    assert calendars.digest == first
    clock.advance(seconds=1)
    assert calendars.at(NIGHT).active == ()
    assert calendars.digest != first
    path.unlink()
    clock.advance(seconds=1)
    assert calendars.files() == {}


def test_a_change_of_the_same_size_and_date_is_seen(tmp_path: Path, clock: FakeClock) -> None:
    path = tmp_path / "freeze.ics"
    path.write_bytes(calendar(nightly()))
    status = path.stat()
    calendars = folder_of(tmp_path, clock)
    assert calendars.at(NIGHT).active[0].kind is WindowKind.FREEZE
    path.write_bytes(calendar(nightly().replace("220000", "230000")))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    clock.advance(seconds=1)
    assert calendars.at(NIGHT).active[0].starts_at.hour == 21


def test_a_broken_edit_is_a_fault_until_it_is_mended(tmp_path: Path, clock: FakeClock) -> None:
    path = tmp_path / "freeze.ics"
    calendars = folder_of(tmp_path, clock)
    for content, faulty in ((calendar(nightly()), 0), (b"BEGIN:VCAL", 1), (calendar(nightly()), 0)):
        path.write_bytes(content)
        clock.advance(seconds=1)
        windows = calendars.at(NIGHT)
        assert (len(windows.active), len(windows.faults)) == (1 - faulty, faulty)
        assert windows.digest == calendars.digest


def test_a_file_that_changes_while_it_is_read_is_read_again(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "freeze.ics"
    path.write_bytes(calendar(nightly()))
    calendars = folder_of(tmp_path, clock)
    real = os.fstat
    looks = 0

    def busy(descriptor: int) -> os.stat_result:
        nonlocal looks
        looks += 1
        if looks == 2:
            path.write_bytes(calendar(nightly(), nightly(uid="b@test")))
        return real(descriptor)

    monkeypatch.setattr(os, "fstat", busy)
    assert faults(calendars) == ["freeze.ics: is being written"]
    clock.advance(seconds=1)
    assert faults(calendars) == []
    assert len(calendars.at(NIGHT).active) == 2


def test_a_stale_calendar_is_a_fault_and_still_counts(tmp_path: Path, clock: FakeClock) -> None:
    path = tmp_path / "freeze.ics"
    path.write_bytes(calendar(nightly()))
    written = NIGHT.timestamp()
    os.utime(path, (written, written))
    calendars = folder_of(tmp_path, clock, stale_after=3600)
    clock.set(NIGHT + HOUR)
    assert faults(calendars) == []
    clock.advance(seconds=1)
    assert faults(calendars) == ["freeze.ics: is stale: it was not written for 1.0 h"]
    assert len(calendars.at(NIGHT).active) == 1
    os.utime(path, (written + 3600, written + 3600))
    clock.advance(seconds=1)
    assert faults(calendars) == []


def test_a_calendar_from_the_future_does_not_stay_fresh_for_ever(
    tmp_path: Path, clock: FakeClock
) -> None:
    path = tmp_path / "freeze.ics"
    path.write_bytes(calendar())
    later = NIGHT.timestamp() + 10 * 86_400
    os.utime(path, (later, later))
    assert faults(folder_of(tmp_path, clock, stale_after=3600)) == [
        "freeze.ics: was written in the future, by its date"
    ]
    assert faults(folder_of(tmp_path, clock)) == []


def test_a_clock_that_is_set_back_does_not_stop_the_looks(tmp_path: Path, clock: FakeClock) -> None:
    calendars = folder_of(tmp_path, clock)
    assert calendars.at(NIGHT).active == ()
    (tmp_path / "freeze.ics").write_bytes(calendar(nightly()))
    clock.set(NIGHT - timedelta(days=1))
    assert len(calendars.at(NIGHT).active) == 1


def test_more_files_than_anybody_needs_are_a_fault(tmp_path: Path, clock: FakeClock) -> None:
    for number in range(folder.MOST_FILES + 1):
        (tmp_path / f"{number}.ics").write_bytes(calendar())
    assert faults(folder_of(tmp_path, clock)) == [f"{tmp_path.name}: holds more than 64 calendars"]


def test_a_name_that_is_no_text_can_be_shown_and_recorded(tmp_path: Path, clock: FakeClock) -> None:
    for byte in (b"\xff", b"\xfe"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + byte + b".ics")).write_bytes(calendar())
    calendars = folder_of(tmp_path, clock)
    assert list(calendars.files()) == ["\N{REPLACEMENT CHARACTER}.ics"]
    assert "cannot be told apart" in faults(calendars)[0]


def test_what_comes_is_shown_in_order_and_at_most_a_thousand(
    tmp_path: Path, clock: FakeClock
) -> None:
    (tmp_path / "a.ics").write_bytes(calendar(*(nightly(uid=f"e{n}") for n in range(40))))
    (tmp_path / "b.ics").write_bytes(calendar(nightly()))
    calendars = folder_of(tmp_path, clock)
    shown = calendars.between(NIGHT, NIGHT + timedelta(days=2))
    assert len(shown) == 41 * 3  # with the night that has begun
    assert [w.starts_at for w in shown] == sorted(w.starts_at for w in shown)
    assert len(calendars.between(NIGHT, NIGHT + timedelta(days=10_000))) == 1_000
    assert calendars.between(NIGHT, NIGHT) == []


def test_a_long_window_is_shown_once(tmp_path: Path, clock: FakeClock) -> None:
    long = event("DTSTART:20260710T000000Z", "DURATION:P60D")
    (tmp_path / "a.ics").write_bytes(calendar(long))
    assert len(folder_of(tmp_path, clock).between(NIGHT, NIGHT + timedelta(days=300))) == 1


def test_the_evidence_is_what_was_read(tmp_path: Path, clock: FakeClock) -> None:
    content = calendar(nightly())
    (tmp_path / "a.ics").write_bytes(content)
    (tmp_path / "b.ics").write_bytes(b"broken")
    calendars = folder_of(tmp_path, clock)
    assert calendars.files() == {"a.ics": content, "b.ics": b"broken"}
    digest = calendars.digest
    (tmp_path / "b.ics").rename(tmp_path / "c.ics")
    clock.advance(seconds=1)
    assert calendars.digest != digest


def test_what_is_shipped_freezes_the_end_of_each_year_until_2030(clock: FakeClock) -> None:
    calendars = folder_of(SHIPPED, clock)
    assert faults(calendars) == []
    for year in range(2026, 2030):
        windows = calendars.at(datetime(year, 12, 24, 12, tzinfo=UTC))
        assert len(windows.freezes("checkout", "payments")) == 1
        assert calendars.at(datetime(year, 6, 1, 12, tzinfo=UTC)).active == ()
    [maintenance] = calendars.at(datetime(2026, 12, 13, 3, tzinfo=UTC)).active
    assert maintenance.kind is WindowKind.MAINTENANCE
    assert maintenance.services == {"reporting"}


@given(hours=st.lists(st.integers(0, 24 * 120), min_size=1, max_size=8))
@settings(max_examples=50)
def test_what_is_remembered_never_differs_from_what_is_worked_out(hours: list[int]) -> None:
    """Moments in any order, over a clock change, all asked of one and the same calendar."""
    found = several()
    wide = found.between(SPRING, SPRING + timedelta(days=121))
    for hour in hours:
        moment = SPRING + timedelta(hours=hour, minutes=30)
        assert list(found.at(moment).active) == [w for w in wide if w.during(moment)]


def several() -> Calendar:
    """Read windows of different lengths that overlap."""
    return loaded(
        nightly(),
        nightly("RRULE:FREQ=WEEKLY;INTERVAL=2", zone="Australia/Lord_Howe", uid="b@test"),
        event("DTSTART:20260301T000000Z", "DURATION:P20DT3H", "RRULE:FREQ=MONTHLY", uid="c@test"),
    )
