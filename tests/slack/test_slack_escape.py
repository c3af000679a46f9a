from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.slack.escape import code, cut, literal, readable, references, typed, unbracketed


@pytest.mark.parametrize(
    ("text", "shown"),
    (
        ("a < b & c > d", "a &lt; b &amp; c &gt; d"),
        ("<!channel>", "&lt;!channel&gt;"),
        ("<@U1>", "&lt;@U1&gt;"),
        ("<https://evil|https://grafana>", "&lt;https://evil|https://grafana&gt;"),
        ("checkout_errors_total", "checkout_errors_total"),
        ("2*3*4", "2*3*4"),
        ("*bold*", "\u2217bold\u2217"),
        ("_it_", "\u02cdit\u02cd"),
        ("~no~", "\u223cno\u223c"),
        ("`x`", "\u02cbx\u02cb"),
        ("> said", "\u203a said"),
        (":fire:", "\u2236fire:"),
        (":+1:", "\u2236+1:"),
        (":100:", "\u2236100:"),
        ("at 10:30:45", "at 10:30:45"),
        ("10.0.0.1:9090", "10.0.0.1:9090"),
        ("a\u202eb\x00c", "abc"),
    ),
)
def test_a_plain_string_is_never_markup(text: str, shown: str) -> None:
    assert literal(text) == shown


@given(st.text())
def test_no_string_can_open_a_link_a_mention_or_an_emphasis(text: str) -> None:
    shown = literal(text)
    assert "<" not in shown
    assert ">" not in shown
    assert "`" not in shown
    for mark in re.finditer(r"[*_~]+", shown):
        assert shown[: mark.start()][-1:].isalnum()
        assert shown[mark.end() :][:1].isalnum()


@given(st.text())
def test_code_is_one_line_that_its_text_cannot_leave(text: str) -> None:
    assert "`" not in code(text)
    assert "\n" not in code(text)


@given(st.text(), st.integers(2, 50))
def test_a_cut_text_is_never_longer_than_allowed(text: str, limit: int) -> None:
    assert len(cut(text, limit)) <= limit


def test_where_slack_promises_no_markup_nothing_can_be_taken_for_a_mention() -> None:
    assert (
        unbracketed("sev4 · <@U1> <!here> a\u202eb & c")
        == "sev4 · \u2039@U1\u203a \u2039!here\u203a ab & c"
    )


def test_a_cut_text_ends_in_an_ellipsis() -> None:
    assert cut("one two three", 8) == "one two…"


def test_a_text_from_slack_reads_as_its_reader_saw_it() -> None:
    text = (
        "<@U1> and <@U2|bo> in <#C1|alerts>: "
        "see <https://x.example/?a=1&amp;b=2|this> &lt;3 <!here>"
    )
    assert references(text) == {"U1", "U2"}
    assert readable(text, {"U1": "Dana Ito"}) == ("@Dana Ito and @bo in #alerts: see this <3 @here")


def test_a_typed_text_keeps_mentions_as_ids_and_links_as_addresses() -> None:
    text = "role <@U1|dana> <#C1|alerts> <http://x.example|x.example> a &lt; b"
    assert typed(text) == "role <@U1> <#C1> http://x.example a < b"
