"""Output, steps by hand, what people thought, and the clock: on the real services."""

import asyncio
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest

from bot.domain.actions import Output
from bot.domain.effects import EffectRecord, EffectState
from bot.domain.errors import Refused
from bot.domain.events import GovernanceChanged, KnowledgeChanged, RunChanged
from bot.domain.messages import Button, Buttons, Code, FieldErrors, Form, Message
from bot.domain.people import Caller
from bot.domain.runs import Run, RunId, RunState, StepState
from bot.plugin import JobRun
from bot.ports import RunbookUse, Use
from plugins.runbooks.byhand import DONE, NOT_DONE, NOT_DONE_BECAUSE, NOTE
from tests.plugins.runbooks.runbook_samples import (
    DANA,
    EVE,
    NOW,
    approved,
    group,
    plan,
    planned_step,
    runbook,
    step_record,
)
from tests.plugins.runbooks.runbook_world import STUCK, ListSearch, World

LAMP = replace(planned_step(), id="lamp", title="Turn the lamp")


def under_way(state: RunState = RunState.RUNNING, **changes: Any) -> Run:
    made = replace(approved(state), plan=plan(planned_step(), LAMP), position=0)
    records = (step_record(StepState.RUNNING), step_record(StepState.WAITING, id="lamp"))
    return replace(made, records=records, **changes)


async def hears(world: World, run: Run, change: str = "output") -> Message:
    await world.plugin.on_run(RunChanged(id="e1", at=NOW, change=change, run=run))
    return world.chat.updates[-1] if world.chat.updates else world.chat.posts[-1][3]


def codes(message: Message | Form) -> list[str]:
    return [part.text for part in message.parts if isinstance(part, Code)]


def offered(message: Message | Form) -> dict[str, Button]:
    rows = [part for part in message.parts if isinstance(part, Buttons)]
    return {button.label: button for row in rows for button in row.buttons}


async def printed(world: World, run: Run, step: str, *lines: str) -> None:
    report = world.outputs.reporter(run.id, step, 1)
    for line in lines:
        report(Output(line=line))
    report(Output(progress=0.5))
    end = time.monotonic() + 5
    while (await world.outputs.tail(run.id, step, lines=1)).progress is None:
        assert time.monotonic() < end, "nothing was written"
        await asyncio.sleep(0.005)


async def test_the_last_lines_appear_on_the_message_and_all_of_them_behind_it(
    world: World,
) -> None:
    run = under_way()
    await world.keep(run)
    await hears(world, run, "requested")
    await printed(world, run, "restart", *(f"line {n}" for n in range(9)))
    message = await hears(world, run)
    assert codes(message) == ["\n".join(f"line {n}" for n in range(4, 9))]
    assert "50% done" in str(message.parts)
    form = await world.press("runbooks.output", offered(message)["Output…"].value)
    assert codes(form) == ["\n".join(f"line {n}" for n in range(9))]


async def test_more_output_asks_nobody_anything(world: World) -> None:
    run = under_way()
    await world.keep(run)
    await hears(world, run, "requested")
    posts = len(world.chat.posts)
    await printed(world, run, "restart", "a line")
    await hears(world, run)
    assert len(world.chat.posts) == posts


async def test_the_output_of_a_step_that_is_done_is_not_shown_for_the_next(world: World) -> None:
    run = under_way()
    await world.keep(run)
    await printed(world, run, "restart", "of the first step")
    message = await hears(world, replace(run, position=1))
    assert codes(message) == []
    assert "Output…" in offered(message)


async def test_what_the_failed_step_said_last_stands_beside_why(world: World) -> None:
    run = under_way()
    await world.keep(run)
    await printed(world, run, "restart", "no space left on device")
    records = (step_record(StepState.FAILED), step_record(StepState.WAITING, id="lamp"))
    failed = replace(run, state=RunState.FAILED, reason="exit status 1", records=records)
    assert codes(await hears(world, failed)) == ["no space left on device"]
    good = replace(run, state=RunState.SUCCEEDED, position=2, ended_at=NOW)
    assert codes(await hears(world, good)) == []


async def by_hand(world: World) -> Run:
    run = under_way(RunState.MANUAL)
    key = run.effect_key(run.plan.steps[0])  # type: ignore[union-attr]  # it has one
    effect = EffectRecord(
        key=key,
        run=run.id,
        uses="human.do@1",
        arguments={},
        state=EffectState.INTENDED,
        intended_at=NOW,
        service="checkout",
        runbook=run.runbook,
        subject=run.subject,
        risk=1,
        decision="d",
    )
    await world.keep(run)
    async with world.database.transaction() as tx:
        await tx.effects.save(effect)
    return run


async def test_a_person_says_that_a_step_is_done(world: World) -> None:
    run = await by_hand(world)
    message = await hears(world, run, "waiting for a person")
    assert await world.press(DONE, offered(message)["Done"].value, EVE) is None
    now = await world.context.runs.get(run.id)
    assert (now.state, now.records[0].summary) == (RunState.RUNNING, "done by hand")


async def test_a_person_who_could_not_has_to_say_why(world: World) -> None:
    run = await by_hand(world)
    form = await world.press(NOT_DONE, f"{run.id}:restart", EVE)
    assert isinstance(form, Form)
    wrong = await world.press(NOT_DONE_BECAUSE, form.value, EVE, **{NOTE: "  "})
    assert isinstance(wrong, FieldErrors)
    assert (await world.context.runs.get(run.id)).state is RunState.MANUAL
    await world.press(NOT_DONE_BECAUSE, form.value, EVE, **{NOTE: "the console is down"})
    now = await world.context.runs.get(run.id)
    assert now.records[0].summary == "could not be done: the console is down"


@pytest.mark.parametrize("value", ("r1", "r1:lamp", "nope:restart", ""))
async def test_a_press_for_another_step_changes_nothing(world: World, value: str) -> None:
    run = await by_hand(world)
    with pytest.raises(Refused):
        await world.press(DONE, value, EVE)
    assert await world.context.runs.get(run.id) == run


async def uses(world: World) -> list[RunbookUse]:
    async with world.database.reading() as view:
        return list(await view.usage.since(NOW - timedelta(days=1)))


async def test_what_people_thought_of_a_run_is_counted_and_can_change(world: World) -> None:
    run = replace(under_way(), state=RunState.SUCCEEDED, position=2, ended_at=NOW)
    await world.keep(run)
    buttons = offered(await hears(world, run, "succeeded"))
    for label in ("Helpful", "Not helpful"):
        reply = await world.press(buttons[label].interaction, buttons[label].value)
        assert "change your mind" in reply.summary
    found = [(use.what, use.runbook, use.subject) for use in await uses(world)]
    assert found == [(what, STUCK.id, f"run:{run.id}") for what in (Use.HELPFUL, Use.UNHELPFUL)]
    assert len({use.person for use in await uses(world)}) == 1
    assert DANA.id not in str(await uses(world))


async def test_a_page_that_is_read_asks_whether_it_was_helpful(world: World) -> None:
    form = await world.press("runbooks.read", STUCK.id)
    button = offered(form)["Helpful"]
    again = await world.press(button.interaction, button.value)
    assert again.parts[0] == form.parts[0]  # the page stays; only its last lines change
    assert "Noted." in str(again.parts[-2])
    opened, judged = await uses(world)
    assert (opened.what, opened.runbook) == (Use.OPENED, STUCK.id)
    assert (judged.what, judged.subject) == (Use.HELPFUL, f"page:{STUCK.id}")


async def test_suggestions_count_once_and_opened_forms_each_time(world: World) -> None:
    await world.keep(group())
    for _ in range(3):
        await world.plugin.findings(group())
    await world.press("runbooks.open", "g1")
    await world.press("runbooks.open", "g1")
    found = [(use.what, use.subject, use.person is None) for use in await uses(world)]
    assert sorted(found) == [
        (Use.OPENED, "g1", False),
        (Use.OPENED, "g1", False),
        (Use.SUGGESTED, "g1", True),
    ]


async def tick(world: World) -> None:
    (job,) = world.plugin.jobs()
    assert job.every >= 10  # a channel is written to rarely for this
    await job.handler(JobRun(slot=NOW))


async def test_the_clock_redraws_what_is_under_way_and_nothing_else(world: World) -> None:
    run = under_way(RunState.VERIFYING, verify_by=NOW + timedelta(minutes=9))
    over = replace(run, id=RunId("r2"), state=RunState.SUCCEEDED)
    await world.keep(run, over)
    await hears(world, await world.context.runs.get(run.id), "step done")
    posts, updates = len(world.chat.posts), len(world.chat.updates)
    await tick(world)
    assert (len(world.chat.posts), len(world.chat.updates)) == (posts, updates)  # nothing new
    async with world.database.transaction() as tx:
        await tx.runs.save(replace(run, verify_by=NOW + timedelta(minutes=4)), due_at=None)
    await tick(world)
    assert "4 min left" in str(world.chat.updates[-1].parts)
    assert len(world.chat.posts) == posts


async def test_a_run_that_moves_on_while_it_is_redrawn_is_not_left_as_it_was(
    world: World,
) -> None:
    run = under_way()
    await world.keep(run)
    await hears(world, run, "approved")
    ended = replace(run, state=RunState.SUCCEEDED, position=2, ended_at=NOW)
    real, slow = world.context.posts.show, 0

    async def show(key: str, message: Message, **where: Any) -> Any:
        nonlocal slow
        slow += 1
        if slow == 1:  # while the clock is about to show it as running, it ends and is shown so
            async with world.database.transaction() as tx:
                await tx.runs.save(ended, due_at=None)
            await hears(world, ended, "succeeded")
        return await real(key, message, **where)

    world.context.posts.show = show  # type: ignore[method-assign]  # a race, made certain
    await tick(world)
    assert "Succeeded" in str(world.chat.updates[-1].parts)


async def test_pages_that_are_edited_are_found_by_their_new_words(world: World) -> None:
    await world.plugin.start()
    runbooks = cast(Any, world.context.knowledge.runbooks)
    runbooks["new"] = runbook("new", "Printer is on fire")
    runbooks.pop(STUCK.id)
    event = KnowledgeChanged(changed=("new", "gone already"), removed=(STUCK.id,))
    await world.plugin.on_knowledge(event)
    kept = {document.id for document in cast(ListSearch, world.context.search).kept}
    assert kept == set(runbooks)


async def test_pulling_a_switch_redraws_what_waits_for_a_person(world: World) -> None:
    run = await by_hand(world)
    await hears(world, run, "waiting for a person")
    await world.context.switches.halt("enough", by=Caller(person=DANA, request="halt"))
    event = GovernanceChanged(id="1", at=NOW, subject="switch:global", change="halted")
    await world.plugin.on_governance(event)
    assert "do not do this now" in str(world.chat.updates[-1])
