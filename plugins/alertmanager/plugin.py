"""The plugin: one webhook and its token, and the actions on Alertmanager."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field, SecretStr
from typing_extensions import override

from bot.domain.actions import Action
from bot.plugin import Plugin, PluginSettings, Webhook
from plugins.alertmanager.actions import actions
from plugins.alertmanager.api import Api
from plugins.alertmanager.payloads import parse


class AlertmanagerSettings(PluginSettings):
    """What comes in, and where silences go.

    `token` is what Alertmanager must present; `api_token` is the bearer token
    that it wants from us, if a proxy before it does. Both come from the
    environment only. `url` is Alertmanager's root address; without one it cannot
    be asked. `timeout` and `longest_silence` are in seconds.
    """

    token: SecretStr | None = None
    url: str = Field(default="", pattern=r"^(https?://[^/@]+(/[!-~]*)?)?$")
    api_token: SecretStr | None = None
    timeout: float = Field(default=10.0, gt=0)
    longest_silence: int = Field(default=14_400, gt=0)


class Alertmanager(Plugin[AlertmanagerSettings]):
    """Turns Alertmanager's webhooks into notifications, and offers silences."""

    name: ClassVar[str] = "alertmanager"
    Settings: ClassVar[type[PluginSettings]] = AlertmanagerSettings

    @override
    def webhooks(self) -> Sequence[Webhook]:
        token = self.settings.token
        return (Webhook(parse=parse, token=token.get_secret_value() if token else None),)

    @override
    def actions(self) -> Sequence[Action]:
        api = asked(self.settings)
        return actions(api, self.context.clock.now, longest=self.settings.longest_silence)


def asked(settings: AlertmanagerSettings) -> Api:
    """Return the client of these settings."""
    token = settings.api_token.get_secret_value() if settings.api_token else ""
    return Api(settings.url, token, timeout=settings.timeout)
