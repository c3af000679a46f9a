"""Read a file of JSON objects, one a line, and note what is wrong with each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from typing_extensions import override

LONGEST = 8 * 2**20  # bytes of a line: one document is no larger

_BOM = b"\xef\xbb\xbf"
_MOST = 100  # problems told of one file: nobody reads more


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is wrong with one field of one line."""

    file: str
    line: int
    field: str
    reason: str

    @override
    def __str__(self) -> str:
        """Write it as people and editors know it: file, line, field, reason."""
        return f"{self.file}:{self.line}: {self.field}: {self.reason}"


class Lines:
    """The objects of a file; reading goes on after a broken line, so that all are told at once.

    A byte order mark at the beginning and empty lines are passed over.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.problems: list[Problem] = []

    def __iter__(self) -> Iterator[Line]:
        """Yield each line that holds an object."""
        try:
            with self._path.open("rb") as file:
                for number, raw in enumerate(iter(lambda: file.readline(LONGEST + 1), b""), 1):
                    if len(raw) > LONGEST:
                        self.wrong(number, "line", f"is longer than {LONGEST // 2**20} MiB")
                        return
                    content = raw.removeprefix(_BOM) if number == 1 else raw
                    if content.strip() and (row := self._object(number, content)) is not None:
                        yield Line(self, number, row)
                    if len(self.problems) >= _MOST:
                        self.wrong(number, "line", "too much is wrong; the rest was not read")
                        return
        except OSError as error:
            self.wrong(1, "file", f"cannot be read: {error.strerror}")

    def wrong(self, line: int, field: str, reason: str) -> None:
        """Note a problem."""
        self.problems.append(
            Problem(file=str(self._path), line=line, field=_plain(field), reason=_plain(reason))
        )

    def where(self, line: int) -> str:
        """Name a line for another line's problem."""
        return f"{self._path.name}:{line}"

    def _object(self, number: int, content: bytes) -> Mapping[str, Any] | None:
        try:
            row = json.loads(content.decode("utf-8"))
        except UnicodeDecodeError as error:
            self.wrong(number, "line", f"is not UTF-8 at byte {error.start + 1}")
        except json.JSONDecodeError as error:
            self.wrong(number, "line", f"is not JSON: {error.msg} at character {error.pos + 1}")
        except (ValueError, RecursionError):
            self.wrong(number, "line", "is JSON that is too deep or has a number too long to read")
        else:
            if isinstance(row, dict):
                return row
            self.wrong(number, "line", "is no JSON object")
        return None


class Line:
    """One object, and what is asked of its fields."""

    def __init__(self, lines: Lines, number: int, row: Mapping[str, Any]) -> None:
        self._lines = lines
        self._number = number
        self.row = row
        self.fine = True

    @property
    def where(self) -> str:
        """Name this line for another line's problem."""
        return self._lines.where(self._number)

    def wrong(self, field: str, reason: str) -> None:
        """Note a problem with a field of this line."""
        self.fine = False
        self._lines.wrong(self._number, field, reason)

    def text(self, field: str, sense: str) -> str | None:
        """Return a field that must be text; `sense` is "asks" where it may not be blank."""
        value = self._there(field)
        if value is None:
            return None
        if not isinstance(value, str):
            self.wrong(field, "must be text")
            return None
        if sense == "asks" and not value.strip():
            self.wrong(field, "is empty")
            return None
        return value

    def name(self, field: str) -> str:
        """Return a field that names something: text that can be written down anywhere."""
        value = self._there(field)
        if value is None:
            return ""
        if not isinstance(value, str) or not value.strip():
            self.wrong(field, "must be text that is not empty")
            return ""
        if not value.isprintable():
            self.wrong(field, "has characters that cannot be printed")
            return ""
        return value

    def names(self, field: str) -> tuple[str, ...] | None:
        """Return a field that lists names; the list may be empty."""
        value = self._there(field)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            self.wrong(field, "must be a list of ids")
            return None
        return tuple(value)

    def moment(self, field: str) -> datetime | None:
        """Return a field that may hold a time, in UTC where it names no zone."""
        value = self.row.get(field)
        if value is None:
            return None
        try:
            moment = datetime.fromisoformat(value)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        except (TypeError, ValueError, OverflowError):
            self.wrong(field, "must be a time such as 2026-11-21T08:00:00Z")
            return None

    def _there(self, field: str) -> Any:
        if self.row.get(field) is None:
            self.wrong(field, "is missing")
            return None
        return self.row[field]


def _plain(text: str) -> str:
    """Write what a stranger's file says so that any terminal can print it."""
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return shown if len(shown) <= 200 else shown[:199] + "…"
