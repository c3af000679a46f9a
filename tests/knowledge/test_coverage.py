"""What is missing, useless, stale, broken or twice is found; what is well is left alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.runbooks import Match, Review, Runbook
from bot.knowledge.coverage import Coverage, Uncovered, coverage, near_duplicates
from bot.knowledge.links import dead_links, outside
from bot.services.usage import SeenAlert
from tests.trial.trial_samples import page

TODAY = date(2026, 11, 21)
LONG = (
    "Look at the disks of the machine first, since nine times out of ten one of them is full "
    "of logs that nobody rotates; then look at what writes them, and since when."
)


def book(id: str, alert: str, text: str = "", *, at: date = TODAY) -> Runbook:
    return replace(
        page(),
        id=id,
        path=f"runbooks/{id}.md",
        match=Match(alerts=(alert,)),
        review=Review(by="x", at=at, max_age_days=10),
        sections={"Diagnosis": text or id},
    )


def covered(root: Path, books: list[Runbook], *seen: SeenAlert) -> Coverage:
    for one in books:
        path = root / one.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(one.sections.values()), encoding="utf-8")
    return coverage(root, {b.id: b for b in books}, seen, today=TODAY)


def group(name: str, **labels: str) -> SeenAlert:
    return SeenAlert(name=name, labels=({"alertname": name, **labels},))


def test_alerts_without_a_page_are_counted_the_most_frequent_first(tmp_path: Path) -> None:
    seen = [group("A"), group("C"), group("B"), group("C"), SeenAlert(name="A")]
    found = covered(tmp_path, [book("a", "A"), book("z", "Z")], *seen)
    assert found.seen == 5
    assert found.uncovered == (Uncovered(alert="C", count=2), Uncovered(alert="B", count=1))
    assert found.unmatched == ("z",)


def test_a_page_that_fits_by_a_label_covers_only_what_has_it(tmp_path: Path) -> None:
    one = replace(book("a", "A"), match=Match(labels={"env": "production"}))
    found = covered(tmp_path, [one], group("X", env="production"), group("X", env="test"))
    assert found.uncovered == (Uncovered(alert="X", count=1),)
    assert found.unmatched == ()


def test_a_page_whose_review_lapsed_is_stale_with_the_day(tmp_path: Path) -> None:
    books = [book("old", "A", at=date(2026, 11, 10)), book("new", "B", at=date(2026, 11, 11))]
    assert covered(tmp_path, books).stale == (("old", date(2026, 11, 20)),)


def test_sections_that_say_nearly_the_same_are_named_with_the_score() -> None:
    books = {
        "a": book("a", "A", LONG),
        "b": book("b", "B", LONG.replace("first", "at first")),
        "c": book("c", "C", "Something else about certificates and when they expire. " * 3),
        "d": book("d", "D", "Short."),
        "e": book("e", "E", "Short."),
    }  # fmt: skip
    (twins,) = near_duplicates(books)
    assert (twins.section, twins.one, twins.other) == ("Diagnosis", "a", "b")
    assert 0.8 <= twins.score < 1


@given(st.lists(st.text(max_size=300), max_size=6))
def test_no_text_breaks_the_search_for_twins(texts: list[str]) -> None:
    books = {f"p{n}": book(f"p{n}", "A", text + " " * 100) for n, text in enumerate(texts)}
    assert all(0.8 <= twins.score <= 1.001 for twins in near_duplicates(books))


LINKS = {
    "[x](other.md)": None,
    "[x](other)": None,
    "[x](./other.md#first-steps)": None,
    "[x](other.md#named)": None,
    "[x](other.md#second-steps)": "that page has no heading",
    "[x](missing.md)": "there is no such file",
    "[x](../../../missing.md)": "there is no such file",
    "[x](/runbooks/other.md)": None,
    "[x](#here)": None,
    "[x](#there)": "this page has no heading",
    "[x](https://example.invalid/)": None,
    "[x](mailto:a@example.org)": None,
    "[x]: missing.md": "there is no such file",
    '[x]({{< ref "./missing.md" >}})': "there is no such file",
    "`[x](missing.md)`": None,
    "[x](other%2Emd)": None,
    "[x](a%00b)": "there is no such file",
    "[x](http://[broken)": None,
    "[x](//[broken)": "is no address",
    f"[x]({'y' * 900})": "cannot be looked up",
}


@pytest.mark.parametrize("text", LINKS)
def test_links_within_the_folder_are_looked_up(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "runbooks"
    folder.mkdir()
    (folder / "other.md").write_text("## First steps\n\nSee. {#named}\n")
    (folder / "one.md").write_text(f"## Here\n\n{text}\n\n```\n[x](never.md)\n```\n")
    found = dead_links(tmp_path, ["runbooks/one.md"])
    reason = LINKS[text]
    if reason is None:
        assert found == []
    else:
        assert [(p.file, p.line) for p in found] == [("runbooks/one.md", 3)]
        assert reason in found[0].reason


def test_addresses_elsewhere_are_collected_and_not_asked(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("<https://a.example/x>\n[b](https://b.example/y_(z))\n")
    (tmp_path / "b.md").write_text("[a](https://a.example/x)\n")
    found = outside(tmp_path, ["a.md", "b.md"])
    assert {url: [link.file for link in links] for url, links in found.items()} == {
        "https://a.example/x": ["a.md", "b.md"],
        "https://b.example/y_(z)": ["a.md"],
    }


@given(st.text(max_size=400))
def test_no_text_breaks_the_search_for_links(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    folder = tmp_path_factory.mktemp("links")
    (folder / "a.md").write_text(text, encoding="utf-8", errors="replace")
    dead_links(folder, ["a.md"])
