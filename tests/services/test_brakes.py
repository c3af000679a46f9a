"""The brakes: breakers, rates, loops, and keys that one run at a time holds."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import hypothesis.strategies as st
import pytest

from bot.domain.actions import Risk
from bot.domain.breakers import BreakerState, Trouble, breaker_key
from bot.domain.errors import Refused
from bot.domain.limits import Limits
from bot.domain.runs import Run, RunId, RunState
from tests.fakes import NOON, FakeClock
from tests.services.workshop import LOOK, OFF, ON, RULES, Workshop, each_example, numbers, step
from tests.storage.opened import opened

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


NEWS = st.lists(
    st.tuples(st.integers(0, 2400), st.sampled_from(("act", "fail", "doubt", "good", "stop"))),
    max_size=25,
)


def test_an_open_breaker_lets_nothing_through_before_it_has_rested(tmp_path: Path) -> None:
    async def play(shop: Workshop, news: list[tuple[int, str]]) -> None:
        service = f"place{next(numbers)}"
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
