"""Autonomy is earned by verified runs, lost at once, and never more than the record shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import isclose

import hypothesis.strategies as st
import pytest
from hypothesis import given

from bot.domain.actions import Effect, Risk
from bot.domain.autonomy import (
    NEEDED,
    Z95,
    Autonomy,
    Evidence,
    Level,
    Tally,
    autonomy_key,
    check_may_change,
    count,
    demote,
    judge,
    least,
    promote,
    wilson_lower,
)
from bot.domain.breakers import breaker_key
from bot.domain.errors import Refused
from bot.domain.people import Person, PersonId, Standing
from bot.domain.runbooks import Expectation
from bot.domain.runs import Plan, PlannedCheck, PlannedStep, Run, RunId, RunState
from bot.domain.runs import StepRecord as Record
from bot.domain.runs import StepState as State

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
DANA = Person(id=PersonId("U1"), name="Dana")
TINY = 1e-12
REASON = "a good record since spring"
CHECK = PlannedCheck(
    uses="lamp.look@1",
    arguments={},
    expect=Expectation(equals=1.0),
    within=60.0,
    every=5.0,
    consecutive=2,
)

levels = st.sampled_from(Level)
tallies = st.integers(0, 400).flatmap(
    lambda total: st.builds(
        Tally,
        good=st.integers(0, total),
        total=st.just(total),
        unlabelled=st.sampled_from([0, 0, 1]),
    )
)


def planned(
    id: str = "one", uses: str = "lamp.set@1", *, check: PlannedCheck | None = CHECK, wave: int = 0
) -> PlannedStep:
    return PlannedStep(
        id=id,
        title=id,
        uses=uses,
        arguments={},
        effect=Effect.MUTATE,
        risk=Risk.R1,
        idempotent=True,
        timeout=5.0,
        diff="",
        verify=check,
        wave=wave,
    )


def lived(
    *steps: PlannedStep,
    id: str = "r1",
    state: RunState = RunState.SUCCEEDED,
    states: Sequence[State] | None = None,
    begun: int | None = None,
    service: str | None = "lamp",
    subject: str = "g1",
    parent: str | None = None,
    at: datetime = NOON,
) -> Run:
    """Return a run as it stands after its life; its first `begun` steps had an effect."""
    steps = steps or (planned(),)
    plan = Plan(
        run=id,
        runbook="light",
        version=1,
        runbook_digest="0" * 64,
        title="Light",
        parameters={},
        subject=subject,
        service=service,
        facts=(),
        steps=steps,
        risk=Risk.R1,
        policy_digest="0" * 64,
        quorum=(),
    )
    begun = len(steps) if begun is None else begun
    became = states or [State.DONE] * begun + [State.WAITING] * (len(steps) - begun)
    records = tuple(
        Record(id=step.id, state=one, started_at=at if number < begun else None)
        for number, (step, one) in enumerate(zip(steps, became, strict=True))
    )
    return Run(
        id=RunId(id),
        runbook="light",
        title="Light",
        parameters={},
        requester=DANA,
        subject=subject,
        incident=None,
        service=service,
        created_at=at,
        state=state,
        plan=plan,
        records=records,
        parent=RunId(parent) if parent else None,
    )


def test_34_good_runs_of_34_do_not_show_nine_tenths_and_35_do() -> None:
    assert wilson_lower(34, 34) < 0.90 <= wilson_lower(35, 35)
    assert Tally(good=34, total=34).earned is Level.L2
    assert Tally(good=35, total=35).earned is Level.L3


def test_72_good_runs_of_72_do_not_show_nineteen_twentieths_and_73_do() -> None:
    assert Tally(good=72, total=72).earned is Level.L3
    assert Tally(good=73, total=73).earned is Level.L4


def test_after_one_bad_run_it_takes_52_good_ones_instead_of_35() -> None:
    assert Tally(good=35, total=36).earned is Level.L2
    first = next(n for n in range(36, 200) if Tally(good=n - 1, total=n).earned is Level.L3)
    assert first == 53


def test_no_runs_earn_nothing() -> None:
    assert wilson_lower(0, 0) == 0.0
    assert Tally(good=0, total=0).earned is Level.L2


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_lower_bound_is_where_the_score_test_just_still_accepts(
    shares: tuple[int, int],
) -> None:
    """The bound p solves (share - p)^2 = z^2 p (1 - p) / n: Wilson's own definition."""
    good, total = shares
    bound, share = wilson_lower(good, total), good / total
    assert 0 <= bound <= share or isclose(bound, 0, abs_tol=TINY)
    assert isclose((share - bound) ** 2, Z95**2 * bound * (1 - bound) / total, abs_tol=1e-9)


@given(st.integers(1, 400), st.data())
def test_another_good_run_never_lowers_the_bound_and_another_bad_one_never_raises_it(
    total: int, data: st.DataObject
) -> None:
    good = data.draw(st.integers(0, total))
    bound = wilson_lower(good, total)
    assert wilson_lower(good + 1, total + 1) >= bound - TINY
    assert wilson_lower(good, total + 1) <= bound + TINY


@given(levels, levels, tallies)
def test_a_promotion_never_gives_more_than_was_earned(
    before: Level, wanted: Level, tally: Tally
) -> None:
    autonomy = Autonomy(action="lamp.set", service="lamp", level=before)
    try:
        after = promote(autonomy, wanted, tally=tally, by="Dana", reason=REASON, at=NOON)
    except Refused:
        assert wanted > tally.earned
        return
    assert after.level is wanted
    assert after.level <= max(Level.L2, tally.earned)
    if after.level > Level.L2:
        assert tally.lower_bound >= NEEDED[after.level]
        assert not tally.unlabelled


@given(levels)
def test_after_trouble_nothing_is_above_proposing_and_nothing_is_raised(before: Level) -> None:
    autonomy = Autonomy(action="lamp.set", service="lamp", level=before)
    after = demote(autonomy, reason="an effect was rolled back", at=NOON)
    assert after.level == min(before, Level.L2)
    assert (after is autonomy) == (before <= Level.L2)


@given(st.lists(st.one_of(st.tuples(levels, tallies), st.none()), max_size=12))
def test_in_any_story_the_level_is_below_what_was_earned_since_it_was_lost(
    story: list[tuple[Level, Tally] | None],
) -> None:
    autonomy, earned = Autonomy(action="lamp.set", service="lamp"), Level.L2
    for number, move in enumerate(story):
        at = NOON + timedelta(minutes=number)
        if move is None:
            autonomy, earned = demote(autonomy, reason="it was rolled back", at=at), Level.L2
            continue
        wanted, tally = move
        try:
            autonomy = promote(autonomy, wanted, tally=tally, by="Dana", reason=REASON, at=at)
        except Refused:
            continue
        earned = max(Level.L2, tally.earned)
    assert autonomy.level <= earned


def test_who_sets_a_level_after_it_was_lost_does_not_bring_the_old_record_back() -> None:
    high = Autonomy(action="lamp.set", service="lamp", level=Level.L4)
    lost = demote(high, reason="an effect was rolled back", at=NOON)
    later = NOON + timedelta(days=1)
    lowered = promote(
        lost, Level.L1, tally=Tally(good=0, total=0), by="Dana", reason=REASON, at=later
    )
    assert lowered.by == "Dana"
    assert lowered.lost_at == NOON


@pytest.mark.parametrize("reason", ("", "   ", "too short", " " * 40 + "short"))
def test_a_change_without_a_reason_is_refused(reason: str) -> None:
    autonomy = Autonomy(action="lamp.set", service="lamp")
    with pytest.raises(Refused, match="reason"):
        promote(autonomy, Level.L1, tally=Tally(good=0, total=0), by="D", reason=reason, at=NOON)


def test_a_plan_has_the_level_of_its_least_trusted_action() -> None:
    assert least([Level.L4, Level.L3]) is Level.L3
    assert least([Level.L4, Level.L0, Level.L3]) is Level.L0
    assert least([]) is Level.L2


def test_levels_and_breakers_are_kept_by_the_same_key() -> None:
    for uses, service in (("lamp.set@1", "lamp"), ("lamp.set", None), ("lamp.set@2", "")):
        assert autonomy_key(uses, service) == breaker_key(uses, service)
    assert Autonomy(action="lamp.set", service="lamp").key == autonomy_key("lamp.set@9", "lamp")


@pytest.mark.parametrize(
    ("changes", "groups", "teams"),
    (
        ({}, [], []),
        ({}, ["lamps"], ["lamps"]),
        ({"bot": True}, ["lamps-oncall"], ["payments"]),
        ({"guest": True}, ["lamps-oncall"], ["payments"]),
        ({"stranger": True}, ["lamps-oncall"], ["payments"]),
        ({"active": False}, ["lamps-oncall"], ["payments"]),
    ),
)
def test_who_is_neither_on_call_nor_of_the_team_or_no_full_member_changes_nothing(
    changes: dict[str, bool], groups: list[str], teams: list[str]
) -> None:
    person = replace(DANA, **changes)  # type: ignore[arg-type]  # booleans by name
    standing = Standing(person=person, groups=frozenset(groups), teams=frozenset(teams))
    with pytest.raises(Refused):
        check_may_change(standing, "payments")


def test_who_is_on_call_or_of_the_team_may_change_it() -> None:
    check_may_change(Standing(person=DANA, groups=frozenset(["web-oncall"])), "payments")
    check_may_change(Standing(person=DANA, teams=frozenset(["payments"])), "payments")


def test_a_service_without_a_team_is_not_everybodys() -> None:
    with pytest.raises(Refused):
        check_may_change(Standing(person=DANA, teams=frozenset(["payments"])), None)


# What a run shows.


def test_a_run_that_was_verified_and_stands_counts_as_good() -> None:
    assert judge(lived(), "lamp.set") is Evidence.GOOD


def test_a_run_that_nothing_verified_is_not_good() -> None:
    assert judge(lived(planned(check=None)), "lamp.set") is Evidence.UNLABELLED


@pytest.mark.parametrize("state", (RunState.FAILED, RunState.CANCELLED, RunState.IN_DOUBT), ids=str)
def test_a_run_that_ended_otherwise_after_its_effect_counts_against_the_action(
    state: RunState,
) -> None:
    assert judge(lived(state=state), "lamp.set") is Evidence.BAD


@pytest.mark.parametrize("state", [s for s in RunState if s is not RunState.SUCCEEDED])
def test_a_run_that_never_got_to_the_effect_shows_nothing(state: RunState) -> None:
    assert judge(lived(state=state, begun=0), "lamp.set") is None


@pytest.mark.parametrize("state", [s for s in RunState if not s.over])
def test_a_run_under_way_shows_nothing_yet(state: RunState) -> None:
    assert judge(lived(state=state), "lamp.set") is None


def test_a_step_the_gate_refused_shows_nothing_although_it_failed() -> None:
    run = lived(state=RunState.FAILED, begun=0, states=[State.FAILED])
    assert judge(run, "lamp.set") is None


def test_a_run_shows_nothing_about_an_action_it_did_not_use() -> None:
    run = lived(planned("one", "lamp.on@1"), planned("two", "lamp.set@1"), begun=1,
                state=RunState.FAILED)  # fmt: skip
    assert judge(run, "lamp.set") is None
    assert judge(run, "lamp.on") is Evidence.BAD
    assert judge(run, "lamp") is None


def test_a_failed_step_that_the_plan_goes_past_is_not_good() -> None:
    steps = (planned("one"), planned("two", "lamp.on@1"))
    run = lived(*steps, states=[State.FAILED, State.DONE])
    assert judge(run, "lamp.set") is Evidence.BAD
    assert judge(run, "lamp.on") is Evidence.GOOD


def test_one_step_of_an_action_that_nothing_verified_spoils_the_others() -> None:
    run = lived(planned("one"), planned("two", check=None))
    assert judge(run, "lamp.set") is Evidence.UNLABELLED


def test_the_verification_at_the_end_of_a_wave_is_of_the_whole_wave() -> None:
    wave = (
        planned("roll.1", wave=1),
        planned("roll.2", check=None, wave=2),
        planned("roll.3", wave=2),
    )
    assert judge(lived(*wave), "lamp.set") is Evidence.GOOD
    blind = (*wave[:2], planned("roll.3", check=None, wave=2))
    assert judge(lived(*blind), "lamp.set") is Evidence.UNLABELLED
    other = (*wave[:2], planned("other.1", wave=2))
    assert judge(lived(*other), "lamp.set") is Evidence.UNLABELLED


@pytest.mark.parametrize(
    ("state", "begun", "found"),
    (
        (RunState.SUCCEEDED, 1, Evidence.BAD),
        (RunState.SUCCEEDED, 0, Evidence.BAD),
        (RunState.RUNNING, 1, Evidence.BAD),
        (RunState.AWAITING, 0, Evidence.BAD),
        (RunState.DRAFT, 0, Evidence.BAD),
        (RunState.FAILED, 1, Evidence.BAD),
        (RunState.IN_DOUBT, 1, Evidence.BAD),
        (RunState.CANCELLED, 1, Evidence.BAD),
        (RunState.FAILED, 0, Evidence.GOOD),
        (RunState.DENIED, 0, Evidence.GOOD),
        (RunState.EXPIRED, 0, Evidence.GOOD),
        (RunState.CANCELLED, 0, Evidence.GOOD),
    ),
)
def test_what_was_taken_back_or_is_about_to_be_is_not_left_standing(
    state: RunState, begun: int, found: Evidence
) -> None:
    child = lived(id="r2", parent="r1", state=state, begun=begun)
    assert judge(lived(), "lamp.set", [child]) is found


def test_a_run_that_takes_back_is_no_evidence_of_its_own() -> None:
    assert judge(lived(parent="r0"), "lamp.set") is None
    assert judge(lived(parent="r0", state=RunState.FAILED), "lamp.set") is None


def test_runs_that_show_nothing_are_not_counted() -> None:
    found = [Evidence.GOOD, None, Evidence.BAD, Evidence.UNLABELLED, None, Evidence.GOOD]
    assert count(found) == Tally(good=2, total=4, unlabelled=1)
    assert count([]) == Tally(good=0, total=0)
