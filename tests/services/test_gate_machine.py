"""Whatever people, clocks and crashes do: no effect without consent, none twice, none too late.

Hypothesis plays requests, answers, stops, the kill switch, time, and workers
that die before or after any transaction of a move, or that another worker
overtakes there, steps that people do by hand or say they could not do, failures
that are tried again, rollbacks, and pages that change while a plan waits. What
the ledger says in the end is held against a world that counts what truly happened.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from typing_extensions import override

from bot.domain.actions import ActionCall, ActionFailed, ActionResult, Transient
from bot.domain.approvals import Verdict
from bot.domain.effects import EffectState
from bot.domain.errors import AlreadyDone, Refused, Stale
from bot.domain.people import Caller, Person, Standing
from bot.domain.runbooks import OnFailure, Retry
from bot.domain.runs import RunId, RunState
from bot.ports import Claim, Transaction
from bot.services.engine import RunWorker
from tests.services.gate_world import (
    ANSWER_WITHIN,
    DANA,
    EXECUTE_WITHIN,
    LEASE,
    MARCUS,
    PRIYA,
    ROBOT,
    World,
    step,
)

Do = Callable[[], None]
Act = Callable[[], Awaitable[object]]

PEOPLE = st.sampled_from((DANA, PRIYA, MARCUS, ROBOT))
USES = ("lamp.on@1", "lamp.blind@1", "lamp.set@1", "lamp.hand@1")
RETRY = Retry(times=1, on=(Transient.CONFLICT,), wait=1)
HOUR = 3600.0
Wish = tuple[Person, list[str], OnFailure]
PLANS: st.SearchStrategy[Wish] = st.tuples(
    st.sampled_from((DANA, PRIYA)),
    st.lists(st.sampled_from(USES), min_size=1, max_size=3),
    st.sampled_from(tuple(OnFailure)),
)
TIMES = (*[LEASE + 1] * 20, EXECUTE_WITHIN, ANSWER_WITHIN)
ENDS = ("approval.denied", "run.stop_requested", "run.cancelled", "run.expired", "run.failed",
        "run.succeeded", "run.superseded", "run.rolled_back")  # fmt: skip


class Crash(BaseException):
    """The worker is gone, at this very point."""


class Eventful:
    """A database at which something happens around one transaction of a move."""

    def __init__(self, world: World, *, number: int, event: Act, after: bool) -> None:
        self._database = world.database
        self._left = number
        self._event = event
        self._after = after
        self.reading = world.database.reading

    @asynccontextmanager
    async def transaction(self, once: str | None = None) -> AsyncIterator[Transaction]:
        """Open a transaction, and let it happen before or after the right one."""
        self._left -= 1
        if self._left == 0 and not self._after:
            await self._event()
        async with self._database.transaction(once) as tx:
            yield tx
        if self._left == 0 and self._after:
            await self._event()


async def refuses(call: ActionCall, do: Do) -> ActionResult:
    raise ActionFailed("not now")


async def conflicts(call: ActionCall, do: Do) -> ActionResult:
    raise ActionFailed("somebody was faster", transient=Transient.CONFLICT)


async def breaks_before(call: ActionCall, do: Do) -> ActionResult:
    raise ConnectionError("gone")


async def breaks_after(call: ActionCall, do: Do) -> ActionResult:
    do()
    raise ConnectionError("gone")


async def dies_before(call: ActionCall, do: Do) -> ActionResult:
    raise Crash


async def dies_after(call: ActionCall, do: Do) -> ActionResult:
    do()
    raise Crash


BEHAVIOURS = st.sampled_from(
    (None, refuses, conflicts, breaks_before, breaks_after, dies_before, dies_after)
)


@dataclass
class Model:
    """What the test itself knows to be true."""

    consent: Counter[str]
    requester: dict[str, Person]
    sins: list[str]


class GateMachine(RuleBasedStateMachine):
    """People, workers and time, in any order."""

    template: Path | None = None

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp())
        self.ids: list[RunId] = []
        self.pages = 0
        self.model = Model(consent=Counter(), requester={}, sins=[])
        self.last: tuple[RunId, str, Caller] | None = None

    def do(self, work: Awaitable[Any]) -> Any:
        """Let something asynchronous happen."""

        async def wait() -> Any:
            return await work

        return self.runner.run(wait())

    @initialize(plans=st.lists(PLANS, min_size=1, max_size=3))
    def begin(self, plans: list[Wish]) -> None:
        """Open a world of its own, from a copy of an empty database, and ask for runs."""
        path = self.folder / "tocsin.db"
        if GateMachine.template is None:
            GateMachine.template = self._made_template()
        shutil.copy(GateMachine.template, path)
        self.world = World(path)
        announced = self.world.lamp.before
        assert announced is not None

        async def watched(call: ActionCall) -> None:
            await announced(call)
            await self._watch(call)

        self.world.lamp.before = watched
        for wish in plans:
            self.request(wish)

    def _made_template(self) -> Path:
        path = Path(tempfile.mkdtemp()) / "empty.db"
        world = World(path)
        self.do(world.database.close())
        return path

    async def _watch(self, call: ActionCall) -> None:
        """Look at every effect from outside, at the moment at which it begins."""
        id = RunId(call.key.partition(":")[0])
        run, effect = await self.world.run(id), await self.world.effect(id, call.key.split(":")[1])
        assert run.plan is not None
        assert run.approval is not None
        assert effect is not None
        assert effect.uses != "lamp.hand@1", "a machine did what a person has to do"
        if not self.model.consent[run.plan.authorised_by or run.plan.digest]:
            self.model.sins.append(f"{call.key}: nobody consented")
        if run.approval.verdict is not Verdict.GRANTED:
            self.model.sins.append(f"{call.key}: {run.approval.verdict}")
        execute_by = run.approval.execute_by
        if (
            run.position == 0
            and effect.attempts == 1
            and (execute_by is None or effect.intended_at >= execute_by)
        ):
            self.model.sins.append(f"{call.key}: too late")

    # People.

    @rule(wish=PLANS)
    def request(self, wish: Wish) -> None:
        """Ask for a run, and have it planned."""
        by, uses, on_failure = wish
        if len(self.ids) >= 4:
            return
        steps = [
            step(
                f"s{n}",
                u,
                arguments={"value": n},
                retry=RETRY,
                on_failure=on_failure,
                timeout=HOUR if u == "lamp.hand@1" else 0.05,
            )
            for n, u in enumerate(uses)
        ]
        id = self.do(self.world.ask(*steps, by=by))
        self.ids.append(id)
        self.model.requester[id] = by
        self.do(self._move(self.world.worker()))

    @rule(data=st.data(), moves=st.integers(0, 3), behaviour=BEHAVIOURS)
    def consent(self, data: st.DataObject, moves: int, behaviour: Any) -> None:
        """Let the right person approve, and a worker begin."""
        id = data.draw(st.sampled_from(self.ids))
        by = PRIYA if self.model.requester[id] is DANA else DANA
        self._try_to_approve(id, by)
        for _ in range(moves):
            self.work(behaviour)

    @rule(data=st.data(), by=PEOPLE)
    def approve(self, data: st.DataObject, by: Person) -> None:
        """Approve, with or without the right to."""
        self._try_to_approve(data.draw(st.sampled_from(self.ids)), by)

    def _try_to_approve(self, id: RunId, by: Person) -> None:
        run = self.do(self.world.run(id))
        if run.plan is None:
            return
        caller = self.world.caller(by)
        try:
            self.do(self._approve(id, run.plan.digest, caller))
        except Refused:
            return
        assert by is not ROBOT
        assert by is not self.model.requester[id]
        self.model.consent[run.plan.digest] += 1
        self.last = (id, run.plan.digest, caller)

    async def _approve(self, id: RunId, digest: str, by: Caller) -> None:
        await self.world.runs.approve(
            id, digest=digest, standing=Standing(person=by.person), channel=None, by=by
        )

    @precondition(lambda self: self.last is not None)
    @rule()
    def repeat_the_last_approval(self) -> None:
        """Deliver an envelope again."""
        assert self.last is not None
        id, digest, caller = self.last
        with suppress(AlreadyDone):
            self.do(self._approve(id, digest, caller))
            raise AssertionError("a repeated envelope was taken")

    @rule(data=st.data(), by=PEOPLE, what=st.sampled_from(("deny", "stop", "settle", "undo")))
    def intervene(self, data: st.DataObject, by: Person, what: str) -> None:
        """Deny, stop, settle or undo, as far as it is allowed."""
        id = data.draw(st.sampled_from(self.ids))
        with suppress(Refused):
            self.do(self._intervene(id, by, what))

    @rule(data=st.data(), by=PEOPLE, yes=st.booleans())
    def do_by_hand(self, data: st.DataObject, by: Person, yes: bool) -> None:
        """Do what a run waits for, or say that it cannot be done."""
        id = data.draw(st.sampled_from(self.ids))
        run = self.do(self.world.run(id))
        if run.step is None:
            return
        key, caller = run.effect_key(run.step), self.world.caller(by)
        try:
            self.do(
                self.world.runs.done(
                    id, run.step.id, happened="yes" if yes else "no", note="so", by=caller
                )
            )
        except Refused:
            return
        assert by is not ROBOT
        assert run.state is RunState.MANUAL
        assert run.step.uses == "lamp.hand@1"
        assert self.model.consent[run.plan.digest if run.plan else ""]
        if yes:
            self.world.lamp.done[key] += 1

    @rule(meanwhile=st.booleans(), seldom=st.integers(0, 9))
    def edit_the_page(self, meanwhile: bool, seldom: int) -> None:
        """Change the page, of which workers may learn before plans are withdrawn."""
        if seldom:
            return
        self.pages += 1
        self.world.book = replace(self.world.book, digest=f"{self.pages:064d}")
        if meanwhile:
            self.do(self._move(self.world.worker()))
        self.do(self.world.runs.supersede({self.world.book.id: self.world.book.digest}))

    async def _intervene(self, id: RunId, by: Person, what: str) -> None:
        run, caller = await self.world.run(id), self.world.caller(by)
        if what == "stop":
            await self.world.runs.stop(id, by=caller)
        elif what == "settle" and run.step is not None:
            took_place = self.world.lamp.done[run.effect_key(run.step)] > 0
            await self.world.runs.settle(id, happened="yes" if took_place else "no", by=caller)
        elif what == "deny" and run.plan is not None:
            await self.world.runs.deny(id, digest=run.plan.digest, reason="no", by=caller)
        elif what == "undo":
            undo = await self.world.runs.undo(id, by=caller)
            self.ids.append(undo.id)
            self.model.requester[undo.id] = by

    @rule(by=PEOPLE, meanwhile=st.booleans())
    def pull_and_release_the_switch(self, by: Person, meanwhile: bool) -> None:
        """Stop everything for a while, in which a worker may try, and let it go on."""
        with suppress(Refused):
            self.do(self.world.switches.halt("wait", by=self.world.caller(by)))
        if meanwhile:
            self.do(self._move(self.world.worker()))
        with suppress(Refused):
            self.do(self.world.switches.release(by=self.world.caller(by)))

    @rule(by=st.sampled_from((DANA, PRIYA)))
    def release_the_switch(self, by: Person) -> None:
        """Ask for everything to go on, which takes two people."""
        with suppress(Refused):
            self.do(self.world.switches.release(by=self.world.caller(by)))

    # The world.

    @rule(seconds=st.sampled_from(TIMES))
    def time_passes(self, seconds: float) -> None:
        """Let time pass."""
        self.world.clock.advance(seconds=seconds)

    @rule(answers=st.booleans())
    def the_lamp_answers(self, answers: bool) -> None:
        """Let the world be asked afterwards, or not."""
        self.world.lamp.answers = answers

    # Workers.

    @rule(behaviour=BEHAVIOURS)
    def work(self, behaviour: Any) -> None:
        """Make a move; the action behaves as it does."""
        self.world.lamp.behaviour = [behaviour] if behaviour else []
        self.do(self._move(self.world.worker()))

    @rule(
        number=st.integers(1, 3),
        after=st.booleans(),
        event=st.sampled_from(("crash", "overtaken", "switch", "stop", "approve")),
    )
    def work_in_hard_times(self, number: int, after: bool, event: str) -> None:
        """Make a move in which something happens before or after one of its transactions."""
        hard = Eventful(self.world, number=number, event=self._event(event), after=after)
        self.do(self._move(self.world.worker(hard)))

    def _event(self, event: str) -> Act:
        async def crash() -> None:
            raise Crash

        async def overtaken() -> None:
            self.world.clock.advance(seconds=LEASE + 1)
            await self.world.work()

        async def switch() -> None:
            await self.world.switches.halt("wait", by=self.world.caller(MARCUS))

        async def stop() -> None:
            for id in self.ids:
                with suppress(Refused):
                    await self.world.runs.stop(id, by=self.world.caller(MARCUS))

        async def approve() -> None:
            for id in self.ids:
                run = await self.world.run(id)
                with suppress(Refused):
                    digest = run.plan.digest if run.plan else ""
                    await self._approve(id, digest, self.world.caller(MARCUS))
                    self.model.consent[digest] += 1

        return {"crash": crash, "overtaken": overtaken, "switch": switch, "stop": stop,
                "approve": approve}[event]  # fmt: skip

    async def _move(self, worker: RunWorker) -> None:
        claim: Claim | None = await self.world.claim()
        if claim is not None:
            with suppress(Crash, Stale):
                await worker.move(claim)

    # What must hold.

    @override
    def teardown(self) -> None:
        """Let everything come to its end, and hold the record against what happened."""
        if not hasattr(self, "world"):
            return
        try:
            self.do(self._come_to_an_end())
            self.do(self.world.check())
            self.do(self._hold())
        finally:
            self.do(self.world.database.close())
            self.runner.close()
            shutil.rmtree(self.folder)

    async def _come_to_an_end(self) -> None:
        self.world.lamp.behaviour = []
        for _ in range(3):
            self.world.clock.advance(seconds=max(ANSWER_WITHIN, HOUR))
            await self.world.work(patience=2)

    async def _hold(self) -> None:
        assert self.model.sins == []
        self._hold_the_order()
        for key, times in self.world.lamp.done.items():
            effect = await self.world.effect(RunId(key.split(":")[0]), key.split(":")[1])
            assert effect is not None
            assert times == 1 or effect.uses == "lamp.set@1", f"{key} happened {times} times"
        for run in await self.world.runs.recent():
            await self._hold_run(run.id)

    async def _hold_run(self, id: RunId) -> None:
        run = await self.world.run(id)
        if run.state is RunState.ROLLING_BACK:
            assert (await self.world.rollback(id)).state is RunState.IN_DOUBT
        else:
            assert run.state.over, f"{id} is {run.state} for ever"
        if run.state is RunState.ROLLED_BACK:
            assert (await self.world.rollback(id)).state is RunState.SUCCEEDED
        for planned in run.plan.steps if run.plan else ():
            effect = await self.world.effect(id, planned.id)
            happened = self.world.lamp.done[run.effect_key(planned)] > 0
            if effect is None:
                assert not happened
            elif effect.state is EffectState.IN_DOUBT:
                assert run.state is RunState.IN_DOUBT
            else:
                assert effect.state is not EffectState.INTENDED
                assert happened == (effect.state is EffectState.SUCCEEDED), effect

    def _hold_the_order(self) -> None:
        """Read the ledger in its order: no intent under the switch, none after an end."""
        halted, over = False, set()
        for entry in self.world.ledger():
            type, run = entry["type"], (entry["body"] or {}).get("run")
            if type in ("switch.halted", "switch.released"):
                halted = type == "switch.halted"
            elif type in ENDS:
                over.add(run)
            elif type == "action.intent":
                assert not halted, f"{run}: an intent under the kill switch"
                assert run not in over, f"{run}: an intent after its end"


GateMachine.TestCase.settings = settings(
    settings.default,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestGate = GateMachine.TestCase
