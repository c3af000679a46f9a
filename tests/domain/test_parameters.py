"""Values that come from strangers: typed, bounded, and put in whole."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.errors import Refused
from bot.domain.expressions import ValueKind
from bot.domain.parameters import (
    Parameter,
    ParameterKind,
    placeholder,
    placeholders,
    substitute,
    typed,
)
from bot.domain.quantities import parse_quantity


def parameter(kind: ParameterKind, **more: Any) -> Parameter:
    return Parameter(name="x", kind=kind, **more)


@pytest.mark.parametrize(
    ("text", "value"),
    (
        ("3", 3),
        ("0", 0),
        ("512Mi", 512 * 1024**2),
        ("2Gi", 2 * 1024**3),
        ("1.5Gi", 3 * 512 * 1024**2),
        ("1Ki", 1024),
        ("1Ti", 1024**4),
        ("1Pi", 1024**5),
        ("7Ei", 7 * 1024**6),
        ("1500m", 1.5),
        ("2000m", 2),
        ("100m", 0.1),
        ("250u", 0.00025),
        ("5n", 5e-9),
        ("1k", 1000),
        ("128M", 128_000_000),
        ("1G", 10**9),
        ("1T", 10**12),
        ("1P", 10**15),
        ("1E", 10**18),
        ("12e6", 12_000_000),
        ("12E6", 12_000_000),
        ("1e-3", 0.001),
        ("0.25", 0.25),
        ("9223372036854775807", 2**63 - 1),
    ),
)
def test_a_quantity_is_the_number_kubernetes_takes_it_for(text: str, value: float) -> None:
    assert parse_quantity(text) == value
    assert type(parse_quantity(text)) is type(value)
    assert typed(parameter(ParameterKind.QUANTITY), text) == value


@pytest.mark.parametrize(
    "text",
    (
        *(
            "",
            " ",
            "Mi",
            "1 Mi",
            "1mi",
            "1KI",
            "1K",
            "1MB",
            "1.Mi",
            ".5Gi",
            "-1",
            "+1",
            "1e",
            "1e3Mi",
        ),
        *("0x10", "1_000", "\u0661Mi", "nan", "inf", "1e99", "9223372036854775808", "8Ei", "1Mi\n"),
        *("1" * 40, "1.0000000001", "1;rm", "${x}"),
    ),
)
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a quantity|is more than"):
        parse_quantity(text)


@given(st.text(max_size=20))
def test_any_text_is_a_quantity_or_a_value_error(text: str) -> None:
    try:
        assert parse_quantity(text) >= 0
    except ValueError as error:
        assert len(str(error)) < 200  # noqa: PT017


@given(st.integers(0, 2**33), st.sampled_from(["Ki", "Mi", "Gi"]))
def test_a_quantity_and_its_smaller_unit_are_the_same(number: int, unit: str) -> None:
    smaller = {"Ki": "", "Mi": "Ki", "Gi": "Mi"}[unit]
    if number * 1024**3 < 2**63:
        assert parse_quantity(f"{number}{unit}") == parse_quantity(f"{number * 1024}{smaller}")


@pytest.mark.parametrize("text", ("1_000", " 1", "\u0661", "0x1p3", "1e3_0"))
def test_a_number_is_written_as_json_writes_it(text: str) -> None:
    with pytest.raises(Refused, match="is not a number"):
        typed(parameter(ParameterKind.NUMBER), text)


@pytest.mark.parametrize("text", ("\u0661", "1_0", " 1"))
def test_whole_numbers_and_durations_have_plain_digits(text: str) -> None:
    with pytest.raises(Refused, match="is not a whole number"):
        typed(parameter(ParameterKind.INTEGER), text)
    with pytest.raises(Refused, match="is not a duration"):
        typed(parameter(ParameterKind.DURATION), f"{text}m")


def test_a_pattern_that_would_make_pythons_hang_answers_at_once() -> None:
    wanted = parameter(ParameterKind.STRING, pattern="(a+)+")
    before = time.perf_counter()
    with pytest.raises(Refused, match="does not match"):
        typed(wanted, "a" * 400 + "!")
    assert time.perf_counter() - before < 1.0


def test_a_pattern_that_is_none_is_refused_rather_than_ignored() -> None:
    with pytest.raises(Refused, match="has no usable pattern"):
        typed(parameter(ParameterKind.STRING, pattern="(?=a)"), "a")


def test_every_kind_says_what_its_values_are() -> None:
    kinds = {kind.value: kind.values for kind in ParameterKind}
    assert kinds["quantity"] is kinds["duration"] is kinds["integer"] is ValueKind.NUMBER
    assert kinds["string"] is kinds["enum"] is kinds["service"] is ValueKind.TEXT


@pytest.mark.parametrize(
    ("text", "name"),
    (
        ("${keys}", "keys"),
        ("${facts.used_share}", "facts.used_share"),
        ("${facts.5xx}", "facts.5xx"),
        ("${params.keys}", None),
        ("${facts.a.b}", None),
        ("${facts.}", None),
        ("${Keys}", None),
        ("${keys} ", None),
        ("${keys}\n", None),
        ("$${keys}", None),
    ),
)
def test_a_placeholder_is_a_parameter_or_a_fact(text: str, name: str | None) -> None:
    assert placeholder(text) == name


def test_placeholders_are_found_however_deep() -> None:
    found = placeholders({"a": ["${x}", {"b": "${facts.y}"}], "c": "n=${z}", "d": 1})
    assert sorted(found) == ["facts.y", "x"]


def test_a_fact_takes_the_whole_place_with_its_type() -> None:
    assert substitute({"pid": "${facts.pid}"}, {"facts.pid": 4711}) == {"pid": 4711}
    assert substitute({"pid": "${facts.pid}"}, {"facts.pid": 0}) == {"pid": 0}


@pytest.mark.parametrize(
    ("measured", "given"), ((4711.0, 4711), (0.5, 0.5), (True, True), (-2.0, -2))
)
def test_a_whole_number_that_was_measured_goes_in_as_one(measured: Any, given: Any) -> None:
    filled = substitute({"pid": "${facts.pid}"}, {"facts.pid": measured})
    assert filled == {"pid": given}
    assert type(filled["pid"]) is type(given)
    assert substitute({"n": "${n}"}, {"n": 2.0})["n"].is_integer()


@pytest.mark.parametrize("values", ({}, {"facts.pid": None}))
def test_a_fact_that_is_not_known_is_never_left_out(values: dict[str, Any]) -> None:
    with pytest.raises(Refused, match=r"facts\.pid stands for could not be found out"):
        substitute({"pid": "${facts.pid}"}, values)
    with pytest.raises(Refused, match="could not be found out"):
        substitute({"deep": [{"pid": "${facts.pid}"}]}, values)
