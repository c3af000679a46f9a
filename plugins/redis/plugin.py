"""The plugin: which servers there are, and its actions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import Field, SecretStr
from typing_extensions import override

from bot.domain.actions import Action
from bot.plugin import Plugin, PluginSettings
from plugins.redis.actions import RedisActions
from plugins.redis.servers import Listed, Server


class RedisSettings(PluginSettings):
    """What may be asked and set, and as whom.

    `servers` lists each by a name that pages use; none are reached unless listed.
    `passwords` holds those of their users by the same names and comes from the
    environment only. `timeout` is in seconds.
    """

    servers: Mapping[str, Listed] = {}
    passwords: Mapping[str, SecretStr] = {}
    timeout: float = Field(default=5.0, gt=0)


class Redis(Plugin[RedisSettings]):
    """Offers looks at listed Redis servers, and listed parameters to set."""

    name: ClassVar[str] = "redis"
    Settings: ClassVar[type[PluginSettings]] = RedisSettings

    @override
    def actions(self) -> Sequence[Action]:
        return actions(self.settings)


def actions(settings: RedisSettings) -> Sequence[Action]:
    """Return the actions of these settings for the registry."""
    servers = {name: _server(settings, name) for name in settings.servers}
    return RedisActions(servers, timeout=settings.timeout).all()


def _server(settings: RedisSettings, name: str) -> Server:
    password = settings.passwords.get(name)
    return Server(
        name=name,
        listed=settings.servers[name],
        password=password.get_secret_value() if password else "",
    )
