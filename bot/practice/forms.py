"""Forms: the `state.values` of a view or message, and what Slack itself checks before sending.

A value is a dict with the element's `type` and one further key that depends on that type.
"""

import re
from collections.abc import Mapping

from bot.practice.errors import Refusal
from bot.practice.records import Json
from bot.practice.state import State
from bot.practice.strict import elements_of
from bot.practice.strict_elements import all_options

# type of element -> (key of its value, key of its initial value)
VALUE_KEYS: Mapping[str, tuple[str, str]] = {
    "plain_text_input": ("value", "initial_value"),
    "email_text_input": ("value", "initial_value"),
    "url_text_input": ("value", "initial_value"),
    "number_input": ("value", "initial_value"),
    "rich_text_input": ("rich_text_value", "initial_value"),
    "static_select": ("selected_option", "initial_option"),
    "external_select": ("selected_option", "initial_option"),
    "radio_buttons": ("selected_option", "initial_option"),
    "checkboxes": ("selected_options", "initial_options"),
    "multi_static_select": ("selected_options", "initial_options"),
    "multi_external_select": ("selected_options", "initial_options"),
    "users_select": ("selected_user", "initial_user"),
    "multi_users_select": ("selected_users", "initial_users"),
    "conversations_select": ("selected_conversation", "initial_conversation"),
    "multi_conversations_select": ("selected_conversations", "initial_conversations"),
    "channels_select": ("selected_channel", "initial_channel"),
    "multi_channels_select": ("selected_channels", "initial_channels"),
    "datepicker": ("selected_date", "initial_date"),
    "timepicker": ("selected_time", "initial_time"),
    "datetimepicker": ("selected_date_time", "initial_date_time"),
    "file_input": ("files", ""),
}
_LISTS = frozenset(key for key, _ in VALUE_KEYS.values() if key.endswith("s"))
_REQUIRED = "Please complete this required field."
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+$")
_URL = re.compile(r"https?://\S+$")
_OPTION_LISTS = ("static_select", "multi_static_select", "radio_buttons", "checkboxes")


def initial_values(blocks: list[Json]) -> Json:
    """Give the `state.values` a form starts with."""
    values: Json = {}
    for block in blocks:
        for element in elements_of(block):
            keys = VALUE_KEYS.get(element["type"])
            if keys is None:
                continue
            empty: object = [] if keys[0] in _LISTS else None
            value = element.get(keys[1], empty)
            entry = {"type": element["type"], keys[0]: value}
            values.setdefault(block["block_id"], {})[element["action_id"]] = entry
    return values


def merge_values(blocks: list[Json], current: Json, given: object) -> Json:
    """Lay what a person filled in over what was there; fields that do not exist are dropped.

    Raises:
        Refusal: a choice is not among those offered.
    """
    merged: Json = {}
    elements = {(b["block_id"], e["action_id"]): e for b in blocks for e in elements_of(b)}
    filled = given if isinstance(given, dict) else {}
    for block_id, fields in current.items():
        overlay = filled.get(block_id)
        for action_id, entry in fields.items():
            new = overlay.get(action_id) if isinstance(overlay, dict) else None
            kept = read_value(elements[(block_id, action_id)], new) if new else entry
            merged.setdefault(block_id, {})[action_id] = kept
    return merged


def read_value(element: Json, given: object) -> Json:
    """Take over one filled-in value, with options as the app offered them.

    Raises:
        Refusal: a choice is not among those offered.
    """
    kind = element["type"]
    key = VALUE_KEYS[kind][0]
    value = given.get(key) if isinstance(given, dict) else None
    if key in _LISTS and value is None:
        value = []
    if value == "":
        value = None
    if kind in _OPTION_LISTS and value:
        offered = {option.get("value"): option for option in all_options(element)}
        chosen = value if isinstance(value, list) else [value]
        wanted = [str(o.get("value")) if isinstance(o, dict) else str(o) for o in chosen]
        if not set(wanted) <= set(offered):
            raise Refusal("That choice is no longer offered.")
        options = [offered[name] for name in wanted]
        value = options if isinstance(value, list) else options[0]
    return {"type": kind, key: value}


def form_errors(blocks: list[Json], values: Json) -> dict[str, str]:
    """List by block what Slack's own check of a form finds before the app is asked."""
    errors = {}
    for block in blocks:
        if block["type"] != "input":
            continue
        element = block["element"]
        entry = values.get(block["block_id"], {}).get(element["action_id"], {})
        value = entry.get(VALUE_KEYS[element["type"]][0])
        if not value:
            error = "" if block.get("optional") else _REQUIRED
        else:
            error = _error(element, value)
        if error:
            errors[block["block_id"]] = error
    return errors


def _error(element: Json, value: object) -> str:
    if not isinstance(value, str):
        return ""
    kind = element["type"]
    if kind == "email_text_input" and not _EMAIL.match(value):
        return "Please enter a valid email address."
    if kind == "url_text_input" and not _URL.match(value):
        return "Please enter a valid URL."
    if kind == "number_input":
        return _number_error(element, value)
    least, most = element.get("min_length", 0), element.get("max_length", 3000)
    if kind == "plain_text_input" and len(value) < least:
        return f"This must be at least {least} characters long."
    if kind == "plain_text_input" and len(value) > most:
        return f"This must be no more than {most} characters long."
    return ""


def _number_error(element: Json, value: str) -> str:
    try:
        number = float(value)
    except ValueError:
        return "Please enter a number."
    if not element["is_decimal_allowed"] and not number.is_integer():
        return "Please enter a whole number."
    if "min_value" in element and number < float(element["min_value"]):
        return f"This must be at least {element['min_value']}."
    if "max_value" in element and number > float(element["max_value"]):
        return f"This must be no more than {element['max_value']}."
    return ""


def fill_in(state: State, blocks: list[Json], answers: Mapping[str, object]) -> Json:
    """Make `state.values` from plain answers keyed by `block_id` or `action_id`.

    An option may be given by its value or its text, a person or channel by name.

    Raises:
        Refusal: there is no such field or option.
    """
    values: Json = {}
    left = dict(answers)
    for block in blocks:
        for element in elements_of(block):
            for name in (block["block_id"], element["action_id"]):
                if name in left and element["type"] in VALUE_KEYS:
                    entry = plain_value(state, element, left.pop(name))
                    values.setdefault(block["block_id"], {})[element["action_id"]] = entry
    if left:
        raise Refusal(f"The form has no field {sorted(left)[0]}.")
    return values


def plain_value(state: State, element: Json, answer: object) -> Json:
    """Turn one plain answer into the value Slack would send for an element.

    Raises:
        Refusal: there is no such option, person or channel.
    """
    kind = element["type"]
    key = VALUE_KEYS[kind][0]
    if isinstance(answer, (list, tuple)):
        return {"type": kind, key: [_resolve(state, element, one) for one in answer]}
    return {"type": kind, key: _resolve(state, element, answer)}


def _resolve(state: State, element: Json, answer: object) -> object:
    kind = element["type"]
    if kind in _OPTION_LISTS:
        for option in all_options(element):
            if answer in (option.get("value"), option["text"]["text"]):
                return option
        raise Refusal(f"There is no option {answer}.")
    try:
        if kind.endswith("users_select"):
            return state.find_person(str(answer)).id
        if kind.endswith(("conversations_select", "channels_select")):
            return state.channel(str(answer)).id
    except KeyError as missing:
        raise Refusal(str(missing.args[0])) from None
    return answer
