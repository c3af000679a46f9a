"""The checkout service's admin interface as a client, with errors that say what is certain."""

from __future__ import annotations

import json
from typing import Any

import httpx

from bot.domain.actions import JSON, ActionFailed, OutcomeUnknown

_LONGEST_ANSWER = 1_000_000
_CONFLICT = 409
_BAD_GATEWAY = 502


class Conflict(ActionFailed):
    """The service is not in the state the caller expected, so it changed nothing."""

    def __init__(self, reason: str, body: dict[str, Any]) -> None:
        super().__init__(reason)
        self.body = body


class CheckoutAdmin:
    """Calls the admin endpoints. `url` is the service's root."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._token = token

    async def read(self, path: str, *, timeout: float) -> JSON:
        """Return what an endpoint shows; `timeout` is in seconds.

        Raises:
            ActionFailed: it could not be read.
        """
        try:
            return await self._call("GET", path, None, timeout=timeout)
        except OutcomeUnknown as error:
            raise ActionFailed(str(error)) from error

    async def change(
        self, method: str, path: str, body: dict[str, JSON], *, timeout: float
    ) -> JSON:
        """Ask for a change and return the answer.

        Raises:
            Conflict: the service is in another state; nothing was changed.
            ActionFailed: it refused or could not be reached; nothing was changed.
            OutcomeUnknown: it may have been changed.
        """
        return await self._call(method, path, body, timeout=timeout)

    async def _call(
        self, method: str, path: str, body: dict[str, JSON] | None, *, timeout: float
    ) -> JSON:
        if not self._url:
            raise ActionFailed("the checkout service is not configured: set plugins.demo.url")
        headers = {"Authorization": f"Bearer {self._token}"}
        try:
            async with httpx.AsyncClient(timeout=timeout, trust_env=False) as client:
                answer = await client.request(
                    method, f"{self._url}{path}", json=body, headers=headers
                )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.InvalidURL) as error:
            raise ActionFailed(f"checkout cannot be reached ({type(error).__name__})") from error
        except httpx.HTTPError as error:
            raise OutcomeUnknown(f"checkout broke off ({type(error).__name__})") from error
        return _understood(answer)


def _understood(answer: httpx.Response) -> JSON:
    body = _decoded(answer)
    if answer.status_code == httpx.codes.OK:
        return body
    said = body.get("error") if isinstance(body, dict) else None
    reason = f"checkout answered {answer.status_code}" + (f": {said}" if said else "")
    if answer.status_code == _CONFLICT and isinstance(body, dict):
        raise Conflict(reason, body)
    if answer.is_client_error:
        raise ActionFailed(reason)
    raise OutcomeUnknown(reason)


def _decoded(answer: httpx.Response) -> JSON:
    if len(answer.content) > _LONGEST_ANSWER:
        raise OutcomeUnknown("checkout answered far too much")
    try:
        return json.loads(answer.content)
    except ValueError:
        return None
