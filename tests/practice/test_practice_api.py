"""The Web API answers and refuses as Slack does, through the real client."""

from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.practice import PracticeServer, Workspace
from bot.practice.manifest import ManifestError

Json = dict[str, Any]


async def refused(call: Awaitable[Any]) -> Json:
    with pytest.raises(SlackApiError) as error:
        await call
    answer: Json = error.value.response.data
    return answer


async def test_a_message_is_posted_changed_read_and_deleted(
    client: AsyncWebClient, workspace: Workspace
) -> None:
    alerts = workspace.channel("alerts").id
    metadata = {"event_type": "card", "event_payload": {"id": "7"}}
    first = await client.chat_postMessage(channel="#alerts", text="a &amp; b", metadata=metadata)
    second = await client.chat_postMessage(
        channel=alerts, text="reply", thread_ts=first["ts"], reply_broadcast=True
    )
    assert float(second["ts"]) > float(first["ts"])
    assert first["channel"] == alerts
    await client.chat_update(channel=alerts, ts=first["ts"], text="changed")
    history = await client.conversations_history(channel=alerts, include_all_metadata=True)
    newest, oldest = history["messages"]
    assert newest["subtype"] == "thread_broadcast"
    assert oldest["text"] == "changed"
    assert oldest["metadata"] == metadata
    assert oldest["reply_count"] == 1
    assert "edited" in oldest
    replies = await client.conversations_replies(channel=alerts, ts=first["ts"])
    assert [m["ts"] for m in replies["messages"]] == [first["ts"], second["ts"]]
    link = await client.chat_getPermalink(channel=alerts, message_ts=second["ts"])
    assert f"thread_ts={first['ts']}" in link["permalink"]
    await client.chat_delete(channel=alerts, ts=first["ts"])
    answer = await refused(client.chat_update(channel=alerts, ts=first["ts"], text="x"))
    assert answer["error"] == "message_not_found"


async def test_posting_is_refused_where_slack_refuses_it(
    client: AsyncWebClient, workspace: Workspace
) -> None:
    alerts, general = workspace.channel("alerts").id, workspace.channel("general").id
    posts: list[tuple[Json, str]] = [
        ({"channel": alerts}, "no_text"),
        ({"channel": alerts, "text": "x" * 40_001}, "msg_too_long"),
        ({"channel": general, "text": "x"}, "not_in_channel"),
        ({"channel": "secret", "text": "x"}, "channel_not_found"),
        ({"channel": "C0NOWHERE", "text": "x"}, "channel_not_found"),
        ({"channel": alerts, "text": "x", "thread_ts": "1.000100"}, "thread_not_found"),
        ({"channel": alerts, "text": "x", "username": "Other"}, "missing_scope"),
        ({"channel": alerts, "blocks": [{"type": "card"}], "text": "x"}, "invalid_blocks"),
        (
            {"channel": alerts, "text": "x", "metadata": {"event_type": 1}},
            "invalid_metadata_schema",
        ),
    ]
    for arguments, error in posts:
        assert (await refused(client.api_call("chat.postMessage", json=arguments)))[
            "error"
        ] == error
    theirs = await workspace.person("dana").say("alerts", "mine")
    answer = await refused(client.chat_update(channel=alerts, ts=theirs.ts, text="x"))
    assert answer["error"] == "cant_update_message"
    answer = await refused(client.chat_delete(channel=alerts, ts=theirs.ts))
    assert answer["error"] == "cant_delete_message"
    noor = workspace.find_person("noor").id
    answer = await refused(client.chat_postEphemeral(channel=alerts, user=noor, text="x"))
    assert answer["error"] == "user_not_in_channel"


async def test_an_invalid_block_is_pointed_at(client: AsyncWebClient, workspace: Workspace) -> None:
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}]
    answer = await refused(client.chat_postMessage(channel="alerts", text="x", blocks=blocks))
    assert answer["response_metadata"]["messages"] == [
        "[ERROR] must be less than 3001 characters [json-pointer:/blocks/0/text/text]"
    ]


async def test_ephemeral_messages_have_one_reader_and_no_history(
    client: AsyncWebClient, workspace: Workspace
) -> None:
    alerts, dana = workspace.channel("alerts").id, workspace.person("dana")
    posted = await client.chat_postEphemeral(channel=alerts, user=dana.id, text="psst")
    assert [m.text for m in dana.sees("alerts")] == ["psst"]
    assert workspace.person("eli").sees("alerts") == []
    assert (await client.conversations_history(channel=alerts))["messages"] == []
    answer = await refused(client.chat_update(channel=alerts, ts=posted["message_ts"], text="x"))
    assert answer["error"] == "message_not_found"


async def test_a_channel_lives_from_creation_to_archive(
    client: AsyncWebClient, workspace: Workspace
) -> None:
    dana, noor = workspace.find_person("dana").id, workspace.find_person("noor").id
    created = (await client.conversations_create(name="inc-1"))["channel"]
    assert created["is_member"]
    for name, error in (("inc-1", "name_taken"), ("Bad Name", "invalid_name_specials"),
                        ("a.b", "invalid_name_specials"), ("x" * 81, "invalid_name_maxlength"),
                        ("", "invalid_name_required")):  # fmt: skip
        assert (await refused(client.conversations_create(name=name)))["error"] == error
    channel = created["id"]
    await client.conversations_invite(channel=channel, users=[dana, noor])
    answer = await refused(client.conversations_invite(channel=channel, users=dana))
    assert answer["error"] == "already_in_channel"
    answer = await refused(client.conversations_invite(channel=channel, users="U0NOBODY"))
    assert answer["errors"] == [{"ok": False, "user": "U0NOBODY", "error": "user_not_found"}]
    await client.conversations_setTopic(channel=channel, topic="Disk")
    await client.conversations_setPurpose(channel=channel, purpose="Fix it")
    await client.conversations_kick(channel=channel, user=noor)
    assert dana in (await client.conversations_members(channel=channel))["members"]
    renamed = await client.conversations_rename(channel=channel, name="inc-1-done")
    assert renamed["channel"]["name"] == "inc-1-done"
    info = (await client.conversations_info(channel=channel, include_num_members=True))["channel"]
    assert (info["topic"]["value"], info["purpose"]["value"]) == ("Disk", "Fix it")
    assert info["num_members"] == 2
    await client.conversations_archive(channel=channel)
    answer = await refused(client.chat_postMessage(channel=channel, text="x"))
    assert answer["error"] == "is_archived"
    await client.conversations_unarchive(channel=channel)
    subtypes = {message.subtype for message in workspace.messages(channel)}
    assert {"channel_join", "channel_topic", "channel_purpose", "channel_name"} <= subtypes


async def test_lists_come_in_pages(client: AsyncWebClient, workspace: Workspace) -> None:
    for number in range(5):
        await client.chat_postMessage(channel="alerts", text=str(number))
    channel, seen, cursor = workspace.channel("alerts").id, [], ""
    while True:
        page = await client.conversations_history(channel=channel, limit=2, cursor=cursor)
        seen += [message["text"] for message in page["messages"]]
        if not page["has_more"]:
            break
        cursor = page["response_metadata"]["next_cursor"]
    assert seen == ["4", "3", "2", "1", "0"]
    answer = await refused(client.conversations_history(channel=channel, cursor="?"))
    assert answer["error"] == "invalid_cursor"
    channels = (await client.conversations_list(types="public_channel,private_channel"))["channels"]
    assert [entry["name"] for entry in channels] == ["general", "alerts"]


async def test_people_are_found_by_id_and_by_email(
    client: AsyncWebClient, workspace: Workspace
) -> None:
    dana = workspace.find_person("dana")
    assert (await client.users_info(user=dana.id))["user"]["real_name"] == "Dana Ito"
    found = await client.users_lookupByEmail(email="dana@example.example")
    assert found["user"]["id"] == dana.id
    answer = await refused(client.users_lookupByEmail(email="x@example.org"))
    assert answer["error"] == "users_not_found"
    assert (await refused(client.users_info(user="U0NOBODY")))["error"] == "user_not_found"
    group = (await client.usergroups_list(include_users=True))["usergroups"][0]
    members = (await client.usergroups_users_list(usergroup=group["id"]))["users"]
    assert members == group["users"]
    assert len((await client.users_list())["members"]) == 4


async def test_marks_are_set_once_and_taken_off(
    client: AsyncWebClient, workspace: Workspace
) -> None:
    alerts = workspace.channel("alerts").id
    ts = (await client.chat_postMessage(channel=alerts, text="x"))["ts"]
    await client.reactions_add(channel=alerts, timestamp=ts, name="eyes")
    answer = await refused(client.reactions_add(channel=alerts, timestamp=ts, name="eyes"))
    assert answer["error"] == "already_reacted"
    got = await client.reactions_get(channel=alerts, timestamp=ts)
    assert got["message"]["reactions"][0]["count"] == 1
    await client.reactions_remove(channel=alerts, timestamp=ts, name="eyes")
    answer = await refused(client.reactions_remove(channel=alerts, timestamp=ts, name="eyes"))
    assert answer["error"] == "no_reaction"
    await client.pins_add(channel=alerts, timestamp=ts)
    answer = await refused(client.pins_add(channel=alerts, timestamp=ts))
    assert answer["error"] == "already_pinned"
    assert (await client.pins_list(channel=alerts))["items"][0]["message"]["ts"] == ts
    await client.pins_remove(channel=alerts, timestamp=ts)
    mark = await client.bookmarks_add(
        channel_id=alerts, title="Runbook", type="link", link="https://example.org"
    )
    bookmark_id = mark["bookmark"]["id"]
    await client.bookmarks_edit(channel_id=alerts, bookmark_id=bookmark_id, title="Book")
    listed = (await client.bookmarks_list(channel_id=alerts))["bookmarks"]
    assert [entry["title"] for entry in listed] == ["Book"]
    await client.bookmarks_remove(channel_id=alerts, bookmark_id=bookmark_id)
    answer = await refused(client.bookmarks_remove(channel_id=alerts, bookmark_id=bookmark_id))
    assert answer["error"] == "not_found"


async def test_a_file_is_uploaded_shared_and_given_out(
    client: AsyncWebClient, server: PracticeServer, workspace: Workspace
) -> None:
    answer = await client.files_upload_v2(
        channel=workspace.channel("alerts").id,
        content="a,b\n1,2\n",
        filename="numbers.csv",
        title="Numbers",
        initial_comment="Look",
    )
    (message,) = workspace.messages("alerts")
    assert (message.text, message.subtype) == ("Look", "file_share")
    file = answer["files"][0]
    assert file["title"] == "Numbers"
    headers = {"Authorization": f"Bearer {client.token}"}
    async with aiohttp.ClientSession() as session:
        async with session.get(file["url_private"], headers=headers) as response:
            assert await response.text() == "a,b\n1,2\n"
        async with session.get(file["url_private"]) as response:
            assert response.status == 403


async def test_a_missing_scope_is_named(
    server: PracticeServer, workspace: Workspace, manifest: Callable[..., Json]
) -> None:
    other = workspace.install(
        manifest(
            display_information={"name": "Small"},
            features={},
            oauth_config={"scopes": {"bot": ["chat:write"]}},
            settings={},
        )
    )
    client = AsyncWebClient(token=other.bot_token, base_url=server.api_url)
    answer = await refused(client.conversations_list())
    assert answer == {
        "ok": False,
        "error": "missing_scope",
        "needed": "channels:read",
        "provided": "chat:write",
    }
    answer = await refused(client.reactions_add(channel="C1", timestamp="1", name="x"))
    assert answer["needed"] == "reactions:write"


async def test_tokens_are_checked(server: PracticeServer, workspace: Workspace) -> None:
    (app,) = workspace.apps.values()
    for token, error in (("xoxb-wrong", "invalid_auth"), (app.app_token, "not_allowed_token_type")):
        client = AsyncWebClient(token=token, base_url=server.api_url)
        assert (await refused(client.auth_test()))["error"] == error
    client = AsyncWebClient(base_url=server.api_url)
    assert (await refused(client.auth_test()))["error"] == "not_authed"
    answer = await refused(client.apps_connections_open(app_token=app.bot_token))
    assert answer["error"] == "not_allowed_token_type"
    client = AsyncWebClient(token=app.bot_token, base_url=server.api_url)
    assert (await client.auth_test())["user_id"] == app.bot_user_id
    assert (await refused(client.api_call("chat.shout")))["error"] == "unknown_method"


async def test_arguments_come_as_json_form_or_query(
    server: PracticeServer, workspace: Workspace
) -> None:
    (app,) = workspace.apps.values()
    url, channel = server.api_url + "chat.postMessage", workspace.channel("alerts").id
    blocks = '[{"type": "divider"}]'
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {app.bot_token}"}) as http:
        for request in (
            {"json": {"channel": channel, "text": "x", "blocks": [{"type": "divider"}]}},
            {"data": {"channel": channel, "text": "x", "blocks": blocks}},
            {"params": {"channel": channel, "text": "x", "blocks": blocks}},
        ):
            async with http.post(url, **request) as response:
                assert (await response.json())["message"]["blocks"][0]["type"] == "divider"
        headers = {"Content-Type": "application/json"}
        async with http.post(url, data="{", headers=headers) as response:
            assert (await response.json())["error"] == "invalid_json"
        async with http.post(url, data="[]", headers=headers) as response:
            assert (await response.json())["error"] == "json_not_object"
    assert [call.arguments.get("blocks") for call in workspace.calls[:3]] == [
        [{"type": "divider"}]
    ] * 3


async def test_a_rate_limit_answers_429(client: AsyncWebClient, workspace: Workspace) -> None:
    workspace.rate_limit("chat.postMessage", 1.0)
    await client.chat_postMessage(channel="alerts", text="1")
    with pytest.raises(SlackApiError) as error:
        await client.chat_postMessage(channel="alerts", text="2")
    assert error.value.response.status_code == 429
    assert int(error.value.response.headers["Retry-After"]) >= 1


async def test_triggers_are_used_once_and_soon(server: PracticeServer) -> None:
    now = [1_700_000_000.0]
    workspace = server.workspace
    (app,) = workspace.apps.values()
    workspace.mint.clock = lambda: now[0]
    client = AsyncWebClient(token=app.bot_token, base_url=server.api_url)
    view = {"type": "modal", "title": {"type": "plain_text", "text": "T"}, "blocks": []}
    dana = workspace.find_person("dana").id
    trigger = workspace.grants.trigger(app, dana)
    bad = view | {"title": {"type": "plain_text", "text": "x" * 25}}
    answer = await refused(client.views_open(trigger_id=trigger, view=bad))
    assert answer["error"] == "invalid_arguments"
    opened = (await client.views_open(trigger_id=trigger, view=view))["view"]
    answer = await refused(client.views_open(trigger_id=trigger, view=view))
    assert answer["error"] == "exchanged_trigger_id"
    late = workspace.grants.trigger(app, dana)
    now[0] += 3.1
    answer = await refused(client.views_open(trigger_id=late, view=view))
    assert answer["error"] == "expired_trigger_id"
    answer = await refused(client.views_open(trigger_id="1.2.3", view=view))
    assert answer["error"] == "invalid_trigger_id"
    answer = await refused(client.views_update(view_id=opened["id"], hash="old", view=view))
    assert answer["error"] == "hash_conflict"
    await client.views_update(view_id=opened["id"], hash=opened["hash"], view=view)
    answer = await refused(client.views_update(view_id="V0", view=view))
    assert answer["error"] == "not_found"
    outside = workspace.grants.trigger(app, dana)
    assert (await refused(client.views_push(trigger_id=outside, view=view)))["error"] == "not_found"
    for _ in range(2):
        inside = workspace.grants.trigger(app, dana, view_id=opened["id"])
        await client.views_push(trigger_id=inside, view=view)
    inside = workspace.grants.trigger(app, dana, view_id=opened["id"])
    answer = await refused(client.views_push(trigger_id=inside, view=view))
    assert answer["error"] == "push_limit_reached"


async def test_a_home_is_published_per_person(client: AsyncWebClient, workspace: Workspace) -> None:
    dana, eli = workspace.person("dana"), workspace.person("eli")
    home = {"type": "home", "blocks": [{"type": "divider"}]}
    await client.views_publish(user_id=dana.id, view=home)
    assert dana.home is not None
    assert eli.home is None
    modal = {"type": "modal", "title": {"type": "plain_text", "text": "T"}, "blocks": []}
    answer = await refused(client.views_publish(user_id=dana.id, view=modal))
    assert answer["error"] == "invalid_arguments"


async def test_a_direct_message_is_opened_and_posted_to(
    client: AsyncWebClient, workspace: Workspace
) -> None:
    dana, eli = workspace.find_person("dana").id, workspace.find_person("eli").id
    opened = (await client.conversations_open(users=dana))["channel"]["id"]
    posted = await client.chat_postMessage(channel=dana, text="hello")
    assert posted["channel"] == opened
    assert (await client.conversations_open(users=dana))["already_open"]
    answer = await refused(client.conversations_open(users=[dana, eli]))
    assert answer["needed"] == "mpim:write"


@pytest.mark.parametrize(
    ("change", "message"),
    (
        ({"colour": 1}, "colour: not a section"),
        ({"display_information": {}}, "display_information.name: must be a text"),
        ({"oauth_config": {"scopes": {"bot": ["chat:shout"]}}}, "unknown scope chat:shout"),
        ({"oauth_config": {"scopes": {"bot": ["chat:write"]}}}, "scope commands is missing"),
        (
            {"settings": {"event_subscriptions": {"bot_events": ["message.mpim"]}}},
            "message.mpim needs the scope mpim:history",
        ),
        (
            {"features": {"slash_commands": [{"command": "/invite", "description": "x"}]}},
            "/invite is not a valid command name",
        ),
    ),
)
def test_a_manifest_slack_would_refuse_is_refused(
    change: Json, message: str, manifest: Callable[..., Json]
) -> None:
    with pytest.raises(ManifestError, match=message):
        Workspace().install(manifest(**change))


async def test_recorded_calls_are_what_slacks_types_describe(
    client: AsyncWebClient, workspace: Workspace, oracle: ModuleType
) -> None:
    alerts, dana = workspace.channel("alerts").id, workspace.find_person("dana").id
    divider: Json = {"type": "divider"}
    posted = await client.chat_postMessage(channel=alerts, text="x", blocks=[divider])
    await client.chat_update(channel=alerts, ts=posted["ts"], text="y", blocks=[divider])
    await client.chat_postEphemeral(channel=alerts, user=dana, text="z")
    await client.conversations_history(channel=alerts, limit=5, include_all_metadata=True)
    channel = (await client.conversations_create(name="inc-2", is_private=False))["channel"]["id"]
    await client.conversations_invite(channel=channel, users=[dana])
    await client.conversations_setTopic(channel=channel, topic="[x]")
    await client.conversations_list(types=["public_channel"], limit=10, exclude_archived=True)
    await client.reactions_add(channel=alerts, timestamp=posted["ts"], name="eyes")
    await client.bookmarks_add(channel_id=alerts, title="a", type="link", link="https://a.b")
    await client.views_publish(user_id=dana, view={"type": "home", "blocks": [divider]})
    await client.files_upload_v2(channel=alerts, content="x", filename="x.txt")
    for call in workspace.calls:
        assert oracle.check_call(call.method, call.arguments) == [], call
