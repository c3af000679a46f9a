"""Find the element a person used and make the action an app is sent for it."""

from collections.abc import Iterator

from bot.practice.errors import Refusal
from bot.practice.forms import VALUE_KEYS, read_value
from bot.practice.records import Json, Message
from bot.practice.strict import elements_of

_GONE = "That button or field is no longer there."


def blocks_of(message: Message) -> list[Json]:
    """List a message's blocks, those in attachments included."""
    inner = [block for a in message.attachments or () for block in a.get("blocks") or ()]
    return [*(message.blocks or ()), *inner]


def find_element(
    blocks: list[Json], *, name: str, block_id: str | None = None
) -> tuple[Json, Json]:
    """Find a block and its element by `action_id`, or by a button's text.

    Raises:
        Refusal: there is none, or there are several.
    """
    pairs = [(b, e) for b in blocks for e in elements_of(b) if block_id in (None, b["block_id"])]
    found = [pair for pair in pairs if pair[1].get("action_id") == name]
    found = found or [pair for pair in pairs if _caption(pair[1]) == name]
    if not found:
        raise Refusal(_GONE)
    if len(found) > 1:
        raise Refusal(f"{name} is there {len(found)} times: say which block.")
    return found[0]


def _caption(element: Json) -> object:
    text = element.get("text")
    return text.get("text") if isinstance(text, dict) else None


def captions(blocks: list[Json]) -> Iterator[str]:
    """Give the texts of all buttons."""
    for block in blocks:
        for element in elements_of(block):
            if element["type"] == "button":
                yield str(_caption(element))


def make_action(block: Json, element: Json, *, given: Json, at: str) -> Json:
    """Make the entry of `actions` for an element; `given` holds what was chosen.

    Raises:
        Refusal: the choice is not among those offered.
    """
    kind = element["type"]
    action: Json = {
        "action_id": element["action_id"],
        "block_id": block["block_id"],
        "type": kind,
        "action_ts": at,
    }
    copied = ("text", "value", "style", "url") if kind == "button" else ("placeholder",)
    action |= {key: element[key] for key in copied if key in element}
    if "confirm" in element:
        action["confirm"] = element["confirm"]
    if kind == "overflow":
        return action | {"selected_option": _overflow_choice(element, given)}
    if kind in VALUE_KEYS:
        action |= read_value(element, given)
        initial = VALUE_KEYS[kind][1]
        if initial in element:
            action[initial] = element[initial]
    return action


def _overflow_choice(element: Json, given: Json) -> Json:
    chosen = given.get("selected_option")
    for option in element["options"]:
        if isinstance(chosen, dict) and chosen.get("value") == option["value"]:
            return dict(option)
    raise Refusal("That choice is no longer offered.")
