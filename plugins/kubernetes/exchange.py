"""One conversation with an API server: a deadline, a size, and errors that say what is certain.

lightkube finds the cluster, its certificates and the credentials, and gives
them as a client. The requests are made here, because lightkube's own cannot
delete with preconditions, keep whole answers in memory however large they are,
and do not tell a request that never left from one without an answer.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping, Sequence
from urllib.parse import quote

import httpx2
from lightkube.core.exceptions import ConfigError

from bot.domain.actions import JSON, ActionFailed, OutcomeUnknown, Transient
from plugins.kubernetes.objects import HIDDEN

LARGEST = 4_000_000  # bytes of an answer; one object has at most 1.5 MB
MERGE = "application/merge-patch+json"

_LONGEST_REASON = 300
_CONNECTING = 5.0  # seconds
_UNSENT = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
    httpx2.InvalidURL,
)
_SHORTEST_SECRET = 6  # anything shorter is found in innocent words
_PAGES = 20  # of a list, each of at most 500 objects


class Missing(ActionFailed):
    """There is no such object, so nothing was changed."""


class Conflict(ActionFailed):
    """The object is not as it was seen, so nothing was changed."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, transient=Transient.CONFLICT)


Query = Mapping[str, str | int]


class Conversation:
    """Requests to one API server until a deadline, `timeout` seconds from now.

    `secrets` are never seen in what comes back, whoever put them there.
    """

    def __init__(
        self, client: httpx2.AsyncClient, *, secrets: Sequence[str], timeout: float
    ) -> None:
        self._client = client
        self._secrets = secrets
        self._until = asyncio.get_running_loop().time() + timeout

    async def get(self, path: str, query: Query | None = None) -> JSON:
        """Return an object or a list.

        Raises:
            Missing: it does not exist.
            ActionFailed: it could not be read.
        """
        return _decoded(await self._asked("GET", path, query=query))

    async def items(self, path: str, query: Query | None = None) -> list[JSON]:
        """Return the objects of a list, page by page; only so many pages are read.

        Raises:
            ActionFailed: they could not be read, or are too many.
        """
        asked, found = {"limit": 500, **(query or {})}, list[JSON]()
        for _ in range(_PAGES):
            page = await self.get(path, asked)
            found += page.get("items") or []
            more = page.get("metadata", {}).get("continue")
            if not more:
                return found
            asked["continue"] = more
        raise ActionFailed(f"Kubernetes lists more than {len(found)} objects; narrow it down")

    async def text(self, path: str, query: Query) -> str:
        """Return text, such as a log.

        Raises:
            ActionFailed: it could not be read.
        """
        return await self._asked("GET", path, query=query)

    async def patch(self, path: str, body: JSON) -> JSON:
        """Apply a merge patch and return the object.

        Raises:
            Conflict: the object has another resource version than the patch names.
            ActionFailed: it was refused; nothing was changed.
            OutcomeUnknown: it may have been changed.
        """
        return _answered(await self._send("PATCH", path, body=body))

    async def rehearse(self, path: str, body: JSON) -> JSON:
        """Return what a merge patch would make of an object, as the server says (`dryRun=All`).

        Raises:
            ActionFailed: it would be refused.
        """
        return _decoded(await self._asked("PATCH", path, query={"dryRun": "All"}, body=body))

    async def delete(self, path: str, *, uid: str) -> None:
        """Delete the very object that has this uid.

        Raises:
            Missing, Conflict, ActionFailed: nothing was deleted.
            OutcomeUnknown: it may have been deleted.
        """
        await self._send("DELETE", path, body=_options(uid))

    async def rehearse_delete(self, path: str, *, uid: str) -> None:
        """Ask the server whether it would delete an object.

        The wish to change nothing stands in the body: beside a body the API
        server does not read the query of a DELETE, and would delete.

        Raises:
            ActionFailed: it would not.
        """
        await self._asked("DELETE", path, body={**_options(uid), "dryRun": ["All"]})

    async def _asked(
        self, method: str, path: str, *, query: Query | None = None, body: JSON = None
    ) -> str:
        """Send what changes nothing, so that whatever goes wrong is a clear no."""
        try:
            return await self._send(method, path, query=query, body=body)
        except TimeoutError:
            reason = "Kubernetes gave no answer in time"
            raise ActionFailed(reason, transient=Transient.TIMEOUT) from None
        except OutcomeUnknown as error:
            raise ActionFailed(str(error), transient=Transient.UNAVAILABLE) from None

    async def _send(
        self, method: str, path: str, *, query: Query | None = None, body: JSON = None
    ) -> str:
        request = self._request(method, path, query, body)
        try:
            async with asyncio.timeout_at(self._until):
                response = await self._client.send(request, stream=True)
                try:
                    content = await _content(response)
                finally:
                    await response.aclose()
        except TimeoutError:
            raise TimeoutError("Kubernetes gave no answer in time") from None
        except _UNSENT as error:
            reason = f"Kubernetes cannot be reached ({type(error).__name__})"
            raise ActionFailed(reason, transient=Transient.UNREACHABLE) from None
        except httpx2.TimeoutException:
            raise TimeoutError("Kubernetes gave no answer in time") from None
        except httpx2.HTTPError as error:
            raise OutcomeUnknown(f"Kubernetes broke off ({type(error).__name__})") from None
        except ssl.SSLError as error:  # in the midst of a connection: httpx leaves it as it is
            raise OutcomeUnknown(f"Kubernetes broke off ({type(error).__name__})") from None
        except (ConfigError, OSError) as error:
            # Only reading the credentials can end so, and that comes before the request.
            reason = f"the credentials for Kubernetes cannot be read ({type(error).__name__})"
            raise ActionFailed(reason) from None
        text = self._clean(content, request)
        _check(response, text)
        return text

    def _request(self, method: str, path: str, query: Query | None, body: JSON) -> httpx2.Request:
        left = self._until - asyncio.get_running_loop().time()
        if left <= 0:
            reason = "the time was over before Kubernetes was asked"
            raise ActionFailed(reason, transient=Transient.TIMEOUT)
        headers = {"Accept": "application/json, */*", "Accept-Encoding": "identity"}
        if body is not None:
            headers["Content-Type"] = MERGE if method == "PATCH" else "application/json"
        return self._client.build_request(
            method,
            path,
            params=dict(query or {}),
            headers=headers,
            content=None if body is None else json.dumps(body).encode(),
            timeout=httpx2.Timeout(left, connect=min(_CONNECTING, left * 0.8)),
        )

    def _clean(self, content: bytes, request: httpx2.Request) -> str:
        text = content.decode("utf-8", "replace")
        sent = request.headers.get("Authorization", "").split()[-1:]
        for secret in (one for one in (*self._secrets, *sent) if len(one) >= _SHORTEST_SECRET):
            for form in (secret, quote(secret, safe="")):
                text = text.replace(form, HIDDEN)
        return text


def _options(uid: str) -> dict[str, JSON]:
    return {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}


async def _content(response: httpx2.Response) -> bytes:
    content = bytearray()
    async for chunk in response.aiter_raw():
        content += chunk
        if len(content) > LARGEST:
            raise OutcomeUnknown("Kubernetes answered too much")
    return bytes(content)


def _check(response: httpx2.Response, text: str) -> None:
    """Turn an answer that is no success into the error that says what is certain."""
    status = response.status_code
    if 200 <= status < 300:
        return
    said = _message(text)
    reason = f"Kubernetes answered {status}" + (f": {said}" if said else "")
    if status == 404:
        raise Missing(reason)
    if status == 409:
        raise Conflict(reason)
    if status == 429:
        raise ActionFailed(reason, transient=Transient.RATE_LIMITED)
    if 400 <= status < 500 and status != 408:
        raise ActionFailed(reason)
    raise OutcomeUnknown(reason)


def _message(text: str) -> str:
    """Return the message of a Status object, in one line."""
    try:
        status = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    said = status.get("message") if isinstance(status, dict) else None
    return " ".join(said.split())[:_LONGEST_REASON] if isinstance(said, str) else ""


def _decoded(text: str) -> JSON:
    body = _object(text)
    if body is None:
        raise ActionFailed("Kubernetes's answer cannot be understood")
    return body


def _answered(text: str) -> JSON:
    body = _object(text)
    if body is None:
        raise OutcomeUnknown("Kubernetes's answer to a change cannot be understood")
    return body


def _object(text: str) -> dict[str, JSON] | None:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None
