"""The brakes: breakers, rates, loops, and keys that one run at a time holds."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from bot.domain.actions import Effect, Risk
from bot.domain.alerts import Alert, AlertGroup, AlertStatus, GroupId, Severity
from bot.domain.breakers import BreakerRules, BreakerState, Trouble, breaker_key
from bot.domain.effects import EffectRecord, EffectState
from bot.domain.errors import Refused
from bot.domain.incidents import Incident, IncidentId, IncidentStatus
from bot.domain.limits import Limits
from bot.domain.people import Person, PersonId
from bot.domain.runs import Plan, PlannedStep, Run, RunId, RunState, StepRecord
from bot.ports import Transaction
from bot.services.brakes import Brakes, Looping
from bot.storage.sqlite import SqliteDatabase, read_entries
from tests.fakes import NOON, FakeClock
from tests.storage.opened import opened

DANA = Person(id=PersonId("U1"), name="Dana")
RULES = BreakerRules(troubles=3, window=3600, rest=1800, fleet=5, fleet_window=600)
ON, OFF, LOOK = "lamp.on@1", "lamp.off@1", "lamp.look@1"
NO_LIMITS = Limits()
_numbers = itertools.count()


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
    id = RunId(f"run{next(_numbers)}")
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


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Workshop]:
    """Open a workshop."""
    clock = FakeClock()
    async with opened(tmp_path, clock) as database:
        yield Workshop(tmp_path, database, clock)


# Breakers.


async def test_an_action_that_keeps_failing_is_not_tried_again_for_a_while(shop: Workshop) -> None:
    await shop.open_breaker()
    shop.clock.advance(seconds=600)
    run = await shop.start()
    with pytest.raises(
        Refused,
        match=r"lamp.on@1 on hall is not tried again before 12:30 UTC: "
        "it went wrong 3 times, most recently: failed",
    ):
        await shop.act(run)


async def test_a_breaker_stops_nothing_else(shop: Workshop) -> None:
    await shop.open_breaker()
    for run in (
        await shop.start(service="cellar"),
        await shop.start(service=None),
        await shop.start(step(uses=OFF)),
        await shop.start(step(uses=LOOK, risk=Risk.R0)),
    ):
        assert await shop.act(run) is False


async def test_another_version_of_the_action_is_the_same_action(shop: Workshop) -> None:
    await shop.open_breaker()
    with pytest.raises(Refused, match="is not tried again"):
        await shop.act(await shop.start(step(uses="lamp.on@2")))


async def test_opening_and_closing_is_recorded_and_told_once(shop: Workshop) -> None:
    await shop.open_breaker()
    await shop.settle(await shop.start(), Trouble.IN_DOUBT)
    shop.clock.advance(seconds=1800)
    trial = await shop.start()
    assert await shop.act(trial) is True
    await shop.settle(trial, None)
    await shop.settle(trial, None)
    subject = "breaker:lamp.on|hall"
    assert await shop.told() == [(subject, "opened"), (subject, "closed")]
    entries = [(e["type"], e["action"], e["outcome"]) for e in shop.entries()]
    assert entries == [
        ("breaker.opened", "lamp.on", "open"),
        ("breaker.closed", "lamp.on", "closed"),
    ]


async def test_a_failed_trial_opens_it_again_and_says_so(shop: Workshop) -> None:
    await shop.open_breaker()
    shop.clock.advance(seconds=1800)
    assert await shop.half_open(OFF, ON)
    assert not await shop.half_open(OFF)
    assert not await shop.half_open(ON, service="cellar")
    trial = await shop.start()
    assert await shop.act(trial)
    await shop.settle(trial, Trouble.FAILED)
    assert await shop.state() is BreakerState.OPEN
    assert not await shop.half_open(ON)
    assert [change for _, change in await shop.told()] == ["opened", "opened"]


async def test_only_one_trial_is_under_way_at_a_time(shop: Workshop) -> None:
    await shop.open_breaker()
    shop.clock.advance(seconds=1800)
    first, second = await shop.start(), await shop.start()
    assert await shop.act(first)
    shop.clock.advance(seconds=60)
    with pytest.raises(Refused, match="is on trial in another run"):
        await shop.act(second)
    await shop.end(first, RunState.CANCELLED)
    assert await shop.act(second)


async def test_a_trial_may_have_several_steps(shop: Workshop) -> None:
    await shop.open_breaker()
    shop.clock.advance(seconds=1800)
    run = await shop.start(step("one"), step("two"))
    assert await shop.act(run, step("one"))
    assert await shop.act(run, step("two"))


async def test_the_success_of_a_run_from_before_the_trial_forgives_nothing(shop: Workshop) -> None:
    early = await shop.start()
    await shop.act(early)
    await shop.open_breaker()
    shop.clock.advance(seconds=1800)
    await shop.settle(early, None)
    assert await shop.state() is BreakerState.HALF_OPEN
    await shop.settle(await shop.start(), None)
    assert await shop.state() is BreakerState.HALF_OPEN


async def test_what_takes_effects_back_is_never_braked(shop: Workshop) -> None:
    strict = Limits(rate=(1, 3600.0), cool_down=3600.0)
    for _ in range(RULES.fleet):
        await shop.act(await shop.start())
    await shop.open_breaker()
    parent = await shop.start()
    undo = await shop.start(parent=parent.id)
    rollback = await shop.start(parent=parent.id, rollback=True)
    assert await shop.act(undo, limits=strict) is False
    assert await shop.act(rollback, limits=strict) is False


async def test_nothing_is_written_for_a_success_where_nothing_went_wrong(shop: Workshop) -> None:
    run = await shop.start()
    await shop.act(run)
    await shop.settle(run, None)
    async with shop.database.reading() as view:
        assert await view.breakers.all() == {}
    assert shop.entries() == []


async def test_a_breaker_outlives_a_restart(tmp_path: Path) -> None:
    clock = FakeClock()
    async with opened(tmp_path, clock) as database:
        await Workshop(tmp_path, database, clock).open_breaker()
    async with opened(tmp_path, clock) as database:
        shop = Workshop(tmp_path, database, clock)
        with pytest.raises(Refused, match="is not tried again"):
            await shop.act(await shop.start())


# The fleet.


async def test_too_many_changes_stop_every_further_one(shop: Workshop) -> None:
    for number in range(RULES.fleet):
        await shop.act(await shop.start(service=f"s{number}", runbook=f"b{number}"))
        shop.clock.advance(seconds=10)
    last = await shop.start(service="other", runbook="other")
    with pytest.raises(Refused, match=r"5 changes were made within 10 minutes, .* before 12:10"):
        await shop.act(last)
    shop.clock.set(NOON + timedelta(seconds=600))
    assert await shop.act(last) is False


async def test_the_steps_of_one_run_count_too(shop: Workshop) -> None:
    steps = [step(str(number)) for number in range(RULES.fleet + 1)]
    run = await shop.start(*steps)
    for each in steps[:-1]:
        await shop.act(run, each)
    with pytest.raises(Refused, match="more than anybody can follow"):
        await shop.act(run, steps[-1])


async def test_looking_counts_for_nothing(shop: Workshop) -> None:
    for _ in range(RULES.fleet + 3):
        await shop.act(await shop.start(step(uses=LOOK, risk=Risk.R0)))
    assert await shop.act(await shop.start()) is False


async def test_an_effect_that_is_tried_again_is_one_change(shop: Workshop) -> None:
    for _ in range(RULES.fleet - 1):
        await shop.act(await shop.start())
    run = await shop.start()
    for _ in range(3):
        await shop.act(run)


async def test_a_clock_that_is_set_back_forgives_no_change(shop: Workshop) -> None:
    for _ in range(RULES.fleet):
        await shop.act(await shop.start())
    shop.clock.advance(seconds=-86400)
    with pytest.raises(Refused, match="more than anybody"):
        await shop.act(await shop.start())


BURST = st.lists(
    st.tuples(st.integers(0, 200), st.integers(0, 3), st.sampled_from(("act", "undo", "look"))),
    max_size=40,
)


def test_no_ten_minutes_ever_hold_more_changes_than_the_fleet_may_make(tmp_path: Path) -> None:
    async def play(shop: Workshop, burst: list[tuple[int, int, str]]) -> None:
        made: list[datetime] = []
        for seconds, place, what in burst:
            shop.clock.advance(seconds=seconds)
            parent = RunId("gone") if what == "undo" else None
            risk = Risk.R0 if what == "look" else Risk.R2
            run = await shop.start(step(risk=risk), service=f"s{place}", parent=parent)
            try:
                await shop.act(run)
            except Refused:
                assert what == "act"
                assert len([m for m in made if m > shop.now - timedelta(seconds=600)]) >= 5
                continue
            if what != "look":
                made.append(shop.now)
            if what == "act":
                assert len([m for m in made if m > shop.now - timedelta(seconds=600)]) <= 5

    each_example(tmp_path, BURST, play)


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


NEWS = st.lists(
    st.tuples(st.integers(0, 2400), st.sampled_from(("act", "fail", "doubt", "good", "stop"))),
    max_size=25,
)


def test_an_open_breaker_lets_nothing_through_before_it_has_rested(tmp_path: Path) -> None:
    async def play(shop: Workshop, news: list[tuple[int, str]]) -> None:
        service = f"place{next(_numbers)}"
        opened_at: datetime | None = None
        under_way: list[Run] = []
        for seconds, what in news:
            shop.clock.advance(seconds=seconds)
            if what == "act":
                run = await shop.start(service=service)
                resting = opened_at is not None and shop.now < opened_at + timedelta(seconds=1800)
                try:
                    trial = await shop.act(run)
                except Refused:
                    assert opened_at is not None
                    continue
                assert not resting
                assert trial == (opened_at is not None)
                under_way.append(run)
            elif under_way:
                run = under_way.pop(0)
                news_of = {"fail": Trouble.FAILED, "doubt": Trouble.IN_DOUBT}
                if what != "stop":
                    await shop.settle(run, news_of.get(what))
                await shop.end(run, RunState.FAILED)
                async with shop.database.reading() as view:
                    breaker = await view.breakers.get(breaker_key(ON, service))
                opened_at = breaker.opened_at if breaker else None

    each_example(tmp_path, NEWS, play)


# The runbook's own limits.


async def test_a_runbook_runs_so_often_on_a_service_and_no_more(shop: Workshop) -> None:
    limits = Limits(rate=(2, 3600.0))
    for _ in range(2):
        run = await shop.start()
        await shop.act(run, limits=limits)
        await shop.end(run)
        shop.clock.advance(seconds=600)
    third = await shop.start()
    with pytest.raises(Refused, match=r"may run 2 times in 1 h on one service; .* before 13:00"):
        await shop.act(third, limits=limits)
    await shop.act(await shop.start(service="cellar"), limits=limits)
    await shop.act(await shop.start(runbook="dark"), limits=limits)
    shop.clock.set(NOON + timedelta(hours=1))
    await shop.act(third, limits=limits)


async def test_runs_that_changed_nothing_do_not_count(shop: Workshop) -> None:
    limits = Limits(rate=(1, 3600.0), cool_down=3600.0)
    await shop.end(await shop.start(), RunState.DENIED)
    looked = await shop.start(step(uses=LOOK, risk=Risk.R0))
    await shop.act(looked, limits=limits)
    await shop.act(await shop.start(), limits=limits)


async def test_a_rollback_counts_for_the_cool_down_and_not_as_a_run(shop: Workshop) -> None:
    first = await shop.start()
    await shop.act(first)
    shop.clock.advance(seconds=500)
    await shop.act(await shop.start(parent=first.id, rollback=True))
    shop.clock.advance(seconds=200)
    await shop.act(await shop.start(), limits=Limits(rate=(2, 3600.0)))
    with pytest.raises(Refused, match="waits 10 min"):
        await shop.act(await shop.start(), limits=Limits(cool_down=600.0))


async def test_a_run_that_has_begun_is_not_left_half_done_by_a_rate(shop: Workshop) -> None:
    limits = Limits(rate=(1, 3600.0), cool_down=60.0)
    look, one, two = step("look", LOOK, Risk.R0), step("one"), step("two")
    run = await shop.start(look, one, two)
    await shop.act(run, look, limits=limits)
    await shop.act(run, one, limits=limits)
    await shop.act(await shop.start())
    await shop.act(run, two, limits=limits)


async def test_looking_first_gets_no_run_around_its_rate(shop: Workshop) -> None:
    limits = Limits(rate=(1, 3600.0))
    await shop.act(await shop.start())
    look, one = step("look", LOOK, Risk.R0), step("one")
    run = await shop.start(look, one)
    await shop.act(run, look, limits=limits)
    with pytest.raises(Refused, match="may run once in 1 h"):
        await shop.act(run, one, limits=limits)


async def test_a_cool_down_counts_from_the_end_of_a_long_effect(shop: Workshop) -> None:
    run = await shop.start()
    async with shop.database.transaction() as tx:
        ended = NOON + timedelta(minutes=50)
        await tx.effects.save(replace(shop.effect(run, step()), ended_at=ended))
    shop.clock.set(ended + timedelta(seconds=599))
    limits = Limits(cool_down=600.0)
    with pytest.raises(Refused, match="waits 10 min"):
        await shop.act(await shop.start(), limits=limits)
    shop.clock.advance(seconds=1)
    await shop.act(await shop.start(), limits=limits)


# Loops.


async def test_an_action_that_raises_its_own_alert_again_is_stopped(shop: Workshop) -> None:
    group = await shop.alert("g1", since=NOON - timedelta(minutes=1))
    for _ in range(2):
        await shop.answered(group)
        shop.clock.advance(seconds=300)
        await shop.alert("g1", since=shop.now)
    run = await shop.start(subject=group)
    with pytest.raises(Looping, match=r"lamp.on@1 on hall has answered this alert 2 times"):
        await shop.act(run)
    await shop.settle(run, Trouble.LOOP)
    with pytest.raises(Refused, match="it raised again the alert it answered"):
        await shop.act(run)
    assert await shop.told() == [("breaker:lamp.on|hall", "opened")]


async def test_a_new_story_of_the_same_alerts_is_the_same_loop(shop: Workshop) -> None:
    for number in range(2):
        group = await shop.alert(f"g{number}", since=shop.now)
        shop.clock.advance(seconds=60)
        await shop.answered(group)
        shop.clock.advance(seconds=600)
    group = await shop.alert("g2", since=shop.now)
    with pytest.raises(Looping):
        await shop.act(await shop.start(subject=group))
    other = await shop.alert("g3", since=shop.now, source="grafana")
    await shop.act(await shop.start(subject=other))


async def test_a_source_whose_clock_lags_behind_does_not_hide_a_loop(shop: Workshop) -> None:
    for number in range(2):
        await shop.answered(await shop.alert(f"g{number}", since=shop.now))
        shop.clock.advance(seconds=600)
    group = await shop.alert("g2", since=NOON - timedelta(hours=1), told=shop.now)
    with pytest.raises(Looping):
        await shop.act(await shop.start(subject=group))


async def test_the_alerts_of_an_incident_are_answered_by_its_runs(shop: Workshop) -> None:
    for number in range(2):
        group = await shop.alert(f"g{number}", since=shop.now)
        await shop.answered(group)
        shop.clock.advance(seconds=600)
    group = await shop.alert("g2", since=shop.now)
    incident = Incident(
        id=IncidentId("INC-1"),
        number=1,
        title="Dark",
        severity=Severity.SEV2,
        status=IncidentStatus.INVESTIGATING,
        service="hall",
        declared_by=DANA,
        declared_at=shop.now,
        groups=(group,),
    )
    async with shop.database.transaction() as tx:
        await tx.incidents.save(incident)
    with pytest.raises(Looping):
        await shop.act(await shop.start(subject=incident.id, incident=incident.id))


@pytest.mark.parametrize(
    "difference",
    ("never went out", "failed", "undone", "other action", "other service", "long ago"),
)
async def test_what_is_no_loop_goes_on(shop: Workshop, difference: str) -> None:
    group = await shop.alert("g1", since=NOON)
    for _ in range(2):
        shop.clock.advance(seconds=60)
        run = await shop.start(subject=group, service="x" if "service" in difference else "hall",
                               parent=RunId("p") if difference == "undone" else None)  # fmt: skip
        await shop.act(run, step(uses=OFF) if difference == "other action" else None)
        await shop.end(run, RunState.FAILED if difference == "failed" else RunState.SUCCEEDED)
    shop.clock.advance(seconds=1801 if difference == "long ago" else 60)
    if difference != "never went out":
        await shop.alert("g1", since=shop.now)
    assert await shop.act(await shop.start(subject=group)) is False


async def test_a_trial_that_people_approved_is_not_stopped_as_a_loop(tmp_path: Path) -> None:
    clock = FakeClock()
    async with opened(tmp_path, clock) as database:
        shop = Workshop(tmp_path, database, clock)
        shop.brakes = Brakes(replace(RULES, rest=60.0))
        group = await shop.alert("g1", since=NOON)
        for _ in range(2):
            await shop.answered(group)
            clock.advance(seconds=10)
            await shop.alert("g1", since=clock.now())
        run = await shop.start(subject=group)
        with pytest.raises(Looping):
            await shop.act(run)
        await shop.settle(run, Trouble.LOOP)
        clock.advance(seconds=60)
        assert await shop.act(run) is True


# What only one run at a time may hold.


async def test_a_key_is_held_by_one_run_until_it_lets_go(shop: Workshop) -> None:
    mine, other = await shop.start(), await shop.start()
    async with shop.database.transaction() as tx:
        assert await shop.brakes.reserve(tx, "db", mine.id) is None
        assert await shop.brakes.reserve(tx, "db", mine.id) is None
        assert await shop.brakes.reserve(tx, "db", other.id) == mine.id
        assert await shop.brakes.reserve(tx, "cache", other.id) is None
        await shop.brakes.free(tx, "db", other.id)
        assert await shop.brakes.reserve(tx, "db", other.id) == mine.id
        await shop.brakes.free(tx, "db", mine.id)
        assert await shop.brakes.reserve(tx, "db", other.id) is None


async def test_a_key_is_handed_over_with_nobody_in_between(shop: Workshop) -> None:
    parent, child, other = [await shop.start() for _ in range(3)]
    async with shop.database.transaction() as tx:
        await shop.brakes.reserve(tx, "db", parent.id)
        await shop.brakes.hand_over(tx, "db", other.id, other.id)
        await shop.brakes.hand_over(tx, "db", parent.id, child.id)
        assert await shop.brakes.reserve(tx, "db", other.id) == child.id
        await shop.brakes.free(tx, "db", parent.id)
        assert await shop.brakes.reserve(tx, "db", other.id) == child.id


async def test_no_key_is_held_by_everybody(shop: Workshop) -> None:
    async with shop.database.transaction() as tx:
        assert await shop.brakes.reserve(tx, "", RunId("a")) is None
        assert await shop.brakes.reserve(tx, "", RunId("b")) is None


@pytest.mark.parametrize(
    ("state", "held"),
    (
        (RunState.RUNNING, True),
        (RunState.DRAFT, True),
        (RunState.IN_DOUBT, True),
        (RunState.FAILED, False),
        (RunState.CANCELLED, False),
    ),
)
async def test_what_a_run_that_is_over_left_behind_is_taken_over(
    shop: Workshop, state: RunState, held: bool
) -> None:
    old, new = await shop.start(state=state), await shop.start()
    async with shop.database.transaction() as tx:
        await shop.brakes.reserve(tx, "db", old.id)
        holder = await shop.brakes.reserve(tx, "db", new.id)
    assert holder == (old.id if held else None)


async def test_a_key_of_a_run_that_nobody_knows_is_taken_over(shop: Workshop) -> None:
    async with shop.database.transaction() as tx:
        await shop.brakes.reserve(tx, "db", RunId("gone"))
        assert await shop.brakes.reserve(tx, "db", RunId("new")) is None


async def test_of_many_that_reserve_at_once_one_gets_it(shop: Workshop) -> None:
    runs = [await shop.start() for _ in range(20)]

    async def take(run: Run) -> RunId | None:
        async with shop.database.transaction() as tx:
            return await shop.brakes.reserve(tx, "db", run.id)

    answers = await asyncio.gather(*(take(run) for run in runs))
    winners = [run.id for run, answer in zip(runs, answers, strict=True) if answer is None]
    assert len(winners) == 1
    assert {answer for answer in answers if answer is not None} == set(winners)


HOLDS = st.lists(
    st.tuples(
        st.sampled_from(("reserve", "free", "hand over")),
        st.sampled_from(("a", "b")),
        st.integers(0, 3),
        st.integers(0, 3),
    ),
    max_size=30,
)


def test_a_key_always_has_the_one_holder_that_a_plain_account_says(tmp_path: Path) -> None:
    async def play(shop: Workshop, moves: Sequence[tuple[str, str, int, int]]) -> None:
        runs = [(await shop.start()).id for _ in range(4)]
        prefix = next(_numbers)
        held: dict[str, RunId] = {}
        async with shop.database.transaction() as tx:
            for what, name, one, two in moves:
                await _move(shop, tx, what, (f"{prefix}{name}", runs[one], runs[two]), held)

    async def _move(
        shop: Workshop, tx: Transaction, what: str, who: tuple[str, RunId, RunId], held: Any
    ) -> None:
        key, one, two = who
        if what == "reserve":
            answer = await shop.brakes.reserve(tx, key, one)
            assert answer == (held[key] if held.get(key, one) != one else None)
            held.setdefault(key, one)
        elif what == "free":
            await shop.brakes.free(tx, key, one)
            if held.get(key) == one:
                del held[key]
        else:
            await shop.brakes.hand_over(tx, key, one, two)
            if held.get(key) == one:
                held[key] = two
        assert await tx.reservations.get(key) == held.get(key)

    each_example(tmp_path, HOLDS, play)
