"""Killed with SIGKILL: while a run waits, right after consent, and in the middle of a step.

`TOCSIN_KILL_ROUNDS` says how often; the stage is set up once and broken again in every round.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bot.demo.alerting import AlertingKind
from bot.domain.approvals import Verdict
from bot.domain.runs import Run, RunState
from bot.practice.records import Message
from bot.rehearsal import Rehearsal, Stage
from bot.storage.sqlite import SqliteDatabase, read_entries, verify_file
from tests.fakes import FakeClock
from tests.scenarios.stage import (
    ROOT,
    blocks_of,
    button,
    buttons_of,
    press_panel,
    restarts,
    text_of,
    transcript,
    until,
)

# Taken out of the environment, since the bot inherits it and refuses settings it does not know.
ROUNDS = int(os.environ.pop("TOCSIN_KILL_ROUNDS", "2"))
PAGE = "runbooks/checkout/worker-stuck.md"


@asynccontextmanager
async def rehearsing(folder: Path, *, slow_restart: float = 0) -> AsyncIterator[Rehearsal]:
    """Run the whole house, with a short lease and a short patience with a step.

    What a dead worker may still have under way is waited for as long as its step may take.
    """
    knowledge = folder / "knowledge"
    shutil.copytree(ROOT / "knowledge", knowledge)
    page = (knowledge / PAGE).read_text()
    assert "timeout: 30s" in page
    (knowledge / PAGE).write_text(page.replace("timeout: 30s", "timeout: 5s"))
    rehearsal = Rehearsal(
        Stage(
            directory=folder / "demo",
            knowledge=knowledge,
            alerting=AlertingKind.WATCHER,
            meaning=False,
            slow_restart=slow_restart,
            extra={"runs": {"lease": 2, "poll": 0.1}},
        )
    )
    await rehearsal.start()
    try:
        yield rehearsal
    except BaseException:
        print(transcript(rehearsal))
        raise
    finally:
        await rehearsal.stop()


async def test_a_kill_loses_no_run_that_waits_and_no_approval(tmp_path: Path) -> None:
    async with rehearsing(tmp_path) as rehearsal:
        stage = Rounds(rehearsal)
        for number in range(1, ROUNDS + 1):
            plan = await stage.breaks_and_asks()
            await stage.kills_and_restarts()
            assert "Approve" in buttons_of(plan)
            await stage.approves(plan)
            await asyncio.sleep(random.uniform(0, 0.06))
            await stage.kills_and_restarts()
            await stage.ends_well(plan)
            assert len(await restarts(rehearsal)) == number
        stage.tells("killed while waiting and right after the approval")
        await stage.verifies()


async def test_a_kill_in_the_middle_of_a_step_repeats_nothing(tmp_path: Path) -> None:
    async with rehearsing(tmp_path, slow_restart=1.5) as rehearsal:
        stage = Rounds(rehearsal)
        for number in range(1, ROUNDS + 1):
            plan = await stage.breaks_and_asks()
            await stage.approves(plan)
            await stage.sees_the_step_begin(number)
            await asyncio.sleep(random.uniform(0, 1.2))
            assert (await restarts(rehearsal))[-1]["completed_at"] is None
            await stage.kills_and_restarts()
            await stage.ends_well(plan)
            assert len(await restarts(rehearsal)) == number
        stage.tells("killed in the middle of a step")
        await stage.verifies()


class Rounds:
    """One stage, and what happens on it again and again."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        self.rehearsal = rehearsal
        self.dana = rehearsal.workspace.person("dana")
        self.priya = rehearsal.workspace.person("priya")
        self.database = rehearsal.stage.directory / "data" / "tocsin.db"
        self.began = time.monotonic()
        self.unheard = 0
        self.seen: set[str] = set()

    async def breaks_and_asks(self) -> Message:
        """Let checkout fail, ask for the runbook, and wait for the plan."""
        await press_panel(self.rehearsal, self.dana, "break")
        await self.dana.type("alerts", "/incident runbook checkout worker stuck")
        listing = await until("the list", lambda: self._fresh("Run…"))
        self.seen.add(listing.ts)
        block = next(
            b["block_id"]
            for b in blocks_of(listing)
            for e in b.get("elements", ())
            if e.get("value", "").endswith("checkout-worker-stuck") and b["type"] == "actions"
        )
        await self.dana.press(listing, "Run…", block_id=block)
        await until("the form", lambda: self.dana.modal)
        outcome = await self.dana.submit({})
        assert not outcome.errors, outcome
        plan = await until("the plan", lambda: self._fresh("Approve"))
        self.seen.add(plan.ts)
        return plan

    def _fresh(self, label: str) -> Message | None:
        message = button(self.dana, "alerts", label)
        return message if message is not None and message.ts not in self.seen else None

    async def approves(self, plan: Message) -> None:
        """Press Approve as a second person."""
        await self.priya.press(plan, "Approve")

    async def kills_and_restarts(self) -> None:
        """Kill the bot, hold what it has committed against what it finds, and start it again."""
        await self.rehearsal.kill_bot()
        consent = self.granted()
        await self.rehearsal.start_bot()
        assert self.granted() >= consent

    def granted(self) -> int:
        """Count the approvals in the ledger."""
        entries = read_entries(self.database, incident="", last=100_000)
        return sum(e["type"] == "approval.granted" for e in entries)

    async def sees_the_step_begin(self, number: int) -> None:
        """Wait for the service to have begun its restart."""
        async with asyncio.timeout(20):
            while len(await restarts(self.rehearsal)) < number:  # noqa: ASYNC110  # another process
                await asyncio.sleep(0.01)

    async def ends_well(self, plan: Message) -> None:
        """Wait for the run to succeed; press again only where the press left no trace at all."""
        run = await self.newest()
        if run.state is RunState.AWAITING:
            self.unheard += 1
            await self.approves(plan)
        await until("success", lambda: "Succeeded and verified" in text_of(plan), patience=60)
        run = await self.newest()
        assert run.state is RunState.SUCCEEDED
        assert run.approval is not None
        assert run.approval.verdict is Verdict.GRANTED
        assert [a.person.id for a in run.approval.answers] == [self.priya.id]

    async def newest(self) -> Run:
        """Return the run of this round, as it is stored."""
        reader = SqliteDatabase(self.database, FakeClock())
        try:
            async with reader.reading() as view:
                return (await view.runs.recent(limit=1))[0]
        finally:
            await reader.close()

    async def verifies(self) -> None:
        """Hold the ledger against its tree, and every effect against its intent."""
        assert verify_file(self.database).ok
        entries = read_entries(self.database, incident="", last=100_000)
        intents = {e["idem_key"] for e in entries if e["type"] == "action.intent"}
        performed = {r["idempotency_key"] for r in await restarts(self.rehearsal)}
        assert performed == intents
        assert len(performed) == len(await restarts(self.rehearsal))

    def tells(self, what: str) -> None:
        """Print the numbers of the proof."""
        seconds = time.monotonic() - self.began
        print(f"{what}: {ROUNDS} rounds in {seconds:.0f} s, {self.unheard} presses left no trace")
