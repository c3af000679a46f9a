"""Socket Mode: the connection over which Slack sends without reaching in from outside."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import aiohttp
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.ports import ChatError
from bot.slack.api import is_local

log = logging.getLogger(__name__)

PING_INTERVAL = 5.0  # seconds; also how long a lost connection goes unnoticed


class Socket:
    """Holds the Socket Mode connection and its reconnections."""

    def __init__(self, app: AsyncApp, *, app_token: str, client: AsyncWebClient) -> None:
        self._handler = AsyncSocketModeHandler(
            app, app_token, web_client=client, ping_interval=PING_INTERVAL
        )
        self._client = self._handler.client
        self._app_token = app_token
        if is_local(client.base_url):
            self._client.proxy = None  # The SDK takes one from the environment for any address.

    async def open(self) -> None:
        """Connect.

        Raises:
            ChatError: the app token is not accepted. Without asking here the SDK
                would try for ever.
        """
        try:
            answer = await self._client.web_client.apps_connections_open(app_token=self._app_token)
        except SlackApiError as error:
            raise ChatError(str(error.response.get("error")), "the app token") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ChatError("unreachable", type(error).__name__) from error
        await self._watch()
        self._client.wss_uri = answer["url"]
        await self._handler.connect_async()  # type: ignore[no-untyped-call]  # the SDK is

    async def close(self) -> None:
        """Disconnect."""
        await self._handler.close_async()  # type: ignore[no-untyped-call]  # the SDK is

    async def connected(self) -> bool:
        """Say whether Slack can reach us now."""
        return await self._client.is_connected()

    async def _watch(self) -> None:
        """Have a new address asked for whenever one did not work.

        An address works once and for seconds only, and the SDK would use the
        same one again after a failure, for ever.
        """
        trace = aiohttp.TraceConfig()
        trace.on_request_exception.append(self._forget)
        trace.on_request_end.append(self._forget_refused)
        await self._client.aiohttp_client_session.close()
        self._client.aiohttp_client_session = aiohttp.ClientSession(trace_configs=[trace])

    async def _forget(
        self,
        session: aiohttp.ClientSession,
        context: SimpleNamespace,
        params: aiohttp.TraceRequestExceptionParams,
    ) -> None:
        self._client.wss_uri = None

    async def _forget_refused(
        self,
        session: aiohttp.ClientSession,
        context: SimpleNamespace,
        params: aiohttp.TraceRequestEndParams,
    ) -> None:
        if params.response.status != 101:  # Switching Protocols
            self._client.wss_uri = None
