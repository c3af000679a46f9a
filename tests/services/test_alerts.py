from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from bot.domain.alerts import AlertGroup, AlertStatus, Severity
from bot.domain.deliveries import Delivery, DeliveryState
from bot.domain.errors import AlreadyDone, NotFound, Refused
from bot.domain.findings import Finding, FindingKind
from bot.domain.incidents import IncidentId, MilestoneKind
from bot.domain.known_errors import KnownError
from bot.domain.people import BOT, Caller
from bot.storage.sqlite import read_entries
from tests.fakes import NOON
from tests.stage import Stage, alert, stage_in

RESOLVED = AlertStatus.RESOLVED


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage_in(tmp_path) as running:
        yield running


async def changes(stage: Stage) -> list[str]:
    async with stage.database.reading() as view:
        due = await view.outbox.due(now=stage.clock.now(), limit=100)
    return [queued.happening.change for queued in due]


async def story(stage: Stage, subject: str) -> list[str]:
    return [entry.text for entry in await stage.context.timelines.about(subject)]


def ledger(folder: Path) -> list[object]:
    entries = read_entries(folder / "tocsin.db", incident="", last=100)
    return [entry["type"] for entry in entries]


async def test_a_delivery_is_stored_whole_with_what_it_tells(stage: Stage, tmp_path: Path) -> None:
    group = await stage.fire(alert(starts_at=NOON - timedelta(minutes=2)))
    async with stage.database.reading() as view:
        [delivery] = await view.deliveries.find(DeliveryState.TAKEN)
        [told] = await view.timeline.of([group.id])
    assert delivery.body == b"{}"
    assert (told.text, told.at) == (
        "CheckoutHighErrorRate started firing",
        NOON - timedelta(minutes=2),
    )
    assert await changes(stage) == ["opened"]
    assert ledger(tmp_path) == ["alert.opened"]


async def test_the_same_delivery_is_taken_once(stage: Stage) -> None:
    delivery = Delivery(id="d", source="s", received_at=NOON, body=b"", headers={})
    await stage.context.alerts.ingest(delivery, [])
    with pytest.raises(AlreadyDone):
        await stage.context.alerts.ingest(delivery, [])


async def test_repeats_are_told_to_the_card_and_not_to_the_record(
    stage: Stage, tmp_path: Path
) -> None:
    first = await stage.fire(alert())
    for _ in range(3):
        assert (await stage.fire(alert())).id == first.id
    assert await changes(stage) == ["opened", "repeated", "repeated", "repeated"]
    assert len(await story(stage, first.id)) == 1
    assert ledger(tmp_path) == ["alert.opened"]


async def test_a_group_resolves_reopens_and_later_is_a_new_story(stage: Stage) -> None:
    first = await stage.fire(alert())
    stage.clock.advance(seconds=60)
    gone = alert(status=RESOLVED, ends_at=NOON + timedelta(seconds=30))
    assert (await stage.fire(gone)).resolved_at == stage.clock.now()
    assert (await stage.fire(gone)).id == first.id
    stage.clock.advance(seconds=60)
    again = await stage.fire(alert(starts_at=stage.clock.now()))
    assert (again.id, again.resolved_at) == (first.id, None)
    await stage.fire(alert(status=RESOLVED, starts_at=stage.clock.now()))
    stage.clock.advance(seconds=3600)
    other = await stage.fire(alert(starts_at=stage.clock.now()))
    assert other.id != first.id
    assert await changes(stage) == [
        "opened", "resolved", "repeated", "reopened", "resolved", "opened",
    ]  # fmt: skip
    assert await story(stage, first.id) == [
        "CheckoutHighErrorRate started firing",
        "CheckoutHighErrorRate resolved",
        "CheckoutHighErrorRate: 1 firing",
        "CheckoutHighErrorRate resolved",
    ]


async def test_many_deliveries_at_once_are_one_group(stage: Stage) -> None:
    groups = await asyncio.gather(*(stage.fire(alert(instance=str(n))) for n in range(40)))
    assert len({group.id for group in groups}) == 1
    whole = await stage.context.alerts.get(groups[0].id)
    assert (len(whole.firing), whole.notifications) == (40, 40)
    assert len(await stage.context.alerts.firing()) == 1


async def test_a_person_takes_a_group_once(stage: Stage) -> None:
    group = await stage.fire(alert())
    caller = stage.by(stage.dana)
    taken = await stage.context.alerts.acknowledge(group.id, by=caller)
    assert taken.acknowledged_by == stage.dana
    with pytest.raises(AlreadyDone):
        await stage.context.alerts.acknowledge(group.id, by=caller)
    with pytest.raises(Refused, match="You have acknowledged this alert already"):
        await stage.context.alerts.acknowledge(group.id, by=stage.by(stage.dana))
    handed = await stage.context.alerts.acknowledge(group.id, by=stage.by(stage.ravi))
    assert handed.acknowledged_by == stage.ravi
    assert (await changes(stage))[1:] == ["acknowledged", "acknowledged"]


async def test_a_double_click_has_one_effect(stage: Stage) -> None:
    group = await stage.fire(alert())
    caller = stage.by(stage.dana)
    clicks = (stage.context.alerts.acknowledge(group.id, by=caller) for _ in range(20))
    results = await asyncio.gather(*clicks, return_exceptions=True)
    assert sum(not isinstance(result, Exception) for result in results) == 1
    assert (await story(stage, group.id)).count("acknowledged the alert") == 1


async def test_a_bot_takes_no_alerts(stage: Stage) -> None:
    group = await stage.fire(alert())
    with pytest.raises(Refused, match="by people"):
        await stage.context.alerts.acknowledge(group.id, by=Caller(person=BOT, request="r"))


async def test_a_card_of_something_forgotten_is_refused_politely(stage: Stage) -> None:
    with pytest.raises(NotFound, match="not known any more"):
        await stage.context.alerts.acknowledge("gone", by=stage.by(stage.dana))  # type: ignore[arg-type]  # an id from a stale card


@pytest.mark.parametrize("hours", (0, -1, 24 * 7 + 1))
async def test_a_silence_has_a_sensible_length(stage: Stage, hours: int) -> None:
    group = await stage.fire(alert())
    with pytest.raises(Refused, match="at most 7 days"):
        await stage.context.alerts.silence(
            group.id, timedelta(hours=hours), by=stage.by(stage.dana)
        )


async def test_a_silence_says_why_on_the_timeline(stage: Stage) -> None:
    group = await stage.fire(alert())
    silenced = await stage.context.alerts.silence(
        group.id, timedelta(hours=2), by=stage.by(stage.dana), reason="deploy"
    )
    assert silenced.silenced(NOON + timedelta(minutes=119))
    assert not silenced.silenced(NOON + timedelta(hours=2))
    assert (await story(stage, group.id))[-1].endswith(": deploy")


async def test_findings_are_on_the_record_when_they_change(stage: Stage, tmp_path: Path) -> None:
    group = await stage.fire(alert())
    finding = Finding(kind=FindingKind.SEVERITY, claim="sev2: tier 1", model="rules-1")
    for _ in range(3):
        await stage.context.alerts.assess(group.id, [finding])
    await stage.context.alerts.assess(group.id, [replace(finding, claim="sev3: at night")])
    assert ledger(tmp_path) == ["alert.opened", "finding.made", "finding.made"]


FOUND = Finding(kind=FindingKind.KNOWN_ERROR, claim="KE-9, found", value="KE-9", model="r-1")
NOTE = Finding(kind=FindingKind.NOTE, claim="a note")


async def named(stage: Stage, title: str = "A lock hangs") -> tuple[AlertGroup, KnownError]:
    """Let an alert fire, be declared an incident, and people name its cause."""
    group = await stage.fire(alert())
    by = stage.by(stage.dana)
    incident = await stage.context.incidents.declare(
        "Orders fail", Severity.SEV1, service="checkout", by=by, group=group.id
    )
    known = await stage.context.known_errors.propose(
        title, "It times out.", "", incident=incident.id, by=stage.by(stage.dana)
    )
    return await stage.context.alerts.get(group.id), known


async def test_a_cause_that_people_name_while_plugins_are_asked_stays(stage: Stage) -> None:
    group, known = await named(stage)
    for answers in ([NOTE], [FOUND, NOTE]):  # asked before anybody had named anything
        assessed = await stage.context.alerts.assess(group.id, answers)
        assert assessed.findings == (known.note, NOTE)
    assert (await stage.context.alerts.get(group.id)).findings == (known.note, NOTE)


async def test_a_cause_that_people_take_back_while_plugins_are_asked_goes(stage: Stage) -> None:
    group, known = await named(stage)
    answers = [replace(known.note, plugin="similar"), NOTE]
    await stage.context.known_errors.unlink(known.id, known.incidents[0], by=stage.by(stage.dana))
    assessed = await stage.context.alerts.assess(group.id, answers)
    assert assessed.findings == (NOTE,)
    assert (await stage.context.alerts.assess(group.id, [FOUND])).findings == (FOUND,)


async def test_a_named_cause_is_on_the_record_once_however_often_it_is_assessed(
    stage: Stage, tmp_path: Path
) -> None:
    group, known = await named(stage)
    for answers in ([known.note, NOTE], [NOTE], [NOTE, replace(known.note, plugin="similar")]):
        await stage.context.alerts.assess(group.id, answers)
    assert ledger(tmp_path).count("finding.made") == 1


async def test_alerts_write_the_milestones_of_their_incident(stage: Stage) -> None:
    group = await stage.fire(alert(starts_at=NOON - timedelta(minutes=3)))
    incident = await stage.context.incidents.declare(
        "Orders fail", Severity.SEV1, service="checkout", by=stage.by(stage.dana), group=group.id
    )
    stage.clock.advance(seconds=60)
    await stage.context.alerts.acknowledge(group.id, by=stage.by(stage.ravi))
    stage.clock.advance(seconds=60)
    await stage.fire(alert(status=RESOLVED, starts_at=NOON - timedelta(minutes=3)))
    stage.clock.advance(seconds=60)
    await stage.fire(alert(starts_at=stage.clock.now()))
    await stage.fire(alert(status=RESOLVED, starts_at=stage.clock.now()))
    found = await stage.context.incidents.get(IncidentId(incident.id))
    assert {m.kind: (m.at - NOON).total_seconds() for m in found.milestones} == {
        MilestoneKind.STARTED: -180,
        MilestoneKind.DETECTED: 0,
        MilestoneKind.DECLARED: 0,
        MilestoneKind.ACKNOWLEDGED: 60,
        MilestoneKind.MITIGATED: 120,
    }
    with pytest.raises(Refused, match="belongs to INC-1 already"):
        await stage.context.incidents.declare(
            "Again", Severity.SEV1, service="", by=stage.by(stage.dana), group=group.id
        )


async def test_claims_of_any_length_and_number_fit_into_the_ledger(
    stage: Stage, tmp_path: Path
) -> None:
    """Nobody bounds what a plugin claims; an entry that is refused would cost the card."""
    group = await stage.fire()
    findings = [
        Finding(kind=FindingKind.NOTE, claim="é" * 100_000, model=f"model-{n}-" + "m" * 50)
        for n in range(200)
    ]
    assessed = await stage.context.alerts.assess(group.id, findings)
    assert len(assessed.findings) == 200
    assert "finding.made" in ledger(tmp_path)


async def test_a_reason_of_any_length_keeps_a_delivery(stage: Stage, tmp_path: Path) -> None:
    delivery = Delivery(id="d", source="s", received_at=NOON, body=b"{", headers={})
    await stage.context.alerts.quarantine(delivery, "x" * 100_000)
    async with stage.database.reading() as view:
        [kept] = await view.deliveries.find(DeliveryState.QUARANTINED)
    assert len(kept.reason) < 2_000
    assert ledger(tmp_path) == ["delivery.quarantined"]


async def test_a_label_of_any_length_reaches_the_ledger(stage: Stage) -> None:
    group = await stage.fire(alert("n" * 100_000))
    await stage.context.alerts.acknowledge(group.id, by=stage.by(stage.dana))


async def test_a_silence_that_has_run_out_is_told_once(stage: Stage) -> None:
    alerts = stage.context.alerts
    group = await stage.fire(alert())
    await alerts.silence(group.id, timedelta(minutes=30), by=stage.by(stage.dana))
    stage.clock.advance(seconds=1799)
    assert await alerts.end_silences() == 0
    stage.clock.advance(seconds=1)
    assert await alerts.end_silences() == 1
    assert await alerts.end_silences() == 0
    heard = await alerts.get(group.id)
    assert (heard.silenced_until, heard.silenced_by) == (None, None)
    assert (await changes(stage))[-1] == "unsilenced"
    assert (await story(stage, group.id))[-1] == "ended the silence, since its time was over"
