"""Ledger entries as people read and look for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from bot.domain.actions import JSON
from bot.domain.headers import NotAHeader
from bot.domain.ledger import Sealed, commitment, read

DAMAGED = "damaged"  # the type of an entry that cannot be read
LOOKED_THROUGH = 2000  # entries that one search reads at most


@dataclass(frozen=True, kw_only=True)
class ShownEntry:
    """A ledger entry as people read it. `body` is None where it was erased or is hidden."""

    seq: int
    header: Mapping[str, JSON]
    body: Mapping[str, JSON] | None
    hidden: bool = False


@dataclass(frozen=True, kw_only=True)
class EntryFilter:
    """Which entries are wanted; an empty field wants all."""

    incident: str = ""
    type: str = ""
    actor: str = ""
    decision: str = ""

    def wants(self, header: Mapping[str, JSON]) -> bool:
        """Say whether an entry with this header is wanted; a type is wanted by its beginning."""
        if self.incident and header.get("incident") != self.incident.upper():
            return False
        if self.type and not str(header["type"]).startswith(self.type):
            return False
        if self.decision and header.get("decision_id") != self.decision:
            return False
        return not self.actor or self.actor in (header["actor_ref"], header.get("on_behalf_of"))


def shown(row: Sealed) -> ShownEntry:
    """Return an entry as people read it; a damaged one says so and nothing else.

    A body is shown only where it is what the header commits to: whoever can
    write to the database must not put words into the record.
    """
    try:
        if not isinstance(row.leaf, bytes):
            raise NotAHeader("the leaf is not bytes")
        header = read(row.leaf)
    except NotAHeader as error:
        header = {"type": DAMAGED, "actor_ref": "", "ts": "", "reason": str(error)}
    return ShownEntry(seq=row.seq, header=header, body=_body(row, header), hidden=row.hidden)


def _body(row: Sealed, header: Mapping[str, JSON]) -> Mapping[str, JSON] | None:
    if row.body is None:
        return None
    if not (isinstance(row.body, bytes) and isinstance(row.salt, bytes)):
        return {"damaged": "the body is not what was written"}
    if commitment(row.salt, row.body) != header.get("body_sha256"):
        return {"damaged": "the body does not match the hash in the header"}
    try:
        found = json.loads(row.body)
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {"damaged": "the body is not what was written"}
