"""Typed reading of decoded JSON: each reader names its field when it cannot."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from bot.domain.actions import JSON
from bot.domain.errors import Unreadable

MOST_LABELS = 500
LONGEST_NAME = 500

_RFC3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}):([0-9]{2})(?:\.([0-9]{1,30}))?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_LEAP_SECOND = "60"
_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")


def storable(value: str) -> str:
    """Replace what no database stores: NUL and halves of surrogate pairs."""
    return value if value.isprintable() else _NOT_STORABLE.sub("\ufffd", value)


def table(value: JSON, path: str) -> Mapping[str, JSON]:
    """Return a JSON object."""
    if not isinstance(value, dict):
        raise Unreadable(path, f"is {kind(value)}, not an object")
    return value


def text(value: JSON, path: str, *, longest: int | None) -> str:
    """Return a text cut to its limit; a missing one is empty."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Unreadable(path, f"is {kind(value)}, not a text")
    return shorten(storable(value), longest)


def shorten(value: str, longest: int | None) -> str:
    """Cut a text, visibly."""
    if longest is None or len(value) <= longest:
        return value
    return value[: longest - 1] + "…"


def label_map(value: JSON, path: str, *, longest: int | None) -> Mapping[str, str]:
    """Return names with texts, each cut to its limit; missing ones are no names at all."""
    if value is None:
        return {}
    labels = table(value, path)
    if len(labels) > MOST_LABELS:
        raise Unreadable(path, f"has {len(labels)} entries; {MOST_LABELS} are the most")
    read: dict[str, str] = {}
    for name, label in labels.items():
        if len(name) > LONGEST_NAME:
            raise Unreadable(path, f"has a name of {len(name)} characters")
        if not isinstance(label, str):
            raise Unreadable(f"{path}.{storable(name)}", f"is {kind(label)}, not a text")
        read[storable(name)] = shorten(storable(label), longest)
    return read


def whole(value: JSON, path: str, *, most: int) -> int:
    """Return a whole number from 0; a missing one is 0."""
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool):
        raise Unreadable(path, f"is {kind(value)}, not a whole number")
    if not 0 <= value <= most:
        raise Unreadable(path, f"should be from 0 to {most}")
    return value


def moment(value: JSON, path: str) -> datetime | None:
    """Return a time of RFC 3339 in UTC; None for Go's zero time, the year 1.

    Digits below the microsecond are dropped. A leap second is the next minute.
    """
    if not isinstance(value, str):
        raise Unreadable(path, f"is {kind(value)}, not a time")
    found = _RFC3339.fullmatch(value)
    if found is None:
        raise Unreadable(path, "is not a time such as 2026-01-31T12:00:00Z")
    day, minute, second, fraction, zone = found.groups()
    leap = second == _LEAP_SECOND
    fraction = (fraction or "")[:6].ljust(6, "0")
    written = f"{day}T{minute}:{'59' if leap else second}.{fraction}{zone.upper()}"
    try:
        local = datetime.fromisoformat(written) + timedelta(seconds=1 if leap else 0)
        if local.year == 1:
            return None
        return local.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Unreadable(path, "is a time that does not exist") from None


def kind(value: JSON) -> str:
    """Name a JSON type for people."""
    if value is None:
        return "missing"
    if isinstance(value, bool):
        return "true or false"
    names = {str: "a text", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), "something else")
