"""Sections: headings, blocks of code and what a page is about."""

from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.search.sections import sections


def cut(text: str) -> list[tuple[str, str]]:
    return [(section.heading, section.text) for section in sections(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    (
        ("", []),
        (" \n\n", []),
        ("plain", [("", "plain")]),
        ("before\n# One\ntext\n## Two", [("", "before"), ("One", "text"), ("Two", "")]),
        ("# One\r\ntext\r\nmore\r\n", [("One", "text\nmore")]),
        ("   ###### Deep ##", [("Deep", "")]),
        ("# C#\n# F ##  \n# a # b", [("C#", ""), ("F", ""), ("a # b", "")]),
        ("# Meaning {#meaning-1}\nx", [("Meaning", "x")]),
        ("# Meaning {#m} ##\nx", [("Meaning", "x")]),
        ("#no heading\n####### nor this", [("", "#no heading\n####### nor this")]),
        ("    # code by indent", [("", "# code by indent")]),
    ),
)
def test_a_text_is_cut_at_its_headings(text: str, expected: list[tuple[str, str]]) -> None:
    assert cut(text) == expected


@pytest.mark.parametrize(
    "block",
    (
        "```\ncode\n```",
        "```shell\n# code\n```",
        "~~~\n```\n# code\n~~~",
        "````\n```\n# code\n```\n````",
        "```\n```python\n# still code\n```",
        "```\n# code\n`````  ",
        "  ~~~~ text`with marks\n# code\n~~~\n~~~~",
        "{code}\n# code\n{code}",
        "{code:title=Foo.java|borderStyle=solid}\n# code\n{code}",
        "{noformat}\n{code}# code\n{noformat}",
        "{code}# a{code}{noformat}# b{noformat}",
    ),
)
def test_a_block_of_code_is_left_out_with_the_headings_in_it(block: str) -> None:
    first, second = cut(f"before\n{block}\nafter\n# Next\nmore")
    assert (first[0], first[1].split()) == ("", ["before", "after"])
    assert second == ("Next", "more")


@pytest.mark.parametrize("opening", ("```", "~~~", "{code}", "{noformat}", "```\n~~~", "~~~\n```"))
def test_an_open_block_reaches_to_the_end(opening: str) -> None:
    assert cut(f"before\n{opening}\n# code\n## more") == [("", "before")]


@pytest.mark.parametrize("line", ("```kubectl get pods```", "``` a ` b", "``", "{codes}", "{code"))
def test_what_only_looks_like_a_block_hides_nothing(line: str) -> None:
    assert cut(f"before\n{line}\nafter\n# Next") == [("", f"before\n{line}\nafter"), ("Next", "")]


@pytest.mark.parametrize(
    ("heading", "gist"),
    (
        ("Meaning", True),
        ("IMPACT {#impact}", True),
        ("Root cause of it", True),
        ("Symptoms", True),
        ("Symptom:", True),
        ("Causes", False),
        ("Mitigation", False),
        ("The meaning", False),
        ("Summaryless", False),
    ),
)
def test_some_headings_say_what_a_page_is_about(heading: str, gist: bool) -> None:
    assert [section.gist for section in sections(f"before\n# {heading}\ntext")] == [True, gist]


@given(st.lists(st.text(st.sampled_from("#`~{} \tx"), max_size=8), max_size=20))
def test_sections_are_made_of_the_text_s_lines_in_their_order(lines: list[str]) -> None:
    left = iter(lines)
    for section in sections("\n".join(lines)):
        assert section.heading or section.text
        if section.heading:
            assert any(section.heading in line for line in left)
        for shown in filter(str.strip, section.text.split("\n")):
            assert any(shown.strip() == line.strip() for line in left)


# Each of these took quadratic or cubic time with a careless pattern.
HOSTILE = {
    "hashes": "#" * 1_000_000,
    "spaces within a heading": "# a" + " " * 1_000_000 + "x",
    "spaces and no heading": "#" + " " * 1_000_000,
    "hashes within a heading": "# a" + "#" * 1_000_000 + "x",
    "spaced hashes": "# a" + " #" * 500_000 + "x",
    "unclosed anchors": "# a" + "{#" * 500_000,
    "many anchors": "# a" + "{#a} " * 200_000 + "x",
    "backticks": "`" * 1_000_000 + "x`",
    "fences": "```\n" * 250_000,
    "Jira's marks, never closed": "{code:" * 40_000,
    "Jira's blocks in each other": "{code}{noformat}" * 60_000,
    "headings": "# a\n" * 50_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_megabyte_takes_time_in_proportion_to_its_length(text: str) -> None:
    """A quarter of the text takes a quarter of the time; in quadratic time it is a sixteenth."""

    def seconds(part: str) -> float:
        began = perf_counter()
        sections(part)
        return perf_counter() - began

    # What comes on top is noise: quadratic time is minutes here.
    quarter = min(seconds(text[: len(text) // 4]) for _ in range(2))
    assert min(seconds(text) for _ in range(2)) < 10 * quarter + 1
