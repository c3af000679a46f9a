"""The HTTP side of the Web API: tokens, arguments however they come, rate limits, the record."""

import json

from aiohttp import web

from bot.practice.api.call import Call
from bot.practice.api.methods import METHODS
from bot.practice.errors import SlackError
from bot.practice.records import ApiCall, InstalledApp, Json
from bot.practice.response_url import answer_url
from bot.practice.socket_mode import SocketMode
from bot.practice.state import State

_PER_CHANNEL = frozenset({"chat.postMessage", "chat.update"})
_NUMBERS = frozenset({"limit", "length", "count", "page"})
_FLAGS = frozenset(
    (
        "exclude_archived", "force", "full", "include_all_metadata", "include_count",
        "include_disabled", "include_locale", "include_num_members", "include_users", "inclusive",
        "is_private", "mrkdwn", "prevent_creation", "reply_broadcast", "return_im",
        "unfurl_links", "unfurl_media",
    )
)  # fmt: skip
_PLAIN = frozenset({"text", "topic", "purpose", "title", "initial_comment", "name", "filename"})


class RateLimits:
    """Refuse calls that come faster than a test allows, as Slack does."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._next: dict[tuple[str, str, str], float] = {}

    def wait(self, app: InstalledApp, method: str, arguments: Json) -> float:
        """Give the seconds to wait before this call would be taken; 0 takes it."""
        per_second = self._state.limits.get(method)
        if per_second is None:
            return 0.0
        channel = str(arguments.get("channel")) if method in _PER_CHANNEL else ""
        key, now = (app.id, method, channel), self._state.clock()
        if self._next.get(key, now) > now:
            return self._next[key] - now
        self._next[key] = now + 1 / per_second
        return 0.0


def api_routes(state: State, socket_mode: SocketMode) -> list[web.RouteDef]:
    """Give the routes of the Web API and of response URLs."""
    limits = RateLimits(state)

    async def api(request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        try:
            arguments = await read_arguments(request)
        except SlackError as refused:
            return web.json_response(refused.answer())
        token = _token(request, arguments)
        app = _app(state, token)
        if app is not None:
            wait = limits.wait(app, method, arguments)
            if wait > 0:
                return _too_many(state, method, arguments, app=app, wait=wait)
        answer = _answer(state, socket_mode, method, arguments=arguments, token=token)
        headers = {"X-OAuth-Scopes": ",".join(app.scopes) if app else ""}
        app_id = app.id if app else None
        state.calls.append(ApiCall(method, arguments, answer, state.clock(), app_id))
        return web.json_response(answer, headers=headers)

    async def respond(request: web.Request) -> web.StreamResponse:
        try:
            answer_url(state, request.match_info["key"], await read_arguments(request))
        except SlackError as refused:
            status = 404 if refused.code.endswith("_url") else 400
            return web.json_response(refused.answer(), status=status)
        return web.json_response({"ok": True})

    return [
        web.route("*", "/api/{method}", api),
        web.post("/response/{key}", respond),
    ]


def _too_many(
    state: State, method: str, arguments: Json, *, app: InstalledApp, wait: float
) -> web.Response:
    answer: Json = {"ok": False, "error": "ratelimited"}
    state.calls.append(ApiCall(method, arguments, answer, state.clock(), app.id))
    headers = {"Retry-After": str(max(1, round(wait + 0.5)))}
    return web.json_response(answer, status=429, headers=headers)


def _answer(
    state: State, socket_mode: SocketMode, method: str, *, arguments: Json, token: str
) -> Json:
    try:
        app = _require_app(state, method, token)
        if method == "apps.connections.open":
            path = socket_mode.ticket(app)
            return {"ok": True, "url": state.base_url.replace("http", "ws", 1) + path}
        call = Call(method, state, app, arguments)
        if method not in METHODS:
            raise SlackError("unknown_method", req_method=method)
        call.check_scope()
        return {"ok": True, **METHODS[method](call)}
    except SlackError as refused:
        return refused.answer()


def _require_app(state: State, method: str, token: str) -> InstalledApp:
    if not token and method == "api.test" and state.apps:
        return next(iter(state.apps.values()))
    if not token:
        raise SlackError("not_authed")
    app = _app(state, token)
    if app is None:
        raise SlackError("invalid_auth")
    for_app = method == "apps.connections.open"
    if for_app != (token == app.app_token):
        raise SlackError("not_allowed_token_type")
    return app


def _app(state: State, token: str) -> InstalledApp | None:
    for app in state.apps.values():
        if token in (app.bot_token, app.app_token):
            return app
    return None


def _token(request: web.Request, arguments: Json) -> str:
    given = str(arguments.pop("token", "") or "")
    header = request.headers.get("Authorization", "")
    return header.removeprefix("Bearer ").strip() if header.startswith("Bearer ") else given


async def read_arguments(request: web.Request) -> Json:
    """Read arguments from the query, a form or JSON; decode what forms carry as text.

    Raises:
        SlackError: `invalid_json`, `json_not_object` or `invalid_form_data`.
    """
    arguments: Json = {name: _decode(name, value) for name, value in request.query.items()}
    if request.method == "GET" or not request.can_read_body:
        return arguments
    if request.content_type == "application/json":
        return arguments | await _json(request)
    try:
        form = await request.post()
    except ValueError:
        raise SlackError("invalid_form_data") from None
    texts = {name: value for name, value in form.items() if isinstance(value, str)}
    if set(texts) == {"payload"}:
        decoded = _decode("payload", texts["payload"])
        return arguments | (decoded if isinstance(decoded, dict) else texts)
    return arguments | {name: _decode(name, value) for name, value in texts.items()}


async def _json(request: web.Request) -> Json:
    try:
        body = await request.json()
    except ValueError:
        raise SlackError("invalid_json") from None
    if not isinstance(body, dict):
        raise SlackError("json_not_object")
    return {name: _decode(name, value) for name, value in body.items() if value is not None}


def _decode(name: str, value: object) -> object:
    """Decode one argument that came as text: JSON, true and false, and counts."""
    if not isinstance(value, str) or name in _PLAIN:
        return value
    if value in ("true", "false") or (name in _FLAGS and value in ("1", "0")):
        return value in ("true", "1")
    if name in _NUMBERS and value.isdigit():
        return int(value)
    if value[:1] in ("[", "{"):
        try:
            decoded: object = json.loads(value)
        except ValueError:
            return value
        return decoded
    return value
