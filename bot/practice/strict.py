"""Refuse what Slack refuses in messages and views, with Slack's error names.

`docs.slack.dev/reference/block-kit` is the source of the limits. One is measured rather than
documented: Slack answers `msg_blocks_too_long` once a message's blocks hold somewhat more than
ten thousand characters in all, so a message that passes here passes there.
"""

import json
from collections.abc import Iterator

from bot.practice.errors import SlackError
from bot.practice.records import Json
from bot.practice.strict_blocks import SURFACES
from bot.practice.strict_rules import Check, Faults, Shape, anything, boolean, by_type, string, text

MOST_BLOCKS = {"message": 50, "modal": 100, "home": 100}
MOST_TEXT = 40_000
MOST_BLOCK_TEXT = 10_000
MOST_ATTACHMENTS = 100
MOST_VIEW_BYTES = 250_000


def check_blocks(surface: str, blocks: object, *, where: str = "/blocks") -> list[str]:
    """List what is wrong with blocks on a surface; nothing if Slack would take them."""
    faults = Faults()
    if not isinstance(blocks, list):
        return [f"must be an array [json-pointer:{where}]"]
    if len(blocks) > MOST_BLOCKS[surface]:
        faults.add(where, f"no more than {MOST_BLOCKS[surface]} items allowed")
    check = by_type(SURFACES[surface])
    for number, block in enumerate(blocks):
        check(faults, block, f"{where}/{number}")
    _check_ids(faults, blocks, where)
    return faults.found


def _check_ids(faults: Faults, blocks: list[object], where: str) -> None:
    seen: set[str] = set()
    focused = 0
    for number, block in enumerate(blocks):
        if not isinstance(block, dict):
            continue
        block_id = block.get("block_id")
        if block_id and str(block_id) in seen:
            faults.add(f"{where}/{number}/block_id", f"`block_id` {block_id} already exists")
        seen.add(str(block_id))
        elements = list(elements_of(block))
        focused += sum(bool(element.get("focus_on_load")) for element in elements)
        ids = [element["action_id"] for element in elements if element.get("action_id")]
        if len(ids) != len(set(map(str, ids))):
            faults.add(f"{where}/{number}", "`action_id` must be unique within a block")
    if focused > 1:
        faults.add(where, "only one element may have focus_on_load")


def elements_of(block: Json) -> Iterator[Json]:
    """Give the elements of a block a person can use."""
    if block.get("type") in ("rich_text", "context", "table"):
        return
    candidates: list[object] = [block.get("accessory"), block.get("element")]
    listed = block.get("elements")
    candidates += listed if isinstance(listed, list) else []
    for element in candidates:
        if isinstance(element, dict) and element.get("type") != "image":
            yield element


def check_message(text_: str, blocks: object, attachments: object) -> None:
    """Refuse a message's content as Slack does.

    Raises:
        SlackError: `invalid_blocks`, `msg_too_long`, `msg_blocks_too_long`,
            `invalid_attachments`, `too_many_attachments` or `no_text`.
    """
    if len(text_) > MOST_TEXT:
        raise SlackError("msg_too_long")
    _refuse("invalid_blocks", check_blocks("message", blocks or []))
    inner = _check_attachments(attachments or [])
    outer = blocks if isinstance(blocks, list) else []
    if len(outer) + len(inner) > MOST_BLOCKS["message"]:
        where = "[json-pointer:/blocks]"
        _refuse("invalid_blocks", [f"no more than 50 items allowed with attachments {where}"])
    if sum(map(len, _texts([*outer, *inner]))) > MOST_BLOCK_TEXT:
        raise SlackError("msg_blocks_too_long")
    if not text_ and not outer and not attachments:
        raise SlackError("no_text")


def _check_attachments(attachments: object) -> list[Json]:
    if not isinstance(attachments, list) or not all(isinstance(a, dict) for a in attachments):
        raise SlackError("invalid_attachments")
    if len(attachments) > MOST_ATTACHMENTS:
        raise SlackError("too_many_attachments")
    blocks: list[Json] = []
    for number, attachment in enumerate(attachments):
        inner = attachment.get("blocks") or []
        where = f"/attachments/{number}/blocks"
        _refuse("invalid_attachments", check_blocks("message", inner, where=where))
        blocks += inner
    return blocks


def _refuse(code: str, faults: list[str]) -> None:
    if faults:
        messages = [f"[ERROR] {fault}" for fault in faults]
        raise SlackError(code, errors=faults, response_metadata={"messages": messages})


def _texts(node: object) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _texts(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "text" and isinstance(value, str):
                yield value
            else:
                yield from _texts(value)


def _submit_rule(faults: Faults, view: Json, where: str) -> None:
    blocks = view.get("blocks")
    listed = blocks if isinstance(blocks, list) else []
    inputs = [block for block in listed if isinstance(block, dict) and block.get("type") == "input"]
    if inputs and "submit" not in view:
        faults.add(f"{where}/submit", "a submit button is required when there are input blocks")


_COMMON: dict[str, Check] = {
    "private_metadata": string(3000), "callback_id": string(255), "external_id": string(255),
}  # fmt: skip
_VIEWS = {
    "modal": Shape(
        {"title": text(24), "blocks": anything},
        {**_COMMON, "submit": text(24), "close": text(24), "clear_on_close": boolean,
         "notify_on_close": boolean, "submit_disabled": boolean},
        _submit_rule,
    ),
    "home": Shape({"blocks": anything}, _COMMON),
}  # fmt: skip


def check_view(view: object, *, kinds: tuple[str, ...]) -> list[str]:
    """List what is wrong with a view; `kinds` are the types this method takes."""
    if not isinstance(view, dict):
        return ["must be an object [json-pointer:/view]"]
    kind = view.get("type")
    if kind not in kinds:
        return [f"unsupported type: {kind} [json-pointer:/view/type]"]
    faults = Faults()
    _VIEWS[str(kind)](faults, view, "/view")
    return faults.found + check_blocks(str(kind), view.get("blocks"), where="/view/blocks")


def require_view(view: object, *, kinds: tuple[str, ...]) -> Json:
    """Refuse a view as views.open and its siblings do, or give it back.

    Raises:
        SlackError: `invalid_arguments` with the faults, or `view_too_large`.
    """
    if len(json.dumps(view)) > MOST_VIEW_BYTES:
        raise SlackError("view_too_large")
    faults = check_view(view, kinds=kinds)
    if faults or not isinstance(view, dict):
        messages = [f"[ERROR] {fault}" for fault in faults]
        raise SlackError("invalid_arguments", response_metadata={"messages": messages})
    return view
