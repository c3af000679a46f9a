from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.plugins.runbooks.runbook_world import World, opened_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with opened_world(tmp_path) as world:
        yield world
