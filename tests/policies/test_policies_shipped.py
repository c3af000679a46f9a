"""The shipped policies: each one both ways, and what must hold whatever is asked."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given, settings

from bot.domain.actions import Effect, Risk
from bot.domain.approvals import ANYONE, Place
from bot.domain.policy import Phase, PolicyRequest, RiskPolicy
from tests.policies.wishes import (
    ASKED,
    DESTROY,
    FOLDER,
    ITSELF,
    MUTATE,
    READ,
    SHIPPED,
    asked,
    by,
    decided,
    itself,
    likely,
    people,
    requests,
)

ONE = (Place(group=ANYONE),)
TWO = (Place(group=ANYONE, count=2, teams_differ=True),)
MANY = tuple(f"s{n}" for n in range(6))
GLASS = {"break_glass": "G1", "severity": "sev1"}
TAKES_BACK = {"rollback": True, "phase": Phase.EXECUTE, "autonomy": 0}

# What applies, a request to which it does, and what has to change so that it does not.
PERMITS: list[tuple[str, PolicyRequest, dict[str, Any]]] = [
    ("reading", asked(risk=Risk.R0, effects=READ), {"effects": MUTATE}),
    ("one-instance", asked(risk=Risk.R1), {"risk": Risk.R2}),
    ("one-instance", asked(risk=Risk.R1), {"pre_authorised": "A1"}),
    ("one-instance", asked(risk=Risk.R1), GLASS),
    ("service-wide", asked(), {"risk": Risk.R1}),
    ("service-wide", asked(), {"pre_authorised": "A1"}),
    ("service-wide", asked(), GLASS),
    ("hard-to-undo", asked(risk=Risk.R3), {"risk": Risk.R2}),
    ("hard-to-undo", asked(risk=Risk.R3, effects=DESTROY), GLASS),
    ("many-services", asked(touches=MANY), {"touches": MANY[:5]}),
    ("many-services", asked(touches=MANY), GLASS),
    ("standard-change", asked(pre_authorised="A1"), {"pre_authorised": None}),
    ("standard-change", asked(pre_authorised="A1"), {"risk": Risk.R3}),
    ("trial", asked(half_open=True), {"half_open": False}),
    ("broken-glass", asked(**GLASS), {"break_glass": None}),
    ("broken-glass", asked(risk=Risk.R3, **GLASS), {"severity": "sev3"}),
    ("broken-glass", asked(**GLASS), {"requester": ITSELF.requester}),
    ("assistant-reads", itself(risk=Risk.R0, effects=READ), {"autonomy": 2}),
    ("assistant-acts-after-veto", itself(), {"autonomy": 2}),
    ("assistant-acts-after-veto", itself(autonomy=4), {"risk": Risk.R1}),
    ("assistant-acts-after-veto", itself(), {"touches": MANY}),
    ("assistant-acts-after-veto", itself(), {"half_open": True}),
    ("assistant-acts", itself(autonomy=4, risk=Risk.R1), {"autonomy": 3}),
    ("assistant-acts", itself(autonomy=4, risk=Risk.R1), {"half_open": True}),
    ("assistant-rolls-back", itself(**TAKES_BACK), {"rollback": False}),
    ("assistant-rolls-back", itself(**TAKES_BACK), {"phase": Phase.PLAN}),
    ("assistant-rolls-back", itself(**TAKES_BACK), {"requester": ASKED.requester}),
    ("assistant-rolls-back", itself(risk=Risk.R3, **TAKES_BACK), {"risk": Risk.R4}),
]
FORBIDS: list[tuple[str, PolicyRequest, dict[str, Any]]] = [
    ("no-destruction", asked(risk=Risk.R4, effects=DESTROY), {"risk": Risk.R3}),
    ("destruction-is-grave", asked(effects=DESTROY), {"risk": Risk.R3}),
    ("destruction-is-grave", asked(effects=DESTROY | READ), {"effects": MUTATE}),
    ("destruction-is-grave", asked(effects=DESTROY | MUTATE), {"effects": MUTATE}),
    ("frozen", asked(freezes=("Black Friday",)), {"freezes": ()}),
    ("frozen", asked(freezes=("Black Friday",), risk=Risk.R0), {"effects": READ}),
    ("frozen", asked(freezes=("Black Friday",)), GLASS),
    ("frozen", itself(freezes=("Black Friday",), **TAKES_BACK), {"freezes": ()}),
    ("calendar-unreadable", asked(calendar_faults=("x",)), {"risk": Risk.R1}),
    ("calendar-unreadable", asked(calendar_faults=("x",)), {"calendar_faults": ()}),
    ("calendar-unreadable", asked(calendar_faults=("x",)), GLASS),
    ("glass-for-emergencies", asked(break_glass="G1", severity="sev3"), {"severity": "sev2"}),
    ("glass-for-emergencies", asked(break_glass="G1", severity=None), {"break_glass": None}),
    ("members-only", asked(requester=by(guest=True)), {"requester": by()}),
    ("members-only", asked(requester=by(stranger=True)), {"requester": by()}),
    (
        "members-only",
        asked(requester=by(guest=True), risk=Risk.R0),
        {"effects": READ},
    ),
    ("account-deactivated", asked(requester=by(active=False)), {"requester": by()}),
    ("assistant-bounds", itself(autonomy=2), {"autonomy": 3}),
    ("assistant-bounds", itself(risk=Risk.R3), {"risk": Risk.R2}),
    ("assistant-bounds", itself(half_open=True), {"half_open": False}),
    ("assistant-bounds", itself(**GLASS), {"break_glass": None}),
    ("assistant-bounds", itself(autonomy=2), TAKES_BACK),
    ("assistant-bounds", itself(autonomy=2), {"requester": ASKED.requester}),
]


def changed(request: PolicyRequest, changes: dict[str, Any]) -> PolicyRequest:
    return PolicyRequest(**{**vars(request), **changes})


@pytest.mark.parametrize(("id", "request_", "changes"), PERMITS)
def test_a_permit_applies_there_and_not_elsewhere(
    id: str, request_: PolicyRequest, changes: dict[str, Any]
) -> None:
    permitted = SHIPPED.decide(request_)
    assert permitted.allow, permitted.reason
    assert id in permitted.policies
    assert id not in SHIPPED.decide(changed(request_, changes)).policies


@pytest.mark.parametrize(("id", "request_", "changes"), FORBIDS)
def test_a_forbid_applies_there_and_what_it_leaves_open_is_allowed(
    id: str, request_: PolicyRequest, changes: dict[str, Any]
) -> None:
    forbidden = SHIPPED.decide(request_)
    assert not forbidden.allow
    assert id in forbidden.policies
    assert f"({id})." in forbidden.reason
    left_open = SHIPPED.decide(changed(request_, changes))
    assert id not in left_open.policies
    if id != "frozen" or changes != {"effects": READ}:
        assert left_open.allow, left_open.reason


def test_every_shipped_policy_is_shown_both_ways() -> None:
    assert {id for id, _, _ in (*PERMITS, *FORBIDS)} == SHIPPED.rules.keys()


def test_every_shipped_policy_tells_people_why() -> None:
    assert [rule.id for rule in SHIPPED.rules.values() if not rule.reason] == []


def test_every_shipped_policy_has_a_comment_and_a_place_in_the_manual() -> None:
    manual = (FOLDER / "README.md").read_text()
    for path in FOLDER.glob("*.cedar"):
        paragraphs = path.read_text().split("\n\n")[1:]
        assert all(p.startswith("// ") for p in paragraphs), path
        assert f"`{path.name}`" in manual
    assert [id for id in SHIPPED.rules if f"`{id}`" not in manual] == []


@pytest.mark.parametrize(
    ("changes", "quorum"),
    (
        ({"risk": Risk.R0, "effects": READ}, ()),
        ({"risk": Risk.R0}, ONE),
        ({"risk": Risk.R1}, ONE),
        ({"risk": Risk.R2}, ONE),
        ({"risk": Risk.R3}, TWO),
        ({"touches": MANY}, TWO),
        ({"touches": MANY, "pre_authorised": "A1"}, TWO),
        ({"pre_authorised": "A1"}, ()),
        ({"pre_authorised": "A1", "half_open": True}, ONE),
        ({"risk": Risk.R3, "pre_authorised": "A1"}, TWO),
        ({"half_open": True}, ONE),
        ({"half_open": True, "risk": Risk.R3}, TWO),
        ({"risk": Risk.R3, **GLASS}, ()),
        ({"groups": (Place(group="dba"),)}, (Place(group="dba"),)),
        ({"groups": (Place(group="dba"),), "pre_authorised": "A1"}, (Place(group="dba"),)),
        ({"groups": (Place(group="dba"),), "risk": Risk.R3}, (Place(group="dba"), *TWO)),
        ({"groups": (Place(group="dba"),), **GLASS}, ()),
    ),
)
def test_whose_consent_is_needed(changes: dict[str, Any], quorum: tuple[Place, ...]) -> None:
    decision = decided(**changes)
    assert decision.allow, decision.reason
    assert decision.quorum == quorum


@pytest.mark.parametrize(
    ("autonomy", "risk", "seconds"),
    ((3, Risk.R1, 120), (3, Risk.R2, 120), (4, Risk.R1, 0), (4, Risk.R2, 120)),
)
def test_people_have_time_to_object_to_the_assistant(
    autonomy: int, risk: Risk, seconds: float
) -> None:
    decision = SHIPPED.decide(itself(autonomy=autonomy, risk=risk))
    assert decision.allow
    assert decision.quorum == ()
    assert decision.veto_seconds == seconds


def test_where_the_runbook_asks_for_people_there_is_no_wait_for_a_veto_as_well() -> None:
    decision = SHIPPED.decide(itself(groups=(Place(group="dba"),)))
    assert decision.quorum == (Place(group="dba"),)
    assert decision.veto_seconds == 0


@given(requests)
def test_destruction_of_data_is_never_allowed(request_: PolicyRequest) -> None:
    assert not SHIPPED.decide(changed(request_, {"risk": Risk.R4})).allow


@given(requests)
def test_a_destructive_action_is_never_allowed_below_r3(request_: PolicyRequest) -> None:
    effects = request_.effects | {Effect.DESTRUCTIVE}
    decision = SHIPPED.decide(changed(request_, {"effects": effects}))
    assert not decision.allow or request_.risk is Risk.R3


@given(requests)
def test_nothing_is_changed_in_a_freeze_without_broken_glass(request_: PolicyRequest) -> None:
    frozen = changed(request_, {"freezes": ("Black Friday",), "break_glass": None})
    decision = SHIPPED.decide(frozen)
    assert not decision.allow or frozen.effects == READ


@given(requests)
def test_the_assistant_does_nothing_of_its_own_below_l3(request_: PolicyRequest) -> None:
    """What it takes back for a plan that people approved is not its own."""
    itself_ = changed(request_, {"requester": ITSELF.requester})
    assume(not (itself_.rollback and itself_.phase is Phase.EXECUTE))
    decision = SHIPPED.decide(itself_)
    if decision.allow:
        assert itself_.autonomy >= 3
        assert itself_.risk <= Risk.R2
        assert not itself_.half_open
        assert itself_.break_glass is None


@given(requests)
def test_guests_and_strangers_change_nothing(request_: PolicyRequest) -> None:
    for requester in (by(guest=True), by(stranger=True), by(guest=True, stranger=True)):
        decision = SHIPPED.decide(changed(request_, {"requester": requester}))
        assert not decision.allow or request_.effects == READ


@given(requests)
def test_the_glass_lifts_consent_only_in_grave_incidents(request_: PolicyRequest) -> None:
    broken = changed(request_, {"break_glass": "G1", "rollback": False})
    decision = SHIPPED.decide(broken)
    if decision.allow and broken.effects != READ:
        assert broken.severity in ("sev1", "sev2")
        assert not broken.requester.person.bot


@given(likely)
def test_the_quorum_is_never_smaller_than_the_built_in_one(request_: PolicyRequest) -> None:
    """But for the explicit exceptions: glass, standing authorisation, autonomy, rollback."""
    decision, floor = SHIPPED.decide(request_), RiskPolicy().decide(request_)
    if not decision.allow:
        return
    assert floor.allow
    if request_.break_glass is not None:
        assert decision.quorum == ()
        return
    excepted = request_.pre_authorised is not None or request_.requester.person.bot
    if not excepted:
        assert people(decision.quorum) >= people(floor.quorum)
    for group in {place.group for place in request_.groups}:
        demanded = sum(p.count for p in request_.groups if p.group == group)
        assert sum(p.count for p in decision.quorum if p.group == group) >= demanded


def test_the_likely_requests_are_often_allowed_and_often_not() -> None:
    """What holds of everything that is allowed says little where hardly anything is."""
    allowed: list[bool] = []

    @settings(derandomize=True, database=None, max_examples=100)
    @given(likely)
    def ask(request_: PolicyRequest) -> None:
        allowed.append(SHIPPED.decide(request_).allow)

    ask()
    assert 30 <= sum(allowed) <= 90


@given(likely)
def test_an_exception_is_as_narrow_as_it_says(request_: PolicyRequest) -> None:
    decision = SHIPPED.decide(changed(request_, {"groups": ()}))
    if not decision.allow or decision.quorum or request_.break_glass is not None:
        return
    taken_back = request_.rollback and request_.phase is Phase.EXECUTE
    assert (
        (request_.risk is Risk.R0 and request_.effects == READ)
        or (request_.pre_authorised is not None and request_.risk <= Risk.R2)
        or (request_.requester.person.bot and (request_.autonomy >= 3 or taken_back))
    )
