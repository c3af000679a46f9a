"""A stage with the governance plugin on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from plugins.governance.plugin import Governance, GovernanceSettings
from tests.stage import Stage, stage_in


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """Set a stage up."""
    async with stage_in(tmp_path) as stage:
        yield stage


@pytest.fixture
def plugin(stage: Stage) -> Governance:
    """Make the plugin."""
    return Governance(GovernanceSettings(), stage.context)
