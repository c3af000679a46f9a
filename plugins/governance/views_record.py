"""The record as pages show it: rows of the ledger, one entry with its leaf."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from bot.domain.actions import JSON
from bot.domain.entries import ShownEntry
from bot.domain.merkle import leaf_hash
from plugins.governance.pages_queries import address
from plugins.governance.views_texts import visible

DAMAGED = "damaged"
_NAMES = {
    "action": "Action",
    "risk": "Risk",
    "outcome": "Outcome",
    "incident": "Incident",
    "actor_ref": "Who",
    "on_behalf_of": "On behalf of",
    "idem_key": "Effect or record",
    "model_version": "Model",
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One entry in the list. `what` is its action, risk and outcome in one line."""

    seq: int
    at: datetime | None
    type: str
    who: str
    what: str
    incident: str
    decision: str
    damaged: bool

    @property
    def url(self) -> str:
        """Return the address of the entry."""
        return address("entry", seq=self.seq)

    @property
    def who_url(self) -> str:
        """Return the address of everything that the same actor did."""
        return address("ledger", actor=self.who)

    @property
    def decision_url(self) -> str:
        """Return the address of the decision that let it happen."""
        return address("decision", id=self.decision)


def row_of(entry: ShownEntry) -> Row:
    """Return an entry as the list shows it."""
    header = entry.header
    risk = header.get("risk")
    parts = (header.get("action"), None if risk is None else f"R{risk}", header.get("outcome"))
    return Row(
        seq=entry.seq,
        at=moment_of(header),
        type=str(header.get("type", "")),
        who=str(header.get("actor_ref", "")),
        what=" · ".join(str(part) for part in parts if part),
        incident=str(header.get("incident", "")),
        decision=str(header.get("decision_id", "")),
        damaged=header.get("type") == DAMAGED,
    )


def moment_of(header: Mapping[str, JSON]) -> datetime | None:
    """Return when an entry says it was written; None where it cannot say."""
    try:
        return datetime.fromisoformat(str(header.get("ts", "")))
    except ValueError:
        return None


def facts_of(header: Mapping[str, JSON]) -> Sequence[tuple[str, str]]:
    """Return what a header says, name and value, in an order for people."""
    found = {name: header.get(name) for name in _NAMES}
    if found["risk"] is not None:
        found["risk"] = f"R{found['risk']}"
    return [(_NAMES[name], str(value)) for name, value in found.items() if value is not None]


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """The bytes that the log commits to. `hash` is their leaf hash (RFC 9162 §2.1.1)."""

    size: int
    text: str
    hex: str
    sha256: str
    hash: str


def leaf_of(leaf: bytes) -> Leaf:
    """Return a leaf for reading and for comparing."""
    return Leaf(
        size=len(leaf),
        text=visible(leaf.decode("utf-8", "replace")),
        hex=leaf.hex(),
        sha256=sha256(leaf).hexdigest(),
        hash=leaf_hash(leaf).hex(),
    )


def older(seqs: Sequence[int], *, top: int, limit: int, looked_through: int) -> int | None:
    """Return before which entry the next page begins; None where there is no older entry.

    `top` is where this page began, `looked_through` how many entries one search
    reads: a search that found too little goes on from where it stopped.
    """
    end = seqs[-1] if len(seqs) == limit else max(0, top - looked_through)
    return end or None
