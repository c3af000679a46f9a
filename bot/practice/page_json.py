"""The JSON the page reads: Slack's objects, made short and fit to be drawn."""

from bot.practice.records import Channel, Json, Message, Person
from bot.practice.shapes import reactions_json
from bot.practice.state import State

_NAMED_COLORS = {"good": "#2eb886", "warning": "#daa038", "danger": "#a30200"}


def person_page(person: Person) -> Json:
    """Show a member."""
    return {
        "id": person.id,
        "name": person.name,
        "real_name": person.real_name,
        "title": person.title,
        "color": person.color,
        "initials": person.initials,
        "is_bot": person.is_bot,
        "is_admin": person.is_admin,
        "deleted": person.deleted,
    }


def channel_page(channel: Channel, *, viewer: str) -> Json:
    """Show a channel to one person, with what that person has not read."""
    shown: Json = {
        "id": channel.id,
        "name": channel.name,
        "is_private": channel.kind != "channel",
        "is_im": channel.kind == "im",
        "is_mpim": channel.kind == "mpim",
        "is_member": viewer in channel.members,
        "topic": channel.topic.value,
        "purpose": channel.purpose.value,
        "is_archived": channel.is_archived,
        "unread": _unread(channel, viewer),
        "num_members": len(channel.members),
    }
    if channel.kind == "im":
        others = [member for member in channel.members if member != viewer]
        shown["im_user"] = others[0] if others else viewer
    return shown


def _unread(channel: Channel, viewer: str) -> int:
    if viewer not in channel.members:
        return 0
    seen = channel.last_read.get(viewer, "")
    return sum(
        1
        for message in channel.messages.values()
        if message.ts > seen and message.user != viewer and message.is_listed
    )


def message_page(state: State, message: Message) -> Json:
    """Show a message."""
    channel = state.channels[message.channel]
    replies = [] if message.ephemeral_to or message.is_reply else channel.replies(message.ts)
    reply_users = list(dict.fromkeys(r.user or r.bot_id or "" for r in replies))
    return {
        "ts": message.ts,
        "channel": message.channel,
        "thread_ts": message.thread_ts or (message.ts if replies else None),
        "user": message.user,
        "bot_id": message.bot_id,
        "username": message.username or _author(state, message),
        "text": message.text,
        "blocks": message.blocks,
        "attachments": [_attachment(a) for a in message.attachments or ()] or None,
        "reactions": reactions_json(message),
        "edited": message.edited is not None,
        "ephemeral": message.ephemeral_to is not None,
        "subtype": message.subtype,
        "reply_count": len(replies),
        "reply_users": reply_users,
        "latest_reply": replies[-1].ts if replies else None,
        "pinned": channel.pinned(message.ts),
        "files": [_file(state, file_id) for file_id in message.files],
    }


def _author(state: State, message: Message) -> str:
    person = state.people.get(message.user or "")
    return person.real_name if person else ""


def _attachment(attachment: Json) -> Json:
    color = str(attachment.get("color") or "")
    color = _NAMED_COLORS.get(color, color)
    if color and not color.startswith("#"):
        color = "#" + color
    shown = {k: v for k, v in attachment.items() if k not in ("color", "id")}
    return shown | {
        "color": color or "#dddddd",
        "blocks": attachment.get("blocks"),
        "fallback": attachment.get("fallback", ""),
        "text": attachment.get("text", ""),
    }


def _file(state: State, file_id: str) -> Json:
    file = state.files[file_id]
    return {
        "id": file.id,
        "name": file.name,
        "title": file.title,
        "mimetype": file.mimetype,
        "size": file.size,
        "url": f"/practice/files/{file.id}/{file.name}",
    }


def pins_page(state: State, channel: Channel) -> list[Json]:
    """List a channel's pinned messages, newest pin first."""
    pinned = [channel.messages[ts] for ts, _, _ in reversed(channel.pins) if ts in channel.messages]
    return [message_page(state, message) for message in pinned]


def bookmarks_page(channel: Channel) -> list[Json]:
    """List a channel's bookmarks."""
    return [{"id": b.id, "title": b.title, "link": b.link} for b in channel.bookmarks]


def publish_message(state: State, message: Message) -> None:
    """Show a new or changed message on every page that may see it."""
    event = {"type": "message", "message": message_page(state, message)}
    if message.ephemeral_to is not None:
        state.audience.tell(message.ephemeral_to, event)
        return
    channel = state.channels[message.channel]
    state.audience.publish(lambda viewer: event if state.may_see(viewer, channel) else None)


def publish_removal(state: State, message: Message) -> None:
    """Take a message off every page."""
    event = {"type": "message_deleted", "channel": message.channel, "ts": message.ts}
    state.audience.publish(lambda _: event)


def publish_channel(state: State, channel: Channel) -> None:
    """Show a new or changed channel on every page that may see it.

    Somebody who just left a private channel is told to fetch everything anew, for it is gone.
    """

    def render(viewer: str) -> Json | None:
        if not state.may_see(viewer, channel):
            return {"type": "state"} if channel.kind == "group" else None
        return {"type": "channel", "channel": channel_page(channel, viewer=viewer)}

    state.audience.publish(render)


def publish_pins(state: State, channel: Channel) -> None:
    """Show a channel's pins on every page that may see it."""
    event = {"type": "pins", "channel": channel.id, "pins": pins_page(state, channel)}
    state.audience.publish(lambda viewer: event if state.may_see(viewer, channel) else None)


def publish_bookmarks(state: State, channel: Channel) -> None:
    """Show a channel's bookmarks on every page that may see it."""
    event = {"type": "bookmarks", "channel": channel.id, "bookmarks": bookmarks_page(channel)}
    state.audience.publish(lambda viewer: event if state.may_see(viewer, channel) else None)


def notice(state: State, user_id: str, text: str) -> None:
    """Tell one person something only they need to know."""
    state.audience.tell(user_id, {"type": "notice", "text": text})
