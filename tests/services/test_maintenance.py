"""Announced maintenance keeps cards away, and brings them when it is over."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from bot.domain.alerts import AlertGroup, AlertStatus
from bot.domain.catalog import Catalog, Service
from bot.domain.freezes import Window, WindowKind, Windows
from bot.domain.messages import Tone
from bot.services.cards import CardService, announced, card_key
from bot.storage.sqlite import read_entries
from tests.fakes import NOON
from tests.stage import Stage, alert, stage_in, text_of

HOUR = timedelta(hours=1)
CHECKOUT = Service(name="checkout", team="payments", description="Takes orders", tier=1)


class WrittenDown:
    """Calendars whose windows a test writes down."""

    digest = ""

    def __init__(self, *windows: Window) -> None:
        self.windows = list(windows)

    def at(self, moment: datetime) -> Windows:
        return Windows(active=tuple(w for w in self.windows if w.during(moment)))

    def between(self, start: datetime, end: datetime) -> Sequence[Window]:
        return self.windows

    def files(self) -> Mapping[str, bytes]:
        return {}


def maintenance(
    *services: str,
    teams: tuple[str, ...] = (),
    hours: float = 2,
    kind: WindowKind = WindowKind.MAINTENANCE,
) -> Window:
    return Window(
        kind=kind,
        title="Disk swap",
        starts_at=NOON - HOUR,
        ends_at=NOON + hours * HOUR,
        services=frozenset(services),
        teams=frozenset(teams),
        source="ops.ics: swap@test",
    )


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage_in(tmp_path) as running:
        yield running


def cards(stage: Stage, calendars: WrittenDown) -> CardService:
    return CardService(
        stage.context.alerts,
        stage.context.posts,
        stage.clock,
        plugins=[],
        offers=lambda group: (),
        channel=lambda: stage.alerts,
        muted=announced(calendars, Catalog(services={"checkout": CHECKOUT})),
    )


async def shown(stage: Stage, group: AlertGroup) -> bool:
    posted = await stage.context.posts.get(card_key(group))
    return posted is not None


async def story(stage: Stage, group: AlertGroup) -> list[str]:
    return [entry.text for entry in await stage.context.timelines.about(group.id)]


async def deliver(stage: Stage, service: CardService) -> int:
    """Draw the cards of all events that are due, as the dispatcher does; return how many."""
    async with stage.database.reading() as view:
        due = await view.outbox.due(now=stage.clock.now(), limit=1000)
    for queued in due:
        await service.show(await stage.context.alerts.get(queued.happening.subject))  # type: ignore[arg-type]  # an alert's event
        async with stage.database.transaction() as tx:
            await tx.outbox.done(queued.id)
    return len(due)


async def test_a_new_card_waits_until_the_maintenance_is_over(stage: Stage) -> None:
    service = cards(stage, WrittenDown(maintenance("checkout")))
    group = await stage.fire(alert())
    await deliver(stage, service)
    assert not await shown(stage, group)
    stage.clock.set(NOON + 2 * HOUR - timedelta(seconds=1))
    await deliver(stage, service)
    assert not await shown(stage, group)
    stage.clock.advance(seconds=1)
    assert await deliver(stage, service) == 1
    assert await shown(stage, group)
    card = stage.chat.post_of(card_key(group)).message
    assert card.tone is Tone.FIRING
    assert "maintenance" not in text_of(card)
    stage.clock.advance(seconds=86_400)
    assert await deliver(stage, service) == 0  # it is not looked at for ever


async def test_what_resolves_within_the_maintenance_never_gets_a_card(stage: Stage) -> None:
    service = cards(stage, WrittenDown(maintenance("checkout")))
    group = await stage.fire(alert())
    await deliver(stage, service)
    stage.clock.advance(seconds=600)
    await stage.fire(alert(status=AlertStatus.RESOLVED, ends_at=stage.clock.now()))
    stage.clock.set(NOON + 3 * HOUR)
    await deliver(stage, service)
    assert not await shown(stage, group)


async def test_the_record_says_once_by_which_window(stage: Stage, tmp_path: Path) -> None:
    calendars = WrittenDown(maintenance("checkout"))
    service = cards(stage, calendars)
    group = await stage.fire(alert())
    for _ in range(5):
        await stage.fire(alert())
        await deliver(stage, service)
        stage.clock.advance(seconds=1000)
    told = [text for text in await story(stage, group) if "muted" in text]
    assert told == [
        'CheckoutHighErrorRate is muted by the maintenance "Disk swap" until 2026-11-20 14:00 UTC'
    ]
    entries = read_entries(tmp_path / "tocsin.db", incident="", last=100)
    assert [entry["type"] for entry in entries].count("alert.muted") == 1


async def test_a_look_again_is_queued_once_however_often_the_alert_repeats(stage: Stage) -> None:
    service = cards(stage, WrittenDown(maintenance("checkout")))
    await stage.fire(alert())
    for _ in range(20):
        await stage.fire(alert())
    assert await deliver(stage, service) == 21
    stage.clock.set(NOON + timedelta(minutes=15))
    assert await deliver(stage, service) == 1


async def test_maintenance_that_is_cut_short_is_noticed(stage: Stage) -> None:
    calendars = WrittenDown(maintenance("checkout", hours=200))
    service = cards(stage, calendars)
    group = await stage.fire(alert())
    await deliver(stage, service)
    calendars.windows.clear()
    stage.clock.advance(seconds=900)
    await deliver(stage, service)
    assert await shown(stage, group)


async def test_maintenance_that_is_prolonged_goes_on_muting(stage: Stage) -> None:
    calendars = WrittenDown(maintenance("checkout", hours=1))
    service = cards(stage, calendars)
    group = await stage.fire(alert())
    await deliver(stage, service)
    calendars.windows[:] = [maintenance("checkout", hours=2)]
    stage.clock.set(NOON + HOUR)
    await deliver(stage, service)
    assert not await shown(stage, group)
    assert sum("muted" in text for text in await story(stage, group)) == 2
    stage.clock.set(NOON + 2 * HOUR)
    await deliver(stage, service)
    assert await shown(stage, group)


async def test_a_card_that_stands_is_kept_current_and_says_so(stage: Stage) -> None:
    calendars = WrittenDown()
    service = cards(stage, calendars)
    group = await stage.fire(alert())
    await deliver(stage, service)
    calendars.windows.append(maintenance("checkout"))
    await stage.context.alerts.acknowledge(group.id, by=stage.by(stage.dana))
    await deliver(stage, service)
    card = stage.chat.post_of(card_key(group)).message
    assert card.tone is Tone.MUTED
    assert "In maintenance (Disk swap) until 14:00" in text_of(card)
    assert "Acknowledged by Dana Ito" in text_of(card)
    stage.clock.set(NOON + 2 * HOUR)
    await deliver(stage, service)
    assert stage.chat.post_of(card_key(group)).message.tone is Tone.WAITING


@pytest.mark.parametrize(
    ("window", "muted"),
    (
        (maintenance("checkout"), True),
        (maintenance(teams=("payments",)), True),
        (maintenance(), True),
        (maintenance("cart", "payments"), False),
        (maintenance(teams=("checkout",)), False),
        (maintenance("checkout", hours=-0.5), False),
        (maintenance("checkout", kind=WindowKind.FREEZE), False),
    ),
)
async def test_only_maintenance_of_the_service_or_its_team_mutes(
    stage: Stage, window: Window, muted: bool
) -> None:
    group = await stage.fire(alert())
    await deliver(stage, cards(stage, WrittenDown(window)))
    assert await shown(stage, group) is not muted


async def test_a_freeze_at_the_same_time_does_not_unmute(stage: Stage) -> None:
    both = (maintenance("checkout"), maintenance(kind=WindowKind.FREEZE))
    group = await stage.fire(alert())
    await deliver(stage, cards(stage, WrittenDown(*both)))
    assert not await shown(stage, group)


async def test_alerts_of_several_services_are_muted_only_by_maintenance_of_everything(
    stage: Stage,
) -> None:
    group = await stage.fire(alert(), alert(service="cart"))
    await deliver(stage, cards(stage, WrittenDown(maintenance("checkout", "cart"))))
    assert await shown(stage, group)
