"""Whatever people, clocks and crashes do: nothing happens that everything that governs forbids.

Hypothesis plays requests, answers, expiries, workers that die at any point,
restarts, repeated envelopes, people who leave or change, freezes, unreadable
calendars, kill switches, changes of policy, broken glasses, standing
authorisations, autonomy, breakers, and jumps of the clock. What must hold is
worked out by `governance_model`, from books of its own.

`python -m tests.services.long_machine` plays many more histories than a test run.
"""

from __future__ import annotations

import asyncio
import atexit
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from typing_extensions import override

from bot.domain.actions import ActionCall, ActionFailed, ActionResult
from bot.domain.alerts import Severity
from bot.domain.autonomy import Autonomy, Level, autonomy_key
from bot.domain.effects import EffectState
from bot.domain.emergencies import target_of
from bot.domain.errors import AlreadyDone, Refused, Stale
from bot.domain.freezes import CalendarFault
from bot.domain.people import BOT, Caller, ChannelId, Person
from bot.domain.runs import RunId, RunState
from bot.ports import ChatError, Transaction
from tests.fakes import NOON
from tests.services.gate_world import ANSWER_WITHIN, DANA, EXECUTE_WITHIN, LEASE, MARCUS, PRIYA
from tests.services.governance_model import Asked, Consent, Glass, Model, Standing, audit
from tests.services.governance_world import (
    CHANNEL,
    DANA_TOO,
    GUEST,
    INC,
    LENA,
    LENA_TOO,
    OMAR,
    PAGES,
    PEOPLE,
    POLICIES,
    STRICT,
    GovernedWorld,
)
from tests.services.virtual_time import VirtualLoop

DAY = 86400.0
WHY = "the shop is down and every minute counts"

Do = Callable[[], None]
Doing = Coroutine[Any, Any, object]

INDEX = st.integers(0, 5)
ANYBODY = st.sampled_from(PEOPLE)
ASKERS = st.sampled_from((DANA, DANA, PRIYA, MARCUS, LENA, BOT, BOT, GUEST))
TOPICS = st.sampled_from(("api", "api", "db", "web", None))
BOOKS = st.sampled_from(tuple(PAGES))
SCOPES = st.sampled_from(("global", "service:api", "service:db", "team:shop", "team:data",
                          "runbook:back", "plugin:lamps", "plugin:walls", "file"))  # fmt: skip
TIMES = (1.0, 1.0, LEASE + 1, LEASE + 1, LEASE + 1, 121.0, EXECUTE_WITHIN, ANSWER_WITHIN, 1801.0)
NEXT = st.sampled_from((1, 1, 1, 2, 3))
MOVES = st.integers(0, 6)
LEVELS = st.sampled_from((Level.L3, Level.L3, Level.L4, Level.L1))
CHANGES = st.sampled_from(("guest", "stranger", "gone", "left", "joined", "restored"))


# The faults that are played here need not be told.
pytestmark = pytest.mark.usefixtures("silent_log")


class Crash(BaseException):
    """The worker is gone, at this very point."""


async def refuses(call: ActionCall, do: Do) -> ActionResult:
    raise ActionFailed("not now")


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


async def takes_its_time(call: ActionCall, do: Do) -> ActionResult:
    await asyncio.sleep(2)
    do()
    return ActionResult(summary="done in the end", value=1.0)


async def hangs(call: ActionCall, do: Do) -> ActionResult:
    await asyncio.sleep(DAY)
    raise AssertionError("nobody ended it")


async def hangs_after(call: ActionCall, do: Do) -> ActionResult:
    do()
    await asyncio.sleep(DAY)
    raise AssertionError("nobody ended it")


SLOW = (takes_its_time, takes_its_time, hangs, hangs_after)
BEHAVIOURS = st.sampled_from(
    (None, None, None, refuses, breaks_before, breaks_after, dies_before, dies_after, *SLOW)
)
EVENTS = st.sampled_from(
    ("crash", "crash", "overtaken", "halt", "stop", "deny", "gone", "freeze", "policy", "back")
)

Hard = tuple[int, bool, str]
HARD: st.SearchStrategy[Hard] = st.tuples(st.integers(1, 3), st.booleans(), EVENTS)
WAYS = st.sampled_from(
    (*(("halt", s) for s in ("global", "service:api", "team:shop", "plugin:lamps", "file")),
     *(("freeze", w) for w in ({}, {"service": "web"}, {"team": "front"})),
     *(("time", t) for t in (EXECUTE_WITHIN, EXECUTE_WITHIN + 1)),
     ("gone", None), ("guest", None), ("left", None))
)  # fmt: skip
LATER = st.sampled_from((LEASE + 1, LEASE + 1, EXECUTE_WITHIN))
# Another worker takes a run over when the first is gone, never beside it.
MEANWHILE = st.sampled_from(("crash", "halt", "stop", "deny", "gone", "freeze", "policy", "back"))


class Eventful:
    """A database at which something happens around one transaction of a move."""

    def __init__(self, world: GovernedWorld, *, number: int, event: Callable[[], Doing],
                 after: bool) -> None:  # fmt: skip
        self._database = world.database
        self._left = number
        self._event = event
        self._after = after
        self.reading = world.database.reading

    @asynccontextmanager
    async def transaction(self, once: str | None = None) -> AsyncIterator[Transaction]:
        """Open a transaction, and let it happen before or after the right one."""
        self._left -= 1
        mine = self._left == 0
        if mine and not self._after:
            await self._event()
        async with self._database.transaction(once) as tx:
            yield tx
        if mine and self._after:
            await self._event()


class Stage:
    """One world, one loop and one database for all histories of this process."""

    _made: Stage | None = None

    def __init__(self) -> None:
        memory = Path("/dev/shm")
        self.folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
        self.loop = VirtualLoop()
        self.world = GovernedWorld(self.folder)
        self.loop.passed = self._pass
        atexit.register(self.close)

    def _pass(self, seconds: float) -> None:
        self.world.clock.advance(seconds=seconds)

    @classmethod
    def get(cls) -> Stage:
        """Return the one there is."""
        cls._made = cls._made or Stage()
        return cls._made

    def close(self) -> None:
        """Put everything away."""
        self.world.close()
        self.loop.run_until_complete(self.world.database.close())
        self.loop.close()
        shutil.rmtree(self.folder)


class GovernanceMachine(RuleBasedStateMachine):
    """People, workers and time, in any order."""

    tally: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        stage = Stage.get()
        self.world, self.loop = stage.world, stage.loop
        self.world.begin()
        self.model = Model(self.world, self.loop.time)
        self.world.lamp.before = self.model.begins
        self.world.lamp.touched = self.model.touches
        self.last: tuple[Callable[[Caller], Awaitable[object]], Caller] | None = None
        self.ids: list[RunId] = []
        self.frozen = 0

    def do(self, work: Awaitable[Any]) -> Any:
        """Let something asynchronous happen, and look at what became of the runs."""

        async def wait() -> Any:
            return await work

        began = self.loop.time()
        try:
            return self.loop.run_until_complete(wait())
        finally:
            if self.loop.time() - began > 600:
                self.model.sins.append(f"a worker was held up for {self.loop.time() - began} s")
            self.model.look()
            self.model.ended()
            self.ids = [RunId(id) for id in self.model.asked]

    def tell(self, wish: Callable[[Caller], Awaitable[Any]], by: Person) -> Any:
        """Bring a person's wish; return what came of it, or None where it was refused."""
        caller = self.world.caller(self.world.chat.people.get(by.id, by))
        try:
            came = self.do(wish(caller))
        except (Refused, ChatError):
            return None
        self.last = wish, caller
        return came if came is not None else True

    def pick(self, index: int) -> RunId | None:
        """Return one of the runs there are."""
        return self.ids[index % len(self.ids)] if self.ids else None

    # Runs.

    @initialize(page=BOOKS, service=TOPICS)
    def begin(self, page: str, service: str | None) -> None:
        """Have a grave incident, and one run."""
        self.do(self.world.declare(Severity.SEV1))
        self._ask(page, service, PRIYA, grave=False)

    @rule(page=BOOKS, service=TOPICS, by=ASKERS, grave=st.booleans())
    def request(self, page: str, service: str | None, by: Person, grave: bool) -> None:
        """Ask for a run, and have it planned."""
        self._ask(page, service, by, grave=grave)
        self._work(None, moves=1)

    def _ask(self, page: str, service: str | None, by: Person, *, grave: bool) -> RunId | None:
        subject = str(INC) if grave else f"group {len(self.ids)}"
        incident = str(INC) if grave else None
        caller = self.world.caller(self.world.chat.people.get(by.id, by))

        async def ask() -> RunId:
            run = await self.world.ask_for(
                page, service=service, by=caller.person, subject=subject, incident=incident
            )
            self.model.asked[run.id] = Asked(
                page=page, service=service, by=caller.person, subject=subject, incident=incident
            )
            return RunId(run.id)

        try:
            found: RunId = self.do(ask())
        except Refused:
            return None
        return found

    @rule(page=BOOKS, service=TOPICS, behaviour=BEHAVIOURS, moves=MOVES)
    def go_well(self, page: str, service: str | None, behaviour: Any, moves: int) -> None:
        """Let nothing stand in a run's way."""
        self._all_well()
        self._go(page, service, PRIYA, behaviour, moves=moves)

    @rule(page=BOOKS, service=TOPICS, by=ASKERS, behaviour=BEHAVIOURS, moves=MOVES)
    def go(self, page: str, service: str | None, by: Person, behaviour: Any, moves: int) -> None:
        """Ask for a run, have it approved by whoever may, and work."""
        self._go(page, service, by, behaviour, moves=moves)

    @rule(page=BOOKS, service=TOPICS, behaviour=BEHAVIOURS, times=st.integers(2, 5))
    def go_again_and_again(
        self, page: str, service: str | None, behaviour: Any, times: int
    ) -> None:
        """Do the same several times, with the same fate."""
        for _ in range(times):
            self._go(page, service, PRIYA, behaviour, moves=6)

    @rule(page=BOOKS, service=TOPICS, level=LEVELS, behaviour=BEHAVIOURS, veto=st.booleans())
    def the_assistant_goes(
        self, page: str, service: str | None, level: Level, behaviour: Any, veto: bool
    ) -> None:
        """Let the assistant act by itself, or be stopped in time."""
        for action in ("lamp.on", "lamp.set", "lamp.blind"):
            self._give(action, service, level)
        id = self._ask(page, service, BOT, grave=False)
        self._work(None, moves=2)
        if veto and id is not None:
            self._deny(id, OMAR)
        self.world.clock.advance(seconds=121)
        self._work(behaviour, moves=5)

    @rule(page=BOOKS, service=TOPICS, way=WAYS, moves=NEXT)
    def something_changes_before_the_start(
        self, page: str, service: str | None, way: tuple[str, Any], moves: int
    ) -> None:
        """Let a run be approved, and then somebody change, a switch be pulled, or time pass."""
        self._all_well()
        self._go(page, service, PRIYA, None, moves=moves)
        kind, what = way
        if kind == "halt":
            self.do(self._halt(what, DANA))
        elif kind == "freeze":
            self.world.freeze(seconds=900.0, **what)
        elif kind == "time":
            self.world.clock.advance(seconds=what)
        else:
            self._change(MARCUS, kind)
        self._work(None, moves=3)

    @rule(page=BOOKS, service=TOPICS, dies=st.sampled_from((dies_before, dies_after)), later=LATER)
    def a_worker_dies_and_another_goes_on(
        self, page: str, service: str | None, dies: Any, later: float
    ) -> None:
        """Let a worker die at an effect, and another find it some time later."""
        self._all_well()
        self._go(page, service, PRIYA, dies, moves=2)
        self.world.clock.advance(seconds=later)
        self._work(None, moves=4)

    @rule(service=TOPICS, page=st.sampled_from(("lamp", "wide", "broad")), strict=st.booleans())
    def one_person_uses_two_accounts(self, service: str | None, page: str, strict: bool) -> None:
        """Let nobody but one person approve, by two accounts."""
        self._all_well()
        self.world.policy.current = POLICIES[STRICT if strict else 0]
        id = self._ask(page, service, PRIYA, grave=False)
        self._work(None, moves=1)
        if id is not None:
            self._approve(id, LENA, CHANNEL)
            self._approve(id, LENA_TOO, CHANNEL)
        self._work(None, moves=3)

    @rule(page=BOOKS, service=TOPICS, behaviour=st.sampled_from(SLOW), event=MEANWHILE)
    def something_happens_to_what_is_under_way(
        self, page: str, service: str | None, behaviour: Any, event: str
    ) -> None:
        """Let something happen while an effect takes its time."""
        self._all_well()
        self._go(page, service, PRIYA, None, moves=1)
        self._work_together(1, behaviour, delay=0.6, event=event)
        self._work(None, moves=2)

    def _go(
        self, page: str, service: str | None, by: Person, behaviour: Any, *, moves: int
    ) -> None:
        id = self._ask(page, service, by, grave=False)
        self._work(None, moves=1)
        if id is not None:
            self._consent(id)
        self._work(behaviour, moves=moves)

    @rule(index=INDEX, behaviour=BEHAVIOURS, moves=MOVES)
    def consent(self, index: int, behaviour: Any, moves: int) -> None:
        """Let everybody approve who may, and work."""
        id = self.pick(index)
        if id is not None:
            self._consent(id)
        self._work(behaviour, moves=moves)

    def _consent(self, id: RunId) -> None:
        for person in (MARCUS, PRIYA, LENA, OMAR, DANA):
            if self.world.run_now(id).state is not RunState.AWAITING:
                return
            self._approve(id, person, CHANNEL)

    @rule(index=INDEX, by=ANYBODY, here=st.integers(0, 4))
    def approve(self, index: int, by: Person, here: int) -> None:
        """Approve, with or without the right to, here or elsewhere."""
        id = self.pick(index)
        if id is not None:
            self._approve(id, by, CHANNEL if here else ChannelId("C-elsewhere"))

    def _approve(self, id: RunId, by: Person, channel: ChannelId) -> None:
        plan = self.world.run_now(id).plan
        if plan is None:
            return
        known: Consent | None = None

        async def wish(caller: Caller) -> Any:
            nonlocal known
            standing = await self.world.people.standing(caller.person.id)
            now = self.world.clock.now()
            known = Consent(
                person=standing.person, groups=standing.groups, digest=plan.digest, at=now
            )
            return await self.world.runs.approve(
                id, digest=plan.digest, standing=standing, channel=channel, by=caller
            )

        run = self.tell(wish, by)
        if run is not None and known is not None:
            if channel != CHANNEL:
                self.model.sins.append(f"{id}: approved from elsewhere")
            self.model.approved(id, known, run.approval.verdict)

    @rule(index=INDEX, by=ANYBODY)
    def deny(self, index: int, by: Person) -> None:
        """Deny, as far as it is allowed."""
        id = self.pick(index)
        if id is not None:
            self._deny(id, by)

    def _deny(self, id: RunId, by: Person) -> None:
        plan = self.world.run_now(id).plan
        if plan is None:
            return
        runs, digest = self.world.runs, plan.digest
        if self.tell(lambda c: runs.deny(id, digest=digest, reason="no", by=c), by):
            self.model.denied.add(id)
            self.model.acknowledged.append(("approval.denied", id, by.actor))

    @rule(index=INDEX, by=ANYBODY, what=st.sampled_from(("stop", "settle", "undo", "undo")))
    def intervene(self, index: int, by: Person, what: str) -> None:
        """Stop a run, say what became of a step in doubt, or ask to take a run back."""
        id = self.pick(index)
        if id is None:
            return
        runs = self.world.runs
        if what == "stop":
            if self.tell(lambda c: runs.stop(id, by=c), by):
                self.model.stopped[id] = self.loop.time()
                self.model.acknowledged.append(("run.stop_requested", id, by.actor))
        elif what == "settle":
            self._settle(id, by)
        else:
            self.tell(lambda c: self._undo(id, c), by)

    def _settle(self, id: RunId, by: Person) -> None:
        run = self.world.run_now(id)
        if run.step is not None:
            happened = "yes" if self.world.lamp.done[run.effect_key(run.step)] else "no"
            self.tell(lambda c: self.world.runs.settle(id, happened=happened, by=c), by)

    async def _undo(self, id: RunId, caller: Caller) -> Any:
        undo = await self.world.runs.undo(id, by=caller)
        done = self.model.asked[id]
        self.model.asked[undo.id] = replace(done, by=caller.person, parent=id)
        return undo

    @rule()
    def repeat_the_last_wish(self) -> None:
        """Deliver an envelope again."""
        if self.last is None:
            return
        wish, caller = self.last
        try:
            self.do(wish(caller))
        except (AlreadyDone, Refused, ChatError):
            return
        self.model.sins.append("a repeated envelope was taken")

    # People.

    @rule(who=st.sampled_from((DANA, PRIYA, MARCUS, LENA)), change=CHANGES)
    def somebody_changes(self, who: Person, change: str) -> None:
        """Let somebody become a guest, leave, come back, or change groups."""
        self._change(who, change)

    def _change(self, who: Person, change: str) -> None:
        chat, now = self.world.chat, self.world.chat.people[who.id]
        if change == "joined":
            for group in ("sre", "shop"):
                chat.user_groups[group].append(who.id)
        elif change == "left":
            for members in chat.user_groups.values():
                members[:] = [m for m in members if m != who.id]
        else:
            chat.people[who.id] = {
                "guest": replace(now, guest=True),
                "stranger": replace(now, stranger=True),
                "gone": replace(now, active=False),
            }.get(change, who)

    @rule(moves=st.integers(1, 3))
    def the_chat_is_down(self, moves: int) -> None:
        """Let workers try while nobody can be looked up."""
        self.world.chat.down = True
        self._work(None, moves=moves)
        self.world.chat.down = False

    # What governs.

    @rule(scope=SCOPES, by=ANYBODY, moves=MOVES)
    def halt(self, scope: str, by: Person, moves: int) -> None:
        """Pull a switch, and let workers try."""
        self.do(self._halt(scope, by))
        self._work(None, moves=moves)

    async def _halt(self, scope: str, by: Person) -> None:
        if scope == "file":
            self.world.halt_file = True
        else:
            caller = self.world.caller(self.world.chat.people[by.id])
            try:
                await self.world.switches.halt("wait", scope=scope, by=caller)
            except Refused:
                return
        self.model.halted(scope)

    @rule(first=ANYBODY, second=ANYBODY)
    def release(self, first: Person, second: Person) -> None:
        """Let go of what is pulled, as far as these two may."""
        self._release_all(first, second)

    def _release_all(self, first: Person, second: Person) -> None:
        if self.model.pulled.pop("file", None) is not None:
            self.world.halt_file = False
        for scope in tuple(self.model.pulled):
            for by in (first, second):
                left = self.tell(lambda c, s=scope: self._release(s, c), by)  # type: ignore[misc]
                if left is not None:
                    self.model.asked_release(scope, by, released=left == "released")

    async def _release(self, scope: str, caller: Caller) -> str:
        left = await self.world.switches.release(scope=scope, by=caller)
        return "released" if left is None else "asked"

    @rule(
        seconds=st.sampled_from((10.0, 900.0, DAY)),
        where=st.sampled_from(("", "service:api", "service:web", "team:data", "team:front")),
        moves=MOVES,
    )
    def a_freeze_begins(self, seconds: float, where: str, moves: int) -> None:
        """Let a change freeze begin, and workers try."""
        kind, _, name = where.partition(":")
        self.world.freeze(seconds=seconds, **({kind: name} if kind else {}))
        self._work(None, moves=moves)

    @rule()
    def everything_is_well_again(self) -> None:
        """Let all freezes end, everybody come back, and the switches be released."""
        self._all_well()

    def _all_well(self) -> None:
        self.world.calendars.windows.clear()
        self.world.calendars.faults.clear()
        self.world.chat.people = {p.id: p for p in PEOPLE}
        self._release_all(DANA, PRIYA)

    @rule()
    def a_calendar_is_torn_or_mended(self) -> None:
        """Let a calendar become unreadable, or readable again."""
        faults = self.world.calendars.faults
        faults[:] = [] if faults else [CalendarFault(source="freezes.ics", reason="torn")]

    @rule(number=st.integers(0, len(POLICIES) - 1))
    def the_policy_changes(self, number: int) -> None:
        """Put another policy into force."""
        self.world.policy.current = POLICIES[number]

    @rule(page=BOOKS, service=TOPICS, by=ANYBODY, moves=MOVES, behaviour=BEHAVIOURS)
    def break_the_glass(
        self, page: str, service: str | None, by: Person, moves: int, behaviour: Any
    ) -> None:
        """Break the glass and ask for the run it is for."""
        caller_human = self.world.chat.people[by.id].human

        async def wish(caller: Caller) -> Any:
            return await self.world.emergencies.break_glass(
                page, service, incident=INC, typed=target_of(page, service), reason=WHY, by=caller
            )

        glass = self.tell(wish, by)
        if glass is not None:
            if not self.model.grave or by.bot:
                self.model.sins.append("the glass was broken without an emergency")
            now = self.world.clock.now()
            self.model.glasses[glass.id] = Glass(
                human=caller_human, page=page, service=service,
                expires_at=now + timedelta(minutes=15),
            )  # fmt: skip
        self._ask(page, service, by, grave=True)
        self._work(behaviour, moves=2 * moves)

    @rule(grave=st.booleans())
    def the_incident_is_judged_anew(self, grave: bool) -> None:
        """Let the incident be grave, or not."""
        self.model.grave = grave
        self.do(self.world.declare(Severity.SEV2 if grave else Severity.SEV3))

    @rule(
        page=BOOKS,
        service=st.sampled_from(("api", "db")),
        second=st.sampled_from((PRIYA, PRIYA, OMAR, OMAR, DANA, DANA_TOO, GUEST)),
        days=st.sampled_from((1, 30)),
        moves=MOVES,
    )
    def authorise(self, page: str, service: str, second: Person, days: int, moves: int) -> None:
        """Propose a standing authorisation, let somebody give it, and ask for its run."""
        team, first = ("shop", DANA) if service == "api" else ("data", MARCUS)

        async def propose(caller: Caller) -> Any:
            standing = await self.world.people.standing(first.id)
            return await self.world.emergencies.authorise(
                PAGES[page], service, days=days, reason=WHY, by=caller, standing=standing, team=team
            )

        proposal = self.tell(propose, first)
        if proposal is None:
            return

        async def confirm(caller: Caller) -> Any:
            standing = await self.world.people.standing(caller.person.id)
            editors = await self.world.people.editors(PAGES[page])
            return await self.world.emergencies.confirm(
                proposal.id, by=caller, standing=standing, editors=editors
            )

        if self.tell(confirm, second):
            if second.human == first.human:
                self.model.sins.append("one person authorised by themselves")
            until = self.world.clock.now() + timedelta(days=days)
            self.model.authorised[proposal.id] = Standing(page=page, service=service, until=until)
        self._ask(page, service, LENA, grave=False)
        self._work(None, moves=moves)

    @rule(by=ANYBODY)
    def revoke(self, by: Person) -> None:
        """End the standing authorisations there are."""
        for id in tuple(self.model.authorised):
            if self.tell(lambda c, i=id: self.world.emergencies.revoke(i, by=c), by):  # type: ignore[misc]
                del self.model.authorised[id]

    def _give(self, action: str, service: str | None, level: Level) -> None:
        """Let the assistant have earned a level."""

        async def give() -> None:
            async with self.world.database.transaction() as tx:
                given = Autonomy(action=action, service=service or "", level=level)
                await tx.autonomy.save(autonomy_key(action, service), given)

        self.do(give())
        self.model.levels[action, service] = level

    # The world.

    @rule(seconds=st.sampled_from(TIMES), moves=st.integers(0, 3))
    def time_passes(self, seconds: float, moves: int) -> None:
        """Let time pass, and workers work."""
        self.world.clock.advance(seconds=seconds)
        self._work(None, moves=moves)

    @rule(seconds=st.sampled_from((DAY, -DAY)))
    def the_clock_jumps(self, seconds: float) -> None:
        """Let the clock be set, by a day."""
        self.world.clock.advance(seconds=seconds)
        self.model.jumped = True

    @rule(answers=st.booleans(), seen=st.sampled_from((0.0, 1.0)), anchors=st.booleans())
    def the_world_changes(self, answers: bool, seen: float, anchors: bool) -> None:
        """Let the lamp answer or not, shine or not, and let the record be confirmed or not."""
        self.world.lamp.answers, self.world.lamp.seen = answers, seen
        self.world.anchors = anchors

    # Workers.

    @rule(behaviour=BEHAVIOURS, moves=st.integers(1, 6))
    def work(self, behaviour: Any, moves: int) -> None:
        """Make moves; the first action behaves as it does."""
        self._work(behaviour, moves=moves)

    def _work(self, behaviour: Any, *, moves: int) -> None:
        self.world.lamp.behaviour = [behaviour] if behaviour else []
        for _ in range(moves):
            self.do(self._move())

    @rule(hard=HARD, behaviour=BEHAVIOURS)
    def work_in_hard_times(self, hard: Hard, behaviour: Any) -> None:
        """Make a move in which something happens before or after one of its transactions."""
        self._work_hard(hard, behaviour)

    @rule(page=BOOKS, service=TOPICS, hard=HARD, behaviour=BEHAVIOURS, moves=NEXT)
    def go_in_hard_times(
        self, page: str, service: str | None, hard: Hard, behaviour: Any, moves: int
    ) -> None:
        """Let it happen around an effect of a run of its own."""
        self._all_well()
        self._go(page, service, PRIYA, None, moves=moves)
        self._work_hard(hard, behaviour)
        self._work(None, moves=2)

    def _work_hard(self, hard: Hard, behaviour: Any) -> None:
        number, after, event = hard
        # Who people are is looked up before the transaction, and cannot be read within it.
        after = after or event == "gone"
        self.world.lamp.behaviour = [behaviour] if behaviour else []
        database = Eventful(
            self.world, number=number, event=lambda: self._event(event), after=after
        )
        self.do(self._move(database))

    @rule(
        workers=st.integers(1, 3),
        behaviour=st.sampled_from(SLOW),
        delay=st.sampled_from((0.05, 0.5, 1.0, 3.0)),
        event=MEANWHILE,
    )
    def work_together(self, workers: int, behaviour: Any, delay: float, event: str) -> None:
        """Let workers work side by side while something happens to what is under way."""
        self._work_together(workers, behaviour, delay=delay, event=event)

    def _work_together(self, workers: int, behaviour: Any, *, delay: float, event: str) -> None:
        self.world.lamp.behaviour = [behaviour] * workers

        async def later() -> None:
            await asyncio.sleep(delay)
            with suppress(Crash):
                await self._event(event)

        async def together() -> None:
            await asyncio.gather(*(self._move() for _ in range(workers)), later())

        self.do(together())

    async def _move(self, database: Any = None) -> None:
        claim = await self.world.claim()
        if claim is None:
            return
        with suppress(Crash, Stale):
            await self.world.worker(database).move(claim)
        self.model.look()

    async def _event(self, event: str) -> None:
        """Let something happen; what was announced by now is judged as things stand."""
        self.model.look()
        self.model.foresee()
        if event == "crash":
            raise Crash
        if event == "overtaken":
            self.world.clock.advance(seconds=LEASE + 1)
            await self._move()
        elif event == "halt":
            await self._halt("global", DANA)
        elif event == "stop":
            await self._stop_everything()
        elif event == "deny":
            await self._deny_everything()
        elif event == "gone":
            self._change(MARCUS, "gone")
        elif event == "freeze":
            self.world.freeze(seconds=900.0)
        elif event == "policy":
            self.world.policy.current = POLICIES[2]
        elif event == "back":
            self.world.clock.advance(seconds=-DAY)
            self.model.jumped = True

    async def _stop_everything(self) -> None:
        for id in self.ids:
            caller = self.world.caller(DANA)
            with suppress(Refused):
                await self.world.runs.stop(id, by=caller)
                self.model.stopped[id] = self.loop.time()

    async def _deny_everything(self) -> None:
        for id in self.ids:
            plan = self.world.run_now(id).plan
            with suppress(Refused):
                if plan is not None:
                    caller = self.world.caller(OMAR)
                    await self.world.runs.deny(id, digest=plan.digest, reason="no", by=caller)
                    self.model.denied.add(id)

    # What must hold.

    @override
    def teardown(self) -> None:
        """Let everything come to its end, and hold the record against what happened."""
        tally = GovernanceMachine.tally
        tally["histories"] += 1
        self.do(self._come_to_an_end())
        self.do(self.world.check())
        entries = self.world.ledger()
        assert self.model.sins == [], self.model.sins
        faults = audit(entries, self.model)
        assert faults == [], faults
        for key, times in self.world.lamp.done.items():
            uses = self.do(self.world.effect_of(key)).uses
            assert times == 1 or uses == "lamp.set@1", f"{key} happened {times} times"
        for id in self.ids:
            self._hold_run(id)
        tally.update(self.model.seen)
        tally.update(f"ledger {e['type']}" for e in entries)

    async def _come_to_an_end(self) -> None:
        world = self.world
        world.lamp.behaviour, world.lamp.answers, world.anchors = [], True, True
        world.chat.down = False
        world.clock.set(max(world.clock.now(), NOON) + timedelta(days=3))
        for _ in range(4):
            world.clock.advance(seconds=ANSWER_WITHIN)
            for _ in range(100):
                claim = await world.claim()
                if claim is None:
                    break
                await world.worker().move(claim)
                self.model.look()
                self.model.ended()

    def _hold_run(self, id: RunId) -> None:
        run = self.world.run_now(id)
        GovernanceMachine.tally[f"run {run.state}"] += 1
        children = [self.world.run_now(c) for c, _, _ in self.world.rows()]
        doubted = any(c.parent == id and c.state is RunState.IN_DOUBT for c in children)
        left = run.state is RunState.ROLLING_BACK and doubted  # to a person
        assert run.state.over or left, f"{id} is {run.state} for ever"
        for planned in run.plan.steps if run.plan else ():
            effect = self.do(self.world.effect_of(run.effect_key(planned)))
            happened = self.world.lamp.done[run.effect_key(planned)] > 0
            if effect is None:
                assert not happened
            elif effect.state is EffectState.IN_DOUBT:
                assert run.state is RunState.IN_DOUBT
            elif planned.uses != "lamp.look@1":
                assert effect.state is not EffectState.INTENDED
                assert happened == (effect.state is EffectState.SUCCEEDED), effect


GovernanceMachine.TestCase.settings = settings(
    settings.default,
    stateful_step_count=14,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestGovernance = GovernanceMachine.TestCase
