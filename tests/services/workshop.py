"""A database with everything that brakes look at: runs, effects, alerts and a clock."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import given, settings

from bot.domain.actions import Effect, Risk
from bot.domain.alerts import Alert, AlertGroup, AlertStatus, GroupId
from bot.domain.breakers import BreakerRules, BreakerState, Trouble, breaker_key
from bot.domain.effects import EffectRecord, EffectState
from bot.domain.limits import Limits
from bot.domain.people import Person, PersonId
from bot.domain.runs import Plan, PlannedStep, Run, RunId, RunState, StepRecord
from bot.services.brakes import Brakes
from bot.storage.sqlite import SqliteDatabase, read_entries
from tests.fakes import NOON, FakeClock
from tests.storage.opened import opened

DANA = Person(id=PersonId("U1"), name="Dana")
RULES = BreakerRules(troubles=3, window=3600, rest=1800, fleet=5, fleet_window=600)
ON, OFF, LOOK = "lamp.on@1", "lamp.off@1", "lamp.look@1"
NO_LIMITS = Limits()
numbers = itertools.count()


def step(id: str = "one", uses: str = ON, risk: Risk = Risk.R1) -> PlannedStep:
    """Return a step of a plan."""
    return PlannedStep(
        id=id,
        title=f"Step {id}",
        uses=uses,
        arguments={},
        effect=Effect.MUTATE if risk else Effect.READ,
        risk=risk,
        idempotent=False,
        timeout=5.0,
        diff="",
    )


def running(*steps: PlannedStep, **changes: Any) -> Run:
    """Return a run that is about to bring about its first effect."""
    steps = steps or (step(),)
    id = RunId(f"run{next(numbers)}")
    base = Run(
        id=id,
        runbook="light",
        title="Let there be light",
        parameters={},
        requester=DANA,
        subject=f"group of {id}",
        incident=None,
        service="hall",
        created_at=NOON,
        state=RunState.RUNNING,
        records=tuple(StepRecord(id=s.id) for s in steps),
    )
    run = replace(base, **changes)
    plan = Plan(
        run=run.id,
        runbook=run.runbook,
        version=1,
        runbook_digest="0" * 64,
        title=run.title,
        parameters={},
        subject=run.subject,
        service=run.service,
        facts=(),
        steps=steps,
        risk=max(s.risk for s in steps),
        policy_digest="p",
        quorum=(),
    )
    return replace(run, plan=plan)


class Workshop:
    """A database, a clock and brakes, and runs that act as the gate lets them."""

    def __init__(self, folder: Path, database: SqliteDatabase, clock: FakeClock) -> None:
        self.path, self.database, self.clock = folder / "tocsin.db", database, clock
        self.brakes = Brakes(RULES)

    @property
    def now(self) -> datetime:
        """Return the moment."""
        return self.clock.now()

    async def start(self, *steps: PlannedStep, **changes: Any) -> Run:
        """Let a run exist that is about to act."""
        run = running(*steps, **changes)
        async with self.database.transaction() as tx:
            await tx.runs.add(run, due_at=None)
        return run

    async def act(
        self, run: Run, which: PlannedStep | None = None, *, limits: Limits = NO_LIMITS
    ) -> bool:
        """Do what the gate does: check and write in one transaction."""
        which = which or running_step(run)
        async with self.database.transaction() as tx:
            run = await tx.runs.get(run.id)
            trial = await self.brakes.check(tx, run, which, at=self.now, limits=limits)
            records = tuple(
                replace(r, started_at=self.now) if r.id == which.id else r for r in run.records
            )
            await tx.runs.save(replace(run, records=records), due_at=None)
            await tx.effects.save(self.effect(run, which))
        return trial

    def effect(self, run: Run, which: PlannedStep) -> EffectRecord:
        """Return the record of an effect that succeeded now."""
        return EffectRecord(
            key=run.effect_key(which),
            run=run.id,
            uses=which.uses,
            arguments={},
            state=EffectState.SUCCEEDED,
            intended_at=self.now,
            ended_at=self.now,
            service=run.service,
            runbook=run.runbook,
            subject=run.subject,
            risk=int(which.risk),
        )

    async def end(self, run: Run, state: RunState = RunState.SUCCEEDED) -> None:
        """End a run."""
        async with self.database.transaction() as tx:
            run = await tx.runs.get(run.id)
            await tx.runs.save(replace(run, state=state, ended_at=self.now), due_at=None)

    async def settle(self, run: Run, trouble: Trouble | None, uses: str = ON) -> None:
        """Count how an effect ended."""
        async with self.database.transaction() as tx:
            run = await tx.runs.get(run.id)
            await self.brakes.settle(tx, run, uses, trouble, at=self.now)

    async def open_breaker(self, **changes: Any) -> None:
        """Let things go wrong until the breaker opens."""
        for _ in range(RULES.troubles):
            await self.settle(await self.start(**changes), Trouble.FAILED)

    async def state(self, uses: str = ON, service: str = "hall") -> BreakerState:
        """Return how a breaker stands."""
        async with self.database.reading() as view:
            breaker = await view.breakers.get(breaker_key(uses, service))
        return breaker.state(self.now, RULES) if breaker else BreakerState.CLOSED

    async def half_open(self, *actions: str, service: str = "hall") -> bool:
        """Ask as policy does."""
        async with self.database.reading() as view:
            return await self.brakes.half_open(view, actions, service, at=self.now)

    async def alert(
        self,
        id: str,
        *,
        since: datetime,
        source: str = "prometheus",
        told: datetime | None = None,
    ) -> str:
        """Let the dark hall's alerts fire since some moment, of which word came then or later."""
        fired = Alert(
            fingerprint="hall dark",
            status=AlertStatus.FIRING,
            labels={"alertname": "Dark"},
            annotations={},
            starts_at=since,
        )
        async with self.database.transaction() as tx:
            await tx.groups.save(
                AlertGroup(
                    id=GroupId(id),
                    source=source,
                    group_key="hall dark",
                    labels={},
                    alerts=(fired,),
                    first_seen=told or since,
                    last_seen=told or since,
                )
            )
        return id

    async def answered(self, subject: str, **changes: Any) -> Run:
        """Let a run answer an alert, with success."""
        run = await self.start(subject=subject, **changes)
        await self.act(run)
        await self.end(run)
        return run

    async def told(self) -> list[tuple[str, str]]:
        """Return every event that waits."""
        async with self.database.reading() as view:
            due = await view.outbox.due(now=self.now + timedelta(days=1), limit=1000)
        return [(queued.happening.subject, queued.happening.change) for queued in due]

    def entries(self) -> list[Mapping[str, Any]]:
        """Return every ledger entry."""
        return list(read_entries(self.path, incident="", last=100_000))


def running_step(run: Run) -> PlannedStep:
    """Return the first step of a run."""
    assert run.plan is not None
    return run.plan.steps[0]


def each_example(tmp_path: Path, moves: Any, play: Any, examples: int = 30) -> None:
    """Play examples one after the other, each weeks after the last, in one database."""

    async def open_shop(clock: FakeClock) -> tuple[Any, Workshop]:
        context = opened(tmp_path, clock)
        return context, Workshop(tmp_path, await context.__aenter__(), clock)

    with asyncio.Runner() as runner:
        context, shop = runner.run(open_shop(FakeClock()))

        @settings(max_examples=examples, deadline=None)
        @given(moves)
        def holds(example: Any) -> None:
            shop.clock.advance(seconds=30 * 86400)
            runner.run(play(shop, example))

        try:
            holds()
        finally:
            runner.run(context.__aexit__(None, None, None))
