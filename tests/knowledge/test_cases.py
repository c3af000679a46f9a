"""A page's own examples are decided as the page decides, and differences are told in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.domain.parameters import Parameter, ParameterKind
from bot.domain.runbooks import Case, Outcome, Rule
from bot.knowledge.cases import run_cases
from tests.trial.trial_samples import page, step

BOOK = page(
    step(),
    step("second", when="params.deep == true"),
    decide=(
        Rule(when="facts.wet > 0.9", outcome=Outcome.STOP, because="it is wet already"),
        Rule(when="facts.wet <= 0.9", outcome=Outcome.STEPS, steps=("open", "second")),
    ),
    parameters=(
        Parameter(name="deep", kind=ParameterKind.ENUM, values=("yes", "no"), default="no"),
    ),
)


def fault(**changes: Any) -> str:
    case = replace(
        Case(name="x", labels={}, parameters={}, facts={"wet": 0.5}, outcome=Outcome.STEPS),
        **changes,
    )
    (result,) = run_cases(replace(BOOK, cases=(case,)))
    assert (result.runbook, result.case) == ("valve", "x")
    return result.fault


def test_a_case_that_is_decided_as_it_says_has_no_fault() -> None:
    book = replace(BOOK, decide=BOOK.decide, steps=(step(), step("second")))
    case = Case(name="x", labels={"alertname": "ValveShut"}, parameters={}, facts={"wet": 0.5},
                outcome=Outcome.STEPS, steps=("open", "second"))  # fmt: skip
    assert [r.fault for r in run_cases(replace(book, cases=(case,)))] == [""]


def test_other_steps_are_told() -> None:
    told = fault(steps=("second",), facts={"wet": 0.95})
    assert told == ("it decides to stop (it is wet already), but the case expects the steps second")


def test_another_outcome_is_told() -> None:
    assert 'but the case expects "stop"' in fault(outcome=Outcome.STOP)
    assert fault(outcome=Outcome.STOP, facts={"wet": 1}) == ""


def test_a_fact_nobody_could_find_out_leaves_it_to_a_person() -> None:
    assert fault(outcome=Outcome.ESCALATE, facts={"wet": None}) == ""
    assert fault(outcome=Outcome.ESCALATE, facts={}) == ""


def test_an_alert_the_page_is_not_for_is_told() -> None:
    assert "does not fit this alert" in fault(labels={"alertname": "Other"})


@pytest.mark.parametrize("given", ({"deep": "perhaps"}, {"nonsense": "1"}))
def test_parameters_that_do_not_fit_are_told(given: dict[str, str]) -> None:
    assert next(iter(given)) in fault(parameters=given)
