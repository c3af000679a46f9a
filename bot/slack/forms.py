"""Forms as modals: drawn from a `Form`, read back as answers by field name.

Pure. A modal carries its value, and where it was opened from, in its private
metadata, since Slack tells neither when it is submitted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.domain.messages import (
    Field,
    FieldErrors,
    Form,
    Message,
    Option,
    PeopleField,
    SelectField,
    TextField,
)
from bot.domain.people import ChannelId
from bot.ports import MessageRef
from bot.slack import limits
from bot.slack.blocks import draw, parts_of, plain_text
from bot.slack.escape import cut
from bot.slack.spans import Json

_PREFIX = "field:"


@dataclass(frozen=True, kw_only=True)
class Opened:
    """What a modal remembers: its value, and the channel and message it was opened from."""

    value: str = ""
    channel: ChannelId | None = None
    message: MessageRef | None = None

    def dump(self) -> str:
        """Write it down for a modal's private metadata."""
        kept = {
            "value": self.value,
            "channel": self.channel,
            "message": self.message and [self.message.channel, self.message.id],
        }
        return json.dumps({key: value for key, value in kept.items() if value})

    @classmethod
    def load(cls, metadata: str) -> Opened:
        """Read it back; what we did not write counts as nothing."""
        try:
            kept = json.loads(metadata or "{}")
        except json.JSONDecodeError:
            return cls()
        if not isinstance(kept, dict):
            return cls()
        message, channel = kept.get("message"), kept.get("channel")
        return cls(
            value=str(kept.get("value", "")),
            channel=ChannelId(channel) if channel else None,
            message=MessageRef(channel=ChannelId(message[0]), id=message[1]) if message else None,
        )


def render_form(form: Form, *, opened: Opened, now: datetime) -> Json:
    """Draw a form as a modal; one without fields has no submit button."""
    inputs = [_input(field) for field in form.fields]
    surface = limits.Surface(
        blocks=max(0, limits.MODAL.blocks - len(inputs)), text=limits.MODAL.text
    )
    shown = draw(form.parts, now=now, surface=surface) if form.parts or not inputs else []
    view = _modal(form.title, [*shown, *inputs][: limits.MODAL.blocks], opened)
    view["callback_id"] = form.interaction[: limits.ACTION_ID]
    if inputs:
        view["submit"] = plain_text(form.submit, limits.VIEW_TITLE)
        view["close"] = plain_text("Cancel", limits.VIEW_TITLE)
    return view


def render_message(message: Message, *, title: str, opened: Opened, now: datetime) -> Json:
    """Draw a message as a modal that can only be closed."""
    return _modal(title, draw(parts_of(message), now=now, surface=limits.MODAL), opened)


def answers(view: Mapping[str, Any]) -> dict[str, str]:
    """Return the answers of a submitted view by field name; an empty field is `""`."""
    values = (view.get("state") or {}).get("values") or {}
    return {
        block.removeprefix(_PREFIX): _answer(next(iter(elements.values()), {}))
        for block, elements in values.items()
        if block.startswith(_PREFIX)
    }


def field_errors(errors: FieldErrors, view: Mapping[str, Any]) -> dict[str, str]:
    """Return the errors by block id; one of an unknown field stands under the first field."""
    blocks = _input_blocks(view)
    if not blocks:
        return {}
    placed: dict[str, list[str]] = {}
    for name, reason in errors.errors.items():
        block = _PREFIX + name if _PREFIX + name in blocks else blocks[0]
        placed.setdefault(block, []).append(reason)
    return {block: cut(" ".join(reasons), limits.LABEL) for block, reasons in placed.items()}


def first_error(reason: str, view: Mapping[str, Any]) -> dict[str, str]:
    """Return a reason as the error of the first field; nothing where there is no field."""
    return field_errors(FieldErrors({"": reason}), view)


def _input_blocks(view: Mapping[str, Any]) -> list[str]:
    return [
        str(block["block_id"]) for block in view.get("blocks", []) if block.get("type") == "input"
    ]


def _modal(title: str, blocks: Sequence[Json], opened: Opened) -> Json:
    return {
        "type": "modal",
        "title": plain_text(title, limits.VIEW_TITLE),
        "close": plain_text("Close", limits.VIEW_TITLE),
        "blocks": list(blocks),
        "private_metadata": opened.dump(),
    }


def _input(field: Field) -> Json:
    block: Json = {
        "type": "input",
        "block_id": (_PREFIX + field.name)[: limits.ACTION_ID],
        "label": plain_text(field.label, limits.LABEL),
        "element": _element(field),
        "optional": not field.required,
    }
    if field.hint:
        block["hint"] = plain_text(field.hint, limits.LABEL)
    return block


def _element(field: Field) -> Json:
    name = field.name[: limits.ACTION_ID]
    if isinstance(field, TextField):
        return {"action_id": name, **_text_input(field)}
    if isinstance(field, SelectField):
        return {"action_id": name, **_select(field)}
    return {"action_id": name, **_people(field)}


def _text_input(field: TextField) -> Json:
    longest = min(max(field.longest, 1), limits.TEXT)
    element: Json = {
        "type": "plain_text_input",
        "multiline": field.lines > 1,
        "max_length": longest,
    }
    if field.initial:
        element["initial_value"] = cut(field.initial, longest)
    return element


def _select(field: SelectField) -> Json:
    options = [_option(option) for option in field.options[: limits.OPTIONS]]
    element: Json = {
        "type": "static_select",
        # Slack refuses a select without options; an empty value is refused by the handler.
        "options": options or [_option(Option(value="-", label="Nothing to choose from"))],
    }
    chosen = [
        drawn
        for drawn, option in zip(options, field.options, strict=False)
        if option.value == field.initial
    ]
    return {**element, "initial_option": chosen[0]} if chosen else element


def _option(option: Option) -> Json:
    return {
        "text": plain_text(option.label, limits.OPTION),
        "value": option.value[: limits.OPTION],
    }


def _people(field: PeopleField) -> Json:
    element: Json = {"type": "multi_users_select"}
    return {**element, "initial_users": list(field.initial)} if field.initial else element


def _answer(element: Mapping[str, Any]) -> str:
    if "selected_users" in element:
        return ",".join(element["selected_users"] or ())
    if "selected_option" in element:
        return str((element["selected_option"] or {}).get("value", ""))
    return str(element.get("value") or "")
