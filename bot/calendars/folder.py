"""A folder of calendars: what is in force, and which files could not say."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from bot.calendars.calendar import LARGEST, Calendar, Spell, order, read
from bot.calendars.lines import Unfit
from bot.domain.freezes import CalendarFault, Window, Windows
from bot.ports import Clock

MOST_FILES = 64
MOST_SHOWN = 1_000
LONGEST_LOOK = timedelta(days=370)
_LOOK_EVERY = timedelta(seconds=1)
_AHEAD = timedelta(days=7)
_CLOCKS_DIFFER = timedelta(days=1)

Signature = tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class _File:
    """One file as it was read; `signature` is None where it has to be read again."""

    signature: Signature | None
    content: bytes = b""
    calendar: Calendar | None = None
    fault: str = ""


class CalendarFolder:
    """The calendars `*.ics` of a folder, read again when they change.

    A folder that is missing holds no calendars. A file whose name begins with a
    dot is an editor's and not read. `stale_after` is how old a file may be, in
    seconds, for those who have a job that writes them anew; None is for files
    that people edit. What cannot be read makes a fault, also beside other files
    that can, and never keeps the windows that it held before: what was decided
    has to follow from the files whose digest is on the record.
    """

    def __init__(self, folder: Path, *, stale_after: float | None, clock: Clock) -> None:
        self._folder = folder
        self._stale_after = stale_after
        self._clock = clock
        self._looked: datetime | None = None
        self._files: Mapping[str, _File] = {}
        self._faults: tuple[CalendarFault, ...] = ()
        self._digest = ""
        self._spell: Spell | None = None

    @property
    def digest(self) -> str:
        """Return what identifies the calendars: SHA-256 over the files' names and bytes.

        Of a file that is too large only the beginning counts: it is refused anyway.
        """
        self._look()
        return self._digest

    def files(self) -> Mapping[str, bytes]:
        """Return the calendars as they were read, by name, for evidence."""
        self._look()
        return {name: file.content for name, file in self._files.items()}

    def at(self, moment: datetime) -> Windows:
        """Return what is in force at a moment. Files are looked at once a second at most.

        Whether a file is stale is judged by the clock, not by the moment asked for.
        """
        self._look()
        if self._spell is None or not self._spell.holds(moment):
            self._spell = self._work_out(moment)
        return Windows(active=self._spell.active, faults=self._faults, digest=self._digest)

    def between(self, start: datetime, end: datetime) -> Sequence[Window]:
        """Return the windows that touch a time, in their order.

        At most 1,000, and of the first 370 days.
        """
        self._look()
        end = min(end, start + LONGEST_LOOK)
        found: dict[tuple[datetime, datetime, str], Window] = {}
        while start < end and len(found) < MOST_SHOWN:
            step = min(start + _AHEAD, end)
            for calendar in self._calendars():
                found |= {order(window): window for window in calendar.between(start, step)}
            start = step
        return [found[key] for key in sorted(found)][:MOST_SHOWN]

    def _calendars(self) -> Iterator[Calendar]:
        return (file.calendar for file in self._files.values() if file.calendar is not None)

    def _work_out(self, moment: datetime) -> Spell:
        """Return what is in force in all calendars, and how long that stays so in each."""
        spells = [calendar.at(moment) for calendar in self._calendars()]
        return Spell(
            since=max((spell.since for spell in spells), default=moment),
            until=min((spell.until for spell in spells), default=moment + _LOOK_EVERY),
            active=tuple(sorted((w for spell in spells for w in spell.active), key=order)),
        )

    def _look(self) -> None:
        """Read what has changed."""
        now = self._clock.now()
        if self._looked is not None and timedelta() <= now - self._looked < _LOOK_EVERY:
            return
        before = self._files, self._faults
        found = self._read_all()
        self._files = {name: file for name, file in found.items() if name}
        self._faults = tuple(self._faulty(found, now))
        self._looked = now
        if before != (self._files, self._faults) or not self._digest:
            self._digest = _digest(self._files)
            self._spell = None

    def _read_all(self) -> dict[str, _File]:
        """Return all files by name; what is wrong with the folder stands under no name."""
        try:
            with os.scandir(self._folder) as entries:
                paths = sorted(e.path for e in entries if _is_calendar(e.name))
        except FileNotFoundError:
            return {}
        except OSError as error:
            return {"": _File(signature=None, fault=f"cannot be read: {error.strerror}")}
        found = {_shown(path): self._read(path) for path in paths[:MOST_FILES]}
        if len(paths) > MOST_FILES:
            found[""] = _File(signature=None, fault=f"holds more than {MOST_FILES} calendars")
        elif len(found) < len(paths):
            found[""] = _File(signature=None, fault="holds names that cannot be told apart")
        return found

    def _read(self, path: str) -> _File:
        name = _shown(path)
        known = self._files.get(name)
        try:
            if known is not None and known.signature == _signature(os.stat(path)):
                return known
            content, signature = _content(path)
        except OSError as error:
            return _File(signature=None, fault=f"cannot be read: {error.strerror}")
        if signature is None:
            return _File(signature=None, content=content, fault="is being written")
        try:
            calendar = read(content, name=name)
        except Unfit as error:
            return _File(signature=signature, content=content, fault=str(error))
        return _File(signature=signature, content=content, calendar=calendar)

    def _faulty(self, found: Mapping[str, _File], now: datetime) -> Iterator[CalendarFault]:
        for name, file in found.items():
            if reason := file.fault or self._staleness(file, now):
                yield CalendarFault(source=name or self._folder.name, reason=reason)

    def _staleness(self, file: _File, now: datetime) -> str:
        if self._stale_after is None or file.signature is None:
            return ""
        age = timedelta(seconds=now.timestamp() - file.signature[0] / 1e9)
        if age > timedelta(seconds=self._stale_after):
            return f"is stale: it was not written for {age.total_seconds() / 3600:.1f} h"
        # A file from the future would never become stale.
        return "was written in the future, by its date" if age < -_CLOCKS_DIFFER else ""


def _is_calendar(name: str) -> bool:
    return name.endswith(".ics") and not name.startswith(".")


def _shown(path: str) -> str:
    """Return a file's name as text that can be shown and recorded, whatever its bytes."""
    name = os.fsencode(Path(path).name).decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)


def _signature(status: os.stat_result) -> Signature:
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


def _content(path: str) -> tuple[bytes, Signature | None]:
    """Return a file's bytes, and no signature if it changed meanwhile."""
    # A pipe of that name would otherwise keep us waiting for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise OSError(0, "it is no file")
        content = file.read(LARGEST + 1)
        after = os.fstat(descriptor)
    unchanged = _signature(before) == _signature(after)
    return content, _signature(after) if unchanged else None


def _digest(files: Mapping[str, _File]) -> str:
    digest = hashlib.sha256()
    for name, file in sorted(files.items()):
        for part in (name.encode(), file.content):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()
