"""Rules from labels to severity.

A label says how loud its author wanted the alert to be, the tier how much users
feel the service. So a word gives a severity, and the tier moves it by one step
where the word leaves room. Severities written out (`sev2`, `P1`) are taken as
they are: somebody has decided already. No confidence is given, since none of
this was ever measured against outcomes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bot.domain.alerts import Alert, AlertGroup, Severity
from bot.domain.catalog import Catalog, Service
from bot.domain.findings import Evidence, Finding, FindingKind

MODEL = "triage-rules-1"
UNKNOWN = "unknown"

_KEYS = ("severity", "priority", "level")
_MOST_EVIDENCE = 3
_LONGEST_WORD = 60


# Each row: the severities on tier 1, on tier 2 (or an unknown one) and on tier 3,
# and the words that mean it.
_ROWS = (
    (Severity.SEV1, Severity.SEV1, Severity.SEV2, "disaster emergency emerg fatal blocker"),
    (Severity.SEV2, Severity.SEV2, Severity.SEV3, "critical crit page high urgent alert"),
    (Severity.SEV2, Severity.SEV3, Severity.SEV4, "error err major ticket"),
    (Severity.SEV3, Severity.SEV3, Severity.SEV4, "warning warn medium moderate average minor"),
    (Severity.SEV4, Severity.SEV4, Severity.SEV4, "info information informational notice low none"),
    (Severity.SEV1, Severity.SEV1, Severity.SEV1, "sev1 sev-1 s1 p1"),
    (Severity.SEV2, Severity.SEV2, Severity.SEV2, "sev2 sev-2 s2 p2"),
    (Severity.SEV3, Severity.SEV3, Severity.SEV3, "sev3 sev-3 s3 p3"),
    (Severity.SEV4, Severity.SEV4, Severity.SEV4, "sev4 sev-4 s4 p4 sev5 sev-5 s5 p5"),
)
_BY_TIER = {word: row[:3] for row in _ROWS for word in row[3].split()}
_LAST_TIER = 3


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """What one alert's label says."""

    alert: Alert
    key: str
    said: str
    severity: Severity | None = None
    usual: Severity | None = None
    service: Service | None = None


def assess(group: AlertGroup, catalog: Catalog) -> Finding:
    """Propose the severity of the worst alert that fires (of any, when none fires)."""
    alerts = group.firing or group.alerts
    readings = [reading for alert in alerts if (reading := _read(alert, catalog)) is not None]
    known = [reading for reading in readings if reading.severity is not None]
    if not known:
        return _unknown(readings)
    worst = min(known, key=lambda reading: reading.severity or UNKNOWN)
    return Finding(
        kind=FindingKind.SEVERITY,
        claim=_claim(worst),
        value=str(worst.severity),
        evidence=_evidence(worst, known),
        model=MODEL,
        detail=_detail(worst, catalog),
    )


def _read(alert: Alert, catalog: Catalog) -> _Reading | None:
    for key in _KEYS:
        said = alert.labels.get(key, "").strip()
        if not said:
            continue
        by_tier = _BY_TIER.get(said.lower())
        if by_tier is None:
            return _Reading(alert=alert, key=key, said=said)
        service = catalog.services.get(alert.labels.get("service", ""))
        tier = min(max(service.tier, 1), _LAST_TIER) if service else 2
        return _Reading(
            alert=alert,
            key=key,
            said=said,
            severity=by_tier[tier - 1],
            usual=by_tier[1],
            service=service,
        )
    return None


def _claim(reading: _Reading) -> str:
    claim = f"{reading.severity}: {reading.key} label is “{_short(reading.said)}”"
    service = reading.service
    if service is None:
        return claim
    tier = f"{service.name} is a tier {service.tier} service"
    if reading.severity is reading.usual or reading.severity is None or reading.usual is None:
        return f"{claim} and {tier}"
    moved = "raised" if reading.severity < reading.usual else "lowered"
    return f"{claim}, {moved} from {reading.usual} because {tier}"


def _unknown(readings: Iterable[_Reading]) -> Finding:
    strange = sorted({(reading.key, _short(reading.said)) for reading in readings})
    reason = "the alerts have no severity, priority or level label"
    if strange:
        shown = ", ".join(f"{key} label is “{said}”" for key, said in strange[:_MOST_EVIDENCE])
        reason = f"{shown}, which no rule knows"
    return Finding(
        kind=FindingKind.SEVERITY,
        claim=f"{UNKNOWN}: {reason}",
        value=UNKNOWN,
        model=MODEL,
        evidence=tuple(_label_evidence(reading) for reading in list(readings)[:_MOST_EVIDENCE]),
    )


def _evidence(worst: _Reading, known: Iterable[_Reading]) -> tuple[Evidence, ...]:
    same = [reading for reading in known if reading.severity is worst.severity]
    evidence = [_label_evidence(reading) for reading in same[:_MOST_EVIDENCE]]
    if worst.service is not None:
        name, tier = worst.service.name, worst.service.tier
        evidence.append(Evidence(kind="service", ref=name, label=f"{name}: tier {tier}"))
    return tuple(evidence)


def _label_evidence(reading: _Reading) -> Evidence:
    return Evidence(
        kind="alert",
        ref=reading.alert.fingerprint,
        label=f"{reading.key}={_short(reading.said)} on {_short(reading.alert.name)}",
    )


def _detail(reading: _Reading, catalog: Catalog) -> str:
    meaning = f"{reading.severity} means: {reading.severity.meaning}." if reading.severity else ""
    if reading.service is None:
        named = reading.alert.labels.get("service")
        lacking = (
            f"{_short(named)} is not in the catalog" if named else "the alert names no service"
        )
        return f"{meaning} The tier is unknown, since {lacking}."
    dependents = catalog.dependents(reading.service.name)
    needed = f" It is needed by {', '.join(dependents)}." if dependents else ""
    return f"{meaning}{needed}"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_WORD else f"{text[: _LONGEST_WORD - 1]}…"
