"""Canonical JSON: the examples of RFC 8785, and everything that is refused."""

from __future__ import annotations

import json
import struct
from enum import IntEnum, StrEnum
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.canonical import MAX_BYTES, MAX_DEPTH, NotCanonical, canonical, digest

CHARACTERS = st.characters(codec="utf-8")
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(CHARACTERS, max_size=20)
)
KEYS = st.text(CHARACTERS, max_size=8)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


def refusal(value: Any) -> NotCanonical:
    with pytest.raises(NotCanonical) as caught:
        canonical(value)
    return caught.value


def test_the_example_of_the_standard_is_reproduced() -> None:
    value = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"/",
        "literals": [None, True, False],
    }
    assert (
        canonical(value)
        == (
            '{"literals":[null,true,false],'
            '"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
            '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
        ).encode()
    )


def test_keys_are_sorted_by_their_utf16_units() -> None:
    value = {
        "\u20ac": "Euro Sign",
        "\r": "Carriage Return",
        "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One",
        "\U0001f600": "Grinning Face",
        "\u0080": "Control",
        "\u00f6": "Latin Small Letter O With Diaeresis",
    }
    assert [name.split()[0] for name in json.loads(canonical(value)).values()] == [
        "Carriage",
        "One",
        "Control",
        "Latin",
        "Euro",
        "Grinning",
        "Hebrew",
    ]


@pytest.mark.parametrize(
    ("bits", "written"),
    (
        ("0000000000000000", b"0"),
        ("8000000000000000", b"0"),
        ("0000000000000001", b"5e-324"),
        ("8000000000000001", b"-5e-324"),
        ("7fefffffffffffff", b"1.7976931348623157e+308"),
        ("4340000000000000", b"9007199254740992"),
        ("4430000000000000", b"295147905179352830000"),
        ("44b52d02c7e14af5", b"9.999999999999997e+22"),
        ("44b52d02c7e14af6", b"1e+23"),
        ("444b1ae4d6e2ef4e", b"999999999999999700000"),
        ("444b1ae4d6e2ef50", b"1e+21"),
        ("3eb0c6f7a0b5ed8c", b"9.999999999999997e-7"),
        ("3eb0c6f7a0b5ed8d", b"0.000001"),
        ("41b3de4355555555", b"333333333.3333333"),
        ("becbf647612f3696", b"-0.0000033333333333333333"),
    ),
)
def test_doubles_are_written_as_the_standard_lists_them(bits: str, written: bytes) -> None:
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical(number) == written


@given(VALUES)
def test_canonical_bytes_carry_the_value_and_are_their_own_canonical_form(value: Any) -> None:
    written = canonical(value)
    read = json.loads(written, parse_int=float)  # in RFC 8785 every number is a double
    assert read == value
    assert canonical(read) == written
    assert digest(value) == sha256(written).hexdigest()


@given(st.dictionaries(KEYS, SCALARS, max_size=8), st.randoms())
def test_the_order_of_keys_does_not_matter(value: dict[str, Any], random: Any) -> None:
    items = list(value.items())
    random.shuffle(items)
    assert canonical(dict(items)) == canonical(value)


def test_enums_and_tuples_are_written_as_what_they_are() -> None:
    class Colour(StrEnum):
        RED = "red"

    class Level(IntEnum):
        HIGH = 3

    assert canonical({"c": (Colour.RED, Level.HIGH)}) == b'{"c":["red",3]}'


@pytest.mark.parametrize(
    ("value", "path", "reason"),
    (
        (float("nan"), "$", "nan"),
        ({"a": [1, float("inf")]}, "$.a[1]", "inf"),
        ({"a": {"b": 2**53}}, "$.a.b", "2^53-1"),
        ([-(2**53)], "$[0]", "2^53-1"),
        ({"who": ["x", "a\ud800"]}, "$.who[1]", "character 1"),
        ({"\udfff": 1}, r"$['\udfff']", "key"),
        ({"a": {1: 2}}, "$.a", "int, not text"),
        ({"a b": {None: 2}}, "$['a b']", "NoneType, not text"),
        ({"a": b"x"}, "$.a", "bytes"),
        ({"a": {1, 2}}, "$.a", "set"),
        ([object()], "$[0]", "object"),
    ),
)
def test_what_json_cannot_carry_is_refused_by_its_path(value: Any, path: str, reason: str) -> None:
    error = refusal(value)
    assert error.path == path
    assert reason in error.reason
    assert str(error).startswith(f"{path}: ")


def test_the_largest_safe_integers_are_accepted() -> None:
    assert canonical([2**53 - 1, -(2**53) + 1]) == b"[9007199254740991,-9007199254740991]"


def test_nesting_is_bounded_without_recursion() -> None:
    assert canonical(nested(MAX_DEPTH))
    assert "deeper than 32" in refusal(nested(MAX_DEPTH + 1)).reason
    assert "deeper than 32" in refusal(nested(100_000)).reason


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert "deeper than 32" in refusal(loop).reason


def test_the_size_is_bounded_to_the_byte() -> None:
    assert len(canonical("x" * (MAX_BYTES - 2))) == MAX_BYTES == 65_534
    assert "larger than" in refusal("x" * (MAX_BYTES - 1)).reason


def test_size_counts_bytes_rather_than_characters() -> None:
    assert "larger than" in refusal("\u20ac" * 30_000).reason
    assert "larger than" in refusal("\x01" * 20_000).reason


def test_a_small_value_that_unfolds_without_end_is_refused_at_once() -> None:
    bomb: list[Any] = []
    for _ in range(30):
        bomb = [bomb] * 10
    assert "larger than" in refusal(bomb).reason
