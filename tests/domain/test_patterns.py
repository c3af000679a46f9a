"""Patterns mean what Python's regular expressions mean, and no value makes one slow."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain.pattern_syntax import LONGEST_PATTERN
from bot.domain.patterns import PatternError, compile_pattern


@pytest.mark.parametrize(
    ("pattern", "fitting", "unfit"),
    (
        ("[0-9a-f]{4}", ("00ff",), ("00f", "00fff", "00FF", "")),
        ("[1-9]|[12][0-9]|3[0-2]", ("1", "29", "32"), ("0", "33", "321")),
        ("^prod-[a-z]+$", ("prod-a",), ("a prod-a", "prod-", "prod-a ", "prod-a\n")),
        ("(eu|us)-(west|east)-[1-3]", ("eu-west-1", "us-east-3"), ("eu-west", "eu-west-4")),
        ("(?:a|b)?c", ("c", "ac", "bc"), ("abc", "")),
        ("a{2,3}", ("aa", "aaa"), ("a", "aaaa")),
        ("a{2,}", ("aa", "a" * 400), ("a",)),
        (r"\d+\.\d+", ("1.2",), ("1x2", "1.", "\u0661.2")),
        (r"/[\w/.-]+", ("/var/lib/a_b-c.d",), ("/var lib", "var", "/v\u00e4r")),
        ("[^/ ]+", ("a", "\u00e4"), ("a/b", "", "a b")),
        ("[]a-]+", ("]", "a-]"), ("b",)),
        (".*", ("", "any thing"), ("a\nb",)),
        (r"a\$", ("a$",), ("a",)),
        (r"a\\$", ("a\\",), ("a",)),
        ("", ("",), ("a",)),
        ("|a", ("", "a"), ("aa",)),
    ),
)
def test_a_pattern_has_to_match_the_whole_value(
    pattern: str, fitting: tuple[str, ...], unfit: tuple[str, ...]
) -> None:
    compiled = compile_pattern(pattern)
    assert [value for value in fitting if not compiled.fits(value)] == []
    assert [value for value in unfit if compiled.fits(value)] == []


@pytest.mark.parametrize(
    ("pattern", "reason"),
    (
        ("a(?=b)", '"(?=" is not supported'),
        ("(?P<x>a)", '"(?P" is not supported'),
        ("(?i)a", '"(?i" is not supported'),
        (r"(a)\1", "back reference"),
        (r"\bword\b", "is not supported"),
        (r"\p{L}", "is not supported"),
        ("(a", "is never closed"),
        ("a)", "closes nothing"),
        ("[a", "is never closed"),
        ("[z-a]", "runs backwards"),
        (r"[\d-z]", "from one character to one character"),
        (r"[\D]", "negated class"),
        ("a{", "opens no bounds"),
        ("a{x}", "opens no bounds"),
        ("a{3,2}", "from low to high"),
        ("a{1001}", "from low to high"),
        ("a**", "repeats a repetition"),
        ("a+?", "repeats a repetition"),
        ("*a", "repeats or closes nothing"),
        ("a^b", "only at the very beginning"),
        ("a$b", "only at the very beginning"),
        ("a\\", "a backslash ends it"),
        ("(" * 40 + "a" + ")" * 40, "nests deeper"),
        ("((a{99}){99}){99}", "more than"),
        ("((((){999}){999}){999}){999}", "repeat each other too often"),
        ("a" * (LONGEST_PATTERN + 1), "longer than"),
    ),
)
def test_what_no_automaton_can_follow_or_hold_is_refused(pattern: str, reason: str) -> None:
    before = time.perf_counter()
    with pytest.raises(PatternError, match=re.escape(reason)):
        compile_pattern(pattern)
    assert time.perf_counter() - before < 0.2


@pytest.mark.parametrize(
    "pattern",
    (
        "(a+)+",
        "(a*)*b",
        "(a|aa)+$",
        "(a|a|a|a)*b",
        "(.*)(.*)(.*)(.*)(.*)(.*)=(.*)",
        "(a?){30}a{30}",
        "([a-z]+)*@",
        "(((a*)*)*)*!",
        "(a?){200}",
        "(((a?){5}){5}){5}",
    ),
)
def test_no_value_makes_a_pattern_slow(pattern: str) -> None:
    compiled = compile_pattern(pattern)
    before = time.perf_counter()
    for value in ("a" * 500, "a" * 499 + "!", "ab" * 250):
        compiled.fits(value)
    # The slowest takes a tenth of it; with Python's re, most never end.
    assert time.perf_counter() - before < 3.0


ATOMS = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\d", "[0-9]", r"\.", "-", "(ab|b)"])
PIECES = st.builds(
    lambda atom, times: atom + times, ATOMS, st.sampled_from(["", "*", "+", "?", "{2}", "{1,2}"])
)
PATTERNS = st.recursive(
    st.lists(PIECES, min_size=1, max_size=4).map("".join),
    lambda inner: st.one_of(
        st.builds(lambda a, b: f"({a}|{b})", inner, inner),
        st.builds(lambda a, times: f"({a}){times}", inner, st.sampled_from(["?", "{0,2}", ""])),
    ),
    max_leaves=4,
)


@settings(max_examples=300)
@given(PATTERNS, st.text(alphabet="ab1.-\n", max_size=8))
def test_a_pattern_fits_what_pythons_fits(pattern: str, value: str) -> None:
    assert compile_pattern(pattern).fits(value) is (re.fullmatch(pattern, value) is not None)


@given(st.text(max_size=30) | st.text(alphabet="a[](){}|*+?.\\^$-,1d:", max_size=20))
def test_any_text_is_a_pattern_or_a_pattern_error(text: str) -> None:
    try:
        compiled = compile_pattern(text)
    except PatternError:
        return
    assert compiled.fits("a1") in (True, False)
    if text.isascii():
        assert compiled.fits("a1") is (re.fullmatch(text, "a1") is not None)
