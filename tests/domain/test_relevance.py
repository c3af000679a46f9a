"""Hits worth showing, and hits that are only the least bad."""

import pytest

from bot.domain.documents import Document, Hit
from bot.domain.relevance import convincing, telling


def hit(*matched: str, lexical: float = 10.0, dense: float | None = None) -> Hit:
    document = Document(id="d", kind="incident", title="t", text="", names=("QueueFull",))
    return Hit(
        document=document, score=1.0, lexical=lexical, dense=dense, matched=matched, passage=""
    )


def test_everyday_words_numbers_and_letters_tell_nothing() -> None:
    assert telling(hit("Instance", "down", "9100", "s", "replica")) == ("replica",)


@pytest.mark.parametrize(
    ("found", "name", "worth"),
    (
        (hit("DiskFull", lexical=1.0, dense=0.0), "DiskFull", True),
        (hit(), "QueueFull", True),
        (hit("order", "queue"), "Other", True),
        (hit("order", "queue", lexical=2.0), "Other", False),
        (hit("order", "queue", dense=0.1), "Other", False),
        (hit("order", "queue", dense=0.4), "Other", True),
        (hit("order"), "Other", False),
        (hit("alert", "minutes", "more"), "Other", False),
        (hit(lexical=0.0, dense=0.6), "Other", True),
        (hit(lexical=0.0, dense=0.5), "Other", False),
    ),
)
def test_words_and_meaning_have_to_agree(found: Hit, name: str, worth: bool) -> None:
    assert convincing(found, name) is worth
