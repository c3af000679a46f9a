"""What the page reads and sends, over HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.practice import (
    Panel,
    PanelButton,
    PanelFact,
    PanelStatus,
    PracticeServer,
    Refusal,
    Workspace,
)

Json = dict[str, Any]
Eventually = Callable[..., Awaitable[None]]
FORM: Json = {
    "type": "modal",
    "callback_id": "form",
    "title": {"type": "plain_text", "text": "Declare"},
    "submit": {"type": "plain_text", "text": "Go"},
    "blocks": [
        {"type": "input", "block_id": "title", "label": {"type": "plain_text", "text": "Title"},
         "element": {"type": "plain_text_input", "action_id": "value"}},
    ],
}  # fmt: skip
CARD: list[Json] = [
    {"type": "actions", "block_id": "row", "elements": [
        {"type": "button", "action_id": "go", "text": {"type": "plain_text", "text": "Go"}},
        {"type": "static_select", "action_id": "pick", "options": [
            {"text": {"type": "plain_text", "text": "One"}, "value": "1"}]}]},
]  # fmt: skip


class Page:
    """One open page: a person, their requests and the stream of changes."""

    def __init__(self, session: aiohttp.ClientSession, url: str, user: str) -> None:
        self.session, self.url, self.user = session, url, user
        self.events: list[Json] = []

    async def get(self, path: str) -> Json:
        params = {"as": self.user}
        async with self.session.get(f"{self.url}/practice/{path}", params=params) as response:
            assert response.status == 200, await response.text()
            answer: Json = await response.json()
            return answer

    async def post(self, path: str, **body: Any) -> Json:
        body = {"as": self.user, **body}
        async with self.session.post(f"{self.url}/practice/{path}", json=body) as response:
            assert response.status == 200, await response.text()
            answer: Json = await response.json()
            return answer

    async def listen(self) -> None:
        params = {"as": self.user}
        async with self.session.get(f"{self.url}/practice/events", params=params) as response:
            async for line in response.content:
                if line.startswith(b"data: "):
                    self.events.append(json.loads(line[6:]))
                elif line.startswith(b": connected"):
                    self.events.append({"type": "connected"})

    def of(self, kind: str) -> list[Json]:
        return [event for event in self.events if event["type"] == kind]


@pytest.fixture
async def open_page(
    server: PracticeServer, eventually: Eventually
) -> AsyncIterator[Callable[[str], Awaitable[Page]]]:
    tasks = []
    async with aiohttp.ClientSession() as session:

        async def opener(name: str) -> Page:
            page = Page(session, server.url, server.workspace.find_person(name).id)
            tasks.append(asyncio.create_task(page.listen()))
            await eventually(lambda: page.of("connected"))
            return page

        yield opener
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


Opener = Callable[[str], Awaitable[Page]]


async def test_the_state_shows_only_what_the_person_may_see(open_page: Opener) -> None:
    dana, eli = await open_page("dana"), await open_page("eli")
    state = await dana.get("state")
    assert state["team"] == {"name": "Example"}
    assert state["me"] == dana.user
    assert [channel["name"] for channel in state["channels"]] == ["general", "alerts"]
    assert "secret" in [c["name"] for c in (await eli.get("state"))["channels"]]
    assert {"command": "/help-me", "description": "Ask for help", "usage_hint": "[topic]"} in state[
        "commands"
    ]
    assert {shortcut["type"] for shortcut in state["shortcuts"]} == {"global", "message"}
    assert state["app"]["name"] == "Helper"
    helper = next(person for person in state["people"] if person["is_bot"])
    assert helper["id"] == state["app"]["bot_user_id"]


async def test_a_message_reaches_everybody_and_counts_as_unread(
    open_page: Opener, workspace: Workspace, eventually: Eventually
) -> None:
    dana, eli = await open_page("dana"), await open_page("eli")
    channel = workspace.channel("general").id
    assert await dana.post("messages", channel=channel, text="hello @eli") == {"ok": True}
    await eventually(lambda: eli.of("message") and eli.of("channel"))
    message = eli.of("message")[0]["message"]
    assert message["text"] == f"hello <@{eli.user}>"
    assert message["username"] == "Dana Ito"
    assert eli.of("channel")[0]["channel"]["unread"] == 1
    assert dana.of("channel")[0]["channel"]["unread"] == 0
    await eli.post(f"channels/{channel}/read")
    assert (await eli.get(f"channels/{channel}"))["channel"]["unread"] == 0
    await eli.post("messages", channel=channel, text="in here", thread_ts=message["ts"])
    shown = await dana.get(f"channels/{channel}")
    assert [m["text"] for m in shown["messages"]] == [message["text"]]
    assert shown["messages"][0]["reply_count"] == 1
    thread = await dana.get(f"channels/{channel}/threads/{message['ts']}")
    assert [reply["text"] for reply in thread["replies"]] == ["in here"]
    await dana.post("reactions", channel=channel, ts=message["ts"], name="eyes")
    again = await dana.post("reactions", channel=channel, ts=message["ts"], name="eyes")
    assert again == {"ok": False, "error": "You have reacted with that already."}
    await dana.post("reactions", channel=channel, ts=message["ts"], name="eyes", remove=True)
    await dana.post("pins", channel=channel, ts=message["ts"])
    await eventually(lambda: eli.of("pins"))
    assert eli.of("pins")[0]["pins"][0]["pinned"] is True


async def test_a_private_message_stays_private(
    open_page: Opener, workspace: Workspace, eventually: Eventually
) -> None:
    dana, eli = await open_page("dana"), await open_page("eli")
    secret, general = workspace.channel("secret").id, workspace.channel("general").id
    await eli.post("messages", channel=secret, text="shh")
    await eli.post("messages", channel=general, text="aloud")
    await eventually(lambda: dana.of("message"))
    assert [event["message"]["text"] for event in dana.of("message")] == ["aloud"]
    refused = await dana.post("messages", channel=secret, text="let me in")
    assert refused == {"ok": False, "error": "There is no such channel."}


async def test_cards_and_forms_are_used_from_the_page(  # noqa: PLR0917 fixtures are positional
    open_page: Opener,
    bolt: AsyncApp,
    connected: AsyncSocketModeHandler,
    client: AsyncWebClient,
    workspace: Workspace,
    eventually: Eventually,
) -> None:
    @bolt.action("go")
    async def go(ack: Any, body: Any, client: Any) -> None:
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=FORM)

    chosen: list[Json] = []

    @bolt.action("pick")
    async def pick(ack: Any, action: Any) -> None:
        chosen.append(action)
        await ack()

    @bolt.view("form")
    async def form(ack: Any, view: Any) -> None:
        if view["state"]["values"]["title"]["value"]["value"] == "bad":
            await ack(response_action="errors", errors={"title": "No."})
        else:
            await ack()

    dana, eli = await open_page("dana"), await open_page("eli")
    await client.chat_postMessage(channel="alerts", text="card", blocks=CARD)
    await eventually(lambda: dana.of("message"))
    message = dana.of("message")[0]["message"]
    container = {"type": "message", "channel": message["channel"], "ts": message["ts"]}
    press = {"block_id": "row", "action_id": "go", "type": "button"}
    assert (await dana.post("actions", container=container, action=press))["ok"]
    option = {"selected_option": {"value": "1"}}
    choice = {"block_id": "row", "action_id": "pick", "type": "static_select", **option}
    assert (await dana.post("actions", container=container, action=choice))["ok"]
    assert chosen[0]["selected_option"]["text"]["text"] == "One"
    await eventually(lambda: dana.of("view"))
    opened = dana.of("view")[0]
    assert opened["op"] == "open"
    assert eli.of("view") == []
    path = f"views/{opened['view']['id']}/submit"

    def typed(text: str | None) -> Json:
        entry = {"type": "plain_text_input", "value": text}
        return {"values": {"title": {"value": entry}}}

    answer = await dana.post(path, state=typed(None))
    assert answer == {"ok": False, "errors": {"title": "Please complete this required field."}}
    answer = await dana.post(path, state=typed("bad"))
    assert answer == {"ok": False, "errors": {"title": "No."}}
    assert await dana.post(path, state=typed("good")) == {
        "ok": True,
        "action": "close",
        "view": None,
    }
    assert (await dana.post(path, state=typed("good")))["error"].startswith("That window")
    gone = await dana.post("actions", container=container, action={**press, "action_id": "x"})
    assert gone == {"ok": False, "error": "That button or field is no longer there."}


async def test_channels_are_made_joined_and_left(open_page: Opener, workspace: Workspace) -> None:
    dana, noor = await open_page("dana"), await open_page("noor")
    made = await dana.post("channels", name="war-room", is_private=False)
    channel = made["channel"]["id"]
    again = await dana.post("channels", name="war-room")
    assert again["error"] == "That name is already taken by a channel."
    assert (await noor.post(f"channels/{channel}/join"))["ok"]
    assert (await noor.post(f"channels/{channel}/leave"))["ok"]
    assert (await dana.post(f"channels/{channel}/invite", user=noor.user))["ok"]
    helper = workspace.find_person("helper").id
    direct = await dana.post("im", user=helper)
    assert direct["channel"]["im_user"] == helper
    assert (await dana.post("home")) == {"ok": True, "view": None}


async def test_panels_are_shown_and_pressed(workspace: Workspace) -> None:
    pressed: list[str] = []

    async def status() -> PanelStatus:
        facts = [PanelFact("Workers", "3 of 3", "good")]
        return PanelStatus(facts, "All is well.", [PanelButton("break", "Break it", "danger")])

    async def press(button: str) -> str:
        if button != "break":
            raise Refusal("There is no such button.")
        pressed.append(button)
        return "It is broken."

    panel = Panel("checkout", "Checkout", status, press)
    async with (
        PracticeServer(workspace, panels=[panel]) as server,
        aiohttp.ClientSession() as session,
    ):
        page = Page(session, server.url, workspace.find_person("dana").id)
        assert (await page.get("state"))["panels"] == [{"id": "checkout", "title": "Checkout"}]
        shown = await page.get("panels/checkout")
        assert shown["facts"] == [{"label": "Workers", "value": "3 of 3", "tone": "good"}]
        answer = await page.post("panels/checkout/press", button="break")
        assert answer == {"ok": True, "text": "It is broken."}
        assert (await page.post("panels/checkout/press", button="x"))["ok"] is False
        assert pressed == ["break"]


async def test_bad_requests_get_a_reason_and_strangers_nothing(server: PracticeServer) -> None:
    url, dana = server.url, server.workspace.find_person("dana").id
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{url}/practice/state") as r:
            assert (await r.json())["me"] == dana
        for body, reason in (
            (b"{", "not JSON"),
            (b"[]", "JSON object"),
            (b"{}", "Choose a person"),
            (json.dumps({"as": dana, "channel": 1, "text": "x"}).encode(), "channel: must be"),
            (json.dumps({"as": dana, "channel": "C1", "text": "x"}).encode(), "no such channel"),
        ):
            headers = {"Content-Type": "application/json"}
            async with session.post(f"{url}/practice/messages", data=body, headers=headers) as r:
                assert reason in (await r.json())["error"]
        headers = {"Origin": "http://elsewhere.example"}
        async with session.post(f"{url}/practice/home", json={"as": dana}, headers=headers) as r:
            assert r.status == 403
        async with session.get(f"{url}/practice/state", params={"as": "U0"}) as r:
            assert r.status == 400
        async with session.get(f"{url}/assets/%2e%2e/server.py") as r:
            assert r.status == 404
        async with session.get(f"{url}/practice/panels/none") as r:
            assert r.status == 404


async def test_the_page_and_its_files_are_served(server: PracticeServer) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.get(server.url + "/") as response:
            assert response.status == 200
            assert "Example" in await response.text()
        async with session.get(server.url + "/assets/favicon.svg") as response:
            assert response.content_type == "image/svg+xml"
        async with session.get(server.url + "/assets/index.html.j2") as response:
            assert response.status == 404
