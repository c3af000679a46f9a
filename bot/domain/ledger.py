"""The ledger: what was done, by whom, on whose authority; append-only.

An entry has two parts. The **header** is a leaf of a Merkle tree (`merkle`):
RFC 8785 JSON without personal data, kept for ever, verified as the bytes that
were stored. The **body** is free detail that may hold personal data; the header
only commits to it by `SHA-256(salt || body)`, so that body and salt can be
erased and every proof still holds.

Header, version 1. Keys that do not apply are left out, never null:

    v              1
    seq            the leaf's index, from 0
    ts             RFC 3339, UTC, microseconds, `Z`; never before the previous entry
    skew           true, only where `ts` is not the time the entry claims
    type           what happened, as `noun.verb`
    actor_ref      who did it; people as a stable pseudonym
    on_behalf_of   for whom, in the same form
    incident, action, risk, plan_digest, policy_digest, decision_id, outcome,
    idem_key, model_version
    body_sha256    the commitment to the body, in hex

Two types of an effect belong together: `<noun>.intent`, written before it
starts, and `<noun>.outcome`, written after it ended; both carry its `idem_key`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import TypeAlias, TypeGuard

from bot.domain.actions import JSON
from bot.domain.canonical import MAX_BYTES, canonical
from bot.domain.merkle import Frontier, leaf_hash

VERSION = 1
SALT_BYTES = 16
MAX_TEXT = 256  # characters of one header field: an id or a word, not prose

_TYPE = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)+")
_PERSON = re.compile(r"person:\S+")
_SOFTWARE = re.compile(r"(?:bot|system)(?::[\w.:/-]+)?|plugin:[\w.:/-]+", re.ASCII)
_TEXTS = (
    "incident",
    "action",
    "plan_digest",
    "policy_digest",
    "decision_id",
    "outcome",
    "idem_key",
    "model_version",
)
_PEOPLE = ("actor", "on_behalf_of")

# Looks up a stored node by level and index; None where there is none.
StoredNodes: TypeAlias = Callable[[int, int], bytes | None]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What a use case appends.

    `actor` and `on_behalf_of` are references: `person:<id>`, `bot`, `system`,
    `plugin:<name>`, `bot:<id>`. A person's reference reaches the header only as
    a pseudonym; the readable one is added to the body under the field's name,
    which the body may therefore not use itself. Every other field but `body`
    goes into the header and stays for ever: ids and single words, no prose and
    nothing about a person.

    Raises:
        ValueError: a field breaks these rules; the message names it.
    """

    type: str
    actor: str
    at: datetime
    on_behalf_of: str | None = None
    incident: str | None = None
    action: str | None = None
    risk: int | None = None
    plan_digest: str | None = None
    policy_digest: str | None = None
    decision_id: str | None = None
    outcome: str | None = None
    idem_key: str | None = None
    model_version: str | None = None
    body: Mapping[str, JSON] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _TYPE.fullmatch(self.type):
            raise ValueError(f"type: {self.type!r} is not of the form noun.verb in lower case")
        if self.at.utcoffset() is None:
            raise ValueError("at: the time must say its offset from UTC")
        if self.risk is not None and not 0 <= self.risk <= 4:
            raise ValueError(f"risk: {self.risk} is not between 0 and 4")
        for name in _TEXTS:
            _check_text(name, getattr(self, name))
        for name in _PEOPLE:
            self._check_reference(name, getattr(self, name))

    def _check_reference(self, name: str, reference: str | None) -> None:
        if reference is None:
            return
        _check_text(name, reference)
        if not (_PERSON.fullmatch(reference) or _SOFTWARE.fullmatch(reference)):
            raise ValueError(
                f"{name}: {reference!r} is none of person:<id>, bot, system, plugin:<name>"
            )
        if name in self.body:
            raise ValueError(f"body: the key {name!r} is kept for the person behind {name}")


@dataclass(frozen=True, kw_only=True)
class Draft:
    """An entry as it is stored before it has its place in the tree.

    `header` is the canonical JSON of the header without `v`, `seq`, `ts` and
    `skew`; `body` is the canonical JSON of the body.
    """

    header: bytes
    at: datetime
    salt: bytes
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Sealed:
    """An entry in its place: the exact bytes of its leaf, and its body unless erased."""

    seq: int
    leaf: bytes
    salt: bytes | None
    body: bytes | None


@dataclass(frozen=True, kw_only=True)
class Fault:
    """The first entry at which a log does not hold, and why."""

    index: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the verification of a log found.

    `entries` were found sound before the end or the fault, and `root` is the
    root over them; `erased` of them have no body any more.
    """

    entries: int
    root: bytes
    erased: int = 0
    fault: Fault | None = None

    @property
    def ok(self) -> bool:
        """Say whether the whole log holds."""
        return self.fault is None


class NotAHeader(ValueError):
    """Bytes that are not exactly the canonical form of a header this program knows."""


def draft(entry: Entry, *, salt: bytes) -> Draft:
    """Split an entry into a header and the body it commits to.

    The salt must be fresh random bytes for each entry: it keeps a short body
    from being guessed from its hash once it is erased.

    Raises:
        NotCanonical: the body is too deep, too large or not JSON.
        ValueError: the salt's length is wrong, an intent or outcome has no
            `idem_key`, or an outcome says none.
    """
    _check_effect(entry)
    if len(salt) != SALT_BYTES:
        raise ValueError(f"salt: {len(salt)} bytes instead of {SALT_BYTES}")
    people = {name: getattr(entry, name) for name in _PEOPLE if _is_person(getattr(entry, name))}
    body = canonical({**entry.body, **people})
    header: dict[str, JSON] = {
        "type": str(entry.type),
        "actor_ref": actor_ref(entry.actor),
        "on_behalf_of": None if entry.on_behalf_of is None else actor_ref(entry.on_behalf_of),
        "risk": None if entry.risk is None else int(entry.risk),
        "body_sha256": _commitment(salt, body),
        **{name: getattr(entry, name) for name in _TEXTS},
    }
    kept = {key: value for key, value in header.items() if value is not None}
    return Draft(header=_write(kept), at=entry.at, salt=salt, body=body)


def seal(draft: Draft, *, seq: int, previous_ts: str | None, now: datetime) -> Sealed:
    """Give a draft its place in the log.

    Time never runs backwards in a log: `ts` is the entry's own time, but not
    before the previous entry and, unless the previous entry is, not after
    `now`: one entry from a clock that is ahead would otherwise drag every later
    one along. Where that moves it, the header says `skew`.

    Raises:
        NotAHeader: the draft, the index or the previous time is not what it should be.
    """
    at = timestamp(draft.at)
    ts = max(min(at, timestamp(now)), previous_ts or "")
    header = {**_fields(draft.header), "v": VERSION, "seq": seq, "ts": ts}
    if ts != at:
        header["skew"] = True
    leaf = _write(header)
    _recognise(leaf)
    return Sealed(seq=seq, leaf=leaf, salt=draft.salt, body=draft.body)


def read(leaf: bytes) -> Mapping[str, JSON]:
    """Return the header a leaf holds.

    Raises:
        NotAHeader: the bytes are not exactly what `seal` could have written.
    """
    _recognise(leaf)
    return _fields(leaf)


def actor_ref(reference: str) -> str:
    """Return the form of a reference that may stand in a header.

    People become `person:` and the first 16 hex digits of the SHA-256 of their
    reference: the same person is always the same, and who it is stands in the
    body alone. Software keeps its name.
    """
    if not _is_person(reference):
        return reference
    return f"person:{sha256(reference.encode()).hexdigest()[:16]}"


def timestamp(at: datetime) -> str:
    """Return a time as headers write it; such texts sort in the order of time."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def verify(sealed: Iterable[Sealed], nodes: StoredNodes, *, size: int) -> Verdict:
    """Check a whole log, in order and one entry at a time, up to the first fault.

    Every leaf must be the canonical bytes of a header that stands at its own
    index and match its stored hash; interior nodes must equal the recomputed
    ones; a body must match its commitment; time may not run backwards; an
    outcome needs an earlier intent; and there must be exactly `size` entries.
    A log that was cut short or rewritten as a whole is sound in itself: that is
    found only by comparing `root` with a copy kept elsewhere.
    """
    audit = _Audit(nodes, size)
    for row in sealed:
        reason = audit.reason_against(row)
        if reason is not None:
            return audit.verdict(reason)
        audit.accept(row)
    return audit.verdict(audit.reason_against_end())


class _Audit:
    """A verification under way: everything is sound up to `frontier.size`."""

    def __init__(self, nodes: StoredNodes, size: int) -> None:
        self.nodes = nodes
        self.size = size
        self.frontier = self.grown = Frontier()
        self.ts = ""
        self.erased = 0
        self.intents: set[str] = set()

    def verdict(self, reason: str | None) -> Verdict:
        index = self.frontier.size
        fault = None if reason is None else Fault(index=index, reason=reason)
        return Verdict(entries=index, root=self.frontier.root(), erased=self.erased, fault=fault)

    def reason_against(self, row: Sealed) -> str | None:
        """Return why a row cannot be the next entry."""
        index = self.frontier.size
        if index == self.size:
            return f"there is an entry beyond the log's size of {self.size}"
        if row.seq != index:
            return f"the entry is missing, repeated or out of order: entry {row.seq} stands here"
        if not _is_bytes(row.leaf):
            return "the leaf is not bytes"
        return self._reason_against_tree(row) or self._reason_against_header(row)

    def _reason_against_tree(self, row: Sealed) -> str | None:
        self.grown, new = self.frontier.append(leaf_hash(row.leaf))
        for level, index, recomputed in new:
            stored = self.nodes(level, index)
            if stored == recomputed:
                continue
            if level == 0:
                return "the leaf does not match its stored hash"
            what = "missing" if stored is None else "wrong"
            return f"the stored node {index} of level {level}, which ends here, is {what}"
        return None

    def _reason_against_header(self, row: Sealed) -> str | None:
        try:
            header = _recognise(row.leaf)
        except NotAHeader as error:
            return str(error)
        if int(header["seq"]) != row.seq:
            return f"the leaf says it is entry {header['seq']}"
        if header["ts"] < self.ts:
            return f"time runs backwards: {header['ts']} comes after {self.ts}"
        self.ts = header["ts"]
        return _reason_against_body(row, header["body_sha256"]) or self._broken_rule(header)

    def _broken_rule(self, header: re.Match[str]) -> str | None:
        kind, key = header["type"], header["idem_key"]
        if kind.endswith(".intent") and key is not None:
            self.intents.add(key)
        if kind.endswith(".outcome") and key not in self.intents:
            return "an outcome without an intent of the same idem_key before it"
        return None

    def accept(self, row: Sealed) -> None:
        self.frontier = self.grown
        self.erased += row.body is None

    def reason_against_end(self) -> str | None:
        """Return why the log cannot end here."""
        if self.frontier.size < self.size:
            return f"the entry is missing: the log should have {self.size}"
        if self.nodes(0, self.size) is not None:
            return "a hash is stored for an entry that is missing"
        return None


def _reason_against_body(row: Sealed, commitment: str) -> str | None:
    if row.body is None and row.salt is None:
        return None
    if not (_is_bytes(row.body) and _is_bytes(row.salt)):
        return "body and salt must both be there or both be erased"
    if len(row.salt) != SALT_BYTES:
        return f"the salt is not {SALT_BYTES} bytes"
    if _commitment(row.salt, row.body) != commitment:
        return "the body does not match the hash in the header"
    return None


def _commitment(salt: bytes, body: bytes) -> str:
    return sha256(salt + body).hexdigest()


def _is_bytes(value: object) -> TypeGuard[bytes]:
    """Check what types promise: a damaged database file gives back anything."""
    return isinstance(value, bytes)


def _is_person(reference: str | None) -> bool:
    return reference is not None and reference.startswith("person:")


def _check_effect(entry: Entry) -> None:
    if entry.type.endswith((".intent", ".outcome")) and entry.idem_key is None:
        raise ValueError(f"idem_key: an entry of type {entry.type} needs one")
    if entry.type.endswith(".outcome") and entry.outcome is None:
        raise ValueError(f"outcome: an entry of type {entry.type} needs one")


def _check_text(name: str, text: str | None) -> None:
    if text is None or (0 < len(text) <= MAX_TEXT and text.isprintable()):
        return
    raise ValueError(f"{name}: must be 1 to {MAX_TEXT} printable characters")


# The header's grammar. Recognising the stored bytes is stricter than parsing
# and writing them again, and several times faster.
_TEXT = (
    r'"[^"\\\x00-\x1f]*'
    r'(?:\\(?:["\\bfnrt]|u00(?:0[0-7bef]|1[0-9a-f]))[^"\\\x00-\x1f]*)*"'
)
_DATE = "[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{6}"
_OPTIONAL = {
    **dict.fromkeys(_TEXTS, _TEXT),
    "on_behalf_of": _TEXT,
    "risk": "[0-4]",
    "skew": "true",
}
_REQUIRED = {
    "actor_ref": _TEXT,
    "body_sha256": r'"(?P<body_sha256>[0-9a-f]{64})"',
    "seq": r"(?P<seq>0|[1-9][0-9]{0,15})",
    "ts": rf'"(?P<ts>{_DATE}T{_TIME}Z)"',
    "type": rf'"(?P<type>{_TYPE.pattern})"',
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


def _write(header: Mapping[str, JSON]) -> bytes:
    return _ENCODER.encode(header).encode()


def _fields(header: bytes) -> dict[str, JSON]:
    try:
        fields = json.loads(header)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise NotAHeader("the header is not a JSON object")
    return fields


def _recognise(leaf: bytes) -> re.Match[str]:
    try:
        match = _HEADER.fullmatch(leaf.decode())
    except UnicodeDecodeError:
        match = None
    if match is None or len(leaf) > MAX_BYTES:
        raise NotAHeader(f"the leaf is not the canonical form of a version {VERSION} header")
    return match
