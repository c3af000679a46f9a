"""The rules over entries: honest logs keep them, and every breach is named by its entry.

The logs are written by the real gate; then something in them is changed, as
somebody with the signing key could have written it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.domain.actions import ActionCall, ActionFailed, ActionResult, Risk, Transient
from bot.domain.canonical import canonical
from bot.domain.freezes import Window, WindowKind, Windows
from bot.domain.ledger import timestamp
from bot.domain.runbooks import Retry, Step
from bot.ledger.findings import Finding, Kind
from bot.ledger.histories import Told
from bot.ledger.rules import Judge, Source
from tests.fakes import NOON
from tests.ledger.honest import LEE, TARGET, HonestWorld, fail, honest, vanish
from tests.services.gate_world import DANA, MARCUS, PRIYA, step

Log = list[Any]


def plain(entry: Any) -> Any:
    return {"header": json.loads(entry.leaf), "body": json.loads(entry.body or b"null")}


async def log_of(world: HonestWorld) -> Log:
    return [plain(entry) for entry in await world.database.archive.entries()]


@pytest.fixture
async def approved(tmp_path: Path) -> Log:
    """A run of an R3 action that two people approved."""
    async with honest(tmp_path) as world:
        id = await world.planned(step(uses="lamp.wide@1"))
        await world.approve(id, PRIYA)
        await world.approve(id, MARCUS)
        await world.work()
        return await log_of(world)


@pytest.fixture
async def under_glass(tmp_path: Path) -> Log:
    """A run that nobody approved, under a broken glass."""
    async with honest(tmp_path) as world:
        incident = await world.declare()
        await world.emergencies.break_glass(
            "light", None, incident=incident, typed=TARGET,
            reason="nobody else is awake at this hour", by=world.caller(LEE),
        )  # fmt: skip
        await world.during(incident, step(), by=LEE)
        await world.work()
        return await log_of(world)


def told(log: Log) -> list[Told]:
    return [Told(index=i, header=each["header"], body=each["body"]) for i, each in enumerate(log)]


def judged(log: Log, *, whole: bool = True, **options: Any) -> Sequence[Finding]:
    """Return what the rules find; the records' files are those of the log."""
    decisions = {
        each["header"]["decision_id"]: canonical(each["body"]["decision"])
        for each in log
        if each["header"]["type"] == "policy.decided" and each["body"]
    }
    judge = Judge(Source(whole=whole, decisions=decisions, **options))
    found = [finding for entry in told(log) for finding in judge.take(entry)]
    return [*found, *judge.end()]


def index(log: Log, type: str, which: int = 0) -> int:
    return [i for i, e in enumerate(log) if e["header"]["type"] == type][which]


def of(log: Log, type: str, which: int = 0) -> Any:
    return log[index(log, type, which)]


def record(log: Log) -> Any:
    """Return the record of the decision that allowed the effect."""
    wanted = of(log, "action.intent")["header"]["decision_id"]
    [found] = [
        e["body"]["decision"]
        for e in log
        if e["header"]["type"] == "policy.decided" and e["header"]["decision_id"] == wanted
    ]
    return found


def intent(log: Log) -> Any:
    return of(log, "action.intent")


def test_an_honest_run_keeps_every_rule(approved: Log) -> None:
    assert judged(approved) == []


def test_a_broken_glass_that_was_used_rightly_keeps_every_rule(under_glass: Log) -> None:
    assert judged(under_glass) == []


def drop(type: str, which: int = 0) -> Callable[[Log], None]:
    def change(log: Log) -> None:
        del log[index(log, type, which)]

    return change


def swap_plan(log: Log) -> None:
    plan = of(log, "run.planned")["body"]["plan"]
    plan["steps"][0]["timeout"] += 1


def other_arguments(log: Log) -> None:
    intent(log)["body"]["arguments"] = {"value": 99}


def other_action(log: Log) -> None:
    wanted = intent(log)["header"]["decision_id"]
    for each in log:
        header = each["header"]
        if header.get("decision_id") == wanted or header["type"] == "action.intent":
            header["action"] = "lamp.off@1"


def requester_approves(log: Log) -> None:
    who = of(log, "run.planned")["header"]["on_behalf_of"]
    record(log)["approvals"][0] = who
    of(log, "approval.granted")["header"]["actor_ref"] = who


def one_twice(log: Log) -> None:
    approvals = record(log)["approvals"]
    approvals[1] = approvals[0]


def a_bot_approves(log: Log) -> None:
    record(log)["approvals"][0] = "bot:B1"
    of(log, "approval.granted")["header"]["actor_ref"] = "bot:B1"


def approvals_missing(log: Log) -> None:
    record(log)["approvals"] = record(log)["approvals"][:1]


def denied(log: Log) -> None:
    fresh = deepcopy(of(log, "approval.granted"))
    fresh["header"]["type"] = "approval.denied"
    log.insert(index(log, "run.started"), fresh)


def refusal(log: Log) -> None:
    found = record(log)
    found["allow"] = False
    for each in log:
        header = each["header"]
        if header["type"] == "policy.decided" and header["decision_id"] == found["id"]:
            header["outcome"] = "deny"


def for_another_plan(log: Log) -> None:
    record(log)["plan_digest"] = "0" * 64
    of(log, "policy.decided", 1)["header"]["plan_digest"] = "0" * 64


def only_planned(log: Log) -> None:
    record(log)["phase"] = "plan"


def frozen(log: Log) -> None:
    record(log)["freezes"] = ["Black Friday"]


def calendar_fault_at_r3(log: Log) -> None:
    record(log)["freezes"] = ["team.ics: cannot be read"]


def halted(log: Log) -> None:
    header = {
        **of(log, "run.started")["header"], "type": "switch.halted", "outcome": "global",
    }  # fmt: skip
    log.insert(index(log, "run.started"), {"header": header, "body": {}})


def halted_runbook(log: Log) -> None:
    halted(log)
    of(log, "switch.halted")["header"]["outcome"] = "runbook:light"


def again_after_success(log: Log) -> None:
    log.append(deepcopy(intent(log)))


def used_up(log: Log) -> None:
    second = deepcopy(intent(log))
    second["header"]["idem_key"] += "b"
    log.insert(index(log, "action.outcome"), second)


def unauthorised(log: Log) -> None:
    record(log)["pre_authorised"] = "standing"


def no_glass(log: Log) -> None:
    record(log)["break_glass"] = "glass"


def digest_of_input(log: Log) -> None:
    record(log)["input"] = {"forged": True}


def backwards(log: Log) -> None:
    log[-1]["header"]["ts"] = timestamp(NOON - timedelta(days=1))


def no_outcome(log: Log) -> None:
    of(log, "action.outcome")["header"]["outcome"] = "perhaps"


@pytest.mark.parametrize(
    ("change", "at", "words"),
    (
        (drop("action.intent"), "action.outcome", "outcome without an intent"),
        (drop("policy.decided", 1), "action.intent", "without a decision"),
        (drop("run.planned"), "action.intent", "without a recorded plan"),
        (drop("approval.granted"), "action.intent", "nobody gave"),
        (swap_plan, "run.planned", "not the digest"),
        (other_arguments, "action.intent", "other arguments"),
        (other_action, "action.intent", "another action"),
        (requester_approves, "action.intent", "who asked for it approved it"),
        (one_twice, "action.intent", "approved twice"),
        (a_bot_approves, "action.intent", "no person gave"),
        (approvals_missing, "action.intent", "1 of 2 approvals"),
        (denied, "action.intent", "was denied"),
        (refusal, "action.intent", "is a refusal"),
        (for_another_plan, "action.intent", "another plan_digest"),
        (only_planned, "action.intent", "not about an effect"),
        (frozen, "action.intent", "inside a freeze"),
        (calendar_fault_at_r3, "action.intent", "inside a freeze"),
        (halted, "action.intent", "kill switch (global)"),
        (halted_runbook, "action.intent", "kill switch (runbook:light)"),
        (used_up, "action.intent", "used up"),
        (unauthorised, "action.intent", "nobody had given"),
        (no_glass, "action.intent", "nobody had broken"),
        (digest_of_input, "policy.decided", "digest of the decision's input"),
        (backwards, "run.succeeded", "backwards"),
        (no_outcome, "action.outcome", "its outcome is none"),
    ),
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_breach_is_named_by_its_entry(
    approved: Log, change: Callable[[Log], None], at: str, words: str
) -> None:
    change(approved)
    found = judged(approved)
    [named] = [f for f in found if words in f.reason][:1]
    assert named.kind is Kind.TAMPERED
    assert named.index is not None
    assert approved[named.index]["header"]["type"] == at


def test_an_effect_that_had_succeeded_may_not_be_begun_again(approved: Log) -> None:
    again_after_success(approved)
    assert any("begun again" in finding.reason for finding in judged(approved))


def test_a_decision_that_differs_from_its_stored_record_is_found(approved: Log) -> None:
    decisions = {record(approved)["id"]: b"{}"}
    judge = Judge(Source(whole=True, decisions=decisions))
    found = [f for entry in told(approved) for f in judge.take(entry)]
    assert any("not what the log holds" in finding.reason for finding in found)


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


def test_what_is_missing_from_a_part_of_the_log_is_incomplete_and_not_tampered(
    approved: Log,
) -> None:
    drop("run.planned")(approved)
    kinds = {finding.kind for finding in judged(approved, whole=False)}
    assert kinds == {Kind.INCOMPLETE}


@pytest.mark.parametrize("type", ("run.planned", "action.intent", "policy.decided"))
def test_what_cannot_be_read_is_incomplete_and_not_tampered(approved: Log, type: str) -> None:
    of(approved, type, -1)["body"] = None
    assert {finding.kind for finding in judged(approved)} == {Kind.INCOMPLETE}


def test_an_approver_who_was_erased_meanwhile_cannot_be_told_any_more(approved: Log) -> None:
    record(approved)["approvals"][0] = "person:another"
    erasure = deepcopy(approved[0])
    erasure["header"]["type"] = "privacy.erased"
    approved.insert(index(approved, "run.started"), erasure)
    assert {finding.kind for finding in judged(approved)} == {Kind.INCOMPLETE}


def calendars(title: str, *services: str) -> dict[str, Any]:
    def at(_files: Any, moment: datetime) -> Windows:
        window = Window(
            kind=WindowKind.FREEZE,
            title=title,
            starts_at=NOON - timedelta(hours=1),
            ends_at=NOON + timedelta(hours=1),
            services=frozenset(services),
            source="team.ics",
        )
        return Windows(active=(window,) if window.during(moment) else ())

    return {"calendars": {"calendars": {}}, "calendars_at": at}


def test_a_freeze_that_the_record_is_silent_of_is_reckoned_from_the_calendars(
    approved: Log,
) -> None:
    found = judged(approved, **calendars("Black Friday"))
    [finding] = [f for f in found if f.kind is Kind.TAMPERED]
    assert "“Black Friday”" in finding.reason
    assert finding.index == index(approved, "action.intent")


def test_a_freeze_of_another_service_does_not_matter(approved: Log) -> None:
    assert judged(approved, **calendars("Black Friday", "payments")) == []


def test_calendar_faults_below_r2_are_no_freeze(approved: Log) -> None:
    record(approved)["freezes"] = ["team.ics: cannot be read"]
    for each in approved:
        if "risk" in each["header"]:
            each["header"]["risk"] = int(Risk.R1)
    found = judged(approved)
    assert not any("freeze" in finding.reason for finding in found)


def test_a_veto_that_was_not_over_is_found(approved: Log) -> None:
    of(approved, "run.planned")["body"]["plan"]["veto_seconds"] = 60
    assert any("veto" in finding.reason for finding in judged(approved))


def test_effects_from_before_policies_were_recorded_are_counted_and_not_blamed(
    approved: Log,
) -> None:
    early = [e for e in approved if e["header"]["type"] != "policy.decided"]
    adopted = {"header": {**early[-1]["header"], "type": "policy.adopted"}, "body": {}}
    judge = Judge(Source(whole=True))
    found = [f for entry in told([*early, adopted]) for f in judge.take(entry)]
    assert [*found, *judge.end()] == []
    assert "from before" in judge.notes[0]


def test_a_log_in_which_no_policy_ever_was_is_blamed(approved: Log) -> None:
    early = [e for e in approved if e["header"]["type"] != "policy.decided"]
    assert any("without a decision" in finding.reason for finding in judged(early))


@pytest.mark.parametrize(
    "junk",
    (
        None,
        7,
        "x",
        [],
        {},
        [[]],
        [{"count": "x", "id": 3}],
        1e300,
        float("inf"),
        math.nan,
        True,
    ),
)
def test_no_content_can_break_the_rules_themselves(approved: Log, junk: Any) -> None:
    for each in approved:
        for place in (each["body"], each["body"].get("decision"), each["body"].get("plan")):
            for name in list(place or {}):
                changed = deepcopy(approved)
                at = next(i for i, other in enumerate(approved) if other is each)
                where = changed[at]["body"]
                if place is not each["body"]:
                    where = where["decision" if "decision" in where else "plan"]
                where[name] = junk
                judge = Judge(Source(whole=True, **calendars("Black Friday")))
                for entry in told(changed):
                    list(judge.take(replace(entry, body=entry.body)))
                list(judge.end())


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
