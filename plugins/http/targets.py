"""The host allow-list: a URL is taken apart here, once, and put together from the parts.

Only exact hosts with an exact port are listed; there are no wildcards, so a
listed domain never lets its neighbours in. Plain http counts only where it is
listed as such.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from bot.domain.actions import ActionFailed

_PORTS = {"https": 443, "http": 80}
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?|[0-9a-f:.]{2,45}")
_CLEAN = re.compile(r"[!-~]{1,2000}")


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Scheme, host and port: what the allow-list holds."""

    scheme: str
    host: str
    port: int

    @property
    def shown(self) -> str:
        """Return the origin for people and for the Host header, the usual port left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, kw_only=True)
class Target:
    """An allowed URL: its origin, and what is asked of it."""

    origin: Origin
    path: str

    @property
    def shown(self) -> str:
        """Return the URL without its query, which may hold secrets."""
        return f"{self.origin.scheme}://{self.origin.shown}{self.path.partition('?')[0]}"


def origin(entry: str) -> Origin:
    """Read an entry of the allow-list: `host`, `host:port`, or either after `https://`, `http://`.

    Raises:
        ValueError: it is anything else.
    """
    parts = urlsplit(entry if "://" in entry else f"https://{entry}")
    if parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(f'"{entry}" should be a host with or without a port, and nothing else')
    return _origin(parts, entry)


def allowed(url: str, hosts: Iterable[Origin]) -> Target:
    """Return the target of a URL whose origin is listed.

    Raises:
        ActionFailed: it is not; nothing was sent.
    """
    if _CLEAN.fullmatch(url) is None or "\\" in url:
        raise ActionFailed("the URL has characters that do not belong into one, or is too long")
    try:
        parts = urlsplit(url)
        if "@" in parts.netloc:
            raise ActionFailed("the URL names a user; credentials come from the settings")
        found = _origin(parts, url)
    except ValueError as error:
        raise ActionFailed(f"the URL cannot be used: {error}") from None
    if found not in set(hosts):
        raise ActionFailed(f"{found.scheme}://{found.shown} is not in plugins.http.hosts")
    path = parts.path or "/"
    return Target(origin=found, path=f"{path}?{parts.query}" if parts.query else path)


def _origin(parts: SplitResult, text: str) -> Origin:
    host = (parts.hostname or "").rstrip(".")
    if parts.scheme not in _PORTS:
        raise ValueError("only https and http are spoken")
    if _HOST.fullmatch(host) is None:
        raise ValueError(f'"{text[:80]}" names no host (a name in another script is written xn--)')
    return Origin(scheme=parts.scheme, host=host, port=parts.port or _PORTS[parts.scheme])
