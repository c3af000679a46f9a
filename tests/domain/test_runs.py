"""Plans and runs: any change of a plan is another plan, and a run moves only where it may."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, fields, is_dataclass, replace
from datetime import UTC, datetime
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from bot.domain.actions import Effect, Risk, Transient
from bot.domain.approvals import Place
from bot.domain.errors import Refused
from bot.domain.people import Person, PersonId
from bot.domain.runbooks import Expectation, Retry, StepUndo
from bot.domain.runs import (
    TRANSITIONS,
    Fact,
    Goal,
    Look,
    Plan,
    PlannedCheck,
    PlannedStep,
    Precondition,
    Run,
    RunId,
    RunState,
    StepRecord,
    StepState,
    advance,
    freeze,
    record,
)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)

CHECK = PlannedCheck(
    uses="metric.read@1",
    arguments={"query": "up"},
    expect=Expectation(below=0.5),
    within=60.0,
    every=5.0,
    consecutive=3,
)
STEP = PlannedStep(
    id="one",
    title="Restart",
    uses="service.restart@1",
    arguments={"generation": 4},
    effect=Effect.MUTATE,
    risk=Risk.R2,
    idempotent=False,
    timeout=30.0,
    diff="- 4\n+ 5",
    verify=CHECK,
    retry=Retry(times=1, on=(Transient.CONFLICT,), wait=2.0),
    undo=StepUndo(uses="service.start@1", arguments={"unit": "a"}),
)
PLAN = Plan(
    run="r1",
    runbook="stuck",
    version=1,
    runbook_digest="0" * 64,
    title="Stuck",
    parameters={"host": "a"},
    subject="group",
    service="checkout",
    facts=(Fact(id="errors", title="Errors", summary="0.4", ok=False, value=0.4),),
    steps=(STEP, replace(STEP, id="two", verify=None)),
    risk=Risk.R2,
    policy_digest="1" * 64,
    quorum=(Place(group="oncall"),),
    decided="much",
    preconditions=(
        Precondition(title="Up", uses="metric.read@1", arguments={}, expect=Expectation(equals=1)),
    ),
    done_when=Goal(
        when="facts.errors < params.few",
        looks=(Look(id="errors", uses="metric.read@1", arguments={"query": "errors"}),),
        within=60.0,
        every=5.0,
        parameters={"few": 3},
    ),
)


def run(**changes: Any) -> Run:
    made = Run(
        id=RunId("r1"),
        runbook="stuck",
        title="Stuck",
        parameters={},
        requester=Person(id=PersonId("U1"), name="Dana"),
        subject="group",
        incident=None,
        service=None,
        created_at=NOON,
    )
    return replace(made, **changes)


def another(value: Any) -> Any:
    """Return a value that differs as little as possible."""
    match value:
        case bool():
            return not value
        case Effect():
            return Effect.DESTRUCTIVE
        case Risk():
            return Risk(value + 1)
        case int() | float():
            return value + 1
        case str():
            return value + " "
        case None:
            return "x"
        case dict():
            return {**value, "more": 1}
        case tuple():
            return (*value, value[0] if value else "x")
    raise AssertionError(value)


def variants(value: Any, path: str = "plan") -> list[tuple[str, Any]]:
    """Return every copy of a dataclass that differs in exactly one field, however deep."""
    found = []
    for field in fields(value):
        inner, where = getattr(value, field.name), f"{path}.{field.name}"
        found.append((where, replace(value, **{field.name: another_of(inner)})))
        if is_dataclass(inner):
            deeper = variants(inner, where)
            found += [(w, replace(value, **{field.name: v})) for w, v in deeper]
        if isinstance(inner, tuple) and inner and is_dataclass(inner[0]):
            deeper = variants(inner[0], f"{where}[0]")
            found += [(w, replace(value, **{field.name: (v, *inner[1:])})) for w, v in deeper]
    return found


def another_of(value: Any) -> Any:
    return None if is_dataclass(value) else another(value)


def test_any_change_of_a_plan_changes_its_digest() -> None:
    digests = {PLAN.digest}
    for where, plan in variants(PLAN):
        assert plan.digest not in digests, where
        digests.add(plan.digest)
    assert len(digests) > 40


def test_the_order_of_steps_is_a_part_of_the_plan() -> None:
    assert replace(PLAN, steps=PLAN.steps[::-1]).digest != PLAN.digest


def test_the_digest_is_the_same_after_the_plan_was_stored() -> None:
    from bot.storage.codec import Codec

    codec = Codec(Plan)
    assert codec.load(codec.dump(PLAN)).digest == PLAN.digest


JSONS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(arguments=st.dictionaries(st.text(st.characters(codec="utf-8")), JSONS))
def test_whatever_arguments_a_plan_has_its_digest_survives_storage(
    arguments: dict[str, Any],
) -> None:
    from bot.storage.codec import Codec

    try:
        json.dumps(arguments).encode()
        plan = replace(PLAN, steps=(replace(STEP, arguments=arguments),))
        before = plan.digest
    except ValueError:
        return  # it has no canonical form, so there is no such plan
    codec = Codec(Plan)
    assert codec.load(codec.dump(plan)).digest == before


@pytest.mark.parametrize("state", RunState)
def test_a_run_moves_only_where_the_table_says(state: RunState) -> None:
    for target in RunState:
        if target in TRANSITIONS.get(state, frozenset()):
            assert advance(run(state=state), target).state is target
        else:
            with pytest.raises(Refused, match=f"is {state}"):
                advance(run(state=state), target)


def test_what_is_over_stays_over_but_for_a_doubt_that_is_settled() -> None:
    for state in RunState:
        if state.over and state is not RunState.IN_DOUBT:
            assert not TRANSITIONS.get(state)


def test_nothing_runs_that_was_not_approved() -> None:
    into = {s for s, targets in TRANSITIONS.items() if RunState.RUNNING in targets}
    assert into == {
        RunState.APPROVED, RunState.VERIFYING, RunState.IN_DOUBT, RunState.MANUAL
    }  # fmt: skip
    consent = {s for s, targets in TRANSITIONS.items() if RunState.APPROVED in targets}
    assert consent == {RunState.DRAFT, RunState.AWAITING}


def test_every_state_that_is_not_over_can_be_stopped_or_its_rollback_can() -> None:
    for state in RunState:
        stoppable = state.over or RunState.CANCELLED in TRANSITIONS[state]
        assert stoppable is (state is not RunState.ROLLING_BACK)


def test_every_state_is_reached_and_left_or_is_an_end() -> None:
    reached = {RunState.DRAFT}.union(*TRANSITIONS.values())
    assert reached == set(RunState)
    for state in RunState:
        assert state.over or TRANSITIONS[state]


def test_a_run_is_rolled_back_only_after_it_failed_under_way() -> None:
    into = {s for s, targets in TRANSITIONS.items() if RunState.ROLLING_BACK in targets}
    assert into == {RunState.RUNNING, RunState.VERIFYING}
    ends = {s for s, targets in TRANSITIONS.items() if RunState.ROLLED_BACK in targets}
    assert ends == {RunState.ROLLING_BACK}


def test_only_what_has_not_begun_is_superseded() -> None:
    into = {s for s, targets in TRANSITIONS.items() if RunState.SUPERSEDED in targets}
    assert into == {RunState.DRAFT, RunState.AWAITING, RunState.APPROVED}


def test_a_digest_is_worked_out_once_and_kept_out_of_sight(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[Any] = []

    def digest(plain: Any) -> str:
        counted.append(plain)
        return "d"

    monkeypatch.setattr("bot.domain.runs.digest", digest)
    plan = replace(PLAN)
    assert [plan.digest, plan.digest, plan.digest] == ["d"] * 3
    assert len(counted) == 1
    assert plan == PLAN
    assert replace(plan, title="Other").digest == "d"
    assert len(counted) == 2  # a changed plan is another one
    assert "digest" not in asdict(plan)


def test_the_end_has_a_time_and_a_move_has_none() -> None:
    assert advance(run(), RunState.CANCELLED, at=NOON).ended_at == NOON
    assert advance(run(), RunState.AWAITING, at=NOON).ended_at is None


def test_a_reason_is_kept_until_there_is_another() -> None:
    moved = advance(run(reason="first"), RunState.AWAITING)
    assert moved.reason == "first"
    assert advance(moved, RunState.DENIED, reason="second").reason == "second"


def test_a_frozen_run_has_a_record_for_every_step() -> None:
    frozen = freeze(run(), PLAN)
    assert frozen.records == (StepRecord(id="one"), StepRecord(id="two"))
    assert frozen.step == STEP
    changed = record(frozen, "two", state=StepState.DONE, summary="well")
    assert [r.state for r in changed.records] == [StepState.WAITING, StepState.DONE]


def test_a_run_past_its_last_step_has_none() -> None:
    assert run().step is None
    assert replace(freeze(run(), PLAN), position=2).step is None


def test_every_step_of_every_run_has_a_key_of_its_own() -> None:
    other: Callable[[str], PlannedStep] = lambda id: replace(STEP, id=id)  # noqa: E731
    keys = {run(id=RunId(r)).effect_key(other(s)) for r in ("a", "b") for s in ("one", "two")}
    assert len(keys) == 4
