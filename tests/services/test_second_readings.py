"""What second readers found once: consent that outlived its reason, and effects past a halt."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from bot.domain.actions import Effect, Risk, Transient
from bot.domain.approvals import Approval, Verdict, expire, ripen
from bot.domain.autonomy import Autonomy, Level
from bot.domain.canonical import canonical
from bot.domain.emergencies import PreAuthorisation
from bot.domain.errors import Refused
from bot.domain.freezes import Window, WindowKind
from bot.domain.limits import Limits
from bot.domain.people import BOT, Person, PersonId, Standing
from bot.domain.policy import Phase, PolicyDecision
from bot.domain.runbooks import ApprovalGroup, OnFailure, Retry, Review, StepUndo
from bot.domain.runs import RunState
from bot.governance import policy_in
from bot.services.authority import Present, check_consent
from bot.services.diagnosing import known_value
from bot.services.governing import Wish
from tests.fakes import NOON
from tests.services.gate_world import (
    DANA,
    EXECUTE_WITHIN,
    MARCUS,
    PRIYA,
    SHINES,
    World,
    step,
)

STRANGER = Person(id=PersonId("U9"), name="Sven", stranger=True)
GUEST = Person(id=PersonId("U8"), name="Gala", guest=True)


# Vetoes.


def test_a_veto_window_that_passed_while_nobody_was_there_grants_nothing() -> None:
    """The bot was down past the whole time: people had no button to object with."""
    until = NOON + timedelta(seconds=120)
    late = until + timedelta(seconds=60)
    asked = Approval(
        id="a", digest="d" * 64, requester=DANA, quorum=(), answer_by=late, execute_within=300,
        veto_until=until,
    )  # fmt: skip
    assert ripen(asked, late - timedelta(microseconds=1)).verdict is Verdict.GRANTED
    assert ripen(asked, late).verdict is Verdict.WAITING
    assert expire(asked, late).verdict is Verdict.EXPIRED


async def test_an_action_that_lost_its_autonomy_waits_for_a_veto_again(world: World) -> None:
    id = await world.planned()
    plan = (await world.run(id)).plan
    assert plan is not None
    nobody = replace(plan, quorum=(), veto_seconds=0)
    wants = PolicyDecision(allow=True, reason="L3", veto_seconds=60)
    present = Present(requester=Standing(person=DANA), people=())
    with pytest.raises(Refused, match="time to object"):
        check_consent(nobody, wants, present)
    check_consent(replace(nobody, veto_seconds=60), wants, present)


# Doubts.


@pytest.mark.parametrize("who", (STRANGER, GUEST, replace(MARCUS, active=False)))
async def test_only_members_of_the_workspace_settle_a_doubt(world: World, who: Person) -> None:
    async def broken(call: object, do: object) -> object:
        raise ConnectionError("gone")

    world.lamp.answers = False
    world.lamp.behaviour.append(broken)  # type: ignore[arg-type]  # it never returns
    id = await world.planned(step(uses="lamp.blind@1"))
    await world.approve(id)
    await world.work(patience=20)
    assert await world.state(id) is RunState.IN_DOUBT
    with pytest.raises(Refused, match="full members"):
        await world.runs.settle(id, happened="yes", by=world.caller(who))
    assert await world.state(id) is RunState.IN_DOUBT
    await world.runs.settle(id, happened="no", by=world.caller(MARCUS))
    await world.work()
    assert await world.state(id) is RunState.FAILED


# Expiry.


async def test_a_step_that_only_looks_does_not_keep_consent_alive(world: World) -> None:
    id = await world.planned(step("look", uses="lamp.look@1"), step("act"))
    await world.approve(id)
    while (await world.run(id)).position == 0:
        assert await world.move()
    assert not (await world.run(id)).begun
    world.clock.advance(seconds=EXECUTE_WITHIN)
    await world.work()
    assert await world.state(id) is RunState.FAILED
    assert "expired" in (await world.run(id)).reason
    assert f"{id}:act" not in world.lamp.calls


async def test_who_left_after_a_step_that_only_looked_does_not_count(world: World) -> None:
    id = await world.planned(step("look", uses="lamp.look@1"), step("act"))
    await world.approve(id)
    while (await world.run(id)).position == 0:
        assert await world.move()
    world.chat.people[PRIYA.id] = replace(PRIYA, active=False)
    await world.work()
    assert await world.state(id) is RunState.FAILED
    assert f"{id}:act" not in world.lamp.calls


# Stops and rollbacks.


async def test_a_stop_that_meets_a_failure_makes_no_rollback(world: World) -> None:
    """Who stops a run asks for its effects to be taken back, if at all."""
    world.lamp.seen = 0.0
    id = await world.planned(step(verify=SHINES, on_failure=OnFailure.ROLLBACK))
    await world.approve(id)
    while await world.state(id) is not RunState.VERIFYING:
        assert await world.move()
    world.clock.advance(seconds=SHINES.within)
    claim = await world.claimed()
    await world.runs.stop(id, by=world.caller(MARCUS))
    await world.worker().move(claim)
    await world.work()
    assert [r for r in await world.runs.recent() if r.parent == id] == []


async def test_an_undo_that_failed_may_be_asked_for_again(world: World) -> None:
    id = await world.planned()
    await world.approve(id)
    await world.work()
    first = await world.runs.undo(id, by=world.caller(DANA))
    del world.actions["lamp.off@1"]
    await world.work()
    assert await world.state(first.id) is RunState.FAILED
    await world.runs.undo(id, by=world.caller(DANA))


# Standing authorisations.


async def test_an_undo_is_never_a_standard_change(world: World) -> None:
    """What was authorised in advance is the runbook's work, not taking it back."""
    id = await world.planned()
    run = await world.run(id)
    assert run.plan is not None
    async with world.database.transaction() as tx:
        await tx.authorisations.save(
            "standing",
            PreAuthorisation(
                id="standing",
                runbook=run.runbook,
                runbook_digest=run.plan.runbook_digest,
                service="lamp",
                owner="lamps",
                proposed_by=DANA,
                at=NOON,
                reason="it is done every week and has never failed",
                given_by=PRIYA,
                given_at=NOON,
                expires_at=NOON + timedelta(days=30),
            ),
        )
    wish = Wish(
        actions=("lamp.on@1",),
        changing=("lamp.on@1",),
        effects=frozenset({Effect.MUTATE}),
        risk=Risk.R1,
        targets=0,
        runbook_digest=run.plan.runbook_digest,
    )
    types = []
    for parent in (None, id):
        asked = replace(run, service="lamp", parent=parent)
        async with world.database.reading() as view:
            _, record = await world.governor.decide(
                view, asked, wish, at=NOON, phase=Phase.PLAN, requester=Standing(person=DANA)
            )
        types.append((record.change_type, record.pre_authorised))
    assert types == [("standard", "standing"), ("normal", None)]


# Freezes.


async def test_a_freeze_that_forbids_a_plan_is_on_the_record(world: World) -> None:
    world.calendars.windows.append(
        Window(
            kind=WindowKind.FREEZE,
            title="Black Friday",
            starts_at=NOON,
            ends_at=NOON + timedelta(days=1),
            source="calendar.ics",
        )
    )
    world.policy = policy_in(Path("knowledge"))
    id = await world.ask()
    await world.work()
    assert await world.state(id) is RunState.FAILED
    assert "Black Friday" in (await world.run(id)).reason
    async with world.database.reading() as view:
        kept = [r for r in await view.decisions.recent() if r.run == id]
    assert [r.allow and not r.refused for r in kept] == [False]
    assert [e for e in world.ledger() if e.get("decision_id") == kept[0].id]


async def test_a_plan_whose_retries_reach_into_a_freeze_is_refused_at_its_start(
    world: World,
) -> None:
    world.calendars.windows.append(
        Window(
            kind=WindowKind.FREEZE,
            title="Black Friday",
            starts_at=NOON + timedelta(seconds=200),
            ends_at=NOON + timedelta(days=1),
            source="calendar.ics",
        )
    )
    retry = Retry(times=5, on=(Transient.CONFLICT,), wait=60)
    patient = step("two", "lamp.set@1", arguments={"value": 1}, retry=retry)
    id = await world.planned(step(), patient)
    plan = (await world.run(id)).plan
    assert plan is not None
    assert plan.longest == 5 + 6 * 5 + (60 + 120 + 240 + 480 + 960)
    await world.approve(id)
    await world.work()
    assert await world.state(id) is RunState.FAILED
    assert world.lamp.calls == []


# The kill switch.


async def test_a_switch_pulled_while_the_record_is_covered_forbids_the_effect(
    world: World,
) -> None:
    id = await world.planned(
        step(uses="lamp.wide@1"), approval={Risk.R3: (ApprovalGroup(group="ops", count=2),)}
    )
    for person in (PRIYA, MARCUS):
        await world.approve(id, person, "ops")
    worker = world.worker()

    async def covered() -> None:
        await world.switches.halt("enough", by=world.caller(DANA))

    world.gate._covered = covered
    while await world.move(worker):
        pass
    assert world.lamp.calls == []
    assert await world.state(id) is RunState.FAILED
    outcomes = [e["outcome"] for e in world.ledger() if e["type"] == "action.outcome"]
    assert outcomes == ["failed"], "the intent that was written has its outcome"


# The assistant alone.


@pytest.mark.parametrize("level", (Level.L0, Level.L2))
async def test_a_page_does_not_smuggle_an_action_in_as_its_way_back(
    world: World, level: Level
) -> None:
    """What nobody trusts the assistant with as a step, it does not do as a rollback either."""
    world.policy = policy_in(Path("knowledge"))
    async with world.database.transaction() as tx:
        for action, given in (("lamp.on", Level.L4), ("lamp.once", level)):
            await tx.autonomy.save(f"{action}|", Autonomy(action=action, service="", level=given))
    undo = StepUndo(uses="lamp.once@1", arguments={"x": 1})
    id = await world.ask(
        step("one", undo=undo, verify=SHINES),
        step("two", on_failure=OnFailure.ROLLBACK, verify=SHINES),
        by=BOT,
    )
    await world.work(patience=30)
    run = await world.run(id)
    assert run.plan is None or run.state is RunState.AWAITING, run.state
    assert world.lamp.calls == []


# Hands.


@pytest.mark.parametrize("hours", (0.5, 3, 47))
async def test_a_cool_down_counts_from_the_end_of_a_slow_step_by_hand(
    world: World, hours: float
) -> None:
    hand = step(uses="lamp.hand@1", arguments={"instruction": "press it"}, timeout=48 * 3600.0)
    limits = Limits(cool_down=600.0)
    first = await world.planned(hand, limits=limits, subject="first")
    await world.approve(first)
    await world.work()
    world.clock.advance(seconds=hours * 3600)
    await world.runs.done(first, "one", happened="yes", by=world.caller(DANA))
    await world.work()
    world.clock.advance(seconds=1)
    second = await world.planned(hand, limits=limits, subject="second")
    await world.approve(second)
    await world.work()
    assert await world.state(second) is RunState.FAILED
    assert "waits 10 min" in (await world.run(second)).reason


# Numbers and dates at the edge.


def test_a_page_that_is_reviewed_for_ever_is_not_stale() -> None:
    far = Review(by="dana", at=date(9999, 12, 31), max_age_days=180)
    assert not far.stale(date(9999, 12, 31))
    assert Review(by="dana", at=date(2026, 1, 1), max_age_days=1).stale(date(2026, 1, 3))


@pytest.mark.parametrize("number", (2.0**53, -(2.0**53), 2.0**53 - 1, 1e300))
def test_a_measured_number_can_always_be_recorded(number: float) -> None:
    canonical({"value": known_value(number)})
