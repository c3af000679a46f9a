"""What comes back from actions: printed lines on their way, and no secret in any record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bot.domain.actions import (
    ActionCall,
    ActionFailed,
    ActionResult,
    DryRun,
    Happened,
    Output,
    Reconciliation,
    Report,
    Transient,
)
from bot.domain.errors import Refused
from bot.domain.redaction import Redactor
from bot.domain.runbooks import Check, Retry
from bot.domain.runs import RunId, RunState
from bot.services.registry import SUMMARY_LENGTH, answer, clean
from tests.services.gate_world import DANA, SHINES, World, step

Do = Callable[[], None]
SECRET = "hunter2-hunter2"  # planted, to be found nowhere


def redact(text: str) -> str:
    return text.replace(SECRET, "[redacted]")


class Printer:
    """Keeps what is printed, by run, step and attempt."""

    def __init__(self) -> None:
        self.printed: dict[tuple[str, str, int], list[str]] = {}

    def reporter(self, run: RunId, step: str, attempt: int) -> Report:
        lines = self.printed.setdefault((run, step, attempt), [])
        return lambda output: lines.append(output.line)


async def prints(call: ActionCall, do: Do) -> ActionResult:
    call.report(Output(line="working", progress=0.5))
    do()
    return ActionResult(summary="done")


async def prints_and_conflicts(call: ActionCall, do: Do) -> ActionResult:
    call.report(Output(line="trying"))
    raise ActionFailed("somebody was faster", transient=Transient.CONFLICT)


async def test_what_a_handler_prints_goes_out_under_its_run_step_and_attempt(world: World) -> None:
    printer = world.outputs = Printer()
    retry = Retry(times=1, on=(Transient.CONFLICT,), wait=1)
    id = await world.planned(step(uses="lamp.set@1", arguments={"value": 1}, retry=retry))
    await world.approve(id)
    world.lamp.behaviour = [prints_and_conflicts, prints]
    await world.work(patience=3)
    assert printer.printed == {(id, "one", 1): ["trying"], (id, "one", 2): ["working"]}


async def test_where_nobody_listens_printing_costs_nothing(world: World) -> None:
    id = await world.planned()
    await world.approve(id)
    world.lamp.behaviour = [prints]
    await world.work()
    assert await world.state(id) is RunState.SUCCEEDED


async def _says(call: ActionCall, do: Do) -> ActionResult:
    do()
    return ActionResult(summary=f"done with {SECRET}")


async def _fails(call: ActionCall, do: Do) -> ActionResult:
    raise ActionFailed(f"no entry with {SECRET}")


async def _refuses(call: ActionCall, do: Do) -> ActionResult:
    raise Refused(f"never with {SECRET}")


async def _breaks(call: ActionCall, do: Do) -> ActionResult:
    raise ConnectionError(f"gone with {SECRET}")


def _everything(world: World) -> str:
    """Return whatever is stored, as raw as it is."""
    return world.path.read_bytes().decode("utf-8", "replace") + "".join(
        p.read_bytes().decode("utf-8", "replace") for p in world.path.parent.glob("tocsin.db-*")
    )


@pytest.mark.parametrize("behaviour", (_says, _fails, _refuses, _breaks))
@pytest.mark.parametrize("answers", (True, False))
async def test_no_secret_from_an_action_is_stored(
    world: World, behaviour: Any, answers: bool
) -> None:
    world.redact = redact
    world.lamp.answers = answers

    async def look(call: ActionCall) -> ActionResult:
        return ActionResult(summary=f"seen {SECRET}", value=1)

    async def preview(call: ActionCall) -> DryRun:
        return DryRun(diff=f"- {SECRET}\n+ *")

    async def find(call: ActionCall) -> Reconciliation:
        return Reconciliation(happened=Happened.UNKNOWN, detail=f"asked {SECRET}")

    world.actions["lamp.look@1"] = replace(world.actions["lamp.look@1"], handler=look)
    changed = {"dry_run": preview} if answers else {"dry_run": preview, "reconcile": find}
    world.actions["lamp.on@1"] = replace(world.actions["lamp.on@1"], **changed)
    check = Check(id="c", title="Shines", uses="lamp.look@1", arguments={})
    id = await world.planned(step(verify=SHINES), diagnose=(check,), preconditions=(check,))
    await world.approve(id)
    world.lamp.behaviour = [behaviour]
    await world.work(patience=20)
    run = await world.run(id)
    assert run.state.over
    assert run.plan is not None
    assert "[redacted]" in run.plan.steps[0].diff
    assert "[redacted]" in run.plan.facts[0].summary
    assert SECRET not in _everything(world)
    assert "[redacted]" in _everything(world)


async def test_a_dry_run_that_refuses_tells_no_secret(world: World) -> None:
    world.redact = redact

    async def preview(call: ActionCall) -> DryRun:
        raise Refused(f"never with {SECRET}")

    world.actions["lamp.on@1"] = replace(world.actions["lamp.on@1"], dry_run=preview)
    run = await world.run(await world.planned())
    assert run.reason == "never with [redacted]"
    assert SECRET not in _everything(world)


async def test_a_note_of_a_person_is_redacted_too(world: World) -> None:
    world.runs._redact = redact
    id = await world.planned(step(uses="lamp.hand@1"))
    await world.approve(id)
    await world.work()
    await world.runs.done(
        id, "one", happened="yes", note=f"password is {SECRET}", by=world.caller(DANA)
    )
    await world.work()
    assert SECRET not in _everything(world)


def test_a_secret_is_taken_out_before_a_text_is_cut() -> None:
    text = "x" * (SUMMARY_LENGTH - 5) + SECRET
    assert "hunter" not in clean(text, redact)
    assert len(clean("y" * 10**6, redact)) == SUMMARY_LENGTH


@pytest.mark.parametrize("code", ("\x1b[0m", "\x1b(B", "\x1b[38;5;2m", "\x07"))
def test_a_colour_within_a_secret_does_not_hide_it(code: str) -> None:
    assert "hunter2" not in clean(f"it says hunter2{code}-hunter2", Redactor(["hunter2-hunter2"]))


def test_a_text_of_several_lines_stays_whole() -> None:
    assert clean("first\r\nsecond\nthird\n") == "first\nsecond\nthird"


async def test_why_a_read_failed_for_a_moment_is_kept() -> None:
    async def ask() -> None:
        raise ActionFailed("slow down", transient=Transient.RATE_LIMITED)

    with pytest.raises(ActionFailed) as failed:
        await answer("it", ask, timeout=1)
    assert failed.value.transient is Transient.RATE_LIMITED
