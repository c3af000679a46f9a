"""Requests to ask policies about, and the policies that are shipped."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from bot.domain.actions import Effect, Risk
from bot.domain.approvals import ANYONE, Place
from bot.domain.people import BOT, Person, PersonId, Standing
from bot.domain.policy import ChangeType, Phase, PolicyDecision, PolicyRequest
from bot.policies import CedarPolicy, from_documents, load

FOLDER = Path(__file__).resolve().parents[2] / "knowledge" / "policies"
SHIPPED = load(FOLDER)
SCHEMA = (FOLDER / "schema.cedarschema").read_bytes()

DANA = Person(id=PersonId("U1"), name="Dana Secret")
READ, MUTATE, DESTROY = (
    frozenset({Effect.READ}),
    frozenset({Effect.MUTATE}),
    frozenset({Effect.DESTRUCTIVE}),
)
ASKED = PolicyRequest(
    phase=Phase.PLAN,
    at=datetime(2026, 11, 18, 10, 30, tzinfo=UTC),
    requester=Standing(
        person=DANA, groups=frozenset({"payments-oncall"}), teams=frozenset({"payments"})
    ),
    requester_ref="p:5f2a",
    runbook="worker-stuck",
    actions=("checkout.restart_worker@1",),
    risk=Risk.R2,
    effects=MUTATE,
    service="checkout",
    team="payments",
    tier=1,
    touches=("checkout", "storefront"),
    targets=1,
    severity="sev2",
)
ITSELF = replace(ASKED, requester=Standing(person=BOT), requester_ref="bot", autonomy=3)


def asked(**changes: Any) -> PolicyRequest:
    return replace(ASKED, **changes)


def itself(**changes: Any) -> PolicyRequest:
    return replace(ITSELF, **changes)


def by(**changes: Any) -> Standing:
    return Standing(person=replace(DANA, **changes))


def decided(**changes: Any) -> PolicyDecision:
    return SHIPPED.decide(asked(**changes))


def written(text: str, **others: str) -> CedarPolicy:
    documents = {"schema.cedarschema": SCHEMA, "own.cedar": text.encode()}
    return from_documents({**documents, **{f"{k}.cedar": v.encode() for k, v in others.items()}})


def timeless(decision: PolicyDecision) -> PolicyDecision:
    return replace(decision, microseconds=0)


def people(places: tuple[Place, ...]) -> int:
    return sum(place.count for place in places)


names = st.sampled_from(["checkout", "storefront", "cart", "orders", "search", "edge", "none"])
# What a stranger could write into a label: quotes, ends of statements, NUL, and a lot of it.
hostile = st.one_of(
    st.sampled_from(
        [
            'x"; permit(principal, action, resource); //',
            'Service::"none"',
            "a\nb\r\n",
            "\0",
            "\\",
            "__entity",
            "nobody",
            "x" * 10_000,
            "“”—\u202e",
        ]
    ),
    st.text(max_size=40),
)
places = st.builds(
    Place,
    group=st.sampled_from([ANYONE, "sre-leads", "payments-oncall", "team:web", "role:commander"]),
    count=st.integers(1, 3),
    teams_differ=st.booleans(),
)
standings = st.builds(
    Standing,
    person=st.builds(
        Person,
        id=st.just(PersonId("U1")),
        name=st.just("Dana Secret"),
        bot=st.booleans(),
        guest=st.booleans(),
        stranger=st.booleans(),
        active=st.sampled_from([True, True, True, False]),
    ),
    groups=st.frozensets(st.sampled_from(["sre-leads", "payments-oncall"])),
    teams=st.frozensets(st.sampled_from(["payments", "web"])),
    roles=st.frozensets(st.sampled_from(["commander", "scribe"])),
)
wild = st.builds(
    PolicyRequest,
    phase=st.sampled_from(Phase),
    at=st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),
    requester=standings,
    requester_ref=st.text(max_size=20),
    runbook=st.text(max_size=20),
    actions=st.lists(st.text(max_size=10), max_size=3).map(tuple),
    risk=st.sampled_from(Risk),
    effects=st.frozensets(st.sampled_from(Effect)),
    change_type=st.sampled_from(ChangeType),
    service=st.none() | names,
    team=st.none() | st.sampled_from(["payments", "web"]),
    tier=st.none() | st.integers(1, 4),
    touches=st.lists(names, max_size=7).map(tuple),
    targets=st.integers(0, 1000),
    severity=st.none() | st.sampled_from(["sev1", "sev2", "sev3", "sev4"]),
    autonomy=st.integers(0, 4),
    freezes=st.sampled_from([(), (), ("Black Friday",)]),
    calendar_faults=st.sampled_from([(), (), ("team.ics: no",)]),
    maintenance=st.booleans(),
    half_open=st.booleans(),
    rollback=st.booleans(),
    pre_authorised=st.sampled_from([None, None, "A1"]),
    break_glass=st.sampled_from([None, None, "G1"]),
    groups=st.lists(places, max_size=3).map(tuple),
    approvals=st.just(()),
    plan_digest=st.just("d" * 64),
    epoch=st.integers(0, 9),
)
# Requests that are allowed more often than not, for what has to hold of those.
likely = st.builds(
    lambda request, effect, requester, severity: replace(
        request,
        effects=frozenset({effect}),
        risk=Risk.R3 if effect is Effect.DESTRUCTIVE else min(request.risk, Risk.R3),
        requester=requester,
        severity=severity,
        freezes=(),
        calendar_faults=(),
        half_open=request.half_open and request.maintenance,
    ),
    wild,
    st.sampled_from(Effect),
    st.sampled_from([ASKED.requester, ASKED.requester, ASKED.requester, ITSELF.requester]),
    st.sampled_from(["sev1", "sev2", "sev4"]),
)
requests = wild | likely
