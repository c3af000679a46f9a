"""The plugin: the settings that say where requests may go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, SecretStr
from typing_extensions import override

from bot.domain.actions import Action
from bot.plugin import Plugin, PluginSettings
from plugins.http.actions import HttpActions, Limits, Secret
from plugins.http.targets import Origin, origin


def _exact(entry: str) -> str:
    origin(entry)
    return entry


Host = Annotated[str, AfterValidator(_exact)]


class Credential(PluginSettings):
    """A header that runbooks may use by the credential's name, for these hosts only."""

    header: str = Field(default="Authorization", pattern=r"^[A-Za-z0-9-]{1,100}$")
    hosts: tuple[Host, ...] = ()


class HttpSettings(PluginSettings):
    """Where requests may go.

    `hosts` are exact (`api.example.com`, `api.example.com:8443`; plain http only
    as `http://…`); none are allowed unless listed. `allow_private` repeats those
    of them that may resolve to private or loopback addresses. `timeout` is in
    seconds, `largest` in bytes of an answer. `credentials` says where each may
    go, `credential_values` holds them and comes from the environment only.
    """

    hosts: tuple[Host, ...] = ()
    allow_private: tuple[Host, ...] = ()
    timeout: float = Field(default=10.0, gt=0)
    largest: int = Field(default=65_536, gt=0)
    credentials: Mapping[str, Credential] = {}
    credential_values: Mapping[str, SecretStr] = {}


class Http(Plugin[HttpSettings]):
    """Offers requests to listed hosts."""

    name: ClassVar[str] = "http"
    Settings: ClassVar[type[PluginSettings]] = HttpSettings

    @override
    def actions(self) -> Sequence[Action]:
        settings = self.settings
        limits = Limits(
            hosts=_origins(settings.hosts),
            private=_origins(settings.allow_private),
            secrets=secrets(settings),
            timeout=settings.timeout,
            largest=settings.largest,
        )
        return HttpActions(limits).all()


def _origins(entries: Sequence[str]) -> frozenset[Origin]:
    return frozenset(origin(entry) for entry in entries)


def secrets(settings: HttpSettings) -> Mapping[str, Secret]:
    """Return the credentials that have a value; one without is as good as none."""
    return {
        name: Secret(header=given.header, value=value, hosts=_origins(given.hosts))
        for name, given in settings.credentials.items()
        if (value := _value(settings, name))
    }


def _value(settings: HttpSettings, name: str) -> str:
    value = settings.credential_values.get(name)
    return value.get_secret_value() if value else ""
