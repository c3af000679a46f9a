"""conversations.* that read: which there are, who is in them, what was said."""

from collections.abc import Iterable

from bot.practice.api.call import Call, Methods
from bot.practice.api.paging import page
from bot.practice.errors import SlackError
from bot.practice.records import Channel, Json, Message
from bot.practice.scopes import CONVERSATION_SCOPES
from bot.practice.shapes import channel_json, history_json

_TYPES = {"public_channel": "channel", "private_channel": "group", "im": "im", "mpim": "mpim"}


def info(call: Call) -> Json:
    """Show a conversation."""
    channel = call.channel()
    shown = channel_json(call.state, channel, viewer=call.app.bot_user_id)
    if call.flag("include_num_members"):
        shown["num_members"] = len(channel.members)
    return {"channel": shown}


def _kinds(call: Call) -> list[str]:
    kinds = []
    for name in call.names("types") or ["public_channel"]:
        if name not in _TYPES:
            raise SlackError("invalid_types")
        call.need(*CONVERSATION_SCOPES[call.method][_TYPES[name]])
        kinds.append(_TYPES[name])
    return kinds


def _listed(call: Call, channels: Iterable[Channel], *, viewer: str) -> Json:
    found = [c for c in channels if not (c.is_archived and call.flag("exclude_archived"))]
    entries, cursor = page(call, found)
    shown = [channel_json(call.state, c, viewer=viewer) for c in entries]
    for entry, channel in zip(shown, entries, strict=True):
        entry["num_members"] = len(channel.members)
    return {"channels": shown, "response_metadata": {"next_cursor": cursor}}


def list_all(call: Call) -> Json:
    """List conversations the bot can see."""
    kinds, me = _kinds(call), call.app.bot_user_id
    channels = call.state.channels.values()
    seen = [c for c in channels if c.kind in kinds and call.state.may_see(me, c)]
    return _listed(call, seen, viewer=me)


def list_of_user(call: Call) -> Json:
    """List conversations a member is in, as far as the bot can see them."""
    kinds, me = _kinds(call), call.app.bot_user_id
    user = call.person(call.text("user") or me).id
    channels = call.state.channels.values()
    seen = [c for c in channels if c.kind in kinds and call.state.may_see(me, c)]
    return _listed(call, [c for c in seen if user in c.members], viewer=user)


def members(call: Call) -> Json:
    """List a conversation's members."""
    entries, cursor = page(call, call.channel().members)
    return {"members": entries, "response_metadata": {"next_cursor": cursor}}


def _between(call: Call, messages: Iterable[Message]) -> list[Message]:
    oldest, latest = call.text("oldest") or "0", call.text("latest") or "9999999999"
    try:
        low, high = float(oldest), float(latest)
    except ValueError:
        raise SlackError("invalid_ts_oldest") from None
    inclusive = call.flag("inclusive")
    return [
        message
        for message in messages
        if low < float(message.ts) < high or (inclusive and float(message.ts) in (low, high))
    ]


def _answer(call: Call, found: list[Message]) -> Json:
    entries, cursor = page(call, found, most=999)
    shown = [history_json(call.state, message) for message in entries]
    if call.flag("include_all_metadata"):
        for entry, message in zip(shown, entries, strict=True):
            if message.metadata:
                entry["metadata"] = message.metadata
    answer: Json = {"messages": shown, "has_more": bool(cursor)}
    return answer | ({"response_metadata": {"next_cursor": cursor}} if cursor else {})


def history(call: Call) -> Json:
    """Give a conversation's messages, newest first, without those that are only in threads."""
    channel = call.joined_channel()
    listed = [message for message in channel.messages.values() if message.is_listed]
    found = sorted(_between(call, listed), key=lambda message: message.ts, reverse=True)
    answer = _answer(call, found)
    return answer | {"pin_count": len(channel.pins)}


def replies(call: Call) -> Json:
    """Give a thread: its root first, then its replies, oldest first."""
    channel = call.joined_channel()
    ts = call.required("ts")
    message = channel.messages.get(ts)
    if message is None:
        raise SlackError("thread_not_found")
    if message.is_reply:
        return _answer(call, [message])
    return _answer(call, [message, *_between(call, channel.replies(ts))])


METHODS: Methods = {
    "conversations.info": info,
    "conversations.list": list_all,
    "conversations.members": members,
    "conversations.history": history,
    "conversations.replies": replies,
    "users.conversations": list_of_user,
}
