"""The HTTP interface of the page: what it reads, what it sends, and the stream of changes."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from bot.practice import page_acts
from bot.practice.errors import Refusal, SlackError
from bot.practice.page_json import (
    bookmarks_page,
    channel_page,
    message_page,
    person_page,
    pins_page,
)
from bot.practice.panels import Panel, panel_json
from bot.practice.people import Actor, explain
from bot.practice.records import Channel, Json
from bot.practice.workspace import Workspace

KEEP_ALIVE_SECONDS = 15.0


def page_routes(workspace: Workspace, panels: Sequence[Panel]) -> list[web.RouteDef]:
    """Give the routes under `/practice/`."""
    reader = PageReader(workspace, panels)
    return [
        web.get("/practice/state", reader.state),
        web.get("/practice/channels/{channel}", reader.channel),
        web.get("/practice/channels/{channel}/threads/{ts}", reader.thread),
        web.get("/practice/panels/{panel}", reader.panel),
        web.post("/practice/panels/{panel}/press", reader.press_panel),
        web.get("/practice/events", reader.events),
        *(web.post(path, _posting(workspace, act)) for path, act in page_acts.ACTS.items()),
    ]


def _posting(
    workspace: Workspace, act: page_acts.Act
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handler(request: web.Request) -> web.StreamResponse:
        try:
            body = await _json(request)
            actor = _actor(workspace, body.get("as"))
            answer = await act(workspace, actor, {**body, **request.match_info})
        except Refusal as refused:
            return web.json_response({"ok": False, "error": str(refused)})
        except SlackError as refused:
            return web.json_response({"ok": False, "error": explain(refused)})
        return web.json_response({"ok": True, **answer})

    return handler


async def _json(request: web.Request) -> Json:
    if request.content_type != "application/json":
        raise Refusal("The page has to send JSON.")
    try:
        body = await request.json()
    except ValueError:
        raise Refusal("The page sent something that is not JSON.") from None
    if not isinstance(body, dict):
        raise Refusal("The page has to send a JSON object.")
    return body


def _actor(workspace: Workspace, user_id: object) -> Actor:
    person = workspace.people.get(str(user_id))
    if person is None or person.is_bot:
        raise Refusal("Choose a person to act as.")
    return workspace.person(person.id)


class PageReader:
    """Answer what the page asks for."""

    def __init__(self, workspace: Workspace, panels: Sequence[Panel]) -> None:
        self._workspace = workspace
        self._panels = {panel.id: panel for panel in panels}

    async def state(self, request: web.Request) -> web.StreamResponse:
        """Answer with everything but messages, as the first person where nobody is named."""
        workspace = self._workspace
        me = self._viewer(request) if "as" in request.query else self._first_person()
        apps = list(workspace.apps.values())
        return web.json_response(
            {
                "team": {"name": workspace.name},
                "me": me,
                "people": [person_page(person) for person in workspace.people.values()],
                "usergroups": [
                    {"id": group.id, "handle": group.handle, "name": group.name}
                    for group in workspace.usergroups.values()
                ],
                "channels": [
                    channel_page(channel, viewer=me)
                    for channel in workspace.channels.values()
                    if workspace.may_see(me, channel)
                ],
                "commands": [
                    {"command": c.command, "description": c.description, "usage_hint": c.usage_hint}
                    for app in apps
                    for c in app.commands
                ],
                "shortcuts": [
                    {"callback_id": s.callback_id, "name": s.name, "description": s.description,
                     "type": s.kind}
                    for app in apps
                    for s in app.shortcuts
                ],
                "app": {"name": apps[0].name, "bot_user_id": apps[0].bot_user_id,
                        "color": apps[0].color} if apps else None,
                "panels": [{"id": p.id, "title": p.title} for p in self._panels.values()],
            }
        )  # fmt: skip

    async def channel(self, request: web.Request) -> web.StreamResponse:
        """Answer with a channel's messages, oldest first, replies only where broadcast."""
        workspace, me, channel = self._workspace, self._viewer(request), self._channel(request)
        seen = workspace.person(me).sees(channel.id)
        return web.json_response(
            {
                "channel": channel_page(channel, viewer=me),
                "messages": [message_page(workspace, m) for m in seen if m.is_listed],
                "pins": pins_page(workspace, channel),
                "members": channel.members,
                "bookmarks": bookmarks_page(channel),
            }
        )

    async def thread(self, request: web.Request) -> web.StreamResponse:
        """Answer with a thread."""
        workspace, me, channel = self._workspace, self._viewer(request), self._channel(request)
        ts = request.match_info["ts"]
        root = workspace.find_message(channel.id, ts)
        if root is None:
            raise web.HTTPNotFound(text="There is no such message.\n")
        seen = workspace.person(me).sees(channel.id)
        replies = [m for m in seen if m.thread_ts == ts and m.ts != ts]
        return web.json_response(
            {
                "root": message_page(workspace, root),
                "replies": [message_page(workspace, message) for message in replies],
            }
        )

    async def panel(self, request: web.Request) -> web.StreamResponse:
        """Answer with a panel's status."""
        panel = self._panel(request)
        return web.json_response(panel_json(panel, await panel.status()))

    async def press_panel(self, request: web.Request) -> web.StreamResponse:
        """Press a button of a panel."""
        panel = self._panel(request)
        try:
            body = await _json(request)
            text = await panel.press(str(body.get("button")))
        except Refusal as refused:
            return web.json_response({"ok": False, "error": str(refused), "text": str(refused)})
        return web.json_response({"ok": True, "text": text})

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Stream what happens, as server-sent events."""
        me = self._viewer(request)
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        await response.prepare(request)
        with self._workspace.audience.watch(me) as queue:
            try:
                await response.write(b": connected\n\n")
                while (line := await _next_line(queue)) is not None:
                    await response.write(line)
            except ConnectionError:
                return response
        return response

    def _first_person(self) -> str:
        humans = (person.id for person in self._workspace.people.values() if not person.is_bot)
        return next(humans, "")

    def _viewer(self, request: web.Request) -> str:
        try:
            return _actor(self._workspace, request.query.get("as")).id
        except Refusal as refused:
            raise web.HTTPBadRequest(text=f"as: {refused}\n") from None

    def _channel(self, request: web.Request) -> Channel:
        channel = self._workspace.channels.get(request.match_info["channel"])
        if channel is None or not self._workspace.may_see(self._viewer(request), channel):
            raise web.HTTPNotFound(text="There is no such channel.\n")
        return channel

    def _panel(self, request: web.Request) -> Panel:
        panel = self._panels.get(request.match_info["panel"])
        if panel is None:
            raise web.HTTPNotFound(text="There is no such panel.\n")
        return panel


async def _next_line(queue: asyncio.Queue[Json | None]) -> bytes | None:
    try:
        event = await asyncio.wait_for(queue.get(), KEEP_ALIVE_SECONDS)
    except TimeoutError:
        return b": still here\n\n"
    return None if event is None else f"data: {json.dumps(event)}\n\n".encode()
