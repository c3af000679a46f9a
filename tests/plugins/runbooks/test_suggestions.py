"""Which runbooks are suggested: as sure as the search is, and no surer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.domain.documents import Because, Document, Found, Hit, Kind, Reason
from bot.search.sections import sections
from plugins.runbooks.suggestions import Suggestion, document, finding, searched
from tests.plugins.runbooks.runbook_samples import group, runbook

BOOK = runbook("disk-full", "Disk is full", match=replace(runbook().match, alerts=()))
OTHER = runbook("other", "Something else", match=replace(runbook().match, alerts=()))
BOOKS = {book.id: book for book in (BOOK, OTHER)}


def hit(id: str, *, lexical: float = 1.0, reason: str = "mentions no space left") -> Hit:
    return Hit(
        document=Document(id=id, kind=Kind.RUNBOOK, title=id, text=""),
        score=1,
        lexical=lexical,
        dense=0.2,
        matched=("disk", "full"),
        passage="",
        reasons=(Reason(because=Because.WORDS, text=reason),),
    )


def found(confidence: float | None, *hits: Hit) -> Found:
    return Found(hits=hits, confidence=confidence, threshold=0.6, model="ranker-7")


def test_a_sure_search_is_shown_with_its_confidence_and_its_reasons() -> None:
    suggestions = searched(found(0.8, hit("disk-full"), hit("other")), BOOKS, names=("X",))
    assert [(s.runbook.id, s.confidence) for s in suggestions] == [
        ("disk-full", 0.8),
        ("other", None),
    ]
    claimed = finding(suggestions, group())
    assert (claimed.claim, claimed.confidence) == ("Disk is full", 0.8)
    assert claimed.evidence[0].label == "mentions no space left"
    assert claimed.model == "ranker-7"
    assert "Something else" in claimed.detail


@pytest.mark.parametrize("lexical", (0.0, 99.0))
def test_a_search_that_is_not_sure_shows_nothing_whatever_the_words(lexical: float) -> None:
    suggestions = searched(found(0.59, hit("disk-full", lexical=lexical)), BOOKS, names=())
    assert suggestions == []
    claimed = finding(suggestions, group())
    assert (claimed.claim, claimed.confidence) == ("No fitting runbook found", None)


def test_without_a_calibration_the_words_decide_and_nothing_is_claimed_of_it() -> None:
    strong, weak = hit("disk-full", lexical=9.0), hit("other", lexical=1.0)
    suggestions = searched(found(None, strong, weak), BOOKS, names=("X",))
    assert [s.runbook.id for s in suggestions] == []  # a cosine of 0.2 speaks against it
    near = replace(strong, dense=0.4)
    suggestions = searched(found(None, near, weak), BOOKS, names=("X",))
    assert [(s.runbook.id, s.confidence) for s in suggestions] == [("disk-full", None)]
    claimed = finding(suggestions, group())
    assert (claimed.claim, claimed.confidence) == ("Disk is full (may fit)", None)


def test_a_page_that_is_gone_is_not_suggested_and_lends_its_confidence_to_nobody() -> None:
    suggestions = searched(found(0.9, hit("gone"), hit("disk-full")), BOOKS, names=())
    assert [(s.runbook.id, s.confidence) for s in suggestions] == [("disk-full", None)]


def test_a_direct_match_needs_no_number() -> None:
    claimed = finding([Suggestion(runbook=BOOK, reason="alert DiskFull", direct=True)], group())
    assert (claimed.claim, claimed.confidence, claimed.model) == ("Disk is full", None, "")
    assert claimed.evidence[0].label == "matches alert DiskFull"


def test_the_search_gets_a_page_with_its_headings() -> None:
    kept = document(
        replace(BOOK, sections={"Meaning": "No space left.\n", "Mitigation": "Free it"})
    )
    cut = sections(kept.text)
    assert [(s.heading, s.text, s.gist) for s in cut[:2]] == [
        ("Meaning", "No space left.", True),
        ("Mitigation", "Free it", False),
    ]
    assert kept.kind == Kind.RUNBOOK
