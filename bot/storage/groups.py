"""Transactions with group commit, over one connection that writes.

**Group commit.** Transactions run one after another on the writer's connection,
each within a savepoint. The first of a group asks for the commit, which waits
in the same queue: whatever queued before it is committed together with it, in
one write to the disk. A transaction is left only when that commit is done, so
nobody is told of anything that a crash could take back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from bot.domain.ledger import Draft
from bot.ports import Clock, Privacy, Transaction
from bot.storage.ledger import Sealer
from bot.storage.rows import Rows
from bot.storage.transaction import StoredTransaction

log = logging.getLogger(__name__)


class Writing(Protocol):
    """The one connection that writes. `rows` are those of its transaction."""

    @property
    def rows(self) -> Rows:
        """Return what the transaction that is open executes its statements with."""
        ...

    @property
    def changes(self) -> int:
        """Count the rows that were changed so far."""
        ...

    @property
    def in_transaction(self) -> bool:
        """Say whether a transaction is open, by the database's own word."""
        ...

    async def begin(self) -> None:
        """Begin a transaction, after that of another process if need be."""
        ...

    async def commit(self) -> None:
        """Commit."""
        ...

    async def rollback(self) -> None:
        """Roll back what is still open, which may be nothing."""
        ...

    async def mark(self) -> None:
        """Begin a part that can be taken back by itself."""
        ...

    async def keep(self) -> None:
        """End the part and keep it."""
        ...

    async def take_back(self) -> None:
        """End the part as if it had not been."""
        ...


class Lost(Exception):
    """A transaction that was rolled back because another of its group took it along."""


@dataclass
class _Group:
    """Transactions that are committed together."""

    done: asyncio.Future[None]
    changes_before: int
    drafts: list[Draft] = field(default_factory=list)


class GroupCommit:
    """Runs transactions on a writer, in groups that are committed at once."""

    def __init__(self, clock: Clock, privacy: Privacy) -> None:
        self._clock = clock
        self._privacy = privacy
        self._turn = asyncio.Lock()
        self._sealer = Sealer()
        self._group: _Group | None = None
        self._committing: set[asyncio.Task[None]] = set()
        self._listeners: list[Callable[[], None]] = []

    def on_commit(self, listener: Callable[[], None]) -> None:
        """Call a listener after every commit that changed something, in the event loop."""
        self._listeners.append(listener)

    @property
    def _writer(self) -> Writing:
        raise NotImplementedError

    def _over(self, rows: Rows) -> StoredTransaction:
        return StoredTransaction(rows, self._privacy)

    @asynccontextmanager
    async def transaction(self, once: str | None = None) -> AsyncIterator[Transaction]:
        """Open a transaction; it is committed with its group when the block is left."""
        async with self._turn:
            group = await self._joined()
            try:
                await self._writer.mark()
                work = self._over(self._writer.rows)
                if once is not None:
                    await work.once(once, self._clock.now())
                yield work
                await self._writer.keep()
            except BaseException as error:
                await uninterrupted(self._undo(group, error))
                raise
            group.drafts += work.ledger.drafts
        await asyncio.shield(group.done)

    async def finish(self) -> None:
        """Wait for the commits under way."""
        if self._committing:
            await asyncio.wait(self._committing)

    async def _undo(self, group: _Group, error: BaseException) -> None:
        """Take back one transaction of a group, and only that one.

        Where the database has rolled back by itself, the whole group is gone, and
        none of it may be called stored.
        """
        if self._writer.in_transaction:
            await self._writer.take_back()
        if self._writer.in_transaction:
            return
        self._group = None
        if not group.done.done():
            group.done.set_exception(error if isinstance(error, Exception) else Lost())

    async def _joined(self) -> _Group:
        """Return the group under way, or begin one and ask for its commit."""
        if self._group is None:
            await self._writer.begin()
            self._group = _Group(
                done=asyncio.get_running_loop().create_future(),
                changes_before=self._writer.changes,
            )
            # A failure reaches every transaction of the group that still waits.
            self._group.done.add_done_callback(lambda f: f.cancelled() or f.exception())
            task = asyncio.create_task(self._commit(self._group))
            self._committing.add(task)
            task.add_done_callback(self._committing.discard)
        return self._group

    async def _commit(self, group: _Group) -> None:
        async with self._turn:
            if group.done.done():
                return
            self._group = None
            try:
                await self._sealer.seal(self._writer.rows, group.drafts, now=self._clock.now())
                await self._writer.commit()
            except BaseException as error:
                self._sealer.forget()
                await self._writer.rollback()
                group.done.set_exception(error)
                if not isinstance(error, Exception):
                    raise
                log.error("a commit failed and was rolled back: %s", error)
                return
        group.done.set_result(None)
        # Whoever is woken looks for work in a transaction: one without a change wakes nobody.
        if self._writer.changes != group.changes_before:
            self._tell()

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()


async def uninterrupted(work: Coroutine[Any, Any, None]) -> None:
    """Do some work to its end, even where this task is cancelled meanwhile.

    A cancellation that came is raised only then: what is half taken back must
    not be handed to the next transaction.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    task.result()
    if cancelled is not None:
        raise cancelled
