"""One program on another machine: from the connection to its end, and no survivors.

Everything up to the moment the command is sent is certain to have changed
nothing. From then on only the exit status tells.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import asyncssh

from bot.domain.actions import ActionFailed, OutcomeUnknown, Transient
from bot.domain.printing import Printed
from plugins.ssh.channels import Channel
from plugins.ssh.hosts import Host, ending_line

_GRACE = 3.0  # seconds between being asked to end and being killed
_LAST_WORDS = 1.0  # seconds for what is still on its way after an end
_KEEPALIVE = 5.0  # seconds; three without an answer and the connection is lost
_SHOWN = 200  # characters of what the other side says


# What the login shell gets to read, with the mark of this one call in it.
Call = Callable[[str], str]


class TookTooLong(OutcomeUnknown):
    """The program was ended because its time was over."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a program ended: by a status, or by a signal.

    `last` is the last line of its standard output that is not empty.
    """

    status: int | None
    signal: str = ""
    last: str


@dataclass(frozen=True, kw_only=True)
class Way:
    """Which machine, by its name in the settings, and what opens our key."""

    name: str
    host: Host
    passphrase: str | None = field(default=None, repr=False)


async def run(way: Way, call: Call, printed: Printed, *, timeout: float) -> Ended:
    """Run a program on another machine to its end; `timeout` is in seconds.

    When the time is over or the caller gives up, the program's process group
    gets SIGTERM and 3 s later SIGKILL, over the connection. Where that is broken,
    nobody can tell what became of the program.

    Raises:
        ActionFailed: the machine was not reached, or is not the one; nothing was run.
        OutcomeUnknown: the time was over, or the connection broke, while it ran.
    """
    channel = Channel(printed)
    async with contextlib.AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(timeout):
                await _begin(way, call, channel, stack)
                await channel.over.wait()
        except TimeoutError:
            raise _too_late(way, channel, timeout) from None
        except (OSError, asyncssh.Error) as error:
            raise _broken(way, channel, error) from None
        if channel.told:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(channel.closed.wait(), _LAST_WORDS)
    return _ended(way, channel)


async def _begin(way: Way, call: Call, channel: Channel, stack: contextlib.AsyncExitStack) -> None:
    """Connect and start the program; what was started is ended with the stack."""
    connection = await _connect(way)
    stack.push_async_callback(_surely, connection, channel)
    await connection.create_session(lambda: channel, call(channel.mark), encoding=None)
    if channel.channel is not None:
        with contextlib.suppress(OSError):  # a short program may be over already
            channel.channel.write_eof()


def _ended(way: Way, channel: Channel) -> Ended:
    """Return how a program ended, if it began and the other side told."""
    if channel.absent:
        raise ActionFailed(f"the program or its directory is not on {way.name}")
    if not channel.told:
        raise OutcomeUnknown(f"the connection to {way.name} broke while the program ran")
    if channel.group is None:
        raise OutcomeUnknown(f"{way.name} ran something else than was asked for")
    return Ended(status=channel.status, signal=channel.signal, last=channel.out.last)


async def _connect(way: Way) -> asyncssh.SSHClientConnection:
    """Connect to a machine that proves to be the one, by our key alone.

    No file of the user is read, no agent is asked, no password is given.
    """
    host = way.host
    try:
        return await asyncssh.connect(
            host.address,
            host.port,
            config=None,
            username=host.username,
            known_hosts=host.known_hosts,
            client_keys=[host.key],
            passphrase=way.passphrase,
            agent_path=None,
            preferred_auth="publickey",
            disable_trivial_auth=True,
            gss_host=None,
            x509_trusted_certs=None,
            send_env=None,
            keepalive_interval=_KEEPALIVE,
            utf8_decode_errors="replace",
        )
    except asyncssh.HostKeyNotVerifiable:
        raise ActionFailed(
            f"{way.name} does not have the key that its known_hosts file says"
        ) from None
    except asyncssh.PermissionDenied:
        raise ActionFailed(f"{way.name} does not let {host.username} in with our key") from None
    except (ValueError, FileNotFoundError, PermissionError) as error:
        kind = type(error).__name__
        raise ActionFailed(
            f"the key or the known_hosts file for {way.name} cannot be used ({kind})"
        ) from None


def _too_late(way: Way, channel: Channel, timeout: float) -> Exception:
    if channel.sent:
        return TookTooLong(f"the program on {way.name} was ended after {timeout:g} s")
    return ActionFailed(
        f"{way.name} did not answer within {timeout:g} s", transient=Transient.TIMEOUT
    )


def _broken(way: Way, channel: Channel, error: Exception) -> Exception:
    why = str(getattr(error, "reason", None) or getattr(error, "strerror", None) or "")[:_SHOWN]
    why = why or type(error).__name__
    # A refusal leaves the channel open for a moment; a broken connection has closed it by now.
    cut_off = channel.sent and channel.closed.is_set()
    if isinstance(error, asyncssh.ChannelOpenError) and not cut_off:
        return ActionFailed(
            f"{way.name} does not start the program: {why}", transient=Transient.UNAVAILABLE
        )
    if channel.sent:
        return OutcomeUnknown(f"the connection to {way.name} broke while the program ran: {why}")
    return ActionFailed(f"{way.name} cannot be reached: {why}", transient=Transient.UNREACHABLE)


async def _surely(connection: asyncssh.SSHClientConnection, channel: Channel) -> None:
    """End a program and its connection, even where the caller is cancelled meanwhile."""
    await _to_the_end(_end(connection, channel))


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


async def _end(connection: asyncssh.SSHClientConnection, channel: Channel) -> None:
    for signal, patience in (("TERM", _GRACE), ("KILL", _LAST_WORDS)):
        if channel.running:
            await _signal(connection, channel, signal, patience=patience)
    connection.close()
    try:
        await asyncio.wait_for(connection.wait_closed(), _LAST_WORDS)
    except TimeoutError:
        connection.abort()


async def _signal(
    connection: asyncssh.SSHClientConnection, channel: Channel, signal: str, *, patience: float
) -> None:
    """Send a signal to the program's group and wait for its end; `patience` is in seconds.

    OpenSSH delivers a signal of the protocol to anybody but root, so another
    command of ours does it where the group is known.
    """
    with contextlib.suppress(OSError, TimeoutError, asyncssh.Error):
        async with asyncio.timeout(patience):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(channel.begun.wait(), _LAST_WORDS / 2)
            if channel.group is not None:
                await connection.create_session(
                    asyncssh.SSHClientSession, ending_line(channel.group, signal), encoding=None
                )
            elif channel.channel is not None:
                channel.channel.send_signal(signal)
            await channel.over.wait()
