"""Entities: hosts, addresses, error codes and versions, and nothing that only looks like one."""

from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.search.entities import entities


@pytest.mark.parametrize(
    ("text", "expected"),
    (
        ("10.0.0.7:9100 is down", {"10.0.0.7"}),
        ("(192.168.1.10/24)", {"192.168.1.10"}),
        ("since v1.27.3.", {"v1.27.3"}),
        ("1.27.3, 2.0.0.1", {"1.27.3", "2.0.0.1"}),
        ("on web-eu-12 and db-3.local", {"web-eu-12", "db-3.local"}),
        ("at api.shop.example.com!", {"api.shop.example.com"}),
        ("ORA-00600 and E11000", {"ora-00600", "e11000"}),
        ("ECONNREFUSED, EIO and E2BIG", {"econnrefused", "eio", "e2big"}),
    ),
)
def test_names_of_things_are_found(text: str, expected: set[str]) -> None:
    assert entities(text) == expected


@pytest.mark.parametrize(
    "text",
    ("HTTP 503", "http503", "status: 503", "Status 503", "status=503", "code 503", "error:503"),
)
def test_a_status_reads_the_same_however_it_was_written(text: str) -> None:
    assert entities(f"they answer {text}, always") == {"http 503"}


@pytest.mark.parametrize(
    "text",
    (
        "",
        "ERROR in every EVENT, EMERGENCY",  # shouted words are no error numbers
        "version 1.2 or 3",
        "a 5xx, http 200ish, status 600, code 5030",
        "x10.0.0.7y",
        "KubePodCrashLooping node_load1",
        "e.g. this, i.e. that...",
        "-1 --12 .5",
    ),
)
def test_what_only_looks_like_a_name_is_none(text: str) -> None:
    assert entities(text) == frozenset()


@pytest.mark.parametrize("code", ("INC123", "A100", "PG503", "E110"))
def test_a_code_of_letters_is_no_status(code: str) -> None:
    assert entities(f"see {code}") == {code.lower()}


def test_at_most_64_are_kept_and_the_end_of_a_long_text_is_not_read() -> None:
    many = " ".join(f"web-eu-{number}" for number in range(500))
    assert entities(many) == {f"web-eu-{number}" for number in range(64)}
    assert entities(many + " " + many) == entities(many)
    assert entities("x " * 10_000 + "10.0.0.7") == frozenset()


@given(st.text(st.characters(codec=None), max_size=300))
def test_what_is_found_stands_in_the_text(text: str) -> None:
    for entity in entities(text):
        assert entity.removeprefix("http ") in text.lower()


HOSTILE = {
    "hyphens": "a-" * 10_000,
    "hyphens and a digit": "a-" * 9_999 + "1x",
    "dots": "a." * 10_000,
    "dots and an underscore": "a." * 9_990 + "aaaaa_",
    "digits": "1" * 20_000,
    "dotted digits": "1." * 9_999 + "x",
    "letters": "a" * 19_999 + "_",
    "shouting": "E" * 20_000,
    "codes": "ABCDEF-" * 2_857,
    "statuses": "http " * 4_000,
    "labels": ("a" * 60 + ".") * 320 + "_",
    "words": "e e- e. " * 2_500,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_takes_time_in_proportion_to_its_length(text: str) -> None:
    def seconds(part: str) -> float:
        began = perf_counter()
        entities(part)
        return perf_counter() - began

    # Quadratic time would be 64 times that of an eighth; a few milliseconds are noise.
    eighth = min(seconds(text[: len(text) // 8]) for _ in range(5))
    assert min(seconds(text) for _ in range(5)) < 24 * eighth + 0.005
