"""The plugin: where Prometheus is, and `prometheus.query@1`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import Field, SecretStr
from typing_extensions import override

from bot.domain.actions import JSON, Action, ActionCall, ActionResult, Effect, Risk
from bot.plugin import Plugin, PluginSettings
from plugins.prometheus.queries import ask

_ARGUMENTS: Mapping[str, JSON] = {
    "type": "object",
    "properties": {"query": {"type": "string", "minLength": 1, "maxLength": 4000}},
    "required": ["query"],
    "additionalProperties": False,
}


class PrometheusSettings(PluginSettings):
    """`url` is Prometheus's root address, `timeout` in seconds, `token` a bearer token."""

    url: str = Field(default="http://127.0.0.1:9090", pattern=r"^https?://[^/]+")
    timeout: float = Field(default=10.0, gt=0)
    token: SecretStr | None = None


class Prometheus(Plugin[PrometheusSettings]):
    """Offers queries to Prometheus as a read-only action."""

    name: ClassVar[str] = "prometheus"
    Settings: ClassVar[type[PluginSettings]] = PrometheusSettings

    @override
    def actions(self) -> Sequence[Action]:
        return (
            Action(
                name="prometheus.query",
                version=1,
                summary="Ask Prometheus for the present value of an expression: one number.",
                effect=Effect.READ,
                risk=Risk.R0,
                idempotent=True,
                arguments=_ARGUMENTS,
                handler=self._query,
            ),
        )

    async def _query(self, call: ActionCall) -> ActionResult:
        token = self.settings.token.get_secret_value() if self.settings.token else ""
        timeout = min(call.timeout, self.settings.timeout)
        return await ask(self.settings.url, call.arguments["query"], token=token, timeout=timeout)
