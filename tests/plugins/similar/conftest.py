"""A stage for known errors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.plugins.similar.plays import Play
from tests.stage import stage_in


@pytest.fixture
async def play(tmp_path: Path) -> AsyncIterator[Play]:
    async with stage_in(tmp_path) as stage:
        yield Play(stage)
