"""What a host's name resolves to, checked before anything is sent.

A name is resolved once, every address is checked, and the connection goes to a
checked address, so that a name which changes its mind in between (DNS
rebinding) gains nothing. Addresses that wrap an IPv4 address are judged by what
they wrap. Cloud metadata services are refused even for hosts that may be
private: what they hand out are credentials.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence

from bot.domain.actions import ActionFailed, Transient

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

_METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "169.254.169.254",
        "169.254.170.2",
        "168.63.129.16",
        "100.100.100.200",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd20:ce::254",
    )
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_COMPATIBLE = ipaddress.ip_network("::/96")


async def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host, by the system's resolver."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


async def checked_address(host: str, port: int, *, private: bool, resolve: Resolve) -> str:
    """Resolve a host and return an address to connect to.

    One forbidden address among several refuses the host. `private` allows
    private and loopback addresses, and nothing more.

    Raises:
        ActionFailed: there is none, or one is forbidden; nothing was sent.
    """
    try:
        found = await resolve(host, port)
    except (OSError, UnicodeError) as error:
        raise ActionFailed(f"{host} cannot be resolved", transient=Transient.UNREACHABLE) from error
    if not found:
        raise ActionFailed(f"{host} has no address")
    for text in found:
        if reason := forbidden(text, private=private):
            raise ActionFailed(f"{host} resolves to {text}, {reason}")
    return found[0]


def forbidden(text: str, *, private: bool) -> str | None:
    """Say why an address may not be connected to, or None where it may."""
    try:
        address = _unwrapped(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:
        return "which is no address"
    if address in _METADATA:
        return "a metadata service"
    if address.is_link_local:
        return "a link-local address"
    if address.is_multicast or address.is_unspecified or _reserved(address):
        return "which is not one host's address"
    if private and (address.is_private or address.is_loopback):
        return None
    if not address.is_global:
        return "which is not on the public network (see plugins.http.allow_private)"
    return None


def _reserved(address: Address) -> bool:
    return address.is_reserved and not address.is_loopback


def _unwrapped(address: Address) -> Address:
    """Return the IPv4 address inside an IPv6 one, where there is one."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address
