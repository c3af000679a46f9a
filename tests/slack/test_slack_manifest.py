from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import bot.slack
from bot.practice.ids import Mint
from bot.practice.manifest import read_manifest
from bot.practice.scopes import CONVERSATION_SCOPES, EVENT_SCOPES, METHOD_SCOPES
from bot.slack.api import METHODS
from bot.slack.handlers import SlackHandlers
from bot.slack.manifest import manifest
from tests.slack.live import Heard

FREE = {"auth.test", "chat.getPermalink", "views.open", "views.publish", "views.update"}
# Of the kinds of conversations each method works on, those we use it for.
KINDS = {
    "conversations.create": {"channel"},
    "conversations.history": {"channel", "group", "im"},
    "conversations.invite": {"channel"},
    "conversations.list": {"channel", "group"},
    "conversations.open": {"im"},
    "conversations.replies": {"channel", "group", "im"},
    "conversations.setTopic": {"channel"},
}


def called() -> set[str]:
    """Return the Web API methods that stand in calls in the adapter's source."""
    found = set()
    for file in Path(bot.slack.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call):
                found |= {
                    argument.value
                    for argument in node.args
                    if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
                }
    return {name for name in found if re.fullmatch(r"[a-z]+(\.[A-Za-z]+)+", name)}


def test_every_method_that_is_called_is_known_with_its_scopes_and_no_other() -> None:
    assert called() == set(METHODS)


def test_the_scopes_are_those_that_slack_asks_for_and_none_more() -> None:
    needed: set[str] = {"commands"}
    for method in called() - FREE:
        if method in KINDS:
            needed |= {CONVERSATION_SCOPES[method][kind][0] for kind in KINDS[method]}
        else:
            needed.add(METHOD_SCOPES[method][0])
    made = manifest(Heard().handlers(), "socket")
    for event in made["settings"]["event_subscriptions"]["bot_events"]:
        needed |= set(EVENT_SCOPES[event])
    assert set(made["oauth_config"]["scopes"]["bot"]) == needed


def test_the_app_may_find_people_by_their_address() -> None:
    made = manifest(Heard().handlers(), "socket")
    assert {"users:read", "users:read.email"} <= set(made["oauth_config"]["scopes"]["bot"])


def test_commands_and_shortcuts_are_those_of_the_handlers() -> None:
    features = manifest(Heard().handlers(), "socket")["features"]
    assert [command["command"] for command in features["slash_commands"]] == ["/incident"]
    assert features["slash_commands"][0]["usage_hint"] == "note <text>"
    assert [(s["callback_id"], s["type"]) for s in features["shortcuts"]] == [
        ("incident.note", "message"),
        ("incident.new", "global"),
    ]


def test_without_commands_nothing_is_asked_for_them() -> None:
    made = manifest(SlackHandlers(), "socket")
    assert "commands" not in made["oauth_config"]["scopes"]["bot"]
    assert "slash_commands" not in made["features"]


def test_http_mode_names_the_address_everywhere_and_socket_mode_nowhere() -> None:
    http = manifest(Heard().handlers(), "http", "https://bot.example/")
    target = "https://bot.example/slack/events"
    assert http["settings"]["event_subscriptions"]["request_url"] == target
    assert http["settings"]["interactivity"]["request_url"] == target
    assert http["features"]["slash_commands"][0]["url"] == target
    assert not http["settings"]["socket_mode_enabled"]
    assert "https://" not in str(manifest(Heard().handlers(), "socket"))
    with pytest.raises(ValueError, match="url"):
        manifest(SlackHandlers(), "http")


def test_the_practice_workspace_takes_the_manifest() -> None:
    app = read_manifest(manifest(Heard().handlers(), "socket"), Mint(lambda: 0.0))
    assert app.socket_mode
    assert app.interactive
