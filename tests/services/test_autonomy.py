"""Autonomy in rows: recounted from runs, kept in the ledger, taken back where trouble is seen."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from bot.domain.autonomy import Autonomy, Level, Tally
from bot.domain.effects import EffectRecord, EffectState
from bot.domain.errors import AlreadyDone, Refused
from bot.domain.people import Caller, Person, PersonId, Standing
from bot.domain.runs import Run, RunState
from bot.ports import Transaction
from bot.services.autonomy import AutonomyService
from bot.storage.sqlite import SqliteDatabase
from tests.domain.test_autonomy import lived, planned
from tests.fakes import NOON, FakeClock
from tests.storage.opened import opened

DANA = Person(id=PersonId("U1"), name="Dana")
REASON = "a good record since spring"
ON_CALL = Standing(person=DANA, groups=frozenset(["lamps-oncall"]), teams=frozenset(["lamps"]))


class Stage:
    """A database with runs that were lived, and the service that judges them."""

    def __init__(self, database: SqliteDatabase, clock: FakeClock) -> None:
        self.database = database
        self.clock = clock
        self.service = AutonomyService(database, clock)
        self.number = 0

    async def live(self, *runs: Run) -> None:
        """Store runs, and the effects of every step they began."""
        async with self.database.transaction() as tx:
            for run in runs:
                await tx.runs.add(run, due_at=None)
                for effect in _effects(run):
                    await tx.effects.save(effect)

    async def good(self, count: int) -> None:
        """Let good runs be lived, one a second."""
        made = []
        for _ in range(count):
            self.number += 1
            at = self.clock.advance(seconds=1)
            made.append(lived(id=f"good-{self.number}", subject=f"g{self.number}", at=at))
        await self.live(*made)

    async def tally(self, action: str = "lamp.set", service: str | None = "lamp") -> Tally:
        async with self.database.reading() as view:
            return await self.service.tally(view, action, service)

    async def level(self, uses: str = "lamp.set@1", service: str | None = "lamp") -> Level:
        async with self.database.reading() as view:
            return await self.service.level(view, uses, service)

    async def promote(self, level: Level, **changes: Any) -> Autonomy:
        self.number += 1
        wish: dict[str, Any] = {
            "reason": REASON,
            "by": Caller(person=DANA, request=f"request-{self.number}"),
            "standing": ON_CALL,
            "team": "lamps",
        }
        return await self.service.promote("lamp.set", "lamp", level, **(wish | changes))

    async def demote(self, uses: str = "lamp.set@1", service: str | None = "lamp") -> Autonomy:
        at = self.clock.advance(seconds=1)
        async with self.database.transaction() as tx:
            return await self.service.demote(
                tx, uses, service, reason="an effect was rolled back", at=at
            )

    async def put(self, action: str, level: Level, service: str = "lamp") -> None:
        """Set a level behind the service's back."""
        autonomy = Autonomy(action=action, service=service, level=level)
        async with self.database.transaction() as tx:
            await tx.autonomy.save(autonomy.key, autonomy)

    async def entries(self) -> list[dict[str, Any]]:
        found = await self.database.archive.entries()
        return [json.loads(e.leaf) | {"body": json.loads(e.body or b"{}")} for e in found]

    async def told(self) -> list[tuple[str, str, str]]:
        async with self.database.reading() as view:
            due = await view.outbox.due(now=self.clock.now() + timedelta(days=1), limit=500)
        return [(q.happening.kind, q.happening.subject, q.happening.change) for q in due]


def _effects(run: Run) -> Iterator[EffectRecord]:
    assert run.plan is not None
    for step, record in zip(run.plan.steps, run.records, strict=True):
        if record.started_at is not None:
            yield EffectRecord(
                key=run.effect_key(step),
                run=run.id,
                uses=step.uses,
                arguments={},
                state=EffectState.SUCCEEDED,
                intended_at=record.started_at,
                service=run.service,
                runbook=run.runbook,
                subject=run.subject,
            )


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    clock = FakeClock()
    async with opened(tmp_path, clock) as database:
        yield Stage(database, clock)


async def test_nothing_is_known_means_that_people_run_it(stage: Stage) -> None:
    assert await stage.level() is Level.L2
    assert await stage.tally() == Tally(good=0, total=0)
    assert await stage.service.matrix() == []


async def test_34_verified_runs_are_refused_and_the_35th_earns_it(stage: Stage) -> None:
    await stage.good(34)
    with pytest.raises(Refused, match="34 of 34 runs"):
        await stage.promote(Level.L3)
    assert await stage.level() is Level.L2
    await stage.good(1)
    after = await stage.promote(Level.L3)
    assert (after.level, after.by, await stage.level()) == (Level.L3, "Dana", Level.L3)
    with pytest.raises(Refused, match="L4 has to be earned"):
        await stage.promote(Level.L4)


async def test_a_level_is_for_every_version_of_an_action_and_for_one_service(stage: Stage) -> None:
    await stage.put("lamp.set", Level.L3)
    assert await stage.level("lamp.set@1") is Level.L3
    assert await stage.level("lamp.set@7") is Level.L3
    assert await stage.level("lamp.setter@1") is Level.L2
    assert await stage.level("lamp.set@1", "stove") is Level.L2
    assert await stage.level("lamp.set@1", None) is Level.L2


async def test_a_plan_is_as_free_as_its_least_trusted_action(stage: Stage) -> None:
    await stage.put("lamp.set", Level.L4)
    await stage.put("lamp.on", Level.L3)
    async with stage.database.reading() as view:
        of_plan = stage.service.of_plan
        assert await of_plan(view, ["lamp.set@1", "lamp.on@1"], "lamp") is Level.L3
        assert await of_plan(view, ["lamp.set@1", "lamp.off@1"], "lamp") is Level.L2
        assert await of_plan(view, [], "lamp") is Level.L2


async def test_runs_are_counted_once_and_only_for_their_action_and_service(stage: Stage) -> None:
    two = lived(planned("one"), planned("two"), id="two-steps", subject="g1")
    elsewhere = lived(id="elsewhere", subject="g2", service="stove")
    nowhere = lived(id="nowhere", subject="g3", service=None)
    other = lived(planned("one", "lamp.on@1"), id="other", subject="g4")
    await stage.live(two, elsewhere, nowhere, other)
    assert await stage.tally() == Tally(good=1, total=1)
    assert await stage.tally("lamp.set", "stove") == Tally(good=1, total=1)
    assert await stage.tally("lamp.set", None) == Tally(good=1, total=1)
    assert await stage.tally("lamp.on@1") == Tally(good=1, total=1)


async def test_bad_and_unverified_runs_count_and_what_never_acted_does_not(stage: Stage) -> None:
    await stage.live(
        lived(id="good", subject="g1"),
        lived(id="failed", subject="g2", state=RunState.FAILED),
        lived(id="doubt", subject="g3", state=RunState.IN_DOUBT),
        lived(planned(check=None), id="blind", subject="g4"),
        lived(id="denied", subject="g5", state=RunState.DENIED, begun=0),
        lived(id="expired", subject="g6", state=RunState.EXPIRED, begun=0),
        lived(id="running", subject="g7", state=RunState.RUNNING),
    )
    assert await stage.tally() == Tally(good=1, total=4, unlabelled=1)


async def test_a_run_that_somebody_wants_back_is_not_good_any_more(stage: Stage) -> None:
    await stage.good(35)
    first = lived(id="undo", subject="g1", parent="good-1", state=RunState.AWAITING, begun=0)
    await stage.live(first)
    assert await stage.tally() == Tally(good=34, total=35)
    with pytest.raises(Refused, match="34 of 35"):
        await stage.promote(Level.L3)


async def test_one_unverified_run_among_many_earns_nothing(stage: Stage) -> None:
    await stage.good(200)
    await stage.live(lived(planned(check=None), id="blind", subject="blind"))
    with pytest.raises(Refused, match="has to be earned"):
        await stage.promote(Level.L3)


async def test_what_was_lost_is_earned_anew_whatever_is_said_in_between(stage: Stage) -> None:
    await stage.good(80)
    await stage.promote(Level.L4)
    assert (await stage.demote()).level is Level.L2
    assert await stage.tally() == Tally(good=0, total=0)
    await stage.promote(Level.L1)
    await stage.promote(Level.L2)
    for level in (Level.L3, Level.L4):
        with pytest.raises(Refused, match="0 of 0"):
            await stage.promote(level)
    await stage.good(34)
    with pytest.raises(Refused, match="34 of 34"):
        await stage.promote(Level.L3)
    await stage.good(1)
    assert (await stage.promote(Level.L3)).level is Level.L3


async def test_less_is_always_possible(stage: Stage) -> None:
    for level in (Level.L1, Level.L0, Level.L2):
        assert (await stage.promote(level)).level is level


async def test_the_same_level_again_is_refused_and_so_is_the_same_request(stage: Stage) -> None:
    with pytest.raises(Refused, match="already"):
        await stage.promote(Level.L2)
    by = Caller(person=DANA, request="once")
    await stage.promote(Level.L1, by=by)
    with pytest.raises(AlreadyDone):
        await stage.promote(Level.L0, by=by)
    assert await stage.level() is Level.L1


@pytest.mark.parametrize(
    "standing",
    (
        Standing(person=DANA),
        Standing(person=replace(DANA, bot=True), groups=frozenset(["lamps-oncall"])),
        Standing(person=replace(DANA, guest=True), groups=frozenset(["lamps-oncall"])),
    ),
    ids=("a bystander", "a bot", "a guest"),
)
async def test_who_has_no_say_changes_nothing_and_leaves_no_trace(
    stage: Stage, standing: Standing
) -> None:
    await stage.good(80)
    before = len(await stage.entries())
    with pytest.raises(Refused):
        await stage.promote(Level.L3, standing=standing)
    assert await stage.level() is Level.L2
    assert len(await stage.entries()) == before


async def test_a_change_is_in_the_ledger_with_its_record_and_is_told(stage: Stage) -> None:
    await stage.good(35)
    await stage.promote(Level.L3)
    await stage.demote()
    up, down = [e for e in await stage.entries() if e["type"] == "autonomy.changed"]
    assert (up["action"], up["outcome"]) == ("lamp.set", "L3")
    assert up["body"]["actor"] == "person:U1"
    assert up["body"]["tally"] == {"good": 35, "total": 35, "unlabelled": 0}
    assert (up["body"]["service"], up["body"]["reason"]) == ("lamp", REASON)
    assert (down["outcome"], down["actor_ref"]) == ("L2", "system")
    assert down["body"] == {"service": "lamp", "reason": "an effect was rolled back"}
    change = ("governance", "autonomy:lamp.set|lamp", "changed")
    assert await stage.told() == [change, change]


async def test_taking_back_what_was_never_given_says_nothing(stage: Stage) -> None:
    for level in (Level.L0, Level.L1, Level.L2):
        await stage.put("lamp.set", level)
        assert (await stage.demote()).level is level
    assert await stage.entries() == []
    assert await stage.told() == []


async def test_a_demotion_stands_or_falls_with_the_transaction_that_saw_why(stage: Stage) -> None:
    await stage.put("lamp.set", Level.L4)

    async def breaks_off(tx: Transaction) -> None:
        await stage.service.demote(tx, "lamp.set@1", "lamp", reason="it failed", at=NOON)
        assert await stage.service.level(tx, "lamp.set@1", "lamp") is Level.L2
        raise Refused("something else stood in the way")

    with pytest.raises(Refused, match="something else"):
        async with stage.database.transaction() as tx:
            await breaks_off(tx)
    assert await stage.level() is Level.L4
    assert await stage.told() == []


async def test_an_alarm_takes_everything_back_at_once(stage: Stage) -> None:
    held = {"lamp.set": Level.L4, "lamp.on": Level.L3, "lamp.off": Level.L2, "lamp.dim": Level.L0}
    for action, level in held.items():
        await stage.put(action, level)
    await stage.put("lamp.set", Level.L3, "stove")
    lost = await stage.service.alarm("the model has drifted")
    assert {(a.action, a.service) for a in lost} == {
        ("lamp.set", "lamp"),
        ("lamp.on", "lamp"),
        ("lamp.set", "stove"),
    }
    for action, level in held.items():
        assert await stage.level(f"{action}@1") is min(level, Level.L2)
    assert [e["body"]["reason"] for e in await stage.entries()] == [
        "alarm: the model has drifted"
    ] * 3
    assert await stage.service.alarm("again") == []


async def test_an_action_that_nothing_verifies_loses_its_autonomy(stage: Stage) -> None:
    run = lived(planned("one"), planned("two", "lamp.on@1", check=None))
    for action in ("lamp.set", "lamp.on"):
        await stage.put(action, Level.L3)
    async with stage.database.transaction() as tx:
        for uses in ("lamp.set@1", "lamp.on@1"):
            await stage.service.require_labels(tx, run, uses, at=NOON)
    assert await stage.level("lamp.set@1") is Level.L3
    assert await stage.level("lamp.on@1") is Level.L2


async def test_taking_something_back_needs_no_verification_of_its_own(stage: Stage) -> None:
    await stage.put("lamp.set", Level.L3)
    async with stage.database.transaction() as tx:
        undo = lived(planned(check=None), id="undo", parent="r1")
        assert await stage.service.require_labels(tx, undo, "lamp.set@1", at=NOON) is None
    assert await stage.level() is Level.L3


async def test_the_matrix_shows_what_is_in_force_and_what_the_record_shows(stage: Stage) -> None:
    await stage.good(35)
    await stage.live(lived(id="s1", subject="s1", service="stove", state=RunState.FAILED))
    await stage.put("lamp.dim", Level.L0)
    rows = {row.autonomy.key: row for row in await stage.service.matrix()}
    assert list(rows) == ["lamp.dim|lamp", "lamp.set|lamp", "lamp.set|stove"]
    assert rows["lamp.dim|lamp"].autonomy.level is Level.L0
    assert rows["lamp.set|lamp"].earned is Level.L3
    assert rows["lamp.set|lamp"].autonomy.level is Level.L2
    assert rows["lamp.set|stove"].tally == Tally(good=0, total=1)
    assert rows["lamp.set|stove"].earned is Level.L2


async def test_the_matrix_counts_as_the_promotion_does(stage: Stage) -> None:
    await stage.good(40)
    await stage.promote(Level.L3)
    await stage.demote()
    await stage.good(7)
    (row,) = await stage.service.matrix()
    assert row.tally == await stage.tally() == Tally(good=7, total=7)


async def test_more_alerts_than_are_asked_for_at_once_are_all_counted(stage: Stage) -> None:
    await stage.live(*(lived(id=f"r{n}", subject=f"g{n}") for n in range(1203)))
    assert await stage.tally() == Tally(good=1203, total=1203)


moves = st.lists(
    st.sampled_from(["good", "many", "bad", "blind", "undo", "lose", "alarm", *Level]), max_size=14
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(moves)
async def test_in_any_story_no_level_is_above_what_was_earned_since_it_was_lost(
    tmp_path_factory: pytest.TempPathFactory, story: list[str | Level]
) -> None:
    """An oracle that knows only the rules keeps the record beside the service."""
    clock = FakeClock()
    async with opened(tmp_path_factory.mktemp("story"), clock) as database:
        stage, good, bad, blind, level = Stage(database, clock), 0, 0, 0, Level.L2
        for number, move in enumerate(story):
            subject, now = f"story-{number}", clock.advance(seconds=1)
            if move in {"good", "many"}:
                count = 1 if move == "good" else 36
                await stage.good(count)
                good += count
            elif move == "bad":
                await stage.live(lived(id=subject, subject=subject, state=RunState.FAILED, at=now))
                bad += 1
            elif move == "blind":
                run = lived(planned(check=None), id=subject, subject=subject, at=now)
                await stage.live(run)
                blind += 1
            elif move == "undo":
                await stage.live(lived(id=subject, subject=subject, at=now))
                await stage.live(
                    lived(id=f"{subject}-undo", subject=subject, parent=subject, at=now)
                )
                bad += 1
            elif move in ("lose", "alarm"):
                if move == "lose":
                    await stage.demote()
                else:
                    await stage.service.alarm("drift")
                if level > Level.L2:
                    good, bad, blind, level = 0, 0, 0, Level.L2
            elif isinstance(move, Level):
                tally = Tally(good=good, total=good + bad + blind, unlabelled=blind)
                if move is not level and (move <= Level.L2 or move <= tally.earned):
                    await stage.promote(move)
                    level = move
                else:
                    with pytest.raises(Refused):
                        await stage.promote(move)
            assert await stage.level() is level
            expected = Tally(good=good, total=good + bad + blind, unlabelled=blind)
            assert await stage.tally() == expected
        assert (await database.archive.verify()).ok
