"""The contract notices what an action does not keep: each of these breaks one promise."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from typing_extensions import override

from bot.domain.actions import (
    JSON,
    Action,
    ActionCall,
    ActionFailed,
    ActionResult,
    Arguments,
    DryRun,
    Effect,
    Happened,
    Reconciliation,
    Risk,
    Transient,
    Undo,
)
from bot.domain.errors import Refused
from tests.contracts.actions import ActionContract, Reached, Subject

SECRET = "hunter2-hunter2"
SCHEMA: Mapping[str, JSON] = {
    "type": "object",
    "properties": {
        "valve": {"type": "string", "maxLength": 10},
        "opening": {"type": "integer"},
        "expected": {"type": "integer"},
    },
    "required": ["valve", "opening"],
    "additionalProperties": False,
}


class Valve:
    """A target in memory, and an action on it that keeps every promise."""

    def __init__(self) -> None:
        self.opening = 1
        self.away = False
        self.hanging = asyncio.Event()
        self.hanging.set()
        self.reached = asyncio.Event()
        self.working: list[str] = []

    async def touch(self) -> None:
        if self.away:
            raise ActionFailed("the valve cannot be reached", transient=Transient.UNREACHABLE)
        self.working.append("a call")
        self.reached.set()
        try:
            await self.hanging.wait()
        finally:
            self.working.clear()

    async def set(self, call: ActionCall) -> ActionResult:
        """Set a listed valve to an opening; the plan is bound to the opening that was seen."""
        self.check(call)
        try:
            async with asyncio.timeout(call.timeout):
                await self.touch()
        except TimeoutError:
            raise ActionFailed("the valve was slow", transient=Transient.TIMEOUT) from None
        wanted, expected = call.arguments["opening"], call.arguments.get("expected", self.opening)
        if self.opening not in (expected, wanted):
            raise ActionFailed("the valve was moved", transient=Transient.CONFLICT)
        self.opening = wanted
        return ActionResult(summary=f"the valve is at {wanted}", value=float(wanted))

    async def preview(self, call: ActionCall) -> DryRun:
        self.check(call)
        diff = f"- {self.opening}\n+ {call.arguments['opening']}"
        seen = call.arguments.get("expected", self.opening)  # an undo's own stays
        return DryRun(diff=diff, pinned={"expected": seen}, targets=("north",))

    async def look(self, call: ActionCall) -> Reconciliation:
        await self.touch()
        done = self.opening == call.arguments["opening"]
        return Reconciliation(happened=Happened.YES if done else Happened.NO, detail="looked")

    def undo(self, call: ActionCall, result: ActionResult) -> Undo | None:
        wanted, before = call.arguments["opening"], call.arguments["expected"]
        if wanted == before:
            return None
        back = {"valve": "north", "opening": before, "expected": wanted}
        return Undo(uses="valve.set@1", arguments=back)

    def check(self, call: ActionCall) -> None:
        if call.arguments["valve"] != "north":
            raise ActionFailed(f"{call.arguments['valve']} is not listed")

    def action(self) -> Action:
        return Action(
            name="valve.set",
            version=1,
            summary="Set a valve.",
            effect=Effect.MUTATE,
            risk=Risk.R1,
            idempotent=True,
            arguments=SCHEMA,
            handler=self.set,
            dry_run=self.preview,
            reconcile=self.look,
            undo=self.undo,
            transient=frozenset({Transient.UNREACHABLE, Transient.TIMEOUT, Transient.CONFLICT}),
        )


class ValveSubject(Subject):
    secret = SECRET
    patience = 0.2

    def __init__(self, valve: Valve, action: Action) -> None:
        self.valve = valve
        self.action = action

    @override
    def arguments(self) -> Arguments:
        return {"valve": "north", "opening": 5}

    @override
    def forbidden(self) -> Sequence[tuple[Arguments, str]]:
        return (({"valve": "south", "opening": 5}, "south"), ({"valve": 1, "opening": 5}, "valve"))

    @override
    async def state(self) -> JSON:
        return self.valve.opening

    @override
    async def reset(self) -> None:
        self.valve.opening = 1

    @override
    async def disturb(self) -> None:
        self.valve.opening = 3

    @override
    def left(self) -> Sequence[str]:
        return self.valve.working

    @override
    @asynccontextmanager
    async def hanging(self) -> AsyncIterator[Reached]:
        self.valve.hanging.clear()
        self.valve.reached.clear()
        yield self.reached
        self.valve.hanging.set()

    async def reached(self) -> None:
        await self.valve.reached.wait()

    @override
    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        self.valve.away = True
        yield
        self.valve.away = False


Break = Callable[[Valve, Action], Action]
PROMISES = [name for name in dir(ActionContract) if name.startswith("test_")]


async def kept(promise: str, subject: Subject, caplog: pytest.LogCaptureFixture) -> None:
    """Hold a subject to one promise of the contract."""
    test = getattr(ActionContract(), promise)
    given = {"subject": subject, "part": 0.5, "caplog": caplog}
    wanted = {k: v for k, v in given.items() if k in inspect.signature(test).parameters}
    result = test(**wanted)
    if inspect.isawaitable(result):
        await result


@pytest.mark.parametrize("promise", PROMISES)
async def test_an_action_that_keeps_its_promises_passes(
    promise: str, caplog: pytest.LogCaptureFixture
) -> None:
    valve = Valve()
    await kept(promise, ValveSubject(valve, valve.action()), caplog)


def handled(
    around: Callable[[Valve, ActionCall, Callable[[], Awaitable[ActionResult]]], Awaitable[Any]],
) -> Break:
    """Break an action by what its handler does around the real one."""

    def broken(valve: Valve, action: Action) -> Action:
        async def handler(call: ActionCall) -> ActionResult:
            """Set a listed valve to an opening; the plan is bound to the opening seen before."""
            result: ActionResult = await around(valve, call, lambda: action.handler(call))
            return result

        return replace(action, handler=handler)

    return broken


class Stuck(list[str]):
    """Calls that never end."""

    @override
    def clear(self) -> None:
        return


async def forgets_what_was_seen(valve: Valve, call: ActionCall, go: Any) -> ActionResult:
    valve.opening = call.arguments.get("expected", valve.opening)
    result: ActionResult = await go()
    return result


async def goes_on_when_cancelled(valve: Valve, call: ActionCall, go: Any) -> ActionResult:
    try:
        return ActionResult(summary=(await go()).summary)
    except asyncio.CancelledError:
        return ActionResult(summary="done anyway")


async def leaves_something(valve: Valve, call: ActionCall, go: Any) -> ActionResult:
    valve.working = Stuck()
    return ActionResult(summary=(await go()).summary)


async def never_ends(valve: Valve, call: ActionCall, go: Any) -> ActionResult:
    await valve.touch()
    return ActionResult(summary=(await go()).summary)


async def claims_too_much(valve: Valve, call: ActionCall, go: Any) -> ActionResult:
    try:
        return ActionResult(summary=(await go()).summary)
    except ActionFailed as no:
        valve.opening = call.arguments["opening"]
        raise ActionFailed("nothing happened", transient=no.transient) from None


async def does_not_know(valve: Valve, call: ActionCall, go: Any) -> ActionResult:
    try:
        return ActionResult(summary=(await go()).summary)
    except ActionFailed:
        raise RuntimeError("something") from None


async def blurts_out(valve: Valve, call: ActionCall, go: Any) -> ActionResult:
    try:
        return ActionResult(summary=(await go()).summary)
    except ActionFailed as no:
        raise ActionFailed("no", transient=no.transient) from RuntimeError(f"GET /?key={SECRET}")


async def fails_undeclared(valve: Valve, call: ActionCall, go: Any) -> ActionResult:
    try:
        return ActionResult(summary=(await go()).summary)
    except ActionFailed as no:
        raise ActionFailed(no.reason, transient=Transient.RATE_LIMITED) from None


async def adds(valve: Valve, call: ActionCall, go: Any) -> ActionResult:
    valve.check(call)
    valve.opening += call.arguments["opening"]
    return ActionResult(summary="more")


async def reports_nonsense(valve: Valve, call: ActionCall, go: Any) -> ActionResult:
    await go()
    return ActionResult(summary="two\nlines", value=float("nan"))


def looks(happened: Happened) -> Break:
    """Break an action by a look that always says the same."""

    async def look(call: ActionCall) -> Reconciliation:
        return Reconciliation(happened=happened, detail="surely")

    return lambda valve, action: replace(action, reconcile=look)


def previews(**other: Any) -> Break:
    """Break an action by what its dry run says."""

    def broken(valve: Valve, action: Action) -> Action:
        async def preview(call: ActionCall) -> DryRun:
            return replace(await valve.preview(call), **other)

        return replace(action, dry_run=preview)

    return broken


def previews_by_doing(valve: Valve, action: Action) -> Action:
    async def preview(call: ActionCall) -> DryRun:
        await valve.set(call)
        return await valve.preview(call)

    return replace(action, dry_run=preview)


def undoes(arguments: Arguments) -> Break:
    """Break an action by where its undo leads."""
    wrong = Undo(uses="valve.set@1", arguments=arguments)
    return lambda valve, action: replace(action, undo=lambda call, result: wrong)


def described(action: Action, schema: Mapping[str, JSON]) -> Action:
    return replace(action, arguments=schema)


def silent(valve: Valve, action: Action) -> Action:
    async def handler(call: ActionCall) -> ActionResult:
        return await action.handler(call)

    return replace(action, handler=handler)


def allows_all(valve: Valve, action: Action) -> Action:
    valve.check = lambda call: None  # type: ignore[method-assign]
    return action


BROKEN: tuple[tuple[str, Break], ...] = (
    ("test_its_handler_says_what_it_does", silent),
    (
        "test_its_handler_says_what_it_does",
        lambda valve, action: replace(action, undo=None),
    ),
    (
        "test_its_schema_is_closed_and_bounded",
        lambda valve, action: described(action, {**SCHEMA, "additionalProperties": True}),
    ),
    (
        "test_its_schema_is_closed_and_bounded",
        lambda valve, action: described(
            action, {**SCHEMA, "properties": {**SCHEMA["properties"], "note": {"type": "string"}}}
        ),
    ),
    (
        "test_its_own_arguments_fit",
        lambda valve, action: described(action, {**SCHEMA, "required": ["valve", "reason"]}),
    ),
    ("test_its_effect_reports_something_that_can_be_kept", handled(reports_nonsense)),
    ("test_a_dry_run_changes_nothing", previews_by_doing),
    ("test_a_dry_run_changes_nothing", previews(diff="")),
    ("test_a_dry_run_changes_nothing", previews(targets=())),
    ("test_a_dry_run_changes_nothing", previews(pinned={"generation": 7})),
    (
        "test_what_was_planned_is_not_done_to_a_world_that_changed",
        handled(forgets_what_was_seen),
    ),
    ("test_the_same_effect_twice_is_one_effect", handled(adds)),
    ("test_an_undo_restores_what_was", undoes({"valve": "north", "opening": 2})),
    ("test_an_undo_restores_what_was", undoes({"valve": "north"})),
    (
        "test_an_undo_takes_back_its_own_effect_only",
        undoes({"valve": "north", "opening": 1}),
    ),
    (
        "test_an_undo_spares_what_somebody_has_changed_since",
        undoes({"valve": "north", "opening": 1}),
    ),
    ("test_a_timeout_ends_it_and_leaves_nothing_running", handled(never_ends)),
    ("test_a_timeout_ends_it_and_leaves_nothing_running", handled(leaves_something)),
    ("test_a_timeout_ends_it_and_leaves_nothing_running", handled(claims_too_much)),
    ("test_a_timeout_ends_it_and_leaves_nothing_running", handled(fails_undeclared)),
    ("test_a_call_that_is_cancelled_stops_what_it_started", handled(goes_on_when_cancelled)),
    ("test_a_call_that_is_cancelled_stops_what_it_started", handled(leaves_something)),
    ("test_a_target_that_is_away_is_certainly_unchanged", handled(does_not_know)),
    ("test_a_target_that_is_away_is_certainly_unchanged", looks(Happened.NO)),
    ("test_after_a_crash_before_the_effect_nothing_is_claimed", looks(Happened.YES)),
    ("test_after_a_crash_behind_the_effect_nothing_is_denied", looks(Happened.NO)),
    ("test_after_a_crash_in_between_the_look_tells_the_truth", looks(Happened.NO)),
    ("test_what_is_not_allowed_is_refused_by_name", allows_all),
    ("test_a_secret_is_never_seen_again", handled(blurts_out)),
    ("test_a_secret_is_never_seen_again", previews(diff=f"with {SECRET}")),
)


@pytest.mark.parametrize(("promise", "breaking"), BROKEN)
async def test_an_action_that_breaks_a_promise_is_noticed(
    promise: str,
    breaking: Break,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tests.contracts.actions.GRACE", 0.5)
    valve = Valve()
    subject = ValveSubject(valve, breaking(valve, valve.action()))
    with pytest.raises((AssertionError, pytest.fail.Exception, Refused)):
        await kept(promise, subject, caplog)


def test_every_promise_is_broken_once() -> None:
    assert {promise for promise, _ in BROKEN} == set(PROMISES)
