"""Slack's Web API: one session, one place where calls fail, and the methods in use.

`METHODS` names every method with the scopes it needs; the manifest is made from
it, so that the app asks for exactly what it uses.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bot.ports import ChatError
from bot.slack.retries import ConnectionRetry, RateLimitRetry

log = logging.getLogger(__name__)

_HISTORY = frozenset({"channels:history", "groups:history", "im:history"})

METHODS: Mapping[str, frozenset[str]] = {
    "auth.test": frozenset(),
    "chat.postMessage": frozenset({"chat:write"}),
    "chat.update": frozenset({"chat:write"}),
    "chat.postEphemeral": frozenset({"chat:write"}),
    "chat.getPermalink": frozenset(),
    "conversations.create": frozenset({"channels:manage"}),
    "conversations.history": _HISTORY,
    "conversations.invite": frozenset({"channels:manage"}),
    "conversations.join": frozenset({"channels:join"}),
    "conversations.list": frozenset({"channels:read", "groups:read"}),
    "conversations.open": frozenset({"im:write"}),
    "conversations.replies": _HISTORY,
    "conversations.setTopic": frozenset({"channels:manage"}),
    "pins.add": frozenset({"pins:write"}),
    "reactions.add": frozenset({"reactions:write"}),
    "usergroups.list": frozenset({"usergroups:read"}),
    "users.info": frozenset({"users:read"}),
    "users.lookupByEmail": frozenset({"users:read.email"}),
    "views.open": frozenset(),
    "views.publish": frozenset(),
    "views.update": frozenset(),
}

# How the SDK itself sends them: Slack takes JSON for some methods only.
_IN_JSON = frozenset(
    {
        "chat.postMessage",
        "chat.update",
        "chat.postEphemeral",
        "views.open",
        "views.publish",
        "views.update",
    }
)
_READS = frozenset(
    {
        "chat.getPermalink",
        "conversations.history",
        "conversations.list",
        "conversations.replies",
        "usergroups.list",
        "users.info",
        "users.lookupByEmail",
    }
)
_PERHAPS_DONE = frozenset({"internal_error", "fatal_error", "request_timeout"})
_TIMEOUT = aiohttp.ClientTimeout(total=10)  # seconds


class Uncertain(ChatError):
    """A call that failed in a way that leaves open whether it took effect."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who we are in the workspace."""

    user: str
    bot: str
    team: str
    url: str


class Api:
    """Calls Slack's Web API with one shared session.

    Rate limits are waited for; lost connections are tried again where a second
    call cannot do a thing twice.
    """

    def __init__(self, token: str, *, base_url: str) -> None:
        self.token = token
        self._base_url = base_url
        self._client: AsyncWebClient | None = None
        self._identity: Identity | None = None

    async def open(self) -> Identity:
        """Open the session and ask Slack who we are.

        Raises:
            ChatError: the token is not accepted, or Slack cannot be reached.
        """
        session = aiohttp.ClientSession(timeout=_TIMEOUT)
        self._client = self.client(session=session, token=self.token)
        try:
            answer = await self.call("auth.test")
        except ChatError:
            await self.close()
            raise
        self._identity = Identity(
            user=answer["user_id"],
            bot=answer.get("bot_id", ""),
            team=answer.get("team_id", ""),
            url=answer.get("url", ""),
        )
        return self._identity

    async def close(self) -> None:
        """Close the session."""
        if self._client and self._client.session:
            await self._client.session.close()
        self._client = None

    @property
    def identity(self) -> Identity:
        """Return who we are; known once the session is open."""
        if self._identity is None:
            raise ChatError("not_started")
        return self._identity

    @property
    def session(self) -> aiohttp.ClientSession:
        """Return the one session of all clients."""
        session = self._client.session if self._client else None
        if session is None:
            raise ChatError("not_started")
        return session

    def client(self, *, session: aiohttp.ClientSession, token: str | None) -> AsyncWebClient:
        """Make an SDK client on a session, with our retry rules."""
        client = AsyncWebClient(
            token=token,
            base_url=self._base_url,
            session=session,
            retry_handlers=[RateLimitRetry(), ConnectionRetry()],
        )
        if is_local(self._base_url):
            client.proxy = None  # The SDK takes one from the environment for any address.
        return client

    async def call(self, method: str, **arguments: Any) -> Mapping[str, Any]:
        """Call one of `METHODS` and return Slack's answer.

        Raises:
            ChatError: Slack refused, with its word for it.
            Uncertain: nobody knows whether the call took effect.
        """
        assert method in METHODS, f"{method} has no scopes in METHODS"  # noqa: S101 our own slip
        if self._client is None:
            raise ChatError("not_started")
        given = {name: value for name, value in arguments.items() if value is not None}
        try:
            if method in _IN_JSON:
                response = await self._client.api_call(method, json=given)
            else:
                verb = "GET" if method in _READS else "POST"
                response = await self._client.api_call(
                    method, http_verb=verb, params=_worded(given)
                )
        except SlackApiError as error:
            raise _refusal(error) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Uncertain("unreachable", f"{method}: {type(error).__name__}") from error
        return response.data if isinstance(response.data, dict) else {}

    async def call_inside(
        self, method: str, *, channel: str, **arguments: Any
    ) -> Mapping[str, Any]:
        """Call a method that only members of a channel may use.

        A public channel that we were put out of is joined again: one careless
        `/remove` must not silence every alert from then on.

        Raises:
            ChatError: as for `call`.
        """
        try:
            return await self.call(method, channel=channel, **arguments)
        except ChatError as error:
            if error.error != "not_in_channel":
                raise
        log.warning("We are not in %s any more, and join it again", channel)
        await self.call("conversations.join", channel=channel)
        return await self.call(method, channel=channel, **arguments)

    async def respond(self, url: str, payload: Mapping[str, Any]) -> None:
        """Answer an interaction at its response address, for the acting person only."""
        webhook = AsyncWebhookClient(url, session=self.session, retry_handlers=[RateLimitRetry()])
        if is_local(url):
            webhook.proxy = None
        body = {**payload, "response_type": "ephemeral", "replace_original": False}
        try:
            response = await webhook.send_dict(body)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Uncertain("unreachable", type(error).__name__) from error
        if response.status_code != 200:
            raise ChatError("response_url", f"HTTP {response.status_code} {response.body[:100]}")


def _worded(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in arguments.items()
    }


def is_local(url: str) -> bool:
    """Say whether an address is on this machine."""
    return urlsplit(url).hostname in {"127.0.0.1", "localhost", "::1"}


def _refusal(error: SlackApiError) -> ChatError:
    # The SDK also puts bare responses there, when the body was not JSON.
    data = getattr(error.response, "data", None)
    word = data.get("error") if isinstance(data, dict) else None
    if not word:
        status = getattr(error.response, "status_code", getattr(error.response, "status", 0))
        return Uncertain(f"http_{status}")
    assert isinstance(data, dict)  # noqa: S101 for mypy: there is a word only then
    needed = f"needs {data['needed']}" if data.get("needed") else ""
    messages = (data.get("response_metadata") or {}).get("messages") or ()
    detail = "; ".join([needed, *map(str, messages)]).strip("; ")
    return (Uncertain if word in _PERHAPS_DONE else ChatError)(str(word), detail)
