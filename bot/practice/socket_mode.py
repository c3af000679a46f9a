"""Socket Mode: the web sockets over which apps receive envelopes and acknowledge them.

Each envelope goes to one of an app's connections in turn. Interactions and commands must be
acknowledged within three seconds; events are sent again when they are not.
"""

import asyncio
import json
import logging
import uuid
from dataclasses import dataclass

from aiohttp import WSCloseCode, WSMsgType, web
from typing_extensions import override

from bot.practice.courier import RETRY_DELAYS, Courier
from bot.practice.errors import NotAcknowledged, SlackError
from bot.practice.records import Envelope, InstalledApp, Json
from bot.practice.state import State

log = logging.getLogger(__name__)
MOST_CONNECTIONS = 10


@dataclass(slots=True, eq=False)
class Connection:
    """One open web socket of an app; `leaving` once it was asked to reconnect."""

    app: InstalledApp
    socket: web.WebSocketResponse
    leaving: bool = False


class SocketMode(Courier):
    """Deliver envelopes over web sockets."""

    def __init__(self, state: State, *, retry_delays: tuple[float, ...] = RETRY_DELAYS) -> None:
        super().__init__(state, retry_delays=retry_delays)
        self.connections: list[Connection] = []
        self._tickets: dict[str, str] = {}
        self._waiting: dict[str, asyncio.Future[Json | None]] = {}
        self._turn = 0

    def ticket(self, app: InstalledApp) -> str:
        """Give the path under which the app may open one connection.

        Raises:
            SlackError: the app is not in Socket Mode, or has ten connections already.
        """
        if not app.socket_mode:
            raise SlackError("forbidden_team")
        if len(self._of(app)) >= MOST_CONNECTIONS:
            raise SlackError("too_many_websockets")
        ticket = uuid.uuid4().hex
        self._tickets[ticket] = app.id
        return f"/link/?ticket={ticket}&app_id={app.id}"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection until it closes."""
        app = self.state.apps.get(self._tickets.pop(request.query.get("ticket", ""), ""))
        if app is None:
            return web.Response(status=404, text="This link was used or never given.\n")
        socket = web.WebSocketResponse(heartbeat=30.0)
        await socket.prepare(request)
        connection = Connection(app, socket)
        self.connections.append(connection)
        try:
            await socket.send_json(self._hello(app))
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._acknowledge(message.data)
        finally:
            self.connections.remove(connection)
        return socket

    def _hello(self, app: InstalledApp) -> Json:
        return {
            "type": "hello",
            "num_connections": len(self._of(app)),
            "debug_info": {
                "host": "applink-practice",
                "build_number": 1,
                "approximate_connection_time": 18060,
            },
            "connection_info": {"app_id": app.id},
        }

    def _acknowledge(self, data: str) -> None:
        try:
            answer = json.loads(data)
        except ValueError:
            log.warning("an app sent something that is not JSON over its web socket")
            return
        envelope_id = answer.get("envelope_id") if isinstance(answer, dict) else None
        envelope = next(
            (e for e in reversed(self.state.envelopes) if e.envelope_id == envelope_id), None
        )
        if envelope is None:
            return
        payload = answer.get("payload") or None
        if envelope.acked_at is None:
            envelope.acked_at = self.state.clock()
            envelope.response = payload
        waiting = self._waiting.get(envelope.envelope_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(payload)

    @override
    async def carry(self, app: InstalledApp, envelope: Envelope) -> Json | None:
        connection = self._choose(app)
        if connection is None:
            raise NotAcknowledged("dispatch_failed")
        self.state.envelopes.append(envelope)
        answer: asyncio.Future[Json | None] = asyncio.get_running_loop().create_future()
        self._waiting[envelope.envelope_id] = answer
        try:
            for _ in range(max(1, self.state.repeat)):
                await connection.socket.send_json(_wire(envelope))
            return await asyncio.wait_for(answer, self.acknowledge_seconds)
        except ConnectionError:
            raise NotAcknowledged("dispatch_failed") from None
        except TimeoutError:
            raise NotAcknowledged("operation_timeout") from None
        finally:
            del self._waiting[envelope.envelope_id]

    def _of(self, app: InstalledApp) -> list[Connection]:
        return [c for c in self.connections if c.app is app and not c.socket.closed]

    def _choose(self, app: InstalledApp) -> Connection | None:
        open_ones = self._of(app)
        staying = [c for c in open_ones if not c.leaving] or open_ones
        if not staying:
            return None
        self._turn += 1
        return staying[self._turn % len(staying)]

    async def repeat_last(self) -> None:
        """Send the newest envelope once more, unchanged.

        Raises:
            NotAcknowledged: no app is connected.
        """
        envelope = self.state.envelopes[-1]
        connection = self._choose(self.state.apps[envelope.app_id])
        if connection is None:
            raise NotAcknowledged("dispatch_failed")
        await connection.socket.send_json(_wire(envelope))

    async def ask_to_reconnect(self, reason: str = "refresh_requested") -> None:
        """Tell every connection that it may soon go away (`warning`) or has to go now."""
        goodbye = {"type": "disconnect", "reason": reason,
                   "debug_info": {"host": "applink-practice"}}  # fmt: skip
        for connection in list(self.connections):
            connection.leaving = reason != "warning"
            await connection.socket.send_json(goodbye)

    async def drop(self) -> None:
        """Close every connection without a word."""
        for connection in list(self.connections):
            await connection.socket.close(code=WSCloseCode.GOING_AWAY)

    @override
    async def stop(self) -> None:
        await super().stop()
        await self.drop()


def _wire(envelope: Envelope) -> Json:
    sent: Json = {
        "envelope_id": envelope.envelope_id,
        "payload": envelope.payload,
        "type": envelope.type,
        "accepts_response_payload": envelope.accepts_response_payload,
    }
    if envelope.type == "events_api":
        sent |= {
            "retry_attempt": envelope.retry_attempt,
            "retry_reason": envelope.retry_reason,
        }
    return sent
