"""Logs that the real gate has written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ledger.honest import LEE, TARGET, honest
from tests.ledger.judging import Log, log_of
from tests.services.gate_world import MARCUS, PRIYA, step


@pytest.fixture
async def approved(tmp_path: Path) -> Log:
    """A run of an R3 action that two people approved."""
    async with honest(tmp_path) as world:
        id = await world.planned(step(uses="lamp.wide@1"))
        await world.approve(id, PRIYA)
        await world.approve(id, MARCUS)
        await world.work()
        return await log_of(world)


@pytest.fixture
async def under_glass(tmp_path: Path) -> Log:
    """A run that nobody approved, under a broken glass."""
    async with honest(tmp_path) as world:
        incident = await world.declare()
        await world.emergencies.break_glass(
            "light", None, incident=incident, typed=TARGET,
            reason="nobody else is awake at this hour", by=world.caller(LEE),
        )  # fmt: skip
        await world.during(incident, step(), by=LEE)
        await world.work()
        return await log_of(world)
