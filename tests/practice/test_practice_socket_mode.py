"""The real slack_bolt lives in the workspace over Socket Mode."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.practice import PracticeServer, Refusal, Workspace

Eventually = Callable[..., Awaitable[None]]
BUTTONS: list[dict[str, Any]] = [
    {"type": "section", "block_id": "say", "text": {"type": "mrkdwn", "text": "*Disk* is full"}},
    {
        "type": "actions",
        "block_id": "row",
        "elements": [
            {
                "type": "button",
                "action_id": "ack",
                "value": "7",
                "text": {"type": "plain_text", "text": "Acknowledge"},
            },
            {
                "type": "static_select",
                "action_id": "pick",
                "placeholder": {"type": "plain_text", "text": "For how long"},
                "options": [
                    {"text": {"type": "plain_text", "text": "An hour"}, "value": "1h"},
                    {"text": {"type": "plain_text", "text": "A day"}, "value": "1d"},
                ],
            },
        ],
    },
]
MODAL: dict[str, Any] = {
    "type": "modal",
    "callback_id": "form",
    "private_metadata": "m",
    "title": {"type": "plain_text", "text": "Declare"},
    "submit": {"type": "plain_text", "text": "Go"},
    "notify_on_close": True,
    "blocks": [
        {
            "type": "input",
            "block_id": "title",
            "label": {"type": "plain_text", "text": "Title"},
            "element": {"type": "plain_text_input", "action_id": "value", "initial_value": "Disk"},
        },
        {
            "type": "input",
            "block_id": "sev",
            "optional": True,
            "label": {"type": "plain_text", "text": "Severity"},
            "element": {
                "type": "static_select",
                "action_id": "value",
                "options": [{"text": {"type": "plain_text", "text": "SEV 1"}, "value": "1"}],
            },
        },
        {
            "type": "input",
            "block_id": "who",
            "optional": True,
            "label": {"type": "plain_text", "text": "Who"},
            "element": {"type": "multi_users_select", "action_id": "value"},
        },
    ],
}


async def test_a_command_is_acknowledged_with_an_answer_only_its_author_sees(
    bolt: AsyncApp, connected: AsyncSocketModeHandler, workspace: Workspace
) -> None:
    seen: list[Any] = []

    @bolt.command("/help-me")
    async def help_me(ack: Any, command: Any) -> None:
        seen.append(command)
        await ack("Here is *help*")

    dana = workspace.person("dana")
    await dana.type("general", "/help-me with a < b")
    (answer,) = dana.sees("general")
    assert answer.text == "Here is *help*"
    assert workspace.person("eli").sees("general") == []
    assert seen[0]["text"] == "with a &lt; b"
    assert seen[0]["channel_name"] == "general"


async def test_mentions_in_an_escaped_command_carry_ids(
    bolt: AsyncApp, connected: AsyncSocketModeHandler, workspace: Workspace
) -> None:
    seen: list[str] = []

    @bolt.command("/escaped")
    async def escaped(ack: Any, command: Any) -> None:
        seen.append(command["text"])
        await ack()

    await workspace.person("dana").type("alerts", "/escaped @eli in #general")
    eli, general = workspace.find_person("eli"), workspace.channel("general")
    assert seen == [f"<@{eli.id}|eli> in <#{general.id}|general>"]


async def test_an_unknown_command_is_refused_in_slacks_words(workspace: Workspace) -> None:
    with pytest.raises(Refusal, match="/foo is not a valid command"):
        await workspace.person("dana").type("general", "/foo bar")


async def test_a_press_updates_the_message(
    bolt: AsyncApp,
    connected: AsyncSocketModeHandler,
    client: AsyncWebClient,
    workspace: Workspace,
    eventually: Eventually,
) -> None:
    bodies: list[Any] = []

    @bolt.action("ack")
    async def acknowledged(ack: Any, body: Any, client: Any) -> None:
        await ack()
        bodies.append(body)
        await client.chat_update(
            channel=body["channel"]["id"],
            ts=body["message"]["ts"],
            text="Taken",
            blocks=[BUTTONS[0]],
        )

    await client.chat_postMessage(
        channel=workspace.channel("alerts").id, text="Disk", blocks=BUTTONS
    )
    (message,) = workspace.messages("alerts")
    await workspace.person("dana").press(message, "Acknowledge")
    await eventually(lambda: message.text == "Taken")
    body = bodies[0]
    assert body["actions"][0]["value"] == "7"
    assert body["container"]["is_ephemeral"] is False
    assert body["state"]["values"]["row"]["pick"]["selected_option"] is None
    assert len(message.blocks or ()) == 1
    with pytest.raises(Refusal, match="no longer there"):
        await workspace.person("dana").press(message, "Acknowledge")


async def test_a_choice_arrives_with_the_option_offered(
    bolt: AsyncApp,
    connected: AsyncSocketModeHandler,
    client: AsyncWebClient,
    workspace: Workspace,
) -> None:
    chosen: list[Any] = []

    @bolt.action("pick")
    async def picked(ack: Any, action: Any, body: Any) -> None:
        chosen.append((action["selected_option"], body["state"]["values"]["row"]["pick"]))
        await ack()

    channel = workspace.channel("alerts").id
    await client.chat_postMessage(channel=channel, text="Disk", blocks=BUTTONS)
    (message,) = workspace.messages("alerts")
    await workspace.person("eli").press(message, "pick", choice="A day")
    assert chosen[0][0]["value"] == "1d"
    assert chosen[0][1]["selected_option"]["value"] == "1d"
    with pytest.raises(Refusal, match="no option"):
        await workspace.person("eli").press(message, "pick", choice="A year")


async def test_a_form_is_opened_refused_corrected_and_closed(
    bolt: AsyncApp, connected: AsyncSocketModeHandler, workspace: Workspace, eventually: Eventually
) -> None:
    values: list[Any] = []

    @bolt.shortcut("declare")
    async def declare(ack: Any, body: Any, client: Any) -> None:
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=MODAL)

    @bolt.view("form")
    async def submitted(ack: Any, view: Any) -> None:
        values.append(view["state"]["values"])
        if view["state"]["values"]["title"]["value"]["value"] == "bad":
            await ack(response_action="errors", errors={"title": "Say it better"})
            return
        await ack()

    dana = workspace.person("dana")
    await dana.shortcut("declare")
    await eventually(lambda: dana.modal)
    (view,) = workspace.modals[dana.id]
    assert view.values["title"]["value"]["value"] == "Disk"

    assert (await dana.submit({"title": ""})).errors["title"].startswith("Please complete")
    assert values == []
    assert (await dana.submit({"title": "bad"})).errors == {"title": "Say it better"}
    outcome = await dana.submit({"title": "good", "sev": "SEV 1", "who": ["eli"]})
    assert outcome.action == "close"
    assert dana.modal is None
    assert values[-1]["who"]["value"]["selected_users"] == [workspace.find_person("eli").id]
    assert values[-1]["sev"]["value"]["selected_option"]["value"] == "1"


async def test_forms_stack_update_and_clear(
    bolt: AsyncApp, connected: AsyncSocketModeHandler, workspace: Workspace, eventually: Eventually
) -> None:
    answers = ["push", "update", "push", "clear"]
    closed: list[str] = []

    @bolt.shortcut("declare")
    async def declare(ack: Any, body: Any, client: Any) -> None:
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=MODAL)

    @bolt.view("form")
    async def submitted(ack: Any) -> None:
        action = answers.pop(0)
        if action == "clear":
            await ack(response_action="clear")
        else:
            await ack(response_action=action, view=MODAL)

    @bolt.view_closed("form")
    async def dismissed(ack: Any, view: Any) -> None:
        closed.append(view["id"])
        await ack()

    dana = workspace.person("dana")
    await dana.shortcut("declare")
    await eventually(lambda: dana.modal)
    first = dana.modal
    assert first is not None
    assert (await dana.submit({})).action == "push"
    second = dana.modal
    assert second is not None
    assert second.previous_view_id == first.id == second.root_view_id
    assert (await dana.submit({})).action == "update"
    assert await dana.close() is first
    assert closed == [second.id]
    await dana.submit({})
    assert (await dana.submit({})).action == "clear"
    assert dana.modal is None


async def test_a_message_shortcut_carries_its_message(
    bolt: AsyncApp, connected: AsyncSocketModeHandler, workspace: Workspace
) -> None:
    seen: list[Any] = []

    @bolt.shortcut("note")
    async def note(ack: Any, body: Any, respond: Any) -> None:
        await ack()
        seen.append(body)
        await respond("Noted.")

    dana = workspace.person("dana")
    message = await dana.say("alerts", "remember this")
    await dana.shortcut("note", message=message)
    assert seen[0]["message"]["text"] == "remember this"
    with pytest.raises(Refusal, match="needs a message"):
        await dana.shortcut("note")


async def test_events_tell_what_people_do(
    bolt: AsyncApp,
    connected: AsyncSocketModeHandler,
    client: AsyncWebClient,
    workspace: Workspace,
    eventually: Eventually,
) -> None:
    seen: list[Any] = []

    async def keep(event: Any) -> None:
        seen.append(event)

    for name in ("message", "app_mention", "reaction_added", "member_joined_channel",
                 "app_home_opened", "pin_added", "channel_created"):  # fmt: skip
        bolt.event(name)(keep)
    (app,) = workspace.apps.values()
    dana = workspace.person("dana")
    message = await dana.say("alerts", "@helper look at <this> https://example.org/a")
    await dana.react(message, "pushpin")
    await dana.pin(message)
    await dana.say("alerts", "in a thread", thread_ts=message.ts)
    await dana.open_home()
    await dana.say("general", "not the app's business")
    await dana.invite("general", "helper")
    await dana.create_channel("new-one")
    await eventually(
        lambda: {"channel_created", "member_joined_channel"} <= {e["type"] for e in seen}
    )
    await eventually(lambda: len(seen) >= 8)
    by_type = {event["type"]: event for event in seen}
    texts = [event["text"] for event in seen if event["type"] == "message"]
    assert f"<@{app.bot_user_id}> look at &lt;this&gt; <https://example.org/a>" in texts
    assert "not the app's business" not in texts
    assert by_type["reaction_added"]["item"]["ts"] == message.ts
    assert by_type["app_home_opened"]["tab"] == "home"
    assert by_type["member_joined_channel"]["user"] == app.bot_user_id
    replies = [e for e in seen if e.get("thread_ts")]
    assert replies[0]["parent_user_id"] == dana.id
    assert sum(event["type"] == "app_mention" for event in seen) == 1


async def test_a_response_url_replaces_deletes_and_wears_out(
    bolt: AsyncApp, connected: AsyncSocketModeHandler, workspace: Workspace
) -> None:
    statuses: list[int] = []

    @bolt.command("/help-me")
    async def help_me(ack: Any) -> None:
        await ack(text="Pick", blocks=BUTTONS)

    done = asyncio.Event()

    @bolt.action("ack")
    async def acknowledged(ack: Any, respond: Any, body: Any) -> None:
        await ack()
        assert body["container"]["is_ephemeral"] is True
        assert "message" not in body
        for answer in (
            {"text": "Replaced", "replace_original": True},
            {"text": "For all", "response_type": "in_channel", "replace_original": False},
            {"text": "Just you", "response_type": "ephemeral", "replace_original": False},
            {"delete_original": True},
            {"text": "Fifth"},
            {"text": "Sixth"},
        ):
            statuses.append((await respond(**answer)).status_code)
        done.set()

    dana = workspace.person("dana")
    await dana.type("alerts", "/help-me")
    (card,) = dana.sees("alerts")
    await dana.press(card, "ack")
    await asyncio.wait_for(done.wait(), 5)
    assert statuses == [200, 200, 200, 200, 200, 404]
    assert [m.text for m in dana.sees("alerts")] == ["For all", "Just you", "Fifth"]
    assert [m.text for m in workspace.person("eli").sees("alerts")] == ["For all"]
    assert [call.response["ok"] for call in workspace.calls if call.method == "response_url"][
        -1
    ] is False


async def test_the_app_reconnects_after_being_asked_to_and_after_being_cut_off(
    bolt: AsyncApp,
    connected: AsyncSocketModeHandler,
    server: PracticeServer,
    workspace: Workspace,
    eventually: Eventually,
) -> None:
    @bolt.command("/help-me")
    async def help_me(ack: Any) -> None:
        await ack("Still here")

    dana = workspace.person("dana")
    first = server.socket_mode.connections[0]
    await server.ask_to_reconnect()
    await eventually(
        lambda: server.socket_mode.connections and first not in server.socket_mode.connections
    )
    await dana.type("general", "/help-me")
    second = server.socket_mode.connections[0]
    await server.drop_connections()
    await eventually(
        lambda: server.socket_mode.connections and second not in server.socket_mode.connections
    )
    await dana.type("general", "/help-me")
    assert [message.text for message in dana.sees("general")] == ["Still here"] * 2


async def test_each_envelope_goes_to_one_of_several_connections(
    bolt: AsyncApp,
    connected: AsyncSocketModeHandler,
    server: PracticeServer,
    workspace: Workspace,
    eventually: Eventually,
) -> None:
    seen: list[str] = []

    @bolt.event("message")
    async def heard(event: Any) -> None:
        seen.append(event["text"])

    (app,) = workspace.apps.values()
    other = AsyncSocketModeHandler(bolt, app.app_token)
    await other.connect_async()  # type: ignore[no-untyped-call]
    await eventually(lambda: len(server.socket_mode.connections) == 2)
    for number in range(4):
        await workspace.person("dana").say("alerts", str(number))
    await eventually(lambda: len(seen) >= 4)
    assert sorted(seen) == ["0", "1", "2", "3"]
    await other.close_async()  # type: ignore[no-untyped-call]


async def test_envelopes_can_be_repeated(
    bolt: AsyncApp,
    connected: AsyncSocketModeHandler,
    server: PracticeServer,
    workspace: Workspace,
    eventually: Eventually,
) -> None:
    seen: list[str] = []

    @bolt.command("/help-me")
    async def help_me(ack: Any) -> None:
        seen.append("command")
        await ack()

    dana = workspace.person("dana")
    workspace.repeat = 2
    await dana.type("general", "/help-me")
    await eventually(lambda: len(seen) == 2)
    await server.repeat_last_envelope()
    await eventually(lambda: len(seen) == 3)
    (envelope,) = workspace.envelopes
    assert envelope.acked_at is not None
    assert envelope.type == "slash_commands"


async def test_without_an_app_a_command_fails_and_an_event_is_lost(
    server: PracticeServer, workspace: Workspace
) -> None:
    dana = workspace.person("dana")
    with pytest.raises(Refusal, match='/help-me failed with the error "dispatch_failed"'):
        await dana.type("general", "/help-me")
    await dana.say("alerts", "nobody hears")
    assert workspace.envelopes == []


async def test_an_unanswered_event_is_sent_again_under_the_same_event_id(
    bolt: AsyncApp,
    connected: AsyncSocketModeHandler,
    server: PracticeServer,
    workspace: Workspace,
    eventually: Eventually,
) -> None:
    server.socket_mode.acknowledge_seconds = 0.05

    @bolt.event("message")
    async def slow(event: Any) -> None:
        return

    @bolt.middleware
    async def stuck(next: Any) -> None:
        await asyncio.sleep(30)

    await workspace.person("dana").say("alerts", "hello?")
    await eventually(lambda: len(workspace.envelopes) == 4)
    attempts = [(e.retry_attempt, e.retry_reason) for e in workspace.envelopes]
    assert attempts == [(0, ""), (1, "timeout"), (2, "timeout"), (3, "timeout")]
    assert len({e.payload["event_id"] for e in workspace.envelopes}) == 1
    with pytest.raises(Refusal, match="operation_timeout"):
        await workspace.person("dana").type("general", "/help-me")


async def test_changes_and_departures_are_told_too(
    bolt: AsyncApp,
    connected: AsyncSocketModeHandler,
    workspace: Workspace,
    eventually: Eventually,
) -> None:
    seen: list[Any] = []

    @bolt.event("message")
    async def heard(event: Any) -> None:
        seen.append(event)

    dana = workspace.person("dana")
    message = await dana.say("alerts", "befor")
    await dana.edit(message, "before")
    await dana.delete(message)
    await workspace.person("eli").leave("alerts")
    await eventually(lambda: len(seen) == 4)
    said, changed, deleted, left = seen
    assert said["channel_type"] == "channel"
    assert changed["subtype"] == "message_changed"
    assert changed["previous_message"]["text"] == "befor"
    assert changed["message"]["text"] == "before"
    assert deleted["subtype"] == "message_deleted"
    assert deleted["deleted_ts"] == message.ts
    assert left["subtype"] == "channel_leave"


async def test_slacks_own_commands_work(server: PracticeServer, workspace: Workspace) -> None:
    dana = workspace.person("dana")
    await dana.type("general", "/topic Quiet today")
    assert workspace.channel("general").topic.value == "Quiet today"
    await dana.type("general", "/invite @helper")
    assert workspace.find_person("helper").id in workspace.channel("general").members
    await dana.type("general", "/me waves")
    await dana.type("general", "/leave")
    assert dana.id not in workspace.channel("general").members
    with pytest.raises(Refusal, match="not in this channel"):
        await dana.type("general", "/me waves again")
    with pytest.raises(Refusal, match="not supported in threads"):
        await dana.type("general", "/help-me", thread_ts="1.000100")
