"""A cache on a real Redis: its users, its configuration, and who is connected."""

from __future__ import annotations

from typing import Any

from redis import Redis

from bot.domain.actions import Action, ActionCall
from plugins.redis.plugin import RedisSettings, actions
from tests.servers import Server

PASSWORD = "c4che pa%ss 'wörd"  # every character that is quoted somewhere
USER = "tocsin"
BEFORE = {"maxmemory": "104857600", "maxmemory-policy": "noeviction", "hz": "10"}


class Cache:
    """The server, with an unrestricted connection to prepare it and to look."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.admin = Redis(host=server.host, port=server.port, decode_responses=True)

    def prepare(self) -> None:
        """Let in a user who may look at the server and set parameters."""
        rights = ("-@all", "+info", "+config|get", "+config|set")
        self.allow("on", f">{PASSWORD}", *rights)
        self.restore()

    def allow(self, *rules: str) -> None:
        """Change what the bot's user may do."""
        words = ("ACL", "SETUSER", USER, *rules)
        self.admin.execute_command(*words)  # type: ignore[no-untyped-call]  # the library's gap

    def restore(self) -> None:
        """Give every parameter its first value."""
        for name, value in BEFORE.items():
            self.admin.config_set(name, value)

    def get(self, parameter: str) -> str:
        """Return a parameter."""
        return str(self.admin.config_get(parameter)[parameter])

    def ours(self) -> list[str]:
        """Return the connections of the bot's user."""
        return [str(each["id"]) for each in self.admin.client_list() if each["user"] == USER]

    def close(self) -> None:
        """End the connection."""
        self.admin.close()


def settings(cache: Cache, port: int | None = None, **other: Any) -> RedisSettings:
    """Return settings that list the cache, and what may be set."""
    here = {"host": cache.server.host, "port": port or cache.server.port, "tls": False}
    listed = {**here, "user": USER, "config": ["maxmemory", "maxmemory-policy", "hz", "save"]}
    return RedisSettings.model_validate(
        {"servers": {"cache": listed}, "passwords": {"cache": PASSWORD}, **other}
    )


def offered(made: RedisSettings) -> dict[str, Action]:
    """Return the actions by reference."""
    return {action.reference: action for action in actions(made)}


def asking(**arguments: Any) -> ActionCall:
    """Return a call about the cache."""
    return ActionCall(key="k", arguments={"server": "cache", **arguments}, timeout=5)
