"""The kill switch by value: what a scope covers, and who releases it."""

from __future__ import annotations

from dataclasses import replace

import hypothesis.strategies as st
import pytest
from hypothesis import given

from bot.domain.errors import Refused
from bot.domain.people import Person, PersonId
from bot.domain.switches import (
    GLOBAL,
    Halt,
    Reach,
    ask_release,
    names,
    refusal,
    scope_of,
    standing_in_the_way,
)
from tests.fakes import NOON

DANA = Person(id=PersonId("U1"), name="Dana")
PRIYA = Person(id=PersonId("U2"), name="Priya")
REACH = Reach(
    runbook="worker-stuck",
    service="checkout",
    teams=frozenset({"payments"}),
    plugins=frozenset({"demo"}),
)
COVERING = (GLOBAL, "runbook:worker-stuck", "service:checkout", "team:payments", "plugin:demo")


def halt(scope: str = GLOBAL) -> Halt:
    return Halt(scope=scope, by="Dana", at=NOON, reason="drill")


@pytest.mark.parametrize("scope", COVERING)
def test_each_scope_of_a_run_stands_in_its_way(scope: str) -> None:
    assert standing_in_the_way([halt("service:search"), halt(scope)], REACH) == halt(scope)


@pytest.mark.parametrize(
    "scope", ("service:payments", "team:checkout", "runbook:checkout", "plugin:demo2", "service:")
)
def test_other_scopes_do_not(scope: str) -> None:
    assert standing_in_the_way([halt(scope)], REACH) is None


def test_the_widest_switch_is_named_first() -> None:
    pulled = [halt("service:checkout"), halt("plugin:demo"), halt()]
    assert standing_in_the_way(pulled, REACH) == halt()
    assert "of plugin:demo is pulled by Dana" in refusal(halt("plugin:demo")).reason
    assert refusal(halt()).reason.startswith("The kill switch is pulled by Dana")


def test_a_run_without_a_service_is_stopped_by_what_it_has() -> None:
    lone = replace(REACH, service=None, teams=frozenset(), plugins=frozenset())
    assert lone.scopes == {GLOBAL, "runbook:worker-stuck"}


@given(
    pulled=st.lists(
        st.sampled_from([*COVERING, "service:search", "team:web", "plugin:http"]), max_size=6
    )
)
def test_something_stands_in_the_way_exactly_where_a_scope_is_its_own(pulled: list[str]) -> None:
    found = standing_in_the_way([halt(scope) for scope in pulled], REACH)
    assert (found is not None) == bool(set(pulled) & set(COVERING))


@pytest.mark.parametrize(
    ("text", "scope"),
    (("", GLOBAL), ("  ", GLOBAL), ("Global", GLOBAL), (" service:Checkout ", "service:checkout"),
     ("plugin:command", "plugin:command"), ("team:web-1.a_b", "team:web-1.a_b")),
)  # fmt: skip
def test_a_scope_is_read_as_people_type_it(text: str, scope: str) -> None:
    assert scope_of(text) == scope


@pytest.mark.parametrize(
    "text", ("checkout", "service:", "service:a b", "host:web", "service:é", "global:x",
             "service:checkout\n:x", "service:" + "a" * 65)
)  # fmt: skip
def test_what_is_no_scope_is_refused_with_those_there_are(text: str) -> None:
    with pytest.raises(Refused, match=r"is not a scope; write global, team:<name>"):
        scope_of(text)


def test_two_people_release_it() -> None:
    once = ask_release(halt(), DANA)
    assert once is not None
    assert once.releases == (DANA,)
    assert ask_release(once, PRIYA) is None


@pytest.mark.parametrize("again", (DANA, replace(PRIYA, account="U1")))
def test_one_human_being_does_not_release_it_twice(again: Person) -> None:
    once = ask_release(halt(), DANA)
    assert once is not None
    with pytest.raises(Refused, match="a second person"):
        ask_release(once, again)


@pytest.mark.parametrize(
    "nobody",
    (
        replace(DANA, bot=True),
        replace(DANA, guest=True),
        replace(DANA, stranger=True),
        replace(DANA, active=False),
    ),
)
def test_only_full_members_release_it(nobody: Person) -> None:
    with pytest.raises(Refused, match="Only"):
        ask_release(halt(), nobody)


def test_names_are_one_text() -> None:
    assert names((DANA, PRIYA)) == "Dana and Priya"
