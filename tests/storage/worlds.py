"""The gate's small world on any store: what is true on a file must be true on a server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from typing_extensions import override

from bot.domain.breakers import BreakerRules
from bot.ports import Privacy
from bot.services.autonomy import AutonomyService
from bot.services.brakes import Brakes
from bot.services.emergencies import EmergencyService
from bot.services.runs import RunService
from bot.services.switches import SwitchService
from bot.storage.ledger import UNKEYED
from bot.storage.stores import Store, entries_at, located, store_at
from tests.fakes import FakeClock
from tests.services.gate_world import World


class StoreWorld(World):
    """A world in the store of a place, which is a path or a URL.

    The world itself knows files only; the one in `folder` that it makes is not used.
    """

    def __init__(
        self,
        folder: Path,
        where: str,
        *,
        clock: FakeClock | None = None,
        privacy: Privacy = UNKEYED,
        rules: BreakerRules | None = None,
    ) -> None:
        super().__init__(folder / "unused.db")
        self.unused = self.database
        self.where = where
        self.clock = self.chat._clock = clock or self.clock
        store: Store = store_at(located(where), self.clock, privacy)
        store.open()
        self.database: Any = store
        self.switches = SwitchService(store, self.clock)
        self.brakes = Brakes(rules or BreakerRules())
        self.autonomy = AutonomyService(store, self.clock)
        self.emergencies = EmergencyService(store, self.clock)
        self.runs = RunService(store, self.clock, emergencies=self.emergencies, brakes=self.brakes)

    @override
    def ledger(self) -> list[Mapping[str, Any]]:
        """Return every entry, oldest first."""
        return list(entries_at(located(self.where), incident="", last=100_000))

    async def done(self) -> None:
        """Let go of both stores."""
        await self.unused.close()
        await self.database.close()
