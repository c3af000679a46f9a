"""What connects a document besides its text: services, age, and people's word."""

import math
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.documents import Acceptance, Outcome
from bot.search.surroundings import Topology, acceptance, aware, outcome, recency

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SERVICES = st.sampled_from("abcdefg")
GRAPH = st.dictionaries(SERVICES, st.sets(SERVICES, max_size=4))
MOMENTS = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC))


def recent(created: datetime, at: datetime) -> float:
    return float(recency(np.array([created.timestamp()]), at)[0])


def test_services_are_near_in_either_direction_up_to_two_hops() -> None:
    topology = Topology({"web": ["checkout"], "checkout": ["payments"], "payments": ["bank"]})
    assert topology.around(["checkout"]) == {"web": 1, "payments": 1, "bank": 2}
    assert topology.around(["bank"]) == {"payments": 1, "checkout": 2}
    assert topology.around(["web", "bank"]) == {"checkout": 1, "payments": 1}
    assert topology.around([]) == {}
    assert topology.around(["unknown"]) == {}


def test_a_circle_and_a_service_that_needs_itself_end() -> None:
    topology = Topology({"a": ["a", "b"], "b": ["c"], "c": ["a"]})
    assert topology.around(["a"]) == {"b": 1, "c": 1}


@given(GRAPH, st.sets(SERVICES, min_size=1))
def test_hops_are_those_of_the_shortest_way(graph: dict[str, set[str]], own: set[str]) -> None:
    edges = {(a, b) for a, others in graph.items() for b in others}
    near = {b for a, b in edges if a in own} | {a for a, b in edges if b in own}
    far = {b for a, b in edges if a in near} | {a for a, b in edges if b in near}
    expected = dict.fromkeys(far - own, 2) | dict.fromkeys(near - own, 1)
    assert Topology(graph).around(own) == expected


def test_it_is_told_who_needs_whom() -> None:
    topology = Topology({"checkout": ["payments"], "payments": ["bank"]})
    assert topology.told("checkout", "payments") == "checkout needs payments"
    assert topology.told("payments", "checkout") == "checkout needs payments"
    assert topology.told("checkout", "bank") == "bank is close to checkout"


def test_recency_halves_every_90_days() -> None:
    for days, expected in ((0, 1.0), (90, 0.5), (180, 0.25), (45, 0.5**0.5)):
        assert recent(NOW - timedelta(days=days), NOW) == pytest.approx(expected)
    assert recent(NOW + timedelta(seconds=1), NOW) == 0
    assert recency(np.array([-math.inf, math.inf]), NOW).tolist() == [0, 0]
    assert recency(np.array([]), NOW).tolist() == []


@given(MOMENTS, MOMENTS)
def test_recency_is_from_0_to_1_and_falls_with_age(created: datetime, at: datetime) -> None:
    found = recent(created, at)
    assert 0 <= found <= 1
    assert (found > 0) <= (created <= at)
    assert recent(created - timedelta(days=1), at) <= found or found == 0
    assert recent(created, at.replace(tzinfo=None)) == found


def test_a_time_without_a_zone_is_utc_and_one_with_a_zone_stays() -> None:
    assert aware(NOW.replace(tzinfo=None)) == NOW
    elsewhere = NOW.astimezone(timezone(timedelta(hours=5)))
    assert aware(elsewhere) is elsewhere
    assert recent(NOW, elsewhere) == 1


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_people_s_word_is_drawn_towards_0_while_few_have_spoken(useful: int, useless: int) -> None:
    found = acceptance(Acceptance(useful=useful, useless=useless))
    assert -1 < found < 1
    assert (found > 0) == (useful > useless)
    assert acceptance(Acceptance(useful=useless, useless=useful)) == -found
    said = useful + useless
    assert abs(found) <= (abs(useful - useless) / said if said else 0)


def test_one_voice_says_less_than_many() -> None:
    assert acceptance(None) == acceptance(Acceptance()) == 0
    assert acceptance(Acceptance(useful=1)) == pytest.approx(1 / 3)
    assert acceptance(Acceptance(useful=98)) == pytest.approx(0.98)


def test_every_outcome_has_its_number() -> None:
    assert {each: outcome(each) for each in Outcome} == {
        Outcome.WORKED: 1, Outcome.FAILED: -1, Outcome.UNKNOWN: 0,
    }  # fmt: skip
