"""Calendars as people write them, for tests."""

from __future__ import annotations

import os
from pathlib import Path

from bot.calendars import CalendarFolder
from bot.calendars.calendar import Calendar, read
from tests.fakes import FakeClock


def event(*lines: str, uid: str = "a@test", category: str = "FREEZE") -> str:
    """Write an event; its lines come after UID and CATEGORIES."""
    head = ("BEGIN:VEVENT", f"UID:{uid}", f"CATEGORIES:{category}")
    return "\r\n".join((*head, *lines, "END:VEVENT"))


def nightly(*lines: str, zone: str = "Europe/Berlin", uid: str = "a@test") -> str:
    """Write a freeze of every night, 22:00 to 06:00."""
    return event(
        f"DTSTART;TZID={zone}:20260101T220000",
        f"DTEND;TZID={zone}:20260102T060000",
        *(lines or ("RRULE:FREQ=DAILY",)),
        uid=uid,
    )


def calendar(*events: str, head: str = "") -> bytes:
    """Write a calendar."""
    lines = ("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:test", *filter(None, [head]), *events)
    return ("\r\n".join((*lines, "END:VCALENDAR")) + "\r\n").encode()


def loaded(*events: str, head: str = "") -> Calendar:
    """Read a calendar of these events."""
    return read(calendar(*events, head=head), name="test.ics")


def folder_of(path: Path, clock: FakeClock, stale_after: float | None = None) -> CalendarFolder:
    """Open a folder of calendars."""
    return CalendarFolder(path, stale_after=stale_after, clock=clock)


def write(path: Path, content: bytes) -> None:
    """Replace a file whole, as editors and mounted configuration do."""
    draft = path.with_suffix(".draft")
    draft.write_bytes(content)
    os.replace(draft, path)
