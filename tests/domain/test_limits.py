"""Limits: how much a run may touch, how often a runbook may run, and in which waves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import nan

import hypothesis.strategies as st
import pytest
from hypothesis import given

from bot.domain.errors import Refused
from bot.domain.limits import (
    Limits,
    check_cool_down,
    check_rate,
    check_targets,
    clock_time,
    parse_rate,
    waves,
)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def names(count: int) -> list[str]:
    return [f"worker-{number}" for number in range(count)]


def test_without_limits_anything_goes() -> None:
    check_targets(Limits(), names(1000), None)
    check_rate(Limits(), [NOON] * 1000, at=NOON)
    check_cool_down(Limits(), NOON, at=NOON)


def test_a_number_of_targets_is_held_to_the_last_one() -> None:
    check_targets(Limits(targets=3), names(3), None)
    with pytest.raises(Refused, match="touches 4 targets, and this runbook may touch 3"):
        check_targets(Limits(targets=3), names(4), None)
    with pytest.raises(Refused, match="1 target,"):
        check_targets(Limits(targets=0), names(1), None)


def test_a_target_that_is_named_twice_is_one() -> None:
    check_targets(Limits(targets=1), ["a", "a"], None)


def test_a_share_is_of_all_there_are() -> None:
    check_targets(Limits(percent=50), names(2), 4)
    with pytest.raises(Refused, match=r"3 of 4 targets, .* may touch 50 %"):
        check_targets(Limits(percent=50), names(3), 4)


def test_a_share_of_nobody_knows_how_many_is_refused() -> None:
    with pytest.raises(Refused, match="nothing says how many"):
        check_targets(Limits(percent=100), names(1), None)
    with pytest.raises(Refused):
        check_targets(Limits(percent=100), names(1), 0)


@pytest.mark.parametrize("percent", (nan, -1.0, 0.0))
def test_a_share_that_is_none_lets_nothing_through(percent: float) -> None:
    with pytest.raises(Refused):
        check_targets(Limits(percent=percent), names(1), 100)


def test_more_targets_than_there_are_is_more_than_all() -> None:
    with pytest.raises(Refused):
        check_targets(Limits(percent=100), names(5), 4)


@given(
    targets=st.integers(0, 40),
    out_of=st.integers(0, 40),
    number=st.none() | st.integers(0, 40),
    percent=st.none() | st.integers(0, 100),
)
def test_what_is_let_through_is_within_both_limits(
    targets: int, out_of: int, number: int | None, percent: int | None
) -> None:
    within = (number is None or targets <= number) and (
        percent is None or targets * 100 <= percent * out_of
    )
    limits = Limits(targets=number, percent=percent)
    try:
        check_targets(limits, names(targets), out_of)
    except Refused:
        assert not within
    else:
        assert within


@given(st.lists(st.text(max_size=5), max_size=60))
def test_waves_are_all_targets_in_their_order_and_grow_to_four(targets: list[str]) -> None:
    found = waves(targets)
    assert [target for wave in found for target in wave] == targets
    sizes = [len(wave) for wave in found]
    assert sizes[:-1] == [1, 2, *[4] * len(sizes)][: max(len(sizes) - 1, 0)]
    assert all(1 <= size <= 4 for size in sizes)


def test_seven_targets_are_one_then_two_then_four() -> None:
    assert waves("abcdefg") == (("a",), ("b", "c"), ("d", "e", "f", "g"))
    assert waves(()) == ()


@pytest.mark.parametrize(
    ("text", "rate"),
    (("3/1h", (3, 3600.0)), ("1/30m", (1, 1800.0)), ("10/1d", (10, 86400.0)), ("2/90s", (2, 90.0))),
)
def test_a_rate_is_a_number_and_a_time(text: str, rate: tuple[int, float]) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    "text", ("", "3", "3/", "/1h", "0/1h", "3/0h", "-1/1h", "3/1w", " 3/1h", "3/1h ", "3/1.5h",
             "٣/1h", "3/1h\n", "99999/1h", "3/9999999d")
)  # fmt: skip
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a rate"):
        parse_rate(text)


def test_one_run_too_many_is_refused_until_the_window_has_moved_on() -> None:
    limits = Limits(rate=(2, 3600.0))
    began = [NOON - timedelta(minutes=50), NOON - timedelta(minutes=10)]
    check_rate(limits, began[:1], at=NOON)
    with pytest.raises(Refused, match=r"may run 2 times in 1 h .* before 12:10 UTC"):
        check_rate(limits, began, at=NOON)
    check_rate(limits, began, at=NOON + timedelta(minutes=10))


def test_runs_of_a_clock_that_was_set_back_still_count() -> None:
    with pytest.raises(Refused, match="before 2026-11-21 13:00 UTC"):
        check_rate(Limits(rate=(1, 3600.0)), [NOON + timedelta(days=1)], at=NOON)


def test_a_cool_down_counts_from_the_last_effect() -> None:
    limits = Limits(cool_down=600.0)
    check_cool_down(limits, None, at=NOON)
    with pytest.raises(Refused, match=r"waits 10 min .* before 12:10 UTC"):
        check_cool_down(limits, NOON, at=NOON + timedelta(seconds=599))
    check_cool_down(limits, NOON, at=NOON + timedelta(seconds=600))


@given(
    count=st.integers(1, 5),
    seconds=st.integers(1, 100),
    wishes=st.lists(st.integers(0, 60), max_size=40),
)
def test_no_window_ever_holds_more_runs_than_the_rate(
    count: int, seconds: int, wishes: list[int]
) -> None:
    limits, now = Limits(rate=(count, float(seconds))), NOON
    began: list[datetime] = []
    for wish in wishes:
        now += timedelta(seconds=wish)
        try:
            check_rate(limits, began, at=now)
        except Refused:
            continue
        began.append(now)
    for start in began:
        end = start + timedelta(seconds=seconds)
        assert len([moment for moment in began if start <= moment < end]) <= count


def test_a_time_names_its_day_where_it_is_another() -> None:
    assert clock_time(NOON, NOON) == "12:00 UTC"
    assert clock_time(NOON + timedelta(microseconds=1), NOON) == "12:01 UTC"
    assert clock_time(NOON + timedelta(seconds=60), NOON) == "12:01 UTC"
    assert clock_time(NOON + timedelta(days=1), NOON) == "2026-11-21 12:00 UTC"
