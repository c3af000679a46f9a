"""The ledger's rows: entries, the nodes of their Merkle tree, and who seals and reads them.

A transaction collects drafts; the writer seals the drafts of a whole group of
transactions right before it commits them. So an entry gets its index and its
tree nodes in the very commit that holds the fact it records, and there is no
moment at which a committed entry is outside of the tree.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import bindparam, func, insert, select, tuple_, update
from sqlmodel import col

from bot.domain.audits import Fault, Verdict, verify
from bot.domain.entries import DAMAGED
from bot.domain.entries import shown as as_shown
from bot.domain.errors import Unreadable
from bot.domain.ledger import SALT_BYTES, Draft, Entry, Sealed, actor_ref, draft, read, seal
from bot.domain.merkle import Frontier, Node, frontier_at, leaf_hash
from bot.ports import KeysElsewhere, Privacy
from bot.storage.prepared import Prepared
from bot.storage.rows import Look, Rows
from bot.storage.tables import EntryRow, NodeRow

T = TypeVar("T")

_ADD_ENTRIES = Prepared(insert(EntryRow))
_ADD_NODES = Prepared(insert(NodeRow))
_HIGHEST = Prepared(
    select(func.max(col(NodeRow.position)).label("highest")).where(col(NodeRow.level) == 0)
)
_LEAF = Prepared(select(col(EntryRow.leaf)).where(col(EntryRow.seq) == bindparam("at")))
_SIZE = "SELECT max(position) FROM ledger_nodes WHERE level = 0"
_NODE = "SELECT hash FROM ledger_nodes WHERE level = ? AND position = ?"
_NODES = "SELECT level, position, hash FROM ledger_nodes"
# The casts say to PostgreSQL what a NULL would be.
_ENTRIES = (
    "SELECT seq, leaf, salt, body, subjects FROM ledger_entries"
    " WHERE seq >= ? AND (CAST(? AS BIGINT) IS NULL OR seq < CAST(? AS BIGINT))"
)
_ALL = 2**63 - 1  # rows, for LIMIT
# Bodies of the first version were stored as they are: a JSON object.
PLAIN = b"{"


class Unkeyed:
    """No keys at all: bodies are stored as they are, and encrypted ones stay hidden.

    For tests, and for looking at a database whose keys are elsewhere.
    """

    def pseudonym(self, reference: str) -> str:
        """Return the pseudonym that anybody can recompute."""
        return actor_ref(reference)

    def encrypt(self, body: bytes, subjects: Collection[str]) -> bytes:
        """Return the body as it is."""
        return body

    def decrypt(self, box: bytes, subjects: Collection[str]) -> bytes | None:
        """Say that the key is not here."""
        raise KeysElsewhere

    def erase(self, reference: str) -> bool:
        """Say that there was no key."""
        return False


UNKEYED = Unkeyed()


class DraftedLedger:
    """The ledger as one transaction sees it: what is appended becomes a draft."""

    def __init__(self, privacy: Privacy, rows: Rows) -> None:
        self.drafts: list[Draft] = []
        self._privacy = privacy
        self._rows = rows

    async def append(self, entry: Entry) -> None:
        """Append an entry in this transaction.

        Its body is closed here and not with those of its group, so that a key
        which is not fit for use fails this transaction and no other.
        """
        salt = os.urandom(SALT_BYTES)
        made = draft(entry, salt=salt, pseudonym=self._privacy.pseudonym)
        closed = self._privacy.encrypt(made.body, made.subjects)
        self.drafts.append(replace(made, body=closed))

    async def telling_of(self, subject: str) -> Sequence[int]:
        """Return which entries have a body that tells of a person."""
        statement = select(col(EntryRow.seq), col(EntryRow.subjects)).where(
            col(EntryRow.subjects).contains(subject, autoescape=True)
        )
        rows = await self._rows.all(statement.order_by(col(EntryRow.seq)))
        return [row.seq for row in rows if subject in row.subjects.split(" ")]

    async def erase(self, seqs: Sequence[int]) -> None:
        """Remove the bodies of entries, with their salts and the names of their subjects."""
        for seq in seqs:
            await self._rows.execute(
                update(EntryRow)
                .where(col(EntryRow.seq) == seq)
                .values(salt=None, body=None, subjects=None)
            )


class Sealer:
    """Gives drafts their place. Used by the one writer, within its transaction."""

    def __init__(self) -> None:
        self._frontier = Frontier()
        self._last_ts: str | None = None

    async def seal(self, rows: Rows, drafts: Sequence[Draft], *, now: datetime) -> None:
        """Store drafts, their bodies closed, as the next entries, with the nodes they complete."""
        if not drafts:
            return
        await self._catch_up(rows)
        entries, nodes = [], []
        for item in drafts:
            sealed = seal(item, seq=self._frontier.size, previous_ts=self._last_ts, now=now)
            self._frontier, fresh = self._frontier.append(leaf_hash(sealed.leaf))
            self._last_ts = str(json.loads(sealed.leaf)["ts"])
            entries.append(
                {
                    "seq": sealed.seq,
                    "leaf": sealed.leaf,
                    "salt": sealed.salt,
                    "body": sealed.body,
                    "subjects": " ".join(item.subjects) or None,
                }
            )
            nodes += [{"level": level, "position": at, "hash": h} for level, at, h in fresh]
        await rows.execute_many(_ADD_ENTRIES, entries)
        await rows.execute_many(_ADD_NODES, nodes)

    def forget(self) -> None:
        """Drop what is remembered, since the transaction that wrote it was rolled back."""
        self._frontier, self._last_ts = Frontier(), None

    async def _catch_up(self, rows: Rows) -> None:
        """Read the tree's edge again if another process has appended, or after a start."""
        newest = await rows.one(_HIGHEST)
        size = 0 if newest is None or newest.highest is None else int(newest.highest) + 1
        if size == self._frontier.size:
            return
        self._frontier = frontier_at(size, await _edge(rows, size))
        last = await rows.one(_LEAF, {"at": size - 1})
        self._last_ts = str(read(last.leaf)["ts"]) if last else None


async def _edge(rows: Rows, size: int) -> Node:
    """Read the nodes at the edge of a tree, in one question."""
    places: list[tuple[int, int]] = []

    def asked(level: int, position: int) -> bytes:
        places.append((level, position))
        return b""

    frontier_at(size, asked)
    place = tuple_(col(NodeRow.level), col(NodeRow.position))
    wanted = select(col(NodeRow.level), col(NodeRow.position), col(NodeRow.hash))
    found = await rows.all(wanted.where(place.in_(places))) if places else ()
    stored = {(row.level, row.position): bytes(row.hash) for row in found}

    def told(level: int, position: int) -> bytes:
        if (level, position) not in stored:
            raise _missing(level, position)
        return stored[level, position]

    return told


def _missing(level: int, position: int) -> ValueError:
    return ValueError(f"the stored node {position} of level {level} is missing")


def node(look: Look, level: int, position: int) -> bytes:
    """Return the hash of a stored node.

    Raises:
        ValueError: there is none.
    """
    stored = look.all(_NODE, level, position)
    if not stored:
        raise _missing(level, position)
    return bytes(stored[0][0])


def size_of(look: Look) -> int:
    """Return how many leaves the tree has, by its own nodes."""
    [(highest,)] = look.all(_SIZE)
    return 0 if highest is None else int(highest) + 1


def entries(
    look: Look,
    privacy: Privacy,
    *,
    start: int = 0,
    before: int | None = None,
    limit: int | None = None,
    newest_first: bool = False,
) -> Iterator[Sealed]:
    """Return stored entries in order, one at a time, up to one that cannot be read."""
    order = "DESC" if newest_first else "ASC"
    sql = f"{_ENTRIES} ORDER BY seq {order} LIMIT ?"
    with look.each(sql, start, before, before, _ALL if limit is None else limit) as rows:
        for row in rows:
            yield _opened(row, privacy)


def _opened(row: tuple[Any, Any, Any, Any, Any], privacy: Privacy) -> Sealed:
    """Return an entry with its body, as far as its keys are here.

    A body that does not open with its key is handed on as it is: it cannot
    match its commitment, and so the fault is found where faults are looked for.
    """
    seq, leaf, salt, box, named = row
    subjects = tuple((named or "").split())
    sealed = Sealed(seq=seq, leaf=leaf, salt=salt, body=box, subjects=subjects)
    if not isinstance(box, bytes) or salt is None:
        return sealed
    if box.startswith(PLAIN):
        return replace(sealed, plain=True)
    try:
        body = privacy.decrypt(box, subjects)
    except KeysElsewhere:
        return replace(sealed, body=None, hidden=True)
    except ValueError:
        return sealed
    if body is None:  # its key was erased, which an entry has to tell of
        return replace(sealed, salt=None, body=None)
    return replace(sealed, body=body)


def check(look: Look, privacy: Privacy) -> Verdict:
    """Verify every entry and every stored node.

    A file that was damaged below the database may not even be readable: then
    the first entry that cannot be read is the fault.
    """
    problems: list[str] = []
    nodes = _nodes(look, problems)
    leaves = [at for level, at in nodes if level == 0 and isinstance(at, int)]
    verdict = verify(
        _readable(look, entries(look, privacy), problems),
        lambda level, position: nodes.get((level, position)),
        size=max(leaves, default=-1) + 1,
    )
    if not problems:
        return verdict
    index = verdict.entries if verdict.fault is None else verdict.fault.index
    reason = f"the database is damaged: {problems[0]}"
    return replace(verdict, fault=Fault(index=index, reason=reason))


def _nodes(look: Look, problems: list[str]) -> dict[tuple[int, int], bytes]:
    with look.each(_NODES) as rows:
        found = _readable(look, rows, problems)
        return {(level, position): hash for level, position, hash in found}


def _readable(look: Look, rows: Iterable[T], problems: list[str]) -> Iterator[T]:
    """Return rows until one cannot be read, and note why."""
    try:
        yield from rows
    except look.error as error:
        problems.append(str(error))


def shown(
    look: Look, privacy: Privacy, *, incident: str, last: int
) -> Sequence[Mapping[str, object]]:
    """Return the newest entries with their bodies, for people; nothing is verified here.

    Raises:
        Unreadable: naming an entry that is not JSON.
    """
    newest: deque[Mapping[str, object]] = deque(maxlen=last)
    for sealed in entries(look, privacy):
        entry = as_shown(sealed)
        if entry.header["type"] == DAMAGED:
            reason = "cannot be read; `tocsin ledger verify` says more"
            raise Unreadable(f"entry {sealed.seq}", reason)
        if incident and entry.header.get("incident") != incident:
            continue
        newest.append({**entry.header, "body": entry.body})
    return list(newest)
