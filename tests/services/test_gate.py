"""The way of one effect: approve, intent, effect, outcome, verify; and all that forbids it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from bot.domain.actions import Action, Effect, Risk
from bot.domain.approvals import Verdict
from bot.domain.errors import AlreadyDone, Refused
from bot.domain.people import Caller, Standing
from bot.domain.policy import RiskPolicy
from bot.domain.runbooks import ApprovalGroup, OnFailure
from bot.domain.runs import RunState, StepState
from bot.services.authority import check_rollback
from bot.services.registry import Registry
from tests.services.gate_world import (
    ANSWER_WITHIN,
    DANA,
    EXECUTE_WITHIN,
    MARCUS,
    PRIYA,
    ROBOT,
    SHINES,
    World,
    step,
)

# The straight way.


async def test_an_approved_step_is_done_once_and_verified(world: World) -> None:
    id = await world.planned(step(verify=SHINES))
    assert await world.state(id) is RunState.AWAITING
    await world.approve(id)
    await world.work(patience=10)
    run = await world.run(id)
    assert run.state is RunState.SUCCEEDED
    assert run.records[0].state is StepState.DONE
    assert "2 times in a row" in run.records[0].summary
    assert world.lamp.done == {f"{id}:one": 1}
    types = [e["type"] for e in world.ledger()]
    order = ["approval.granted", "action.intent", "action.outcome", "run.succeeded"]
    assert [t for t in types if t in order] == order


async def test_every_entry_about_an_effect_names_the_approved_plan(world: World) -> None:
    id = await world.planned()
    await world.approve(id)
    await world.work()
    run = await world.run(id)
    assert run.plan is not None
    assert run.approval is not None
    about = [e for e in world.ledger() if e["type"].startswith("action.")]
    assert {e["plan_digest"] for e in about} == {run.plan.digest}
    assert {e["policy_digest"] for e in about} == {RiskPolicy().digest}
    decided = [e for e in world.ledger() if e["type"] == "policy.decided"]
    planned, executed = decided
    assert planned["decision_id"] == run.approval.id == run.plan.decision
    assert {e["decision_id"] for e in about} == {executed["decision_id"]}
    assert {e["plan_digest"] for e in decided} == {run.plan.digest}
    assert [e["outcome"] for e in decided] == ["allow", "allow"]


async def test_steps_are_done_in_their_order(world: World) -> None:
    id = await world.planned(step("one"), step("two"), step("three"))
    await world.approve(id)
    await world.work()
    assert world.lamp.calls == [f"{id}:one", f"{id}:two", f"{id}:three"]
    assert await world.state(id) is RunState.SUCCEEDED


async def test_a_dry_run_pins_what_the_effect_is_bound_to(world: World) -> None:
    id = await world.planned()
    run = await world.run(id)
    assert run.plan is not None
    assert run.plan.steps[0].arguments == {"seen": 1}
    assert run.plan.steps[0].diff == "- dark\n+ light"


async def test_nothing_happens_before_the_approval(world: World) -> None:
    id = await world.planned()
    await world.work(patience=20)
    assert await world.state(id) is RunState.AWAITING
    assert world.lamp.calls == []


# Consent.


async def test_the_requester_cannot_approve(world: World) -> None:
    id = await world.planned()
    with pytest.raises(Refused, match="someone else"):
        await world.approve(id, DANA)
    await world.work()
    assert world.lamp.calls == []
    refused = [e for e in world.ledger() if e["type"] == "approval.refused"]
    assert len(refused) == 1
    assert "someone else" in str(refused[0]["body"])


async def test_a_bot_cannot_approve(world: World) -> None:
    id = await world.planned()
    with pytest.raises(Refused, match="never approve"):
        await world.approve(id, ROBOT)


async def test_a_denied_run_is_over(world: World) -> None:
    id = await world.planned()
    await world.deny(id)
    with pytest.raises(Refused):
        await world.approve(id, MARCUS)
    await world.work()
    assert await world.state(id) is RunState.DENIED
    assert world.lamp.calls == []


async def test_a_denial_needs_a_reason(world: World) -> None:
    id = await world.planned()
    run = await world.run(id)
    assert run.plan is not None
    with pytest.raises(Refused, match="reason"):
        await world.runs.deny(id, digest=run.plan.digest, reason="  ", by=world.caller(PRIYA))


async def test_two_groups_are_filled_by_two_people(world: World) -> None:
    groups = (ApprovalGroup(group="a"), ApprovalGroup(group="b"))
    id = await world.planned(approval={Risk.R1: groups})
    await world.approve(id, PRIYA, "a", "b")
    await world.work()
    assert await world.state(id) is RunState.AWAITING
    with pytest.raises(Refused, match="already"):
        await world.approve(id, PRIYA, "a", "b")
    with pytest.raises(Refused, match="do not belong"):
        await world.approve(id, MARCUS)
    await world.approve(id, MARCUS, "b")
    await world.work()
    assert await world.state(id) is RunState.SUCCEEDED


async def test_answers_given_at_the_same_time_are_both_kept(world: World) -> None:
    groups = (ApprovalGroup(group="a"), ApprovalGroup(group="b"))
    id = await world.planned(approval={Risk.R1: groups})
    await asyncio.gather(world.approve(id, PRIYA, "a"), world.approve(id, MARCUS, "b"))
    run = await world.run(id)
    assert run.state is RunState.APPROVED
    assert run.approval is not None
    assert len(run.approval.answers) == 2


async def test_an_approval_of_another_plan_is_refused(world: World) -> None:
    id = await world.planned()
    with pytest.raises(Refused, match="older plan"):
        await world.runs.approve(
            id,
            digest="f" * 64,
            standing=Standing(person=PRIYA),
            channel=None,
            by=world.caller(PRIYA),
        )


async def test_a_repeated_envelope_does_nothing_twice(world: World) -> None:
    id = await world.planned(approval={Risk.R1: (ApprovalGroup(group="a", count=2),)})
    run = await world.run(id)
    assert run.plan is not None
    by = Caller(person=PRIYA, request="envelope-7")
    standing, digest = Standing(person=PRIYA, groups=frozenset({"a"})), run.plan.digest
    await world.runs.approve(id, digest=digest, standing=standing, channel=None, by=by)
    with pytest.raises(AlreadyDone):
        await world.runs.approve(id, digest=digest, standing=standing, channel=None, by=by)
    granted = [e for e in world.ledger() if e["type"] == "approval.granted"]
    assert len(granted) == 1


async def test_a_double_click_at_the_same_moment_asks_for_one_run(world: World) -> None:
    by = Caller(person=DANA, request="envelope-8")

    async def ask() -> None:
        await world.runs.request(
            world.book, {}, subject="group", labels={}, incident=None, service=None, by=by
        )

    outcomes = await asyncio.gather(ask(), ask(), return_exceptions=True)
    assert sorted(type(o).__name__ for o in outcomes) == ["AlreadyDone", "NoneType"]
    assert len(await world.runs.recent()) == 1


# Time.


async def test_an_unanswered_request_expires(world: World) -> None:
    id = await world.planned()
    world.clock.advance(seconds=ANSWER_WITHIN)
    with pytest.raises(Refused, match="expired"):
        await world.approve(id)
    await world.work()
    run = await world.run(id)
    assert run.state is RunState.EXPIRED
    assert run.approval is not None
    assert run.approval.verdict is Verdict.EXPIRED
    with pytest.raises(Refused):
        await world.approve(id)
    assert world.lamp.calls == []


async def test_consent_that_is_not_used_in_time_expires(world: World) -> None:
    id = await world.planned()
    await world.approve(id)
    world.clock.advance(seconds=EXECUTE_WITHIN)
    await world.work()
    assert await world.state(id) is RunState.EXPIRED
    assert world.lamp.calls == []


async def test_consent_may_expire_between_the_start_and_the_first_effect(world: World) -> None:
    id = await world.planned()
    await world.approve(id)
    await world.move()
    assert await world.state(id) is RunState.RUNNING
    world.clock.advance(seconds=EXECUTE_WITHIN)
    await world.work()
    run = await world.run(id)
    assert run.state is RunState.FAILED
    assert "expired" in run.reason
    assert world.lamp.calls == []


async def test_an_expired_consent_is_not_got_around_by_going_on(world: World) -> None:
    id = await world.planned(step("one", on_failure=OnFailure.CONTINUE), step("two"))
    await world.approve(id)
    await world.move()
    world.clock.advance(seconds=EXECUTE_WITHIN)
    await world.work()
    assert await world.state(id) is RunState.FAILED
    assert world.lamp.calls == []


async def test_a_run_that_has_begun_is_not_left_half_done_by_the_clock(world: World) -> None:
    id = await world.planned(step("one"), step("two"))
    await world.approve(id)
    await world.move()
    await world.move()
    world.clock.advance(seconds=EXECUTE_WITHIN)
    await world.work()
    assert await world.state(id) is RunState.SUCCEEDED


# What forbids an effect.


async def test_the_kill_switch_between_approval_and_effect_forbids_it(world: World) -> None:
    id = await world.planned()
    await world.approve(id)
    await world.move()
    await world.switches.halt("wait", by=world.caller(MARCUS))
    await world.work()
    run = await world.run(id)
    assert run.state is RunState.FAILED
    assert "kill switch" in run.reason
    assert world.lamp.calls == []


async def test_the_kill_switch_is_not_got_around_by_going_on(world: World) -> None:
    id = await world.planned(
        step("one", on_failure=OnFailure.CONTINUE), step("two", on_failure=OnFailure.CONTINUE)
    )
    await world.approve(id)
    await world.switches.halt("wait", by=world.caller(MARCUS))
    await world.work()
    await world.switches.release(by=world.caller(MARCUS))
    await world.work()
    assert await world.state(id) is RunState.FAILED
    assert world.lamp.calls == []


async def test_a_verification_goes_on_under_the_kill_switch(world: World) -> None:
    id = await world.planned(step(verify=SHINES))
    await world.approve(id)
    await world.move()
    await world.move()
    await world.switches.halt("wait", by=world.caller(MARCUS))
    await world.work(patience=10)
    assert await world.state(id) is RunState.SUCCEEDED


async def test_only_people_release_the_kill_switch(world: World) -> None:
    await world.switches.halt("wait", by=world.caller(PRIYA))
    with pytest.raises(Refused, match="Only people"):
        await world.switches.release(by=world.caller(ROBOT))
    await world.switches.release(by=world.caller(DANA))
    await world.switches.release(by=world.caller(MARCUS))
    with pytest.raises(Refused, match="not pulled"):
        await world.switches.release(by=world.caller(DANA))


TAMPERINGS: Mapping[str, Callable[[dict[str, Any]], object]] = {
    "the arguments": lambda run: run["plan"]["steps"][0]["arguments"].update(seen=2),
    "the action": lambda run: run["plan"]["steps"][0].update(uses="lamp.blind@1"),
    "the risk": lambda run: run["plan"].update(risk=0),
    "the quorum": lambda run: run["plan"].update(quorum=[]),
    "the digest": lambda run: run["approval"].update(digest="0" * 64),
    "the verdict": lambda run: run["approval"].update(verdict="denied"),
    "the answers": lambda run: run["approval"].update(answers=[]),
    "the approver": lambda run: run["approval"]["answers"][0]["person"].update(id=DANA.id),
    "the approver's kind": lambda run: run["approval"]["answers"][0]["person"].update(bot=True),
    "the consent": lambda run: run["approval"]["answers"][0].update(approve=False),
    "a rollback that is none": lambda run: (
        run["plan"]["steps"][0]["arguments"].update(seen=2),
        run["plan"].update(authorised_by=run["approval"]["digest"]),
    ),
    "no plan": lambda run: run.update(plan=None, state="running"),
    "no approval": lambda run: run.update(approval=None),
}


@pytest.mark.parametrize("what", TAMPERINGS)
async def test_a_row_that_was_tampered_with_is_not_run(world: World, what: str) -> None:
    id = await world.planned()
    await world.approve(id)
    await world.move()
    with sqlite3.connect(world.path) as raw:
        (text,) = raw.execute("SELECT data FROM runs WHERE id = ?", (id,)).fetchone()
        run = json.loads(text)
        TAMPERINGS[what](run)
        raw.execute("UPDATE runs SET data = ? WHERE id = ?", (json.dumps(run), id))
    raw.close()
    await world.work()
    assert world.lamp.calls == []
    assert await world.state(id) is RunState.FAILED


async def test_one_person_written_down_twice_is_still_one(world: World) -> None:
    id = await world.planned(approval={Risk.R1: (ApprovalGroup(group="a", count=2),)})
    await world.approve(id, PRIYA, "a")
    run = await world.run(id)
    assert run.approval is not None
    forged = replace(run.approval, answers=run.approval.answers * 2, verdict=Verdict.GRANTED)
    async with world.database.transaction() as tx:
        running = replace(run, approval=forged, state=RunState.RUNNING)
        await tx.runs.save(running, due_at=world.clock.now())
    await world.work()
    assert "One person" in (await world.run(id)).reason
    assert world.lamp.calls == []


async def test_a_run_that_ended_under_its_worker_has_no_effect(world: World) -> None:
    id = await world.planned()
    await world.approve(id)
    await world.move()
    claim = await world.claimed()
    async with world.database.transaction() as tx:
        ended = replace(await tx.runs.get(id), state=RunState.DENIED)
        await tx.runs.save(ended, due_at=None)
    await world.worker().move(claim)
    assert await world.state(id) is RunState.DENIED
    assert world.lamp.calls == []


async def test_consent_ends_with_the_policy_it_was_given_under(world: World) -> None:
    id = await world.planned()
    await world.approve(id)
    world.policy = RiskPolicy(counts={Risk.R0: 0, Risk.R1: 1, Risk.R2: 2})
    await world.work()
    run = await world.run(id)
    assert run.state is RunState.FAILED
    assert "policy" in run.reason
    assert world.lamp.calls == []


@pytest.mark.parametrize(
    "changes",
    ({"risk": Risk.R3}, {"effect": Effect.DESTRUCTIVE}),
    ids=["risk", "effect"],
)
async def test_consent_does_not_cover_an_action_that_became_riskier(
    world: World, changes: dict[str, object]
) -> None:
    id = await world.planned()
    await world.approve(id)
    world.change("lamp.on@1", **changes)
    await world.work()
    run = await world.run(id)
    assert run.state is RunState.FAILED
    assert "riskier" in run.reason
    assert world.lamp.calls == []


async def test_an_action_that_lost_its_idempotence_is_riskier(world: World) -> None:
    id = await world.planned(step(uses="lamp.set@1", arguments={"value": 1}))
    await world.approve(id)
    world.change("lamp.set@1", idempotent=False)
    await world.work()
    assert "riskier" in (await world.run(id)).reason
    assert world.lamp.calls == []


async def test_arguments_are_held_against_the_schema_again_before_the_effect(world: World) -> None:
    id = await world.planned()
    await world.approve(id)
    world.change("lamp.on@1", arguments={"type": "object", "required": ["wattage"]})
    await world.work()
    run = await world.run(id)
    assert run.state is RunState.FAILED
    assert "wattage" in run.reason
    assert world.lamp.calls == []


async def test_an_action_that_is_gone_fails_the_run(world: World) -> None:
    id = await world.planned()
    await world.approve(id)
    del world.actions["lamp.on@1"]
    await world.work()
    run = await world.run(id)
    assert run.state is RunState.FAILED
    assert "lamp.on@1" in run.reason


# The registry.


def test_an_action_that_changes_things_is_never_of_risk_zero(world: World) -> None:
    with pytest.raises(ValueError, match="R1 at least"):
        Registry([replace(world.actions["lamp.on@1"], risk=Risk.R0)])


def test_two_actions_cannot_share_a_name(world: World) -> None:
    action: Action = world.actions["lamp.on@1"]
    with pytest.raises(ValueError, match="two actions"):
        Registry([action, action])


async def test_the_same_runbook_is_not_asked_for_twice_at_a_time(world: World) -> None:
    first = await world.planned(subject="one alert")
    with pytest.raises(Refused, match="asked for already by Dana"):
        await world.planned(subject="one alert")
    await world.planned(subject="another alert")
    await world.deny(first)
    await world.planned(subject="one alert")


async def test_a_plan_that_nobody_can_judge_is_refused(world: World) -> None:
    steps = [step(id=f"s{n}") for n in range(51)]
    id = await world.planned(*steps)
    run = await world.run(id)
    assert run.state is RunState.FAILED
    assert "Split the runbook" in run.reason


async def test_a_bot_cannot_have_effects_taken_back_on_somebody_elses_consent(
    world: World,
) -> None:
    id = await world.planned(step(uses="lamp.on@1"))
    await world.approve(id)
    await world.work()
    assert (await world.run(id)).undoes
    with pytest.raises(Refused, match="Only people"):
        await world.runs.undo(id, by=world.caller(ROBOT))


async def test_consent_carries_over_only_to_a_rollback_that_the_plan_announced(
    world: World,
) -> None:
    id = await world.planned(step(uses="lamp.on@1"))
    await world.approve(id)
    await world.work()
    parent = await world.run(id)
    assert parent.plan is not None
    undo = replace(parent.plan, steps=(), authorised_by=parent.plan.digest)
    with pytest.raises(Refused, match="announced no rollback"):
        check_rollback(undo, parent)
