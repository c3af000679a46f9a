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
    actor_ref      who did it; people as a pseudonym, the same until it is erased
    on_behalf_of   for whom, in the same form
    incident, action, risk, plan_digest, policy_digest, decision_id, outcome,
    idem_key, model_version
    body_sha256    the commitment to the body, in hex

Two types of an effect belong together: `<noun>.intent`, written before it
starts, and `<noun>.outcome`, written after it ended; both carry its `idem_key`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from bot.domain.actions import JSON
from bot.domain.canonical import canonical
from bot.domain.headers import (
    TEXTS,
    TYPE,
    VERSION,
    NotAHeader,
    header_fields,
    recognise,
    timestamp,
    write_header,
)

SALT_BYTES = 16
MAX_TEXT = 256  # characters of one header field: an id or a word, not prose

ERASED = "privacy.erased"
_PERSON = re.compile(r"person:\S+")
_SOFTWARE = re.compile(r"(?:bot|system)(?::[\w.:/-]+)?|plugin:[\w.:/-]+", re.ASCII)
_PEOPLE = ("actor", "on_behalf_of")

__all__ = ["NotAHeader", "timestamp"]  # told by `headers`, asked for here


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
    about: tuple[str, ...] = ()

    @property
    def subjects(self) -> tuple[str, ...]:
        """Return the people whose data the body holds; erasing one of them erases it."""
        named = (self.actor, self.on_behalf_of, *self.about)
        return tuple(sorted({name for name in named if name and _is_person(name)}))

    def __post_init__(self) -> None:
        if not TYPE.fullmatch(self.type):
            raise ValueError(f"type: {self.type!r} is not of the form noun.verb in lower case")
        if self.at.utcoffset() is None:
            raise ValueError("at: the time must say its offset from UTC")
        if self.risk is not None and not 0 <= self.risk <= 4:
            raise ValueError(f"risk: {self.risk} is not between 0 and 4")
        for name in TEXTS:
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
    `skew`; `body` is the canonical JSON of the body, which tells of `subjects`.
    """

    header: bytes
    at: datetime
    salt: bytes
    body: bytes
    subjects: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Sealed:
    """An entry in its place: the exact bytes of its leaf, and its body unless erased.

    `hidden` is a body that is there but encrypted, and its key is not here;
    `plain` is one that was stored without encryption, as by the first version.
    """

    seq: int
    leaf: bytes
    salt: bytes | None
    body: bytes | None
    subjects: tuple[str, ...] = ()
    hidden: bool = False
    plain: bool = False


def draft(entry: Entry, *, salt: bytes, pseudonym: Callable[[str], str] | None = None) -> Draft:
    """Split an entry into a header and the body it commits to.

    The salt must be fresh random bytes for each entry: it keeps a short body
    from being guessed from its hash once it is erased. `pseudonym` stands for a
    person in the header; without one it is `actor_ref`, which anybody can
    recompute who knows the person's id.

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
    refer = pseudonym or actor_ref
    header: dict[str, JSON] = {
        "type": str(entry.type),
        "actor_ref": refer(entry.actor),
        "on_behalf_of": None if entry.on_behalf_of is None else refer(entry.on_behalf_of),
        "risk": None if entry.risk is None else int(entry.risk),
        "body_sha256": commitment(salt, body),
        **{name: getattr(entry, name) for name in TEXTS},
    }
    kept = {key: value for key, value in header.items() if value is not None}
    return Draft(
        header=write_header(kept), at=entry.at, salt=salt, body=body, subjects=entry.subjects
    )


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
    header = {**header_fields(draft.header), "v": VERSION, "seq": seq, "ts": ts}
    if ts != at:
        header["skew"] = True
    leaf = write_header(header)
    recognise(leaf)
    return Sealed(seq=seq, leaf=leaf, salt=draft.salt, body=draft.body, subjects=draft.subjects)


def read(leaf: bytes) -> Mapping[str, JSON]:
    """Return the header a leaf holds.

    Raises:
        NotAHeader: the bytes are not exactly what `seal` could have written.
    """
    recognise(leaf)
    return header_fields(leaf)


def actor_ref(reference: str) -> str:
    """Return the form of a reference that may stand in a header.

    People become `person:` and the first 16 hex digits of the SHA-256 of their
    reference: the same person is always the same, and who it is stands in the
    body alone. Software keeps its name.
    """
    if not _is_person(reference):
        return reference
    return f"person:{sha256(reference.encode()).hexdigest()[:16]}"


def commitment(salt: bytes, body: bytes) -> str:
    """Return what a header says of a body: SHA-256 of salt and body, in hex."""
    return sha256(salt + body).hexdigest()


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
