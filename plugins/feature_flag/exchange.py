"""One request to the flag service: no redirects, no proxies, capped in size and time."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import httpx

from bot.domain.actions import JSON, ActionFailed, OutcomeUnknown, Transient

LARGEST = 1_000_000  # bytes of an answer that are read
TRANSIENT = frozenset(Transient)
# Request Timeout (RFC 9110) and a proxy's own word for a client that is gone: what was sent
# may be at work all the same.
_LATE_STATUS = frozenset({408, 499})
_BY_STATUS = {
    409: Transient.CONFLICT,
    412: Transient.CONFLICT,
    429: Transient.RATE_LIMITED,
    502: Transient.UNAVAILABLE,
    503: Transient.UNAVAILABLE,
    504: Transient.TIMEOUT,
}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back; `etag` is empty unless it is a strong one, which If-Match needs."""

    status: int
    json: JSON
    etag: str


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


async def look(url: str, headers: Mapping[str, str], *, timeout: float) -> Answer:
    """GET a document; `timeout` is in seconds.

    Raises:
        ActionFailed: it did not come.
    """
    try:
        answer = await _send("GET", url, headers, b"", timeout=timeout)
    except TimeoutError as late:
        reason = f"the flag service gave no answer in {timeout:g} s"
        raise ActionFailed(reason, transient=Transient.TIMEOUT) from late
    except OutcomeUnknown as broken:
        raise ActionFailed(str(broken), transient=Transient.UNREACHABLE) from broken
    if answer.status != httpx.codes.OK:
        raise _refused(answer)
    return answer


async def change(
    method: str, url: str, headers: Mapping[str, str], *, body: JSON, timeout: float
) -> Answer:
    """Send a change as JSON; `timeout` is in seconds.

    Raises:
        ActionFailed: the service said a clear no (4xx) or was not reached; nothing changed.
        OutcomeUnknown: it did not answer, or with an error of its own.
    """
    content = json.dumps(body).encode()
    given = {**headers, "Content-Type": "application/json"}
    try:
        answer = await _send(method, url, given, content, timeout=timeout)
    except TimeoutError as late:
        raise OutcomeUnknown(f"the flag service gave no answer in {timeout:g} s") from late
    if httpx.codes.is_success(answer.status):
        return answer
    refused = _refused(answer)
    if httpx.codes.is_client_error(answer.status) and answer.status not in _LATE_STATUS:
        raise refused
    raise OutcomeUnknown(refused.reason)


def _refused(answer: Answer) -> ActionFailed:
    reason = f"the flag service answered {answer.status}"
    return ActionFailed(reason, transient=_BY_STATUS.get(answer.status))


async def _send(
    method: str, url: str, headers: Mapping[str, str], content: bytes, *, timeout: float
) -> Answer:
    """Send a request and read its answer.

    Raises:
        ActionFailed: no connection was made, so nothing was sent.
        OutcomeUnknown: it was sent, and the answer broke off.
    """
    # Nothing that grows when it is unpacked.
    asked = {**headers, "Accept-Encoding": "identity"}
    try:
        async with (
            asyncio.timeout(timeout),
            httpx.AsyncClient(verify=_trust(), trust_env=False, timeout=None) as client,  # noqa: S113  # bounded above
            client.stream(method, url, headers=asked, content=content or None) as answer,
        ):
            return await _read(answer)
    except (httpx.ConnectError, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        reason = f"the flag service cannot be reached ({type(error).__name__})"
        raise ActionFailed(reason, transient=Transient.UNREACHABLE) from error
    except httpx.HTTPError as error:
        raise OutcomeUnknown(f"the flag service broke off ({type(error).__name__})") from error


async def _read(answer: httpx.Response) -> Answer:
    content = bytearray()
    async for chunk in answer.aiter_raw():
        content += chunk
        if len(content) > LARGEST:
            break
    etag = answer.headers.get("ETag", "")
    return Answer(
        status=answer.status_code,
        json=_decoded(bytes(content)),
        etag="" if etag.startswith("W/") else etag,
    )


def _decoded(content: bytes) -> JSON:
    try:
        return json.loads(content) if len(content) <= LARGEST else None
    except (ValueError, RecursionError):
        return None
