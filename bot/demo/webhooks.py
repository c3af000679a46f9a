"""Alertmanager's webhook, version 4, as the built-in watcher sends it.

Fingerprints and group keys are computed as Alertmanager does, so that an alert has
the same identity whichever of the two reports it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

RECEIVER = "tocsin"

_NOT_ENDED = "0001-01-01T00:00:00Z"
_FNV_OFFSET, _FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3
_SEPARATOR = b"\xff"


@dataclass(frozen=True, kw_only=True)
class WebhookAlert:
    """One alert as it is told; `ends_at` is set once it is resolved."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime
    ends_at: datetime | None = None
    generator_url: str = ""

    def as_json(self) -> dict[str, object]:
        """Return the alert's part of the payload."""
        return {
            "status": "resolved" if self.ends_at else "firing",
            "labels": dict(sorted(self.labels.items())),
            "annotations": dict(sorted(self.annotations.items())),
            "startsAt": _written(self.starts_at),
            "endsAt": _written(self.ends_at) if self.ends_at else _NOT_ENDED,
            "generatorURL": self.generator_url,
            "fingerprint": fingerprint(self.labels),
        }


def fingerprint(labels: Mapping[str, str]) -> str:
    """Return a label set's fingerprint: 64-bit FNV-1a over sorted, terminated names and values."""
    digest = _FNV_OFFSET
    for name, value in sorted(labels.items()):
        for byte in name.encode() + _SEPARATOR + value.encode() + _SEPARATOR:
            digest = ((digest ^ byte) * _FNV_PRIME) & 0xFFFFFFFFFFFFFFFF
    return f"{digest:016x}"


def group_labels(labels: Mapping[str, str], group_by: Iterable[str]) -> dict[str, str]:
    """Return the labels by which an alert is grouped."""
    return {name: labels[name] for name in sorted(group_by) if name in labels}


def group_key(labels: Mapping[str, str]) -> str:
    """Return the key of a group in the root route."""
    written = (f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in labels.items())
    return f"{{}}:{{{', '.join(written)}}}"


def payload(
    alerts: Sequence[WebhookAlert], group: Mapping[str, str], *, external_url: str
) -> dict[str, object]:
    """Return the webhook for the alerts of one group; it fires while one of them does."""
    return {
        "receiver": RECEIVER,
        "status": "resolved" if all(alert.ends_at for alert in alerts) else "firing",
        "alerts": [alert.as_json() for alert in alerts],
        "groupLabels": dict(group),
        "commonLabels": _shared([alert.labels for alert in alerts]),
        "commonAnnotations": _shared([alert.annotations for alert in alerts]),
        "externalURL": external_url,
        "version": "4",
        "groupKey": group_key(group),
        "truncatedAlerts": 0,
    }


def _shared(mappings: Sequence[Mapping[str, str]]) -> dict[str, str]:
    shared = set.intersection(*(set(mapping.items()) for mapping in mappings))
    return dict(sorted(shared))


def _written(moment: datetime) -> str:
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
