"""A workspace with a small Slack app in it, built with the real slack_bolt."""

import asyncio
import importlib.util
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.practice import PracticeServer, Workspace

Json = dict[str, Any]
SCOPES = [
    "app_mentions:read", "bookmarks:read", "bookmarks:write", "channels:history",
    "channels:join", "channels:manage", "channels:read", "chat:write", "commands",
    "files:read", "files:write", "groups:history", "groups:read", "groups:write",
    "im:history", "im:read", "im:write", "pins:read", "pins:write", "reactions:read",
    "reactions:write", "team:read", "usergroups:read", "users:read", "users:read.email",
]  # fmt: skip
EVENTS = [
    "app_home_opened", "app_mention", "channel_archive", "channel_created", "channel_rename",
    "member_joined_channel", "member_left_channel", "message.channels", "message.groups",
    "message.im", "pin_added", "reaction_added", "reaction_removed",
]  # fmt: skip


def _manifest(**changes: Any) -> Json:
    manifest: Json = {
        "display_information": {
            "name": "Helper",
            "description": "Helps",
            "background_color": "#123456",
        },
        "features": {
            "app_home": {"home_tab_enabled": True, "messages_tab_enabled": True},
            "bot_user": {"display_name": "Helper", "always_online": True},
            "slash_commands": [
                {
                    "command": "/help-me",
                    "description": "Ask for help",
                    "usage_hint": "[topic]",
                    "should_escape": False,
                },
                {"command": "/escaped", "description": "Escaped", "should_escape": True},
            ],
            "shortcuts": [
                {
                    "name": "Note this",
                    "type": "message",
                    "callback_id": "note",
                    "description": "Keep a message",
                },
                {
                    "name": "Declare",
                    "type": "global",
                    "callback_id": "declare",
                    "description": "Declare something",
                },
            ],
        },
        "oauth_config": {"scopes": {"bot": list(SCOPES)}},
        "settings": {
            "event_subscriptions": {"bot_events": list(EVENTS)},
            "interactivity": {"is_enabled": True},
            "socket_mode_enabled": True,
        },
    }
    return manifest | changes


@pytest.fixture
def manifest() -> Callable[..., Json]:
    return _manifest


@pytest.fixture
def workspace() -> Workspace:
    workspace = Workspace(name="Example")
    workspace.add_person("dana", real_name="Dana Ito", title="On-call engineer")
    workspace.add_person("eli", real_name="Eli Brandt", admin=True)
    workspace.add_person("noor", real_name="Noor Haddad")
    workspace.add_usergroup("oncall", members=["dana", "eli"])
    app = workspace.install(_manifest())
    workspace.add_channel("general", members=["dana", "eli", "noor"], topic="Everything")
    workspace.add_channel("alerts", members=["dana", "eli", app.bot_user_id])
    workspace.add_channel("secret", members=["eli"], is_private=True)
    return workspace


@pytest.fixture
async def server(workspace: Workspace) -> AsyncIterator[PracticeServer]:
    async with PracticeServer(workspace, retry_delays=(0.0, 0.0, 0.0)) as server:
        yield server


@pytest.fixture
async def client(server: PracticeServer) -> AsyncWebClient:
    (app,) = server.workspace.apps.values()
    return AsyncWebClient(token=app.bot_token, base_url=server.api_url)


@pytest.fixture
def bolt(client: AsyncWebClient) -> AsyncApp:
    return AsyncApp(client=client, token=client.token, signing_secret="unused")


@pytest.fixture
async def connected(
    bolt: AsyncApp, server: PracticeServer
) -> AsyncIterator[AsyncSocketModeHandler]:
    (app,) = server.workspace.apps.values()
    handler = AsyncSocketModeHandler(bolt, app.app_token, ping_interval=0.2)
    await handler.connect_async()  # type: ignore[no-untyped-call]
    await until(lambda: len(server.socket_mode.connections) == 1)
    yield handler
    await handler.close_async()  # type: ignore[no-untyped-call]


async def until(condition: Callable[[], object], seconds: float = 8.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


@pytest.fixture
def eventually() -> Callable[..., Awaitable[None]]:
    return until


@pytest.fixture(autouse=True)
def _quiet() -> None:
    logging.getLogger("slack_bolt").setLevel(logging.ERROR)


@pytest.fixture(scope="session")
def oracle() -> ModuleType:
    """Slack's own published types as a checker, where that is at hand."""
    path = Path(__file__).parents[3] / "shared" / "oracles" / "slack_oracle.py"
    if not path.is_file():
        pytest.skip("the checker of Slack's published types is not here")
    spec = importlib.util.spec_from_file_location("slack_oracle", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
