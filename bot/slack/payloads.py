"""Slack's payloads, read into what the handlers take. Pure.

Slack repeats what it thinks was not heard. The ids in here are the same for
every repetition of one wish, so that the database can refuse the second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from bot.domain.people import ChannelId, PersonId
from bot.ports import MessageRef
from bot.slack.forms import Opened

Body: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a wish came from, and the ways back to the person.

    `view` is the modal a button was pressed in, `thread` the thread of the
    message; `home` says that it came from the home page.
    """

    user: PersonId
    user_name: str
    request: str
    name: str
    value: str = ""
    trigger: str | None = None
    response_url: str | None = None
    channel: ChannelId | None = None
    message: MessageRef | None = None
    thread: str | None = None
    view: str | None = None
    home: bool = False

    def opened(self, value: str) -> Opened:
        """Return what a modal that is opened from here has to remember."""
        return Opened(value=value, channel=self.channel, message=self.message)


def command_origin(body: Body) -> Origin:
    """Read a slash command."""
    return Origin(
        user=PersonId(body["user_id"]),
        user_name=body.get("user_name", ""),
        request=f"command:{body['trigger_id']}",
        name=body["command"],
        value=body.get("text") or "",
        trigger=body["trigger_id"],
        response_url=body.get("response_url"),
        channel=ChannelId(body["channel_id"]),
    )


def action_origin(body: Body) -> Origin:
    """Read a pressed button, on a message, in a modal or on the home page."""
    action = body["actions"][0]
    view = body.get("view") or {}
    opened = Opened.load(view.get("private_metadata", ""))
    channel = (body.get("channel") or {}).get("id") or opened.channel
    return Origin(
        **_person(body),
        request=f"action:{body['trigger_id']}:{action.get('action_ts', '')}",
        name=action["action_id"].split("#")[0],
        value=action.get("value") or "",
        trigger=body["trigger_id"],
        response_url=body.get("response_url"),
        channel=ChannelId(channel) if channel else None,
        message=opened.message if view else _message(body),
        thread=(body.get("message") or {}).get("thread_ts"),
        view=view["id"] if view.get("type") == "modal" else None,
        home=view.get("type") == "home",
    )


def view_origin(body: Body) -> Origin:
    """Read a submitted form; what it was opened from comes back with it."""
    view = body["view"]
    opened = Opened.load(view.get("private_metadata", ""))
    return Origin(
        **_person(body),
        request=f"view:{view['id']}:{view.get('hash', '')}",
        name=view["callback_id"],
        value=opened.value,
        trigger=body.get("trigger_id"),
        channel=opened.channel,
        message=opened.message,
    )


def shortcut_origin(body: Body) -> Origin:
    """Read a shortcut, on a message or a global one."""
    channel = (body.get("channel") or {}).get("id")
    message = body.get("message") or {}
    ref = MessageRef(channel=ChannelId(channel), id=message["ts"]) if channel and message else None
    return Origin(
        **_person(body),
        request=f"shortcut:{body['trigger_id']}:{body.get('action_ts', '')}",
        name=body["callback_id"],
        trigger=body["trigger_id"],
        response_url=body.get("response_url"),
        channel=ChannelId(channel) if channel else None,
        message=ref,
        thread=message.get("thread_ts"),
    )


def _person(body: Body) -> dict[str, Any]:
    user = body["user"]
    return {
        "user": PersonId(user["id"]),
        "user_name": user.get("username") or user.get("name") or "",
    }


def _message(body: Body) -> MessageRef | None:
    """Return the message that held a button; one shown to one person only stands nowhere."""
    container = body.get("container") or {}
    if container.get("is_ephemeral") or not container.get("message_ts"):
        return None
    return MessageRef(channel=ChannelId(container["channel_id"]), id=container["message_ts"])
