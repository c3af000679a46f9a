"""The plugin: which databases there are, and its two actions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import Field, SecretStr
from typing_extensions import override

from bot.domain.actions import Action, Effect, Risk
from bot.plugin import Plugin, PluginSettings
from plugins.postgres import backends, queries
from plugins.postgres.backends import Backends
from plugins.postgres.places import Listed, Place
from plugins.postgres.queries import Queries
from plugins.postgres.sessions import TRANSIENT


class PostgresSettings(PluginSettings):
    """What may be asked, and as whom.

    `databases` lists each by a name that pages use; none are reached unless
    listed. `passwords` holds those of their roles by the same names and comes
    from the environment only. `timeout` is in seconds, `largest` in bytes of an
    answer's cells.
    """

    databases: Mapping[str, Listed] = {}
    passwords: Mapping[str, SecretStr] = {}
    timeout: float = Field(default=10.0, gt=0)
    largest: int = Field(default=65_536, gt=0)


class Postgres(Plugin[PostgresSettings]):
    """Offers questions to listed databases, and the end of a session."""

    name: ClassVar[str] = "postgres"
    Settings: ClassVar[type[PluginSettings]] = PostgresSettings

    @override
    def actions(self) -> Sequence[Action]:
        return actions(self.settings)


def actions(settings: PostgresSettings) -> Sequence[Action]:
    """Return the actions of these settings for the registry."""
    places = {name: _place(settings, name) for name in settings.databases}
    asking = Queries(places, timeout=settings.timeout, largest=settings.largest)
    ending = Backends(places, timeout=settings.timeout)
    return (
        Action(
            name="postgres.query",
            version=1,
            summary="Ask a listed database with one SELECT: its rows, or one number.",
            effect=Effect.READ,
            risk=Risk.R0,
            idempotent=True,
            arguments=queries.ARGUMENTS,
            handler=asking.query,
            transient=TRANSIENT,
        ),
        Action(
            name="postgres.terminate",
            version=1,
            summary="End one session of a database, the one that was seen.",
            effect=Effect.MUTATE,
            risk=Risk.R2,
            idempotent=True,
            arguments=backends.ARGUMENTS,
            handler=ending.terminate,
            dry_run=ending.preview,
            reconcile=ending.find,
            transient=TRANSIENT,
        ),
    )


def _place(settings: PostgresSettings, name: str) -> Place:
    password = settings.passwords.get(name)
    return Place(
        name=name,
        listed=settings.databases[name],
        password=password.get_secret_value() if password else "",
    )
