"""What a plan needs by its risk."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bot.domain.actions import Effect, Risk
from bot.domain.approvals import ANYONE, Place
from bot.domain.people import Person, PersonId, Standing
from bot.domain.policy import Phase, PolicyRequest, RiskPolicy

POLICY = RiskPolicy()
ASKED = PolicyRequest(
    phase=Phase.PLAN,
    at=datetime(2026, 11, 20, 12, tzinfo=UTC),
    requester=Standing(person=Person(id=PersonId("U1"), name="Dana")),
    requester_ref="person:0123456789abcdef",
    actions=("lamp.on@1",),
    runbook="stuck",
    risk=Risk.R2,
    effects=frozenset({Effect.MUTATE}),
    service="checkout",
)


def people(quorum: tuple[Place, ...]) -> int:
    return sum(place.count for place in quorum)


def test_reading_needs_nobody() -> None:
    decision = POLICY.decide(
        replace(ASKED, risk=Risk.R0, effects=frozenset({Effect.READ}), groups=(Place(group="a"),))
    )
    assert decision.allow
    assert decision.quorum == ()


@pytest.mark.parametrize(("risk", "least"), ((Risk.R1, 1), (Risk.R2, 1), (Risk.R3, 2)))
def test_a_change_needs_other_people(risk: Risk, least: int) -> None:
    decision = POLICY.decide(replace(ASKED, risk=risk))
    assert decision.allow
    assert decision.quorum == (Place(group=ANYONE, count=least),)


def test_the_groups_of_the_runbook_count() -> None:
    groups = (Place(group="a"), Place(group="b"))
    assert POLICY.decide(replace(ASKED, groups=groups)).quorum == groups


def test_a_runbook_can_ask_for_more_people_and_never_for_fewer() -> None:
    asked = replace(ASKED, risk=Risk.R3, groups=(Place(group="a"),))
    assert POLICY.decide(asked).quorum == (Place(group="a"), Place(group=ANYONE, count=1))
    many = replace(asked, groups=(Place(group="a", count=5),))
    assert people(POLICY.decide(many).quorum) == 5


def test_destruction_is_not_what_a_button_is_for() -> None:
    decision = POLICY.decide(replace(ASKED, risk=Risk.R4))
    assert not decision.allow
    assert "R4" in decision.reason


@pytest.mark.parametrize("risk", (Risk.R0, Risk.R1, Risk.R2))
def test_a_destructive_action_cannot_be_declared_harmless(risk: Risk) -> None:
    effects = frozenset({Effect.READ, Effect.DESTRUCTIVE})
    assert not POLICY.decide(replace(ASKED, risk=risk, effects=effects)).allow


def test_every_decision_names_the_rules_it_was_made_by() -> None:
    for risk in Risk:
        decision = POLICY.decide(replace(ASKED, risk=risk))
        assert decision.policy_digest == POLICY.digest
        assert decision.reason


def test_other_rules_have_another_digest() -> None:
    stricter = RiskPolicy(counts={**POLICY.counts, Risk.R2: 2})
    assert stricter.digest != POLICY.digest
    assert RiskPolicy(counts=dict(POLICY.counts)).digest == POLICY.digest
