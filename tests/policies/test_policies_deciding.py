"""Deciding: no consent beside an error, no consent by silence, nothing by what strangers write."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cedarpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.actions import JSON, Effect, Risk
from bot.domain.approvals import ANYONE, Place
from bot.domain.canonical import canonical
from bot.domain.decisions import DecisionId, record_of
from bot.domain.people import PersonId
from bot.domain.policy import Phase, PolicyRequest
from bot.policies import from_documents
from bot.policies.cedar import ENGINE
from tests.policies.wishes import (
    ASKED,
    MUTATE,
    READ,
    SHIPPED,
    asked,
    by,
    hostile,
    itself,
    requests,
    timeless,
    written,
)

ALL = "(principal, action, resource)"
NOBODY = f'@id("all") @quorum("nobody") permit {ALL};'
# Policies that pass every check and fail when they are evaluated.
OVERFLOW = "when { context.targets + 9223372036854775807 > 0 }"


@pytest.mark.parametrize("effect", ("permit", "forbid"))
def test_nothing_is_allowed_beside_an_error(effect: str) -> None:
    """Cedar itself says Allow here: it skips what it cannot evaluate."""
    policy = written(f'{NOBODY}\n@id("breaks") {effect} {ALL} {OVERFLOW};')
    assert policy.decide(asked(targets=0)).errors == ()
    decision = policy.decide(asked(targets=1))
    assert not decision.allow
    assert decision.quorum == ()
    assert len(decision.errors) == 1
    assert decision.reason.startswith(
        "Policy cannot be evaluated: error while evaluating policy `breaks`: integer overflow"
    )
    assert "\n" not in decision.reason


@given(requests, st.sampled_from(["permit", "forbid"]), st.integers(1, 5))
def test_no_request_is_allowed_beside_an_error(
    request_: PolicyRequest, effect: str, targets: int
) -> None:
    documents = dict(SHIPPED.documents)
    documents["zz.cedar"] = f'@id("breaks") {effect} {ALL} {OVERFLOW};'.encode()
    decision = from_documents(documents).decide(replace(request_, targets=targets))
    assert not decision.allow
    assert decision.errors


@given(requests)
def test_an_allow_has_no_errors_and_a_refusal_a_reason(request_: PolicyRequest) -> None:
    decision = SHIPPED.decide(request_)
    assert decision.reason.endswith(".")
    assert decision.errors == ()
    if decision.allow:
        assert decision.policies
        assert all(SHIPPED.rules[id].permits for id in decision.policies)
    else:
        assert decision.quorum == ()
        assert decision.veto_seconds == 0
        assert not any(SHIPPED.rules[id].permits for id in decision.policies)


@given(requests)
def test_the_engine_itself_allows_what_is_allowed(request_: PolicyRequest) -> None:
    """The policies are evaluated under their ids; Cedar's own reading of the text must agree."""
    decision = SHIPPED.decide(request_)
    text = "\n".join(c.decode() for n, c in SHIPPED.documents.items() if n.endswith(".cedar"))
    schema = SHIPPED.documents["schema.cedarschema"].decode()
    question = {k: v for k, v in decision.asked.items() if k != "groups"}
    entities = [dict(entity) for entity in decision.entities]
    result = cedarpy.is_authorized(question, text, entities, schema)
    assert result.allowed == decision.allow
    named = result.diagnostics.id_annotations_by_reason
    assert sorted(named[id] for id in result.diagnostics.reasons) == [*decision.policies]


def test_consent_by_silence_is_no_consent() -> None:
    policy = written(f'@id("all") permit {ALL};')
    refused = policy.decide(ASKED)
    assert not refused.allow
    assert refused.reason == "No policy says whose consent is needed."
    assert refused.policies == ("all",)
    assert policy.decide(asked(risk=Risk.R0, effects=READ)).allow
    assert not policy.decide(asked(risk=Risk.R0, effects=MUTATE)).allow
    assert not policy.decide(asked(risk=Risk.R1, effects=READ)).allow
    assert not policy.decide(asked(break_glass="G1", severity="sev1")).allow
    assert written(NOBODY).decide(ASKED).allow


def test_a_permit_without_a_quorum_takes_nothing_from_the_others() -> None:
    policy = written(f'@id("all") permit {ALL};\n@id("two") @quorum("2 @sre") permit {ALL};')
    assert policy.decide(ASKED).quorum == (Place(group="sre", count=2),)


def test_the_owner_is_the_team_of_the_service_at_hand() -> None:
    policy = written(f'@id("all") @quorum("1 owner + 1 anyone") permit {ALL};')
    assert policy.decide(ASKED).quorum == (Place(group="team:payments"), Place(group=ANYONE))
    orphaned = policy.decide(asked(team=None))
    assert not orphaned.allow
    assert "no team" in orphaned.reason
    assert policy.decide(asked(team=None, break_glass="G1")).allow


def test_the_longest_of_several_windows_for_a_veto_counts() -> None:
    policy = written(
        f'@id("a") @quorum("nobody") @veto("60s") permit {ALL};'
        f'@id("b") @quorum("nobody") @veto("5m") permit {ALL};'
        f'@id("c") @quorum("nobody") permit {ALL} when {{ context.frozen }};'
    )
    assert policy.decide(itself()).veto_seconds == 300


def test_a_refusal_names_the_policy_that_forbids() -> None:
    policy = written(
        f'{NOBODY} @id("no") @reason("Not today.") forbid {ALL};@id("never") forbid {ALL};'
    )
    decision = policy.decide(ASKED)
    assert decision.reason == "never forbids it. Not today (no)."
    assert decision.policies == ("never", "no")


def test_what_no_policy_speaks_of_is_refused() -> None:
    policy = written(f'@id("x") @quorum("nobody") permit {ALL} when {{ context.risk == 0 }};')
    assert policy.decide(ASKED).reason == (
        "No policy permits people to mutate at R2 in this situation."
    )
    assert "the assistant to mutate" in policy.decide(itself()).reason


def test_effects_that_are_not_known_are_taken_for_the_worst() -> None:
    assert "destruction-is-grave" in SHIPPED.decide(asked(effects=frozenset())).policies
    both = frozenset({Effect.READ, Effect.DESTRUCTIVE})
    assert SHIPPED.decide(asked(effects=both, risk=Risk.R3)).asked["action"] == {
        "type": "Action",
        "id": "destroy",
    }


@pytest.mark.parametrize(
    ("condition", "changes"),
    (
        ('principal.groups.contains("sre")', {"requester": by()}),
        ("context.weekday == 3 && context.hour == 10", {}),
        ('resource == Service::"checkout" && resource.tier == 1', {}),
        ('principal in Person::"p:5f2a"', {}),
        ('context.actions.contains("checkout.restart_worker@1")', {}),
        ('context.touches.contains("storefront") && context.touched == 2', {}),
        ('context.phase == "plan" && context.change_type == "normal"', {}),
        ('resource == Service::"none" && resource.team == ""', {"service": None, "team": None}),
        ("context.maintenance", {"maintenance": True}),
        ("principal.on_call", {}),
    ),
)
def test_policies_can_speak_of_what_is_asked(condition: str, changes: dict[str, Any]) -> None:
    policy = written(
        f'@id("x") @quorum("nobody") permit (principal is Person, action, resource)'
        f" when {{ {condition} }};"
    )
    assert policy.decide(asked(**changes)).allow == ("sre" not in condition)


@given(requests, hostile, hostile)
def test_what_strangers_write_changes_nothing(
    request_: PolicyRequest, first: str, second: str
) -> None:
    calm = replace(
        request_, runbook="r", requester_ref="p", actions=("a",), service="s", approvals=()
    )
    hostile_ = replace(
        calm, runbook=first, requester_ref=second, actions=(first,), service=second or "s"
    )
    expected, decision = SHIPPED.decide(calm), SHIPPED.decide(hostile_)
    if "cannot be put on record" in decision.reason:
        assert not decision.allow
        return
    for name in ("allow", "reason", "quorum", "policies", "errors", "veto_seconds"):
        assert getattr(decision, name) == getattr(expected, name), name


@pytest.mark.parametrize("where", ("runbook", "requester_ref", "service", "team", "severity"))
@pytest.mark.parametrize(
    "text", ('"; permit(principal,action,resource);', "a\nb", "x" * 10_000, "\0", "__entity", "é")
)
def test_no_field_is_read_as_policy(where: str, text: str) -> None:
    expected, decision = SHIPPED.decide(ASKED), SHIPPED.decide(asked(**{where: text}))
    assert decision.errors == ()
    assert (decision.allow, decision.quorum) == (expected.allow, expected.quorum)


@pytest.mark.parametrize("text", ("\ud800", "x" * 50_000, "x" * 70_000))
def test_what_cannot_be_put_on_record_is_refused(text: str) -> None:
    decision = SHIPPED.decide(asked(runbook=text))
    assert not decision.allow
    assert decision.reason.startswith("The request cannot be put on record:")
    assert decision.asked == {}
    canonical({"reason": decision.reason, "errors": list(decision.errors)})


def test_a_long_request_that_is_decided_fits_into_the_ledger() -> None:
    request_ = asked(runbook="é" * 23_000)
    decision = SHIPPED.decide(request_)
    assert decision.allow
    record = record_of(request_, decision, id=DecisionId("d"), run="r")
    assert len(canonical({"decision": dict(record.content), "run": "r"})) > 46_000


@given(requests, hostile)
def test_every_record_fits_into_the_ledger(request_: PolicyRequest, text: str) -> None:
    request_ = replace(request_, runbook=text, service=text, touches=(text, "x"))
    record = record_of(request_, SHIPPED.decide(request_), id=DecisionId("d"), run="r")
    canonical({"decision": dict(record.content), "run": "r"})


@given(requests)
def test_the_same_request_is_decided_alike(request_: PolicyRequest) -> None:
    again = from_documents(dict(sorted(SHIPPED.documents.items(), reverse=True)))
    assert timeless(SHIPPED.decide(request_)) == timeless(again.decide(request_))


@given(requests)
def test_the_record_names_no_person(request_: PolicyRequest) -> None:
    # Put together here, so that no strategy finds them among the constants of the code.
    id, name = ("".join(reversed(part)) for part in ("7-terces", "namrenniB"))
    person = replace(request_.requester.person, id=PersonId(id), name=name)
    requester = replace(request_.requester, person=person)
    decision = SHIPPED.decide(replace(request_, requester=requester, requester_ref="p:1"))
    told = canonical([dict(decision.asked), [dict(e) for e in decision.entities]]).decode()
    assert name not in told
    assert id not in told
    assert decision.engine == ENGINE
    assert decision.policy_digest == SHIPPED.digest
    assert decision.schema_digest == SHIPPED.schema_digest
    assert decision.microseconds >= 0


@pytest.mark.parametrize("phase", Phase)
def test_a_question_that_is_broken_is_refused(phase: Phase) -> None:
    """Records may come from elsewhere; what they hold is checked against the schema again."""
    decision = SHIPPED.decide(asked(phase=phase))
    for part in decision.asked:
        broken = {k: v for k, v in decision.asked.items() if k != part}
        assert not SHIPPED.judge(broken, decision.entities).allow, part
        assert not SHIPPED.judge({**decision.asked, part: 7}, decision.entities).allow, part
    none_of_it = {"group": "a", "count": 0, "teams_differ": False}
    unfit: list[JSON] = [[7], [{}], [none_of_it], None, {}]
    for groups in unfit:
        assert not SHIPPED.judge({**decision.asked, "groups": groups}, decision.entities).allow
    assert not SHIPPED.judge(decision.asked, ()).allow
    assert not SHIPPED.judge(decision.asked, ({"uid": 7},)).allow
    assert not SHIPPED.judge({**decision.asked, "context": {"risk": 0}}, decision.entities).allow
