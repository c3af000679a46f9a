"""Read a Slack app manifest into an installed app, refusing what Slack's own check refuses."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bot.practice.ids import Mint
from bot.practice.records import InstalledApp, Shortcut, SlashCommand
from bot.practice.scopes import EVENT_SCOPES, known_scopes

_SECTIONS = {"_metadata", "display_information", "features", "oauth_config", "settings"}
_COMMAND = re.compile(r"/[a-z0-9_\-]{1,31}$")
BUILT_IN = frozenset(
    (
        "/archive", "/away", "/active", "/call", "/collapse", "/dm", "/dnd", "/expand", "/feed",
        "/invite", "/join", "/leave", "/me", "/msg", "/mute", "/open", "/people", "/prefs",
        "/remind", "/remove", "/rename", "/search", "/shortcuts", "/shrug", "/star", "/status",
        "/topic", "/who",
    )
)  # fmt: skip


class ManifestError(ValueError):
    """Report an app manifest that Slack would not accept, naming the field."""


def read_manifest(manifest: Mapping[str, Any], mint: Mint) -> InstalledApp:
    """Check a manifest and make the installed app with its ids and tokens.

    Raises:
        ManifestError: a field is missing, unknown, too long, or an event lacks its scope.
    """
    unknown = set(manifest) - _SECTIONS
    if unknown:
        raise ManifestError(f"{sorted(unknown)[0]}: not a section of a manifest")
    display = _table(manifest, "display_information")
    features = _table(manifest, "features")
    settings = _table(manifest, "settings")
    name = _text(display, "name", limit=35, where="display_information")
    scopes = _scopes(_table(_table(manifest, "oauth_config"), "scopes"))
    home = _table(features, "app_home")
    return InstalledApp(
        id=mint.named("A", name),
        name=str(_table(features, "bot_user").get("display_name", name)),
        description=str(display.get("description", "")),
        color=str(display.get("background_color", "#4a154b")),
        bot_user_id=mint.named("U", f"bot:{name}"),
        bot_id=mint.named("B", name),
        bot_token=f"xoxb-{mint.secret(name + ' bot')}",
        app_token=f"xapp-1-{mint.named('A', name)}-{mint.secret(name + ' app')}",
        signing_secret=mint.secret(name + " signing"),
        verification_token=mint.secret(name + " verification")[:24],
        scopes=scopes,
        commands=_commands(features.get("slash_commands", ()), scopes),
        shortcuts=_shortcuts(features.get("shortcuts", ()), scopes),
        events=_events(_table(settings, "event_subscriptions"), scopes),
        interactive=bool(_table(settings, "interactivity").get("is_enabled", False)),
        socket_mode=bool(settings.get("socket_mode_enabled", False)),
        home_tab=bool(home.get("home_tab_enabled", False)),
        messages_tab=bool(home.get("messages_tab_enabled", True)),
    )


def _table(parent: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = parent.get(key) or {}
    if not isinstance(value, Mapping):
        raise ManifestError(f"{key}: must be an object")
    return value


def _text(parent: Mapping[str, Any], key: str, *, limit: int, where: str) -> str:
    value = parent.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ManifestError(f"{where}.{key}: must be a text")
    if len(value) > limit:
        raise ManifestError(f"{where}.{key}: longer than {limit} characters")
    return value


def _scopes(scopes: Mapping[str, Any]) -> tuple[str, ...]:
    bot = scopes.get("bot", ())
    for scope in bot:
        if scope not in known_scopes():
            raise ManifestError(f"oauth_config.scopes.bot: unknown scope {scope}")
    return tuple(bot)


def _commands(
    entries: Sequence[Mapping[str, Any]], scopes: Sequence[str]
) -> tuple[SlashCommand, ...]:
    if entries and "commands" not in scopes:
        raise ManifestError("features.slash_commands: the scope commands is missing")
    commands = []
    for number, entry in enumerate(entries):
        where = f"features.slash_commands[{number}]"
        command = _text(entry, "command", limit=32, where=where)
        if not _COMMAND.match(command) or command in BUILT_IN:
            raise ManifestError(f"{where}.command: {command} is not a valid command name")
        description = _text(entry, "description", limit=2000, where=where)
        hint = str(entry.get("usage_hint", ""))
        escape = bool(entry.get("should_escape", False))
        commands.append(SlashCommand(command, description, hint, escape))
    return tuple(commands)


def _shortcuts(entries: Sequence[Mapping[str, Any]], scopes: Sequence[str]) -> tuple[Shortcut, ...]:
    if entries and "commands" not in scopes:
        raise ManifestError("features.shortcuts: the scope commands is missing")
    shortcuts = []
    for number, entry in enumerate(entries):
        where = f"features.shortcuts[{number}]"
        if entry.get("type") not in ("global", "message"):
            raise ManifestError(f"{where}.type: must be global or message")
        shortcuts.append(
            Shortcut(
                callback_id=_text(entry, "callback_id", limit=255, where=where),
                name=_text(entry, "name", limit=24, where=where),
                description=_text(entry, "description", limit=150, where=where),
                kind=str(entry["type"]),
            )
        )
    return tuple(shortcuts)


def _events(subscriptions: Mapping[str, Any], scopes: Sequence[str]) -> frozenset[str]:
    events = subscriptions.get("bot_events", ())
    for event in events:
        needed = EVENT_SCOPES.get(event)
        if needed is None:
            raise ManifestError(f"settings.event_subscriptions.bot_events: unknown event {event}")
        if needed and not set(needed) & set(scopes):
            raise ManifestError(
                f"settings.event_subscriptions.bot_events: {event} needs the scope {needed[0]}"
            )
    return frozenset(events)
