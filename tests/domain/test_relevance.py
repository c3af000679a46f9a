"""Hits worth showing, and hits that are only the least bad."""

import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.alerts import Alert, AlertGroup, AlertStatus, GroupId
from bot.domain.documents import Because, Document, Found, Hit, Reason
from bot.domain.relevance import convincing, named, query_of, telling, why, worth_showing

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


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


def alert(**labels: str) -> Alert:
    return Alert(
        fingerprint=str(labels),
        status=AlertStatus.FIRING,
        labels=labels,
        annotations={"summary": "Orders fail, see https://runbooks.example/orders"},
        starts_at=NOON,
    )


def group(*alerts: Alert) -> AlertGroup:
    return AlertGroup(
        id=GroupId("g"),
        source="s",
        group_key="k",
        labels={},
        alerts=alerts,
        first_seen=NOON,
        last_seen=NOON,
    )


def test_a_group_asks_with_its_words_and_with_what_is_known_besides() -> None:
    asked = query_of(
        group(
            alert(alertname="QueueFull", service="checkout"),
            alert(alertname="OrdersFail", service="payments"),
            alert(alertname="QueueFull"),
        )
    )
    assert asked.text == "OrdersFail and 1 more Orders fail, see"
    assert asked.names == ("OrdersFail", "QueueFull")
    assert asked.services == ("checkout", "payments")
    assert asked.at == NOON


@given(st.text(st.sampled_from("ab:/ \n\t\u2003\x1c.")))
def test_what_is_searched_has_no_word_with_an_address(text: str) -> None:
    told = replace(alert(alertname="Odd"), annotations={"summary": text})
    rest = re.sub(r"\S*://\S*", " ", f"Odd {text}").split()
    assert query_of(group(told)).text == " ".join(rest)


@pytest.mark.parametrize("text", ("x" * 3_000_000, ":/" * 1_000_000, "://x" * 500_000))
def test_a_long_text_without_a_space_takes_no_time_worth_telling(text: str) -> None:
    """By a pattern it would take hours, so that this test would not end."""
    told = replace(alert(alertname="Odd"), annotations={"summary": text})
    assert len(query_of(group(told)).text) <= 2_000


def test_an_alert_without_a_name_goes_by_none() -> None:
    assert query_of(group(alert(service="checkout"))).names == ()
    assert query_of(group()).services == ()


STRONG = hit("QueueFull", "replica", dense=0.9)


@pytest.mark.parametrize("confidence", (0.0, 0.49))
def test_a_search_that_is_not_sure_shows_nothing_however_good_it_looks(confidence: float) -> None:
    assert worth_showing(Found(hits=(STRONG,), confidence=confidence), ("QueueFull",)) == ()


def test_a_sure_search_shows_what_it_found_and_without_a_number_words_decide() -> None:
    weak = hit("alert", lexical=0.1, dense=0.0)
    nameless = replace(weak, document=replace(weak.document, names=()))
    assert worth_showing(Found(hits=(nameless,), confidence=0.5), ()) == (nameless,)
    assert worth_showing(Found(hits=(STRONG, nameless)), ("QueueFull",)) == (STRONG,)
    assert worth_showing(Found(hits=(nameless,)), ()) == ()
    assert worth_showing(Found(), ("QueueFull",)) == ()


def test_reasons_are_said_once_and_words_stand_in_for_them() -> None:
    told = [Reason(because=Because.NAME, text="same alert name") for _ in range(2)]
    told.append(Reason(because=Because.RECENT, text="3 weeks ago"))
    assert why(replace(STRONG, reasons=tuple(told))) == "same alert name; 3 weeks ago"
    assert why(hit("order", "9100")) == "shares the words order"
    assert why(hit("9100")) == "shares the words 9100"
    assert why(hit()) == "close in meaning"


def test_an_exact_name_is_told_from_what_was_measured() -> None:
    """The folders that confidence was calibrated on ask no question with a name."""
    one = replace(hit(), signals={"name": 1.0}, document=replace(hit().document, names=("Full",)))
    found = Found(hits=(one,), confidence=0.1, threshold=0.5)
    assert named(found)
    assert not named(replace(found, hits=(hit(),)))
    assert not named(Found())
    assert worth_showing(found, ("Full",)) == ()
    vouched = replace(one, signals={"name": 1.0, "service": 1.0})
    assert worth_showing(replace(found, hits=(hit(), vouched)), ("Full",)) == (vouched,)
