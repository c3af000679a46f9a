"""What a trial makes up fits what it is made up for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bot.domain.parameters import Parameter, ParameterKind, typed
from bot.domain.patterns import PatternError, compile_pattern
from bot.domain.runbooks import Case, Check, DoneWhen, Expectation, Outcome
from bot.trial.values import facts_that_reach, fitting, parameters_for, shortest
from tests.trial.trial_samples import page

BOUNDS = st.floats(-1e9, 1e9)


@given(above=st.none() | BOUNDS, below=st.none() | BOUNDS)
def test_a_number_is_found_for_every_expectation_that_can_hold(
    above: float | None, below: float | None
) -> None:
    assume(above is None or below is None or below - above > 1e-3)
    expected = Expectation(above=above, below=below)
    assert expected.holds(fitting(expected))


@given(BOUNDS)
def test_an_equal_number_is_equal(number: float) -> None:
    assert Expectation(equals=number).holds(fitting(Expectation(equals=number)))


@given(st.text(alphabet="ab01[]()|*+?{},-\\d.^$", max_size=30))
def test_a_shortest_value_fits_its_pattern(text: str) -> None:
    try:
        pattern = compile_pattern(text)
    except PatternError:
        return
    value = shortest(pattern)
    assert value is None or pattern.fits(value)


@pytest.mark.parametrize("kind", [k for k in ParameterKind if k is not ParameterKind.ENUM])
def test_every_kind_of_parameter_gets_a_value(kind: ParameterKind) -> None:
    parameter = Parameter(name="x", kind=kind)
    given, unknown = parameters_for(page(parameters=(parameter,)))
    assert unknown == []
    typed(parameter, given["x"])


def test_a_case_comes_before_a_default_and_a_default_before_a_guess() -> None:
    parameter = Parameter(name="x", kind=ParameterKind.STRING, label="host", default="mine")
    case = Case(name="c", labels={"host": "theirs"}, parameters={}, facts={}, outcome=Outcome.STOP)
    book = page(parameters=(parameter,))
    assert parameters_for(book)[0] == {"x": "mine"}
    assert parameters_for(replace(book, cases=(case,)))[0] == {"x": "theirs"}
    named = replace(case, parameters={"x": "named"})
    assert parameters_for(replace(book, cases=(named,)))[0] == {"x": "named"}


def test_an_optional_parameter_that_nothing_fits_is_left_out() -> None:
    parameter = Parameter(name="x", kind=ParameterKind.STRING, required=False, pattern="(?!x)")
    assert parameters_for(page(parameters=(parameter,))) == ({}, [])


@pytest.mark.parametrize(
    ("when", "known", "reached"),
    (
        ("facts.wet < 0.8", {}, True),
        ("facts.wet > 41 && facts.wet < 43", {}, True),
        ("facts.wet > facts.dry && facts.dry > 100", {}, True),
        ("facts.wet > 41", {"wet": 0.1}, False),
        ("facts.wet == params.most", {}, True),
        ("facts.wet < 1 && facts.wet > 2", {}, False),
    ),
)
def test_facts_are_found_with_which_a_run_has_helped(
    when: str, known: dict[str, float], reached: bool
) -> None:
    checks = tuple(
        Check(id=id, title=id, uses="valve.look@1", arguments={"valve": id})
        for id in ("wet", "dry")
    )
    book = page(diagnose=checks, done_when=DoneWhen(when=when, within=60, every=5))
    found = facts_that_reach(book, {"most": 777}, known)
    assert (found is not None) is reached
