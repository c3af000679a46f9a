"""The rules over entries: honest logs keep them, and every breach is named by its entry.

The logs are written by the real gate; then something in them is changed, as
somebody with the signing key could have written it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.domain.actions import Risk
from bot.domain.ledger import timestamp
from bot.ledger.findings import Kind
from bot.ledger.rules import Judge, Source
from tests.fakes import NOON
from tests.ledger.judging import Log, calendars, drop, index, intent, judged, of, record, told


def test_an_honest_run_keeps_every_rule(approved: Log) -> None:
    assert judged(approved) == []


def test_a_broken_glass_that_was_used_rightly_keeps_every_rule(under_glass: Log) -> None:
    assert judged(under_glass) == []


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
