"""Reads the keys of one table with their types; what is wrong is noted, not raised.

Every method returns something harmless after noting a problem, so that one
pass over a file finds all its mistakes. The caller asks `Notes.clean` at the
end and throws the result away if it is not.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from datetime import date, datetime
from enum import Enum
from typing import TypeVar

from bot.domain.actions import JSON
from bot.domain.parameters import parse_duration
from bot.knowledge.problems import Notes
from bot.knowledge.strict_yaml import Node

SLUG = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
LONGEST = 300

E = TypeVar("E", bound=Enum)
T = TypeVar("T")

_KINDS: Mapping[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "a table",
}


class Fields:
    """One table of a file. Its methods take a key; a default makes the key optional."""

    def __init__(self, node: Node, notes: Notes, name: str = "") -> None:
        self.line = node.line
        self._notes = notes
        self._name = name
        self._known: set[str] = set()
        self._broken = not isinstance(node.value, dict)
        self._table: dict[str, Node] = node.value if isinstance(node.value, dict) else {}
        if self._broken:
            notes.add(node.line, f"{name or 'the file'} should be a table, not {kind(node)}")

    def __contains__(self, key: str) -> bool:
        return key in self._table

    def path(self, key: str) -> str:
        """Return a key's full name, as error messages show it."""
        return f"{self._name}.{key}" if self._name else key

    def line_of(self, key: str) -> int:
        """Return the line of a key, or of the table where it is missing."""
        return self._table[key].line if key in self._table else self.line

    def note(self, key: str, reason: str) -> None:
        """Note a problem with a key's value."""
        self._notes.add(self.line_of(key), f"{self.path(key)} {reason}")

    def note_here(self, reason: str) -> None:
        """Note a problem with the table as a whole."""
        self._notes.add(self.line, f"{self._name or 'the file'} {reason}")

    def note_at(self, line: int, key: str, reason: str) -> None:
        """Note a problem with something inside a key's value, on its own line."""
        self._notes.add(line, f"{self.path(key)} {reason}")

    def text(
        self,
        key: str,
        *,
        default: str | None = None,
        form: re.Pattern[str] | None = None,
        longest: int = LONGEST,
    ) -> str:
        """Read text that is not empty; `form` has to match the whole of it."""
        value = self._get(key, str, required=default is None)
        if value is None:
            return default or ""
        if not value.strip():
            self.note(key, "is empty")
        elif len(value) > longest:
            self.note(key, f"is longer than {longest} characters")
        elif form is not None and form.fullmatch(value) is None:
            self.note(key, f'"{value}" does not have the form {form.pattern}')
        return value.strip()

    def whole(self, key: str, *, default: int | None = None, least: int = 1, most: int) -> int:
        """Read a whole number between two bounds."""
        value = self._get(key, int, required=default is None)
        if value is None:
            return least if default is None else default
        if not least <= value <= most:
            self.note(key, f"is {value}, but should be from {least} to {most}")
        return value

    def count(self, key: str, *, most: int) -> int | None:
        """Read an optional whole number from 1."""
        self._known.add(key)
        return self.whole(key, most=most) if key in self else None

    def span(self, key: str, *, most: float) -> float | None:
        """Read an optional duration such as `30s`."""
        self._known.add(key)
        return self.seconds(key, most=most) if key in self else None

    def number(self, key: str) -> float | None:
        """Read an optional number."""
        node = self._table.get(key)
        if node is not None and isinstance(node.value, int) and not isinstance(node.value, bool):
            self._known.add(key)
            return float(node.value)
        return self._get(key, float, required=False)

    def flag(self, key: str, *, default: bool) -> bool:
        """Read true or false."""
        value = self._get(key, bool, required=False)
        return default if value is None else value

    def truth(self, key: str) -> bool | None:
        """Return a plain true or false; None, and no note, for all else."""
        node = self._table.get(key)
        self._known.add(key)
        return node.value if node is not None and isinstance(node.value, bool) else None

    def seconds(self, key: str, *, default: float | None = None, most: float) -> float:
        """Read a duration such as `30s`."""
        value = self._get(key, str, required=default is None)
        if value is None:
            return float(default or 1)
        try:
            seconds = parse_duration(value)
        except ValueError as problem:
            self.note(key, f"is wrong: {problem}")
            return 1.0
        if seconds > most:
            self.note(key, f"is {value}, but {most:g} s are the most")
        return seconds

    def day(self, key: str) -> date:
        """Read a day such as `2026-02-28`."""
        value = self._get(key, str, required=True)
        try:
            return date.fromisoformat(value or "1970-01-01")
        except ValueError:
            self.note(key, f'is "{value}", which is not a day such as 2026-02-28')
            return date(1970, 1, 1)

    def moment(self, key: str) -> datetime:
        """Read a time with its zone, such as `2026-02-28T03:12:00Z`."""
        value = self._get(key, str, required=True)
        try:
            moment = datetime.fromisoformat(value or "1970-01-01T00:00:00Z")
        except ValueError:
            self.note(key, f'is "{value}", which is not a time such as 2026-02-28T03:12:00Z')
            return datetime.fromisoformat("1970-01-01T00:00:00Z")
        if moment.tzinfo is None:
            self.note(key, f'is "{value}" without a time zone; end it in Z for UTC')
        return moment

    def choice(self, key: str, kinds: type[E], *, default: E | None = None) -> E:
        """Read one of an enum's values."""
        allowed = {str(member.value): member for member in kinds}
        value = self._get(key, str, required=default is None)
        if value in allowed:
            return allowed[value]
        if value is not None:
            self.note(key, f'is "{value}", but should be one of {", ".join(allowed)}')
        return default or next(iter(kinds))

    def texts(self, key: str) -> tuple[str, ...]:
        """Read a list of different texts; a missing key is an empty list."""
        found: list[str] = []
        for node in self._get(key, list, required=False) or []:
            if not isinstance(node.value, str) or not node.value.strip():
                self._notes.add(node.line, f"{self.path(key)} holds {kind(node)}, not text")
            elif node.value in found:
                self._notes.add(node.line, f'{self.path(key)} names "{node.value}" twice')
            else:
                found.append(node.value)
        return tuple(found)

    def words(self, key: str) -> tuple[str, ...]:
        """Read one text, or a list of different texts that is not empty."""
        node = self._table.get(key)
        if node is None or not isinstance(node.value, list):
            word = self.text(key)
            return (word,) if word else ()
        words = self.texts(key)
        if not node.value:
            self.note(key, "names nothing")
        return words

    def table(self, key: str, *, required: bool = True) -> Fields | None:
        """Read a table in the table."""
        value = self._get(key, dict, required=required)
        if value is None:
            return None
        return Fields(Node(value, self.line_of(key)), self._notes, self.path(key))

    def tables(self, key: str) -> list[Fields]:
        """Read a list of tables; a missing key is an empty list."""
        nodes = self._get(key, list, required=False) or []
        return [
            Fields(node, self._notes, f"{self.path(key)}[{number}]")
            for number, node in enumerate(nodes, start=1)
        ]

    def named_tables(self, key: str) -> Mapping[str, Fields]:
        """Read a table of tables, by name; a missing key is an empty one."""
        value: dict[str, Node] = self._get(key, dict, required=False) or {}
        return {n: Fields(node, self._notes, f"{self.path(key)}.{n}") for n, node in value.items()}

    def nodes(self, key: str) -> Mapping[str, Node]:
        """Read a table of anything; a missing key is an empty one."""
        return self._get(key, dict, required=False) or {}

    def scalar(self, key: str) -> JSON:
        """Read a single value of any kind, or None where the key is missing."""
        node = self._table.get(key)
        self._known.add(key)
        if node is None or isinstance(node.value, list | dict):
            if node is not None:
                self.note(key, f"should be a single value, not {kind(node)}")
            return None
        return node.value

    def finish(self) -> None:
        """Note every key that nobody asked for."""
        for key, node in self._table.items():
            if key not in self._known:
                near = difflib.get_close_matches(key, self._known, n=1)
                hint = f'; did you mean "{near[0]}"?' if near else ""
                self._notes.add(node.line, f'unknown key "{self.path(key)}"{hint}')

    def _get(self, key: str, wanted: type[T], *, required: bool) -> T | None:
        self._known.add(key)
        node = self._table.get(key)
        if node is None:
            if required and not self._broken:
                self._notes.add(self.line, f"{self.path(key)} is missing")
            return None
        if isinstance(node.value, wanted) and (wanted is bool or not isinstance(node.value, bool)):
            return node.value
        self.note(key, f"should be {_KINDS[wanted]}, not {kind(node)}")
        return None


def kind(node: Node) -> str:
    """Say what a value is, in words."""
    if node.value is None:
        return "nothing"
    if isinstance(node.value, bool):
        return "true" if node.value else "false"
    if isinstance(node.value, int | float):
        return f"the number {node.value}"
    return _KINDS[type(node.value)]


def plain(node: Node) -> JSON:
    """Return a value without its lines."""
    if isinstance(node.value, list):
        return [plain(item) for item in node.value]
    if isinstance(node.value, dict):
        return {key: plain(item) for key, item in node.value.items()}
    return node.value
