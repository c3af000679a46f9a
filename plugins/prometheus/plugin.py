"""The plugin: where Prometheus is, and its two actions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import ClassVar

from pydantic import Field, SecretStr
from typing_extensions import override

from bot.domain.actions import JSON, Action, ActionCall, ActionResult, Effect, Risk
from bot.plugin import Plugin, PluginSettings
from plugins.prometheus import ranges
from plugins.prometheus.api import TRANSIENT
from plugins.prometheus.queries import ask
from plugins.prometheus.ranges import Range, ask_range

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
        return Questions(self.settings, self.context.clock.now).all()


class Questions:
    """The two actions. `now` ends the range that is asked for."""

    def __init__(self, settings: PrometheusSettings, now: Callable[[], datetime]) -> None:
        self._settings = settings
        self._now = now

    def all(self) -> Sequence[Action]:
        """Return the actions for the registry."""
        return (
            Action(
                name="prometheus.query",
                version=1,
                summary="Ask Prometheus for the present value of an expression: one number.",
                effect=Effect.READ,
                risk=Risk.R0,
                idempotent=True,
                arguments=_ARGUMENTS,
                handler=self.query,
                transient=TRANSIENT,
            ),
            Action(
                name="prometheus.range",
                version=1,
                summary="Ask Prometheus how an expression went for some time: one number.",
                effect=Effect.READ,
                risk=Risk.R0,
                idempotent=True,
                arguments=ranges.ARGUMENTS,
                handler=self.range,
                transient=TRANSIENT,
            ),
        )

    async def query(self, call: ActionCall) -> ActionResult:
        """Ask for the present value of an expression, which has to be one number.

        Several series are refused: aggregate them (`max by () (…)`). No series is
        a failure and not zero; NaN and infinity are no value.
        """
        token, timeout = self._asking(call)
        return await ask(self._settings.url, call.arguments["query"], token=token, timeout=timeout)

    async def range(self, call: ActionCall) -> ActionResult:
        """Ask how an expression went in the last `over` seconds, reduced to one number.

        `reduce` is max, min, avg, last, or delta (last less first). `step` is in
        seconds; without one there are some 240 samples. Several series are
        refused, and `last` and `delta` of a series that has ended too.
        """
        token, timeout = self._asking(call)
        asked = Range(end=self._now(), **call.arguments)
        return await ask_range(self._settings.url, asked, token=token, timeout=timeout)

    def _asking(self, call: ActionCall) -> tuple[str, float]:
        token = self._settings.token.get_secret_value() if self._settings.token else ""
        return token, min(call.timeout, self._settings.timeout)
