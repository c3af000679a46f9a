"""Channels and who is in them: created, joined, left, renamed, archived."""

from bot.practice.errors import SlackError
from bot.practice.events import callback, emit
from bot.practice.page_json import notice, publish_channel
from bot.practice.posting import post_system
from bot.practice.records import Channel, InstalledApp, Json, Note, Person
from bot.practice.state import State


def create(state: State, name: str, *, by: Person, kind: str) -> Channel:
    """Create a channel with its creator as the first member.

    Raises:
        SlackError: the name is taken or not a channel name.
    """
    channel = state.open_channel(name, kind=kind, creator=by.id, members=[])
    if kind == "channel":
        shown = {"id": channel.id, "name": name, "created": channel.created, "creator": by.id}
        emit(state, {"type": "channel_created", "channel": shown})
    enter(state, channel, by)
    return channel


def enter(state: State, channel: Channel, person: Person, *, inviter: str | None = None) -> None:
    """Make somebody a member, with the line in the channel and the event that go with it."""
    channel.members.append(person.id)
    extra: Json = {"inviter": inviter} if inviter else {}
    text = f"<@{person.id}> has joined the channel"
    post_system(state, channel, person, subtype=_subtype(channel, "join"), text=text, **extra)
    event: Json = {
        "type": "member_joined_channel",
        "user": person.id,
        "channel": channel.id,
        "channel_type": "C" if channel.is_public else "G",
        "team": state.id,
    }
    emit(state, event | extra, channel=channel)


def depart(state: State, channel: Channel, person: Person, *, removed_by: str = "") -> None:
    """End somebody's membership; an app that has to go is told with `channel_left`."""
    text = f"<@{person.id}> has left the channel"
    post_system(state, channel, person, subtype=_subtype(channel, "leave"), text=text)
    kind = "C" if channel.is_public else "G"
    event = {"type": "member_left_channel", "user": person.id, "channel": channel.id,
             "channel_type": kind, "team": state.id}  # fmt: skip
    emit(state, event, channel=channel)
    channel.members.remove(person.id)
    publish_channel(state, channel)
    if person.app_id is not None:
        _emit_left(state, channel, state.apps[person.app_id])
    if removed_by:
        who = state.people[removed_by].name
        notice(state, person.id, f"You have been removed from #{channel.name} by @{who}")


def _emit_left(state: State, channel: Channel, app: InstalledApp) -> None:
    name = _subtype(channel, "left")
    if name in app.events:
        event = {"type": name, "channel": channel.id, "event_ts": state.mint.ts()}
        state.delivery.announce(app, callback(state, app, event))


def invite(state: State, channel: Channel, user_ids: list[str], *, by: Person) -> None:
    """Add people to a channel; those already in are refused by the caller."""
    for user_id in user_ids:
        enter(state, channel, state.people[user_id], inviter=by.id)


def set_topic(state: State, channel: Channel, value: str, *, by: Person) -> None:
    """Set the topic."""
    channel.topic = Note(value, by.id, state.mint.now())
    text = f"set the channel topic: {value}" if value else "cleared the channel topic"
    subtype = _subtype(channel, "topic")
    post_system(state, channel, by, subtype=subtype, text=text, topic=value)


def set_purpose(state: State, channel: Channel, value: str, *, by: Person) -> None:
    """Set the description, which the API calls purpose."""
    channel.purpose = Note(value, by.id, state.mint.now())
    text = f"set the channel description: {value}" if value else "cleared the channel description"
    subtype = _subtype(channel, "purpose")
    post_system(state, channel, by, subtype=subtype, text=text, purpose=value)


def rename(state: State, channel: Channel, name: str, *, by: Person) -> None:
    """Rename a channel.

    Raises:
        SlackError: the name is taken or not a channel name.
    """
    state.check_channel_name(name)
    old, channel.name = channel.name, name
    channel.previous_names.insert(0, old)
    text = f'has renamed the channel from "{old}" to "{name}"'
    subtype = _subtype(channel, "name")
    post_system(state, channel, by, subtype=subtype, text=text, old_name=old, name=name)
    shown = {"id": channel.id, "name": name, "created": channel.created}
    _emit_kind(state, channel, "rename", {"channel": shown})


def archive(state: State, channel: Channel, *, by: Person) -> None:
    """Close a channel to further messages."""
    post_system(state, channel, by, subtype=_subtype(channel, "archive"),
                text=f"<@{by.id}> archived the channel")  # fmt: skip
    channel.is_archived = True
    publish_channel(state, channel)
    _emit_kind(state, channel, "archive", {"channel": channel.id, "user": by.id})


def unarchive(state: State, channel: Channel, *, by: Person) -> None:
    """Open an archived channel again."""
    channel.is_archived = False
    post_system(state, channel, by, subtype=_subtype(channel, "unarchive"),
                text=f"<@{by.id}> un-archived the channel")  # fmt: skip
    _emit_kind(state, channel, "unarchive", {"channel": channel.id, "user": by.id})


def require_open(channel: Channel) -> None:
    """Refuse to work on an archived channel.

    Raises:
        SlackError: `is_archived`.
    """
    if channel.is_archived:
        raise SlackError("is_archived")


def _subtype(channel: Channel, what: str) -> str:
    return f"{'channel' if channel.is_public else 'group'}_{what}"


def _emit_kind(state: State, channel: Channel, what: str, event: Json) -> None:
    name = _subtype(channel, what)
    members_only = None if channel.is_public else channel
    emit(state, {"type": name, **event}, channel=members_only)
