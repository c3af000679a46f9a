"""The page of the practice workspace, driven in headless Chromium."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

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
    Workspace,
)

playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
STRICT = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'"
)
Json = dict[str, Any]


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


MANIFEST: Json = {
    "display_information": {"name": "Helper", "description": "Helps"},
    "features": {
        "app_home": {"home_tab_enabled": True, "messages_tab_enabled": True},
        "bot_user": {"display_name": "Helper"},
        "slash_commands": [
            {"command": "/declare", "description": "Open the form", "usage_hint": "[title]"}
        ],
        "shortcuts": [
            {"name": "Keep this", "type": "message", "callback_id": "keep", "description": "Keep"}
        ],
    },
    "oauth_config": {"scopes": {"bot": ["chat:write", "commands", "reactions:write"]}},
    "settings": {
        "event_subscriptions": {"bot_events": ["app_home_opened"]},
        "interactivity": {"is_enabled": True},
        "socket_mode_enabled": True,
    },
}
FORM: Json = {
    "type": "modal",
    "callback_id": "form",
    "title": plain("Declare"),
    "submit": plain("Open"),
    "blocks": [
        {"type": "input", "block_id": "title", "label": plain("Title"),
         "element": {"type": "plain_text_input", "action_id": "v"}},
        {"type": "input", "block_id": "sev", "label": plain("Severity"),
         "element": {"type": "static_select", "action_id": "v",
                     "options": [{"text": plain("SEV1"), "value": "1"},
                                 {"text": plain("SEV2"), "value": "2"}]}},
        {"type": "input", "block_id": "who", "label": plain("Who"), "optional": True,
         "element": {"type": "multi_users_select", "action_id": "v"}},
    ],
}  # fmt: skip
CARD: Sequence[Json] = [
    {"type": "section", "text": {"type": "mrkdwn", "text": "*Errors* above 5 %"}},
    {"type": "actions", "block_id": "row", "elements": [
        {"type": "button", "action_id": "take", "style": "primary", "text": plain("Take it")},
        {"type": "button", "action_id": "undo", "style": "danger", "text": plain("Roll back"),
         "confirm": {"title": plain("Sure?"), "text": plain("This changes production."),
                     "confirm": plain("Do it"), "deny": plain("Cancel")}}]},
]  # fmt: skip
HOSTILE = (
    "<script>window.broken = 1</script> <img src=x onerror='window.broken = 2'> "
    "&lt;!channel&gt; &lt;https://evil.example|https://good.example&gt; "
    "<javascript:window.broken=3|click>"
)


class Shop:
    """Something to break, shown in a panel."""

    broken = False

    async def status(self) -> PanelStatus:
        tone, value = ("bad", "12 %") if self.broken else ("good", "0 %")
        fact = PanelFact("Errors", value, "bad" if tone == "bad" else "good")
        return PanelStatus([fact], "A small shop.", [PanelButton("break", "Break it", "danger")])

    async def press(self, button: str) -> str:
        self.broken = button == "break"
        return "The shop is broken."


class Helper:
    """A tiny app: a card with buttons, a form, a shortcut, a Home tab."""

    def __init__(self, client: AsyncWebClient) -> None:
        self.client = client
        self.forms: list[Json] = []
        self.pressed: list[str] = []
        self.bolt = AsyncApp(client=client, token=client.token, signing_secret="unused")
        self.bolt.command("/declare")(self.declare)
        self.bolt.action("take")(self.take)
        self.bolt.action("undo")(self.undo)
        self.bolt.view("form")(self.submitted)
        self.bolt.shortcut("keep")(self.keep)
        self.bolt.event("app_home_opened")(self.home)

    async def declare(self, ack: Any, body: Json) -> None:
        await ack()
        await self.client.views_open(trigger_id=body["trigger_id"], view=FORM)

    async def take(self, ack: Any, body: Json) -> None:
        await ack()
        self.pressed.append(body["user"]["id"])
        text = f"Taken by <@{body['user']['id']}>"
        channel, ts = body["channel"]["id"], body["message"]["ts"]
        section = {"type": "section", "text": {"type": "mrkdwn", "text": text}}
        await self.client.chat_update(channel=channel, ts=ts, text=text, blocks=[section])

    async def undo(self, ack: Any) -> None:
        await ack()
        self.pressed.append("undo")

    async def submitted(self, ack: Any, body: Json) -> None:
        values = body["view"]["state"]["values"]
        if values["title"]["v"]["value"] == "bad":
            await ack(response_action="errors", errors={"title": "Say more."})
            return
        self.forms.append(values)
        await ack()

    async def keep(self, ack: Any, body: Json) -> None:
        await ack()
        channel, ts = body["channel"]["id"], body["message"]["ts"]
        await self.client.reactions_add(channel=channel, timestamp=ts, name="pushpin")

    async def home(self, event: Json) -> None:
        blocks = [{"type": "header", "text": plain("Nothing waits for you")}]
        view = {"type": "home", "blocks": blocks}
        await self.client.views_publish(user_id=event["user"], view=view)


@pytest.fixture
def workspace() -> Workspace:
    workspace = Workspace(name="Example")
    workspace.add_person("dana", real_name="Dana Ito", title="On-call engineer")
    workspace.add_person("eli", real_name="Eli Brandt", title="Payments lead")
    app = workspace.install(MANIFEST)
    workspace.add_channel("alerts", members=["dana", "eli", app.bot_user_id], topic="Alerts")
    workspace.add_channel("general", members=["dana", "eli", app.bot_user_id])
    return workspace


@pytest.fixture
async def server(workspace: Workspace) -> AsyncIterator[PracticeServer]:
    shop = Shop()
    panel = Panel("shop", "Shop", shop.status, shop.press)
    async with PracticeServer(workspace, panels=[panel]) as server:
        yield server


@pytest.fixture
async def helper(server: PracticeServer) -> AsyncIterator[Helper]:
    (app,) = server.workspace.apps.values()
    helper = Helper(AsyncWebClient(token=app.bot_token, base_url=server.api_url))
    handler = AsyncSocketModeHandler(helper.bolt, app.app_token)
    await handler.connect_async()  # type: ignore[no-untyped-call]
    deadline = time.monotonic() + 8
    while not server.socket_mode.connections:
        assert time.monotonic() < deadline, "the app did not connect"
        await asyncio.sleep(0.01)
    yield helper
    await handler.close_async()  # type: ignore[no-untyped-call]


@pytest.fixture
async def page(server: PracticeServer) -> AsyncIterator[Any]:
    """A browser tab under a strict content policy; any script error fails the test."""
    faults: list[str] = []
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = await browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(8000)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
        await page.route(lambda url: url.startswith(server.url + "/?"), _strictly)
        yield page
        await browser.close()
    assert faults == []


async def _strictly(route: Any) -> None:
    response = await route.fetch()
    headers = {**response.headers, "content-security-policy": STRICT}
    await route.fulfill(response=response, headers=headers)


async def visit(page: Any, server: PracticeServer, query: str) -> None:
    await page.goto(f"{server.url}/?{query}")
    await page.get_by_test_id("composer").wait_for()


async def shown(locator: Any, text: str) -> None:
    await playwright.expect(locator).to_contain_text(text, timeout=8000)


async def test_a_message_is_seen_by_the_other_person_after_switching(
    page: Any, server: PracticeServer
) -> None:
    await visit(page, server, "as=dana&at=alerts")
    await page.get_by_test_id("composer").fill("I am *on it*, @eli")
    await page.get_by_test_id("send").click()
    await shown(page.locator(".message b"), "on it")
    await shown(page.get_by_test_id("person-switcher"), "On-call engineer")
    await page.locator("nav [data-channel-id]", has_text="general").click()

    await page.get_by_test_id("person-switcher").click()
    await page.get_by_role("option", name="Eli Brandt").click()

    await shown(page.get_by_test_id("person-switcher"), "Payments lead")
    await page.wait_for_url("**as=eli**")
    alerts = page.locator("nav [data-channel-id]", has_text="alerts")
    await playwright.expect(alerts).to_have_attribute("data-unread", "1")
    await alerts.click()
    await shown(page.locator(".message .mention-me"), "@Eli Brandt")


async def test_hostile_text_is_shown_and_does_nothing(
    page: Any, server: PracticeServer, helper: Helper
) -> None:
    await visit(page, server, "as=dana&at=alerts")
    alerts = server.workspace.channel("alerts").id
    section = {"type": "section", "text": {"type": "mrkdwn", "text": HOSTILE}}
    await helper.client.chat_postMessage(channel=alerts, text=HOSTILE)
    await helper.client.chat_postMessage(channel=alerts, text="x", blocks=[section])
    await server.workspace.person("eli").say(
        "alerts", "<script>window.broken = 4</script> &lt;b&gt;"
    )

    messages = page.locator(".message")
    await shown(messages.last, "<script>window.broken = 4</script> &lt;b&gt;")
    for message in (messages.nth(0), messages.nth(1)):
        await shown(message, "<script>window.broken = 1</script>")
        await shown(message, "<img src=x onerror='window.broken = 2'>")
        await shown(message, "<!channel>")
        assert await message.locator("script, img, .mention").count() == 0
    links = await page.locator(".message a").evaluate_all("all => all.map(a => a.href)")
    assert all(link.startswith("https://") for link in links)
    assert await page.evaluate("window.broken") is None


async def test_a_button_acts_as_the_chosen_person_and_the_card_changes_in_place(
    page: Any, server: PracticeServer, helper: Helper
) -> None:
    await visit(page, server, "as=eli&at=alerts")
    alerts = server.workspace.channel("alerts").id
    await helper.client.chat_postMessage(channel=alerts, text="Errors", blocks=CARD)

    await page.locator("[data-block-id=row][data-action-id=undo]").click()
    await page.get_by_test_id("confirm").get_by_role("button", name="Cancel").click()
    await page.locator("[data-block-id=row][data-action-id=take]").click()

    await shown(page.locator(".message"), "Taken by @Eli Brandt")
    assert await page.locator(".message").count() == 1
    assert helper.pressed == [server.workspace.person("eli").id]


async def test_a_form_checks_its_fields_and_sends_slacks_values(
    page: Any, server: PracticeServer, helper: Helper
) -> None:
    await visit(page, server, "as=dana&at=alerts")
    composer = page.get_by_test_id("composer")
    await composer.press_sequentially("/dec")
    await shown(page.locator(".suggestions"), "Open the form")
    await composer.press("Tab")
    await composer.press("Enter")
    modal, submit = page.get_by_test_id("modal"), page.get_by_test_id("modal-submit")

    await submit.click()
    await shown(modal.locator("[data-block-id=sev] .field-error"), "required field")
    await modal.locator("input[data-block-id=title]").fill("bad")
    await modal.locator("button[data-block-id=sev]").click()
    await page.get_by_role("option", name="SEV2").click()
    await submit.click()
    await shown(modal.locator("[data-block-id=title] .field-error"), "Say more.")
    await modal.locator("input[data-block-id=title]").fill("Checkout is down")
    await modal.locator("button[data-block-id=who]").click()
    await page.get_by_role("option", name="Eli Brandt").click()
    await page.keyboard.press("Escape")
    await submit.click()

    await playwright.expect(modal).to_have_count(0)
    (values,) = helper.forms
    assert values["title"]["v"] == {"type": "plain_text_input", "value": "Checkout is down"}
    assert values["sev"]["v"]["selected_option"]["value"] == "2"
    assert values["who"]["v"]["selected_users"] == [server.workspace.person("eli").id]


async def test_threads_reactions_and_message_shortcuts_work_from_the_hover_menu(
    page: Any, server: PracticeServer, helper: Helper
) -> None:
    await server.workspace.person("eli").say("alerts", "Deploy is out")
    await visit(page, server, "as=dana&at=alerts")
    message = page.locator("main .message").first
    await message.hover()
    await message.get_by_role("button", name="React with :eyes:").click()
    await shown(message.locator("[data-reaction=eyes][aria-pressed=true]"), "1")
    await message.hover()
    await message.locator(".toolbar").get_by_role("button", name="More actions").click()
    await page.get_by_role("menuitem", name="Keep this").click()
    await shown(message.locator("[data-reaction=pushpin]"), "1")

    await message.hover()
    await message.get_by_role("button", name="Reply in thread").click()
    await page.get_by_test_id("thread-composer").fill("Watching")
    await page.get_by_test_id("thread-composer").press("Enter")

    await shown(page.get_by_test_id("thread-pane"), "Watching")
    await shown(message.locator(".reply-bar"), "1 reply")
    assert await page.locator("main .message").count() == 1


async def test_the_panel_and_the_home_tab_show_what_they_are_given(
    page: Any, server: PracticeServer, helper: Helper
) -> None:
    await visit(page, server, "as=dana&at=alerts")
    panel = page.get_by_test_id("panel-shop")
    await shown(panel.locator(".tone-good"), "0 %")
    await panel.get_by_role("button", name="Break it").click()
    await shown(page.get_by_test_id("toast"), "The shop is broken.")
    await shown(panel.locator(".tone-bad"), "12 %")

    await page.get_by_test_id("app-home").click()

    await shown(page.locator(".home"), "Nothing waits for you")
