"""The OpenID provider, asked: where people sign in, and whom a code stands for.

OpenID Connect Core 1.0, authorization code flow, with PKCE (RFC 7636). authlib
and joserfc know the protocol; the requests are ours, so that each has a limit of
time and size. "Sign in with Slack" (issuer https://slack.com) differs from the
book in two ways: its token endpoint answers errors with 200 and `ok: false`, and
it offers no PKCE for confidential clients, which is why PKCE is used where
the provider's discovery offers it; state and nonce are always used.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import httpx
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt

from bot.domain.errors import Refused
from bot.ports import Clock
from bot.web.bodies import TooLarge, collect
from bot.web.cookies import Attempt
from bot.web.oidc import OidcSettings, ProviderUnavailable, safe
from bot.web.tokens import UnknownKey, check, unproven, user_of, verified

log = logging.getLogger(__name__)

TIMEOUT = 10.0  # seconds for all requests of one step
_KEPT = timedelta(hours=1)
_MOST_BYTES = 1_000_000
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Provider:
    """Speaks to one provider; remembers its endpoints and keys for an hour."""

    def __init__(self, settings: OidcSettings, clock: Clock, *, timeout: float = TIMEOUT) -> None:
        self._settings = settings
        self._clock = clock
        self._timeout = timeout
        self._kept: dict[str, tuple[datetime, dict[str, Any]]] = {}

    async def authorization_url(self, attempt: Attempt) -> str:
        """Return where to send somebody who wants to sign in.

        Raises:
            ProviderUnavailable: it cannot be asked for its endpoints.
        """
        async with self._client() as client:
            metadata = await self._metadata(client)
        extra = {"nonce": attempt.nonce}
        if _offers_pkce(metadata):
            extra["code_challenge"] = create_s256_code_challenge(attempt.verifier)
            extra["code_challenge_method"] = "S256"
        url = prepare_grant_uri(
            _endpoint(metadata, "authorization_endpoint"),
            self._settings.client_id,
            "code",
            redirect_uri=self._settings.redirect_uri,
            scope=self._settings.scope,
            state=attempt.state,
            **extra,
        )
        return str(url)

    async def identify(self, code: str, attempt: Attempt) -> str:
        """Exchange a code for the id of the person who signed in.

        Raises:
            Refused: the code or the token it brought does not prove anything.
            ProviderUnavailable: the provider cannot be asked.
        """
        async with self._client() as client:
            metadata = await self._metadata(client)
            answer = await self._exchange(client, metadata, code=code, attempt=attempt)
            token = await self._verified(client, metadata, str(answer["id_token"]))
        check(
            token,
            self._settings,
            attempt=attempt,
            access_token=str(answer.get("access_token", "")),
            now=self._clock.now(),
        )
        return user_of(token.claims, self._settings)

    async def _exchange(
        self, client: _Client, metadata: Mapping[str, Any], *, code: str, attempt: Attempt
    ) -> dict[str, Any]:
        proof = {"code_verifier": attempt.verifier} if _offers_pkce(metadata) else {}
        body = prepare_token_request(
            "authorization_code",
            code=code,
            redirect_uri=self._settings.redirect_uri,
            **proof,
        )
        # Where nothing is declared, it is basic (OpenID Connect Discovery 1.0, section 3).
        declared = metadata.get("token_endpoint_auth_methods_supported", ())
        method = "client_secret_post" if "client_secret_post" in declared else "client_secret_basic"
        secret = self._settings.client_secret.get_secret_value()
        auth = ClientAuth(self._settings.client_id, secret, auth_method=method)
        headers = {"Accept": "application/json"} | _FORM
        url, headers, body = auth.prepare(
            "POST", _endpoint(metadata, "token_endpoint"), headers, body
        )
        status, answer = await client.ask("POST", url, headers=headers, content=body)
        if status >= 500:
            raise ProviderUnavailable(f"the token endpoint answered {status}")
        if status != 200 or "error" in answer or not answer.get("id_token"):
            log.warning("sign-in: the provider took no code: %s %.80r", status, answer.get("error"))
            raise Refused("The sign-in was not accepted by the provider; please sign in again.")
        return answer

    async def _verified(self, client: _Client, metadata: Mapping[str, Any], text: str) -> jwt.Token:
        """Verify the signature, with newer keys where the key is not known yet."""
        url = _endpoint(metadata, "jwks_uri")
        try:
            return verified(text, await self._get(client, url))
        except UnknownKey:
            self._kept.pop(url, None)
        try:
            return verified(text, await self._get(client, url))
        except UnknownKey as error:
            raise unproven(error) from None

    async def _metadata(self, client: _Client) -> dict[str, Any]:
        issuer = self._settings.issuer
        # The slash at the end of an issuer is removed first (Discovery 1.0, section 4).
        url = issuer.rstrip("/") + "/.well-known/openid-configuration"
        metadata = await self._get(client, url)
        if metadata.get("issuer") != issuer:
            raise ProviderUnavailable(f"it calls itself {str(metadata.get('issuer'))[:80]!r}")
        return metadata

    async def _get(self, client: _Client, url: str) -> dict[str, Any]:
        kept = self._kept.get(url)
        if kept and self._clock.now() - kept[0] < _KEPT:
            return kept[1]
        status, answer = await client.ask("GET", url, headers={"Accept": "application/json"})
        if status != 200:
            raise ProviderUnavailable(f"{url} answered {status}")
        self._kept[url] = (self._clock.now(), answer)
        return answer

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """Read the authorities once: that takes tens of milliseconds."""
        return httpx.create_ssl_context()

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[_Client]:
        """Open a client for the requests of one step: no redirects, one limit of time for all."""
        try:
            async with (
                asyncio.timeout(self._timeout),
                httpx.AsyncClient(
                    timeout=self._timeout, follow_redirects=False, verify=self._tls
                ) as http,
            ):
                yield _Client(http)
        except TimeoutError:
            raise ProviderUnavailable("it did not answer in time") from None


class _Client:
    """Asks, with a limit of size, and takes nothing but JSON objects."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def ask(
        self, method: str, url: str, *, headers: Mapping[str, str], content: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Return the status and the JSON object of an answer."""
        try:
            async with self._http.stream(
                method, url, headers=dict(headers), content=content
            ) as answer:
                body = await collect(answer.aiter_bytes(), limit=_MOST_BYTES)
                return answer.status_code, _object(body, url)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ProviderUnavailable(f"{url}: {type(error).__name__}: {error}") from None
        except TooLarge:
            raise ProviderUnavailable(f"{url}: the answer is too large") from None


def _object(body: bytes, url: str) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ProviderUnavailable(f"{url}: the answer is no JSON object")
    return value


def _endpoint(metadata: Mapping[str, Any], name: str) -> str:
    url = metadata.get(name)
    if not isinstance(url, str) or not safe(url):
        raise ProviderUnavailable(f"{name} is missing, or is not https")
    return url


def _offers_pkce(metadata: Mapping[str, Any]) -> bool:
    """Say whether S256 is offered; silence means no (RFC 8414, section 2)."""
    return "S256" in (metadata.get("code_challenge_methods_supported") or ())
