"""What a value of Redis means: `100mb` and `104857600` are the same."""

from __future__ import annotations

import math
import re

# Units of redis.conf: https://redis.io/docs, "Redis configuration", note on units.
_UNITS = {
    "": 1,
    "b": 1,
    "k": 1000,
    "kb": 1024,
    "m": 1000**2,
    "mb": 1024**2,
    "g": 1000**3,
    "gb": 1024**3,
}
_QUANTITY = re.compile(r"(-?[0-9]+(?:\.[0-9]+)?)(b|k|kb|m|mb|g|gb)?", re.IGNORECASE | re.ASCII)
_WORDS = {"yes": 1.0, "up": 1.0, "ok": 1.0, "no": 0.0, "down": 0.0, "err": 0.0}


def quantity(text: str) -> int | float | None:
    """Return a value as a number, memory in bytes; None where it is none."""
    found = _QUANTITY.fullmatch(text.strip())
    if found is None:
        return None
    written, factor = found[1], _UNITS[(found[2] or "").lower()]
    exact = int(written) * factor if "." not in written else float(written) * factor
    return exact if math.isfinite(exact) else None


def same(one: str, other: str) -> bool:
    """Say whether two values of a parameter mean the same."""
    first, second = quantity(one), quantity(other)
    if first is None or second is None:
        return one == other
    return first == second


def number(text: str) -> float | None:
    """Return what a verification compares: a number, or 1 and 0 for yes and no, up and down."""
    found = quantity(text)
    if found is None:
        return _WORDS.get(text.strip().lower())
    try:
        return float(found)
    except OverflowError:
        return None


def shown(text: str) -> str:
    """Return a value for people: what cannot be printed is written out."""
    return text if text and text.isprintable() else repr(text)
