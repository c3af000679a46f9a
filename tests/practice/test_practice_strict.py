"""Block Kit's limits, checked against Slack's own published types where those are at hand."""

from types import ModuleType
from typing import Any

import pytest

from bot.practice.errors import SlackError
from bot.practice.strict import check_blocks, check_message, check_view

Json = dict[str, Any]


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def option(value: str, text: str = "A") -> Json:
    return {"text": plain(text), "value": value}


def actions(*elements: Json) -> Json:
    return {"type": "actions", "elements": list(elements)}


def button(**more: Any) -> Json:
    return {"type": "button", "text": plain("Go"), "action_id": "go", **more}


def select(**more: Any) -> Json:
    return {"type": "static_select", "options": [option("1"), option("2")], **more}


def entry(element: Json, **more: Any) -> Json:
    return {"type": "input", "label": plain("L"), "element": element, **more}


CONFIRM = {"title": plain("T"), "text": plain("t"), "confirm": plain("Y"), "deny": plain("N")}
RICH = {
    "type": "rich_text",
    "elements": [
        {"type": "rich_text_section", "elements": [{"type": "text", "text": "x"}]},
        {"type": "rich_text_list", "style": "bullet", "elements": [
            {"type": "rich_text_section", "elements": [{"type": "link", "url": "https://a.b"}]}]},
    ],
}  # fmt: skip
GOOD: list[Json] = [
    {"type": "section", "text": plain("x" * 3000), "accessory": button(value="v" * 2000)},
    {"type": "section", "fields": [{"type": "mrkdwn", "text": "x"}] * 10},
    {"type": "section", "text": plain("x"), "accessory": {
        "type": "image", "image_url": "https://a.b/c.png", "alt_text": ""}},
    {"type": "header", "text": plain("x" * 150)},
    {"type": "divider", "block_id": "b" * 255},
    {"type": "context", "elements": [plain("x"), {"type": "mrkdwn", "text": "y"}]},
    actions(button(style="danger", confirm=CONFIRM)),
    actions(select(initial_option=option("2"), placeholder=plain("p" * 150))),
    actions({"type": "overflow", "options": [option(str(n)) for n in range(5)]}),
    actions({"type": "datepicker", "initial_date": "2026-01-31"}),
    actions({"type": "timepicker", "initial_time": "09:30"}),
    actions({"type": "datetimepicker", "initial_date_time": 1_700_000_000}),
    actions({"type": "users_select"}, {"type": "multi_users_select", "initial_users": ["U1"]}),
    entry({"type": "plain_text_input", "multiline": True, "max_length": 3000}),
    entry({"type": "number_input", "is_decimal_allowed": False, "min_value": "1"}),
    entry({"type": "checkboxes", "options": [option("1")], "initial_options": [option("1")]}),
    entry({"type": "radio_buttons", "options": [option("1")]}, optional=True, hint=plain("h")),
    {"type": "image", "image_url": "https://a.b/c.png", "alt_text": "c", "title": plain("t")},
    RICH,
    {"type": "markdown", "text": "# x"},
    {"type": "table", "rows": [[{"type": "raw_text", "text": "x"}, RICH]]},
]  # fmt: skip
BAD: list[tuple[Json, str]] = [
    ({"type": "section"}, "missing required field: text or fields"),
    ({"type": "section", "text": plain("")}, "must be more than 0 characters"),
    ({"type": "section", "text": plain("x" * 3001)}, "must be less than 3001 characters"),
    ({"type": "section", "text": "x"}, "must be an object"),
    ({"type": "section", "fields": [plain("x")] * 11}, "no more than 10 items allowed"),
    ({"type": "section", "fields": [plain("x" * 2001)]}, "less than 2001"),
    (
        {"type": "section", "text": plain("x"), "accessory": {"type": "plain_text_input"}},
        "unsupported",
    ),
    ({"type": "section", "text": plain("x"), "color": "red"}, "invalid additional property: color"),
    ({"type": "header", "text": {"type": "mrkdwn", "text": "x"}}, "unsupported type: mrkdwn"),
    ({"type": "header", "text": plain("x" * 151)}, "less than 151"),
    ({"type": "context", "elements": [plain("x")] * 11}, "no more than 10"),
    ({"type": "context", "elements": [button()]}, "unsupported type: button"),
    ({"type": "divider", "block_id": "b" * 256}, "less than 256"),
    (actions(), "no less than 1"),
    (actions(*[button(action_id=str(n)) for n in range(26)]), "no more than 25 items allowed"),
    (actions(button(), button()), "`action_id` must be unique"),
    (actions(button(text=plain("x" * 76))), "less than 76"),
    (actions(button(value="v" * 2001)), "less than 2001"),
    (actions(button(action_id="a" * 256)), "less than 256"),
    (actions(button(style="default")), "valid enum value"),
    (actions(button(confirm={"text": plain("x")})), "missing required field: title"),
    (actions({"type": "static_select"}), "exactly one of options"),
    (actions(select(options=[option(str(n)) for n in range(101)])), "no more than 100"),
    (actions(select(options=[option("v" * 151)])), "less than 151"),
    (actions(select(options=[option("1", "x" * 76)])), "less than 76"),
    (actions(select(initial_option=option("3"))), "must match one of the options"),
    (actions(select(placeholder=plain("x" * 151))), "less than 151"),
    (actions({"type": "overflow", "options": [option(str(n)) for n in range(6)]}), "more than 5"),
    (actions({"type": "datepicker", "initial_date": "31.1.2026"}), "a date as YYYY-MM-DD"),
    (actions({"type": "timepicker", "initial_time": "9"}), "a time as HH:mm"),
    (entry({"type": "plain_text_input", "max_length": 3001}), "between 1 and 3000"),
    (entry({"type": "plain_text_input", "min_length": 5, "max_length": 4}), "min_length"),
    (entry({"type": "number_input"}), "missing required field: is_decimal_allowed"),
    (entry({"type": "button", "text": plain("x")}), "unsupported type: button"),
    (entry({"type": "file_input"}), "unsupported type: file_input"),
    (entry({"type": "plain_text_input"}, label=plain("x" * 2001)), "less than 2001"),
    ({"type": "image", "alt_text": "x"}, "exactly one of image_url and slack_file"),
    ({"type": "carousel", "elements": []}, "unsupported type: carousel"),
    ({"type": "rich_text", "elements": [{"type": "text", "text": "x"}]}, "unsupported type: text"),
    ({"text": plain("x")}, "missing required field: type"),
]


@pytest.mark.parametrize("block", GOOD)
def test_a_good_block_is_taken(block: Json) -> None:
    assert check_blocks("message", [block]) == []


@pytest.mark.parametrize(("block", "fault"), BAD)
def test_a_bad_block_is_refused_with_the_reason(block: Json, fault: str) -> None:
    faults = check_blocks("message", [block])
    assert any(fault in found for found in faults), faults
    assert all("[json-pointer:/blocks" in found for found in faults)


def test_what_is_taken_here_slacks_types_allow(oracle: ModuleType) -> None:
    for block in GOOD:
        wrong = [w for w in oracle.check_blocks("message", [block]) if "empty text" not in w]
        assert wrong == [], block


def test_surfaces_differ() -> None:
    upload = entry({"type": "file_input"})
    assert check_blocks("modal", [upload]) == []
    assert check_blocks("home", [upload]) != []
    assert check_blocks("home", [{"type": "markdown", "text": "x"}]) != []
    divider: Json = {"type": "divider"}
    assert check_blocks("message", [divider] * 51) != []
    assert check_blocks("modal", [divider] * 100) == []
    assert check_blocks("modal", [divider] * 101) != []


def test_ids_are_unique_and_one_field_has_the_focus() -> None:
    twice = [{"type": "divider", "block_id": "a"}] * 2
    assert "already exists" in check_blocks("message", twice)[0]
    focus = entry({"type": "plain_text_input", "focus_on_load": True})
    assert "focus_on_load" in check_blocks("modal", [focus, focus])[0]


@pytest.mark.parametrize(
    ("text", "blocks", "attachments", "code"),
    (
        ("", None, None, "no_text"),
        ("x" * 40_001, None, None, "msg_too_long"),
        ("", "oops", None, "invalid_blocks"),
        ("", None, "oops", "invalid_attachments"),
        ("", None, [{"text": "x"}] * 101, "too_many_attachments"),
        ("", None, [{"blocks": [{"type": "nope"}]}], "invalid_attachments"),
        (
            "",
            [{"type": "divider"}] * 30,
            [{"blocks": [{"type": "divider"}] * 21}],
            "invalid_blocks",
        ),
        ("", [{"type": "section", "text": plain("x" * 2600)}] * 4, None, "msg_blocks_too_long"),
    ),
)
def test_a_bad_message_is_refused(text: str, blocks: Any, attachments: Any, code: str) -> None:
    with pytest.raises(SlackError) as refused:
        check_message(text, blocks, attachments)
    assert refused.value.code == code


def view(**changes: Any) -> Json:
    return {"type": "modal", "title": plain("T"), "blocks": [], **changes}


def test_a_good_view_is_taken() -> None:
    form = [entry({"type": "plain_text_input"})]
    whole = view(blocks=form, submit=plain("Go"), close=plain("No"), private_metadata="x" * 3000)
    assert check_view(whole, kinds=("modal",)) == []
    assert check_view({"type": "home", "blocks": form}, kinds=("home",)) == []


@pytest.mark.parametrize(
    ("given", "fault"),
    (
        (view(title=plain("x" * 25)), "less than 25"),
        (view(submit=plain("x" * 25)), "less than 25"),
        (view(close=plain("x" * 25)), "less than 25"),
        (view(private_metadata="x" * 3001), "less than 3001"),
        (view(callback_id="x" * 256), "less than 256"),
        (view(blocks=[entry({"type": "plain_text_input"})]), "a submit button is required"),
        (view(blocks=None), "must be an array"),
        (view(colour="red"), "invalid additional property: colour"),
        ({"type": "home", "blocks": []}, "unsupported type: home"),
        ("oops", "must be an object"),
    ),
)
def test_a_bad_view_is_refused(given: object, fault: str) -> None:
    assert any(fault in found for found in check_view(given, kinds=("modal",)))
