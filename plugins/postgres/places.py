"""Which databases may be asked, and as whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field

from bot.domain.actions import ActionFailed
from bot.plugin import PluginSettings


class Listed(PluginSettings):
    """One database.

    `sslmode` and `sslrootcert` are libpq's; without `verify-full` the server is
    not known to be the right one, which is for loopback only. Without a file of
    certificates the system's are trusted. `terminate` lists the users whose
    sessions may be ended, none unless named.
    """

    host: str = Field(min_length=1, max_length=300)
    port: int = Field(default=5432, ge=1, le=65535)
    dbname: str = Field(min_length=1, max_length=63)
    user: str = Field(min_length=1, max_length=63)
    sslmode: Literal["disable", "require", "verify-ca", "verify-full"] = "verify-full"
    sslrootcert: str = ""
    terminate: tuple[str, ...] = ()

    @property
    def authorities(self) -> str | None:
        """Return whom libpq trusts to sign certificates; None where it checks none."""
        system = "system" if self.sslmode == "verify-full" else None
        return self.sslrootcert or system


@dataclass(frozen=True, kw_only=True)
class Place:
    """A listed database by its name, with the password of its role."""

    name: str
    listed: Listed
    password: str = field(default="", repr=False)


def place(places: Mapping[str, Place], name: str) -> Place:
    """Return a listed database.

    Raises:
        ActionFailed: there is none of that name.
    """
    found = places.get(name)
    if found is None:
        raise ActionFailed(f'database "{name}" is not in plugins.postgres.databases')
    return found
