"""Pressing the alert's buttons, with the real storage behind them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.domain.alerts import AlertStatus, Notification
from bot.domain.deliveries import Delivery
from bot.domain.errors import AlreadyDone, NotFound, Refused
from bot.domain.messages import FieldErrors, Form, note
from bot.plugin import PluginSettings
from plugins.alerts.messages import ACKNOWLEDGE, DETAILS, SILENCE, SILENCE_SUBMIT
from plugins.alerts.plugin import Alerts
from tests.fakes import NOON
from tests.stage import Stage, alert, stage_in, text_of


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage_in(tmp_path) as stage:
        yield stage


@pytest.fixture
def plugin(stage: Stage) -> Alerts:
    return Alerts(PluginSettings(), stage.context)


async def test_an_acknowledged_alert_has_somebody(stage: Stage, plugin: Alerts) -> None:
    group = await stage.fire()
    assert await stage.press(plugin, ACKNOWLEDGE, by=stage.dana, value=group.id) is None
    group = await stage.context.alerts.get(group.id)
    assert group.acknowledged_by == stage.dana
    assert f"{group.id}: acknowledged" in await stage.tell(plugin)


async def test_another_person_can_take_an_alert_over_and_the_same_cannot(
    stage: Stage, plugin: Alerts
) -> None:
    group = await stage.fire()
    await stage.press(plugin, ACKNOWLEDGE, by=stage.dana, value=group.id)
    with pytest.raises(Refused, match="already"):
        await stage.press(plugin, ACKNOWLEDGE, by=stage.dana, value=group.id)
    await stage.press(plugin, ACKNOWLEDGE, by=stage.ravi, value=group.id)
    assert (await stage.context.alerts.get(group.id)).acknowledged_by == stage.ravi


async def test_a_repeated_press_is_one_press(stage: Stage, plugin: Alerts) -> None:
    group = await stage.fire()
    caller = stage.by(stage.dana)
    await stage.press(plugin, ACKNOWLEDGE, by=caller, value=group.id)
    with pytest.raises(AlreadyDone):
        await stage.press(plugin, ACKNOWLEDGE, by=caller, value=group.id)
    entries = await stage.context.timelines.about(group.id)
    assert [entry.text for entry in entries].count("acknowledged the alert") == 1


async def test_a_button_of_an_old_card_is_refused_politely(stage: Stage, plugin: Alerts) -> None:
    group = await stage.fire()
    await stage.fire(alert(status=AlertStatus.RESOLVED, ends_at=NOON))
    for name in (ACKNOWLEDGE, SILENCE):
        with pytest.raises(Refused, match="has resolved by itself"):
            await stage.press(plugin, name, by=stage.dana, value=group.id)
    with pytest.raises(NotFound):
        await stage.press(plugin, ACKNOWLEDGE, by=stage.dana, value="gone")


async def test_a_silence_lasts_as_long_as_was_chosen_and_keeps_its_reason(
    stage: Stage, plugin: Alerts
) -> None:
    group = await stage.fire()
    form = await stage.press(plugin, SILENCE, by=stage.dana, value=group.id)
    assert isinstance(form, Form)
    assert form.interaction == SILENCE_SUBMIT
    await stage.press(
        plugin,
        form.interaction,
        by=stage.dana,
        value=form.value,
        answers={"duration": "4 h", "reason": " deploy "},
    )
    group = await stage.context.alerts.get(group.id)
    assert group.silenced_until is not None
    assert (group.silenced_until - NOON).total_seconds() == 4 * 3600
    entries = await stage.context.timelines.about(group.id)
    assert entries[-1].text == "silenced the alert for 4 h: deploy"


@pytest.mark.parametrize(
    ("answers", "wrong"),
    (
        ({"duration": "1 h", "reason": "  "}, "reason"),
        ({"duration": "9 years", "reason": "x"}, "duration"),
        ({"duration": "", "reason": "x"}, "duration"),
        ({}, "duration"),
    ),
)
async def test_a_silence_that_is_not_understood_keeps_the_form_open(
    stage: Stage, plugin: Alerts, answers: dict[str, str], wrong: str
) -> None:
    group = await stage.fire()
    reply = await stage.press(
        plugin, SILENCE_SUBMIT, by=stage.dana, value=group.id, answers=answers
    )
    assert isinstance(reply, FieldErrors)
    assert list(reply.errors) == [wrong]
    assert (await stage.context.alerts.get(group.id)).silenced_until is None


async def test_details_open_even_when_all_is_over(stage: Stage, plugin: Alerts) -> None:
    group = await stage.fire()
    await stage.fire(alert(status=AlertStatus.RESOLVED, ends_at=NOON))
    form = await stage.press(plugin, DETAILS, by=stage.dana, value=group.id)
    assert isinstance(form, Form)
    assert form.fields == ()
    said = text_of(form)
    assert "CheckoutHighErrorRate started firing" in said
    assert "CheckoutHighErrorRate resolved" in said


async def test_the_command_lists_what_fires_with_links_to_the_cards(
    stage: Stage, plugin: Alerts
) -> None:
    group = await stage.fire()
    reply = await stage.type(plugin, "alerts", by=stage.dana, channel=stage.alerts)
    assert "CheckoutHighErrorRate" in text_of(reply)
    assert "https://" not in repr(reply)
    await stage.context.posts.show(f"alert:{group.id}", note("a card"), channel=stage.alerts)
    reply = await stage.type(plugin, "alerts", by=stage.dana, channel=stage.alerts)
    assert "https://chat.example/" in repr(reply)


async def test_a_home_page_does_without_links_that_are_not_to_be_had(
    stage: Stage, plugin: Alerts
) -> None:
    group = await stage.fire()
    shown = await plugin.home_section(stage.dana)
    assert shown is not None
    await stage.context.posts.show(f"alert:{group.id}", shown, channel=stage.alerts)
    stage.chat.fail("link", "ratelimited")
    assert text_of(await plugin.home_section(stage.dana)) == text_of(shown)


async def test_only_alerts_that_are_shown_are_linked_and_all_are_counted(
    stage: Stage, plugin: Alerts
) -> None:
    """A link is a call to the chat platform, and somebody waits for the answer."""
    for number in range(70):
        news = Notification(
            source="alertmanager", group_key=f"k{number}", alerts=(alert(),), labels={}
        )
        delivery = Delivery(
            id=f"many-{number}", source="alertmanager", received_at=NOON, body=b"", headers={}
        )
        [id] = await stage.context.alerts.ingest(delivery, [news])
        await stage.context.posts.show(f"alert:{id}", note("a card"), channel=stage.alerts)
    stage.chat.calls.clear()
    shown = await plugin.home_section(stage.dana)
    assert "70 alerts are firing" in text_of(shown)
    assert stage.chat.calls.count("link") == 5
    stage.chat.calls.clear()
    reply = await stage.type(plugin, "alerts", by=stage.dana, channel=stage.alerts)
    assert "And 50 more." in text_of(reply)
    assert stage.chat.calls.count("link") == 15
