"""Reasons: in order, in words a card can show, and nothing said that is not so."""

from datetime import UTC, datetime, timedelta

import pytest

from bot.domain.documents import Acceptance, Because, Document, Outcome, Query, Reason
from bot.search.explain import Related, reasons

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PLAIN = Document(id="a", kind="incident", title="", text="")


def told(
    document: Document = PLAIN,
    related: Related | None = None,
    *,
    matched: tuple[str, ...] = (),
    cosine: float | None = None,
    at: datetime | None = NOW,
) -> tuple[Reason, ...]:
    return reasons(
        document,
        Query(text="x", at=at),
        related or Related(),
        matched=matched,
        cosine=cosine,
        tells=lambda word: word != "error",
    )


def texts(found: tuple[Reason, ...]) -> list[str]:
    return [reason.text for reason in found]


def test_all_reasons_are_told_the_most_telling_first() -> None:
    document = Document(
        id="a", kind="incident", title="", text="", names=("DiskFull",),
        created_at=NOW - timedelta(days=3),
        outcome=Outcome.WORKED,
    )  # fmt: skip
    related = Related(
        names={"DiskFull"},
        services={"checkout"},
        dependency="checkout needs payments",
        entities={"http 503", "10.0.0.7", "web-1"},
        acceptance=Acceptance(useful=2, useless=1),
    )
    found = told(document, related, matched=("Disk", "error", "full"), cosine=0.8)
    assert [reason.because for reason in found] == list(Because)
    assert texts(found) == [
        "same alert name",
        "shares the words Disk, full",
        "close in meaning",
        "same service checkout",
        "checkout needs payments",
        "both name 10.0.0.7, http 503",
        "called useful 2 times",
        "what was done then worked",
        "3 days ago",
    ]


def test_nothing_known_is_no_reason() -> None:
    assert told() == ()
    assert told(matched=("error",), cosine=0.449) == ()
    assert told(cosine=float("-inf")) == ()


def test_few_words_are_named_and_one_is_no_plural() -> None:
    assert texts(told(matched=("Disk",))) == ["shares the word Disk"]
    assert texts(told(matched=("a1", "b", "c", "d", "e"))) == ["shares the words a1, b, c, d"]


@pytest.mark.parametrize(
    ("useful", "useless", "expected"),
    (
        (0, 0, []),
        (1, 0, ["called useful once"]),
        (3, 2, ["called useful 3 times"]),
        (1, 1, []),
        (1, 5, []),
    ),
)
def test_only_what_most_called_useful_is_said_to_be(
    useful: int, useless: int, expected: list[str]
) -> None:
    related = Related(acceptance=Acceptance(useful=useful, useless=useless))
    assert texts(told(related=related)) == expected


@pytest.mark.parametrize(
    ("outcome", "expected"),
    (
        (Outcome.WORKED, ["what was done then worked"]),
        (Outcome.FAILED, ["what was done then did not work"]),
        (Outcome.UNKNOWN, []),
    ),
)
def test_what_did_not_work_is_said_too(outcome: Outcome, expected: list[str]) -> None:
    document = Document(id="a", kind="incident", title="", text="", outcome=outcome)
    assert texts(told(document)) == expected


@pytest.mark.parametrize(
    ("age", "expected"),
    (
        (timedelta(0), ["within a day"]),
        (timedelta(hours=20), ["within a day"]),  # that may have been yesterday
        (timedelta(hours=47), ["a day ago"]),
        (timedelta(days=2), ["2 days ago"]),
        (timedelta(days=90, hours=23), ["90 days ago"]),
        (timedelta(days=91), []),
        (-timedelta(seconds=1), []),
    ),
)
def test_how_long_ago_it_was(age: timedelta, expected: list[str]) -> None:
    document = Document(id="a", kind="incident", title="", text="", created_at=NOW - age)
    assert texts(told(document)) == expected
    assert told(document, at=None) == ()


def test_a_time_without_a_zone_is_utc() -> None:
    naive = (NOW - timedelta(days=2)).replace(tzinfo=None)
    document = Document(id="a", kind="incident", title="", text="", created_at=naive)
    assert texts(told(document)) == ["2 days ago"]
    assert texts(told(document, at=NOW.replace(tzinfo=None))) == ["2 days ago"]
