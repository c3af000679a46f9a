"""The real engine in a house of its own: a throw-away database, made-up people and actions."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import cast

from bot.domain.actions import Action, Risk
from bot.domain.breakers import BreakerRules
from bot.domain.catalog import Catalog
from bot.domain.people import Caller, Person
from bot.domain.policy import RiskPolicy
from bot.domain.runbooks import Review, Runbook
from bot.domain.runs import Run, RunId, RunState
from bot.ports import Chat, Clock, Database, Privacy
from bot.services.actions import ActionGate
from bot.services.autonomy import AutonomyService
from bot.services.brakes import Brakes
from bot.services.emergencies import EmergencyService
from bot.services.engine import RunWorker
from bot.services.governing import Governor, Rules
from bot.services.people import PeopleService
from bot.services.planning import Expiries, Planner
from bot.services.registry import Registry
from bot.services.runs import RunService
from bot.services.switches import SwitchService
from bot.trial.cast import ASKER, BENCH, Cast, NoCalendars, StageClock
from bot.trial.stage import Stage, puppets

LEASE = 60.0
MOST_MOVES = 20_000
# Between two stories, so that no brake remembers the one before.
_BETWEEN = timedelta(days=3).total_seconds()
_DAY = 86400.0
# Stories fail on purpose, again and again: no breaker is to open on the stage.
_PATIENT = BreakerRules(troubles=1000, fleet=1000, loop=1000)
# Pages that destroy data are tried as well; who may run them, the real policy says.
_POLICY = RiskPolicy(counts={Risk.R0: 0, Risk.R1: 1, Risk.R2: 1, Risk.R3: 2, Risk.R4: 2})


class Stuck(Exception):
    """A run that never ends."""


class House:
    """Runs runbooks by the real engine; what they meet is `stage`."""

    def __init__(
        self,
        database: Database,
        clock: StageClock,
        *,
        privacy: Privacy,
        actions: Mapping[str, Action],
    ) -> None:
        self.stage = Stage()
        self.clock = clock
        self._database = database
        self._cast = Cast()
        self._books: dict[str, Runbook] = {}
        self._tick = 1.0
        self._people = PeopleService(cast(Chat, self._cast), Catalog())
        self.runs, self._worker = self._engine(database, clock, privacy, actions)

    def _engine(
        self, database: Database, clock: Clock, privacy: Privacy, actions: Mapping[str, Action]
    ) -> tuple[RunService, RunWorker]:
        emergencies, brakes = EmergencyService(database, clock), Brakes(_PATIENT)
        rules = Rules(
            policy=_POLICY,
            catalog=Catalog(),
            calendars=NoCalendars(),
            switches=SwitchService(database, clock),
            brakes=brakes,
            autonomy=AutonomyService(database, clock),
            emergencies=emergencies,
            privacy=privacy,
        )
        governor = Governor(rules)
        gate = ActionGate(
            database,
            clock,
            registry=Registry(puppets(lambda: self.stage, actions)),
            governor=governor,
            people=self._people,
        )
        planner = Planner(
            database,
            gate,
            governor=governor,
            people=self._people,
            runbooks=self._books,
            expiries=Expiries(answer_within=_DAY, execute_within=_DAY),
        )
        worker = RunWorker(database, clock, gate=gate, planner=planner, governor=governor)
        return RunService(database, clock, emergencies=emergencies, brakes=brakes), worker

    # What people do.

    def _caller(self, person: Person) -> Caller:
        return Caller(person=person, request=f"trial-{uuid.uuid4().hex}")

    async def ask(self, book: Runbook, given: Mapping[str, str], stage: Stage) -> Run:
        """Set a stage and let a runbook be planned on it, at a time of its own.

        Raises:
            Refused: the engine will not have it.
        """
        self.stage = stage
        self.clock.advance(_BETWEEN)
        today = self.clock.now().date()
        book = replace(book, review=Review(by="trial", at=today, max_age_days=3650), editor="")
        self._books[book.id] = book
        self._tick = _tick(book)
        stage.targets = frozenset(name for step in book.steps for name in step.targets)
        self._cast.groups = {g.group for groups in book.approval.values() for g in groups}
        asked = self._caller(ASKER)
        run = await self.runs.request(
            book,
            given,
            subject=f"group of {asked.request}",
            labels={},
            incident=None,
            service=next(iter(book.match.services), None),
            by=asked,
        )
        return await self._played(run.id, until_planned=stage)

    async def approve(self, run: Run) -> Run:
        """Let as many people agree as the plan needs.

        Raises:
            Refused: somebody may not, although the page names their group.
        """
        for person in BENCH:
            run = await self.runs.get(run.id)
            if run.state is not RunState.AWAITING or run.plan is None:
                break
            standing = await self._people.standing(person.id)
            await self.runs.approve(
                run.id,
                digest=run.plan.digest,
                standing=standing,
                channel=None,
                by=self._caller(person),
            )
        return await self.runs.get(run.id)

    async def undo(self, run: Run) -> Run:
        """Take a run's effects back, to the end of that."""
        back = await self.runs.undo(run.id, by=self._caller(ASKER))
        await self._played(back.id)
        return await self.play(await self.approve(back), "yes")

    async def play(self, run: Run, answer: str) -> Run:
        """Let a run go on to its end; a person who has to do something says `answer`."""
        run = await self._played(run.id)
        while run.state is RunState.MANUAL and run.step is not None:
            step = run.step.id
            happened = "no" if step == self.stage.fails else answer
            await self.runs.done(
                run.id, step, happened=happened, note="in the trial", by=self._caller(ASKER)
            )
            if happened == "yes":
                self.stage.performed.append(f"{run.id}:{step}")
                self.stage.done(step)
            run = await self._played(run.id)
        return run

    async def children(self, run: Run) -> list[Run]:
        """Return the runs that take a run's effects back."""
        return [r for r in await self.runs.of([run.subject]) if r.parent == run.id]

    # How time passes.

    async def _played(self, id: RunId, *, until_planned: Stage | None = None) -> Run:
        """Make every move that is due, and let time pass where all wait for it."""
        for _ in range(MOST_MOVES):
            run = await self.runs.get(id)
            if until_planned is not None and run.plan is not None:
                until_planned.open(run.plan)
                return run
            if run.state in (RunState.AWAITING, RunState.MANUAL):
                return run
            if not await self._moved() and _ended(run):
                return run
        raise Stuck(f"the run is still {run.state} after {MOST_MOVES} moves")

    async def _moved(self) -> bool:
        async with self._database.transaction() as tx:
            claim = await tx.runs.claim(now=self.clock.now(), lease=LEASE, worker="trial")
        if claim is None:
            self.clock.advance(self._tick)
            return False
        await self._worker.move(claim)
        return True


def _ended(run: Run) -> bool:
    return run.state.over and run.state is not RunState.ROLLING_BACK


def _tick(book: Runbook) -> float:
    """Return how far time goes at once, in seconds: never past a moment that matters."""
    looks = [step.verify.every for step in book.steps if step.verify is not None]
    waits = [step.retry.wait for step in book.steps if step.retry is not None]
    goal = [book.done_when.every] if book.done_when is not None else []
    return min([*looks, *waits, *goal], default=1.0)
