"""Signing in: the whole way over two real ports, and whoever tries to get round it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.people import Person, PersonId
from bot.practice.tokens import SigningKey, encoded
from bot.web.cookies import Cookies, local_path
from tests.fakes import FakeClock
from tests.web.visiting import SECRET, Forgery, Visiting, visiting

Json = dict[str, Any]
HOUR = 3600.0


@pytest.fixture
async def visit(tmp_path: Path) -> AsyncIterator[Visiting]:
    async with visiting(tmp_path) as running:
        yield running


# The way in and out


async def test_somebody_signs_in_and_comes_out_where_they_wanted_to_go(visit: Visiting) -> None:
    asked = await visit.get("/pages/demo/hello?a=1&b=%26")
    assert asked.status_code == 303
    login = await visit.get(asked.headers["location"])
    link = re.search(r'class="button" href="([^"]+)"', login.text)
    assert link is not None
    started = await visit.get(link[1].replace("&amp;", "&"))
    location = await visit.choose(await visit.browser.get(started.headers["location"]), "dana")
    back = await visit.get(location)
    assert (back.status_code, back.headers["location"]) == (303, "/pages/demo/hello?a=1&b=%26")
    page = await visit.get(back.headers["location"])
    assert page.status_code == 200
    assert "Hello Dana Ito" in page.text
    assert visit.sign_in.faults == []


async def test_the_request_to_the_provider_carries_state_nonce_and_challenge(
    visit: Visiting,
) -> None:
    queries = []
    for _ in range(2):
        started = await visit.get("/pages/login/start")
        queries.append(parse_qs(urlsplit(started.headers["location"]).query))
    for query in queries:
        assert query["response_type"] == ["code"]
        assert query["code_challenge_method"] == ["S256"]
        assert query["redirect_uri"] == [f"{visit.url}/pages/login/callback"]
    for name in ("state", "nonce", "code_challenge"):
        assert queries[0][name] != queries[1][name]


async def test_cookies_are_kept_from_scripts_and_from_other_sites(visit: Visiting) -> None:
    started = await visit.get("/pages/login/start")
    back = await visit.come_back()
    session = next(c for c in back.headers.get_list("set-cookie") if "tocsin-session=" in c)
    for cookie in (started.headers["set-cookie"], session):
        assert {"HttpOnly", "SameSite=lax", "Path=/"} <= {*cookie.split("; ")}
    assert "Max-Age=28800" in session
    assert visit.cookie("login") is None


async def test_the_session_holds_the_person_and_the_moment_and_nothing_else(
    visit: Visiting,
) -> None:
    await visit.signed_in()
    content = (visit.cookie("session") or "").partition(".")[0]
    held = json.loads(base64.urlsafe_b64decode(content + "=" * (-len(content) % 4)))
    assert held == {
        "person": visit.workspace.find_person("dana").id,
        "at": int(visit.clock.now().timestamp()),
    }


async def test_by_https_the_cookies_belong_to_this_host_alone(tmp_path: Path) -> None:
    async with visiting(tmp_path, public_url="https://tocsin.example") as visit:
        started = await visit.get("/pages/login/start")
        cookie = started.headers["set-cookie"]
        assert cookie.startswith("__Host-tocsin-login=")
        assert "; Secure" in cookie
        query = parse_qs(urlsplit(started.headers["location"]).query)
        assert query["redirect_uri"] == ["https://tocsin.example/pages/login/callback"]


async def test_a_provider_without_pkce_is_asked_without_it(visit: Visiting) -> None:
    visit.sign_in.pkce = False  # as Slack itself
    await visit.signed_in()
    assert (await visit.get("/pages/demo/hello")).status_code == 200
    assert visit.sign_in.faults == []


async def test_new_keys_of_the_provider_are_fetched_when_they_are_needed(visit: Visiting) -> None:
    await visit.signed_in()
    visit.sign_in.key = SigningKey()
    await visit.signed_in("noor")
    assert "Hello Noor Haddad" in (await visit.get("/pages/demo/hello")).text


async def test_signing_out_is_a_form_of_these_pages(visit: Visiting) -> None:
    await visit.signed_in()
    out = f"{visit.url}/pages/logout"
    assert (await visit.browser.get(out)).status_code in (404, 405)
    for foreign in (
        {"sec-fetch-site": "cross-site", "origin": visit.url},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {},
    ):
        refused = await visit.browser.post(out, headers=foreign)
        assert refused.status_code == 403
        assert "set-cookie" not in refused.headers
    assert (await visit.get("/pages/demo/hello")).status_code == 200
    done = await visit.browser.post(out, headers={"sec-fetch-site": "same-origin"})
    assert done.status_code == 200
    assert visit.cookie("session") is None
    assert (await visit.get("/pages/demo/hello")).status_code == 303


async def test_without_a_session_nobody_nameless_signs_anybody_out(visit: Visiting) -> None:
    out = f"{visit.url}/pages/logout"
    refused = await visit.browser.post(out, headers={"origin": "null"})
    assert refused.status_code == 403
    await visit.signed_in()
    done = await visit.browser.post(out, headers={"origin": "null"})
    assert done.status_code == 200
    await visit.signed_in()
    assert (await visit.browser.post(out, headers={"origin": visit.url})).status_code == 200


# Where it leads


@pytest.mark.parametrize(
    "next",
    (
        "//evil.example", "https://evil.example/", "/\\evil.example", "/pages/\\..\\evil",
        "\\/evil.example", "/%09/evil.example", "/pages/\t//evil", "javascript:alert(1)",
        "/hooks/alertmanager", "//evil.example/pages/", " /pages/", "/pages/\u00e9", "",
        "/pages/" + "a" * 2_000, "/pages/\r\nSet-Cookie: a=b",
    ),
)  # fmt: skip
async def test_a_sign_in_leads_to_no_other_place(visit: Visiting, next: str) -> None:
    back = await visit.come_back(next=next)
    assert (back.status_code, back.headers["location"]) == (303, "/pages/")


@given(st.text(alphabet=st.sampled_from("/\\:@?#.%\t\n e") | st.characters(), max_size=40))
def test_a_path_that_is_let_through_stays_on_this_site(text: str) -> None:
    for candidate in (text, f"/pages/{text}"):
        path = local_path(candidate, default="/pages/")
        joined = urlsplit(urljoin("https://tocsin.example/pages/login", path))
        assert (joined.scheme, joined.netloc) == ("https", "tocsin.example")
        assert path.startswith("/pages/")


# Sign-ins that were not begun here


async def test_a_code_from_a_sign_in_of_somebody_else_is_not_taken(visit: Visiting) -> None:
    """A link with the attacker's code must not sign the victim in as the attacker."""
    location = await visit.choose(await visit.to_provider(), "noor")
    visit.browser.cookies.clear()
    refused = await visit.get(location)
    assert (refused.status_code, visit.cookie("session")) == (403, None)
    await visit.get("/pages/login/start")
    assert (await visit.get(location)).status_code == 403
    assert visit.cookie("session") is None


async def test_a_changed_state_is_refused_before_the_code_is_used(visit: Visiting) -> None:
    location = await visit.choose(await visit.to_provider(), "dana")
    kept = visit.cookie("login")
    for state in ("", "x", "é", "%ED%A0%80", "a" * 5_000):
        bad = re.sub(r"state=[^&]*", f"state={state}", location)
        assert (await visit.get(bad)).status_code == 403
        assert visit.cookie("session") is None
        visit.set_cookie("login", kept or "")
    assert (await visit.get(location)).status_code == 303


async def test_a_sign_in_that_took_too_long_is_begun_again(visit: Visiting) -> None:
    location = await visit.choose(await visit.to_provider(), "dana")
    visit.clock.advance(seconds=601)
    late = await visit.get(location)
    assert late.status_code == 403
    assert "too long ago" in late.text


async def test_a_code_works_once(visit: Visiting) -> None:
    location = await visit.choose(await visit.to_provider(), "dana")
    sealed = visit.cookie("login") or ""
    assert (await visit.get(location)).status_code == 303
    visit.browser.cookies.clear()
    assert (await visit.get(location)).status_code == 403
    visit.set_cookie("login", sealed)
    assert (await visit.get(location)).status_code == 403
    assert visit.cookie("session") is None
    assert visit.sign_in.faults == ["invalid_code"]


async def test_somebody_who_declines_is_told_so(visit: Visiting) -> None:
    page = await visit.to_provider()
    state = parse_qs(page.url.query.decode())["state"][0]
    callback = f"/pages/login/callback?error=access_denied&state={state}"
    declined = await visit.get(callback)
    assert (declined.status_code, visit.cookie("session")) == (403, None)
    assert "cancelled" in declined.text


async def test_a_provider_in_trouble_is_named_as_the_reason(visit: Visiting) -> None:
    page = await visit.to_provider()
    state = parse_qs(page.url.query.decode())["state"][0]
    answer = await visit.get(f"/pages/login/callback?error=server_error&state={state}")
    assert answer.status_code == 503


# Tokens that prove nothing


def _signed(**changes: Any) -> Callable[[Forgery, Json], str]:
    def forge(provider: Forgery, claims: Json) -> str:
        changed = {k: v for k, v in {**claims, **changes}.items() if v is not ...}
        return provider.key.sign(changed)

    return forge


def _later(name: str, seconds: int) -> Callable[[Forgery, Json], str]:
    def forge(provider: Forgery, claims: Json) -> str:
        return provider.key.sign({**claims, name: int(provider.state.clock()) + seconds})

    return forge


def _unsigned(provider: Forgery, claims: Json) -> str:
    parts = [encoded(json.dumps(part).encode()) for part in ({"alg": "none"}, claims)]
    return ".".join([*parts, ""])


def _signed_with_the_public_key(provider: Forgery, claims: Json) -> str:
    """HS256 with what everybody knows as the secret: the classic confusion of algorithms."""
    public = json.dumps(provider.key.public).encode()
    header = {"alg": "HS256", "kid": provider.key.public["kid"]}
    text = ".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
    return f"{text}.{encoded(hmac.digest(public, text.encode(), hashlib.sha256))}"


STRANGE = SigningKey()


def _other_key(provider: Forgery, claims: Json) -> str:
    return STRANGE.sign(claims, header={"kid": provider.key.public["kid"]})


def _unknown_key(provider: Forgery, claims: Json) -> str:
    return STRANGE.sign(claims)


def _own_key(provider: Forgery, claims: Json) -> str:
    header = {"jwk": STRANGE.public, "kid": provider.key.public["kid"]}
    return STRANGE.sign(claims, header=header)


def _changed_after_signing(provider: Forgery, claims: Json) -> str:
    header, _, signature = provider.key.sign(claims).split(".")
    forged = {**claims, "https://slack.com/user_id": "U0EVIL"}
    return f"{header}.{encoded(json.dumps(forged).encode())}.{signature}"


def _ours_by_proxy(provider: Forgery, claims: Json) -> str:
    """For another client, yet naming us as the party that asked."""
    return provider.key.sign({**claims, "aud": "someone-else", "azp": claims["aud"]})


def _text(text: str) -> Callable[[Forgery, Json], str]:
    return lambda provider, claims: text


FORGERIES = {
    "for another client": _signed(aud="someone-else"),
    "for others too, without saying for whom": _signed(aud=["someone-else"]),
    "for another client, through us": _ours_by_proxy,
    "without an audience": _signed(aud=...),
    "with another nonce": _signed(nonce="another"),
    "with an empty nonce": _signed(nonce=""),
    "without a nonce": _signed(nonce=...),
    "by another issuer": _signed(iss="https://evil.example"),
    "without an issuer": _signed(iss=...),
    "without a subject": _signed(sub=...),
    "without an end": _signed(exp=...),
    "with an end that is no number": _signed(exp="tomorrow"),
    "with an end beyond numbers": _signed(exp=float("nan")),
    "expired": _later("exp", -61),
    "from the future": _later("iat", 600),
    "not valid yet": _later("nbf", 600),
    "for another access token": _signed(at_hash="AAAAAAAAAAAAAAAAAAAAAA"),
    "without a user": _signed(**{"https://slack.com/user_id": ...}),
    "with a user that is a list": _signed(**{"https://slack.com/user_id": ["U1"]}),
    "with an empty user": _signed(**{"https://slack.com/user_id": ""}),
    "of another party": _signed(azp="someone-else"),
    "not signed": _unsigned,
    "signed with the public key": _signed_with_the_public_key,
    "signed by another key": _other_key,
    "signed by a key nobody knows": _unknown_key,
    "signed by a key it brings along": _own_key,
    "changed after signing": _changed_after_signing,
    "no token": _text("x"),
    "no claims": _text("e30.W10.AA"),
    "not ASCII": _text("é.é.é"),
    "huge": _text("a" * 300_000),
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
async def test_a_token_that_proves_nothing_lets_nobody_in(
    visit: Visiting, forge: Callable[[Forgery, Json], str]
) -> None:
    visit.sign_in.forge = forge
    refused = await visit.come_back()
    assert refused.status_code == 403, refused.text
    assert visit.cookie("session") is None
    assert (await visit.get("/pages/demo/hello")).status_code == 303
    visit.sign_in.forge = None
    await visit.signed_in()


async def test_an_honest_token_a_minute_off_is_taken(visit: Visiting) -> None:
    visit.sign_in.forge = _later("iat", 30)
    await visit.signed_in()


async def test_an_account_of_another_workspace_is_refused(tmp_path: Path) -> None:
    async with visiting(tmp_path, required={"https://slack.com/team_id": "T0OTHER"}) as visit:
        refused = await visit.come_back()
        assert refused.status_code == 403
        assert "another organisation" in refused.text


async def test_the_claim_that_names_the_person_can_be_another_one(tmp_path: Path) -> None:
    async with visiting(tmp_path, user_claim="sub") as visit:
        await visit.signed_in()


# Sessions


async def test_a_session_ends_after_eight_hours_whatever_is_done(visit: Visiting) -> None:
    await visit.signed_in()
    for _ in range(7):
        visit.clock.advance(seconds=HOUR)
        assert (await visit.get("/pages/demo/hello")).status_code == 200
    visit.clock.advance(seconds=HOUR - 1)
    assert (await visit.get("/pages/demo/hello")).status_code == 200
    visit.clock.advance(seconds=1)
    assert (await visit.get("/pages/demo/hello")).status_code == 303


async def test_forged_and_foreign_sessions_are_none(visit: Visiting) -> None:
    await visit.signed_in()
    good = visit.cookie("session") or ""
    dana = PersonId(visit.workspace.find_person("dana").id)
    started = Cookies(SECRET, visit.clock).begin("/pages/")[1]
    early = FakeClock(visit.clock.now())
    early.advance(seconds=120)
    for forged in (
        Cookies(b"another secret, as long as it must", visit.clock).seal_session(dana),
        Cookies(SECRET, early).seal_session(dana),  # from the future
        started,  # signed by us, for another purpose
        good[:-1],
        good + "A",
        good.split(".")[0],
        good.partition(".")[0] + "." + "A" * 43,
        "x" * 3_000,
        "..",
    ):
        visit.set_cookie("session", forged)
        assert (await visit.get("/pages/demo/hello")).status_code == 303
    visit.set_cookie("session", good)
    assert (await visit.get("/pages/demo/hello")).status_code == 200


@given(data=st.data())
def test_no_changed_byte_of_a_session_goes_unnoticed(data: st.DataObject) -> None:
    cookies = Cookies(SECRET, FakeClock())
    text = cookies.seal_session(PersonId("U1"))
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda c: c != text[place]))
    changed = text[:place] + other + text[place + 1 :]
    # The last character of base64 holds bits that mean nothing; the rest is tied.
    assert cookies.session(changed) is None or place == len(text) - 1


@given(st.text(max_size=200))
def test_no_text_is_a_session_by_chance(text: str) -> None:
    cookies = Cookies(SECRET, FakeClock())
    assert cookies.session(text) is None
    assert cookies.attempt(text) is None


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Cookies(b"short", FakeClock())


# Who is let in


async def test_a_guest_is_told_why_and_gets_no_session(visit: Visiting) -> None:
    noor = visit.workspace.find_person("noor").id
    visit.directory.refused[noor] = "Guests cannot open these pages."
    refused = await visit.come_back("noor")
    assert (refused.status_code, visit.cookie("session")) == (403, None)
    assert "Guests cannot open these pages." in refused.text


async def test_a_bot_is_refused_whatever_the_directory_says(visit: Visiting) -> None:
    noor = visit.workspace.find_person("noor").id
    person, audiences = visit.directory.people[noor]
    visit.directory.people[noor] = (Person(id=person.id, name="x", bot=True), audiences)
    assert (await visit.come_back("noor")).status_code == 403


async def test_somebody_without_any_audience_is_refused(visit: Visiting) -> None:
    noor = visit.workspace.find_person("noor").id
    visit.directory.people[noor] = (visit.directory.people[noor][0], frozenset())
    assert (await visit.come_back("noor")).status_code == 403


async def test_who_was_deactivated_is_out_within_a_minute_despite_a_session(
    visit: Visiting,
) -> None:
    await visit.signed_in()
    assert (await visit.get("/pages/demo/hello")).status_code == 200
    visit.directory.refused[visit.workspace.find_person("dana").id] = "Deactivated."
    visit.clock.advance(seconds=60)
    assert (await visit.get("/pages/demo/hello")).status_code == 403


async def test_the_directory_is_not_asked_for_every_page(visit: Visiting) -> None:
    await visit.signed_in()
    before = visit.directory.asked
    for _ in range(20):
        await visit.get("/pages/demo/hello")
    assert visit.directory.asked - before <= 1


# A provider that is down, slow or strange


async def test_a_provider_that_is_down_is_said_to_be_down(visit: Visiting) -> None:
    await visit.server.stop()
    down = await visit.get("/pages/login/start")
    assert down.status_code == 503
    assert "cannot be reached" in down.text


async def test_a_provider_that_goes_down_in_between_lets_nobody_in(visit: Visiting) -> None:
    location = await visit.choose(await visit.to_provider(), "dana")
    await visit.server.stop()
    assert (await visit.get(location)).status_code == 503
    assert visit.cookie("session") is None


async def test_people_who_are_in_stay_in_while_the_provider_is_down(visit: Visiting) -> None:
    await visit.signed_in()
    await visit.server.stop()
    assert (await visit.get("/pages/demo/hello")).status_code == 200
