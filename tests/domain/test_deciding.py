"""Rules choose the steps of a run; what cannot be told goes to a person."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.actions import JSON
from bot.domain.deciding import Decision, decide, fact_name, goal_holds
from bot.domain.runbooks import (
    Expectation,
    Match,
    Outcome,
    Review,
    Rule,
    Runbook,
    Step,
    StepUndo,
    Verification,
)


def step(id: str, **more: Any) -> Step:
    return Step(
        id=id,
        title=id,
        uses="cache.evict@1",
        arguments=more.pop("arguments", {}),
        risk=None,
        timeout=30,
        verify=more.pop("verify", None),
        **more,
    )


def page(*steps: Step, decide: tuple[Rule, ...] = ()) -> Runbook:
    return Runbook(
        id="cache-full",
        version=1,
        title="The cache is full",
        owner="storage",
        review=Review(by="dana", at=date(2026, 1, 1), max_age_days=180),
        match=Match(),
        parameters=(),
        approval={},
        diagnose=(),
        steps=steps,
        sections={},
        path="runbooks/cache-full.md",
        digest="0" * 64,
        decide=decide,
    )


def rule(when: str, *steps: str, outcome: Outcome | None = None, because: str = "") -> Rule:
    chosen = outcome or (Outcome.STEPS if steps else Outcome.ESCALATE)
    return Rule(when=when, outcome=chosen, steps=steps, because=because)


def ids(decision: Decision) -> tuple[str, ...]:
    return tuple(each.id for each in decision.steps)


def test_without_rules_all_steps_are_done() -> None:
    decision = decide(page(step("a"), step("b")), {}, {})
    assert (decision.outcome, ids(decision), decision.rule) == (Outcome.STEPS, ("a", "b"), None)


def test_the_first_rule_that_holds_decides_and_says_why() -> None:
    rules = (
        rule("facts.used < 0.5", outcome=Outcome.STOP, because="it is over"),
        rule("facts.used > 0.9", "b", "a", because="it is nearly full"),
        rule("true"),
    )
    runbook = page(step("a"), step("b"), step("c"), decide=rules)
    low, high, between = (decide(runbook, {}, {"used": used}) for used in (0.1, 0.95, 0.7))
    assert (low.outcome, low.because, low.rule) == (Outcome.STOP, "it is over", 1)
    assert (high.outcome, ids(high), high.rule) == (Outcome.STEPS, ("a", "b"), 2)
    assert high.because == "it is nearly full"
    assert (between.outcome, between.because, between.rule) == (Outcome.ESCALATE, "true holds", 3)
    assert low.steps == between.steps == ()


def test_a_fact_that_is_not_known_stops_the_search_for_a_rule() -> None:
    rules = (rule("facts.used_share > 0.9", "a"), rule("true", "a"))
    for facts in ({}, {"used-share": None}, {"used-share": float("nan")}):
        decision = decide(page(step("a"), decide=rules), {}, facts)
        assert (decision.outcome, decision.steps, decision.rule) == (Outcome.ESCALATE, (), 1)
        assert "facts.used_share > 0.9" in decision.because
    assert decide(page(step("a"), decide=rules), {}, {}).because == (
        "rule 1 cannot be decided: facts.used_share > 0.9: facts.used_share is not known"
    )


def test_several_missing_values_are_all_named() -> None:
    rules = (rule('params.env == "x" && facts.b > facts.a', "a"),)
    because = decide(page(step("a"), decide=rules), {"env": "x"}, {}).because
    assert because.endswith("facts.a and facts.b are not known")


def test_what_can_be_decided_without_a_missing_fact_is() -> None:
    rules = (rule("facts.a > 1 || params.force", "a"),)
    decision = decide(page(step("a"), decide=rules), {"force": True}, {})
    assert decision.outcome is Outcome.STEPS


def test_values_that_cannot_be_compared_go_to_a_person() -> None:
    rules = (rule("facts.a / facts.b > 1", "a"),)
    decision = decide(page(step("a"), decide=rules), {}, {"a": 1, "b": 0})
    assert decision.outcome is Outcome.ESCALATE
    assert decision.because.endswith("its values cannot be computed or compared")


def test_where_no_rule_holds_a_person_decides() -> None:
    decision = decide(page(step("a"), decide=(rule("facts.a > 1", "a"),)), {}, {"a": 0})
    assert (decision.outcome, decision.because) == (Outcome.ESCALATE, "no rule fits")
    assert decision.rule is None


def test_a_fact_goes_by_its_check_with_underscores() -> None:
    assert fact_name("used-share") == "used_share"
    rules = (rule("facts.used_share == 1", "a"),)
    for name in ("used-share", "used_share"):
        assert decide(page(step("a"), decide=rules), {}, {name: 1}).outcome is Outcome.STEPS


def test_a_step_whose_condition_does_not_hold_is_left_out_and_told() -> None:
    runbook = page(step("a", when="facts.n > 1"), step("b"))
    decision = decide(runbook, {}, {"n": 1})
    assert (decision.outcome, ids(decision)) == (Outcome.STEPS, ("b",))
    assert "without a, since facts.n > 1 does not hold" in decision.because


def test_where_every_step_is_left_out_there_is_nothing_to_do() -> None:
    decision = decide(page(step("a", when="facts.n > 1")), {}, {"n": 1})
    assert (decision.outcome, decision.steps) == (Outcome.STOP, ())
    assert "without a" in decision.because


def test_a_steps_condition_that_cannot_be_told_goes_to_a_person() -> None:
    runbook = page(step("a"), step("b", when="facts.n > 1"))
    decision = decide(runbook, {}, {})
    assert (decision.outcome, decision.steps) == (Outcome.ESCALATE, ())
    assert decision.because == "step b cannot be decided: facts.n > 1: facts.n is not known"


@pytest.mark.parametrize(
    "using",
    (
        {"arguments": {"pid": "${facts.blocking_pid}"}},
        {"arguments": {"deep": [{"pid": "${facts.blocking_pid}"}]}},
        {"undo": StepUndo(uses="a.b@1", arguments={"pid": "${facts.blocking_pid}"})},
        {
            "verify": Verification(
                uses="a.b@1",
                arguments={"pid": "${facts.blocking_pid}"},
                expect=Expectation(equals=0),
                within=1,
                every=1,
                consecutive=1,
            )
        },
    ),
)
def test_a_step_that_uses_what_is_not_known_goes_to_a_person(using: Mapping[str, Any]) -> None:
    runbook = page(step("a", **using))
    missing = decide(runbook, {}, {"blocking-pid": None})
    assert missing.outcome is Outcome.ESCALATE
    assert missing.because.endswith("facts.blocking_pid is not known")
    assert decide(runbook, {}, {"blocking-pid": 0}).outcome is Outcome.STEPS
    unneeded = page(step("a", when="params.on", **using), step("b"))
    assert ids(decide(unneeded, {"on": False}, {})) == ("b",)


def test_a_condition_that_is_no_expression_goes_to_a_person() -> None:
    decision = decide(page(step("a"), decide=(rule("facts.a >", "a"),)), {}, {"a": 1})
    assert decision.outcome is Outcome.ESCALATE
    assert "is no expression" in decision.because


def test_a_goal_holds_or_not_or_cannot_be_told() -> None:
    assert goal_holds("facts.errors < params.most", {"most": 5}, {"errors": 1}) is True
    assert goal_holds("facts.errors < params.most", {"most": 5}, {"errors": 9}) is False
    assert goal_holds("facts.errors < params.most", {"most": 5}, {"errors": None}) is None
    assert goal_holds("facts.errors <", {}, {}) is None


WHEN = st.sampled_from(
    ["true", "false", "facts.a", "facts.b == 1", "params.c", "facts.a &&", "1/0 > 1"]
)


@given(
    st.lists(st.tuples(WHEN, st.sampled_from(list(Outcome)), st.sets(st.sampled_from("xyz")))),
    st.lists(WHEN | st.just(""), min_size=3, max_size=3),
    st.dictionaries(st.sampled_from("ab"), st.sampled_from([True, False, 1, 0, None, "1", [1]])),
)
def test_steps_are_only_ever_done_where_a_rule_and_they_themselves_say_so(
    rules: list[tuple[str, Outcome, set[str]]], whens: list[str], facts: dict[str, JSON]
) -> None:
    steps = tuple(step(id, when=when) for id, when in zip("xyz", whens, strict=True))
    chosen = tuple(rule(w, *sorted(ids), outcome=o) for w, o, ids in rules)
    decision = decide(page(*steps, decide=chosen), {}, facts)
    if decision.outcome is not Outcome.STEPS:
        assert decision.steps == ()
        return
    if rules:
        assert decision.rule is not None
        when, outcome, named = rules[decision.rule - 1]
        assert outcome is Outcome.STEPS
        assert goal_holds(when, {}, facts) is True
        assert set(ids(decision)) <= named
        assert all(goal_holds(w, {}, facts) is False for w, _, _ in rules[: decision.rule - 1])
    assert all(not each.when or goal_holds(each.when, {}, facts) for each in decision.steps)
