"""The clock jumps by a day while plans, consent, broken glass and freezes wait."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from bot.domain.alerts import Severity
from bot.domain.emergencies import break_glass
from bot.domain.errors import AlreadyDone, Refused
from bot.domain.runs import Run, RunState
from tests.fakes import NOON
from tests.faults.house import LEASE, House, house_at
from tests.faults.sweeping import holds_what_it_did
from tests.services.gate_world import DANA, MARCUS, PRIYA

DAY = timedelta(days=1)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with house_at(tmp_path / "house", NOON) as house:
        await house.checkpoints.start()
        yield house


async def work(house: House) -> None:
    """Make every move that is due."""
    while await house.move():
        pass


async def approved(house: House) -> Run:
    """Ask for a run and approve it; nobody has begun it."""
    run = await house.ask()
    await work(house)
    for person in (PRIYA, MARCUS):
        await house.approve(run.id, person)
    return await house.runs.get(run.id)


async def test_a_day_later_a_plan_that_waits_has_expired(house: House) -> None:
    run = await house.ask()
    await work(house)
    house.clock.set(NOON + DAY)
    with pytest.raises(Refused):
        await house.approve(run.id, PRIYA)
    await work(house)
    assert (await house.runs.get(run.id)).state is RunState.EXPIRED
    assert house.bells.strokes.total() == 0
    holds_what_it_did(house.folder)


async def test_a_day_later_consent_has_expired(house: House) -> None:
    run = await approved(house)
    house.clock.set(NOON + DAY)
    await work(house)
    assert (await house.runs.get(run.id)).state in (RunState.EXPIRED, RunState.FAILED)
    assert house.bells.strokes.total() == 0
    holds_what_it_did(house.folder)


async def test_what_has_expired_stays_so_when_the_clock_goes_back(house: House) -> None:
    run = await approved(house)
    house.clock.set(NOON + DAY)
    await work(house)
    house.clock.set(NOON)
    await work(house)
    with pytest.raises((Refused, AlreadyDone)):
        await house.approve(run.id, PRIYA)
    assert (await house.runs.get(run.id)).state.over
    assert house.bells.strokes.total() == 0
    holds_what_it_did(house.folder)


async def test_a_clock_set_back_lends_consent_no_day_more(house: House) -> None:
    """Nothing is due before the moment of the last answer, so nothing happens until then."""
    run = await approved(house)
    house.clock.set(NOON - DAY)
    for _ in range(3):
        await work(house)
        house.clock.advance(seconds=LEASE)
    house.clock.set(NOON - DAY + timedelta(hours=3))
    await work(house)
    assert house.bells.strokes.total() == 0
    assert (await house.runs.get(run.id)).state is not RunState.SUCCEEDED


def test_a_clock_set_back_lends_a_broken_glass_no_day_more() -> None:
    glass = break_glass(
        "g1",
        person=DANA,
        incident="INC-1",
        severity=Severity.SEV1,
        runbook="light",
        service="lamp",
        reason="the shop is down and nobody answers",
        at=NOON,
    )
    assert glass.usable(runbook="light", service="lamp", by=DANA, at=NOON)
    assert not glass.usable(runbook="light", service="lamp", by=DANA, at=NOON + DAY)
    assert not glass.usable(runbook="light", service="lamp", by=DANA, at=NOON - DAY)


@pytest.mark.parametrize("days", (1, -1))
async def test_a_clock_that_jumps_under_way_repeats_nothing(house: House, days: int) -> None:
    """Set back, a run rests until the clock is where it was; set forward, it goes on."""
    run = await approved(house)
    assert await house.move()

    async def jump() -> None:
        house.clock.set(NOON + timedelta(days=days))

    house.bells.after = jump
    await house.move()
    house.bells.after = None
    await work(house)
    assert set(house.bells.strokes.values()) == {1}
    house.clock.set(NOON + timedelta(days=max(days, 0), seconds=LEASE))
    await house.finish()
    assert set(house.bells.strokes.values()) == {1}
    assert (await house.runs.get(run.id)).state is RunState.SUCCEEDED
    holds_what_it_did(house.folder)


async def test_the_ledger_never_runs_backwards(house: House) -> None:
    await house.ask()
    house.clock.set(NOON - DAY)
    await house.ask(request="again", subject="group 2")
    verdict = await house.database.archive.verify()
    assert verdict.ok, verdict
