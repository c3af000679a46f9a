"""The ledger as it stands, to be read and proven, off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from bot.domain.audits import Verdict
from bot.domain.errors import NotFound
from bot.domain.ledger import Sealed
from bot.domain.merkle import consistency_proof, inclusion_proof, root_at
from bot.ports import Privacy
from bot.storage import ledger
from bot.storage.rows import Look

T = TypeVar("T")


class StoredArchive:
    """Reads the last committed state; each question is a view of its own.

    `looking` opens a view, in the thread that asks. Whoever closes the database
    waits for `finish` first: a question whose asker gave up is still being
    answered, and its connection would outlive the database.
    """

    def __init__(
        self, looking: Callable[[], AbstractContextManager[Look]], privacy: Privacy
    ) -> None:
        self._looking = looking
        self._privacy = privacy
        self._asked: set[asyncio.Task[Any]] = set()

    async def finish(self) -> None:
        """Wait for the questions that are still being answered, to nobody perhaps."""
        loop = asyncio.get_running_loop()
        while asked := {task for task in self._asked if task.get_loop() is loop}:
            await asyncio.wait(asked)

    async def size(self) -> int:
        """Return the number of entries."""
        return await self._ask(ledger.size_of)

    async def root(self, size: int) -> bytes:
        """Return the root the tree had at some size."""
        return await self._ask(
            lambda look: root_at(size, lambda level, at: ledger.node(look, level, at))
        )

    async def inclusion(self, seq: int, size: int) -> Sequence[bytes]:
        """Return the proof that an entry is in the tree of some size."""

        def proof(look: Look) -> Sequence[bytes]:
            return inclusion_proof(seq, size, node=lambda level, at: ledger.node(look, level, at))

        return await self._ask(proof)

    async def consistency(self, old: int, new: int) -> Sequence[bytes]:
        """Return the proof that the tree only grew from one size to another."""

        def proof(look: Look) -> Sequence[bytes]:
            return consistency_proof(old, new, node=lambda level, at: ledger.node(look, level, at))

        return await self._ask(proof)

    async def entry(self, seq: int) -> Sealed:
        """Return one entry, or raise NotFound."""
        found = await self.entries(start=seq, before=seq + 1)
        if not found:
            raise NotFound(f"The ledger has no entry {seq}.")
        return found[0]

    async def entries(
        self,
        *,
        start: int = 0,
        before: int | None = None,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> Sequence[Sealed]:
        """Return entries from `start` up to, not including, `before`."""
        return await self._ask(
            lambda look: list(
                ledger.entries(
                    look,
                    self._privacy,
                    start=start,
                    before=before,
                    limit=limit,
                    newest_first=newest_first,
                )
            )
        )

    async def verify(self) -> Verdict:
        """Verify the whole ledger."""
        return await self._ask(lambda look: ledger.check(look, self._privacy))

    async def _ask(self, question: Callable[[Look], T]) -> T:
        asked = asyncio.create_task(asyncio.to_thread(self._answer, question))
        self._asked.add(asked)
        asked.add_done_callback(self._answered)
        return await asyncio.shield(asked)

    def _answered(self, asked: asyncio.Task[Any]) -> None:
        self._asked.discard(asked)
        if not asked.cancelled():
            asked.exception()  # nobody may be left to be told

    def _answer(self, question: Callable[[Look], T]) -> T:
        with self._looking() as look:
            return question(look)
