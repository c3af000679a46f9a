"""Which failed effects are tried again, and when."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from bot.domain.actions import Action, ActionCall, ActionResult, Effect, Risk, Transient
from bot.domain.effects import EffectRecord, EffectState
from bot.domain.retries import next_attempt
from bot.domain.runbooks import LONGEST_WAIT, Retry
from bot.domain.runs import PlannedStep

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


async def _never(call: ActionCall) -> ActionResult:
    raise AssertionError(call)


ACTION = Action(
    name="lamp.set", version=1, summary="Set.", effect=Effect.MUTATE, risk=Risk.R1,
    idempotent=True, arguments={}, handler=_never,
    transient=frozenset({Transient.CONFLICT, Transient.TIMEOUT}),
)  # fmt: skip
STEP = PlannedStep(
    id="one", title="One", uses="lamp.set@1", arguments={}, effect=Effect.MUTATE, risk=Risk.R1,
    idempotent=True, timeout=5, diff="",
    retry=Retry(times=2, on=(Transient.CONFLICT, Transient.UNREACHABLE), wait=4),
)  # fmt: skip
FAILED = EffectRecord(
    key="r:one", run="r", uses="lamp.set@1", arguments={}, state=EffectState.FAILED,
    intended_at=NOON, ended_at=NOON, transient=Transient.CONFLICT,
)  # fmt: skip


@pytest.mark.parametrize(("attempts", "wait"), ((1, 4), (2, 8), (3, None), (4, None)))
def test_the_wait_doubles_until_the_attempts_are_used_up(attempts: int, wait: float | None) -> None:
    due = next_attempt(STEP, ACTION, replace(FAILED, attempts=attempts))
    assert due == (None if wait is None else NOON + timedelta(seconds=wait))


@pytest.mark.parametrize(
    ("what", "changes"),
    (
        ("step", {"retry": None}),
        ("step", {"idempotent": False}),
        ("step", {"manual": True}),
        ("step", {"retry": Retry(times=0, on=(Transient.CONFLICT,), wait=1)}),
        ("step", {"retry": Retry(times=9, on=(), wait=1)}),
        ("action", {"idempotent": False}),
        ("action", {"manual": True}),
        ("action", {"transient": frozenset()}),
        ("effect", {"transient": None}),
        ("effect", {"transient": Transient.TIMEOUT}),  # the page does not name it
        ("effect", {"transient": Transient.UNREACHABLE}),  # the action does not
        ("effect", {"stopped": True}),
        ("effect", {"ended_at": None}),
        *[("effect", {"state": s}) for s in EffectState if s is not EffectState.FAILED],
    ),
)
def test_nothing_else_is_tried_again(what: str, changes: dict[str, Any]) -> None:
    assert next_attempt(STEP, ACTION, FAILED) is not None
    step = replace(STEP, **changes) if what == "step" else STEP
    action = replace(ACTION, **changes) if what == "action" else ACTION
    effect = replace(FAILED, **changes) if what == "effect" else FAILED
    assert next_attempt(step, action, effect) is None


def test_an_action_that_is_gone_is_not_tried_again() -> None:
    assert next_attempt(STEP, None, FAILED) is None


@given(
    times=st.integers(0, 10**9),
    wait=st.floats(-1e300, 1e300),
    attempts=st.integers(1, 10**9),
)
def test_no_page_waits_longer_than_an_hour_or_into_the_past(
    times: int, wait: float, attempts: int
) -> None:
    step = replace(STEP, retry=Retry(times=times, on=(Transient.CONFLICT,), wait=wait))
    due = next_attempt(step, ACTION, replace(FAILED, attempts=attempts))
    assert (due is None) == (attempts > times)
    if due is not None:
        assert NOON <= due <= NOON + timedelta(seconds=LONGEST_WAIT)
