"""Verification of a whole ledger: in order, one entry at a time, up to the first fault."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeGuard

from bot.domain.headers import NotAHeader, recognise
from bot.domain.ledger import SALT_BYTES, Sealed, commitment
from bot.domain.merkle import Frontier, leaf_hash

_ERASURE = b'"type":"privacy.erased"'

# Looks up a stored node by level and index; None where there is none.
StoredNodes: TypeAlias = Callable[[int, int], bytes | None]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """The first entry at which a log does not hold, and why."""

    index: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the verification of a log found.

    `entries` were found sound before the end or the fault, and `root` is the
    root over them; `erased` of them have no body any more, and the bodies of
    `hidden` could not be read here, for want of their keys.
    """

    entries: int
    root: bytes
    erased: int = 0
    hidden: int = 0
    fault: Fault | None = None

    @property
    def ok(self) -> bool:
        """Say whether the whole log holds."""
        return self.fault is None


def verify(sealed: Iterable[Sealed], nodes: StoredNodes, *, size: int) -> Verdict:
    """Check a whole log, in order and one entry at a time, up to the first fault.

    Every leaf must be the canonical bytes of a header that stands at its own
    index and match its stored hash; interior nodes must equal the recomputed
    ones; a body must match its commitment, and one that is gone needs an entry
    of its erasure; time may not run backwards; an outcome needs an earlier
    intent; and there must be exactly `size` entries.
    A log that was cut short or rewritten as a whole is sound in itself: that is
    found only by comparing `root` with a copy kept elsewhere.
    """
    audit = _Audit(nodes, size)
    for row in sealed:
        reason = audit.reason_against(row)
        if reason is not None:
            return audit.verdict(reason)
        audit.accept(row)
    verdict = audit.verdict(audit.reason_against_end())
    gone = audit.unaccounted()
    if verdict.ok and gone is not None:
        reason = "the body was removed, and no entry of an erasure tells of it"
        return replace(verdict, fault=Fault(index=gone, reason=reason))
    return verdict


class _Audit:
    """A verification under way: everything is sound up to `frontier.size`."""

    def __init__(self, nodes: StoredNodes, size: int) -> None:
        self.nodes = nodes
        self.size = size
        self.frontier = self.grown = Frontier()
        self.ts = ""
        self.erased: set[int] = set()
        self.accounted: set[int] = set()
        self.hidden = 0
        self.encrypted = False
        self.intents: set[str] = set()

    def verdict(self, reason: str | None) -> Verdict:
        index = self.frontier.size
        fault = None if reason is None else Fault(index=index, reason=reason)
        return Verdict(
            entries=index,
            root=self.frontier.root(),
            erased=len(self.erased),
            hidden=self.hidden,
            fault=fault,
        )

    def reason_against(self, row: Sealed) -> str | None:
        """Return why a row cannot be the next entry."""
        index = self.frontier.size
        if index == self.size:
            return f"there is an entry beyond the log's size of {self.size}"
        if row.seq != index:
            return f"the entry is missing, repeated or out of order: entry {row.seq} stands here"
        if not _is_bytes(row.leaf):
            return "the leaf is not bytes"
        if row.plain and self.encrypted:
            # Whoever has no key can write nothing but plain bodies.
            return "a body that is not encrypted stands behind encrypted ones"
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
            header = recognise(row.leaf)
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
        self.encrypted |= row.hidden or (row.body is not None and not row.plain)
        if row.hidden:
            self.hidden += 1
        elif row.body is None:
            self.erased.add(row.seq)
        elif _ERASURE in row.leaf:
            self.accounted |= erased_by(row.body)

    def reason_against_end(self) -> str | None:
        """Return why the log cannot end here."""
        if self.frontier.size < self.size:
            return f"the entry is missing: the log should have {self.size}"
        if self.nodes(0, self.size) is not None:
            return "a hash is stored for an entry that is missing"
        return None

    def unaccounted(self) -> int | None:
        """Return the first entry whose body is gone though no erasure tells of it."""
        return min(self.erased - self.accounted, default=None) if not self.hidden else None


def _reason_against_body(row: Sealed, promised: str) -> str | None:
    if row.hidden:
        return None
    if row.body is None and row.salt is None:
        return None
    if not (_is_bytes(row.body) and _is_bytes(row.salt)):
        return "body and salt must both be there or both be erased"
    if len(row.salt) != SALT_BYTES:
        return f"the salt is not {SALT_BYTES} bytes"
    if commitment(row.salt, row.body) != promised:
        return "the body does not match the hash in the header"
    return None


def erased_by(body: bytes) -> frozenset[int]:
    """Return which entries lost their bodies by the erasure with this body."""
    try:
        listed = json.loads(body)["entries"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return frozenset()
    if not isinstance(listed, list):
        return frozenset()
    return frozenset(seq for seq in listed if type(seq) is int)


def _is_bytes(value: object) -> TypeGuard[bytes]:
    """Check what types promise: a damaged database file gives back anything."""
    return isinstance(value, bytes)
