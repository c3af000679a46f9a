"""A site with pages and a workspace to sign in at, on two real ports, and a browser for both."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

import httpx
from fastapi import FastAPI
from pydantic import SecretStr
from typing_extensions import override

from bot.domain.errors import Refused
from bot.domain.people import Person, PersonId
from bot.plugin import Audience, Page, PageRequest, PageView
from bot.practice import PracticeServer, SignIn, Workspace
from bot.practice.sign_in import Granted
from bot.practice.state import State
from bot.practice.tokens import SigningKey
from bot.web.oidc import OidcSettings
from bot.web.pages import make_pages
from bot.web.site import WebServer
from tests.fakes import FakeClock

Json = dict[str, Any]
SECRET = b"a secret of thirty-two bytes ...."
MANIFEST = {
    "display_information": {"name": "Tocsin"},
    "features": {"bot_user": {"display_name": "tocsin"}},
}
EVERYONE = frozenset({Audience.MEMBER})
RESPONDERS = frozenset({Audience.MEMBER, Audience.RESPONDER})


KEY = SigningKey()  # one for all tests: a key takes a while to make


class Forgery(SignIn):
    """A provider that hands out whatever token a test wants."""

    forge: Callable[[Forgery, Json], str] | None = None

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.key = KEY

    @override
    def _answer(self, granted: Granted) -> Json:
        answer = super()._answer(granted)
        if self.forge is not None:
            answer["id_token"] = self.forge(self, self.claims(granted.wish, granted.person))
        return answer


@dataclass
class Directory:
    """Who is who, as the composition root would ask the chat."""

    people: dict[str, tuple[Person, frozenset[Audience]]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    fault: Exception | None = None
    asked: int = 0

    async def __call__(self, id: PersonId) -> tuple[Person, frozenset[Audience]]:
        self.asked += 1
        if self.fault is not None:
            raise self.fault
        if id in self.refused:
            raise Refused(self.refused[id])
        if id not in self.people:
            raise Refused("Nobody here knows you.")
        return self.people[id]


@dataclass
class Visiting:
    """Everything that runs, and a browser."""

    browser: httpx.AsyncClient
    url: str
    server: PracticeServer
    sign_in: Forgery
    clock: FakeClock
    directory: Directory
    workspace: Workspace

    async def get(self, path: str) -> httpx.Response:
        """Open an address of the site, or of anywhere."""
        return await self.browser.get(urljoin(self.url, path))

    async def to_provider(self, next: str = "/pages/") -> httpx.Response:
        """Go as far as the provider's page."""
        started = await self.get(f"/pages/login/start?next={quote(next, safe='')}")
        assert started.status_code == 303, started.text
        return await self.browser.get(started.headers["location"])

    async def choose(self, page: httpx.Response, name: str) -> str:
        """Choose a person on the provider's page; return the address it sends back to."""
        assert page.status_code == 200, page.text
        form = {k: html.unescape(v) for k, v in re.findall(_FIELD, page.text)}
        form["user"] = self.workspace.find_person(name).id
        target = urljoin(str(page.url), "/openid/connect/authorize")
        chosen = await self.browser.post(target, data=form)
        assert chosen.status_code == 302, chosen.text
        return chosen.headers["location"]

    async def come_back(self, name: str = "dana", next: str = "/pages/") -> httpx.Response:
        """Sign in; return what the callback answers."""
        return await self.get(await self.choose(await self.to_provider(next), name))

    async def signed_in(self, name: str = "dana") -> None:
        """Sign in, which has to work."""
        assert (await self.come_back(name)).status_code == 303

    def cookie(self, kind: str) -> str | None:
        """Return the value of a cookie of ours."""
        return self.browser.cookies.get(f"tocsin-{kind}")

    def set_cookie(self, kind: str, value: str) -> None:
        """Put a cookie of ours into the browser in place of what is there."""
        name = f"tocsin-{kind}"
        for cookie in list(self.browser.cookies.jar):
            if cookie.name == name:
                self.browser.cookies.jar.clear(cookie.domain, cookie.path, name)
        self.browser.cookies.set(name, value, domain="127.0.0.1", path="/")


_FIELD = re.compile(r'<input type="hidden" name="([^"]*)" value="([^"]*)">')


async def plain(request: PageRequest) -> PageView:
    """Show who asks."""
    return PageView(template="hello.html", data={"words": dict(request.query)})


HELLO = Page(path="hello", title="Hello", audience=Audience.MEMBER, handler=plain)
TEMPLATE = """{% extends "frame.html" %}
{% block content %}<h1>Hello {{ frame.viewer.name }}</h1>
{% for key, word in words.items() %}<p title="{{ word }}">{{ word }}</p>{% endfor %}
{% endblock %}"""


@asynccontextmanager
async def visiting(
    folder: Path,
    *,
    pages: Mapping[str, Sequence[Page]] | None = None,
    templates: Mapping[str, str] | None = None,
    clock: FakeClock | None = None,
    **oidc: Any,
) -> AsyncIterator[Visiting]:
    """Run a site with the pages of a plugin `demo`, and a workspace with three people."""
    clock = clock or FakeClock()
    workspace = _workspace(clock)
    server = PracticeServer(workspace)
    server.sign_in = sign_in = Forgery(workspace)
    directory = Directory()
    for name, audiences in (("dana", RESPONDERS), ("noor", EVERYONE), ("eli", EVERYONE)):
        person = workspace.find_person(name)
        known = Person(id=PersonId(person.id), name=person.real_name)
        directory.people[person.id] = (known, audiences)
    site = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    web = WebServer(site, host="127.0.0.1", port=0)
    for name, text in {"hello.html": TEMPLATE, **(templates or {})}.items():
        (folder / name).write_text(text, encoding="utf-8")
    async with server, httpx.AsyncClient(verify=False) as browser:
        await web.start()
        (app,) = workspace.apps.values()
        client = sign_in.register(app, redirect_urls=[f"{web.url}/pages/login/callback"])
        settings: Json = {
            "issuer": server.url,
            "client_id": client.id,
            "client_secret": SecretStr(client.secret),
            "public_url": web.url,
            **oidc,
        }
        make_pages(
            site,
            pages=pages or {"demo": [HELLO]},
            templates={"demo": folder},
            oidc=OidcSettings(**settings),
            secret=SECRET,
            audiences=directory,
            clock=clock,
            provider_seconds=2.0,
        )
        try:
            yield Visiting(browser, web.url, server, sign_in, clock, directory, workspace)
        finally:
            await web.stop()


def _workspace(clock: FakeClock) -> Workspace:
    workspace = Workspace("Example", clock=lambda: clock.now().timestamp())
    workspace.add_person("dana", real_name="Dana Ito")
    workspace.add_person("eli", real_name="Eli Brandt")
    workspace.add_person("noor", real_name="Noor Haddad")
    workspace.install(MANIFEST)
    return workspace
