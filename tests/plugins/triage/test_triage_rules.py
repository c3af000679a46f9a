"""A severity with its reason, or an honest "unknown"."""

from datetime import UTC, datetime
from typing import Any

import pytest

from bot.domain.alerts import Alert, AlertGroup, AlertStatus, GroupId
from bot.domain.catalog import Catalog, Service
from bot.domain.findings import Finding, FindingKind
from plugins.triage.rules import assess

NOW = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)
CATALOG = Catalog(
    services={
        name: Service(name=name, team="t", description="", tier=tier, depends_on=needs)
        for name, tier, needs in (
            ("checkout", 1, ()),
            ("search", 2, ()),
            ("batch", 3, ()),
            ("web", 1, ("checkout",)),
        )
    }
)


def alert(number: int = 0, status: AlertStatus = AlertStatus.FIRING, **labels: Any) -> Alert:
    return Alert(
        fingerprint=f"f{number}",
        status=status,
        annotations={},
        starts_at=NOW,
        labels={"alertname": "HighErrorRate", **labels},
    )


def finding(*alerts: Alert) -> Finding:
    group = AlertGroup(
        id=GroupId("g"),
        source="alertmanager",
        group_key="k",
        labels={},
        alerts=alerts,
        first_seen=NOW,
        last_seen=NOW,
    )
    return assess(group, CATALOG)


def test_the_claim_names_the_label_and_the_tier() -> None:
    found = finding(alert(severity="critical", service="checkout"))
    assert found.kind is FindingKind.SEVERITY
    assert found.value == "sev2"
    assert found.claim == ("sev2: severity label is “critical” and checkout is a tier 1 service")
    assert [e.label for e in found.evidence] == [
        "severity=critical on HighErrorRate",
        "checkout: tier 1",
    ]
    assert "needed by web" in found.detail


def test_no_confidence_is_invented() -> None:
    assert finding(alert(severity="critical")).confidence is None


@pytest.mark.parametrize(
    ("labels", "severity"),
    (
        ({"severity": "page", "service": "search"}, "sev2"),
        ({"severity": "CRITICAL "}, "sev2"),
        ({"severity": "critical", "service": "batch"}, "sev3"),
        ({"severity": "error", "service": "checkout"}, "sev2"),
        ({"severity": "error", "service": "search"}, "sev3"),
        ({"severity": "warning", "service": "checkout"}, "sev3"),
        ({"severity": "warning", "service": "batch"}, "sev4"),
        ({"severity": "info", "service": "checkout"}, "sev4"),
        ({"severity": "emergency"}, "sev1"),
        ({"priority": "P1", "service": "batch"}, "sev1"),
        ({"priority": "p2"}, "sev2"),
        ({"severity": "sev3", "priority": "P1"}, "sev3"),
        ({"level": "warn"}, "sev3"),
        ({"severity": "banana"}, "unknown"),
        ({}, "unknown"),
    ),
)
def test_labels_and_tiers_make_the_severity(labels: dict[str, Any], severity: str) -> None:
    assert finding(alert(**labels)).value == severity


def test_a_moved_severity_says_why() -> None:
    claim = finding(alert(severity="critical", service="batch")).claim
    assert claim == (
        "sev3: severity label is “critical”, lowered from sev2 because batch is a tier 3 service"
    )


def test_the_worst_alert_decides() -> None:
    found = finding(alert(1, severity="warning"), alert(2, severity="critical"))
    assert found.value == "sev2"
    assert found.evidence[0].ref == "f2"


def test_resolved_alerts_do_not_count_while_another_fires() -> None:
    resolved = alert(1, AlertStatus.RESOLVED, severity="critical")
    assert finding(resolved, alert(2, severity="info")).value == "sev4"


def test_an_unknown_word_is_said_to_be_unknown() -> None:
    assert finding(alert(severity="banana")).claim == (
        "unknown: severity label is “banana”, which no rule knows"
    )
    assert "no severity, priority or level label" in finding(alert()).claim


def test_an_unknown_service_is_named_in_the_detail() -> None:
    assert (
        "ghost is not in the catalog" in finding(alert(severity="critical", service="ghost")).detail
    )


def test_absurd_labels_are_cut() -> None:
    assert len(finding(alert(severity="x" * 5000)).claim) < 200
