"""The one way values become bytes before they are hashed: RFC 8785 (JCS).

Whatever is signed, approved or recorded is identified by the SHA-256 of these
bytes, so two programs that hold the same value must arrive at the same bytes,
or at the same refusal.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from hashlib import sha256
from typing import TypeAlias

import rfc8785

from bot.domain.actions import JSON

MAX_DEPTH = 32  # containers within containers
MAX_BYTES = 65_534  # the length of a log entry is written in 16 bits elsewhere
_MAX_INTEGER = 2**53 - 1

# Where a value stands: its parent's place and its key or position, None at the top.
_Place: TypeAlias = "tuple[_Place, str | int] | None"


class NotCanonical(ValueError):
    """A value that has no canonical bytes: which part of it, and why."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


def canonical(value: JSON) -> bytes:
    """Return the RFC 8785 JSON of a value.

    Depth and size are bounded before anything is serialised, and without
    recursion, so that no input can exhaust the stack or the memory. Dicts with
    text keys, lists, tuples, text, numbers, booleans and None are accepted;
    integers only where a double holds them exactly.

    Raises:
        NotCanonical: some part has no canonical form; `path` names it.
    """
    _check(value)
    written = rfc8785.dumps(value)
    if len(written) > MAX_BYTES:
        raise NotCanonical("$", _too_large())
    return written


def digest(value: JSON) -> str:
    """Return the SHA-256 of a value's canonical bytes, in hex.

    Raises:
        NotCanonical: some part has no canonical form; `path` names it.
    """
    return sha256(canonical(value)).hexdigest()


def _check(value: JSON) -> None:
    """Walk a value depth first; `size` counts what it takes at the very least."""
    size = 0
    pending: list[tuple[JSON, int, _Place]] = [(value, 0, None)]
    while pending:
        item, depth, place = pending.pop()
        size += _least_size(item)
        if size > MAX_BYTES:
            raise NotCanonical("$", _too_large())
        if not isinstance(item, dict | list | tuple):
            _check_scalar(item, place)
            continue
        if depth == MAX_DEPTH:
            raise NotCanonical(_path(place), f"is nested deeper than {MAX_DEPTH} levels")
        pending.extend((child, depth + 1, (place, key)) for key, child in _children(item, place))


def _least_size(item: JSON) -> int:
    if isinstance(item, str):
        return len(item) + 2
    if isinstance(item, dict | list | tuple):
        return len(item) + 1
    return 1


def _children(
    item: dict[JSON, JSON] | list[JSON] | tuple[JSON, ...], place: _Place
) -> Iterator[tuple[str | int, JSON]]:
    if not isinstance(item, dict):
        yield from enumerate(item)
        return
    for key, child in item.items():
        if not isinstance(key, str):
            kind = type(key).__name__
            raise NotCanonical(_path(place), f"has the key {key!r:.40}, which is {kind}, not text")
        _check_text(key, (place, key), what="key")
        yield key, child


def _check_scalar(item: JSON, place: _Place) -> None:
    if item is None or isinstance(item, bool):
        return
    if isinstance(item, str):
        _check_text(item, place, what="text")
    elif isinstance(item, int):
        if abs(item) > _MAX_INTEGER:
            raise NotCanonical(_path(place), "is an integer beyond 2^53-1; write it as text")
    elif isinstance(item, float):
        if not math.isfinite(item):
            raise NotCanonical(_path(place), f"is {float(item)}, which JSON cannot carry")
    else:
        raise NotCanonical(_path(place), f"is a {type(item).__name__}, not a JSON value")


def _check_text(text: str, place: _Place, *, what: str) -> None:
    if text.isascii():
        return
    if len(text) > MAX_BYTES:
        raise NotCanonical("$", _too_large())
    try:
        text.encode()
    except UnicodeEncodeError as error:
        reason = f"is a {what} with half a surrogate pair at character {error.start}"
        raise NotCanonical(_path(place), reason) from None


def _path(place: _Place) -> str:
    parts: list[str] = []
    while place is not None:
        place, part = place
        parts.append(_written(part))
    return "$" + "".join(reversed(parts))


def _written(part: str | int) -> str:
    if isinstance(part, str) and part.isidentifier() and part.isascii() and len(part) <= 40:
        return f".{part}"
    return f"[{part[:40]!a}]" if isinstance(part, str) else f"[{part}]"


def _too_large() -> str:
    return f"is larger than {MAX_BYTES} bytes of canonical JSON"
