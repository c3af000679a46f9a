"""Where people sign in, as it is configured, and what may go wrong there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

from pydantic import SecretStr

from bot.domain.errors import TocsinError

SLACK_USER = "https://slack.com/user_id"


@dataclass(frozen=True, kw_only=True)
class OidcSettings:
    """Where people sign in, and as which client we ask.

    `user_claim` is the claim that holds the id the chat platform knows a person
    by. `required` are claims that must have exactly these values, such as
    `{"https://slack.com/team_id": "T0123"}`: without it, an app that is open to
    several workspaces lets in whoever has an id of ours elsewhere. `public_url`
    is the address people reach us at: a scheme and a host, no path.
    """

    issuer: str
    client_id: str
    client_secret: SecretStr
    public_url: str
    user_claim: str = SLACK_USER
    required: Mapping[str, str] = field(default_factory=dict)
    scope: str = "openid profile"

    def __post_init__(self) -> None:
        parts = urlsplit(self.public_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("public_url: has to begin with http:// or https:// and name a host")
        if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username:
            raise ValueError("public_url: has to be a scheme and a host, without a path")
        if not safe(self.issuer):
            raise ValueError("issuer: has to begin with https://, except on this machine")

    @property
    def origin(self) -> str:
        """Return the public address without a slash at its end."""
        return self.public_url.rstrip("/")

    @property
    def secure(self) -> bool:
        """Say whether people reach us by https."""
        return self.origin.startswith("https:")

    @property
    def redirect_uri(self) -> str:
        """Return where the provider sends people back to."""
        return f"{self.origin}/pages/login/callback"


class ProviderUnavailable(TocsinError):
    """The provider cannot be reached, or answers what no provider may answer."""


def safe(url: str) -> bool:
    """Say whether a URL is https, or stays on this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    if parts.scheme == "https":
        return bool(parts.hostname)
    return parts.scheme == "http" and _loopback(parts.hostname or "")


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
