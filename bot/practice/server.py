"""The practice server: one port with the Web API, Socket Mode, response URLs, sign-in, the page."""

import logging
from collections.abc import Sequence
from typing import Self

import aiohttp
from aiohttp import web

from bot.practice.api.server import api_routes
from bot.practice.courier import RETRY_DELAYS
from bot.practice.delivery import Nowhere
from bot.practice.files import file_routes
from bot.practice.http_mode import HttpMode
from bot.practice.page_api import page_routes
from bot.practice.panels import Panel
from bot.practice.sign_in import SignIn
from bot.practice.sign_in_site import sign_in_routes
from bot.practice.site import own_page_only, site_routes
from bot.practice.socket_mode import SocketMode
from bot.practice.workspace import Workspace

log = logging.getLogger(__name__)
MOST_BYTES = 64 * 1024 * 1024


class PracticeServer:
    """Serve a workspace on this machine.

    With `events_url` apps are called by signed HTTP requests; without it they connect by Socket
    Mode. `retry_delays` are the waits in seconds before an unacknowledged event is sent again.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        panels: Sequence[Panel] = (),
        events_url: str | None = None,
        retry_delays: tuple[float, ...] = RETRY_DELAYS,
    ) -> None:
        self.workspace = workspace
        self.panels = tuple(panels)
        self.sign_in = SignIn(workspace)
        self.socket_mode = SocketMode(workspace, retry_delays=retry_delays)
        self._host = host
        self._port = port
        self._events_url = events_url
        self._retry_delays = retry_delays
        self._http: HttpMode | None = None
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Give the address of the page."""
        return self.workspace.base_url

    @property
    def api_url(self) -> str:
        """Give the base URL for a Slack client."""
        return self.workspace.base_url + "/api/"

    async def start(self) -> None:
        """Bind the port and begin to deliver."""
        application = web.Application(client_max_size=MOST_BYTES, middlewares=[own_page_only])
        application.add_routes(sign_in_routes(self.sign_in))
        application.add_routes(api_routes(self.workspace, self.socket_mode))
        application.add_routes(file_routes(self.workspace))
        application.add_routes(page_routes(self.workspace, self.panels))
        application.add_routes(site_routes(self.workspace))
        application.router.add_get("/link/", self.socket_mode.handle)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        shown = "127.0.0.1" if self._host in ("0.0.0.0", "") else self._host
        port = self._runner.addresses[0][1]
        self.workspace.base_url = f"http://{shown}:{port}"
        self._session = aiohttp.ClientSession()
        self._connect()
        log.info("practice workspace at %s", self.url)

    def _connect(self) -> None:
        if self._events_url is None or self._session is None:
            self.workspace.delivery = self.socket_mode
            return
        self._http = HttpMode(
            self.workspace,
            self._events_url,
            session=self._session,
            retry_delays=self._retry_delays,
        )
        self.workspace.delivery = self._http

    async def stop(self) -> None:
        """Close every connection and free the port."""
        self.workspace.audience.dismiss()
        await self.socket_mode.stop()
        if self._http is not None:
            await self._http.stop()
        self.workspace.delivery = Nowhere()
        if self._session is not None:
            await self._session.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def drop_connections(self) -> None:
        """Cut all web sockets, as a network does."""
        await self.socket_mode.drop()

    async def ask_to_reconnect(self, reason: str = "refresh_requested") -> None:
        """Ask all web sockets to reconnect, as Slack does every few hours."""
        await self.socket_mode.ask_to_reconnect(reason)

    async def repeat_last_envelope(self) -> None:
        """Send the newest envelope once more, unchanged."""
        await self.socket_mode.repeat_last()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
