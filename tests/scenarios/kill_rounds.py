"""One round: bots at work, one of which dies or is stopped at one point, and people around them."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from typing_extensions import override

from bot.domain.effects import EffectState
from bot.domain.errors import Refused
from bot.domain.runs import Run, RunId, RunState
from bot.storage.stores import located, verify_at
from tests.scenarios.kill_disk import effects_of
from tests.scenarios.kill_points import NEVER, Line, journal_of
from tests.scenarios.kill_stories import Story
from tests.scenarios.kill_worker import LEASE, Job, work, world_of
from tests.services.gate_world import DANA, MARCUS
from tests.storage.worlds import StoreWorld

PATIENCE = 60.0  # seconds for anything; the machine may be busy
LOOK = 0.02  # seconds between two looks at what other processes do
STOPPED = 8.0  # seconds for which a bot is stopped at most
OVER = {state for state in RunState if state.over} - {RunState.IN_DOUBT}
ENDS = tuple(f"run.{state.replace(' ', '_')}" for state in OVER)
ONCE = (*ENDS, "run.requested", "run.planned", "run.started", "run.rolling_back")
HELD_UP = ("was held up past", "no answer in")
DENIED = "did not take place"
KILL, STOP = signal.SIGKILL, signal.SIGSTOP

# A process that has loaded everything and of which each bot is a fork: a bot starts at once.
bots = multiprocessing.get_context("forkserver")
bots.set_forkserver_preload(["tests.scenarios.kill_worker"])


@dataclass(frozen=True, kw_only=True)
class Death:
    """What happens to a bot: which signal, at which point, and when a stopped one goes on.

    It goes on as soon as another has taken over (`late` False), or when all is over.
    """

    story: Story
    at: int = NEVER
    signal: signal.Signals = KILL
    late: bool = False

    @override
    def __str__(self) -> str:
        until = " until all is over" if self.late else ""
        return f"{self.story.name}: {self.signal.name} at point {self.at}{until}"


@dataclass
class Round:
    """Bots, their target, and people; `where` is an empty store, `folder` an empty folder."""

    death: Death
    where: str
    folder: Path
    count: int
    started: list[ForkServerProcess] = field(default_factory=list)
    id: RunId = field(init=False)
    over: bool = False

    @cached_property
    def people(self) -> StoreWorld:
        """Return what people see."""
        return world_of(self.where, self.folder, "people", self.death.story)

    async def play(self) -> None:
        """Let a run come to its end, whatever happens on the way, and look at what is left."""
        try:
            await self._ask()
            for number in range(self.count):
                self._start(f"bot {number}")
            async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
                tasks.create_task(self._strike())
                tasks.create_task(self._live())
            await self._hold()
        finally:
            for bot in self.started:
                bot.kill()
                bot.join()
            await self.people.done()

    async def _ask(self) -> None:
        world = self.people
        run = await world.runs.request(
            world.book, {}, subject="the alert", labels={}, incident=None, service=None,
            by=world.caller(DANA),
        )  # fmt: skip
        self.id = run.id

    def _start(self, name: str) -> None:
        death = self.death
        job = Job(
            where=self.where, folder=self.folder, bot=name, story=death.story.name,
            at=death.at, signal=death.signal,
        )  # fmt: skip
        bot = bots.Process(target=work, args=(job,), name=name, daemon=True)
        bot.start()
        self.started.append(bot)

    # What people do.

    async def _live(self) -> None:
        """Answer, do, say and stop what the story wants, until there is nothing left to do."""
        while not self.over:
            with contextlib.suppress(Refused):  # a worker was faster
                await self._answer(await self.people.run(self.id))
            await asyncio.sleep(LOOK)

    async def _answer(self, run: Run) -> None:
        world, story = self.people, self.death.story
        if run.state is RunState.IN_DOUBT and run.step is not None:
            there = run.effect_key(run.step) in effects_of(self.folder)
            await world.runs.settle(
                run.id, happened="yes" if there else "no", by=world.caller(MARCUS)
            )
        elif run.state.over:
            self.over = True
        elif run.state is story.stopped_in and self._under_way(run):
            await world.runs.stop(run.id, by=world.caller(MARCUS))
        elif run.state is RunState.AWAITING and story.approved:
            await world.approve(run.id)
        elif run.state is RunState.MANUAL and story.by_hand and run.step is not None:
            await world.runs.done(run.id, run.step.id, happened="yes", by=world.caller(MARCUS))

    def _under_way(self, run: Run) -> bool:
        """Say whether the last step of a run has begun that is to be stopped."""
        begun = run.records[-1].started_at is not None
        return run.stop_requested_by is None and begun

    # What happens to bots.

    async def _strike(self) -> None:
        """Wait for a bot to die or to be stopped, and see to who goes on."""
        await self._until(lambda: (self.over and self._at_rest()) or self.dead is not None)
        if self.dead is None:
            return
        victim = next(b for b in self.started if b.name == self.dead["bot"])
        if self.death.signal is KILL:
            await self._until(lambda: not victim.is_alive())
            assert victim.exitcode == -KILL
            if self.count == 1:
                self._start("the next bot")
            return
        assert victim.pid is not None
        pid = victim.pid
        await self._until(lambda: _state_of(pid) == "T")
        await self._until(self._goes_on)
        os.kill(pid, signal.SIGCONT)

    def _at_rest(self) -> bool:
        """Say whether no bot is in the middle of a move."""
        lines = Counter(x["what"] for x in journal_of(self.folder))
        return lines["moves"] == lines["leaves"]

    def _goes_on(self) -> bool:
        """Say whether a stopped bot may go on: never before its lease is over."""
        assert self.dead is not None
        stopped = time.time() - self.dead["at"]
        if stopped <= LEASE:
            return False
        if self.count == 1 or stopped > STOPPED or self.over:
            return True
        return self.heir is not None and not self.death.late

    async def _until(self, look: Callable[[], bool]) -> None:
        while not look():  # noqa: ASYNC110  # other processes bring it about, and tell nobody
            await asyncio.sleep(LOOK)

    @property
    def dead(self) -> Line | None:
        """Return the line of the bot that died or was stopped."""
        return next((x for x in journal_of(self.folder) if x["what"] == "dies"), None)

    @property
    def heir(self) -> Line | None:
        """Return the first move that another bot made of the run that the dead one held."""
        lines, dead = journal_of(self.folder), self.dead
        if dead is None:
            return None
        later = lines[lines.index(dead) :]
        others = (x for x in later if x["what"] == "moves" and x["bot"] != dead["bot"])
        return next((x for x in others if x["run"] == dead["run"]), None)

    @property
    def takeover(self) -> float | None:
        """Return how long nobody moved the run of a dead bot that held its lease, in seconds."""
        if self.dead is None or not self.dead["lease"] or self.heir is None:
            return None
        return float(self.heir["at"] - self.dead["at"])

    # What must hold.

    async def _hold(self) -> None:
        """Hold what is left against what must never be: a loss, a double, a gap in the record."""
        await self._sleeper_is_done()
        run = await self.people.run(self.id)
        ends = set(self.death.story.ends)
        # What is held up past its time, by a signal or a busy machine, fails.
        if self.death.signal is STOP or any(words in run.reason for words in HELD_UP):
            ends.add(RunState.FAILED)
        # A bot that died right before an effect nobody can look up leaves the answer to a
        # person, who saw that it is not there; it is not repeated.
        if DENIED in run.reason and not effects_of(self.folder):
            ends.add(RunState.FAILED)
        assert run.state in ends, (str(self.death), run.state, run.reason)
        runs = [r for r in await self.people.runs.recent() if r.id == self.id or r.parent]
        assert all(r.state.over for r in runs), runs
        await self._hold_effects(runs)
        self._hold_ledger(runs)

    async def _sleeper_is_done(self) -> None:
        """Let a bot that was stopped find out that its claim has passed on."""
        dead = self.dead
        if dead is None or self.death.signal is KILL:
            return
        left = {"what": "leaves", "bot": dead["bot"], "run": dead["run"], "fence": dead["fence"]}
        async with asyncio.timeout(PATIENCE):
            await self._until(
                lambda: any(left.items() <= x.items() for x in journal_of(self.folder))
            )

    async def _hold_effects(self, runs: list[Run]) -> None:
        done = Counter(effects_of(self.folder))
        assert all(count == 1 for count in done.values()), (str(self.death), done)
        for run in runs:
            for step in run.plan.steps if run.plan else ():
                async with self.people.database.reading() as view:
                    effect = await view.effects.get(run.effect_key(step))
                if effect is None:
                    assert not done[run.effect_key(step)], (str(self.death), step.id)
                    continue
                assert effect.state in (EffectState.SUCCEEDED, EffectState.FAILED), effect
                acts = step.risk and not step.manual
                there = 1 if acts and effect.state is EffectState.SUCCEEDED else 0
                assert done[effect.key] == there, (str(self.death), effect, done)

    def _hold_ledger(self, runs: list[Run]) -> None:
        assert verify_at(located(self.where)).ok
        began: Counter[str] = Counter()
        ended: Counter[str] = Counter()
        once: Counter[tuple[str, str]] = Counter()
        for entry in self.people.ledger():
            key, type = entry.get("idem_key") or "", entry["type"]
            if type == "action.intent":
                began[key] += 1
            elif type in ("action.outcome", "action.settled") and key:
                ended[key] += 1
                assert ended[key] <= began[key], (str(self.death), entry)
            elif type in ONCE:
                once[entry["body"]["run"], type] += 1
        assert all(count == 1 for count in once.values()), (str(self.death), once)
        assert {*began} == {*ended}, (str(self.death), began, ended)
        for run in runs:
            assert sum(once[run.id, type] for type in ENDS) == 1, (str(self.death), once)


def _state_of(pid: int) -> str:
    """Return how a process is doing, by Linux's letter for it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
