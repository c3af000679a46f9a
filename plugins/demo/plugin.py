"""The plugin: where checkout is, and its actions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import SecretStr
from typing_extensions import override

from bot.domain.actions import Action
from bot.plugin import Plugin, PluginSettings
from plugins.demo.actions import CheckoutActions
from plugins.demo.admin import CheckoutAdmin
from plugins.demo.queue_actions import QueueActions


class DemoSettings(PluginSettings):
    """`url` is checkout's root address, `token` its admin token (environment only)."""

    url: str = ""
    token: SecretStr | None = None


class Demo(Plugin[DemoSettings]):
    """Offers the actions on the demo's checkout service."""

    name: ClassVar[str] = "demo"
    Settings: ClassVar[type[PluginSettings]] = DemoSettings

    @override
    def actions(self) -> Sequence[Action]:
        token = self.settings.token.get_secret_value() if self.settings.token else ""
        admin = CheckoutAdmin(self.settings.url, token)
        return (*CheckoutActions(admin).all(), *QueueActions(admin).all())
