"""What calendars said at a moment, from their files alone: for whoever verifies evidence."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from bot.calendars.calendar import order, read
from bot.calendars.lines import Unfit
from bot.domain.freezes import CalendarFault, Window, Windows


def windows_of(files: Mapping[str, bytes], moment: datetime) -> Windows:
    """Return what some calendar files had in force at a moment, and which cannot be read."""
    active: list[Window] = []
    faults: list[CalendarFault] = []
    for name, content in sorted(files.items()):
        try:
            active += read(content, name=name).at(moment).active
        except Unfit as error:
            faults.append(CalendarFault(source=name, reason=str(error)))
    return Windows(active=tuple(sorted(active, key=order)), faults=tuple(faults))
