"""What Prometheus and Alertmanager decide, for the built-in watcher: pure state, no clock.

`Evaluation` turns rule results into firing and resolved alerts (``for`` included);
`Groups` decides which group is told when (wait, interval, repeat, mute, resolved).
Times are seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bot.demo.expressions import Sample
from bot.demo.rules import GROUP_BY, GROUP_INTERVAL, GROUP_WAIT, MUTES, REPEAT_INTERVAL, Rule
from bot.demo.webhooks import WebhookAlert, fingerprint, group_labels


@dataclass
class WatchedAlert:
    """One alert from the first time that its expression held until it is told as resolved."""

    rule: Rule
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    active_since: float
    fired_at: float | None = None
    ended_at: float | None = None

    @property
    def firing(self) -> bool:
        """Tell whether it has held for long enough and still holds."""
        return self.fired_at is not None and self.ended_at is None

    def as_webhook(self, generator_url: str) -> WebhookAlert:
        """Return the alert as it is told. Call it for alerts that have fired."""
        return WebhookAlert(
            labels=self.labels,
            annotations=self.annotations,
            starts_at=datetime.fromtimestamp(self.fired_at or self.active_since, UTC),
            ends_at=datetime.fromtimestamp(self.ended_at, UTC) if self.ended_at else None,
            generator_url=generator_url,
        )


class Evaluation:
    """The alerts that are pending or firing."""

    def __init__(self) -> None:
        self._active: dict[str, WatchedAlert] = {}

    def update(
        self, results: Iterable[tuple[Rule, list[Sample]]], now: float
    ) -> list[WatchedAlert]:
        """Take in one evaluation of all rules; return what fires or has just ended."""
        held = {f: (r, s, ls) for f, r, s, ls in _alerts(results)}
        for identity, (rule, sample, labels) in held.items():
            texts = {name: rule.fill(text, sample.value) for name, text in rule.texts().items()}
            fresh = WatchedAlert(rule, labels, texts, active_since=now)
            alert = self._active.setdefault(identity, fresh)
            alert.annotations = texts
            if alert.fired_at is None and now - alert.active_since >= rule.hold:
                alert.fired_at = now
        ended = [self._active.pop(identity) for identity in set(self._active) - set(held)]
        for alert in ended:
            alert.ended_at = now
        told = [alert for alert in ended if alert.fired_at is not None]
        return [alert for alert in self._active.values() if alert.firing] + told


@dataclass
class Group:
    """The alerts that are told together, and what was last told of them."""

    labels: Mapping[str, str]
    next_flush: float
    alerts: dict[str, WatchedAlert] = field(default_factory=dict)
    told: frozenset[str] = frozenset()
    told_at: float | None = None

    def due(self, muted: frozenset[str], now: float) -> list[WatchedAlert]:
        """Return the alerts to tell now; nothing when there is no news."""
        if now < self.next_flush:
            return []
        self.next_flush = now + GROUP_INTERVAL
        shown = {i: a for i, a in self.alerts.items() if a.rule.name not in muted}
        firing = {i for i, a in shown.items() if a.firing}
        ended = {i for i, a in shown.items() if not a.firing} & self.told
        repeat = self.told_at is not None and now - self.told_at >= REPEAT_INTERVAL
        if firing - self.told or ended or (firing and repeat):
            return [a for i, a in shown.items() if i in firing | ended]
        self._forget_ended()
        return []

    def delivered(self, firing: frozenset[str], now: float) -> None:
        """Note the fingerprints that the receiver was told to be firing.

        What has not reached it is told at the next flush, and so is what has ended
        while the delivery was on its way.
        """
        self.told = firing
        self.told_at = now
        self._forget_ended()

    def _forget_ended(self) -> None:
        kept = {i: a for i, a in self.alerts.items() if a.firing or i in self.told}
        self.alerts = kept


class Groups:
    """All groups that have something firing or still to tell."""

    def __init__(self) -> None:
        self._groups: dict[tuple[tuple[str, str], ...], Group] = {}

    def update(self, alerts: Iterable[WatchedAlert], now: float) -> None:
        """Put alerts into their groups."""
        for alert in alerts:
            labels = group_labels(alert.labels, GROUP_BY)
            key = tuple(labels.items())
            group = self._groups.setdefault(key, Group(labels, next_flush=now + GROUP_WAIT))
            group.alerts[fingerprint(alert.labels)] = alert

    def due(self, now: float) -> list[tuple[Group, list[WatchedAlert]]]:
        """Return each group that has news, with the alerts to tell."""
        muted = self._muted()
        news = [(group, group.due(muted, now)) for group in self._groups.values()]
        self._groups = {key: group for key, group in self._groups.items() if group.alerts}
        return [(group, alerts) for group, alerts in news if alerts]

    def _muted(self) -> frozenset[str]:
        firing = {a.rule.name for g in self._groups.values() for a in g.alerts.values() if a.firing}
        return frozenset(name for cause in firing for name in MUTES.get(cause, ()))


def _alerts(
    results: Iterable[tuple[Rule, list[Sample]]],
) -> Iterator[tuple[str, Rule, Sample, dict[str, str]]]:
    for rule, samples in results:
        for sample in samples:
            kept = {name: value for name, value in sample.labels.items() if name != "__name__"}
            labels = kept | rule.labels | {"alertname": rule.name}
            yield fingerprint(labels), rule, sample, labels
