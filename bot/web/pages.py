"""`GET /pages/…`: what plugins show in the browser, to those it is for.

Every request asks anew who the visitor is and what they may see; the menu holds
only what they could open. Pages show and never change anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from bot.domain.errors import NotFound, Refused
from bot.plugin import Audience, Download, Page, PageRequest
from bot.ports import Clock
from bot.web.answers import Handler, Speaker, download, html
from bot.web.cookies import Cookies
from bot.web.login import HOME, Login
from bot.web.oidc import OidcSettings
from bot.web.provider import TIMEOUT, Provider
from bot.web.rendering import Frame, Link, Renderer, Section
from bot.web.visitors import Audiences, Visitor, Visitors

PAGE_SECONDS = 20.0
RESERVED = frozenset({"login", "logout", "static"})
_WHOM = {
    Audience.MEMBER: "members of the workspace",
    Audience.RESPONDER: "responders",
    Audience.AUDITOR: "auditors",
}


@dataclass(frozen=True, kw_only=True)
class Offered:
    """A page, with the plugin that offers it."""

    plugin: str
    page: Page

    @property
    def url(self) -> str:
        """Return its address."""
        return f"{HOME}{self.plugin}/{self.page.path.strip('/')}"


class Book:
    """All pages by address.

    Raises:
        ValueError: two pages of a plugin have one address, or a plugin the name of a route.
    """

    def __init__(self, pages: Mapping[str, Sequence[Page]]) -> None:
        self._pages: dict[str, Offered] = {}
        for plugin, offers in pages.items():
            if offers and plugin in RESERVED:
                raise ValueError(f"{plugin}: a plugin of this name cannot offer pages")
            for page in offers:
                self._add(Offered(plugin=plugin, page=page))

    def _add(self, offered: Offered) -> None:
        if offered.url in self._pages:
            raise ValueError(f"{offered.plugin}: offers the page {offered.url} twice")
        self._pages[offered.url] = offered

    def at(self, plugin: str, path: str) -> Offered:
        """Return the page at an address.

        Raises:
            NotFound: there is none.
        """
        offered = self._pages.get(f"{HOME}{plugin}/{path.strip('/')}")
        if offered is None:
            raise NotFound("There is no such page.")
        return offered

    def menu(self, audiences: frozenset[Audience]) -> Sequence[Section]:
        """Return what somebody can open, plugin by plugin."""
        sections: dict[str, list[Link]] = {}
        for offered in self._pages.values():
            if offered.page.listed and offered.page.audience in audiences:
                link = Link(title=offered.page.title, url=offered.url)
                sections.setdefault(offered.plugin, []).append(link)
        return [Section(name=name, links=links) for name, links in sections.items()]


class PageDesk:
    """Lets visitors in and shows them the page they asked for."""

    def __init__(self, book: Book, *, login: Login, visitors: Visitors, renderer: Renderer) -> None:
        self._book = book
        self._login = login
        self._visitors = visitors
        self._renderer = renderer

    async def menu(self, request: Request) -> Response:
        """Show what the visitor can open."""
        id = self._login.signed_in(request)
        if id is None:
            return self._login.ask(request)
        frame = self._frame(await self._visitors.visitor(id), title="Pages", here=HOME)
        return html(self._renderer.own("menu.html", frame, {}))

    async def page(self, request: Request) -> Response:
        """Show a page, or hand out its file.

        Raises:
            NotFound: there is no such page.
            Refused: it is not for this visitor.
        """
        id = self._login.signed_in(request)
        if id is None:
            return self._login.ask(request)
        visitor = await self._visitors.visitor(id)
        offered = self._book.at(request.path_params["plugin"], request.path_params.get("path", ""))
        if offered.page.audience not in visitor.audiences:
            raise Refused(f"This page is for {_WHOM[offered.page.audience]}.")
        return await self._show(offered, visitor, query=dict(request.query_params))

    async def _show(
        self, offered: Offered, visitor: Visitor, *, query: Mapping[str, str]
    ) -> Response:
        asked = PageRequest(viewer=visitor.person, audiences=visitor.audiences, query=query)
        async with asyncio.timeout(PAGE_SECONDS):
            shown = await offered.page.handler(asked)
        if isinstance(shown, Download):
            return download(shown)
        frame = self._frame(visitor, title=offered.page.title, here=offered.url)
        return html(
            self._renderer.plugin(offered.plugin, shown.template, frame=frame, data=shown.data)
        )

    def _frame(self, visitor: Visitor, *, title: str, here: str) -> Frame:
        return Frame(
            title=title,
            here=here,
            viewer=visitor.person,
            menu=self._book.menu(visitor.audiences),
            style=self._renderer.style,
        )


def make_pages(
    site: FastAPI,
    *,
    pages: Mapping[str, Sequence[Page]],
    templates: Mapping[str, Path],
    oidc: OidcSettings | None,
    secret: bytes,
    audiences: Audiences,
    clock: Clock,
    provider_seconds: float = TIMEOUT,
) -> None:
    """Add the pages to the application.

    `pages` and `templates` (the folder beside the plugin's module) are by
    plugin. `secret` signs the cookies, 32 bytes or more, the same on each
    replica and after a restart. Without `oidc` nobody can sign in, and
    every address says how to configure it.

    Raises:
        ValueError: pages clash, or the secret is too short.
    """
    renderer = Renderer(clock, templates)
    speaker = Speaker(renderer)
    book = Book(pages)
    site.add_route("/pages/static/{name}", _assets(renderer), methods=["GET"])
    if oidc is None:
        _explain(site, renderer, speaker)
        return
    visitors = Visitors(audiences, clock)
    login = Login(
        oidc,
        provider=Provider(oidc, clock, timeout=provider_seconds),
        cookies=Cookies(secret, clock),
        visitors=visitors,
        speaker=speaker,
    )
    desk = PageDesk(book, login=login, visitors=visitors, renderer=renderer)
    for path, handler, method in (
        ("/pages/login", login.page, "GET"),
        ("/pages/login/start", login.start, "GET"),
        ("/pages/login/callback", login.callback, "GET"),
        ("/pages/logout", login.logout, "POST"),
        ("/pages/", desk.menu, "GET"),
        ("/pages/{plugin}", desk.page, "GET"),
        ("/pages/{plugin}/{path:path}", desk.page, "GET"),
    ):
        site.add_route(path, speaker.guarded(handler, name=path), methods=[method])


def _explain(site: FastAPI, renderer: Renderer, speaker: Speaker) -> None:
    async def explain(request: Request) -> Response:
        frame = Frame(title="These pages are not set up", style=renderer.style)
        data = {"callback": f"{HOME}login/callback"}
        return html(renderer.own("unconfigured.html", frame, data), status=404)

    handler = speaker.guarded(explain, name="/pages/")
    site.add_route("/pages/{path:path}", handler, methods=["GET"])


def _assets(renderer: Renderer) -> Handler:
    async def asset(request: Request) -> Response:
        found = renderer.assets.get(request.path_params["name"])
        if found is None:
            return Response(status_code=404)
        headers = {"Cache-Control": "max-age=86400", "X-Content-Type-Options": "nosniff"}
        return Response(found.content, media_type=found.media_type, headers=headers)

    return asset
