"""When a call to Slack is made again: after a rate limit, and where it is harmless."""

from __future__ import annotations

import asyncio
import random

from slack_sdk.http_retry.async_handler import AsyncRetryHandler
from slack_sdk.http_retry.builtin_async_handlers import AsyncConnectionErrorRetryHandler
from slack_sdk.http_retry.request import HttpRequest
from slack_sdk.http_retry.response import HttpResponse
from slack_sdk.http_retry.state import RetryState
from typing_extensions import override

LONGEST_WAIT = 30.0  # seconds
_ATTEMPTS = 4
# A second call of these could do a thing twice, or is refused because the first came through.
_ONCE = ("chat.postMessage", "chat.postEphemeral", "conversations.create", "views.open")


class RateLimitRetry(AsyncRetryHandler):
    """Waits as long as Slack says, up to a cap, and tries again.

    A call that was limited has not been carried out, so any may be repeated.
    """

    def __init__(self) -> None:
        super().__init__(max_retry_count=_ATTEMPTS)

    @override
    async def _can_retry_async(
        self,
        *,
        state: RetryState,
        request: HttpRequest,
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> bool:
        return response is not None and response.status_code == 429

    @override
    async def prepare_for_next_attempt_async(
        self,
        *,
        state: RetryState,
        request: HttpRequest,
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> None:
        state.next_attempt_requested = True
        # A little is added, so that several replicas do not come back at once.
        await asyncio.sleep(_wait(response) + random.random() / 10)  # noqa: S311 no secret
        state.increment_current_attempt()


class ConnectionRetry(AsyncConnectionErrorRetryHandler):
    """Tries once more after a lost connection, unless that could do a thing twice."""

    @override
    async def _can_retry_async(
        self,
        *,
        state: RetryState,
        request: HttpRequest,
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> bool:
        if request.url.endswith(_ONCE):
            return False
        return await super()._can_retry_async(
            state=state, request=request, response=response, error=error
        )


def _wait(response: HttpResponse | None) -> float:
    headers = (
        {name.lower(): values for name, values in response.headers.items()} if response else {}
    )
    try:
        return min(float(headers["retry-after"][0]), LONGEST_WAIT)
    except (KeyError, IndexError, ValueError):
        return 1.0
