"""The page's own files, and the rule that only this page may act on the workspace."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from bot.practice.state import State

PAGE = Path(__file__).parent / "page"
INDEX = "index.html.j2"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def own_page_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse requests that another web site makes a browser send.

    Apps send no `Origin`; a browser always does with a request that changes something.
    """
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != request.host:
        return web.Response(status=403, text="This workspace only listens to its own page.\n")
    return await handler(request)


def site_routes(state: State) -> list[web.RouteDef]:
    """Give the routes of the page and its assets."""

    async def index(request: web.Request) -> web.StreamResponse:
        if not (PAGE / INDEX).is_file():
            return web.Response(status=404, text="The page of this workspace is not installed.\n")
        environment = Environment(
            loader=FileSystemLoader(PAGE),
            undefined=StrictUndefined,
            autoescape=select_autoescape(["html", "j2"]),
        )
        html = environment.get_template(INDEX).render(team_name=state.name)
        headers = {**_FRESH, "Content-Security-Policy": _POLICY}
        return web.Response(text=html, content_type="text/html", headers=headers)

    async def asset(request: web.Request) -> web.StreamResponse:
        path = (PAGE / request.match_info["path"]).resolve()
        if not path.is_relative_to(PAGE.resolve()) or not path.is_file() or path.suffix == ".j2":
            return web.Response(status=404, text="There is no such file.\n")
        return web.FileResponse(path, headers=_FRESH)

    return [web.get("/", index), web.get("/assets/{path:.+}", asset)]


_FRESH = {"Cache-Control": "no-cache"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' https: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'"
)
