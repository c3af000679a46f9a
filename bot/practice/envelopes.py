"""The payloads by which apps learn what a person did: commands, actions, views, shortcuts."""

from dataclasses import dataclass

from bot.practice.records import Channel, InstalledApp, Json, Message, Person, View
from bot.practice.shapes import message_json, view_json
from bot.practice.state import State


@dataclass(frozen=True, slots=True)
class Doing:
    """Somebody doing something with an app."""

    state: State
    app: InstalledApp
    person: Person

    def trigger(self, view_id: str | None = None) -> str:
        """Give a fresh trigger id for this."""
        return self.state.grants.trigger(self.app, self.person.id, view_id=view_id)

    def response_url(self, channel: Channel, message: Message | None = None) -> str:
        """Give a fresh response URL for this."""
        path = self.state.grants.response_url(
            self.app,
            self.person.id,
            channel_id=channel.id,
            thread_ts=message.thread_ts if message else None,
            message_ts=message.ts if message else None,
        )
        return self.state.base_url + path


def _channel_name(channel: Channel) -> str:
    names = {"im": "directmessage", "group": "privategroup", "mpim": "privategroup"}
    return names.get(channel.kind, channel.name)


def _common(doing: Doing) -> Json:
    person, state = doing.person, doing.state
    return {
        "user": {
            "id": person.id,
            "username": person.name,
            "name": person.name,
            "team_id": person.team or state.id,
        },
        "api_app_id": doing.app.id,
        "token": doing.app.verification_token,
        "team": {"id": state.id, "domain": state.domain},
        "enterprise": None,
        "is_enterprise_install": False,
    }


def slash_command(doing: Doing, channel: Channel, *, command: str, text: str) -> Json:
    """Make the payload of a slash command."""
    state, person = doing.state, doing.person
    return {
        "token": doing.app.verification_token,
        "team_id": state.id,
        "team_domain": state.domain,
        "channel_id": channel.id,
        "channel_name": _channel_name(channel),
        "user_id": person.id,
        "user_name": person.name,
        "command": command,
        "text": text,
        "api_app_id": doing.app.id,
        "is_enterprise_install": "false",
        "response_url": doing.response_url(channel),
        "trigger_id": doing.trigger(),
    }


def message_action(doing: Doing, message: Message, *, action: Json, values: Json) -> Json:
    """Make the `block_actions` payload of an element used in a message.

    An ephemeral message is not part of its payload: Slack does not keep it.
    """
    channel = doing.state.channels[message.channel]
    ephemeral = message.ephemeral_to is not None
    container = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": channel.id,
        "is_ephemeral": ephemeral,
    }
    if message.thread_ts is not None:
        container["thread_ts"] = message.thread_ts
    payload = _common(doing) | {
        "type": "block_actions",
        "container": container,
        "trigger_id": doing.trigger(),
        "channel": {"id": channel.id, "name": _channel_name(channel)},
        "state": {"values": values},
        "response_url": doing.response_url(channel, message),
        "actions": [action],
    }
    if not ephemeral:
        payload["message"] = message_json(doing.state, message)
    return payload


def view_action(doing: Doing, view: View, *, action: Json) -> Json:
    """Make the `block_actions` payload of an element used in a modal or an App Home."""
    return _common(doing) | {
        "type": "block_actions",
        "container": {"type": "view", "view_id": view.id},
        "trigger_id": doing.trigger(view.id),
        "view": view_json(doing.state, view),
        "actions": [action],
    }


def view_submission(doing: Doing, view: View) -> Json:
    """Make the payload of a submitted modal."""
    return _common(doing) | {
        "type": "view_submission",
        "trigger_id": doing.trigger(view.id),
        "view": view_json(doing.state, view),
        "response_urls": _response_urls(doing, view),
    }


def _response_urls(doing: Doing, view: View) -> list[Json]:
    """Give a response URL for each chosen channel whose field asks for one."""
    urls = []
    for block in view.blocks:
        element = block.get("element", {})
        if not element.get("response_url_enabled"):
            continue
        entry = view.values[block["block_id"]][element["action_id"]]
        chosen = entry.get("selected_conversation") or entry.get("selected_channel")
        channel = doing.state.channels.get(chosen or "")
        if channel is not None:
            named = {"block_id": block["block_id"], "action_id": element["action_id"]}
            url = doing.response_url(channel)
            urls.append(named | {"channel_id": channel.id, "response_url": url})
    return urls


def view_closed(doing: Doing, view: View) -> Json:
    """Make the payload of a dismissed modal."""
    return _common(doing) | {
        "type": "view_closed",
        "view": view_json(doing.state, view),
        "is_cleared": bool(view.body.get("clear_on_close")),
    }


def global_shortcut(doing: Doing, callback_id: str) -> Json:
    """Make the payload of a global shortcut."""
    return _common(doing) | {
        "type": "shortcut",
        "action_ts": doing.state.mint.ts(),
        "callback_id": callback_id,
        "trigger_id": doing.trigger(),
    }


def message_shortcut(doing: Doing, message: Message, *, callback_id: str) -> Json:
    """Make the payload of a shortcut used on a message."""
    channel = doing.state.channels[message.channel]
    return _common(doing) | {
        "type": "message_action",
        "action_ts": doing.state.mint.ts(),
        "callback_id": callback_id,
        "trigger_id": doing.trigger(),
        "response_url": doing.response_url(channel, message),
        "message_ts": message.ts,
        "channel": {"id": channel.id, "name": _channel_name(channel)},
        "message": message_json(doing.state, message),
    }
