from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings

from bot.domain.messages import (
    Bold,
    Button,
    Buttons,
    ChannelName,
    Code,
    Confirm,
    Divider,
    Elapsed,
    Heading,
    Link,
    Mention,
    Message,
    Moment,
    Mono,
    PersonName,
    Style,
    Tone,
    facts,
    note,
    paragraph,
    quiet,
)
from bot.domain.people import ChannelId, PersonId
from bot.slack.blocks import render
from bot.slack.home import render_home
from tests.slack.oracle import faults_of_blocks, needs_oracle
from tests.slack.strategies import messages

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)


def drawn(*parts: Any, tone: Tone = Tone.NONE) -> list[dict[str, Any]]:
    payload = render(Message(summary="s", parts=parts, tone=tone), now=NOW)
    blocks: list[dict[str, Any]] = payload.get("blocks") or payload["attachments"][0]["blocks"]
    return blocks


def elements(block: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = block["elements"][0]["elements"]
    return found


def test_a_message_without_a_tone_is_blocks_with_a_fallback() -> None:
    payload = render(note("5 < 6"), now=NOW)
    assert payload == {
        "text": "5 &lt; 6",
        "blocks": [
            {
                "type": "rich_text",
                "elements": [
                    {"type": "rich_text_section", "elements": [{"type": "text", "text": "5 < 6"}]}
                ],
            }
        ],
    }


def test_a_tone_is_a_colour_at_the_edge() -> None:
    colours = {
        tone: render(Message(summary="s", tone=tone), now=NOW)["attachments"][0]["color"]
        for tone in Tone
        if tone is not Tone.NONE
    }
    assert colours == {
        Tone.FIRING: "#a30200",
        Tone.WAITING: "#daa038",
        Tone.MUTED: "#dddddd",
        Tone.GOOD: "#2eb886",
    }


def test_a_coloured_message_says_its_summary_once_and_still_notifies() -> None:
    who = paragraph("Please look, ", Mention(PersonId("U1")), Mention(PersonId("S1")))
    payload = render(Message(summary="It burns", parts=(who,), tone=Tone.FIRING), now=NOW)
    assert payload["attachments"][0]["fallback"] == "It burns"
    assert payload["text"] == "<@U1> <!subteam^S1>"


def test_every_span_has_its_element() -> None:
    block = drawn(
        paragraph(
            "plain",
            Bold("bold"),
            Mono("mono"),
            Link("label", "https://x.example/"),
            PersonName(PersonId("U1"), "Dana"),
            Mention(PersonId("U1")),
            Mention(PersonId("S1")),
            ChannelName(ChannelId("C1")),
            Moment(NOW),
            Elapsed(190),
        )
    )[0]
    assert elements(block) == [
        {"type": "text", "text": "plain"},
        {"type": "text", "text": "bold", "style": {"bold": True}},
        {"type": "text", "text": "mono", "style": {"code": True}},
        {"type": "link", "url": "https://x.example/", "text": "label"},
        {"type": "text", "text": "Dana"},
        {"type": "user", "user_id": "U1"},
        {"type": "usergroup", "usergroup_id": "S1"},
        {"type": "channel", "channel_id": "C1"},
        {
            "type": "date",
            "timestamp": int(NOW.timestamp()),
            "format": "{time}",
            "fallback": "2026-03-04 12:00 UTC",
        },
        {"type": "text", "text": "3 min"},
    ]


def test_small_print_has_its_markup() -> None:
    block = drawn(
        quiet(
            "by ",
            PersonName(PersonId("U1"), "D*na*"),
            " ",
            Bold("b"),
            " ",
            Mono("m"),
            " ",
            Link("l&l", "https://x.example/?a&b"),
            Mention(PersonId("U1")),
            ChannelName(ChannelId("C1")),
            Moment(NOW - timedelta(days=2)),
        )
    )[0]
    stamp = int(NOW.timestamp()) - 2 * 86400
    assert block["elements"][0] == {
        "type": "mrkdwn",
        "verbatim": True,
        "text": "by D*na\u2217 *b* `m` <https://x.example/?a&amp;b|l&amp;l><@U1><#C1>"
        f"<!date^{stamp}^{{date_short_pretty}} at {{time}}|2026-03-02 12:00 UTC>",
    }


def test_emphasis_inside_a_word_is_parted_from_it() -> None:
    assert drawn(quiet("a", Bold("b"), "c"))[0]["elements"][0]["text"] == "a\u200b*b*\u200bc"


def test_only_web_addresses_become_links() -> None:
    for url in ("javascript:alert(1)", "ftp://x", "https://", "https://a b", "http://x|y", ""):
        assert elements(drawn(paragraph(Link("click", url)))[0]) == [
            {"type": "text", "text": "click"}
        ]


def test_what_is_not_an_id_is_not_a_mention() -> None:
    spans = paragraph(Mention(PersonId("payments-oncall")), ChannelName(ChannelId("x>y")))
    assert elements(drawn(spans)[0]) == [
        {"type": "text", "text": "@payments-oncall"},
        {"type": "text", "text": "#x>y"},
    ]


def test_hostile_labels_appear_as_text_in_facts() -> None:
    hostile = "<!channel> <@U1> <https://evil|https://grafana>"
    text = drawn(facts([(hostile, hostile)]))[0]["fields"][0]["text"]
    assert text == (
        "*&lt;!channel&gt; &lt;@U1&gt; &lt;https://evil|https://grafana&gt;*\n"
        "&lt;!channel&gt; &lt;@U1&gt; &lt;https://evil|https://grafana&gt;"
    )


def test_facts_stand_side_by_side_ten_to_a_section() -> None:
    blocks = drawn(facts((f"l{number}", str(number)) for number in range(13)))
    assert [len(block["fields"]) for block in blocks] == [10, 3]
    assert drawn(facts([("Empty", "")]))[0]["fields"][0]["text"] == "*Empty*\n-"


def test_a_button_carries_its_interaction_and_an_opaque_id() -> None:
    confirm = Confirm(title="Sure?", text="It restarts.", yes="Restart")
    button = Button(
        label="Restart", interaction="runs.go", value="7", style=Style.DANGER, confirm=confirm
    )
    plain = {"type": "plain_text", "emoji": False}
    assert drawn(Buttons((button,)))[0]["elements"] == [
        {
            "type": "button",
            "action_id": "runs.go",
            "text": {**plain, "text": "Restart"},
            "value": "7",
            "style": "danger",
            "confirm": {
                "title": {**plain, "text": "Sure?"},
                "text": {**plain, "text": "It restarts."},
                "confirm": {**plain, "text": "Restart"},
                "deny": {**plain, "text": "Cancel"},
                "style": "danger",
            },
        }
    ]


def test_equal_interactions_have_different_action_ids() -> None:
    row = Buttons(tuple(Button(label="x", interaction="a.b", value=str(n)) for n in range(3)))
    ids = [element["action_id"] for element in drawn(row)[0]["elements"]]
    assert ids == ["a.b", "a.b#2", "a.b#3"]


def test_heading_code_and_divider_have_their_blocks() -> None:
    blocks = drawn(Heading("*Now*"), Divider(), Code("-a\n+b\n"))
    assert blocks[0]["text"] == {"type": "plain_text", "text": "*Now*", "emoji": False}
    assert blocks[1] == {"type": "divider"}
    assert blocks[2]["elements"][0] == {
        "type": "rich_text_preformatted",
        "elements": [{"type": "text", "text": "-a\n+b"}],
    }


def test_long_texts_are_cut_to_slacks_limits() -> None:
    long = "x" * 20_000
    assert len(drawn(Heading(long))[0]["text"]["text"]) == 150
    assert len(elements(drawn(paragraph(long))[0])[0]["text"]) == 3000
    assert len(elements(drawn(Code(long))[0])[0]["text"]) == 3000
    assert 2990 < len(drawn(quiet("&" * 20_000))[0]["elements"][0]["text"]) <= 3000
    assert 1990 < len(drawn(facts([("l", long)]))[0]["fields"][0]["text"]) <= 2000
    button = drawn(Buttons((Button(label=long, interaction="a.b", value=long),)))[0]["elements"][0]
    assert (len(button["text"]["text"]), len(button["value"])) == (75, 2000)
    assert len(render(note(long), now=NOW)["text"]) <= 3000


def test_a_cut_text_ends_in_an_ellipsis_and_keeps_its_markup_whole() -> None:
    text = drawn(quiet("y" * 2990, Link("z" * 50, "https://x.example")))[0]["elements"][0]["text"]
    assert text.endswith("…")
    assert text.count("<") == text.count(">")


def test_a_message_that_is_too_long_loses_text_but_no_button() -> None:
    row = Buttons(tuple(Button(label=f"b{n}", interaction="a.b", value="1") for n in range(30)))
    lines = tuple(paragraph("t" * 900) for _ in range(80))
    blocks = drawn(*lines, row)
    assert len(blocks) <= 50
    assert [len(block["elements"]) for block in blocks[-2:]] == [25, 5]


def test_an_empty_message_still_shows_something() -> None:
    assert elements(drawn()[0]) == [{"type": "text", "text": "s"}]
    assert render(Message(summary=""), now=NOW)["blocks"][0]["text"]["text"] == "…"


def test_the_home_page_joins_what_the_plugins_say() -> None:
    view = render_home([note("one"), note("two")], now=NOW)
    assert [block["type"] for block in view["blocks"]] == ["rich_text", "divider", "rich_text"]
    assert "Nothing needs you" in json.dumps(render_home([], now=NOW))


@needs_oracle
@given(messages)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_slack_would_take_any_message(message: Message) -> None:
    for tone in (Tone.NONE, Tone.FIRING):
        payload = render(replace(message, tone=tone), now=NOW)
        blocks = payload.get("blocks") or payload["attachments"][0]["blocks"]
        assert faults_of_blocks("message", blocks) == []
    assert faults_of_blocks("home", render_home([message] * 3, now=NOW)["blocks"]) == []
    json.dumps(payload, ensure_ascii=False).encode()


def test_a_moment_that_slack_has_no_date_for_is_written_out() -> None:
    """A source that never set its clock must not cost the card."""
    for at in (datetime(2, 1, 1, tzinfo=UTC), datetime.fromtimestamp(0, UTC)):
        blocks = drawn(paragraph(Moment(at)), quiet(Moment(at)))
        assert "date" not in json.dumps(blocks)
        assert f"{at:%m-%d %H:%M} UTC" in json.dumps(blocks)
