"""Who people are to the Web API: guests, strangers, who left, their groups and addresses."""

from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.practice import PracticeServer, Refusal, Workspace
from bot.practice.envelopes import Doing, global_shortcut

Json = dict[str, Any]


async def refused(call: Awaitable[Any]) -> Json:
    with pytest.raises(SlackApiError) as error:
        await call
    answer: Json = error.value.response.data
    return answer


async def test_a_guest_is_told_by_two_flags_and_sees_only_their_channels(
    client: AsyncWebClient, workspace: Workspace
) -> None:
    gus = workspace.add_guest("gus", real_name="Gus Moreau")
    user = (await client.users_info(user=gus.id))["user"]
    assert (user["is_restricted"], user["is_ultra_restricted"]) == (True, False)
    assert "is_stranger" not in user
    dana = (await client.users_info(user=workspace.find_person("dana").id))["user"]
    assert (dana["is_restricted"], dana["is_ultra_restricted"]) == (False, False)
    assert not workspace.may_see(gus.id, workspace.channel("general"))
    with pytest.raises(Refusal, match="no such channel"):
        await workspace.person("gus").join("general")
    await workspace.person("dana").invite("alerts", "gus")
    assert workspace.may_see(gus.id, workspace.channel("alerts"))


async def test_somebody_of_another_workspace_is_a_stranger_until_a_channel_is_shared(
    client: AsyncWebClient, workspace: Workspace
) -> None:
    vera = workspace.add_stranger("vera", workspace="Northpay")
    user = (await client.users_info(user=vera.id))["user"]
    assert user["is_stranger"] is True
    assert user["team_id"] == user["profile"]["team"] == vera.team != workspace.id
    assert "email" not in user["profile"]
    answer = await refused(client.users_lookupByEmail(email=vera.email))
    assert answer["error"] == "users_not_found"

    await workspace.person("dana").invite("alerts", "vera")
    user = (await client.users_info(user=vera.id))["user"]
    assert (user["is_stranger"], user["team_id"]) == (False, vera.team)
    shared = (await client.conversations_info(channel=workspace.channel("alerts").id))["channel"]
    assert (shared["is_shared"], shared["is_ext_shared"]) == (True, True)
    assert shared["shared_team_ids"] == [workspace.id, vera.team]
    own = (await client.conversations_info(channel=workspace.channel("general").id))["channel"]
    assert (own["is_ext_shared"], own["shared_team_ids"]) == (False, [workspace.id])


async def test_a_deactivated_account_keeps_its_profile_and_nothing_else(
    client: AsyncWebClient, workspace: Workspace
) -> None:
    dana = workspace.deactivate("dana")
    user = (await client.users_info(user=dana.id))["user"]
    assert user["deleted"] is True
    assert user["profile"]["real_name"] == "Dana Ito"
    assert "is_restricted" not in user
    assert "real_name" not in user
    (group,) = (await client.usergroups_list(include_users=True))["usergroups"]
    assert group["users"] == [workspace.find_person("eli").id]
    answer = await refused(client.users_lookupByEmail(email=dana.email))
    assert answer["error"] == "users_not_found"


async def test_an_address_is_looked_up_only_with_its_own_scope(
    server: PracticeServer, manifest: Callable[..., Json]
) -> None:
    scopes = {"oauth_config": {"scopes": {"bot": ["users:read", "usergroups:read"]}}}
    features = {"features": {"bot_user": {"display_name": "Small"}}}
    settings = {"settings": {"socket_mode_enabled": True}}
    name = {"display_information": {"name": "Small"}}
    app = server.workspace.install(manifest(**scopes, **features, **settings, **name))
    client = AsyncWebClient(token=app.bot_token, base_url=server.api_url)
    answer = await refused(client.users_lookupByEmail(email="dana@example.example"))
    assert (answer["error"], answer["needed"]) == ("missing_scope", "users:read.email")
    dana = server.workspace.find_person("dana")
    assert "email" not in (await client.users_info(user=dana.id))["user"]["profile"]


async def test_an_address_has_to_be_given_and_its_case_does_not_matter(
    client: AsyncWebClient, workspace: Workspace
) -> None:
    found = await client.users_lookupByEmail(email="Dana@EXAMPLE.example")
    assert found["user"]["id"] == workspace.find_person("dana").id
    answer = await refused(client.api_call("users.lookupByEmail"))
    assert answer["error"] == "invalid_arguments"
    # The app's own user has no address, so an empty one must not find it.
    assert not (await refused(client.api_call("users.lookupByEmail", params={"email": ""})))["ok"]


async def test_groups_come_with_their_members_only_where_asked(
    client: AsyncWebClient, workspace: Workspace
) -> None:
    (group,) = (await client.usergroups_list())["usergroups"]
    assert "users" not in group
    (group,) = (await client.usergroups_list(include_users=True))["usergroups"]
    assert group["users"] == [workspace.find_person(name).id for name in ("dana", "eli")]


def test_the_lookups_of_people_fit_slacks_published_types(oracle: ModuleType) -> None:
    for method, arguments in (
        ("users.info", {"user": "U1"}),
        ("users.lookupByEmail", {"email": "dana@example.com"}),
        ("usergroups.list", {"include_users": True}),
    ):
        assert oracle.check_call(method, arguments) == []
    assert oracle.check_call("users.lookupByEmail", {}) != []


def test_what_a_stranger_does_names_their_own_workspace(workspace: Workspace) -> None:
    vera = workspace.add_stranger("vera", workspace="Northpay")
    (app,) = workspace.apps.values()
    for person, team in ((vera, vera.team), (workspace.find_person("dana"), workspace.id)):
        payload = global_shortcut(Doing(workspace, app, person), "declare")
        assert payload["user"]["team_id"] == team
        assert payload["team"]["id"] == workspace.id
