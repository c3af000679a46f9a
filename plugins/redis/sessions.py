"""One connection to one server, never repeated behind our back, and what its errors mean."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    RedisError,
    ResponseError,
)
from redis.exceptions import TimeoutError as Late
from redis.maint_notifications import MaintNotificationsConfig

from bot.domain.actions import JSON, ActionFailed, OutcomeUnknown, Transient
from plugins.redis.servers import Server

T = TypeVar("T")

TRANSIENT = frozenset({Transient.UNREACHABLE, Transient.TIMEOUT, Transient.UNAVAILABLE})
_CLOSING = 1.0  # seconds that closing a connection may take
_LONGEST_REASON = 300
_FULL = "max number of clients"
# What the server itself has said; anything else may be the end of a connection, or garbage.
_CLEAR = (ResponseError, BusyLoadingError, AuthenticationError, AuthorizationError)


class Session:
    """A connection with a deadline on the event loop's clock."""

    def __init__(self, client: Redis, where: Server, *, timeout: float) -> None:
        self._client = client
        self._where = where
        self._timeout = timeout
        self._deadline = asyncio.get_running_loop().time() + timeout

    async def info(self) -> Mapping[str, JSON]:
        """Return what the server says of itself, numbers as numbers."""
        return dict(await self._read(self._client.info()))

    async def get(self, parameter: str) -> str:
        """Return the value of a parameter.

        Raises:
            ActionFailed: there is no such parameter, or no answer.
        """
        found = await self._read(self._client.config_get(parameter))
        value = found.get(parameter)
        if value is None:
            raise ActionFailed(f'redis "{self._where.name}" has no parameter {parameter}')
        return str(value)

    async def set(self, parameter: str, value: str) -> None:
        """Set a parameter.

        Raises:
            ActionFailed: the server said no, so nothing was changed.
            OutcomeUnknown: it did not answer, or not in a way that can be understood.
        """
        try:
            async with asyncio.timeout_at(self._deadline):
                await self._client.config_set(parameter, value)
        except _CLEAR as error:
            raise self._failure(error) from error
        except (RedisError, TimeoutError, OSError) as error:
            reason = f'redis "{self._where.name}" broke off while {parameter} was set'
            raise OutcomeUnknown(reason) from error

    async def _read(self, asked: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout_at(self._deadline):
                return await asked
        except (RedisError, TimeoutError, OSError) as error:
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> ActionFailed:
        """Say in one sentence what went wrong, and whether it may go right later."""
        name, said = self._where.name, " ".join(str(error).split())[:_LONGEST_REASON]
        if isinstance(error, Late | TimeoutError):
            reason = f'redis "{name}" gave no answer in {self._timeout:g} s'
            return ActionFailed(reason, transient=Transient.TIMEOUT)
        if isinstance(error, BusyLoadingError) or _FULL in said:
            return ActionFailed(f'redis "{name}" says: {said}', transient=Transient.UNAVAILABLE)
        if isinstance(error, AuthenticationError | AuthorizationError):
            return ActionFailed(f'redis "{name}" lets nobody in: {said}')
        if isinstance(error, ResponseError):
            return ActionFailed(f'redis "{name}" says: {said}')
        reason = f'redis "{name}" cannot be reached ({said})'
        return ActionFailed(reason, transient=Transient.UNREACHABLE)


@asynccontextmanager
async def session(where: Server, *, timeout: float) -> AsyncIterator[Session]:
    """Open a connection for so many seconds.

    The library's own repetitions are switched off: what is sent twice is decided
    by the gate alone.
    """
    listed = where.listed
    client = Redis(
        host=listed.host,
        port=listed.port,
        username=listed.user or None,
        password=where.password or None,
        ssl=listed.tls,
        ssl_ca_certs=listed.ca or None,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
        single_connection_client=True,
        decode_responses=True,
        encoding_errors="replace",
        protocol=2,
        driver_info=None,
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
    )
    try:
        yield Session(client, where, timeout=timeout)
    finally:
        await _close(client)


async def _close(client: Redis) -> None:
    """Close a connection, though its other end may not answer any more."""
    closing = asyncio.ensure_future(client.aclose())
    await asyncio.wait({closing}, timeout=_CLOSING)
    closing.cancel()
