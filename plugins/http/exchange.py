"""One request to one checked address: no redirects, no proxies, capped in size and time."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache

import httpx

from bot.domain.actions import JSON, ActionFailed, OutcomeUnknown, Transient
from plugins.http.targets import Target

# Headers that would change whom we speak to, as whom, or how the message is framed.
_RESERVED = re.compile(
    r"host|authorization|cookie2?|connection|content-length|transfer-encoding|te|trailer|upgrade"
    r"|expect|keep-alive|accept-encoding|forwarded|x-forwarded-.*|x-real-ip|x-http-method.*"
    r"|x-original-.*|x-rewrite-.*|proxy-.*|metadata.*|x-aws-.*|x-api-key"
)
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_VALUE = re.compile(r"[ -~]{0,1000}")
_LONGEST_WAIT = 86_400.0  # seconds; whoever says more says "not today"


class NoAnswer(OutcomeUnknown):
    """The request left, and the time was over before its answer came."""


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """What to send, and the caps: `timeout` in seconds, `largest` in bytes of the answer."""

    method: str
    target: Target
    address: str
    timeout: float
    largest: int
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back.

    `cut` says that there was more, `retry_after` in how many seconds to try
    again, where the other side says so.
    """

    status: int
    content: bytes
    cut: bool
    retry_after: float | None = None

    @property
    def json(self) -> JSON:
        """Return the decoded JSON, or None where it is not JSON."""
        try:
            return None if self.cut else json.loads(self.content)
        except ValueError:
            return None


def check_headers(headers: Mapping[str, str], reserved: frozenset[str]) -> None:
    """Refuse headers a runbook may not set; `reserved` are those of credentials, lower-case.

    Raises:
        ActionFailed: naming the header.
    """
    for name, value in headers.items():
        if _NAME.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
            raise ActionFailed(f"header {name[:40]!r} has characters that headers may not have")
        if _RESERVED.fullmatch(name.lower()) or name.lower() in reserved:
            raise ActionFailed(f"header {name} cannot be set here; credentials go by their name")


async def send(exchange: Exchange) -> Answer:
    """Send a request and return its answer, whatever its status.

    Raises:
        ActionFailed: no connection was made, so nothing was sent.
        OutcomeUnknown: it was sent, and no whole answer came back in time.
    """
    try:
        async with asyncio.timeout(exchange.timeout):
            return await _send(exchange)
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        reason = f"{exchange.target.shown} cannot be reached ({type(error).__name__})"
        raise ActionFailed(reason, transient=Transient.UNREACHABLE) from error
    except (TimeoutError, httpx.TimeoutException) as error:
        shown = f"{exchange.target.shown} gave no answer in {exchange.timeout:g} s"
        raise NoAnswer(shown) from error
    except httpx.HTTPError as error:
        raise OutcomeUnknown(
            f"{exchange.target.shown} broke off ({type(error).__name__})"
        ) from error


@cache
def _trust() -> ssl.SSLContext:
    """Return whom we trust for TLS, read once: it takes tens of milliseconds."""
    return httpx.create_ssl_context(trust_env=False)


async def _send(exchange: Exchange) -> Answer:
    """Connect to the checked address, while Host, SNI and the certificate are the name's."""
    origin = exchange.target.origin
    url = httpx.URL(
        scheme=origin.scheme,
        host=exchange.address,
        port=origin.port,
        raw_path=exchange.target.path.encode("ascii"),
    )
    headers = {**exchange.headers, "Host": origin.shown, "Accept-Encoding": "identity"}
    async with httpx.AsyncClient(
        verify=_trust(), trust_env=False, follow_redirects=False, timeout=exchange.timeout
    ) as client:
        request = client.build_request(
            exchange.method,
            url,
            headers=headers,
            content=exchange.content or None,
            extensions={"sni_hostname": origin.host},
        )
        response = await client.send(request, stream=True)
        try:
            return await _read(response, exchange.largest)
        finally:
            await response.aclose()


async def _read(response: httpx.Response, largest: int) -> Answer:
    """Read at most so many bytes, and never unpack them: a small answer may be a huge one."""
    content = bytearray()
    async for chunk in response.aiter_raw():
        content += chunk
        if len(content) > largest:
            break
    return Answer(
        status=response.status_code,
        content=bytes(content[:largest]),
        cut=len(content) > largest,
        retry_after=seconds_to_wait(response.headers.get("Retry-After", ""), datetime.now(UTC)),
    )


def seconds_to_wait(text: str, now: datetime) -> float | None:
    """Return what a Retry-After header asks for, in seconds, or None where it is none.

    It is a number of seconds or a date (RFC 9110, section 10.2.3); at most a day
    is believed.
    """
    if text.isascii() and text.isdecimal():
        return min(float(text[:9]), _LONGEST_WAIT)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max((at - now).total_seconds(), 0.0), _LONGEST_WAIT)
