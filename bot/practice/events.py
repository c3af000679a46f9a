"""The Events API: who is told of what happens, and in which words."""

from bot.practice.records import Channel, InstalledApp, Json, Message
from bot.practice.scopes import MESSAGE_EVENTS
from bot.practice.shapes import message_json
from bot.practice.state import State


def emit(state: State, event: Json, *, name: str = "", channel: Channel | None = None) -> None:
    """Send an event to every app that subscribed to it.

    `name` is the subscription when it differs from the event's type. With a channel, only apps
    whose bot is in it are told.
    """
    event.setdefault("event_ts", state.mint.ts())
    for app in state.apps.values():
        if (name or event["type"]) not in app.events:
            continue
        if channel is not None and app.bot_user_id not in channel.members:
            continue
        state.delivery.announce(app, callback(state, app, event))


def callback(state: State, app: InstalledApp, event: Json) -> Json:
    """Wrap an event as the Events API delivers it to one app."""
    authorization = {
        "enterprise_id": None,
        "team_id": state.id,
        "user_id": app.bot_user_id,
        "is_bot": True,
        "is_enterprise_install": False,
    }
    return {
        "token": app.verification_token,
        "team_id": state.id,
        "context_team_id": state.id,
        "context_enterprise_id": None,
        "api_app_id": app.id,
        "event": event,
        "type": "event_callback",
        "event_id": state.mint.next("Ev"),
        "event_time": state.mint.now(),
        "authorizations": [authorization],
        "is_ext_shared_channel": False,
        "event_context": state.mint.next("4-"),
    }


def message_event(state: State, message: Message) -> Json:
    """Give the `message` event of a message just posted."""
    channel = state.channels[message.channel]
    return message_json(state, message) | {
        "channel": channel.id,
        "channel_type": channel.kind,
        "event_ts": message.ts,
    }


def emit_message(state: State, message: Message) -> None:
    """Tell apps of a new message, and mentioned ones that they were mentioned.

    A direct message never causes `app_mention`.
    """
    channel = state.channels[message.channel]
    event = message_event(state, message)
    emit(state, event, name=MESSAGE_EVENTS[channel.kind], channel=channel)
    if channel.is_direct or message.subtype not in (None, "thread_broadcast", "file_share"):
        return
    for app in state.apps.values():
        mentioned = f"<@{app.bot_user_id}" in message.text and message.user != app.bot_user_id
        if mentioned and "app_mention" in app.events and app.bot_user_id in channel.members:
            mention = {key: value for key, value in event.items() if key != "channel_type"}
            mention |= {"type": "app_mention"}
            state.delivery.announce(app, callback(state, app, mention))


def emit_change(state: State, message: Message, *, subtype: str, previous: Json) -> None:
    """Tell apps that a message was changed or deleted; `previous` is how it was."""
    channel = state.channels[message.channel]
    ts = state.mint.ts()
    event: Json = {
        "type": "message",
        "subtype": subtype,
        "channel": channel.id,
        "channel_type": channel.kind,
        "hidden": True,
        "ts": ts,
        "event_ts": ts,
        "previous_message": previous,
    }
    if subtype == "message_changed":
        event["message"] = message_json(state, message)
    else:
        event["deleted_ts"] = message.ts
    emit(state, event, name=MESSAGE_EVENTS[channel.kind], channel=channel)
