"""Decisions made again, and explained."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings

from bot.domain.approvals import Place
from bot.domain.canonical import digest
from bot.domain.decisions import DecisionId, DecisionRecord, record_of
from bot.domain.errors import Refused
from bot.domain.policy import PolicyRequest, RiskPolicy
from bot.policies import PolicyError, explain, from_documents, replay
from tests.policies.wishes import ASKED, SHIPPED, asked, itself, requests


def recorded(request: PolicyRequest) -> DecisionRecord:
    return record_of(request, SHIPPED.decide(request), id=DecisionId("d1"), run="r1")


def stored(record: DecisionRecord) -> DecisionRecord:
    """Return a record whose input went through JSON text, as through a database."""
    return replace(
        record,
        input=json.loads(json.dumps(dict(record.input))),
        entities=tuple(json.loads(json.dumps([dict(e) for e in record.entities]))),
    )


@settings(max_examples=200)
@given(requests)
def test_a_decision_comes_out_as_it_was(request_: PolicyRequest) -> None:
    replayed = replay(stored(recorded(request_)), SHIPPED.documents)
    assert replayed.differences == ()
    assert replayed.same


def test_a_forged_answer_is_found() -> None:
    record = recorded(asked(freezes=("Black Friday",)))
    assert not record.allow
    replayed = replay(replace(record, allow=True, policies=()), SHIPPED.documents)
    assert not replayed.same
    assert replayed.differences == (
        "allow: recorded True, now False",
        "policies: recorded none, now frozen",
    )


def test_a_quorum_that_was_made_smaller_is_found() -> None:
    record = replace(recorded(ASKED), quorum=())
    (difference,) = replay(record, SHIPPED.documents).differences
    assert difference == "quorum: recorded none, now 1 other person"


def test_a_forged_question_is_found_by_its_digest() -> None:
    record = recorded(asked(freezes=("Black Friday",)))
    context = {**record.input["context"], "frozen": False}
    forged = replace(record, input={**record.input, "context": context})
    assert any(
        "input" in difference for difference in replay(forged, SHIPPED.documents).differences
    )
    entities = tuple({**entity, "parents": []} for entity in record.entities[:1])
    forged = replace(record, entities=entities)
    assert any("entities" in d for d in replay(forged, SHIPPED.documents).differences)


def test_a_forged_question_with_a_digest_of_its_own_does_not_give_the_answer() -> None:
    record = recorded(asked(freezes=("Black Friday",)))
    question = {**record.input, "context": {**record.input["context"], "frozen": False}}
    forged = replace(record, input=question, input_digest=digest(question))
    assert "allow: recorded False, now True" in replay(forged, SHIPPED.documents).differences


def test_other_documents_are_told_from_those_of_the_record() -> None:
    documents = dict(SHIPPED.documents)
    documents["people.cedar"] += b"// changed\n"
    (difference,) = replay(recorded(ASKED), documents).differences
    assert difference.startswith("policy_digest: recorded")


def test_what_was_not_decided_by_documents_cannot_be_replayed() -> None:
    record = record_of(ASKED, RiskPolicy().decide(ASKED), id=DecisionId("d1"), run="r1")
    with pytest.raises(Refused, match="not made by policy documents"):
        replay(record, SHIPPED.documents)
    with pytest.raises(PolicyError):
        replay(recorded(ASKED), {})


def test_an_explanation_says_who_may_approve_what_and_when() -> None:
    told = {
        e.situation: (e.decision.allow, e.decision.quorum, e.decision.policies)
        for e in explain(SHIPPED, asked(freezes=("Black Friday",), groups=(Place(group="dba"),)))
    }
    dba = (Place(group="dba"),)
    assert told == {
        "now": (False, (), ("frozen",)),
        "on an ordinary day": (True, dba, ("service-wide",)),
        "with a standing authorisation": (True, dba, ("standard-change",)),
        "after failures (breaker half open)": (True, dba, ("service-wide", "trial")),
        "in a change freeze": (False, (), ("frozen",)),
        "with an unreadable calendar": (False, (), ("calendar-unreadable",)),
        "with broken glass, sev1": (True, (), ("broken-glass",)),
        "with broken glass in a freeze, sev1": (True, (), ("broken-glass",)),
    }


def test_an_explanation_is_for_the_assistant_too() -> None:
    told = {e.situation: e.decision.allow for e in explain(SHIPPED, itself())}
    assert told["on an ordinary day"]
    assert not told["after failures (breaker half open)"]
    assert not told["with broken glass, sev1"]


def test_an_explanation_serves_any_policy() -> None:
    assert len(explain(RiskPolicy(), ASKED)) == len(
        explain(from_documents(SHIPPED.documents), ASKED)
    )
