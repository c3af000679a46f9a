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
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, func, insert, select
from sqlmodel import col

from bot.domain.ledger import SALT_BYTES, Draft, Entry, Sealed, Verdict, draft, read, seal, verify
from bot.domain.merkle import Frontier, frontier_at, leaf_hash
from bot.storage.tables import EntryRow, NodeRow


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
            self._last_ts = str(read(sealed.leaf)["ts"])
            entries.append(
                {"seq": sealed.seq, "leaf": sealed.leaf, "salt": sealed.salt, "body": sealed.body}
            )
            nodes += [{"level": level, "position": at, "hash": h} for level, at, h in fresh]
        connection.execute(insert(EntryRow), entries)
        connection.execute(insert(NodeRow), nodes)

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
    statement = select(func.max(col(NodeRow.position))).where(col(NodeRow.level) == 0)
    highest = connection.execute(statement).scalar()
    return 0 if highest is None else int(highest) + 1


def entries(connection: Connection, *, start: int = 0) -> Iterator[Sealed]:
    """Return the stored entries in order, a thousand at a time."""
    statement = (
        select(col(EntryRow.seq), col(EntryRow.leaf), col(EntryRow.salt), col(EntryRow.body))
        .where(col(EntryRow.seq) >= start)
        .order_by(col(EntryRow.seq))
        .execution_options(yield_per=1000)
    )
    for row in connection.execute(statement):
        yield Sealed(seq=row.seq, leaf=row.leaf, salt=row.salt, body=row.body)


def check(connection: Connection) -> Verdict:
    """Verify every entry and every stored node."""
    rows = connection.execute(select(col(NodeRow.level), col(NodeRow.position), col(NodeRow.hash)))
    nodes = {(row.level, row.position): row.hash for row in rows}
    return verify(
        entries(connection),
        lambda level, position: nodes.get((level, position)),
        size=size_of(connection),
    )


def shown(connection: Connection, *, incident: str, last: int) -> Sequence[Mapping[str, object]]:
    """Return the newest entries with their bodies, for people; nothing is verified here."""
    newest: deque[Mapping[str, object]] = deque(maxlen=last)
    for sealed in entries(connection):
        header = json.loads(sealed.leaf)
        if incident and header.get("incident") != incident:
            continue
        newest.append({**header, "body": json.loads(sealed.body) if sealed.body else None})
    return list(newest)
