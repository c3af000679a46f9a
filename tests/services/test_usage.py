"""Figures of runbooks are counted from what is never changed, and outlive an erasure."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.domain.runbooks import OnFailure
from bot.domain.runs import Run, RunState
from bot.ports import RunbookUse, Use
from bot.services import usage
from bot.services.usage import UsageService
from bot.storage.ledger import UNKEYED
from bot.storage.sqlite import SqliteDatabase
from bot.trial import House
from bot.trial.cast import StageClock
from bot.trial.stage import Stage
from tests.stage import alert, stage_in
from tests.trial.trial_samples import ACTIONS, DRY, page, step

START = datetime(2026, 11, 1, 12, tzinfo=UTC)


class Life:
    """Runs as they happen, and the figures of them."""

    def __init__(self, path: Path) -> None:
        clock = StageClock(START)
        self.database = SqliteDatabase(path / "life.db", clock)
        self.database.open()
        self.clock = clock
        self.house = House(self.database, clock, privacy=UNKEYED, actions=ACTIONS)
        self.usage = UsageService(self.database, self.database.archive)

    async def run(self, stage: Stage | None = None, *, fails: str = "") -> Run:
        book = page(step(verify=DRY), step("last", on_failure=OnFailure.ROLLBACK))
        stage = stage or Stage()
        run = await self.house.approve(await self.house.ask(book, {}, stage))
        stage.fails = fails
        return await self.house.play(run, "yes")

    async def use(self, what: Use, person: str | None = None, subject: str = "s") -> None:
        self.clock.advance(1)
        use = RunbookUse(id=f"{self.clock.now()}", runbook="valve", what=what, subject=subject,
                         person=person, at=self.clock.now())  # fmt: skip
        async with self.database.transaction() as tx:
            assert await tx.usage.add(use)


@pytest.fixture
async def life(tmp_path: Path) -> AsyncIterator[Life]:
    life = Life(tmp_path)
    yield life
    await life.database.close()


async def test_nothing_was_used_yet(life: Life) -> None:
    assert await life.usage.figures(START) == {}


async def test_runs_are_counted_by_what_became_of_them(life: Life) -> None:
    good = await life.run()
    assert good.state is RunState.SUCCEEDED
    await life.house.undo(good)
    failed = await life.run(fails="last")
    assert failed.state in (RunState.ROLLED_BACK, RunState.FAILED)
    await life.house.ask(page(), {}, Stage())  # it waits for approval
    figures = (await life.usage.figures(START))["valve"]
    assert figures.requested == 3
    assert figures.run == 2
    assert figures.succeeded == 1
    assert figures.verified == 1
    assert figures.rolled_back == 2
    assert figures.median_seconds == 5  # two looks that are 5 s apart


async def test_a_run_that_proves_nothing_is_not_verified(life: Life) -> None:
    run = await life.house.approve(await life.house.ask(page(step()), {}, Stage()))
    assert (await life.house.play(run, "yes")).state is RunState.SUCCEEDED
    figures = (await life.usage.figures(START))["valve"]
    assert (figures.succeeded, figures.verified) == (1, 0)


async def test_only_the_time_that_is_asked_for_counts(life: Life) -> None:
    await life.run()
    assert await life.usage.figures(life.clock.now() + timedelta(seconds=1)) == {}


async def test_of_several_judgements_of_one_person_the_newest_counts(life: Life) -> None:
    for what, person in (
        (Use.SUGGESTED, None),
        (Use.SUGGESTED, None),
        (Use.OPENED, "a"),
        (Use.UNHELPFUL, "a"),
        (Use.HELPFUL, "a"),
        (Use.UNHELPFUL, "b"),
    ):
        await life.use(what, person)
    await life.use(Use.HELPFUL, "a", subject="another")
    figures = (await life.usage.figures(START))["valve"]
    assert (figures.suggested, figures.opened) == (2, 1)
    assert (figures.helpful, figures.unhelpful) == (2, 1)


async def test_pages_of_entries_are_read_to_the_end(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    await life.run()
    whole = await life.usage.figures(START)
    for size in (1, 2, 3, 7):
        monkeypatch.setattr(usage, "PAGE", size)
        assert await life.usage.figures(START) == whole


async def test_alerts_that_were_seen_have_their_labels(tmp_path: Path) -> None:
    async with stage_in(tmp_path) as stage:
        opened = stage.clock.now()
        shut = alert("ValveShut", service="water")
        await stage.fire(shut)
        await stage.fire(shut, alert("Leaking"))  # the same story goes on
        stage.clock.advance(seconds=60)
        await stage.fire(alert("Other"), source="elsewhere")
        service = UsageService(stage.database, stage.database.archive)
        seen = await service.seen(opened)
        assert [found.name for found in seen] == ["ValveShut", "Leaking", "Other"]
        assert seen[0].labels[0]["service"] == "water"
        assert [g.name for g in await service.seen(opened + timedelta(seconds=30))] == ["Other"]
