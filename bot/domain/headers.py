"""The exact bytes of a ledger entry's header: how they are written and recognised.

What stands in a header is told in `ledger`. Recognising the stored bytes by a
grammar is stricter than parsing and writing them again, and several times
faster.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from bot.domain.actions import JSON
from bot.domain.canonical import MAX_BYTES

VERSION = 1
TYPE = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)+")
# Header fields that are texts: ids and single words.
TEXTS = (
    "incident",
    "action",
    "plan_digest",
    "policy_digest",
    "decision_id",
    "outcome",
    "idem_key",
    "model_version",
)


class NotAHeader(ValueError):
    """Bytes that are not exactly the canonical form of a header this program knows."""


def timestamp(at: datetime) -> str:
    """Return a time as headers write it; such texts sort in the order of time."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


_TEXT = (
    r'"[^"\\\x00-\x1f]*'
    r'(?:\\(?:["\\bfnrt]|u00(?:0[0-7bef]|1[0-9a-f]))[^"\\\x00-\x1f]*)*"'
)
_DATE = "[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{6}"
_OPTIONAL = {
    **dict.fromkeys(TEXTS, _TEXT),
    "on_behalf_of": _TEXT,
    "risk": "[0-4]",
    "skew": "true",
}
_REQUIRED = {
    "actor_ref": _TEXT,
    "body_sha256": r'"(?P<body_sha256>[0-9a-f]{64})"',
    "seq": r"(?P<seq>0|[1-9][0-9]{0,15})",
    "ts": rf'"(?P<ts>{_DATE}T{_TIME}Z)"',
    "type": rf'"(?P<type>{TYPE.pattern})"',
}


def _grammar() -> re.Pattern[str]:
    """Return the pattern of a canonical header: its keys in order, `v` the last."""
    parts = []
    for key, value in sorted((_OPTIONAL | _REQUIRED).items()):
        pair = f'"{key}":{value},'
        if key == "idem_key":
            pair = f'"{key}":(?P<idem_key>{value}),'
        parts.append(f"(?:{pair})?" if key in _OPTIONAL else pair)
    return re.compile(rf'\{{{"".join(parts)}"v":{VERSION}\}}')


_HEADER = _grammar()
# What this writes of flat objects with plain keys, texts and small integers is
# RFC 8785; the grammar has the last word on every leaf.
_ENCODER = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
)


def write_header(header: Mapping[str, JSON]) -> bytes:
    """Return the bytes of a header; `recognise` has the last word on them."""
    return _ENCODER.encode(header).encode()


def header_fields(header: bytes) -> dict[str, JSON]:
    """Return the fields of a header that was written here.

    Raises:
        NotAHeader: the bytes are no JSON object.
    """
    try:
        fields = json.loads(header)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise NotAHeader("the header is not a JSON object")
    return fields


def recognise(leaf: bytes) -> re.Match[str]:
    """Match a leaf against the grammar, with the groups verification needs.

    Raises:
        NotAHeader: the bytes are not exactly what `write_header` could have written.
    """
    try:
        match = _HEADER.fullmatch(leaf.decode())
    except UnicodeDecodeError:
        match = None
    if match is None or len(leaf) > MAX_BYTES:
        raise NotAHeader(f"the leaf is not the canonical form of a version {VERSION} header")
    return match
