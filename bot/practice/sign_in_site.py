"""The HTTP side of signing in: discovery, keys, the page with people to choose from, tokens."""

from urllib.parse import urlsplit

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bot.practice.sign_in import SignIn, SignInError
from bot.practice.site import PAGE

_PAGE = "sign_in.html.j2"


def sign_in_routes(sign_in: SignIn) -> list[web.RouteDef]:
    """Give the routes; the token's one stands beside the Web API, as at Slack."""

    async def metadata(request: web.Request) -> web.StreamResponse:
        return web.json_response(sign_in.metadata())

    async def keys(request: web.Request) -> web.StreamResponse:
        return web.json_response({"keys": [sign_in.key.public]})

    async def ask(request: web.Request) -> web.StreamResponse:
        try:
            wish = sign_in.wish(request.query)
        except SignInError as refused:
            return _page(sign_in, status=400, error=refused.code)
        fields = [(name, value) for name, value in request.query.items() if name != "user"]
        back = "{0.scheme}://{0.netloc}".format(urlsplit(wish.redirect_uri))
        return _page(sign_in, fields=fields, back=back)

    async def choose(request: web.Request) -> web.StreamResponse:
        form = {name: str(value) for name, value in (await request.post()).items()}
        try:
            wish = sign_in.wish(form)
        except SignInError as refused:
            return _page(sign_in, status=400, error=refused.code)
        if "decline" in form:
            raise web.HTTPFound(sign_in.deny(wish))
        person = next((p for p in sign_in.humans() if p.id == form.get("user")), None)
        if person is None:
            return _page(sign_in, status=400, error="user_not_found")
        raise web.HTTPFound(sign_in.grant(wish, person))

    async def token(request: web.Request) -> web.StreamResponse:
        form = {name: str(value) for name, value in (await request.post()).items()}
        try:
            answer = sign_in.exchange(form, request.headers.get("Authorization"))
        except SignInError as refused:
            # Slack answers its errors with 200.
            return web.json_response({"ok": False, "error": refused.code}, headers=_FRESH)
        return web.json_response(answer, headers=_FRESH)

    return [
        web.get("/.well-known/openid-configuration", metadata),
        web.get("/openid/connect/keys", keys),
        web.get("/openid/connect/authorize", ask),
        web.post("/openid/connect/authorize", choose),
        web.post("/api/openid.connect.token", token),
    ]


def _page(
    sign_in: SignIn,
    *,
    status: int = 200,
    error: str = "",
    fields: list[tuple[str, str]] | None = None,
    back: str = "",
) -> web.Response:
    environment = Environment(
        loader=FileSystemLoader(PAGE), undefined=StrictUndefined, autoescape=True
    )
    html = environment.get_template(_PAGE).render(
        team_name=sign_in.state.name, people=sign_in.humans(), error=error, fields=fields or []
    )
    # Browsers hold a form's redirect to the same rule as the form.
    policy = (
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
        f"frame-ancestors 'none'; form-action 'self' {back}"
    ).rstrip()
    headers = {**_FRESH, "Content-Security-Policy": policy}
    return web.Response(text=html, status=status, content_type="text/html", headers=headers)


_FRESH = {"Cache-Control": "no-store"}
