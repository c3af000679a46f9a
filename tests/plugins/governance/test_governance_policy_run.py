"""A change of policy through the real gate: two people, the effect, the proof, the record."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from bot import knowledge
from bot.domain.errors import Refused
from bot.domain.policy import RiskPolicy
from bot.domain.runs import RunId, RunState
from bot.plugin import PluginContext
from bot.ports import Policy
from bot.services.policies import ActivePolicy, PolicyService
from plugins.governance.adopting import RUNBOOK, Adopting
from tests.plugins.governance.governance_samples import NEW, Proposed
from tests.services.gate_world import DANA, MARCUS, PRIYA, World, world_at

PAGE = knowledge.load(Path("knowledge")).runbooks[RUNBOOK]


class Change:
    """A world in which a proposal lies in the knowledge folder."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.proposed: Policy = Proposed()
        self.active = ActivePolicy(RiskPolicy())
        self.policies = PolicyService(
            world.database,
            world.clock,
            active=self.active,
            proposed=lambda: self.proposed,
            compile=lambda documents: self.proposed,
        )
        context = cast(PluginContext, SimpleNamespace(policies=self.policies))
        world.actions |= {a.reference: a for a in Adopting(context).all()}
        world.policy = self.active
        world.book = PAGE

    async def requested(self) -> RunId:
        """Let Dana request the change, and let it be planned."""
        await self.policies.start()
        run = await self.world.runs.request(
            PAGE, {"digest": NEW}, subject="channel:C1", labels={}, incident=None, service=None,
            by=self.world.caller(DANA),
        )  # fmt: skip
        await self.world.move()
        return run.id


async def test_two_other_people_change_the_policy_and_it_is_proven(tmp_path: Path) -> None:
    async with world_at(tmp_path / "t.db") as world:
        change = Change(world)
        id = await change.requested()
        plan = (await world.run(id)).plan
        assert plan is not None
        assert "+permit (principal, action, resource);" in plan.steps[0].diff
        with pytest.raises(Refused, match="someone else"):
            await world.approve(id, DANA)
        await world.approve(id, PRIYA)
        await world.work()
        assert change.active.digest != NEW
        await world.approve(id, MARCUS)
        await world.work(patience=5)
        assert await world.state(id) is RunState.SUCCEEDED
        assert change.active.digest == NEW
        types = [entry["type"] for entry in world.ledger()]
        last = types.index("action.intent")
        assert types[last:].count("policy.adopted") == 1


async def test_files_that_change_after_the_approval_are_not_adopted(tmp_path: Path) -> None:
    async with world_at(tmp_path / "t.db") as world:
        change = Change(world)
        id = await change.requested()
        await world.approve(id, PRIYA)
        await world.approve(id, MARCUS)
        change.proposed = replace(Proposed(), digest="b" * 64)
        await world.work(patience=5)
        assert await world.state(id) is RunState.FAILED
        assert change.active.digest not in (NEW, "b" * 64)


async def test_a_change_that_nobody_proposes_is_not_even_planned(tmp_path: Path) -> None:
    async with world_at(tmp_path / "t.db") as world:
        change = Change(world)
        change.proposed = change.active.current
        id = await change.requested()
        run = await world.run(id)
        assert (run.state, run.plan) == (RunState.FAILED, None)
        assert "do not propose this policy" in run.reason
