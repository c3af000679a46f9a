"""The plugin: one webhook and its token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import SecretStr
from typing_extensions import override

from bot.plugin import Plugin, PluginSettings, Webhook
from plugins.alertmanager.payloads import parse


class AlertmanagerSettings(PluginSettings):
    """`token` is what Alertmanager must present; it comes from the environment only."""

    token: SecretStr | None = None


class Alertmanager(Plugin[AlertmanagerSettings]):
    """Turns Alertmanager's webhooks into notifications."""

    name: ClassVar[str] = "alertmanager"
    Settings: ClassVar[type[PluginSettings]] = AlertmanagerSettings

    @override
    def webhooks(self) -> Sequence[Webhook]:
        token = self.settings.token
        return (Webhook(parse=parse, token=token.get_secret_value() if token else None),)
