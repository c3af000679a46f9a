"""Slack's interactive elements with their limits, and which of them each block may hold."""

import re
from collections.abc import Mapping

from bot.practice.records import Json
from bot.practice.strict_rules import (
    Check,
    Faults,
    Shape,
    anything,
    boolean,
    by_type,
    choice,
    integer,
    items,
    matching,
    string,
    text,
)

_BOTH = ("plain_text", "mrkdwn")
_DATE = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$").match
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d$").match
_URL = re.compile(r"[a-z][a-z0-9+.\-]*:\S{1,2990}$", re.IGNORECASE).match
_NUMBER = re.compile(r"-?\d+(\.\d+)?$").match

web_address = matching(_URL, "a valid url of less than 3001 characters")
_style = choice("primary", "danger")
_action_id = string(255, least=1)
_confirm = Shape(
    {"title": text(100), "text": text(300, kinds=_BOTH), "confirm": text(30), "deny": text(30)},
    {"style": _style},
)
_dispatch = Shape(
    {"trigger_actions_on": items(choice("on_enter_pressed", "on_character_entered"), most=2)}
)


def _option(kinds: tuple[str, ...], *, value: int) -> Shape:
    required = {"text": text(75, kinds=kinds), "value": string(value, least=1)}
    return Shape(required, {"description": text(75, kinds=kinds), "url": web_address})


_plain_option = _option(("plain_text",), value=150)
_rich_option = _option(_BOTH, value=150)
_groups = items(Shape({"label": text(75), "options": items(_plain_option, most=100)}), most=100)


def _choices(field: str) -> Shape:
    """Describe a static select: options or groups, and initial choices among them."""

    def rule(faults: Faults, element: Json, where: str) -> None:
        if ("options" in element) == ("option_groups" in element):
            faults.add(where, "exactly one of options and option_groups is required")
            return
        _initial_rule(field)(faults, element, where)

    many = field == "initial_options"
    initial: Check = items(_plain_option, most=100) if many else _plain_option
    optional: dict[str, Check] = {
        "options": items(_plain_option, most=100), "option_groups": _groups, field: initial,
        **_COMMON_SELECT,
    }  # fmt: skip
    if many:
        optional["max_selected_items"] = integer(1, 100)
    return Shape({}, optional, rule)


def _initial_rule(field: str) -> Check:
    def rule(faults: Faults, element: object, where: str) -> None:
        if not isinstance(element, dict) or field not in element:
            return
        offered = [option for option in all_options(element) if isinstance(option, dict)]
        given = element[field] if isinstance(element[field], list) else [element[field]]
        for option in given:
            if isinstance(option, dict) and option not in offered:
                faults.add(f"{where}/{field}", "must match one of the options")

    return rule


def all_options(element: Json) -> list[Json]:
    """List an element's options, those in groups included."""
    lists = [element.get("options")]
    groups = element.get("option_groups")
    if isinstance(groups, list):
        lists += [group.get("options") for group in groups if isinstance(group, dict)]
    return [option for entries in lists if isinstance(entries, list) for option in entries]


_COMMON: dict[str, Check] = {
    "action_id": _action_id, "confirm": _confirm, "focus_on_load": boolean,
}  # fmt: skip
_COMMON_SELECT: dict[str, Check] = {**_COMMON, "placeholder": text(150)}


def _picker(initial: str, check: Check, **further: Check) -> Shape:
    return Shape({}, {**_COMMON_SELECT, initial: check, **further})


def _ids(field: str, **further: Check) -> Shape:
    many: Check = items(string(50, least=1), most=100)
    return _picker(field, many, max_selected_items=integer(1, 100), **further)


_filter = Shape(
    {},
    {
        "include": items(choice("im", "mpim", "private", "public"), most=4),
        "exclude_external_shared_channels": boolean,
        "exclude_bot_users": boolean,
    },
)


def _input(**further: Check) -> Shape:
    optional: dict[str, Check] = {
        "action_id": _action_id, "placeholder": text(150), "focus_on_load": boolean,
        "dispatch_action_config": _dispatch, **further,
    }  # fmt: skip
    return Shape({}, optional, _length_rule)


def _length_rule(faults: Faults, element: Json, where: str) -> None:
    least, most = element.get("min_length"), element.get("max_length")
    if isinstance(least, int) and isinstance(most, int) and least > most:
        faults.add(where, "min_length must not be more than max_length")


def _boxes(field: str) -> Shape:
    initial: Check = items(_rich_option, most=10) if field.endswith("s") else _rich_option
    required: dict[str, Check] = {"options": items(_rich_option, most=10)}
    return Shape(required, {**_COMMON, field: initial}, _initial_rule(field))


BUTTON = Shape(
    {"text": text(75)},
    {
        "action_id": _action_id, "value": string(2000), "url": web_address, "style": _style,
        "confirm": _confirm, "accessibility_label": string(75),
    },
)  # fmt: skip
_source = Shape({}, {"id": string(50), "url": web_address})


def _image_rule(faults: Faults, element: Json, where: str) -> None:
    if ("image_url" in element) == ("slack_file" in element):
        faults.add(where, "exactly one of image_url and slack_file is required")


IMAGE = Shape(
    {"alt_text": string(2000)}, {"image_url": web_address, "slack_file": _source}, _image_rule
)
SINGLE_SELECTS: Mapping[str, Check] = {
    "static_select": _choices("initial_option"),
    "external_select": _picker("initial_option", _plain_option, min_query_length=integer(0, 75)),
    "users_select": _picker("initial_user", string(50, least=1)),
    "conversations_select": _picker(
        "initial_conversation", string(50, least=1), default_to_current_conversation=boolean,
        response_url_enabled=boolean, filter=_filter,
    ),
    "channels_select": _picker(
        "initial_channel", string(50, least=1), response_url_enabled=boolean
    ),
}  # fmt: skip
MULTI_SELECTS: Mapping[str, Check] = {
    "multi_static_select": _choices("initial_options"),
    "multi_external_select": _picker(
        "initial_options", items(_plain_option, most=100), min_query_length=integer(0, 75),
        max_selected_items=integer(1, 100),
    ),
    "multi_users_select": _ids("initial_users"),
    "multi_conversations_select": _ids(
        "initial_conversations", default_to_current_conversation=boolean, filter=_filter
    ),
    "multi_channels_select": _ids("initial_channels"),
}  # fmt: skip
PICKERS: Mapping[str, Check] = {
    "datepicker": _picker("initial_date", matching(_DATE, "a date as YYYY-MM-DD")),
    "timepicker": _picker("initial_time", matching(_TIME, "a time as HH:mm"), timezone=string(100)),
    "checkboxes": _boxes("initial_options"),
    "radio_buttons": _boxes("initial_option"),
}
_DATETIME = Shape({}, {**_COMMON, "initial_date_time": integer(1_000_000_000, 9_999_999_999)})
_OVERFLOW = Shape(
    {"options": items(_plain_option, most=5)}, {"action_id": _action_id, "confirm": _confirm}
)
_WORKFLOW = Shape(
    {"text": text(75), "workflow": anything},
    {"action_id": _action_id, "style": _style, "accessibility_label": string(75)},
)
_RICH_INPUT = _input(initial_value=anything, min_lines=integer(1, 100), max_lines=integer(1, 100))
_number = matching(_NUMBER, "a number")

ACCESSORIES = by_type(
    {
        "button": BUTTON, "image": IMAGE, "overflow": _OVERFLOW, "workflow_button": _WORKFLOW,
        **SINGLE_SELECTS, **MULTI_SELECTS, **PICKERS,
    }
)  # fmt: skip
ACTIONS = by_type(
    {
        "button": BUTTON, "overflow": _OVERFLOW, "workflow_button": _WORKFLOW,
        "datetimepicker": _DATETIME, "rich_text_input": _RICH_INPUT,
        **SINGLE_SELECTS, **MULTI_SELECTS, **PICKERS,
    }
)  # fmt: skip
INPUTS: Mapping[str, Check] = {
    "plain_text_input": _input(
        initial_value=string(3000), multiline=boolean, min_length=integer(0, 3000),
        max_length=integer(1, 3000),
    ),
    "email_text_input": _input(initial_value=string(3000)),
    "url_text_input": _input(initial_value=string(3000)),
    "number_input": Shape(
        {"is_decimal_allowed": boolean},
        {
            "action_id": _action_id, "placeholder": text(150), "focus_on_load": boolean,
            "dispatch_action_config": _dispatch, "initial_value": _number, "min_value": _number,
            "max_value": _number,
        },
    ),
    "rich_text_input": _RICH_INPUT,
    "datetimepicker": _DATETIME,
    **SINGLE_SELECTS, **MULTI_SELECTS, **PICKERS,
}  # fmt: skip
FILE_INPUT: Mapping[str, Check] = {
    "file_input": Shape(
        {}, {"action_id": _action_id, "filetypes": items(string(20), most=100),
             "max_files": integer(1, 10)},
    )
}  # fmt: skip
