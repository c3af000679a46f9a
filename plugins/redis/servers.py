"""Which servers may be asked, as whom, and which of their parameters may be set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import AfterValidator, Field

from bot.domain.actions import ActionFailed
from bot.plugin import PluginSettings

_NAME = re.compile(r"[a-z][a-z0-9-]{0,99}")
# What is written by Redis to a place of one's choosing, or lets others in, is not set from a chat.
_NEVER_SET = re.compile(
    r"dir|dbfilename|appendfilename|appenddirname|logfile|pidfile|aclfile|bind|port|unixsocket.*"
    r"|protected-mode|enable-.*|tls-.*|replicaof|slaveof|masteruser|.*pass.*|.*auth.*"
)
_SECRET = re.compile(r".*(pass|auth).*")


def _settable(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise ValueError(f'"{name}" is not the name of a parameter')
    if _NEVER_SET.fullmatch(name):
        raise ValueError(f'"{name}" gives access or names files, and is never set from here')
    return name


class Listed(PluginSettings):
    """One server.

    Without `tls` whoever is in between reads the password, which is for loopback
    only; `ca` is a file of certificates, the system's if left out. `config` lists
    the parameters that may be set, none unless named.
    """

    host: str = Field(min_length=1, max_length=300)
    port: int = Field(default=6379, ge=1, le=65535)
    user: str = Field(default="", max_length=100)
    tls: bool = True
    ca: str = ""
    config: tuple[Annotated[str, AfterValidator(_settable)], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Server:
    """A listed server by its name, with the password of its user."""

    name: str
    listed: Listed
    password: str = field(default="", repr=False)


def server(servers: Mapping[str, Server], name: str) -> Server:
    """Return a listed server.

    Raises:
        ActionFailed: there is none of that name.
    """
    found = servers.get(name)
    if found is None:
        raise ActionFailed(f'server "{name}" is not in plugins.redis.servers')
    return found


def check_settable(where: Server, parameter: str) -> None:
    """Refuse a parameter that is not listed for a server.

    Raises:
        ActionFailed: naming the parameter.
    """
    if parameter not in where.listed.config:
        raise ActionFailed(f"{parameter} is not in plugins.redis.servers.{where.name}.config")


def check_readable(parameter: str) -> None:
    """Refuse a parameter that holds a password.

    Raises:
        ActionFailed: naming the parameter.
    """
    if _SECRET.fullmatch(parameter):
        raise ActionFailed(f"{parameter} holds a secret, which is never read")
