"""The FastAPI application and its server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.requests import ClientDisconnect
from typing_extensions import override

from bot.web.bodies import TooLarge, collect
from bot.web.hooks import Answer, HookReceiver, Incoming

Ready = Callable[[], Awaitable[Mapping[str, Any]]]
SlackEntry = Callable[[Request], Awaitable[Response]]


def make_site(
    receiver: HookReceiver,
    *,
    metrics: CollectorRegistry,
    ready: Ready,
    max_waiting: int,
    slack: SlackEntry | None = None,
) -> FastAPI:
    """Return the application. `slack` is mounted where Slack speaks HTTP to us."""
    site = FastAPI(title="Tocsin", docs_url=None, redoc_url=None, openapi_url=None)
    waiting = 0

    async def hook(request: Request) -> Response:
        nonlocal waiting
        if waiting >= max_waiting:
            return _answer(Answer(status=503, body={"error": "overloaded; try again"}))
        waiting += 1
        try:
            return _answer(await _receive(receiver, request.path_params["plugin"], request))
        finally:
            waiting -= 1

    # A plain route: there is nothing here for FastAPI to read and check on each request.
    site.add_route("/hooks/{plugin}", hook, methods=["POST"])

    @site.get("/healthz")
    async def health() -> Response:
        return PlainTextResponse("ok")

    @site.get("/readyz")
    async def readiness() -> Response:
        state = await ready()
        return JSONResponse(dict(state), status_code=200 if state["ready"] else 503)

    @site.get("/metrics")
    async def expose() -> Response:
        return Response(generate_latest(metrics), media_type=CONTENT_TYPE_LATEST)

    if slack is not None:
        site.post("/slack/events")(slack)
    return site


async def _receive(receiver: HookReceiver, plugin: str, request: Request) -> Answer:
    headers = {k.lower(): v for k, v in request.headers.items()}
    sender = request.client.host if request.client else ""
    refusal = receiver.authentic(plugin, headers, sender)
    if refusal is not None:
        return refusal
    too_large = Answer(
        status=413, body={"error": f"body: is larger than {receiver.max_bytes} bytes"}
    )
    length = headers.get("content-length", "")
    if _more(length, receiver.max_bytes):
        return too_large
    try:
        body = await collect(request.stream(), limit=receiver.max_bytes)
    except TooLarge:
        return too_large
    except ClientDisconnect:
        return Answer(status=400, body={"error": "body: ends early"})
    return await receiver.take(Incoming(plugin=plugin, body=body, headers=headers, sender=sender))


def _more(length: str, limit: int) -> bool:
    """Say whether a declared length is beyond a limit; a wrong declaration says nothing."""
    if not (length.isascii() and length.isdigit()):
        return False
    return len(length) > 20 or int(length) > limit


def _answer(answer: Answer) -> Response:
    return JSONResponse(dict(answer.body), status_code=answer.status)


class _Quiet(uvicorn.Server):
    """A server that leaves the process's signals to the application, and says when it is up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


class WebServer:
    """Serves the application within the running event loop."""

    def __init__(self, site: FastAPI, *, host: str, port: int) -> None:
        config = uvicorn.Config(
            site, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=5
        )
        self._server = _Quiet(config)
        self._address = (host, port)
        self._socket: socket.socket | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Bind and begin to serve.

        Raises:
            OSError: the address is taken.
        """
        family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        # asyncio sets TCP_NODELAY only where the protocol is named; without it answers
        # wait some 40 ms for the sender's delayed acknowledgement.
        self._socket = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind(self._address)
        except OSError as error:
            self._socket.close()
            host, port = self._address
            raise OSError(f"web: cannot listen on {host}:{port}: {error.strerror}") from None
        self._task = asyncio.create_task(self._server.serve([self._socket]), name="web")
        up = asyncio.create_task(self._server.up.wait())
        await asyncio.wait({up, self._task}, return_when=asyncio.FIRST_COMPLETED)
        up.cancel()

    @property
    def url(self) -> str:
        """Return the address it listens on."""
        if self._socket is None:
            raise RuntimeError("the web server is not started")
        host, port = self._socket.getsockname()[:2]
        shown = "127.0.0.1" if host == "0.0.0.0" else host
        return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"

    async def stop(self) -> None:
        """Finish the requests under way and stop."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
