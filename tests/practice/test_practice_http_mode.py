"""The real slack_bolt, called by signed requests instead of over a web socket."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.practice import PracticeServer, Refusal, Workspace

Eventually = Callable[..., Awaitable[None]]


class Endpoint:
    """The app's own web server; `bolt` is set once the workspace has an address."""

    def __init__(self) -> None:
        self.bolt: AsyncApp | None = None
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        assert self.bolt is not None
        answer = await self.bolt.async_dispatch(await to_bolt_request(request))
        return await to_aiohttp_response(answer)


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    endpoint = Endpoint()
    application = web.Application()
    application.router.add_post("/slack/events", endpoint.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    endpoint.url = f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events"
    yield endpoint
    await runner.cleanup()


@pytest.fixture
async def server(workspace: Workspace, endpoint: Endpoint) -> AsyncIterator[PracticeServer]:
    (app,) = workspace.apps.values()
    server = PracticeServer(workspace, events_url=endpoint.url, retry_delays=(0.0,))
    async with server:
        client = AsyncWebClient(token=app.bot_token, base_url=server.api_url)
        endpoint.bolt = AsyncApp(client=client, signing_secret=app.signing_secret)
        yield server


async def test_commands_presses_and_events_arrive_signed(
    server: PracticeServer, endpoint: Endpoint, workspace: Workspace, eventually: Eventually
) -> None:
    bolt, seen = endpoint.bolt, list[str]()
    assert bolt is not None

    @bolt.command("/help-me")
    async def help_me(ack: Any, command: Any) -> None:
        await ack(f"about {command['text']}")

    @bolt.action("go")
    async def go(ack: Any, respond: Any) -> None:
        await ack()
        await respond("gone", replace_original=True)

    @bolt.event("message")
    async def heard(event: Any) -> None:
        seen.append(event["text"])

    dana = workspace.person("dana")
    await dana.type("general", "/help-me disks")
    assert [message.text for message in dana.sees("general")] == ["about disks"]
    go_button = {"type": "button", "action_id": "go", "text": {"type": "plain_text", "text": "Go"}}
    blocks = [{"type": "actions", "elements": [go_button]}]
    await bolt.client.chat_postMessage(channel="alerts", text="card", blocks=blocks)
    (message,) = workspace.messages("alerts")
    await dana.press(message, "Go")
    await eventually(lambda: message.text == "gone")
    await dana.say("alerts", "hello")
    await eventually(lambda: "hello" in seen)
    assert {envelope.type for envelope in workspace.envelopes} == {
        "slash_commands", "interactive", "events_api"}  # fmt: skip


async def test_an_app_with_another_secret_takes_nothing(
    server: PracticeServer, endpoint: Endpoint, workspace: Workspace, eventually: Eventually
) -> None:
    assert endpoint.bolt is not None
    client = endpoint.bolt.client
    endpoint.bolt = AsyncApp(client=client, signing_secret="another")
    with pytest.raises(Refusal, match="dispatch_failed"):
        await workspace.person("dana").type("general", "/help-me")
    await workspace.person("dana").say("alerts", "hello")
    events = workspace.envelopes
    await eventually(lambda: [e.retry_attempt for e in events if e.type == "events_api"] == [0, 1])


async def test_an_unsigned_request_is_refused_by_the_app(
    server: PracticeServer, endpoint: Endpoint
) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(endpoint.url, json={"type": "event_callback"}) as response,
    ):
        assert response.status == 401
