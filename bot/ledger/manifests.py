"""The manifest of a bundle: what is in it, and what was left out and why.

It is RFC 8785 JSON and nothing signs it: it guards against damage on the way
and says what its writer meant to put in. What it claims is believed only where
the log itself confirms it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

import rfc8785

from bot.domain.actions import JSON

FORMAT = "tocsin-evidence/v1"
ABSENCES = ("erased", "hidden", "redacted")
_KEYS = frozenset({"format", "scope", "origin", "size", "created_at", "files", "entries"})


class BadManifest(ValueError):
    """A manifest that cannot be relied on: why."""


@dataclass(frozen=True, kw_only=True)
class Scope:
    """Which part of the log a bundle is about; by itself, all of it.

    Either one incident, with what its rules need; or everything from a moment or
    an index on, with what the rules need of the time before.

    Raises:
        ValueError: it names an incident and a beginning.
    """

    incident: str | None = None
    since: datetime | None = None
    start: int | None = None

    def __post_init__(self) -> None:
        beginnings = [self.since is not None, self.start is not None]
        if sum(beginnings) + (self.incident is not None) > 1:
            raise ValueError("a scope is one incident, or a beginning, or everything")
        if self.since is not None and self.since.utcoffset() is None:
            raise ValueError("since: the time must say its offset from UTC")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a bundle says of itself.

    `scope` holds `incident`, or `start`, or neither. `files` are the SHA-256 of
    every other file in hex. `absent` are, by the reason, the entries whose
    bodies are not there.
    """

    scope: Mapping[str, JSON]
    origin: str
    size: int
    created_at: str
    files: Mapping[str, str]
    entries: Sequence[int]
    absent: Mapping[str, Sequence[int]] = field(default_factory=dict)

    @property
    def start(self) -> int | None:
        """Return from which entry on nothing may be missing; None for one incident."""
        if "incident" in self.scope:
            return None
        return int(self.scope.get("start", 0))

    def write(self) -> bytes:
        """Return the file's bytes."""
        plain: dict[str, JSON] = {
            "format": FORMAT,
            "scope": dict(self.scope),
            "origin": self.origin,
            "size": self.size,
            "created_at": self.created_at,
            "files": dict(self.files),
            "entries": list(self.entries),
            **{why: list(self.absent.get(why, ())) for why in ABSENCES},
        }
        return rfc8785.dumps(plain)

    @classmethod
    def parse(cls, data: bytes) -> Manifest:
        """Read a manifest.

        Raises:
            BadManifest: it is not exactly what `write` would write.
        """
        plain = _object(data)
        if plain.get("format") != FORMAT:
            raise BadManifest(f"its format is not {FORMAT}")
        if set(plain) != _KEYS | set(ABSENCES):
            raise BadManifest("it has not the keys it should have")
        manifest = cls(
            scope=_scope(plain["scope"]),
            origin=_text("origin", plain["origin"]),
            size=_number("size", plain["size"]),
            created_at=_text("created_at", plain["created_at"]),
            files=_files(plain["files"]),
            entries=_indices("entries", plain["entries"]),
            absent={why: _indices(why, plain[why]) for why in ABSENCES},
        )
        if not _writes(manifest, data):
            raise BadManifest("it is not in its canonical form")
        return manifest


def _writes(manifest: Manifest, data: bytes) -> bool:
    try:
        return manifest.write() == data
    except ValueError:  # half a surrogate pair, which JSON can spell and nobody can write
        return False


def _object(data: bytes) -> dict[str, JSON]:
    try:
        plain = json.loads(data)
    except (ValueError, RecursionError):
        plain = None
    if not isinstance(plain, dict):
        raise BadManifest("it is not a JSON object")
    return plain


def _scope(value: JSON) -> Mapping[str, JSON]:
    match value:
        case {"incident": str(), **rest} if not rest:
            return dict(value)
        case {"start": start, **rest} if set(rest) <= {"since"}:
            _number("scope", start)
            _text("scope", rest.get("since", ""))
            return dict(value)
        case {} if not value:
            return {}
    raise BadManifest("its scope is none")


def _files(value: JSON) -> Mapping[str, str]:
    if isinstance(value, dict) and all(isinstance(v, str) for v in value.values()):
        return value
    raise BadManifest("files: is not a table of names and hashes")


def _text(name: str, value: JSON) -> str:
    if isinstance(value, str):
        return value
    raise BadManifest(f"{name}: is not text")


def _number(name: str, value: JSON) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53:
        return value
    raise BadManifest(f"{name}: is not a number from 0")


def _indices(name: str, value: JSON) -> Sequence[int]:
    if not isinstance(value, list):
        raise BadManifest(f"{name}: is not a list of entries")
    found = [_number(name, each) for each in value]
    if any(later <= earlier for earlier, later in pairwise(found)):
        raise BadManifest(f"{name}: the entries are not in order, each once")
    return found
