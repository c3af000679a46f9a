"""What the checkout service tells Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector
from typing_extensions import override

_USUAL_CODES = ("200", "202", "503")


class _Total(Collector):
    """A counter read from its owner, so that the number exists only once."""

    def __init__(self, name: str, meaning: str, value: Callable[[], float]) -> None:
        self._name, self._meaning, self._value = name, meaning, value

    @override
    def collect(self) -> Iterable[CounterMetricFamily]:
        yield CounterMetricFamily(self._name, self._meaning, value=self._value())


class CheckoutMetrics:
    """The service's metrics in a registry of their own, so that tests may run several."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "checkout_requests_total",
            "Requests about orders, by HTTP status code.",
            ["code"],
            registry=self.registry,
        )
        # Without a zero to start from, a rate over the first error would be empty.
        for code in _USUAL_CODES:
            self.requests.labels(code=code)
        self.duration = Histogram(
            "checkout_request_duration_seconds",
            "Time to answer a request about orders.",
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
            registry=self.registry,
        )
        self.completed = Counter(
            "checkout_orders_completed_total",
            "Orders that the worker has completed.",
            registry=self.registry,
        )

    def follow(self, name: str, meaning: str, value: Callable[[], float]) -> None:
        """Add a gauge that is read from `value` at every scrape."""
        Gauge(name, meaning, registry=self.registry).set_function(value)

    def follow_total(self, name: str, meaning: str, value: Callable[[], float]) -> None:
        """Add a counter whose total is kept elsewhere and read at every scrape."""
        self.registry.register(_Total(name, meaning, value))

    def observe(self, code: int, seconds: float) -> None:
        """Count one answered request."""
        self.requests.labels(code=str(code)).inc()
        self.duration.observe(seconds)

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)
