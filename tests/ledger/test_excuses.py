"""What may be done all the same: retries, work by hand, broken glasses, authorisations."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.domain.actions import ActionCall, ActionFailed, ActionResult, Transient
from bot.domain.ledger import timestamp
from bot.domain.runbooks import Retry, Step
from bot.ledger.findings import Kind
from tests.fakes import NOON
from tests.ledger.honest import fail, honest, vanish
from tests.ledger.judging import Log, drop, index, intent, judged, log_of, of, record
from tests.services.gate_world import DANA, step

AGAIN = Retry(times=2, on=(Transient.CONFLICT,), wait=5.0)


async def test_a_failed_effect_may_be_tried_again_as_its_plan_says(tmp_path: Path) -> None:
    async with honest(tmp_path) as world:
        id = await world.planned(step(uses="lamp.set@1", arguments={"value": 1}, retry=AGAIN))
        await world.approve(id)
        world.lamp.behaviour = [busy]
        await world.work(patience=10)
        log = await log_of(world)
    assert [e["header"]["outcome"] for e in log if e["header"]["type"] == "action.outcome"] == [
        "failed",
        "succeeded",
    ]
    assert judged(log) == []


async def busy(call: ActionCall, do: Callable[[], None]) -> ActionResult:
    raise ActionFailed("somebody else changes it", transient=Transient.CONFLICT)


@pytest.mark.parametrize(
    "planned",
    (step(), step(uses="lamp.set@1", arguments={"value": 1})),
    ids=("twice is not once", "no retry"),
)
async def test_a_failed_effect_is_not_begun_again_where_its_plan_has_no_retry(
    tmp_path: Path, planned: Step
) -> None:
    async with honest(tmp_path) as world:
        id = await world.planned(planned)
        await world.approve(id)
        world.lamp.behaviour = [fail]
        await world.work()
        log = await log_of(world)
    assert judged(log) == []
    log.append(deepcopy(intent(log)))
    assert any("without a retry" in finding.reason for finding in judged(log))


async def test_a_retry_of_what_must_not_be_repeated_is_no_excuse(tmp_path: Path) -> None:
    async with honest(tmp_path) as world:
        id = await world.planned(step(retry=AGAIN))
        await world.approve(id)
        world.lamp.behaviour = [fail]
        await world.work()
        log = await log_of(world)
    log.append(deepcopy(intent(log)))
    assert any("without a retry" in finding.reason for finding in judged(log))


async def test_a_doubtful_effect_may_be_tried_again(tmp_path: Path) -> None:
    async with honest(tmp_path) as world:
        id = await world.planned()
        await world.approve(id)
        world.lamp.behaviour = [fail]
        await world.work()
        log = await log_of(world)
    of(log, "action.outcome")["header"]["outcome"] = "in doubt"
    log.append(deepcopy(intent(log)))
    assert not any("begun again" in finding.reason for finding in judged(log))


@pytest.fixture
async def by_hand(tmp_path: Path) -> Log:
    """A step that a person did, and said so."""
    async with honest(tmp_path) as world:
        id = await world.planned(step(uses="lamp.hand@1"))
        await world.approve(id)
        await world.work()
        await world.runs.done(id, "one", happened="yes", by=world.caller(DANA))
        await world.work()
        return await log_of(world)


def test_what_a_person_did_keeps_every_rule(by_hand: Log) -> None:
    assert judged(by_hand) == []


@pytest.mark.parametrize("actor", ("bot", "bot:B1", "plugin:http", ""))
def test_only_a_person_says_that_a_person_did_a_step(by_hand: Log, actor: str) -> None:
    outcome = of(by_hand, "action.outcome")["header"]
    outcome["actor_ref"] = actor
    assert any("no person said" in finding.reason for finding in judged(by_hand))
    outcome["outcome"] = "failed"
    assert not any("no person said" in finding.reason for finding in judged(by_hand))


async def test_only_a_person_puts_an_end_to_a_doubt(tmp_path: Path) -> None:
    async with honest(tmp_path) as world:
        id = await world.planned(step(uses="lamp.blind@1"))
        await world.approve(id)
        world.lamp.behaviour = [vanish]
        await world.work()
        await world.runs.settle(id, happened="yes", by=world.caller(DANA))
        await world.work()
        log = await log_of(world)
    assert judged(log) == []
    of(log, "action.settled")["header"]["actor_ref"] = "bot"
    assert any("no person said" in finding.reason for finding in judged(log))


@pytest.mark.parametrize("end", ("superseded", "cancelled", "expired"))
def test_no_effect_follows_the_end_of_its_run(approved: Log, end: str) -> None:
    at = index(approved, "run.started")
    ended = deepcopy(approved[at])
    ended["header"]["type"] = f"run.{end}"
    approved.insert(at, ended)
    [found] = judged(approved)
    assert f"its run was {end} by entry {at}" in found.reason
    assert approved[found.index or 0]["header"]["type"] == "action.intent"


async def test_the_end_of_another_run_is_no_hindrance(tmp_path: Path) -> None:
    async with honest(tmp_path) as world:
        await world.planned()
        await world.runs.supersede({})
        id = await world.planned()
        await world.approve(id)
        await world.work()
        log = await log_of(world)
    assert index(log, "run.superseded") < index(log, "action.intent")
    assert judged(log) == []


def late_glass(log: Log) -> None:
    broken = of(log, "glass.broken")["header"]
    at = datetime.fromisoformat(broken["ts"]) - timedelta(minutes=16)
    for each in log[: index(log, "glass.broken") + 1]:
        each["header"]["ts"] = timestamp(at)


def glass_twice(log: Log) -> None:
    log.append(deepcopy(of(log, "glass.used")))


def glass_of_another_run(log: Log) -> None:
    of(log, "glass.used")["body"]["run"] = "another"


@pytest.mark.parametrize(
    ("change", "words"),
    (
        (late_glass, "had expired"),
        (glass_twice, "before"),
        (glass_of_another_run, "another run had used"),
        (drop("glass.used"), "nobody had broken"),
        (drop("glass.broken"), "nobody had broken"),
    ),
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_broken_glass_serves_one_run_in_time(
    under_glass: Log, change: Callable[[Log], None], words: str
) -> None:
    change(under_glass)
    assert any(words in f.reason and f.kind is Kind.TAMPERED for f in judged(under_glass))


def authorisation(log: Log, **body: Any) -> None:
    """Let a standing authorisation stand behind the effect."""
    record(log)["pre_authorised"] = "standing"
    header = {
        **log[0]["header"], "type": "authorisation.given", "idem_key": "standing",
        "actor_ref": "person:a", "on_behalf_of": "person:b",
    }  # fmt: skip
    body = {"expires_at": (NOON + timedelta(days=1)).isoformat(), **body}
    log.insert(0, {"header": header, "body": body})


def test_a_standing_authorisation_in_force_is_fine(approved: Log) -> None:
    authorisation(approved)
    assert judged(approved) == []


def test_a_standing_authorisation_that_has_expired_is_found(approved: Log) -> None:
    authorisation(approved, expires_at=NOON.isoformat())
    assert any("had expired" in finding.reason for finding in judged(approved))


def test_a_revoked_standing_authorisation_is_found(approved: Log) -> None:
    authorisation(approved)
    revoked = deepcopy(approved[0])
    revoked["header"]["type"] = "authorisation.revoked"
    approved.insert(1, revoked)
    assert any("revoked" in finding.reason for finding in judged(approved))


def test_a_standing_authorisation_of_one_person_alone_is_found(approved: Log) -> None:
    authorisation(approved)
    approved[0]["header"]["on_behalf_of"] = "person:a"
    assert any("one person alone" in finding.reason for finding in judged(approved))


async def test_the_same_person_asks_and_a_rollback_stands_on_its_parents_consent(
    tmp_path: Path,
) -> None:
    from bot.domain.runbooks import OnFailure

    async with honest(tmp_path) as world:
        two = step("two", "lamp.off@1", on_failure=OnFailure.ROLLBACK)
        id = await world.ask(step("one"), two, by=DANA)
        await world.move()
        await world.approve(id)
        while (effect := await world.effect(id)) is None or effect.ended_at is None:
            assert await world.move()
        world.lamp.behaviour = [fail]
        await world.work()
        log = await log_of(world)
    undone = [e for e in log if e["header"].get("idem_key", "").endswith("undo-one")]
    assert [e["header"]["type"] for e in undone] == ["action.intent", "action.outcome"]
    assert judged(log) == []
    drop("approval.granted")(log)
    blamed = [f.index for f in judged(log) if "nobody gave" in f.reason]
    assert len(blamed) == 3
