"""Alertmanager's webhook payload, version 4, to notifications.

The parser believes nothing: a wrong type is refused with the path of its field,
so that the kept delivery can be mended and replayed. What can be read all the
same is read, because a lost alert is worse than an ugly one: overlong texts are
cut, and characters that no database stores (NUL, half of a surrogate pair) are
replaced. Unknown keys are ignored; newer versions of Alertmanager add some.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime

from bot.domain.actions import JSON
from bot.domain.alerts import Alert, AlertStatus, Notification, fingerprint
from bot.domain.errors import Unreadable
from bot.plugin import Payload
from plugins.alertmanager.fields import (
    label_map,
    moment,
    shorten,
    storable,
    table,
    text,
    whole,
)

SOURCE = "alertmanager"
VERSION = "4"

_LONGEST_LABEL = 1_000
_LONGEST_ANNOTATION = 10_000
_LONGEST_URL = 2_000
_LONGEST_KEY = 1_000
_MOST_TRUNCATED = 1_000_000_000


def parse(payload: Payload) -> Sequence[Notification]:
    """Return the one notification of a webhook, or none where it holds no alert.

    Raises:
        Unreadable: the payload is not Alertmanager's format 4; it names the field.
    """
    body = table(payload.json, "the payload")
    _check_version(body)
    alerts = _alerts(body, payload.received_at)
    if not alerts:
        return ()
    shared = label_map(body.get("groupLabels"), "groupLabels", longest=_LONGEST_LABEL)
    common = label_map(body.get("commonLabels"), "commonLabels", longest=_LONGEST_LABEL)
    truncated = whole(body.get("truncatedAlerts"), "truncatedAlerts", most=_MOST_TRUNCATED)
    return (
        Notification(
            source=SOURCE,
            group_key=_group_key(body),
            alerts=alerts,
            labels={**shared, **common},
            external_url=text(body.get("externalURL"), "externalURL", longest=_LONGEST_URL),
            truncated=truncated,
        ),
    )


def _check_version(body: Mapping[str, JSON]) -> None:
    version = body.get("version")
    if version is None:
        raise Unreadable("version", f'is missing; it should be "{VERSION}"')
    if version != VERSION:
        shown = storable(repr(version)[:40])
        raise Unreadable("version", f'is {shown}; only "{VERSION}" is understood')


def _group_key(body: Mapping[str, JSON]) -> str:
    """Return the group's key, shortened to what an index holds and still unique."""
    key = text(body.get("groupKey"), "groupKey", longest=None)
    if not key:
        raise Unreadable("groupKey", "is missing or empty")
    if len(key) <= _LONGEST_KEY:
        return key
    return f"{key[: _LONGEST_KEY - 70]}…{hashlib.sha256(key.encode()).hexdigest()}"


def _alerts(body: Mapping[str, JSON], received_at: datetime) -> tuple[Alert, ...]:
    alerts = body.get("alerts")
    if not isinstance(alerts, list):
        raise Unreadable("alerts", "is missing" if alerts is None else "is not a list")
    return tuple(_alert(alert, f"alerts[{n}]", received_at) for n, alert in enumerate(alerts))


def _alert(value: JSON, path: str, received_at: datetime) -> Alert:
    alert = table(value, path)
    if alert.get("labels") is None:
        raise Unreadable(f"{path}.labels", "is missing")
    labels = label_map(alert["labels"], f"{path}.labels", longest=None)
    # A start that Go never set becomes the arrival: the alert is real all the same.
    starts_at = moment(alert.get("startsAt"), f"{path}.startsAt") or received_at
    return Alert(
        fingerprint=_identity(alert, path, labels),
        status=_status(alert, path),
        labels={name: shorten(label, _LONGEST_LABEL) for name, label in labels.items()},
        annotations=label_map(
            alert.get("annotations"), f"{path}.annotations", longest=_LONGEST_ANNOTATION
        ),
        starts_at=starts_at,
        ends_at=_ends_at(alert, path, starts_at),
        generator_url=text(alert.get("generatorURL"), f"{path}.generatorURL", longest=_LONGEST_URL),
    )


def _identity(alert: Mapping[str, JSON], path: str, labels: Mapping[str, str]) -> str:
    """Return the alert's identity: its own fingerprint, or else its labels.

    The sender's address is left out on purpose: the members of a highly
    available pair take turns, and what one reports as firing the other resolves.
    """
    own = text(alert.get("fingerprint"), f"{path}.fingerprint", longest=None)
    if own:
        return fingerprint(SOURCE, own)
    return fingerprint(SOURCE, *(part for pair in sorted(labels.items()) for part in pair))


def _status(alert: Mapping[str, JSON], path: str) -> AlertStatus:
    status = alert.get("status")
    if status not in (AlertStatus.FIRING.value, AlertStatus.RESOLVED.value):
        what = "is missing" if status is None else "is neither firing nor resolved"
        raise Unreadable(f"{path}.status", what)
    return AlertStatus(status)


def _ends_at(alert: Mapping[str, JSON], path: str, starts_at: datetime) -> datetime | None:
    """Return when the alert ended; an end that was not set or lies before the start is unknown."""
    if alert.get("endsAt") is None:
        return None
    ends_at = moment(alert["endsAt"], f"{path}.endsAt")
    return ends_at if ends_at is not None and ends_at >= starts_at else None
