"""Expressions: what they mean, what they never do, and what is wrong with one."""

from __future__ import annotations

import math
import time
from typing import Any, TypeAlias

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.domain.expression_syntax import DEEPEST, LONGEST, MOST_NODES
from bot.domain.expressions import ExpressionError, ValueKind, check, evaluate, parse

VALUES = {
    "facts.used": 0.95,
    "facts.pods": 3,
    "facts.ready": True,
    "facts.lost": None,
    "params.env": "prod",
    "labels.severity": "critical",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    (
        ('facts.used > 0.9 && params.env == "prod"', True),
        ("facts.used > 0.9 && params.env == 'test'", False),
        ("facts.used >= 0.95 && facts.used <= 0.95", True),
        ("facts.pods < 3 || facts.pods != 3", False),
        ("!facts.ready", False),
        ("facts.ready == true", True),
        ("facts.pods in [1, 2, 3]", True),
        ('params.env in ["test", "stage"]', False),
        ('!(params.env in ["test"])', True),
        ("1 + 2 * 3 == 7", True),
        ("(1 + 2) * 3 == 9", True),
        ("10 - 4 - 3 == 3", True),
        ("12 / 4 / 3 == 1", True),
        ("7 / 2 == 3.5", True),
        ("-facts.pods == 0 - 3", True),
        ("2 - -1 == 3", True),
        ("true || false && false", True),
        ("(true || false) && false", False),
        ("1 < 2 == true", None),
        ('"a\\"b" == \'a"b\'', True),
        ("\"a\\\\b\" == 'a\\\\b'", True),
        ("1e3 == 1000", True),
        ("9007199254740993 == 9007199254740992", False),
        ("has(facts.used)", True),
        ("has(facts.lost)", False),
        ("has(facts.nowhere)", False),
        ("has(facts.lost) && facts.lost > 1", False),
    ),
)
def test_an_expression_says_what_it_looks_like(text: str, expected: bool | None) -> None:
    if expected is None:
        with pytest.raises(ExpressionError, match="chained"):
            parse(text)
    else:
        assert evaluate(parse(text), VALUES) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    (
        ("facts.lost > 1", None),
        ("!(facts.lost > 1)", None),
        ("facts.nowhere", None),
        ("false && facts.lost", False),
        ("facts.lost && false", False),
        ("true && facts.lost", None),
        ("true || facts.lost", True),
        ("facts.lost || true", True),
        ("false || facts.lost", None),
        ("facts.lost in [1]", None),
        ("facts.pods in [3, facts.lost]", True),
        ("facts.pods in [4, facts.lost]", None),
        ("facts.lost == facts.lost", None),
        ("facts.pods + facts.lost > 1", None),
    ),
)
def test_what_is_not_known_stays_unknown_unless_the_rest_decides(
    text: str, expected: bool | None
) -> None:
    assert evaluate(parse(text), VALUES) is expected


@pytest.mark.parametrize(
    "text",
    (
        "params.env > 1",
        'params.env == 1 || params.env < "z"',
        "params.env + params.env == params.env",
        "facts.ready + 1 == 2",
        "facts.ready == 1",
        "!facts.pods",
        "facts.pods && true",
        "facts.pods",
        "params.env",
        "1 / 0 > 1",
        "facts.pods / (facts.pods - 3) > 0",
        "1e308 * 10 > 1",
        "999999999999999999 * 999999999999999999 > 0",
        "-(1e308 * 10) < 0",
    ),
)
def test_what_makes_no_sense_is_unknown_and_never_an_error(text: str) -> None:
    assert evaluate(parse(text), VALUES) is None


@pytest.mark.parametrize(
    "value", (math.nan, math.inf, [1], {"a": 1}, object(), 2**64, -(10**4000), b"")
)
def test_a_value_that_is_no_scalar_or_not_finite_is_unknown(value: object) -> None:
    for text in ("facts.x == facts.x", "facts.x > 0", "facts.x", "!facts.x", "facts.x in [1]"):
        assert evaluate(parse(text), {"facts.x": value}) is None


def test_the_names_of_an_expression_are_dotted() -> None:
    expression = parse("facts.used > 0.9 && (has(params.env) || facts.5xx_rate in [labels.a])")
    assert expression.names == {"facts.used", "params.env", "facts.5xx_rate", "labels.a"}


@pytest.mark.parametrize(
    ("text", "reason", "position"),
    (
        ("", "something is missing at the end", 0),
        ("facts.a >", "something is missing at the end", 9),
        ("(facts.a", "something is missing at the end", 8),
        ("facts.a > 1)", '")" does not belong here', 11),
        ("facts.a facts.b", '"facts.b" does not belong here', 8),
        ("facts.a = 1", "write == to compare", 8),
        ("facts.a > 1 and true", "write && for and", 12),
        ("facts.a > 1 or true", "write || for or", 12),
        ("not facts.a", "write ! for not", 0),
        ("facts.a == null", "there is no null", 11),
        ("facts.a == None", '"None" is no value', 11),
        ("True", "write true in lower case", 0),
        ("facts.a == prod", '"prod" is no value; put text in quotes', 11),
        ('facts.a == "prod', "the text that begins here is not closed", 11),
        ('facts.a == "a\nb"', "the text that begins here is not closed", 11),
        ('facts.a == "\\x41"', 'there is no escape "\\x"', 12),
        ("facts.a > 1 > 2", "cannot be chained", 12),
        ("facts.a in 1", "stands a list", 11),
        ("facts.a in []", '"]" does not belong here', 12),
        ("facts.a in [1,]", '"]" does not belong here', 14),
        ("[1] == [1]", '"[" does not belong here', 0),
        ("has(1)", "has() takes one name", 4),
        ("has(used)", "has() takes one name", 4),
        ("has(facts.a > 1)", '">" does not belong here', 12),
        ("has", "something is missing at the end", 3),
        ("facts.a.matches('x')", '"(" does not belong here', 15),
        ("size(facts.a)", '"size" is no value', 0),
        ("facts.a ? true : false", "there is no ?:", 8),
        ("facts.a % 2 == 0", "there is no remainder", 8),
        ("facts . a", '"." means nothing here', 6),
        ("facts.", '"." means nothing here', 5),
        ("1.", '"." means nothing here', 1),
        (".5 > 1", '"." means nothing here', 0),
        ("0x10 > 1", '"x10" does not belong here', 1),
        ("007 == 7", "007 is not a number", 0),
        ("1e999 > 1", "1e999 is not a number", 0),
        ("\u0661 == 1", "means nothing here", 0),
        ("facts.a\u00a0> 1", "U+00A0", 7),
        ("facts.\u0430 > 1", '"." means nothing here', 5),
        ("\ud800", "U+D800", 0),
        ("\x00", "U+0000", 0),
        ("${facts.a} > 1", '"$" means nothing here', 0),
        ("facts.a; true", '";" means nothing here', 7),
        ("`id`", '"`" means nothing here', 0),
    ),
)
def test_a_mistake_is_named_with_its_place(text: str, reason: str, position: int) -> None:
    with pytest.raises(ExpressionError) as error:
        parse(text)
    assert reason in error.value.reason
    assert error.value.position == position


@pytest.mark.parametrize(
    "text",
    (
        "(" * 400 + "true" + ")" * 400,
        "!" * 900 + "true",
        "-" * 900 + "1",
        "(" * 33 + "true" + ")" * 33,
        "1 in [(" * 100,
        "+".join(["1"] * 50),
        "!(" * 300,
    ),
)
def test_what_nests_too_deep_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError, match=f"deeper than {DEEPEST}"):
        parse(text)


def test_the_bounds_are_reached_and_not_passed() -> None:
    assert evaluate(parse("(" * (DEEPEST - 1) + "true" + ")" * (DEEPEST - 1)), {}) is True
    chain = "||".join(["1<2"] * 66)
    assert evaluate(parse(chain), {}) is True
    with pytest.raises(ExpressionError, match=f"more than {MOST_NODES} parts"):
        parse("||".join(["1<2"] * 67))
    with pytest.raises(ExpressionError, match=f"longer than {LONGEST}"):
        parse("true" + " " * LONGEST)


@pytest.mark.parametrize("text", ("(" * 100_000, "!" * 100_000, "a." * 50_000, '"' * 100_000))
def test_a_hundred_thousand_characters_are_refused_at_once(text: str) -> None:
    before = time.perf_counter()
    with pytest.raises(ExpressionError, match="longer than"):
        parse(text)
    assert time.perf_counter() - before < 0.05


# A tree is a literal, a name, or (sign, parts); the model knows nothing of the real one's.
Tree: TypeAlias = Any
SCALARS = st.one_of(
    st.booleans(),
    st.integers(0, 5),
    st.sampled_from([0.5, 1.5, 2.0]),
    st.sampled_from(["a", "b", 'q"', "back\\slash"]),
)
NAMES = st.sampled_from(["facts.a", "facts.b", "params.c", "labels.d"]).map(lambda n: ("name", n))


def _grown(inner: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    two = st.tuples(inner, inner)
    return st.one_of(
        st.tuples(st.sampled_from(["&&", "||"]), several),
        st.tuples(st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/"]), two),
        st.tuples(st.just("in"), several),
        st.tuples(st.sampled_from(["!", "neg"]), st.tuples(inner)),
        st.tuples(st.just("has"), st.tuples(NAMES)),
    )


TREES = st.recursive(SCALARS.map(lambda v: ("value", v)) | NAMES, _grown, max_leaves=12)


def written(tree: Tree) -> str:
    sign, inner = tree
    if sign == "name":
        return str(inner)
    if sign == "value":
        if isinstance(inner, str):
            return '"' + inner.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return str(inner).lower()
    parts = [written(part) for part in inner]
    if sign == "has":
        return f"has({parts[0]})"
    if sign in ("!", "neg"):
        return f"{sign.replace('neg', '-')}({parts[0]})"
    if sign == "in":
        return f"({parts[0]}) in [{', '.join(f'({part})' for part in parts[1:])}]"
    return f" {sign} ".join(f"({part})" for part in parts)


def same_kind(*values: Any) -> bool:
    kinds = {"n" if type(v) in (int, float) else type(v).__name__ for v in values}
    return len(kinds) == 1 and "NoneType" not in kinds


def modelled(tree: Tree, values: dict[str, Any]) -> Any:
    """Evaluate as the manual says, one case after the other."""
    sign, inner = tree
    if sign == "name":
        return values.get(inner)
    if sign == "value":
        return inner
    parts = [modelled(part, values) for part in inner]
    if sign == "has":
        return parts[0] is not None
    if sign in ("&&", "||"):
        decides = sign == "||"
        if any(p is decides for p in parts):
            return decides
        return None if any(type(p) is not bool for p in parts) else not decides
    if sign == "!":
        return (not parts[0]) if type(parts[0]) is bool else None
    if sign == "in":
        each = [parts[0] == p if same_kind(parts[0], p) else None for p in parts[1:]]
        return True if True in each else (None if None in each else False)
    if sign in ("==", "!="):
        return (parts[0] == parts[1]) is (sign == "==") if same_kind(*parts) else None
    if not all(type(p) in (int, float) for p in parts):
        return None
    left, right = parts[0], parts[-1]
    if sign == "/":
        return left / right if right != 0 else None
    compute = {
        "<": left < right,
        "<=": left <= right,
        ">": left > right,
        ">=": left >= right,
        "+": left + right,
        "-": left - right,
        "*": left * right,
        "neg": -left,
    }
    return compute[sign]


@given(
    TREES, st.dictionaries(st.sampled_from(["facts.a", "facts.b", "params.c", "labels.d"]), SCALARS)
)
def test_a_random_tree_evaluates_like_the_model(tree: Tree, values: dict[str, Any]) -> None:
    try:
        expression = parse(written(tree))
    except ExpressionError as error:
        assert "deeper" in error.reason or "longer" in error.reason  # noqa: PT017
        return
    expected = modelled(tree, values)
    assert evaluate(expression, values) is (expected if type(expected) is bool else None)


ALPHABET = st.sampled_from(list("ft.as() []!&|=<>+-*/,0123\"'\\ e\n\u00e9$")) | st.sampled_from(
    ["true", "false", "facts.a", "has(", " in [", "&&", "||", "1.5", '"x"']
)


@given(st.text() | st.lists(ALPHABET, max_size=40).map("".join))
@example("\\")
@example('"\\')
@example("1e5")
def test_random_text_is_an_expression_or_an_expression_error(text: str) -> None:
    try:
        expression = parse(text)
    except ExpressionError as error:
        assert 0 <= error.position <= len(text)  # noqa: PT017
        return
    assert evaluate(expression, {"facts.a": 1}) in (True, False, None)
    try:
        check(expression, {"facts.a": ValueKind.MEASURED})
    except ExpressionError as error:
        assert 0 <= error.position <= len(text)  # noqa: PT017


KINDS = {
    "facts.used": ValueKind.MEASURED,
    "params.env": ValueKind.TEXT,
    "params.n": ValueKind.NUMBER,
    "labels.*": ValueKind.TEXT,
}


@pytest.mark.parametrize(
    "text",
    (
        'facts.used > 0.9 && params.env == "prod"',
        "facts.used",
        "!facts.used || facts.used == true || facts.used == 1",
        "facts.used in [1, params.n]",
        "facts.used == facts.used + 1",
        'labels.anything in ["a", params.env]',
        "has(labels.x) && !has(facts.used)",
    ),
)
def test_what_can_be_meant_passes_the_check(text: str) -> None:
    check(parse(text), KINDS)


@pytest.mark.parametrize(
    ("text", "reason", "position"),
    (
        ("facts.usd > 1", 'there is no "facts.usd" here; did you mean "facts.used"?', 0),
        ("has(facts.x)", 'there is no "facts.x" here', 4),
        ("used.x > 1", 'there is no "used.x" here', 0),
        ('facts.used > "high"', '">" takes a number, and this is text', 13),
        ("labels.replicas > 3", '">" takes a number, and this is text', 0),
        ('facts.used == "high"', '"==" compares a measured value with text', 14),
        ("params.env == 1", '"==" compares text with a number', 14),
        ('params.env in ["a", 1]', '"in" compares text with a number', 20),
        ("params.n == true", "compares a number with true or false", 12),
        ("params.n && true", '"&&" takes true or false, and this is a number', 0),
        ("!params.env", '"!" takes true or false, and this is text', 1),
        ("-params.env == 1", '"-" takes a number, and this is text', 1),
        ("(1 < 2) + 1 == 2", '"+" takes a number, and this is true or false', 3),
        ("params.env", "it is text, but a condition is true or false", 0),
        ("facts.used + 1", "it is a number, but a condition is true or false", 11),
    ),
)
def test_what_can_never_be_meant_is_named_with_its_place(
    text: str, reason: str, position: int
) -> None:
    with pytest.raises(ExpressionError) as error:
        check(parse(text), KINDS)
    assert reason in error.value.reason
    assert error.value.position == position
