"""Prometheus's HTTP API: one GET, capped in size and time, and what its errors mean."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from functools import cache

import httpx

from bot.domain.actions import JSON, ActionFailed, Transient

TRANSIENT = frozenset(
    {Transient.UNREACHABLE, Transient.TIMEOUT, Transient.RATE_LIMITED, Transient.UNAVAILABLE}
)
_LONGEST_ANSWER = 2_000_000  # bytes
_LONGEST_REASON = 300
_HIDDEN = "(hidden)"
# Prometheus says why a query ended early; a proxy before it only gives a status.
_BY_KIND = {"timeout": Transient.TIMEOUT, "unavailable": Transient.UNAVAILABLE}
_BY_STATUS = {
    429: Transient.RATE_LIMITED,
    502: Transient.UNAVAILABLE,
    503: Transient.UNAVAILABLE,
    504: Transient.TIMEOUT,
}


async def fetch(
    url: str, path: str, parameters: Mapping[str, str], *, token: str, timeout: float
) -> dict[str, JSON]:
    """Return the `data` of an answer of `/api/v1/<path>`; `timeout` is in seconds.

    Raises:
        ActionFailed: Prometheus did not answer, or said no.
    """
    status, content = await _get(
        f"{url.rstrip('/')}/api/v1/{path}", parameters, token=token, timeout=timeout
    )
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        reason = f"Prometheus answered {status}, and not with JSON"
        raise ActionFailed(reason, transient=_BY_STATUS.get(status)) from None
    if not isinstance(body, dict):
        raise ActionFailed("Prometheus's answer cannot be understood")
    if body.get("status") != "success":
        raise _refused(status, body, token)
    data = body.get("data")
    if not isinstance(data, dict):
        raise ActionFailed("Prometheus's answer cannot be understood")
    return data


@cache
def _trust() -> ssl.SSLContext:
    """Return whom we trust for TLS, read once: it takes tens of milliseconds."""
    return httpx.create_ssl_context(trust_env=False)


async def _get(
    url: str, parameters: Mapping[str, str], *, token: str, timeout: float
) -> tuple[int, bytes]:
    headers = {"Accept-Encoding": "identity"}
    headers |= {"Authorization": f"Bearer {token}"} if token else {}
    try:
        async with (
            asyncio.timeout(timeout),
            httpx.AsyncClient(verify=_trust(), timeout=None, trust_env=False) as client,  # noqa: S113  # above
            client.stream("GET", url, params=dict(parameters), headers=headers) as answer,
        ):
            return answer.status_code, await _read(answer)
    except TimeoutError as late:
        reason = f"Prometheus gave no answer in {timeout:g} s"
        raise ActionFailed(reason, transient=Transient.TIMEOUT) from late
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError) as error:
        raise ActionFailed(f"Prometheus cannot be asked ({type(error).__name__})") from error
    except httpx.HTTPError as error:
        reason = f"Prometheus cannot be asked ({type(error).__name__})"
        raise ActionFailed(reason, transient=Transient.UNREACHABLE) from error


async def _read(answer: httpx.Response) -> bytes:
    content = bytearray()
    async for chunk in answer.aiter_raw():
        content += chunk
        if len(content) > _LONGEST_ANSWER:
            raise ActionFailed("Prometheus answered too much; aggregate to one series")
    return bytes(content)


def _refused(status: int, body: dict[str, JSON], token: str) -> ActionFailed:
    kind = body.get("errorType", "error")
    said = " ".join(f"{kind}: {body.get('error', 'no reason given')}".split())
    if token:
        said = said.replace(token, _HIDDEN)
    transient = _BY_KIND.get(str(kind)) or _BY_STATUS.get(status)
    return ActionFailed(f"Prometheus says {said[:_LONGEST_REASON]}", transient=transient)
