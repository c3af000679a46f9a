from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes import FakeClock
from tests.services.gate_world import World, world_at
from tests.services.workshop import Workshop
from tests.storage.opened import opened


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_at(tmp_path / "tocsin.db") as world:
        yield world


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Workshop]:
    """Open a workshop."""
    clock = FakeClock()
    async with opened(tmp_path, clock) as database:
        yield Workshop(tmp_path, database, clock)
