"""The workspace as an OpenID provider: what is in order passes, everything else does not."""

import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from bot.practice import PracticeServer, Workspace
from bot.practice.sign_in import Client
from bot.practice.tokens import encoded

Json = dict[str, Any]
BACK = "http://127.0.0.1:9/pages/login/callback"
VERIFIER = "v" * 43
GOOD = {
    "response_type": "code",
    "redirect_uri": BACK,
    "scope": "openid profile",
    "state": "s" * 43,
    "nonce": "n" * 43,
    "code_challenge": encoded(hashlib.sha256(VERIFIER.encode()).digest()),
    "code_challenge_method": "S256",
}


@pytest.fixture
def registered(server: PracticeServer) -> Client:
    (app,) = server.workspace.apps.values()
    return server.sign_in.register(app, redirect_urls=[BACK])


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


class Flow:
    """The requests of an app and of a browser, one by one."""

    def __init__(self, server: PracticeServer, client: Client, http: aiohttp.ClientSession) -> None:
        self.server, self.client, self.http = server, client, http

    async def ask(self, **changes: str | None) -> tuple[int, str]:
        asked = {"client_id": self.client.id, **GOOD, **changes}
        query = {name: value for name, value in asked.items() if value is not None}
        url = f"{self.server.url}/openid/connect/authorize"
        async with self.http.get(url, params=query) as answer:
            return answer.status, await answer.text()

    async def choose(self, **changes: str) -> tuple[int, str]:
        form = {"client_id": self.client.id, **GOOD, **changes}
        url = f"{self.server.url}/openid/connect/authorize"
        async with self.http.post(url, data=form, allow_redirects=False) as answer:
            return answer.status, answer.headers.get("Location", await answer.text())

    async def code(self, name: str = "dana") -> str:
        status, location = await self.choose(user=self.server.workspace.find_person(name).id)
        assert status == 302
        query = parse_qs(urlsplit(location).query)
        assert query["state"] == [GOOD["state"]]
        return query["code"][0]

    async def exchange(self, code: str, /, **changes: str | None) -> Json:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": BACK,
            "client_id": self.client.id,
            "client_secret": self.client.secret,
            "code_verifier": VERIFIER,
            **changes,
        }
        sent = {name: value for name, value in form.items() if value is not None}
        url = f"{self.server.url}/api/openid.connect.token"
        async with self.http.post(url, data=sent) as answer:
            assert answer.status == 200
            value: Json = await answer.json()
            return value


@pytest.fixture
def flow(server: PracticeServer, registered: Client, http: aiohttp.ClientSession) -> Flow:
    return Flow(server, registered, http)


async def test_the_page_offers_every_human_and_no_bot(flow: Flow, workspace: Workspace) -> None:
    workspace.find_person("noor").deleted = True
    status, page = await flow.ask()
    assert status == 200
    assert re.findall(r"Sign in as ([^<]+)<", page) == ["Dana Ito", "Eli Brandt"]


async def test_a_name_of_markup_stays_a_name(flow: Flow, workspace: Workspace) -> None:
    workspace.add_person("eve", real_name="<b>Eve</b>")
    status, page = await flow.ask(state='"><script>' + "s" * 43)
    assert status == 200
    assert "<b>" not in page
    assert "<script>" not in page


async def test_a_sign_in_gives_a_token_with_slacks_claims(
    flow: Flow, server: PracticeServer, workspace: Workspace
) -> None:
    answer = await flow.exchange(await flow.code())
    header, claims = (_part(answer["id_token"], n) for n in (0, 1))
    dana = workspace.find_person("dana")
    assert answer["ok"] is True
    assert header == {"alg": "RS256", "typ": "JWT", "kid": server.sign_in.key.public["kid"]}
    assert claims["iss"] == server.url
    assert claims["aud"] == flow.client.id
    assert claims["nonce"] == GOOD["nonce"]
    assert claims["exp"] - claims["iat"] == 300
    assert claims["https://slack.com/user_id"] == dana.id
    assert claims["https://slack.com/team_id"] == workspace.id
    assert "email" not in claims  # it was not asked for
    assert server.sign_in.faults == []


def _part(token: str, number: int) -> Json:
    text = token.split(".")[number]
    value: Json = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return value


@pytest.mark.parametrize(
    ("changes", "error"),
    (
        ({"client_id": "1.2"}, "invalid_client_id"),
        ({"client_id": None}, "invalid_client_id"),
        ({"redirect_uri": BACK + "/more"}, "bad_redirect_uri"),
        ({"redirect_uri": "http://evil.example/"}, "bad_redirect_uri"),
        ({"redirect_uri": None}, "bad_redirect_uri"),
        ({"response_type": "token"}, "invalid_response_type"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"scope": "openid chat:write"}, "invalid_scope"),
        ({"state": None}, "missing_state"),
        ({"state": "short"}, "missing_state"),
        ({"nonce": None}, "missing_nonce"),
        ({"code_challenge": None}, "invalid_code_challenge"),
        ({"code_challenge_method": "plain"}, "invalid_code_challenge"),
    ),
)
async def test_a_request_that_is_not_in_order_sends_nobody_anywhere(
    flow: Flow, changes: dict[str, str | None], error: str
) -> None:
    status, page = await flow.ask(**changes)
    assert status == 400
    assert f"<code>{error}</code>" in page
    assert "<form" not in page


@pytest.mark.parametrize(
    ("changes", "error"),
    (
        ({"client_id": "1.2"}, "invalid_client_id"),
        ({"client_secret": "guess"}, "bad_client_secret"),
        ({"client_secret": None}, "bad_client_secret"),
        ({"grant_type": "password"}, "invalid_grant_type"),
        ({"redirect_uri": BACK + "?"}, "bad_redirect_uri"),
        ({"redirect_uri": None}, "bad_redirect_uri"),
        ({"code": "guess"}, "invalid_code"),
        ({"code_verifier": "w" * 43}, "invalid_grant"),
        ({"code_verifier": None}, "invalid_code_verifier"),
        ({"code_verifier": "v"}, "invalid_code_verifier"),
    ),
)
async def test_a_wrong_exchange_gives_nothing(
    flow: Flow, changes: dict[str, str | None], error: str
) -> None:
    answer = await flow.exchange(await flow.code(), **changes)
    assert answer == {"ok": False, "error": error}


async def test_a_code_works_once_and_a_wrong_attempt_burns_it(flow: Flow) -> None:
    code = await flow.code()
    assert (await flow.exchange(code))["ok"] is True
    assert (await flow.exchange(code))["error"] == "invalid_code"
    code = await flow.code()
    await flow.exchange(code, code_verifier="w" * 43)
    assert (await flow.exchange(code))["error"] == "invalid_code"


async def test_a_code_ends_after_a_minute(flow: Flow, workspace: Workspace) -> None:
    code = await flow.code()
    began = workspace.clock()
    workspace.clock = lambda: began + 61
    assert (await flow.exchange(code))["error"] == "code_expired"


async def test_nobody_signs_in_as_a_bot_or_as_nobody(flow: Flow, workspace: Workspace) -> None:
    (app,) = workspace.apps.values()
    for user in (app.bot_user_id, "U0NOBODY", ""):
        status, page = await flow.choose(user=user)
        assert status == 400
        assert "user_not_found" in page


async def test_to_cancel_is_told_to_the_app(flow: Flow) -> None:
    status, location = await flow.choose(decline="1")
    assert status == 302
    assert parse_qs(urlsplit(location).query)["error"] == ["access_denied"]


async def test_basic_authentication_is_taken_too_but_not_both_at_once(flow: Flow) -> None:
    url = f"{flow.server.url}/api/openid.connect.token"
    both = f"{flow.client.id}:{flow.client.secret}".encode()
    headers = {"Authorization": f"Basic {base64.b64encode(both).decode()}"}
    form = {"grant_type": "authorization_code", "code": await flow.code(),
            "redirect_uri": BACK, "code_verifier": VERIFIER}  # fmt: skip
    async with flow.http.post(url, data=form, headers=headers) as answer:
        assert (await answer.json())["ok"] is True
    form |= {"code": await flow.code(), "client_secret": flow.client.secret}
    async with flow.http.post(url, data=form, headers=headers) as answer:
        assert (await answer.json())["error"] == "invalid_request"


async def test_like_slack_it_can_do_without_pkce_and_then_takes_none(flow: Flow) -> None:
    flow.server.sign_in.pkce = False
    async with flow.http.get(f"{flow.server.url}/.well-known/openid-configuration") as answer:
        assert "code_challenge_methods_supported" not in await answer.json()
    status, page = await flow.ask()
    assert (status, "internal_error" in page) == (400, True)
    status, _ = await flow.ask(code_challenge=None, code_challenge_method=None)
    assert status == 200


async def test_another_site_cannot_choose_for_somebody(flow: Flow, workspace: Workspace) -> None:
    form = {"client_id": flow.client.id, **GOOD, "user": workspace.find_person("dana").id}
    url = f"{flow.server.url}/openid/connect/authorize"
    headers = {"Origin": "https://evil.example"}
    async with flow.http.post(url, data=form, headers=headers) as answer:
        assert answer.status == 403
