"""When the checkout service is ill: the rules, as data for Prometheus and for the watcher.

Both read the same expressions, labels and texts. ``{value}`` and ``{labels}`` in a
text are filled in by whoever evaluates the rule: Prometheus by its own template
language, the watcher by `fill`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

JOB = "checkout"
SERVICE = "checkout"
INTERVAL = 1.0  # seconds between two scrapes, and between two evaluations
GROUP_BY = ("alertname", "service")
GROUP_WAIT = 1.0
GROUP_INTERVAL = 2.0
REPEAT_INTERVAL = 3600.0

ERROR_RATIO = "checkout:error_ratio"
RECORDED = {
    ERROR_RATIO: 'sum(rate(checkout_requests_total{code=~"5.."}[5s]))'
    " / sum(rate(checkout_requests_total[5s]))",
}


class Unit(StrEnum):
    """How a value is written in a text, by the name of Prometheus' template function."""

    NUMBER = "humanize"
    PERCENTAGE = "humanizePercentage"

    def write(self, value: float) -> str:
        """Write a value as Prometheus does: four significant digits."""
        return f"{value * 100:.4g}%" if self is Unit.PERCENTAGE else f"{value:.4g}"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One alerting rule. It fires once its expression has held for `hold` seconds."""

    name: str
    expression: str
    severity: str
    summary: str
    description: str
    hold: int = 2
    unit: Unit = Unit.NUMBER
    annotations: Mapping[str, str] = field(default_factory=dict)
    queue: str = ""

    @property
    def labels(self) -> dict[str, str]:
        """Return the labels that the rule adds."""
        queue = {"queue": self.queue} if self.queue else {}
        return {"severity": self.severity, "service": SERVICE, "team": "payments", **queue}

    def texts(self) -> dict[str, str]:
        """Return all annotations, still with their placeholders."""
        return {"summary": self.summary, "description": self.description, **self.annotations}

    def fill(self, text: str, value: float) -> str:
        """Fill the value into a text."""
        return text.replace("{value}", self.unit.write(value))

    def prometheus(self, text: str) -> str:
        """Return the text in Prometheus' template language."""
        return text.replace("{value}", f"{{{{ $value | {self.unit.value} }}}}")


RULES = (
    Rule(
        name="CheckoutHighErrorRate",
        expression=f"{ERROR_RATIO} > 0.1",
        severity="page",
        summary="Checkout answers many customers with an error",
        description="{value} of the requests about orders failed in the last five seconds.",
        unit=Unit.PERCENTAGE,
        annotations={"runbook": "checkout-worker-stuck"},
        queue="orders",
    ),
    # A full queue shows within seconds as errors; this rule is for the slower case.
    Rule(
        name="CheckoutQueueBacklog",
        expression="checkout_queue_depth / checkout_queue_capacity > 0.8",
        severity="warning",
        summary="Checkout's order queue is nearly full",
        description="{value} of the places in the order queue have been taken for a while.",
        hold=15,
        unit=Unit.PERCENTAGE,
        annotations={"runbook": "checkout-worker-stuck"},
        queue="orders",
    ),
    Rule(
        name="CheckoutDown",
        expression=f'up{{job="{JOB}"}} == 0',
        severity="page",
        summary="Checkout cannot be reached",
        description="The metrics of checkout could not be read for more than two seconds.",
    ),
)

# The cause mutes its consequences within one service: one card, not three.
MUTES = {
    "CheckoutDown": ("CheckoutHighErrorRate", "CheckoutQueueBacklog"),
    "CheckoutHighErrorRate": ("CheckoutQueueBacklog",),
}
