"""A small Tocsin in a folder: real database, keys, gate, engine, checkpoints and anchor."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from bot.domain.actions import ActionCall
from bot.domain.breakers import BreakerRules
from bot.domain.catalog import Catalog
from bot.domain.effects import EffectState
from bot.domain.errors import AlreadyDone, Refused
from bot.domain.messages import Message
from bot.domain.people import Caller, ChannelId, Person
from bot.domain.policy import RiskPolicy
from bot.domain.runbooks import Runbook
from bot.domain.runs import Run, RunId, RunState
from bot.ledger.anchors.files import FileAnchor
from bot.ledger.signing import FileKey, verify_ed25519
from bot.ledger.subjects import SubjectKeys
from bot.ports import Claim
from bot.services.actions import ActionGate
from bot.services.anchoring import Pace as AnchorPace
from bot.services.autonomy import AutonomyService
from bot.services.brakes import Brakes
from bot.services.checkpoints import CheckpointService
from bot.services.emergencies import EmergencyService
from bot.services.engine import Pace, RunWorker
from bot.services.governing import Governor, Rules
from bot.services.people import PeopleService
from bot.services.planning import Expiries, Planner
from bot.services.posts import PostService
from bot.services.registry import Registry
from bot.services.runs import RunService
from bot.services.switches import SwitchService
from bot.storage.sqlite import SqliteDatabase
from tests.fakes import FakeCalendars, FakeClock
from tests.faults.bells import Bells, FileChat, append
from tests.services.gate_world import BENCH, DANA, MARCUS, PRIYA, runbook, step

ORIGIN = "tocsin.example/faults"
ROOM = ChannelId("C1")
LEASE = 15.0
QUICK = AnchorPace(first_retry=0.01, longest_retry=0.05, within=2)
# Whoever looks for a stroke that broke off waits that long: its call may be under way still.
SECONDS = 2.0
EVERYTHING = runbook(
    step("ring", "bell.ring@1", timeout=SECONDS),
    step("unheard", "bell.unheard@1", timeout=SECONDS),
    step("peal", "bell.peal@1", timeout=SECONDS),
)


def nothing(_point: str) -> None:
    """Take no notice of how far a run has come."""


class House:
    """One process of the assistant, and the world that outlives it, in one folder.

    `reached` is called at each of the points `intent`, `effect`, `outcome` and
    `card`, right after what they name.
    """

    reached: Callable[[str], None] = staticmethod(nothing)

    def __init__(
        self, folder: Path, clock: FakeClock, *, book: Runbook = EVERYTHING, within: float = 2
    ) -> None:
        self.folder, self.clock, self.book = folder, clock, book
        folder.mkdir(parents=True, exist_ok=True)
        self.bells = Bells(folder / "bells")
        self.bells.before, self.bells.after = self._announced, self._rang
        self.keys = SubjectKeys(folder / "keys")
        self.database = SqliteDatabase(folder / "tocsin.db", clock, self.keys)
        self.database.open()
        self.chat = FileChat(folder / "cards", posted=lambda: self.reached("card"))
        self.chat.people |= {p.id: p for p in (DANA, PRIYA, MARCUS, *BENCH)}
        self.people = PeopleService(self.chat, Catalog())
        self.posts = PostService(self.database, self.chat)
        self.switches = SwitchService(self.database, clock)
        self.calendars = FakeCalendars()
        self.emergencies = EmergencyService(self.database, clock)
        self.brakes = Brakes(BreakerRules())
        self.runs = RunService(
            self.database, clock, emergencies=self.emergencies, brakes=self.brakes
        )
        self.checkpoints = self._checkpoints(within)
        self.database.on_commit(self.checkpoints.wake)
        self.worker = self._worker()
        self._numbers = 0

    def _checkpoints(self, within: float) -> CheckpointService:
        anchors = self.folder / "anchors"
        anchors.mkdir(exist_ok=True)
        return CheckpointService(
            self.database,
            self.database.archive,
            self.clock,
            signer=FileKey.load_or_create(self.folder / "log.key", ORIGIN),
            verify=verify_ed25519,
            origin=ORIGIN,
            anchors=[FileAnchor(anchors / "log")],
            every_entries=5,
            within=within,
            pace=QUICK,
        )

    def _worker(self) -> RunWorker:
        governor = Governor(
            Rules(
                policy=RiskPolicy(),
                catalog=Catalog(),
                calendars=self.calendars,
                switches=self.switches,
                brakes=self.brakes,
                autonomy=AutonomyService(self.database, self.clock),
                emergencies=self.emergencies,
                privacy=self.keys,
                ledger_fault=lambda: self.checkpoints.fault,
            )
        )
        gate = ActionGate(
            self.database,
            self.clock,
            registry=Registry(self.bells.actions()),
            governor=governor,
            people=self.people,
            covered=self.checkpoints.ensure_covered,
        )
        planner = Planner(
            self.database,
            gate,
            governor=governor,
            people=self.people,
            runbooks={self.book.id: self.book},
            expiries=Expiries(answer_within=600, execute_within=600),
        )
        return RunWorker(
            self.database,
            self.clock,
            gate=gate,
            planner=planner,
            governor=governor,
            pace=Pace(lease=LEASE, poll=0.02),
        )

    async def _announced(self, call: ActionCall) -> None:
        """Note an effect without a committed intent, where it outlives this process."""
        async with self.database.reading() as view:
            intent = await view.effects.get(call.key)
        if intent is None or intent.state is not EffectState.INTENDED:
            append(self.folder / "unannounced", call.key)
        self.reached("intent")

    async def _rang(self) -> None:
        self.reached("effect")

    async def close(self) -> None:
        """Let go of everything, as a process does that ends well."""
        await self.checkpoints.stop()
        await self.database.close()

    def use(self, book: Runbook) -> None:
        """Have another runbook from now on, as after a restart with new pages."""
        self.book = book
        self.worker = self._worker()

    # People.

    def caller(self, person: Person, request: str = "") -> Caller:
        """Return a person with a request, a fresh one unless it is named."""
        self._numbers += 1
        return Caller(person=person, request=request or f"{self.folder.name}-{self._numbers}")

    async def ask(self, request: str = "ask", subject: str = "group 1") -> Run:
        """Ask for a run of the house's runbook."""
        return await self.runs.request(
            self.book, {}, subject=subject, labels={}, incident=None, service=None,
            by=self.caller(DANA, request),
        )  # fmt: skip

    async def approve(self, id: RunId, by: Person) -> Run:
        """Approve a run's plan; the same press may come again."""
        run = await self.runs.get(id)
        assert run.plan is not None
        return await self.runs.approve(
            id,
            digest=run.plan.digest,
            standing=await self.people.standing(by.id),
            channel=None,
            by=self.caller(by, f"approve {id} {by.id}"),
        )

    # The machine.

    async def claim(self) -> Claim | None:
        """Claim what is due."""
        async with self.database.transaction() as tx:
            return await tx.runs.claim(now=self.clock.now(), lease=LEASE, worker="w")

    async def move(self) -> bool:
        """Make one move that is due and show it, if any is."""
        claim = await self.claim()
        if claim is None:
            return False
        await self.worker.move(claim)
        self.reached("outcome")
        await self.show(claim.run.id)
        return True

    async def show(self, id: RunId) -> None:
        """Bring the card of a run up to date."""
        run = await self.runs.get(id)
        await self.posts.show(f"run-{id}", Message(summary=run.state), channel=ROOM)

    async def newest(self) -> Run | None:
        """Return the run of this house, if it was ever asked for."""
        return next(iter(await self.runs.recent()), None)

    # What a person or a supervisor does after a crash.

    async def finish(self) -> Run | None:
        """Carry the story to its end after a restart, as people and workers would."""
        await self.checkpoints.start()
        run = await self.newest()
        while run is not None and (not run.state.over or run.state is RunState.IN_DOUBT):
            await self._help(run)
            while await self.move():
                pass
            run = await self.runs.get(run.id)
            self.clock.advance(seconds=1)  # a claim that broke off has to run out
        if run is not None:
            await self.show(run.id)
        await self.checkpoints.ensure_covered()
        return run

    async def _help(self, run: Run) -> None:
        """Do what the run waits for: consent that is missing, or somebody who looks."""
        if run.state is RunState.AWAITING:
            for person in (PRIYA, MARCUS):
                try:
                    await self.approve(run.id, person)
                except (AlreadyDone, Refused):
                    continue
        if run.state is RunState.IN_DOUBT and run.step is not None:
            rang = self.bells.strokes[run.effect_key(run.step)]
            happened = "yes" if rang else "no"
            await self.runs.settle(run.id, happened=happened, by=self.caller(PRIYA))


@asynccontextmanager
async def house_at(
    folder: Path, now: datetime, *, book: Runbook = EVERYTHING, within: float = 2
) -> AsyncIterator[House]:
    """Open a house and let go of it."""
    house = House(folder, FakeClock(now), book=book, within=within)
    try:
        yield house
    finally:
        await house.close()
