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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection, func, insert, select
from sqlalchemy.exc import DatabaseError
from sqlmodel import col

from bot.domain.errors import Unreadable
from bot.domain.ledger import (
    SALT_BYTES,
    Draft,
    Entry,
    Fault,
    Sealed,
    Verdict,
    draft,
    read,
    seal,
    verify,
)
from bot.domain.merkle import Frontier, frontier_at, leaf_hash
from bot.storage.prepared import Prepared, driver
from bot.storage.tables import EntryRow, NodeRow

T = TypeVar("T")

_ADD_ENTRIES = Prepared(insert(EntryRow))
_ADD_NODES = Prepared(insert(NodeRow))
_HIGHEST = Prepared(
    select(func.max(col(NodeRow.position)).label("highest")).where(col(NodeRow.level) == 0)
)


class DraftedLedger:
    """The ledger as one transaction sees it: what is appended becomes a draft."""

    def __init__(self) -> None:
        self.drafts: list[Draft] = []

    async def append(self, entry: Entry) -> None:
        """Append an entry in this transaction."""
        self.drafts.append(draft(entry, salt=os.urandom(SALT_BYTES)))


class Sealer:
    """Gives drafts their place. Used by the one writer, within its transaction."""

    def __init__(self) -> None:
        self._frontier = Frontier()
        self._last_ts: str | None = None

    def seal(self, connection: Connection, drafts: Sequence[Draft], *, now: datetime) -> None:
        """Store drafts as the next entries, with the nodes they complete."""
        if not drafts:
            return
        self._catch_up(connection)
        entries, nodes = [], []
        for item in drafts:
            sealed = seal(item, seq=self._frontier.size, previous_ts=self._last_ts, now=now)
            self._frontier, fresh = self._frontier.append(leaf_hash(sealed.leaf))
            self._last_ts = str(json.loads(sealed.leaf)["ts"])
            entries.append(
                {"seq": sealed.seq, "leaf": sealed.leaf, "salt": sealed.salt, "body": sealed.body}
            )
            nodes += [{"level": level, "position": at, "hash": h} for level, at, h in fresh]
        _ADD_ENTRIES.execute_many(driver(connection), entries)
        _ADD_NODES.execute_many(driver(connection), nodes)

    def forget(self) -> None:
        """Drop what is remembered, since the transaction that wrote it was rolled back."""
        self._frontier, self._last_ts = Frontier(), None

    def _catch_up(self, connection: Connection) -> None:
        """Read the tree's edge again if another process has appended, or after a start."""
        size = size_of(connection)
        if size == self._frontier.size:
            return
        self._frontier = frontier_at(size, lambda level, at: _node(connection, level, at))
        self._last_ts = _last_ts(connection, size) if size else None


def _node(connection: Connection, level: int, position: int) -> bytes:
    row = connection.execute(
        select(col(NodeRow.hash)).where(
            col(NodeRow.level) == level, col(NodeRow.position) == position
        )
    ).one()
    return bytes(row.hash)


def _last_ts(connection: Connection, size: int) -> str:
    row = connection.execute(select(col(EntryRow.leaf)).where(col(EntryRow.seq) == size - 1)).one()
    return str(read(row.leaf)["ts"])


def size_of(connection: Connection) -> int:
    """Return how many leaves the tree has, by its own nodes."""
    [row] = _HIGHEST.all(driver(connection), {})
    return 0 if row.highest is None else int(row.highest) + 1


def entries(connection: Connection, *, start: int = 0) -> Iterator[Sealed]:
    """Return the stored entries in order, one at a time, up to one that cannot be read."""
    statement = (
        select(col(EntryRow.seq), col(EntryRow.leaf), col(EntryRow.salt), col(EntryRow.body))
        .where(col(EntryRow.seq) >= start)
        .order_by(col(EntryRow.seq))
    )
    for row in connection.execute(statement):
        yield Sealed(seq=row.seq, leaf=row.leaf, salt=row.salt, body=row.body)


def check(connection: Connection) -> Verdict:
    """Verify every entry and every stored node.

    A file that was damaged below the database may not even be readable: then
    the first entry that cannot be read is the fault.
    """
    problems: list[str] = []
    nodes = _nodes(connection, problems)
    leaves = [at for level, at in nodes if level == 0 and isinstance(at, int)]
    verdict = verify(
        _readable(entries(connection), problems),
        lambda level, position: nodes.get((level, position)),
        size=max(leaves, default=-1) + 1,
    )
    if not problems:
        return verdict
    index = verdict.entries if verdict.fault is None else verdict.fault.index
    reason = f"the database file is damaged: {problems[0]}"
    return replace(verdict, fault=Fault(index=index, reason=reason))


def _nodes(connection: Connection, problems: list[str]) -> dict[tuple[int, int], bytes]:
    rows = connection.execute(select(col(NodeRow.level), col(NodeRow.position), col(NodeRow.hash)))
    return {(row.level, row.position): row.hash for row in _readable(rows, problems)}


def _readable(rows: Iterable[T], problems: list[str]) -> Iterator[T]:
    """Return rows until one cannot be read, and note why."""
    try:
        yield from rows
    except DatabaseError as error:
        problems.append(str(error.orig))


def shown(connection: Connection, *, incident: str, last: int) -> Sequence[Mapping[str, object]]:
    """Return the newest entries with their bodies, for people; nothing is verified here.

    Raises:
        Unreadable: naming an entry that is not JSON.
    """
    newest: deque[Mapping[str, object]] = deque(maxlen=last)
    for sealed in entries(connection):
        try:
            header = json.loads(sealed.leaf)
            body = json.loads(sealed.body) if sealed.body else None
        except (ValueError, TypeError):
            reason = "cannot be read; `tocsin ledger verify` says more"
            raise Unreadable(f"entry {sealed.seq}", reason) from None
        if incident and header.get("incident") != incident:
            continue
        newest.append({**header, "body": body})
    return list(newest)
