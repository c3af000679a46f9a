"""A small world for the gate: the real store and engine, a clock that stands, a target that counts.

The target is a lamp. Its actions differ in what the gate must know about them:
whether they may be repeated, and whether the world can be asked afterwards.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from bot.domain.actions import (
    Action,
    ActionCall,
    ActionResult,
    DryRun,
    Effect,
    Happened,
    Reconciliation,
    Risk,
    Transient,
    Undo,
)
from bot.domain.breakers import BreakerRules
from bot.domain.catalog import Catalog
from bot.domain.effects import EffectRecord, EffectState
from bot.domain.people import Caller, ChannelId, Person, PersonId
from bot.domain.policy import RiskPolicy
from bot.domain.runbooks import (
    ApprovalGroup,
    Expectation,
    Match,
    OnFailure,
    Review,
    Runbook,
    Step,
    Verification,
)
from bot.domain.runs import Run, RunId, RunState
from bot.ports import Claim, Database, Outputs, Policy
from bot.services.actions import ActionGate
from bot.services.autonomy import AutonomyService
from bot.services.brakes import Brakes
from bot.services.emergencies import EmergencyService
from bot.services.engine import Pace, RunWorker
from bot.services.governing import Governor, Rules
from bot.services.people import PeopleService
from bot.services.planning import Expiries, Planner
from bot.services.registry import Redact, Registry, unredacted
from bot.services.runs import CHANNEL, RunService
from bot.services.switches import SwitchService
from bot.storage.ledger import UNKEYED
from bot.storage.sqlite import SqliteDatabase, read_entries
from tests.fakes import FakeCalendars, FakeChat, FakeClock

DANA = Person(id=PersonId("U1"), name="Dana")
PRIYA = Person(id=PersonId("U2"), name="Priya")
MARCUS = Person(id=PersonId("U3"), name="Marcus")
ROBOT = Person(id=PersonId("B1"), name="Robot", bot=True)
# Members of every user group, so that plans are not refused for want of approvers.
BENCH = tuple(Person(id=PersonId(f"Z{n}"), name=f"Bench {n}") for n in range(3))

ANSWER_WITHIN = 600.0
EXECUTE_WITHIN = 300.0
LEASE = 15.0

_ANY: Mapping[str, Any] = {"type": "object"}
_VALUE: Mapping[str, Any] = {
    "type": "object",
    "properties": {"value": {"type": "integer"}},
    "required": ["value"],
}
Do = Callable[[], None]
Behaviour = Callable[[ActionCall, Do], Awaitable[ActionResult]]


async def obey(call: ActionCall, do: Callable[[], None]) -> ActionResult:
    """Do what the call says."""
    do()
    return ActionResult(summary="done", value=1.0)


@dataclass
class Lamp:
    """The world out there. `behaviour` is how the next calls behave, `obey` being the rule.

    `seen` is what a look shows, unless it asks for one of `values` by name.
    """

    done: Counter[str] = field(default_factory=Counter)
    calls: list[str] = field(default_factory=list)
    behaviour: list[Behaviour] = field(default_factory=list)
    seen: float | None = 1.0
    values: dict[str, float | None] = field(default_factory=dict)
    looks: list[str] = field(default_factory=list)
    answers: bool = True
    unannounced: list[str] = field(default_factory=list)
    before: Callable[[ActionCall], Awaitable[None]] | None = None

    async def handle(self, call: ActionCall) -> ActionResult:
        """Behave as the test wants, and count what really took effect."""
        self.calls.append(call.key)
        if self.before is not None:
            await self.before(call)
        behave = self.behaviour.pop(0) if self.behaviour else obey

        def do() -> None:
            self.done[call.key] += 1

        return await behave(call, do)

    async def look(self, call: ActionCall) -> ActionResult:
        """Show whether it shines, or a value that the call names."""
        name = call.arguments.get("of", "")
        self.looks.append(name)
        seen = self.values.get(name, self.seen)
        return ActionResult(summary=f"it shows {seen}", value=seen)

    async def find(self, call: ActionCall) -> Reconciliation:
        """Say whether a call took effect, where the lamp answers at all."""
        if not self.answers:
            return Reconciliation(happened=Happened.UNKNOWN, detail="the lamp is silent")
        happened = Happened.YES if self.done[call.key] else Happened.NO
        return Reconciliation(happened=happened, detail=f"looked: {happened.value}")


def lamp_actions(lamp: Lamp) -> tuple[Action, ...]:
    """Return the lamp's actions."""

    async def diff(call: ActionCall) -> DryRun:
        return DryRun(diff="- dark\n+ light", pinned={"seen": 1})

    switch_on = Action(
        name="lamp.on",
        version=1,
        summary="Switch the lamp on.",
        effect=Effect.MUTATE,
        risk=Risk.R1,
        idempotent=False,
        arguments=_ANY,
        handler=lamp.handle,
        dry_run=diff,
        reconcile=lamp.find,
        undo=lambda call, result: Undo(uses="lamp.off@1", arguments={"of": call.key}),
    )
    return (
        switch_on,
        replace(switch_on, name="lamp.off", undo=None, dry_run=None),
        replace(switch_on, name="lamp.blind", reconcile=None, undo=None),
        replace(
            switch_on,
            name="lamp.set",
            idempotent=True,
            arguments=_VALUE,
            transient=frozenset({Transient.CONFLICT, Transient.TIMEOUT}),
        ),
        replace(switch_on, name="lamp.once", transient=frozenset({Transient.CONFLICT})),
        replace(switch_on, name="lamp.hand", manual=True, reconcile=None, undo=None),
        replace(switch_on, name="lamp.wide", risk=Risk.R3, undo=None),
        replace(
            switch_on,
            name="lamp.trap",
            undo=lambda call, result: Undo(uses="lamp.wide@1", arguments={}),
        ),
        Action(
            name="lamp.look",
            version=1,
            summary="Look at the lamp.",
            effect=Effect.READ,
            risk=Risk.R0,
            idempotent=True,
            arguments=_ANY,
            handler=lamp.look,
        ),
        Action(
            name="lamp.wait",
            version=1,
            summary="Wait for the lamp.",
            effect=Effect.READ,
            risk=Risk.R0,
            idempotent=True,
            arguments=_ANY,
            handler=lamp.handle,
            waiting=True,
        ),
    )


SHINES = Verification(
    uses="lamp.look@1",
    arguments={},
    expect=Expectation(equals=1.0),
    within=60.0,
    every=5.0,
    consecutive=2,
)


def step(id: str = "one", uses: str = "lamp.on@1", **changes: Any) -> Step:
    """Return a step without verification."""
    made = Step(id=id, title=f"Step {id}", uses=uses, arguments={}, risk=None, timeout=5.0,
                verify=None, on_failure=OnFailure.ESCALATE)  # fmt: skip
    return replace(made, **changes)


def runbook(
    *steps: Step, approval: Mapping[Risk, tuple[ApprovalGroup, ...]] = {}, **changes: Any
) -> Runbook:
    """Return a runbook with these steps."""
    made = Runbook(
        id="light",
        version=1,
        title="Let there be light",
        owner="lighting",
        review=Review(by="dana", at=date(2026, 11, 1), max_age_days=180),
        match=Match(),
        parameters=(),
        approval=approval,
        diagnose=(),
        steps=steps or (step(),),
        sections={},
        path="lamp/light.md",
        digest="0" * 64,
    )
    return replace(made, **changes)


class World:
    """One database, one lamp, and what people and workers do with them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = FakeClock()
        self.lamp = Lamp()
        self.actions = {a.reference: a for a in lamp_actions(self.lamp)}
        self.database = SqliteDatabase(path, self.clock)
        self.database.open()
        self.chat = FakeChat(self.clock)
        self.chat.people |= {p.id: p for p in (DANA, PRIYA, MARCUS, ROBOT, *BENCH)}
        self.catalog = Catalog()
        self.calendars = FakeCalendars()
        self.switches = SwitchService(self.database, self.clock)
        self.brakes = Brakes(BreakerRules())
        self.autonomy = AutonomyService(self.database, self.clock)
        self.emergencies = EmergencyService(self.database, self.clock)
        self.runs = RunService(
            self.database, self.clock, emergencies=self.emergencies, brakes=self.brakes
        )
        self.policy: Policy = RiskPolicy()
        self.book = runbook()
        self.outputs: Outputs | None = None
        self.redact: Redact = unredacted
        self._numbers = itertools.count()
        self.lamp.before = self._announced

    def change(self, reference: str, **changes: object) -> None:
        """Change an action of the registry, as a release would."""
        self.actions[reference] = replace(self.actions[reference], **changes)  # type: ignore[arg-type]

    async def _announced(self, call: ActionCall) -> None:
        """Hold every effect against its intent, which must be committed by now."""
        async with self.database.reading() as view:
            intent = await view.effects.get(call.key)
        if intent is None or intent.state is not EffectState.INTENDED:
            self.lamp.unannounced.append(call.key)

    # People.

    def caller(self, person: Person) -> Caller:
        """Return a person with a fresh request."""
        return Caller(person=person, request=f"request-{next(self._numbers)}")

    async def ask(
        self, *steps: Step, by: Person = DANA, subject: str = "", **changes: Any
    ) -> RunId:
        """Ask for a run of these steps, for an alert of its own unless one is named."""
        self.book = runbook(*steps, **changes)
        for groups in self.book.approval.values():
            for named in groups:
                self.chat.user_groups.setdefault(named.group, [p.id for p in BENCH])
        caller = self.caller(by)
        run = await self.runs.request(
            self.book, {}, subject=subject or f"group of {caller.request}", labels={},
            incident=None, service=None,
            by=caller,
        )  # fmt: skip
        return run.id

    async def planned(self, *steps: Step, **changes: Any) -> RunId:
        """Ask for a run and let it be planned."""
        id = await self.ask(*steps, **changes)
        await self.move()
        return id

    async def approve(self, id: RunId, by: Person = PRIYA, *groups: str) -> Run:
        """Approve the plan as it is shown now."""
        run = await self.run(id)
        assert run.plan is not None
        for group in groups:
            members = self.chat.user_groups.setdefault(group, [])
            members += [by.id] if by.id not in members else []
        return await self.runs.approve(
            id,
            digest=run.plan.digest,
            standing=await self.people.standing(by.id),
            channel=ChannelId(run.subject.removeprefix(CHANNEL))
            if run.subject.startswith(CHANNEL)
            else None,
            by=self.caller(by),
        )

    @property
    def people(self) -> PeopleService:
        """Return people as governance sees them."""
        return PeopleService(self.chat, self.catalog)

    @property
    def governor(self) -> Governor:
        """Return what stands above plans."""
        return Governor(
            Rules(
                policy=self.policy,
                catalog=self.catalog,
                calendars=self.calendars,
                switches=self.switches,
                brakes=self.brakes,
                autonomy=self.autonomy,
                emergencies=self.emergencies,
                privacy=UNKEYED,
            )
        )

    async def deny(self, id: RunId, by: Person = PRIYA) -> Run:
        """Deny the plan as it is shown now."""
        run = await self.run(id)
        assert run.plan is not None
        return await self.runs.deny(
            id, digest=run.plan.digest, reason="not now", by=self.caller(by)
        )

    # Workers.

    def worker(self, database: Database | None = None, **pace: Any) -> RunWorker:
        """Return a worker that has just been started: it remembers nothing."""
        database = database or self.database
        governor = self.governor
        gate = self.gate = ActionGate(
            database,
            self.clock,
            registry=Registry(self.actions.values()),
            governor=governor,
            people=self.people,
            outputs=self.outputs,
            redact=self.redact,
        )
        planner = Planner(
            database,
            gate,
            governor=governor,
            people=self.people,
            runbooks={self.book.id: self.book},
            expiries=Expiries(answer_within=ANSWER_WITHIN, execute_within=EXECUTE_WITHIN),
        )
        return RunWorker(
            database,
            self.clock,
            gate=gate,
            planner=planner,
            governor=governor,
            pace=Pace(lease=LEASE, **pace),
        )

    async def claim(self) -> Claim | None:
        """Claim what is due, as a worker does."""
        async with self.database.transaction() as tx:
            return await tx.runs.claim(now=self.clock.now(), lease=LEASE, worker="w")

    async def claimed(self) -> Claim:
        """Claim what must be due."""
        claim = await self.claim()
        assert claim is not None
        return claim

    async def move(self, worker: RunWorker | None = None) -> bool:
        """Make one move that is due, if any is."""
        claim = await self.claim()
        if claim is None:
            return False
        await (worker or self.worker()).move(claim)
        return True

    async def work(self, *, patience: float = 0) -> None:
        """Make every move that is due, and let `patience` seconds pass in between."""
        left = patience
        while True:
            while await self.move():
                pass
            if left <= 0:
                return
            self.clock.advance(seconds=1)
            left -= 1

    # What is there.

    async def run(self, id: RunId) -> Run:
        """Return a run as it stands."""
        return await self.runs.get(id)

    async def state(self, id: RunId) -> RunState:
        """Return where a run stands."""
        return (await self.run(id)).state

    async def rollback(self, id: RunId) -> Run:
        """Return the run that takes another back."""
        return next(r for r in await self.runs.recent() if r.parent == id)

    async def effect(self, id: RunId, step: str = "one") -> EffectRecord | None:
        """Return the record of an effect."""
        async with self.database.reading() as view:
            return await view.effects.get(f"{id}:{step}")

    def ledger(self) -> list[Mapping[str, Any]]:
        """Return every entry, oldest first."""
        return list(read_entries(self.path, incident="", last=100_000))

    async def check(self) -> None:
        """Hold what must hold after every story."""
        verdict = await self.database.archive.verify()
        assert verdict.ok, verdict
        assert self.lamp.unannounced == []
        open_intents: Counter[str] = Counter()
        for entry in self.ledger():
            if entry["type"] == "action.intent":
                open_intents[entry["idem_key"]] += 1
            if entry["type"] == "action.outcome":
                assert open_intents[entry["idem_key"]], f"an outcome before its intent: {entry}"


async def until(look: Callable[[], Awaitable[bool]], *, seconds: float = 20) -> None:
    """Wait for something that workers of their own bring about."""
    async with asyncio.timeout(seconds):
        while not await look():  # noqa: ASYNC110  # it becomes true in rows, which tell nobody
            await asyncio.sleep(0.01)


@asynccontextmanager
async def world_at(path: Path) -> AsyncIterator[World]:
    """Open a world and hold it to its promises when the story is over."""
    world = World(path)
    try:
        yield world
        await world.check()
    finally:
        await world.database.close()
