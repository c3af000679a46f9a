"""What is put onto messages and channels: reactions, pins, bookmarks."""

import re

from bot.practice.errors import SlackError
from bot.practice.events import emit
from bot.practice.page_json import publish_bookmarks, publish_message, publish_pins
from bot.practice.posting import post_system
from bot.practice.records import Bookmark, Channel, Json, Message, Person
from bot.practice.shapes import history_json
from bot.practice.state import State

_EMOJI = re.compile(r"[a-z0-9_+'\-]{1,100}(::skin-tone-[2-6])?$")
MOST_PINS = 100
MOST_BOOKMARKS = 100


def react(state: State, message: Message, name: str, *, by: Person) -> None:
    """Put a reaction on a message.

    Raises:
        SlackError: not an emoji name, there already, or too many kinds of reactions.
    """
    name = name.strip(":")
    if not _EMOJI.match(name):
        raise SlackError("invalid_name")
    users = message.reactions.get(name, [])
    if by.id in users:
        raise SlackError("already_reacted")
    if name not in message.reactions and len(message.reactions) >= 23:
        raise SlackError("too_many_emoji")
    message.reactions[name] = [*users, by.id]
    publish_message(state, message)
    _emit_reaction(state, message, name, by=by, event="reaction_added")


def unreact(state: State, message: Message, name: str, *, by: Person) -> None:
    """Take one's reaction off a message.

    Raises:
        SlackError: there is none.
    """
    name = name.strip(":")
    if by.id not in message.reactions.get(name, []):
        raise SlackError("no_reaction")
    message.reactions[name].remove(by.id)
    if not message.reactions[name]:
        del message.reactions[name]
    publish_message(state, message)
    _emit_reaction(state, message, name, by=by, event="reaction_removed")


def _emit_reaction(state: State, message: Message, name: str, *, by: Person, event: str) -> None:
    body: Json = {
        "type": event,
        "user": by.id,
        "reaction": name,
        "item": {"type": "message", "channel": message.channel, "ts": message.ts},
    }
    if message.user is not None:
        body["item_user"] = message.user
    emit(state, body, channel=state.channels[message.channel])


def pin(state: State, message: Message, *, by: Person) -> None:
    """Pin a message to its channel.

    Raises:
        SlackError: pinned already, or the channel holds as many pins as it may.
    """
    channel = state.channels[message.channel]
    if channel.pinned(message.ts):
        raise SlackError("already_pinned")
    if len(channel.pins) >= MOST_PINS:
        raise SlackError("too_many_pins")
    channel.pins.append((message.ts, by.id, state.mint.now()))
    text = f"<@{by.id}> pinned a message to this channel."
    post_system(state, channel, by, subtype="pinned_item", text=text,
                item_type="C", item={"type": "message", "ts": message.ts})  # fmt: skip
    _publish_pin(state, message, by=by, event="pin_added")


def unpin(state: State, message: Message, *, by: Person) -> None:
    """Take a pin off.

    Raises:
        SlackError: the message is not pinned.
    """
    channel = state.channels[message.channel]
    if not channel.pinned(message.ts):
        raise SlackError("no_pin")
    channel.pins = [entry for entry in channel.pins if entry[0] != message.ts]
    _publish_pin(state, message, by=by, event="pin_removed")


def _publish_pin(state: State, message: Message, *, by: Person, event: str) -> None:
    channel = state.channels[message.channel]
    publish_message(state, message)
    publish_pins(state, channel)
    item = {
        "type": "message",
        "channel": channel.id,
        "created": state.mint.now(),
        "created_by": by.id,
        "message": history_json(state, message),
    }
    body = {"type": event, "user": by.id, "channel_id": channel.id, "item": item}
    emit(state, body | {"pin_count": len(channel.pins)}, channel=channel)


def add_bookmark(state: State, channel: Channel, *, title: str, link: str, emoji: str) -> Bookmark:
    """Put a link at the top of a channel.

    Raises:
        SlackError: it is not a link, or the channel has as many bookmarks as it may.
    """
    _check_link(link)
    if len(channel.bookmarks) >= MOST_BOOKMARKS:
        raise SlackError("too_many_bookmarks")
    now = state.mint.now()
    bookmark = Bookmark(state.mint.next("Bk"), channel.id, title, link, emoji, now)
    channel.bookmarks.append(bookmark)
    publish_bookmarks(state, channel)
    return bookmark


def edit_bookmark(
    state: State, channel: Channel, bookmark_id: str, *, changes: dict[str, str]
) -> Bookmark:
    """Change a bookmark's title, link or emoji.

    Raises:
        SlackError: there is no such bookmark, or the link is none.
    """
    bookmark = find_bookmark(channel, bookmark_id)
    if "link" in changes:
        _check_link(changes["link"])
    bookmark.title = changes.get("title", bookmark.title)
    bookmark.link = changes.get("link", bookmark.link)
    bookmark.emoji = changes.get("emoji", bookmark.emoji)
    publish_bookmarks(state, channel)
    return bookmark


def remove_bookmark(state: State, channel: Channel, bookmark_id: str) -> None:
    """Take a bookmark away.

    Raises:
        SlackError: there is no such bookmark.
    """
    channel.bookmarks.remove(find_bookmark(channel, bookmark_id))
    publish_bookmarks(state, channel)


def find_bookmark(channel: Channel, bookmark_id: str) -> Bookmark:
    """Find a bookmark.

    Raises:
        SlackError: there is no such bookmark.
    """
    for bookmark in channel.bookmarks:
        if bookmark.id == bookmark_id:
            return bookmark
    raise SlackError("not_found")


def _check_link(link: str) -> None:
    if not re.match(r"(https?|mailto|slack):", link):
        raise SlackError("invalid_link")
