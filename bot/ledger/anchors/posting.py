"""One request to a service that is not ours: bounded in time and size, and never redirected."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import httpx

from bot.ports import AnchorFailed

WITHIN = 10.0  # seconds for a whole request
MAX_BYTES = 65_536  # of an answer


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a service answered; `kind` is its media type without parameters."""

    status: int
    kind: str
    body: bytes

    @property
    def words(self) -> str:
        """Return the status and the beginning of the body, for people."""
        said = " ".join(self.body[:200].decode(errors="replace").split())
        return f"{self.status} {said}".strip()


async def post(
    client: httpx.AsyncClient, url: str, *, body: bytes, kind: str, within: float
) -> Answer:
    """Post a body and return the answer, whatever its status; `within` is in seconds.

    Raises:
        AnchorFailed: there was no answer, or one that is too long.
    """
    try:
        async with asyncio.timeout(within):
            return await _posted(client, url, body=body, kind=kind)
    except TimeoutError:
        raise AnchorFailed(f"{url} did not answer within {within:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise AnchorFailed(
            f"{url} cannot be asked: {str(error) or type(error).__name__}"
        ) from error


async def _posted(client: httpx.AsyncClient, url: str, *, body: bytes, kind: str) -> Answer:
    # A redirect would let whoever answers send our request elsewhere in our network.
    request = client.build_request("POST", url, content=body, headers={"Content-Type": kind})
    response = await client.send(request, stream=True, follow_redirects=False)
    try:
        received = b""
        async for piece in response.aiter_bytes(MAX_BYTES):
            received += piece
            if len(received) > MAX_BYTES:
                raise AnchorFailed(f"{url} answered with more than {MAX_BYTES} bytes")
    finally:
        await response.aclose()
    media = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return Answer(status=response.status_code, kind=media, body=received)
