"""The app manifest: exactly the scopes, commands, shortcuts and events in use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from bot.plugin import Command, Interaction, Shortcut
from bot.slack import limits
from bot.slack.api import METHODS
from bot.slack.commands import CommandBook, usage_of
from bot.slack.escape import cut
from bot.slack.handlers import SlackHandlers
from bot.slack.spans import Json

EVENTS: Mapping[str, frozenset[str]] = {
    "app_home_opened": frozenset(),
    "member_joined_channel": frozenset({"channels:read", "groups:read"}),
    "member_left_channel": frozenset({"channels:read", "groups:read"}),
    "message.channels": frozenset({"channels:history"}),
    "message.groups": frozenset({"groups:history"}),
    "pin_added": frozenset({"pins:read"}),
    "reaction_added": frozenset({"reactions:read"}),
}
PATH = "/slack/events"


def manifest(
    handlers: SlackHandlers, mode: Literal["socket", "http"], url: str | None = None
) -> Json:
    """Return the manifest to create the Slack app from.

    `url` is the bot's public address, which HTTP mode needs: Slack sends
    everything to `/slack/events` below it.
    """
    if mode == "http" and not url:
        raise ValueError("url: HTTP mode needs the address at which Slack reaches the bot")
    target = f"{url.rstrip('/')}{PATH}" if mode == "http" and url else None
    commands = _commands(handlers.commands, target)
    shortcuts = _shortcuts(handlers.interactions)
    return {
        "display_information": {
            "name": "Tocsin",
            "description": "Calm alerts, safe runbooks, one record of what was done.",
            "background_color": "#1f2933",
        },
        "features": {
            "app_home": {
                "home_tab_enabled": True,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": True,
            },
            "bot_user": {"display_name": "tocsin", "always_online": True},
            **({"slash_commands": commands} if commands else {}),
            **({"shortcuts": shortcuts} if shortcuts else {}),
        },
        "oauth_config": {"scopes": {"bot": _scopes(commands or shortcuts)}},
        "settings": {
            "event_subscriptions": {**_at(target), "bot_events": sorted(EVENTS)},
            "interactivity": {"is_enabled": True, **_at(target)},
            "org_deploy_enabled": False,
            "socket_mode_enabled": mode == "socket",
            "token_rotation_enabled": False,
        },
    }


def _at(target: str | None) -> Json:
    return {"request_url": target} if target else {}


def _scopes(typed: Sequence[Json]) -> list[str]:
    needed: set[str] = {"commands"} if typed else set()
    return sorted(needed.union(*METHODS.values(), *EVENTS.values()))


def _commands(commands: Sequence[Command], target: str | None) -> list[Json]:
    return [
        {
            "command": root,
            "description": cut(_described(verbs), limits.HELP_TEXT),
            "usage_hint": cut(_hint(verbs), limits.HELP_TEXT),
            # Mentions arrive as ids, so that people can be named in a command.
            "should_escape": True,
            **({"url": target} if target else {}),
        }
        for root, verbs in CommandBook(commands).roots.items()
    ]


def _described(verbs: Sequence[Command]) -> str:
    if len(verbs) == 1:
        return verbs[0].summary
    return f"{verbs[0].root.removeprefix('/').capitalize()}: type help to see what it can do"


def _hint(verbs: Sequence[Command]) -> str:
    if len(verbs) == 1:
        return usage_of(verbs[0]).removeprefix(verbs[0].root).strip() or "help"
    return " | ".join([*(verb.verb for verb in verbs if verb.verb), "help"])


def _shortcuts(interactions: Mapping[str, Interaction]) -> list[Json]:
    return [
        _shortcut(name, interaction.shortcut)
        for name, interaction in interactions.items()
        if interaction.shortcut
    ]


def _shortcut(name: str, shortcut: Shortcut) -> Json:
    return {
        "name": cut(shortcut.title, limits.VIEW_TITLE),
        "type": "message" if shortcut.on_message else "global",
        "callback_id": name,
        "description": cut(shortcut.title, 150),
    }
