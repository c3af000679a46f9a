"""Alertmanager's API v2 as a client, with errors that say what is certain."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping, Sequence
from functools import cache

import httpx

from bot.domain.actions import JSON, ActionFailed, OutcomeUnknown, Transient

LARGEST = 20_000_000  # bytes of an answer that are read; a silence has some 400
TRANSIENT = frozenset(
    {Transient.UNREACHABLE, Transient.TIMEOUT, Transient.RATE_LIMITED, Transient.UNAVAILABLE}
)
_LONGEST_REASON = 300
_HIDDEN = "(hidden)"
_LATE = "Alertmanager gave no answer in time"
_BY_STATUS = {
    429: Transient.RATE_LIMITED,
    502: Transient.UNAVAILABLE,
    503: Transient.UNAVAILABLE,
    504: Transient.TIMEOUT,
}
# Request Timeout (RFC 9110) and a proxy's own word for a client that is gone: what was sent
# may be at work all the same.
_LATE_STATUS = frozenset({408, 499})
Parameters = Sequence[tuple[str, str]]


@cache
def _trust() -> ssl.SSLContext:
    """Return whom we trust for TLS, read once: it takes tens of milliseconds."""
    return httpx.create_ssl_context(trust_env=False)


class Left:
    """What is left of a call's time, over all the requests that it takes."""

    def __init__(self, seconds: float) -> None:
        self._until = asyncio.get_running_loop().time() + seconds

    @property
    def seconds(self) -> float:
        """Return the seconds that are left, and none when the time is over."""
        return max(0.0, self._until - asyncio.get_running_loop().time())


class Api:
    """Calls the API. `url` is Alertmanager's root address, `timeout` in seconds."""

    def __init__(self, url: str, token: str, *, timeout: float) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._timeout = timeout

    async def read(self, path: str, parameters: Parameters = (), *, left: Left) -> JSON:
        """Return what a path shows, or None where there is nothing (404).

        Raises:
            ActionFailed: it could not be read.
        """
        try:
            status, text = await self._send("GET", path, parameters, left=left)
        except OutcomeUnknown as broken:
            raise ActionFailed(str(broken), transient=Transient.UNREACHABLE) from broken
        except TimeoutError as late:
            raise ActionFailed(_LATE, transient=Transient.TIMEOUT) from late
        if status == httpx.codes.NOT_FOUND:
            return None
        if status != httpx.codes.OK:
            raise self._refused(status, text)
        return _decoded(text)

    async def change(
        self, method: str, path: str, body: Mapping[str, JSON] | None = None, *, left: Left
    ) -> JSON:
        """Ask for a change, and return the answer.

        Raises:
            ActionFailed: it said a clear no (4xx) or was not reached; nothing was changed.
            OutcomeUnknown: something may have been.
        """
        try:
            status, text = await self._send(method, path, body=body, left=left)
        except TimeoutError as late:
            raise OutcomeUnknown(_LATE) from late
        if status == httpx.codes.OK:
            try:
                return _decoded(text) if text else None
            except ActionFailed as unclear:
                raise OutcomeUnknown(unclear.reason) from unclear
        refused = self._refused(status, text)
        if httpx.codes.is_client_error(status) and status not in _LATE_STATUS:
            raise refused
        raise OutcomeUnknown(refused.reason)

    def _refused(self, status: int, text: bytes) -> ActionFailed:
        said = " ".join(text.decode("utf-8", "replace").split())
        if self._token:
            said = said.replace(self._token, _HIDDEN)
        reason = f"Alertmanager answered {status}" + (f": {said[:_LONGEST_REASON]}" if said else "")
        return ActionFailed(reason, transient=_BY_STATUS.get(status))

    def _headers(self) -> Mapping[str, str]:
        headers = {"Accept-Encoding": "identity"}  # nothing that grows when it is unpacked
        return headers | ({"Authorization": f"Bearer {self._token}"} if self._token else {})

    async def _send(
        self,
        method: str,
        path: str,
        parameters: Parameters = (),
        *,
        body: Mapping[str, JSON] | None = None,
        left: Left,
    ) -> tuple[int, bytes]:
        if not self._url:
            raise ActionFailed("there is no Alertmanager to ask: set plugins.alertmanager.url")
        try:
            async with (
                asyncio.timeout(min(left.seconds, self._timeout)),
                httpx.AsyncClient(verify=_trust(), trust_env=False, timeout=None) as client,  # noqa: S113  # above
                client.stream(
                    method,
                    f"{self._url}/api/v2{path}",
                    params=[*parameters],
                    json=body,
                    headers=self._headers(),
                ) as answer,
            ):
                return answer.status_code, await _read(answer)
        except (httpx.ConnectError, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            reason = f"Alertmanager cannot be reached ({type(error).__name__})"
            raise ActionFailed(reason, transient=Transient.UNREACHABLE) from error
        except httpx.HTTPError as error:
            raise OutcomeUnknown(f"Alertmanager broke off ({type(error).__name__})") from error
        except UnicodeError as error:
            raise ActionFailed("a matcher or the comment is not text that can be sent") from error


async def _read(answer: httpx.Response) -> bytes:
    content = bytearray()
    async for chunk in answer.aiter_raw():
        content += chunk
        if len(content) > LARGEST:
            raise OutcomeUnknown("Alertmanager answered far too much")
    return bytes(content)


def _decoded(text: bytes) -> JSON:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ActionFailed("Alertmanager's answer cannot be understood") from None
