from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import uvicorn
from aiohttp import web
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.routing import Route

from bot.domain.messages import Button, Buttons, Message, Tone, note
from bot.domain.people import ChannelId
from bot.ports import ChatError
from bot.practice.server import PracticeServer
from bot.settings import SettingsError, SlackSection
from bot.slack.app import SlackAdapter
from bot.slack.manifest import PATH
from tests.slack.live import Live, WallClock, furnish, living, settings, until


async def test_a_missing_or_wrong_token_is_named() -> None:
    with pytest.raises(SettingsError, match=r"slack\.bot_token"):
        SlackAdapter(SlackSection(), WallClock())
    workspace, app, heard = furnish()
    async with PracticeServer(workspace) as server:
        good = settings(server, app)
        wrong = good.model_copy(update={"bot_token": SecretStr("xoxb-wrong")})
        with pytest.raises(SettingsError, match=r"slack\.bot_token.*invalid_auth"):
            await SlackAdapter(wrong, WallClock()).start()
        wrong = good.model_copy(update={"app_token": SecretStr("xapp-wrong")})
        adapter = SlackAdapter(wrong, WallClock())
        await adapter.start()
        with pytest.raises(SettingsError, match=r"slack\.app_token"):
            await adapter.listen(heard.handlers())
        await adapter.stop()


async def test_an_unreachable_slack_is_a_chat_error() -> None:
    nowhere = SlackSection(bot_token=SecretStr("x"), api_url="http://127.0.0.1:9/api/")
    adapter = SlackAdapter(nowhere, WallClock())
    with pytest.raises(ChatError, match="unreachable"):
        await adapter.start()
    with pytest.raises(ChatError, match="not_started"):
        await adapter.chat.post(ChannelId("C1"), note("x"), key="k")


async def test_a_dropped_connection_is_made_again() -> None:
    async with living() as live:
        await live.server.drop_connections()
        await until(lambda: not live.server.socket_mode.connections)
        await until(lambda: bool(live.server.socket_mode.connections), seconds=20)
        await live.dana.type("alerts", "/incident note back again")
        await until(lambda: bool(live.heard.commands))


async def test_after_a_restart_a_message_still_changes_its_kind(live: Live) -> None:
    ref = await live.adapter.chat.post(live.alerts, note("plain"), key="k")
    again = SlackAdapter(settings(live.server, live.app), WallClock())
    await again.start()
    await again.chat.update(ref, Message(summary="burns", tone=Tone.FIRING), key="k")
    message = live.posted()[0]
    assert not message.blocks
    assert message.attachments
    await again.stop()


async def test_a_press_on_the_home_page_draws_it_again(live: Live) -> None:
    button = Button(label="Go", interaction="alerts.acknowledge", value="1")

    async def home(person: Any) -> list[Message]:
        live.heard.homes.append(person)
        visits = note(f"visit {len(live.heard.homes)}")
        return [visits, Message(summary="b", parts=(Buttons((button,)),))]

    assert live.adapter._listeners
    object.__setattr__(live.adapter._listeners._handlers, "home", home)
    await live.dana.open_home()
    await until(lambda: live.dana.home is not None)
    assert live.dana.home
    await live.dana.press(live.dana.home, "alerts.acknowledge")
    await until(lambda: "visit 2" in str(live.dana.home and live.dana.home.blocks))
    assert live.heard.interactions[0].channel is None


async def test_http_mode_uses_the_same_listeners_and_checks_signatures() -> None:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{door.getsockname()[1]}"
        workspace, app, heard = furnish("http", url)
        async with PracticeServer(workspace, events_url=url + PATH) as server:
            adapter = SlackAdapter(settings(server, app, "http"), WallClock())
            await adapter.start()
            await adapter.listen(heard.handlers())
            async with serving(adapter, door):
                dana = workspace.person("dana")
                await dana.type("alerts", "/incident note over HTTP")
                await until(lambda: bool(heard.commands))
                await dana.say("alerts", "hello")
                await until(lambda: bool(heard.messages))
                async with aiohttp.ClientSession() as session:
                    forged = await session.post(url + PATH, json={"type": "event_callback"})
                assert forged.status == 401
            await adapter.stop()
    assert heard.commands[0].text == "over HTTP"


@asynccontextmanager
async def serving(adapter: SlackAdapter, door: socket.socket) -> AsyncIterator[None]:
    app = Starlette(routes=[Route(PATH, adapter.handle, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    task = asyncio.create_task(server.serve(sockets=[door]))
    await until(lambda: server.started)
    try:
        yield
    finally:
        server.should_exit = True
        await task


class Wobbly:
    """A Slack whose first posts are cut off, before or after they took effect."""

    def __init__(self, *, takes_effect: bool) -> None:
        self.takes_effect = takes_effect
        self.messages: list[dict[str, Any]] = []
        self.attempts = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        if method == "auth.test":
            return web.json_response({"ok": True, "user_id": "U1", "bot_id": "B1"})
        if method == "conversations.history":
            return web.json_response({"ok": True, "messages": self.messages})
        self.attempts += 1
        body = await request.json()
        if self.takes_effect or self.attempts > 1:
            ts = f"{self.attempts}.000100"
            self.messages.append({"ts": ts, "user": "U1", "metadata": body["metadata"]})
        if self.attempts == 1 and request.transport:
            request.transport.close()
        return web.json_response({"ok": True, "channel": "C1", "ts": self.messages[-1]["ts"]})


@pytest.mark.parametrize("takes_effect", (True, False))
async def test_a_post_that_was_cut_off_stands_exactly_once(*, takes_effect: bool) -> None:
    wobbly = Wobbly(takes_effect=takes_effect)
    app = web.Application()
    app.router.add_route("*", "/api/{method}", wobbly.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    api_url = f"http://127.0.0.1:{runner.addresses[0][1]}/api/"
    adapter = SlackAdapter(SlackSection(bot_token=SecretStr("x"), api_url=api_url), WallClock())
    await adapter.start()
    ref = await adapter.chat.post(ChannelId("C1"), note("once"), key="k")
    await adapter.stop()
    await runner.cleanup()
    assert len(wobbly.messages) == 1
    assert ref.id == wobbly.messages[0]["ts"]
