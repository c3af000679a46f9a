"""Slack's blocks with their limits, and which of them each surface takes.

Surfaces are messages, modals and App Homes. Newer kinds of blocks that this workspace could not
draw (cards, carousels, plans, …) are refused rather than shown wrongly.
"""

from collections.abc import Mapping

from bot.practice.records import Json
from bot.practice.strict_elements import (
    ACCESSORIES,
    ACTIONS,
    FILE_INPUT,
    IMAGE,
    INPUTS,
    web_address,
)
from bot.practice.strict_rules import (
    Check,
    Faults,
    Shape,
    boolean,
    by_type,
    choice,
    items,
    string,
    text,
)

_BOTH = ("plain_text", "mrkdwn")
_ID: Mapping[str, Check] = {"block_id": string(255)}


def _section_rule(faults: Faults, block: Json, where: str) -> None:
    if "text" not in block and "fields" not in block:
        faults.add(where, "missing required field: text or fields")


def _image_rule(faults: Faults, block: Json, where: str) -> None:
    if ("image_url" in block) == ("slack_file" in block):
        faults.add(where, "exactly one of image_url and slack_file is required")


def _context_element(faults: Faults, value: object, where: str) -> None:
    if isinstance(value, dict) and value.get("type") == "image":
        IMAGE(faults, value, where)
        return
    text(3000, kinds=_BOTH)(faults, value, where)


def _container(*kinds: str, **further: Check) -> Shape:
    return Shape({"elements": items(_span, least=0, most=1000)}, further)


def _span(faults: Faults, value: object, where: str) -> None:
    _SPANS(faults, value, where)


def _loose(*required: str) -> Check:
    def check(faults: Faults, value: object, where: str) -> None:
        for name in required:
            if not isinstance(value, dict) or name not in value:
                faults.add(where, f"missing required field: {name}")

    return check


_SPANS = by_type(
    {
        "text": _loose("text"), "link": _loose("url"), "user": _loose("user_id"),
        "usergroup": _loose("usergroup_id"), "channel": _loose("channel_id"),
        "emoji": _loose("name"), "broadcast": _loose("range"), "color": _loose("value"),
        "date": _loose("timestamp", "format"), "team": _loose("team_id"),
        "rich_text_section": _loose("elements"),
    }
)  # fmt: skip
_RICH_PARTS = by_type(
    {
        "rich_text_section": _container(),
        "rich_text_preformatted": _container(border=_loose(), language=string(50)),
        "rich_text_quote": _container(border=_loose()),
        "rich_text_list": Shape(
            {"elements": items(by_type({"rich_text_section": _container()}), most=1000),
             "style": choice("bullet", "ordered")},
            {"indent": _loose(), "border": _loose(), "offset": _loose()},
        ),
    }
)  # fmt: skip
RICH_TEXT = Shape({"elements": items(_RICH_PARTS, most=1000)}, _ID)
_CELL = by_type({"raw_text": _loose("text"), "raw_number": _loose("value"), "rich_text": RICH_TEXT})
_COLUMN = Shape({}, {"align": choice("left", "center", "right"), "is_wrapped": boolean})


def _input_block(elements: Mapping[str, Check]) -> Shape:
    return Shape(
        {"label": text(2000), "element": by_type(elements)},
        {**_ID, "hint": text(2000), "optional": boolean, "dispatch_action": boolean},
    )


_EVERYWHERE: Mapping[str, Check] = {
    "section": Shape(
        {},
        {
            **_ID, "text": text(3000, kinds=_BOTH), "accessory": ACCESSORIES, "expand": boolean,
            "fields": items(text(2000, kinds=_BOTH), most=10),
        },
        _section_rule,
    ),
    "divider": Shape({}, _ID),
    "header": Shape({"text": text(150)}, _ID),
    "context": Shape({"elements": items(_context_element, most=10)}, _ID),
    "actions": Shape({"elements": items(ACTIONS, most=25)}, _ID),
    "image": Shape(
        {"alt_text": string(2000)},
        {**_ID, "image_url": web_address, "title": text(2000),
         "slack_file": Shape({}, {"id": string(50), "url": web_address})},
        _image_rule,
    ),
    "rich_text": RICH_TEXT,
    "video": Shape(
        {"alt_text": string(2000), "title": text(200), "thumbnail_url": web_address,
         "video_url": web_address},
        {**_ID, "author_name": string(50), "description": text(200), "title_url": web_address,
         "provider_icon_url": web_address, "provider_name": string(50)},
    ),
}  # fmt: skip
SURFACES: Mapping[str, Mapping[str, Check]] = {
    "message": {
        **_EVERYWHERE,
        "input": _input_block(INPUTS),
        "file": Shape({"external_id": string(255), "source": choice("remote")}, _ID),
        "markdown": Shape({"text": string(12_000, least=1)}, _ID),
        "table": Shape(
            {"rows": items(items(_CELL, most=20), most=100)},
            {**_ID, "column_settings": items(_COLUMN, most=20)},
        ),
    },
    "modal": {**_EVERYWHERE, "input": _input_block({**INPUTS, **FILE_INPUT})},
    "home": {**_EVERYWHERE, "input": _input_block(INPUTS)},
}
