"""conversations.* that change a channel or who is in it."""

from bot.practice import membership
from bot.practice.api.call import Call, Methods
from bot.practice.errors import SlackError
from bot.practice.page_json import publish_channel
from bot.practice.records import Channel, Json
from bot.practice.shapes import channel_json

LONGEST_TOPIC = 250


def _shown(call: Call, channel: Channel) -> Json:
    return {"channel": channel_json(call.state, channel, viewer=call.app.bot_user_id)}


def create(call: Call) -> Json:
    """Create a channel, with the bot in it."""
    kind = "group" if call.flag("is_private") else "channel"
    call.need_for(kind)
    name = call.text("name")
    return _shown(call, membership.create(call.state, name, by=call.bot, kind=kind))


def join(call: Call) -> Json:
    """Join a public channel; joining again is no error but a warning."""
    channel = call.channel()
    if not channel.is_public:
        raise SlackError("method_not_supported_for_channel_type")
    membership.require_open(channel)
    if call.app.bot_user_id in channel.members:
        metadata = {"warnings": ["already_in_channel"]}
        warning = {"warning": "already_in_channel", "response_metadata": metadata}
        return _shown(call, channel) | warning
    membership.enter(call.state, channel, call.bot)
    return _shown(call, channel)


def leave(call: Call) -> Json:
    """Leave a channel."""
    channel = call.channel()
    if call.app.bot_user_id not in channel.members:
        return {"not_in_channel": True}
    membership.depart(call.state, channel, call.bot)
    return {}


def invite(call: Call) -> Json:
    """Add members; with `force` those who can be added are, in spite of others."""
    channel = call.open_channel()
    users = call.names("users")
    if not users:
        raise SlackError("no_user")
    if len(users) > 100:
        raise SlackError("too_many_users")
    errors = {user: code for user in users if (code := _invite_error(call, channel, user))}
    welcome = [user for user in dict.fromkeys(users) if user not in errors]
    if errors and not (call.flag("force") and welcome):
        listed = [{"ok": False, "user": user, "error": code} for user, code in errors.items()]
        raise SlackError(next(iter(errors.values())), errors=listed)
    membership.invite(call.state, channel, welcome, by=call.bot)
    return _shown(call, channel)


def _invite_error(call: Call, channel: Channel, user: str) -> str:
    if user == call.app.bot_user_id:
        return "cant_invite_self"
    if user not in call.state.people:
        return "user_not_found"
    return "already_in_channel" if user in channel.members else ""


def kick(call: Call) -> Json:
    """Remove a member."""
    channel = call.open_channel()
    user = call.required("user")
    if user == call.app.bot_user_id:
        raise SlackError("cant_kick_self")
    person = call.person(user)
    if user not in channel.members:
        raise SlackError("not_in_channel")
    membership.depart(call.state, channel, person, removed_by=call.app.bot_user_id)
    return {"errors": {}}


def set_topic(call: Call) -> Json:
    """Set the topic."""
    channel, topic = call.open_channel(), call.text("topic")
    if len(topic) > LONGEST_TOPIC:
        raise SlackError("too_long")
    membership.set_topic(call.state, channel, topic, by=call.bot)
    return _shown(call, channel)


def set_purpose(call: Call) -> Json:
    """Set the purpose."""
    channel, purpose = call.open_channel(), call.text("purpose")
    if len(purpose) > LONGEST_TOPIC:
        raise SlackError("too_long")
    membership.set_purpose(call.state, channel, purpose, by=call.bot)
    return _shown(call, channel) | {"purpose": purpose}


def rename(call: Call) -> Json:
    """Rename a channel; an app may rename only what it created."""
    channel = call.open_channel()
    if channel.creator != call.app.bot_user_id:
        raise SlackError("not_authorized")
    membership.rename(call.state, channel, call.text("name"), by=call.bot)
    return _shown(call, channel)


def archive(call: Call) -> Json:
    """Archive a channel."""
    channel = call.joined_channel()
    if channel.is_archived:
        raise SlackError("already_archived")
    if channel.name == "general":
        raise SlackError("cant_archive_general")
    membership.archive(call.state, channel, by=call.bot)
    return {}


def unarchive(call: Call) -> Json:
    """Open an archived channel again."""
    channel = call.channel()
    if not channel.is_archived:
        raise SlackError("not_archived")
    membership.unarchive(call.state, channel, by=call.bot)
    return {}


def open_direct(call: Call) -> Json:
    """Open the direct message with one or several people."""
    if call.has("channel"):
        return _shown(call, call.joined_channel())
    users = call.names("users")
    if not users:
        raise SlackError("users_list_not_supplied")
    for user in users:
        call.person(user)
    call.need_for("im" if len(users) == 1 else "mpim")
    if users == [call.app.bot_user_id]:
        raise SlackError("cannot_dm_bot")
    known = set(call.state.channels)
    channel = call.state.direct_channel(call.app.bot_user_id, *users)
    publish_channel(call.state, channel)
    seen = {"no_op": True, "already_open": True} if channel.id in known else {}
    if not call.flag("return_im"):
        return {"channel": {"id": channel.id}} | seen
    return _shown(call, channel) | seen


def mark(call: Call) -> Json:
    """Mark a channel as read up to a message."""
    channel = call.joined_channel()
    channel.last_read[call.app.bot_user_id] = call.required("ts")
    return {}


METHODS: Methods = {
    "conversations.create": create,
    "conversations.join": join,
    "conversations.leave": leave,
    "conversations.invite": invite,
    "conversations.kick": kick,
    "conversations.setTopic": set_topic,
    "conversations.setPurpose": set_purpose,
    "conversations.rename": rename,
    "conversations.archive": archive,
    "conversations.unarchive": unarchive,
    "conversations.open": open_direct,
    "conversations.mark": mark,
}
