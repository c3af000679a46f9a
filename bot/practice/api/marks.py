"""reactions.*, pins.*, bookmarks.*: what is put onto messages and channels."""

from bot.practice import annotations
from bot.practice.api.call import Call, Methods
from bot.practice.errors import SlackError
from bot.practice.records import Json, Message
from bot.practice.shapes import bookmark_json, history_json, reactions_json


def _target(call: Call) -> Message:
    channel = call.open_channel()
    ts = call.text("timestamp")
    if not ts:
        raise SlackError("no_item_specified")
    return call.message(channel, ts)


def add_reaction(call: Call) -> Json:
    """React to a message."""
    annotations.react(call.state, _target(call), call.required("name"), by=call.bot)
    return {}


def remove_reaction(call: Call) -> Json:
    """Take the bot's reaction back."""
    annotations.unreact(call.state, _target(call), call.required("name"), by=call.bot)
    return {}


def get_reactions(call: Call) -> Json:
    """Show a message with its reactions."""
    message = _target(call)
    shown = history_json(call.state, message) | {"reactions": reactions_json(message)}
    return {"type": "message", "channel": message.channel, "message": shown}


def add_pin(call: Call) -> Json:
    """Pin a message."""
    annotations.pin(call.state, _target(call), by=call.bot)
    return {}


def remove_pin(call: Call) -> Json:
    """Take a pin off."""
    annotations.unpin(call.state, _target(call), by=call.bot)
    return {}


def list_pins(call: Call) -> Json:
    """List a channel's pins, newest first."""
    channel = call.joined_channel()
    items = [
        {
            "type": "message",
            "channel": channel.id,
            "created": created,
            "created_by": user,
            "message": history_json(call.state, channel.messages[ts]),
        }
        for ts, user, created in reversed(channel.pins)
    ]
    return {"items": items}


def add_bookmark(call: Call) -> Json:
    """Put a link at the top of a channel."""
    channel = call.open_channel("channel_id")
    if call.required("type") != "link":
        raise SlackError("invalid_bookmark_type")
    bookmark = annotations.add_bookmark(
        call.state,
        channel,
        title=call.required("title"),
        link=call.text("link"),
        emoji=call.text("emoji"),
    )
    return {"bookmark": bookmark_json(bookmark)}


def edit_bookmark(call: Call) -> Json:
    """Change a bookmark."""
    channel = call.open_channel("channel_id")
    changes = {name: call.text(name) for name in ("title", "link", "emoji") if call.has(name)}
    bookmark = annotations.edit_bookmark(
        call.state, channel, call.required("bookmark_id"), changes=changes
    )
    return {"bookmark": bookmark_json(bookmark)}


def remove_bookmark(call: Call) -> Json:
    """Take a bookmark away."""
    channel = call.open_channel("channel_id")
    annotations.remove_bookmark(call.state, channel, call.required("bookmark_id"))
    return {}


def list_bookmarks(call: Call) -> Json:
    """List a channel's bookmarks."""
    channel = call.joined_channel("channel_id")
    return {"bookmarks": [bookmark_json(bookmark) for bookmark in channel.bookmarks]}


METHODS: Methods = {
    "reactions.add": add_reaction,
    "reactions.remove": remove_reaction,
    "reactions.get": get_reactions,
    "pins.add": add_pin,
    "pins.remove": remove_pin,
    "pins.list": list_pins,
    "bookmarks.add": add_bookmark,
    "bookmarks.edit": edit_bookmark,
    "bookmarks.remove": remove_bookmark,
    "bookmarks.list": list_bookmarks,
}
