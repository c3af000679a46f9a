"""Alerts and alert groups: what fired, merged into one story per group.

Three keys are kept apart: the delivery (for replay), the alert's identity (for
deduplication) and the group key (what is shown as one card).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType

from bot.domain.findings import Finding
from bot.domain.people import Caller, Person

GroupId = NewType("GroupId", str)

REOPEN_WITHIN = timedelta(minutes=15)
MOST_RESOLVED = 10_000


class AlertStatus(StrEnum):
    """Alertmanager's two words."""

    FIRING = "firing"
    RESOLVED = "resolved"


class Severity(StrEnum):
    """The effect on users, worst first."""

    SEV1 = "sev1"
    SEV2 = "sev2"
    SEV3 = "sev3"
    SEV4 = "sev4"

    @property
    def meaning(self) -> str:
        """Say what the severity stands for."""
        return _MEANINGS[self]


_MEANINGS = {
    Severity.SEV1: "most users cannot use the service",
    Severity.SEV2: "many users are affected",
    Severity.SEV3: "some users are affected, or it soon will be so",
    Severity.SEV4: "users do not notice",
}


def fingerprint(source: str, *parts: str) -> str:
    """Return the identity of an alert: SHA-256 over length-prefixed parts, source first.

    Lengths keep ("ab", "c") and ("a", "bc") apart, and the source keeps equal
    fingerprints of two systems apart.
    """
    digest = hashlib.sha256()
    for part in (source, *parts):
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One alert as its source tells it. `generator_url` leads to the rule's graph."""

    fingerprint: str
    status: AlertStatus
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime
    ends_at: datetime | None = None
    generator_url: str = ""

    @property
    def name(self) -> str:
        """Return the alert's name, or a plain word where it has none."""
        return self.labels.get("alertname") or "Unnamed alert"


@dataclass(frozen=True, kw_only=True)
class Notification:
    """What one delivery says about one group of alerts.

    `truncated` counts alerts the sender left out: the view is incomplete then.
    """

    source: str
    group_key: str
    alerts: tuple[Alert, ...]
    labels: Mapping[str, str]
    external_url: str = ""
    truncated: int = 0


@dataclass(frozen=True, kw_only=True)
class AlertGroup:
    """Alerts shown as one card, from the first that fired until all are resolved."""

    id: GroupId
    source: str
    group_key: str
    labels: Mapping[str, str]
    alerts: tuple[Alert, ...]
    first_seen: datetime
    last_seen: datetime
    external_url: str = ""
    truncated: int = 0
    notifications: int = 1
    resolved_at: datetime | None = None
    acknowledged_by: Person | None = None
    acknowledged_at: datetime | None = None
    silenced_until: datetime | None = None
    silenced_by: Person | None = None
    incident: str | None = None
    findings: tuple[Finding, ...] = field(default=())
    version: int = 1

    @property
    def firing(self) -> tuple[Alert, ...]:
        """Return the alerts that still fire."""
        return tuple(a for a in self.alerts if a.status is AlertStatus.FIRING)

    @property
    def status(self) -> AlertStatus:
        """Return firing while any alert fires."""
        return AlertStatus.FIRING if self.firing else AlertStatus.RESOLVED

    @property
    def starts_at(self) -> datetime:
        """Return when the first of the alerts started, as their source says."""
        return min((a.starts_at for a in self.alerts), default=self.first_seen)

    @property
    def ended_at(self) -> datetime | None:
        """Return when the last of the alerts ended, as their source says; None while one fires.

        Word of the end comes late, by minutes where the sender gathers its news;
        it never comes early, and nothing ends before it was seen.
        """
        if self.resolved_at is None:
            return None
        ends = [a.ends_at for a in self.alerts if a.ends_at is not None]
        told = min(max(ends), self.resolved_at) if ends else self.resolved_at
        return max(told, self.first_seen)

    @property
    def name(self) -> str:
        """Return the name the alerts share, or say how many names there are."""
        names = sorted({a.name for a in self.alerts})
        if len(names) == 1:
            return names[0]
        return f"{names[0]} and {len(names) - 1} more" if names else "Unnamed alert"

    @property
    def service(self) -> str | None:
        """Return the service the alerts name, if they agree on one."""
        services = {a.labels.get("service") for a in self.alerts}
        return services.pop() if len(services) == 1 else None

    def annotation(self, key: str) -> str:
        """Return an annotation of the first firing alert (of any, when none fires)."""
        for alert in self.firing or self.alerts:
            if key in alert.annotations:
                return alert.annotations[key]
        return ""

    def silenced(self, at: datetime) -> bool:
        """Say whether the group is muted at a moment."""
        return self.silenced_until is not None and at < self.silenced_until


class Change(StrEnum):
    """What happened to a group, in words the timeline uses."""

    OPENED = "opened"
    ADDED = "added"
    REPEATED = "repeated"
    PARTLY_RESOLVED = "partly resolved"
    RESOLVED = "resolved"
    REOPENED = "reopened"
    ACKNOWLEDGED = "acknowledged"
    SILENCED = "silenced"
    UNSILENCED = "unsilenced"
    DECLARED = "declared"
    ASSESSED = "assessed"


def opens(notification: Notification, latest: AlertGroup | None, at: datetime) -> bool:
    """Say whether a notification starts a new card rather than updating the latest.

    A group that fires again within `REOPEN_WITHIN` of its resolution is the
    same story: its card is updated. One that resolves again and never fired in
    between changes nothing, and neither does an old report that comes late: its
    end is known, and nobody would ever resolve a card it opened.
    """
    if latest is None:
        return True
    if latest.resolved_at is None:
        return False
    known = {a.fingerprint: a for a in latest.alerts}
    fires = any(
        a.status is AlertStatus.FIRING
        and (a.fingerprint not in known or not _outdated(a, known[a.fingerprint]))
        for a in notification.alerts
    )
    return fires and at - latest.resolved_at > REOPEN_WITHIN


def open_group(id: GroupId, notification: Notification, at: datetime) -> AlertGroup:
    """Start the story of a group."""
    group = AlertGroup(
        id=id,
        source=notification.source,
        group_key=notification.group_key,
        labels=notification.labels,
        alerts=_latest_by_identity((), notification.alerts),
        first_seen=at,
        last_seen=at,
        external_url=notification.external_url,
        truncated=notification.truncated,
    )
    return replace(group, resolved_at=None if group.firing else at)


def merge(group: AlertGroup, notification: Notification, at: datetime) -> tuple[AlertGroup, Change]:
    """Take a later notification of the same group in.

    An alert is known by its fingerprint; what a notification does not mention
    stays as it was, since the sender may have truncated it. An older report of
    the same alert (a delivery out of order) never overwrites a newer one.
    """
    merged = replace(
        group,
        alerts=_within_bounds(_latest_by_identity(group.alerts, notification.alerts)),
        last_seen=at,
        truncated=notification.truncated,
        notifications=group.notifications + 1,
        external_url=notification.external_url or group.external_url,
        version=group.version + 1,
    )
    change = _change(group, merged)
    resolved_at = (group.resolved_at or at) if not merged.firing else None
    return replace(merged, resolved_at=resolved_at), change


def _latest_by_identity(known: Sequence[Alert], news: Sequence[Alert]) -> tuple[Alert, ...]:
    by_identity = {a.fingerprint: a for a in known}
    for alert in news:
        before = by_identity.get(alert.fingerprint)
        if before is None or not _outdated(alert, before):
            by_identity[alert.fingerprint] = alert
    return tuple(by_identity.values())


def _within_bounds(alerts: tuple[Alert, ...]) -> tuple[Alert, ...]:
    """Forget the alerts that ended longest ago.

    A group may fire for months without a break while alerts with names of their
    own come and go within it; it is stored whole with every delivery.
    """
    resolved = [a for a in alerts if a.status is AlertStatus.RESOLVED]
    if len(resolved) <= MOST_RESOLVED:
        return alerts
    resolved.sort(key=lambda a: a.ends_at or a.starts_at)
    forgotten = {a.fingerprint for a in resolved[:-MOST_RESOLVED]}
    return tuple(a for a in alerts if a.fingerprint not in forgotten)


def _outdated(news: Alert, known: Alert) -> bool:
    """Say whether a report is older than what is known.

    It is with an earlier start, or when the same episode fires again after its
    resolution was seen. An end that lies after the known start is no old news
    whatever its start: two Prometheus servers of a pair see an alert start at
    slightly different times, and Alertmanager may later tell the earlier one.
    """
    resolves = news.status is AlertStatus.RESOLVED and known.status is AlertStatus.FIRING
    if resolves and news.ends_at is not None and news.ends_at > known.starts_at:
        return False
    if news.starts_at != known.starts_at:
        return news.starts_at < known.starts_at
    return known.status is AlertStatus.RESOLVED and news.status is AlertStatus.FIRING


def _change(before: AlertGroup, after: AlertGroup) -> Change:
    if not after.firing:
        return Change.REPEATED if not before.firing else Change.RESOLVED
    if not before.firing:
        return Change.REOPENED
    was = {a.fingerprint for a in before.firing}
    now = {a.fingerprint for a in after.firing}
    if now - was:
        return Change.ADDED
    return Change.PARTLY_RESOLVED if was - now else Change.REPEATED


def acknowledge(group: AlertGroup, by: Caller, at: datetime) -> AlertGroup | None:
    """Let a person take the group, or return None where they already have it."""
    if group.acknowledged_by is not None and group.acknowledged_by.id == by.person.id:
        return None
    return replace(group, acknowledged_by=by.person, acknowledged_at=at, version=group.version + 1)


def silence(group: AlertGroup, *, by: Caller, at: datetime, until: datetime) -> AlertGroup:
    """Mute a group until a moment; its card stays and says so."""
    return replace(group, silenced_until=until, silenced_by=by.person, version=group.version + 1)
