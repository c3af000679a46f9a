"""The Slack adapter as a whole: out through `chat`, in through Socket Mode or HTTP."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

from pydantic import SecretStr
from slack_bolt.adapter.starlette.async_handler import AsyncSlackRequestHandler
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from starlette.requests import Request
from starlette.responses import Response

from bot.domain.people import ChannelId
from bot.ports import ChatError, Clock
from bot.settings import SettingsError, SlackSection
from bot.slack.api import Api, Identity
from bot.slack.chat import SlackChat
from bot.slack.directory import Directory
from bot.slack.handlers import SlackHandlers
from bot.slack.listeners import Listeners
from bot.slack.observed import Observer
from bot.slack.queue import ChannelQueues
from bot.slack.replies import Replies
from bot.slack.socket import Socket

log = logging.getLogger(__name__)

_PATIENCE = 5.0  # seconds for work in hand when stopping


class SlackAdapter:
    """Connects the assistant to one Slack workspace.

    `chat` can be handed out at once and works between `start` and `stop`.
    `listen` comes after `start`, when the handlers are known. `accounts` names,
    by id, the first account of somebody who has several.
    """

    def __init__(
        self, settings: SlackSection, clock: Clock, accounts: Mapping[str, str] | None = None
    ) -> None:
        self._settings = settings
        self._now: Callable[[], datetime] = clock.now
        self._api = Api(_secret(settings, "bot_token"), base_url=settings.api_url)
        self._queues = ChannelQueues()
        self.chat = SlackChat(
            self._api,
            directory=Directory(self._api, clock.now, accounts),
            queues=self._queues,
            now=clock.now,
        )
        self._listeners: Listeners | None = None
        self._socket: Socket | None = None
        self._requests: AsyncSlackRequestHandler | None = None

    async def start(self) -> Identity:
        """Open the session and make sure that the token is good.

        Raises:
            SettingsError: Slack does not accept the bot token.
            ChatError: Slack cannot be reached.
        """
        try:
            identity = await self._api.open()
        except ChatError as error:
            if error.error in {"invalid_auth", "not_authed", "account_inactive", "token_revoked"}:
                raise SettingsError(
                    [f"slack.bot_token: Slack does not accept it ({error.error})"]
                ) from error
            raise
        log.info("Connected to %s as %s", identity.url or identity.team, identity.user)
        return identity

    async def listen(self, handlers: SlackHandlers) -> None:
        """Take what Slack sends to the handlers, until `stop`.

        Raises:
            SettingsError: the secret that the mode needs is missing or refused.
        """
        app = self._bolt()
        self._listeners = Listeners(
            handlers,
            chat=self.chat,
            replies=Replies(self._api, self._now),
            observer=Observer(
                chat=self.chat,
                pin_emojis=self._settings.pin_emojis,
                own_user=lambda: self._api.identity.user,
            ),
            now=self._now,
        )
        self._listeners.register(app)
        if self._settings.mode == "http":
            self._requests = AsyncSlackRequestHandler(app)
            return
        self._socket = Socket(
            app, app_token=_secret(self._settings, "app_token"), client=app.client
        )
        try:
            await self._socket.open()
        except ChatError as error:
            raise SettingsError([f"slack.app_token: Slack does not accept it ({error})"]) from error

    async def stop(self) -> None:
        """Stop listening, let the work in hand end, say what is still to be said."""
        if self._socket:
            await self._socket.close()
            self._socket = None
        if self._listeners:
            await self._listeners.drain(_PATIENCE)
        await self._queues.drain()
        await self._api.close()

    async def connected(self) -> bool:
        """Say whether Slack can reach us: for the health page."""
        if self._socket:
            return await self._socket.connected()
        return self._requests is not None

    async def channel_named(self, name: str) -> ChannelId | None:
        """Return a channel by its name, joining it if it is public; None if there is none."""
        return await self.chat.channel_named(name)

    async def handle(self, request: Request) -> Response:
        """Answer one request of Slack's in HTTP mode, sent to `manifest.PATH`."""
        if self._requests is None:
            return Response("Not in HTTP mode.\n", status_code=404)
        return await self._requests.handle(request)

    def _bolt(self) -> AsyncApp:
        """Make the Bolt app. It learns from us who we are, so that nothing delays the first ack."""
        secret = _secret(self._settings, "signing_secret") if self._settings.mode == "http" else ""
        return AsyncApp(
            name="tocsin",
            client=self._api.client(session=self._api.session, token=None),
            authorize=_authorized(self._api),
            signing_secret=secret,
            request_verification_enabled=self._settings.mode == "http",
        )


def _authorized(api: Api) -> Callable[..., Awaitable[AuthorizeResult]]:
    async def authorize() -> AuthorizeResult:
        identity = api.identity
        return AuthorizeResult(
            enterprise_id=None,
            team_id=identity.team,
            bot_user_id=identity.user,
            bot_id=identity.bot,
            bot_token=api.token,
        )

    return authorize


def _secret(settings: SlackSection, name: str) -> str:
    secret: SecretStr | None = getattr(settings, name)
    if secret is None or not secret.get_secret_value().strip():
        raise SettingsError([f"slack.{name}: is missing; set TOCSIN_SLACK__{name.upper()}"])
    return secret.get_secret_value().strip()
