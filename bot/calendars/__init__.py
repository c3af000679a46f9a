"""Freeze and maintenance windows from iCalendar files (RFC 5545).

    folder.py      a folder of files -> what is in force now; notices changes and faults
    calendar.py    one file -> its windows around a moment
    events.py      VEVENT -> a series of occurrences
    rules.py       RRULE -> dates
    moments.py     local times, durations, and what the clock changes do to them
    evidence.py    files of back then -> what was in force
    lines.py       text -> components and properties

A calendar decides whether a change may be made, so nothing in it is guessed:
what is ambiguous, unsupported or too much work makes the whole file unreadable,
with a reason that names the event and the property, and an unreadable calendar
counts as a freeze.
"""

from bot.calendars.evidence import windows_of
from bot.calendars.folder import CalendarFolder

__all__ = ["CalendarFolder", "windows_of"]
