"""What every action has to keep, whatever system it speaks to.

A plugin's test module says how its action is met on a real or faithful target,
as a `Subject`, and inherits the proof:

    class RedisConfig(Subject): ...

    class TestRedisConfigSet(ActionContract):
        @pytest.fixture
        async def subject(self, server: Server) -> Subject:
            return RedisConfig(server)

What a subject cannot be made to do raises `Unable` with the reason, and the
proof of it is skipped with that reason. What an action does not offer (an undo, a
look afterwards) is skipped too, and its docstring has to say so.
"""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
from jsonschema import Draft202012Validator

from bot.domain.actions import (
    JSON,
    ActionCall,
    ActionFailed,
    ActionResult,
    Arguments,
    DryRun,
    Effect,
    Happened,
    Output,
    Reconciliation,
    Transient,
    Undo,
)
from bot.domain.errors import Refused
from bot.services.registry import Registry, check_arguments
from tests.contracts.subjects import Reached, Subject, Unable

# Seconds that an end may take beyond the timeout: SIGTERM, 3 s, SIGKILL, and a slow machine.
GRACE = 6.0
PARTS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # of a call's whole length, where it is made to crash

__all__ = ["ActionContract", "Reached", "Subject", "Unable"]


def call(subject: Subject, arguments: Arguments | None = None, **other: Any) -> ActionCall:
    """Return a call as the gate makes it."""
    given = subject.arguments() if arguments is None else arguments
    made = ActionCall(key="run-1:step", arguments=given, timeout=subject.timeout)
    return replace(made, **other)


async def preview(subject: Subject) -> tuple[DryRun | None, Arguments]:
    """Return what the dry run says, and the arguments as the plan freezes them."""
    if subject.action.dry_run is None:
        return None, subject.arguments()
    seen = await subject.action.dry_run(call(subject))
    frozen = {**subject.arguments(), **seen.pinned}
    return seen, json.loads(json.dumps(frozen))  # a plan is stored as JSON


def changes(subject: Subject) -> None:
    """Skip what only concerns actions that change something."""
    if subject.action.effect is Effect.READ:
        pytest.skip("it only reads")


def certain(subject: Subject, error: BaseException) -> bool:
    """Say whether an error claims that nothing happened, and hold it to what is declared."""
    if isinstance(error, ActionFailed) and error.transient is not None:
        assert error.transient in subject.action.transient, "this failure is not declared"
    return isinstance(error, ActionFailed | Refused)


async def broken(awaitable: Awaitable[object]) -> BaseException:
    """Return the error that ends something which must not end well."""
    with pytest.raises(BaseException) as caught:  # noqa: PT011  # which one is what the test is about
        await awaitable
    return caught.value


async def cleared(subject: Subject) -> None:
    """Wait until nothing is left running, and fail where something stays."""
    until = time.monotonic() + GRACE
    while subject.left() and time.monotonic() < until:  # noqa: ASYNC110  # processes tell nobody
        await asyncio.sleep(0.02)
    assert list(subject.left()) == []


class ActionContract:
    """The proof, to be inherited with a fixture `subject`."""

    # What it says of itself.

    def test_its_handler_says_what_it_does(self, subject: Subject) -> None:
        text = inspect.getdoc(subject.action.handler) or ""
        generic = inspect.getdoc(type(subject.action.handler)) or ""
        assert text != generic or inspect.ismethod(subject.action.handler)
        assert text.split("\n")[0].endswith("."), "the first line is one sentence"
        assert len(text) >= 60, "a person can run by it"
        changing = subject.action.effect is not Effect.READ
        if changing and subject.action.undo is None:
            words = ("undo", "undone", "take back", "taken back", "way back")
            assert any(word in text for word in words), "it says that there is no way back"

    def test_its_schema_is_closed_and_bounded(self, subject: Subject) -> None:
        Registry([subject.action])
        assert subject.action.arguments.get("additionalProperties") is False
        assert list(unbounded(subject.action.arguments)) == []

    def test_its_own_arguments_fit(self, subject: Subject) -> None:
        check_arguments(subject.action, subject.arguments())
        for name in subject.action.arguments.get("required", ()):
            less = {k: v for k, v in subject.arguments().items() if k != name}
            with pytest.raises(Refused, match=name):
                check_arguments(subject.action, less)

    # What it does.

    async def test_its_effect_reports_something_that_can_be_kept(self, subject: Subject) -> None:
        before = await subject.state()
        printed: list[Output] = []
        _, frozen = await preview(subject)
        result = await subject.action.handler(call(subject, frozen, report=printed.append))
        assert result.summary.strip()
        assert "\n" not in result.summary
        assert result.value is None or math.isfinite(result.value)
        json.dumps(dict(result.data), allow_nan=False)
        assert not any("\n" in output.line for output in printed)
        await subject.settle()
        changed = subject.happened(before, await subject.state())
        assert changed is (subject.action.effect is not Effect.READ)

    async def test_a_dry_run_changes_nothing(self, subject: Subject) -> None:
        changes(subject)
        if subject.action.dry_run is None:
            pytest.skip("it has no dry run, so its risk rises")
        before = await subject.state()
        seen, frozen = await preview(subject)
        assert await subject.state() == before
        assert seen is not None
        assert seen.diff.strip()
        assert seen.targets, "what it would touch has names"
        check_arguments(subject.action, frozen)

    async def test_what_was_planned_is_not_done_to_a_world_that_changed(
        self, subject: Subject
    ) -> None:
        changes(subject)
        seen, frozen = await preview(subject)
        if seen is None or not seen.pinned:
            pytest.skip("it is not bound to what it saw")
        await able(subject.disturb())
        before = await subject.state()
        error = await broken(subject.action.handler(call(subject, frozen)))
        assert certain(subject, error)
        if isinstance(error, ActionFailed):
            assert error.transient is Transient.CONFLICT
        await subject.settle()
        assert await subject.state() == before

    async def test_the_same_effect_twice_is_one_effect(self, subject: Subject) -> None:
        changes(subject)
        seen, frozen = await preview(subject)
        bound = subject.binds_state and seen is not None and bool(seen.pinned)
        if not (bound or subject.action.idempotent):
            pytest.skip("it is neither idempotent nor bound to what it saw")
        await subject.action.handler(call(subject, frozen))
        await subject.settle()
        once = await subject.state()
        if subject.action.idempotent:
            await subject.action.handler(call(subject, frozen))
        else:
            assert certain(subject, await broken(subject.action.handler(call(subject, frozen))))
        await subject.settle()
        assert await subject.state() == once

    # How it is taken back.

    async def test_an_undo_restores_what_was(self, subject: Subject) -> None:
        changes(subject)
        if subject.action.undo is None:
            pytest.skip("it has no undo, and says so")
        before = await subject.state()
        _, frozen = await preview(subject)
        made = call(subject, frozen)
        result = await subject.action.handler(made)
        undo = subject.action.undo(made, result)
        assert undo is not None, "a call that changed something can be taken back"
        await self.take_back(subject, undo)
        assert await subject.state() == before
        # After a crash the result is gone: another way back would be a wrong one.
        assert subject.action.undo(made, ActionResult(summary="")) in (None, undo)

    async def test_an_undo_takes_back_its_own_effect_only(self, subject: Subject) -> None:
        changes(subject)
        if subject.action.undo is None or not subject.action.idempotent:
            pytest.skip("it cannot be done over and taken back")
        _, frozen = await preview(subject)
        await subject.action.handler(call(subject, frozen))
        before = await subject.state()
        _, frozen = await preview(subject)
        made = call(subject, frozen, key="run-2:step")
        undo = subject.action.undo(made, await subject.action.handler(made))
        if undo is not None:
            await self.take_back(subject, undo)
        assert await subject.state() == before

    async def test_an_undo_spares_what_somebody_has_changed_since(self, subject: Subject) -> None:
        changes(subject)
        if subject.action.undo is None:
            pytest.skip("it has no undo, and says so")
        _, frozen = await preview(subject)
        made = call(subject, frozen)
        undo = subject.action.undo(made, await subject.action.handler(made))
        assert undo is not None
        await subject.settle()
        await able(subject.disturb_effect())
        before = await subject.state()
        error = await broken(self.take_back(subject, undo))
        assert isinstance(error, ActionFailed), f"it is not refused: {error!r}"
        assert error.transient is Transient.CONFLICT
        await subject.settle()
        assert await subject.state() == before

    async def take_back(self, subject: Subject, undo: Undo) -> None:
        known = Registry([subject.action, *subject.others])
        reverse = known.get(undo.uses)
        check_arguments(reverse, undo.arguments)
        arguments = dict(undo.arguments)
        if reverse.dry_run is not None:
            arguments |= (await reverse.dry_run(call(subject, arguments))).pinned
            # A rollback may do no more than what the effect announced (`authority.py`).
            assert undo.arguments.items() <= arguments.items()
        await reverse.handler(call(subject, arguments, key="run-1:undo"))
        await subject.settle()

    # When it does not come to its end.

    async def test_a_timeout_ends_it_and_leaves_nothing_running(self, subject: Subject) -> None:
        before = await subject.state()
        _, frozen = await preview(subject)
        async with hung(subject):
            made = call(subject, frozen, timeout=subject.patience)
            task = asyncio.ensure_future(subject.action.handler(made))
            ended, _ = await asyncio.wait((task,), timeout=subject.patience + GRACE)
            task.cancel()
            assert ended, "it does not keep its timeout"
            error = await broken(task)
            assert not isinstance(error, asyncio.CancelledError)
            sure = certain(subject, error)
            await cleared(subject)
        if subject.action.effect is Effect.READ:
            assert sure, "a look that gets no answer has failed"
        await subject.settle()
        if sure:
            assert not subject.happened(before, await subject.state())

    async def test_a_call_that_is_cancelled_stops_what_it_started(self, subject: Subject) -> None:
        _, frozen = await preview(subject)
        async with hung(subject) as reached:
            task = asyncio.ensure_future(subject.action.handler(call(subject, frozen)))
            waiting = asyncio.ensure_future(reached())
            await asyncio.wait(
                (task, waiting), timeout=subject.timeout, return_when=asyncio.FIRST_COMPLETED
            )
            if task.done():
                pytest.fail(f"the call ended though its target hangs: {task.result()}")
            assert waiting.done(), "the call never reached its target"
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                async with asyncio.timeout(GRACE):
                    await task
            await cleared(subject)

    async def test_a_target_that_is_away_is_certainly_unchanged(self, subject: Subject) -> None:
        _, frozen = await preview(subject)
        action = subject.action
        async with gone(subject):
            error = await broken(action.handler(call(subject, frozen)))
            assert certain(subject, error), f"nothing can have happened: {error!r}"
            assert isinstance(error, ActionFailed)
            assert error.transient is not None, "it may work later"
            if action.reconcile is not None:
                look = action.reconcile(call(subject, frozen, timeout=subject.patience))
                bounded = asyncio.wait_for(look, subject.patience + GRACE)
                (seen,) = await asyncio.gather(bounded, return_exceptions=True)
                known = isinstance(seen, Reconciliation) and seen.happened is not Happened.UNKNOWN
                assert not known, "nobody can tell while the target is away"

    async def test_after_a_crash_before_the_effect_nothing_is_claimed(
        self, subject: Subject
    ) -> None:
        looks(subject)
        _, frozen = await preview(subject)
        seen = await looked(subject, frozen)
        assert seen is not Happened.YES

    async def test_after_a_crash_behind_the_effect_nothing_is_denied(
        self, subject: Subject
    ) -> None:
        looks(subject)
        _, frozen = await preview(subject)
        await subject.action.handler(call(subject, frozen))
        await subject.settle()
        assert await looked(subject, frozen) is not Happened.NO

    @pytest.mark.parametrize("part", PARTS)
    async def test_after_a_crash_in_between_the_look_tells_the_truth(
        self, subject: Subject, part: float
    ) -> None:
        looks(subject)
        _, frozen = await preview(subject)
        began = time.monotonic()
        await subject.action.handler(call(subject, frozen))
        whole = time.monotonic() - began
        await able(subject.reset())
        _, frozen = await preview(subject)
        before = await subject.state()
        await crash(subject, frozen, after=part * whole)
        await subject.settle()
        seen = await looked(subject, frozen)
        happened = subject.happened(before, await subject.state())
        if seen is not Happened.UNKNOWN:
            assert (seen is Happened.YES) is happened

    # What it may be asked, and what it may say.

    async def test_what_is_not_allowed_is_refused_by_name(self, subject: Subject) -> None:
        before = await subject.state()
        cases = [*subject.forbidden(), ({**subject.arguments(), "unheard": 1}, "unheard")]
        assert len(cases) > 1, "something has to be forbidden"
        for arguments, word in cases:
            reasons = [str(await broken(asked)) for asked in self.ways(subject, arguments)]
            assert all(word in reason for reason in reasons), (word, reasons)
        assert await subject.state() == before

    def ways(self, subject: Subject, arguments: Arguments) -> Iterator[Awaitable[object]]:
        yield self.checked(subject, arguments, subject.action.handler)
        if subject.action.dry_run is not None:
            yield self.checked(subject, arguments, subject.action.dry_run)

    async def checked(
        self, subject: Subject, arguments: Arguments, ask: Callable[[ActionCall], Awaitable[object]]
    ) -> None:
        check_arguments(subject.action, arguments)
        with pytest.raises((ActionFailed, Refused)) as caught:
            await ask(call(subject, arguments))
        assert getattr(caught.value, "transient", None) is None, "what is forbidden stays so"
        raise caught.value

    async def test_a_secret_is_never_seen_again(
        self, subject: Subject, caplog: pytest.LogCaptureFixture
    ) -> None:
        if not subject.secret:
            pytest.skip("its plugin has no secret")
        caplog.set_level(logging.DEBUG)
        said = [repr(subject.action), repr(subject.settings), str(subject.settings)]
        async with leaked(subject):
            said += await told(subject, timeout=subject.timeout)
        with suppress(Unable):
            async with subject.hanging():
                said += await told(subject, timeout=subject.patience)
        with suppress(Unable):
            async with subject.away():
                said += await told(subject, timeout=subject.patience)
        for arguments, _ in subject.forbidden():
            said += texts(await broken(self.checked(subject, arguments, subject.action.handler)))
        everything = "\n".join((*said, caplog.text))
        assert [form for form in shapes(subject.secret) if form in everything] == []


async def able(attempt: Awaitable[None]) -> None:
    """Wait for what a subject may be unable to do, and skip the test then."""
    try:
        await attempt
    except Unable as why:
        pytest.skip(str(why))


@asynccontextmanager
async def hung(subject: Subject) -> AsyncIterator[Reached]:
    """Make a target hang, or skip the test."""
    try:
        async with subject.hanging() as reached:
            yield reached
    except Unable as why:
        pytest.skip(str(why))


@asynccontextmanager
async def gone(subject: Subject) -> AsyncIterator[None]:
    """Make a target unreachable, or skip the test."""
    try:
        async with subject.away():
            yield
    except Unable as why:
        pytest.skip(str(why))


@asynccontextmanager
async def leaked(subject: Subject) -> AsyncIterator[None]:
    """Make a target repeat the secret, where it ever sees it."""
    async with AsyncExitStack() as stack:
        with suppress(Unable):
            await stack.enter_async_context(subject.leaking())
        yield


async def crash(subject: Subject, frozen: Arguments, *, after: float) -> None:
    """Break a call off after so many seconds, like a worker that dies."""
    task = asyncio.ensure_future(subject.action.handler(call(subject, frozen)))
    await asyncio.wait((task,), timeout=after)
    task.cancel()
    with suppress(asyncio.CancelledError, Exception):
        await task


def looks(subject: Subject) -> None:
    """Skip what only concerns actions that can be looked up afterwards."""
    changes(subject)
    if subject.action.reconcile is None:
        pytest.skip("it cannot be looked up afterwards, so a person is asked")


async def looked(subject: Subject, frozen: Arguments) -> Happened:
    """Return what the action says about an effect whose outcome was lost."""
    assert subject.action.reconcile is not None
    seen = await subject.action.reconcile(call(subject, frozen))
    assert seen.detail.strip()
    return seen.happened


async def told(subject: Subject, *, timeout: float) -> list[str]:
    """Return everything a whole walk through an action says, in whatever way it ends."""
    said: list[str] = []

    async def ask(asked: Awaitable[object], within: float = timeout) -> object:
        bounded = asyncio.wait_for(asked, within)  # as the gate does
        (ended,) = await asyncio.gather(bounded, return_exceptions=True)
        said.extend(texts(ended))
        return ended

    action, printed = subject.action, list[Output]()
    made = call(subject, timeout=timeout, report=printed.append)
    seen = await ask(action.dry_run(made)) if action.dry_run is not None else None
    if isinstance(seen, DryRun):
        made = replace(made, arguments={**made.arguments, **seen.pinned})
    await ask(action.handler(made), timeout + GRACE)
    if action.reconcile is not None:
        await ask(action.reconcile(made))
    if action.undo is not None and isinstance(seen, DryRun):
        said += texts(action.undo(made, ActionResult(summary="")))
    return [*said, *(repr(output) for output in printed)]


def texts(thing: object) -> list[str]:
    """Return every text form of an answer or an error, with all the errors behind it."""
    found = [str(thing), repr(thing)]
    while isinstance(thing, BaseException):
        found += [str(thing), repr(thing), repr(thing.args), repr(vars(thing))]
        thing = thing.__cause__ or thing.__context__
    return found


def shapes(secret: str) -> set[str]:
    """Return the forms in which a secret may slip out."""
    return {secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode().rstrip("=")}


def unbounded(schema: Mapping[str, JSON], where: str = "arguments") -> Iterator[str]:
    """Return the texts and lists of a schema that have no end."""
    Draft202012Validator.check_schema(dict(schema))
    kind = schema.get("type")
    if kind == "string" and not {"maxLength", "enum", "const"} & set(schema):
        yield where
    if kind == "array" and "maxItems" not in schema:
        yield where
    for name, part in schema.get("properties", {}).items():
        yield from unbounded(part, f"{where}/{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), Mapping):
            yield from unbounded(schema[key], f"{where}/{key}")
