"""Loops of alerts and runbooks, and keys that one run at a time holds."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest

from bot.domain.alerts import Severity
from bot.domain.breakers import Trouble
from bot.domain.errors import Refused
from bot.domain.incidents import Incident, IncidentId, IncidentStatus
from bot.domain.runs import Run, RunId, RunState
from bot.ports import Transaction
from bot.services.brakes import Brakes, Looping
from tests.fakes import NOON, FakeClock
from tests.services.workshop import DANA, OFF, RULES, Workshop, each_example, numbers, step
from tests.storage.opened import opened

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
        prefix = next(numbers)
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
