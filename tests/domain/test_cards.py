from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bot.domain.alerts import Alert, AlertGroup, AlertStatus, GroupId
from bot.domain.cards import alert_card
from bot.domain.findings import Evidence, Finding, FindingKind
from bot.domain.freezes import Window, WindowKind
from bot.domain.messages import (
    Bold,
    Button,
    Buttons,
    Facts,
    Heading,
    Message,
    Moment,
    Paragraph,
    PersonName,
    Quiet,
    Tone,
)
from bot.domain.people import Person, PersonId

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
START = NOON - timedelta(minutes=5)
DANA = Person(id=PersonId("U1"), name="Dana")

ALERT = Alert(
    fingerprint="f",
    status=AlertStatus.FIRING,
    labels={"alertname": "HighLatency", "service": "checkout"},
    annotations={"summary": "Requests are slow"},
    starts_at=START,
)
GROUP = AlertGroup(
    id=GroupId("g"),
    source="alertmanager",
    group_key="k",
    labels={},
    alerts=(ALERT,),
    first_seen=START,
    last_seen=NOON,
)
SEVERITY = Finding(
    kind=FindingKind.SEVERITY, claim="sev2: checkout is a tier 1 service", confidence=0.87
)
BUTTON = Button(label="Acknowledge", interaction="alerts.acknowledge", value="g")


def test_a_card_says_what_one_needs_and_nothing_else() -> None:
    assert alert_card(GROUP, [BUTTON], at=NOON) == Message(
        summary="Firing: HighLatency · checkout (5 min)",
        parts=(
            Heading("Firing: HighLatency · checkout"),
            Paragraph(("Requests are slow",)),
            Facts(
                (
                    ("Severity", ("not judged yet",)),
                    ("Firing for", ("5 min, since ", Moment(START))),
                )
            ),
            Buttons((BUTTON,)),
        ),
        tone=Tone.FIRING,
    )


def test_a_full_card_keeps_its_order() -> None:
    findings = (
        Finding(kind=FindingKind.NOTE, claim="a deploy 4 min before"),
        Finding(
            kind=FindingKind.RUNBOOK,
            claim="checkout/worker-stuck",
            confidence=0.5,
            evidence=tuple(Evidence(kind="runbook", ref=str(n), label=f"e{n}") for n in range(5)),
        ),
        Finding(kind=FindingKind.SIMILAR, claim="EX-7"),
        Finding(kind=FindingKind.SIMILAR, claim="EX-8, which is behind Details"),
        SEVERITY,
    )
    other = replace(ALERT, fingerprint="o", status=AlertStatus.RESOLVED)
    group = replace(
        GROUP,
        findings=findings,
        alerts=(ALERT, other),
        incident="INC-1",
        acknowledged_by=DANA,
        acknowledged_at=NOON,
        truncated=31,
    )
    assert alert_card(group, (), at=NOON).parts == (
        Heading("Firing: HighLatency · checkout"),
        Paragraph(("Requests are slow",)),
        Facts(
            (
                ("Severity", ("sev2: checkout is a tier 1 service (87% sure)",)),
                ("Firing for", ("5 min, since ", Moment(START))),
                ("Alerts", ("1 of 2 firing",)),
                ("Incident", ("INC-1",)),
            )
        ),
        Paragraph((Bold("Similar: "), "EX-7", "")),
        Paragraph((Bold("Runbook: "), "checkout/worker-stuck", " (50% sure)")),
        Quiet(("e0 · e1 · e2",)),
        Paragraph((Bold("Note: "), "a deploy 4 min before", "")),
        Quiet(
            (
                "Acknowledged by ",
                PersonName(DANA.id, "Dana"),
                ", ",
                Moment(NOON),
                ". ",
                "The sender left out 31 more alerts. ",
            )
        ),
    )


def resolved(group: AlertGroup) -> AlertGroup:
    gone = replace(ALERT, status=AlertStatus.RESOLVED, ends_at=NOON)
    return replace(group, alerts=(gone,), resolved_at=NOON)


@pytest.mark.parametrize(
    ("group", "tone"),
    (
        (GROUP, Tone.FIRING),
        (replace(GROUP, acknowledged_by=DANA, acknowledged_at=NOON), Tone.WAITING),
        (replace(GROUP, silenced_until=NOON + timedelta(hours=1)), Tone.MUTED),
        (replace(GROUP, silenced_until=NOON), Tone.FIRING),
        (resolved(GROUP), Tone.GOOD),
        (resolved(replace(GROUP, silenced_until=NOON + timedelta(hours=1))), Tone.GOOD),
    ),
)
def test_the_colour_says_how_things_stand(group: AlertGroup, tone: Tone) -> None:
    assert alert_card(group, (), at=NOON).tone is tone


def test_a_card_within_maintenance_says_until_when() -> None:
    until = NOON + timedelta(hours=1)
    window = Window(
        kind=WindowKind.MAINTENANCE, title="Disk swap", starts_at=START, ends_at=until, source="s"
    )
    card = alert_card(GROUP, (), at=NOON, muted=window)
    assert card.tone is Tone.MUTED
    assert card.parts[-1] == Quiet(("In maintenance (Disk swap) until ", Moment(until), ". "))
    assert alert_card(resolved(GROUP), (), at=NOON, muted=window).tone is Tone.GOOD


def test_a_resolved_card_stops_counting() -> None:
    group = resolved(GROUP)
    early, late = (alert_card(group, (), at=NOON + timedelta(hours=h)) for h in (0, 9))
    assert early == late
    assert early.summary == "Resolved: HighLatency · checkout (5 min)"


def test_a_start_in_the_future_is_not_a_negative_time() -> None:
    ahead = replace(GROUP, alerts=(replace(ALERT, starts_at=NOON + timedelta(hours=1)),))
    assert "-" not in alert_card(ahead, (), at=NOON).summary


def test_a_bare_alert_still_makes_a_card() -> None:
    bare = replace(GROUP, alerts=(replace(ALERT, labels={}, annotations={}),))
    card = alert_card(bare, (), at=NOON)
    assert card.parts[0] == Heading("Firing: Unnamed alert")
    assert len(card.parts) == 2


def test_a_card_is_calm_however_much_is_known() -> None:
    findings = tuple(
        Finding(kind=kind, claim=f"{kind} {n}") for kind in FindingKind for n in range(50)
    )
    many = tuple(replace(ALERT, fingerprint=str(n)) for n in range(500))
    card = alert_card(replace(GROUP, findings=findings, alerts=many), [BUTTON], at=NOON)
    assert len(card.parts) <= 10


def test_words_of_a_label_stay_words() -> None:
    evil = replace(ALERT, labels={"alertname": "<!channel>", "service": "<@U1>"})
    card = alert_card(replace(GROUP, alerts=(evil,)), (), at=NOON)
    assert card.parts[0] == Heading("Firing: <!channel> · <@U1>")
