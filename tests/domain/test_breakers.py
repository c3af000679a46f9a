"""Circuit breakers by value: what opens one, how long, and what closes it."""

from __future__ import annotations

from datetime import datetime, timedelta

import hypothesis.strategies as st
import pytest
from hypothesis import given

from bot.domain.breakers import (
    Breaker,
    BreakerRules,
    BreakerState,
    Trouble,
    breaker_key,
    note_success,
    note_trouble,
)
from tests.fakes import NOON

RULES = BreakerRules(troubles=3, window=3600, rest=1800)
FRESH = Breaker(action="lamp.on", service="hall")
COUNTED = (Trouble.FAILED, Trouble.ROLLED_BACK, Trouble.IN_DOUBT)


def after(*troubles: Trouble, apart: float = 0) -> Breaker:
    """Return a breaker after troubles, so many seconds apart, the last of them at noon."""
    breaker = FRESH
    for number, trouble in enumerate(troubles, start=1):
        at = NOON - timedelta(seconds=apart * (len(troubles) - number))
        breaker = note_trouble(breaker, trouble, at=at, rules=RULES)
    return breaker


def test_a_breaker_is_for_an_action_of_any_version_on_a_service() -> None:
    assert breaker_key("lamp.on@1", "hall") == breaker_key("lamp.on@2", "hall") == FRESH.key
    assert breaker_key("lamp.on@1", None) != FRESH.key


@pytest.mark.parametrize("trouble", COUNTED)
def test_three_troubles_within_the_window_open_it(trouble: Trouble) -> None:
    assert after(trouble, trouble).state(NOON, RULES) is BreakerState.CLOSED
    opened = after(trouble, trouble, trouble)
    assert opened.state(NOON, RULES) is BreakerState.OPEN
    assert opened.reason == f"it went wrong 3 times, most recently: {trouble}"


def test_troubles_that_lie_further_apart_do_not() -> None:
    assert after(*[Trouble.FAILED] * 3, apart=1800).state(NOON, RULES) is BreakerState.CLOSED
    assert after(*[Trouble.FAILED] * 3, apart=1799).state(NOON, RULES) is BreakerState.OPEN


def test_a_loop_opens_it_at_once() -> None:
    opened = after(Trouble.LOOP)
    assert opened.state(NOON, RULES) is BreakerState.OPEN
    assert opened.reason == "it raised again the alert it answered"


def test_it_rests_to_the_second_and_is_then_half_open() -> None:
    opened = after(Trouble.LOOP)
    assert opened.state(NOON + timedelta(seconds=1799.999), RULES) is BreakerState.OPEN
    assert opened.state(NOON + timedelta(seconds=1800), RULES) is BreakerState.HALF_OPEN


def test_a_clock_that_is_set_back_does_not_close_it() -> None:
    assert after(Trouble.LOOP).state(NOON - timedelta(days=1), RULES) is BreakerState.OPEN


def test_one_failed_trial_opens_it_again_for_a_whole_rest() -> None:
    later = NOON + timedelta(seconds=5000)
    again = note_trouble(after(Trouble.LOOP), Trouble.FAILED, at=later, rules=RULES)
    assert again.state(later + timedelta(seconds=1799), RULES) is BreakerState.OPEN
    assert again.reason == "it went wrong once, most recently: failed"


def test_a_good_trial_closes_it_and_forgets() -> None:
    later = NOON + timedelta(seconds=1800)
    assert note_success(after(Trouble.LOOP), at=later, rules=RULES) == FRESH


def test_a_success_forgives_nothing_while_it_is_closed_or_open() -> None:
    for breaker in (after(Trouble.FAILED, Trouble.FAILED), after(Trouble.LOOP)):
        assert note_success(breaker, at=NOON, rules=RULES) == breaker


NEWS = st.tuples(st.integers(0, 4000), st.none() | st.sampled_from(Trouble))


@given(st.lists(NEWS, max_size=30))
def test_it_is_open_exactly_as_the_rules_say(news: list[tuple[int, Trouble | None]]) -> None:
    """Hold it against a plain account: when it last opened, and what has been counted."""
    breaker, now = FRESH, NOON
    opened: datetime | None = None
    counted: list[datetime] = []
    for seconds, trouble in news:
        now += timedelta(seconds=seconds)
        half_open = opened is not None and (now - opened).total_seconds() >= RULES.rest
        if trouble is None:
            breaker = note_success(breaker, at=now, rules=RULES)
            if half_open:
                opened, counted = None, []
        else:
            breaker = note_trouble(breaker, trouble, at=now, rules=RULES)
            counted = [t for t in counted if (now - t).total_seconds() < RULES.window] + [now]
            if trouble is Trouble.LOOP or half_open or len(counted) >= RULES.troubles:
                opened = now
        assert breaker.opened_at == opened
        if opened is not None:
            for rested in (0, RULES.rest - 1):
                moment = opened + timedelta(seconds=rested)
                assert breaker.state(moment, RULES) is BreakerState.OPEN
