"""Many tasks that write, fail, are cancelled and come twice: what was called stored is stored."""

from __future__ import annotations

import asyncio
import random

import pytest

from bot.domain.errors import AlreadyDone
from tests.storage.conftest import Opening
from tests.storage.opened import entry, execute
from tests.storage.stores import Store

TASKS = 60


class Turmoil:
    """What every task was told of its own transaction."""

    def __init__(self, store: Store, luck: random.Random) -> None:
        self.store, self.luck = store, luck
        self.stored: set[str] = set()
        self.failed: set[str] = set()
        self.entries = 0

    async def write(self, name: str) -> None:
        """Write something, and perhaps fail at it."""
        count, fate = self.luck.randrange(3), self.luck.random()
        try:
            async with self.store.transaction(once=f"once {name}") as tx:
                await tx.slots.take("turmoil", name)
                for number in range(count):
                    await asyncio.sleep(self.luck.choice((0, 0, 0.001)))
                    await tx.ledger.append(entry(number))
                if fate < 0.15:
                    raise ValueError(name)
                if fate < 0.3:
                    await execute(tx, "SELECT * FROM nowhere")
        except Exception:
            self.failed.add(name)
            raise
        self.stored.add(name)
        self.entries += count

    async def read(self) -> None:
        """Look at what is stored meanwhile: never more than was begun, never less than told."""
        told = set(self.stored)
        seen = await self.slots()
        assert told <= seen

    async def slots(self) -> set[str]:
        """Return what is stored."""
        async with self.store.reading() as view:
            result = await execute(view, "SELECT slot FROM slots")
            rows = result.all() if hasattr(result, "all") else await result.fetchall()
        return {row[0] for row in rows}


@pytest.mark.parametrize("seed", range(4))
async def test_what_was_called_stored_is_stored_and_nothing_else(
    open_store: Opening, seed: int
) -> None:
    luck = random.Random(seed)
    async with open_store() as store:
        turmoil = Turmoil(store, luck)
        tasks = [asyncio.create_task(turmoil.write(f"w{n}")) for n in range(TASKS)]
        tasks += [asyncio.create_task(turmoil.read()) for _ in range(10)]
        cancelled = luck.sample(range(TASKS), 15)
        for number in cancelled:
            await asyncio.sleep(luck.choice((0, 0.0005, 0.002)))
            tasks[number].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert not [r for r in results if isinstance(r, AssertionError)]
        seen = await turmoil.slots()
        # Whoever is cancelled while the commit is under way is not told how it ended.
        unknown = {f"w{n}" for n in cancelled} - turmoil.stored - turmoil.failed
        assert turmoil.stored <= seen <= turmoil.stored | unknown
        assert not seen & turmoil.failed
        verdict = await store.archive.verify()
        assert verdict.ok, verdict
        assert verdict.entries >= turmoil.entries
        again = sorted(turmoil.stored)[:5]
        for name in again:
            with pytest.raises(AlreadyDone):
                async with store.transaction(once=f"once {name}"):
                    raise AssertionError(f"{name} was done twice")
