"""The ledger's rows: entries, the nodes of their Merkle tree, and who seals and reads them.

A transaction collects drafts; the writer seals the drafts of a whole group of
transactions right before it commits them. So an entry gets its index and its
tree nodes in the very commit that holds the fact it records, and there is no
moment at which a committed entry is outside of the tree.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, bindparam, func, insert, select, update
from sqlmodel import col

from bot.domain.audits import Fault, Verdict, verify
from bot.domain.entries import DAMAGED
from bot.domain.entries import shown as as_shown
from bot.domain.errors import Unreadable
from bot.domain.ledger import SALT_BYTES, Draft, Entry, Sealed, actor_ref, draft, read, seal
from bot.domain.merkle import Frontier, frontier_at, leaf_hash
from bot.ports import KeysElsewhere, Privacy
from bot.storage.prepared import Prepared, driver
from bot.storage.tables import EntryRow, NodeRow

T = TypeVar("T")

_ADD_ENTRIES = Prepared(insert(EntryRow))
_ADD_NODES = Prepared(insert(NodeRow))
_HIGHEST = Prepared(
    select(func.max(col(NodeRow.position)).label("highest")).where(col(NodeRow.level) == 0)
)
_NODE = Prepared(
    select(col(NodeRow.hash)).where(
        col(NodeRow.level) == bindparam("level"), col(NodeRow.position) == bindparam("position")
    )
)
_ENTRIES = (
    "SELECT seq, leaf, salt, body, subjects FROM ledger_entries"
    " WHERE seq >= ? AND (? IS NULL OR seq < ?)"
)
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


class DraftedLedger:
    """The ledger as one transaction sees it: what is appended becomes a draft."""

    def __init__(self, privacy: Privacy, connection: Connection) -> None:
        self.drafts: list[Draft] = []
        self._privacy = privacy
        self._connection = connection

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
        rows = self._connection.execute(statement.order_by(col(EntryRow.seq)))
        return [row.seq for row in rows if subject in row.subjects.split(" ")]

    async def erase(self, seqs: Sequence[int]) -> None:
        """Remove the bodies of entries, with their salts and the names of their subjects."""
        for seq in seqs:
            self._connection.execute(
                update(EntryRow)
                .where(col(EntryRow.seq) == seq)
                .values(salt=None, body=None, subjects=None)
            )


class Sealer:
    """Gives drafts their place. Used by the one writer, within its transaction."""

    def __init__(self) -> None:
        self._frontier = Frontier()
        self._last_ts: str | None = None

    def seal(self, connection: Connection, drafts: Sequence[Draft], *, now: datetime) -> None:
        """Store drafts, their bodies closed, as the next entries, with the nodes they complete."""
        if not drafts:
            return
        self._catch_up(connection)
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
        self._frontier = frontier_at(size, lambda level, at: node(connection, level, at))
        self._last_ts = _last_ts(connection, size) if size else None


def node(connection: Connection, level: int, position: int) -> bytes:
    """Return the hash of a stored node.

    Raises:
        ValueError: there is none.
    """
    found = _NODE.all(driver(connection), {"level": level, "position": position})
    if not found:
        raise ValueError(f"the stored node {position} of level {level} is missing")
    return bytes(found[0].hash)


def _last_ts(connection: Connection, size: int) -> str:
    row = connection.execute(select(col(EntryRow.leaf)).where(col(EntryRow.seq) == size - 1)).one()
    return str(read(row.leaf)["ts"])


def size_of(connection: Connection) -> int:
    """Return how many leaves the tree has, by its own nodes."""
    [row] = _HIGHEST.all(driver(connection), {})
    return 0 if row.highest is None else int(row.highest) + 1


def entries(
    connection: Connection,
    privacy: Privacy,
    *,
    start: int = 0,
    before: int | None = None,
    limit: int | None = None,
    newest_first: bool = False,
) -> Iterator[Sealed]:
    """Return stored entries in order, one at a time, up to one that cannot be read.

    Straight from the driver: a whole log is read here, and SQLAlchemy's rows
    cost as much as checking them.
    """
    order = "DESC" if newest_first else "ASC"
    sql = f"{_ENTRIES} ORDER BY seq {order} LIMIT ?"
    most = -1 if limit is None else limit
    with closing(driver(connection).execute(sql, (start, before, before, most))) as rows:
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


def check(connection: Connection, privacy: Privacy) -> Verdict:
    """Verify every entry and every stored node.

    A file that was damaged below the database may not even be readable: then
    the first entry that cannot be read is the fault.
    """
    problems: list[str] = []
    nodes = _nodes(connection, problems)
    leaves = [at for level, at in nodes if level == 0 and isinstance(at, int)]
    verdict = verify(
        _readable(entries(connection, privacy), problems),
        lambda level, position: nodes.get((level, position)),
        size=max(leaves, default=-1) + 1,
    )
    if not problems:
        return verdict
    index = verdict.entries if verdict.fault is None else verdict.fault.index
    reason = f"the database file is damaged: {problems[0]}"
    return replace(verdict, fault=Fault(index=index, reason=reason))


def _nodes(connection: Connection, problems: list[str]) -> dict[tuple[int, int], bytes]:
    rows = driver(connection).execute("SELECT level, position, hash FROM ledger_nodes")
    return {(level, position): hash for level, position, hash in _readable(rows, problems)}


def _readable(rows: Iterable[T], problems: list[str]) -> Iterator[T]:
    """Return rows until one cannot be read, and note why."""
    try:
        yield from rows
    except sqlite3.DatabaseError as error:
        problems.append(str(error))


def shown(
    connection: Connection, privacy: Privacy, *, incident: str, last: int
) -> Sequence[Mapping[str, object]]:
    """Return the newest entries with their bodies, for people; nothing is verified here.

    Raises:
        Unreadable: naming an entry that is not JSON.
    """
    newest: deque[Mapping[str, object]] = deque(maxlen=last)
    for sealed in entries(connection, privacy):
        entry = as_shown(sealed)
        if entry.header["type"] == DAMAGED:
            reason = "cannot be read; `tocsin ledger verify` says more"
            raise Unreadable(f"entry {sealed.seq}", reason)
        if incident and entry.header.get("incident") != incident:
            continue
        newest.append({**entry.header, "body": entry.body})
    return list(newest)
