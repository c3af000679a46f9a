from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from typing_extensions import override

from bot import dispatcher as dispatching_module
from bot.domain.alerts import GroupId, Severity
from bot.domain.errors import AlreadyDone
from bot.domain.events import Happening, MessagePosted
from bot.domain.messages import Message, note
from bot.domain.people import ChannelId, Person
from bot.services.cards import card_key
from tests.dispatching import Listener, delivered, dispatching, waiting
from tests.fakes import NOON
from tests.stage import Stage, alert, stage_in, text_of


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage_in(tmp_path) as running:
        yield running


async def test_an_alert_reaches_every_plugin_and_its_card(stage: Stage) -> None:
    one, two = Listener(stage, "one"), Listener(stage, "two")
    async with dispatching(stage, one, two):
        group = await stage.fire(alert())
        await delivered(stage)
    assert one.heard == two.heard == [(group.id, "opened")]
    card = stage.chat.post_of(card_key(group))
    assert "sev2: one says so" in text_of(card.message)
    assessed = await stage.context.alerts.get(group.id)
    assert [f.claim for f in assessed.findings] == ["sev2: one says so", "sev2: two says so"]


async def test_the_card_stands_before_plugins_hear_so_that_they_can_reply_below(
    stage: Stage,
) -> None:
    listener = Listener(stage)
    seen: list[int] = []

    async def look(subject: str, change: str) -> None:
        seen.append(len(stage.chat.posts))

    listener.on = look
    async with dispatching(stage, listener):
        await stage.fire(alert())
        await delivered(stage)
    assert seen == [1]


async def test_a_failing_plugin_is_repeated_alone(stage: Stage) -> None:
    good, bad = Listener(stage, "good"), Listener(stage, "bad")
    attempts = 0

    async def fail(subject: str, change: str) -> None:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise RuntimeError("not now")

    bad.on = fail
    async with dispatching(stage, bad, good) as dispatcher:
        group = await stage.fire(alert())
        for attempt in (1, 2, 3):
            await delivered(stage)
            assert attempts == attempt
            stage.clock.advance(seconds=2**attempt)
            dispatcher.wake()
        await delivered(stage)
    assert good.heard == bad.heard == [(group.id, "opened")]
    assert len(stage.chat.post_of(card_key(group)).shown) == 1


async def test_a_plugin_that_always_fails_is_given_up_and_the_event_kept(stage: Stage) -> None:
    bad = Listener(stage, "bad")

    async def fail(subject: str, change: str) -> None:
        raise RuntimeError("never")

    bad.on = fail
    async with dispatching(stage, bad) as dispatcher:
        await stage.fire(alert())
        for _ in range(dispatching_module.ATTEMPTS + 1):
            await delivered(stage)
            stage.clock.advance(seconds=1000)
            dispatcher.wake()
        await delivered(stage)
    stage.clock.advance(seconds=10**7)
    assert await waiting(stage) == []


async def test_a_plugin_that_hangs_holds_up_no_other_subject(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatching_module, "PATIENCE", 0.2)
    listener = Listener(stage)
    stuck = asyncio.Event()

    async def hang(subject: str, change: str) -> None:
        if subject == "INC-1":
            stuck.set()
            await asyncio.Event().wait()

    listener.on = hang
    async with dispatching(stage, listener):
        await stage.context.incidents.declare(
            "Checkout is slow", Severity.SEV2, service="checkout", by=stage.by(stage.dana)
        )
        await asyncio.wait_for(stuck.wait(), 5)
        group = await stage.fire(alert())
        await delivered(stage)
    assert listener.heard == [(group.id, "opened")]


async def test_a_plugin_that_cancels_itself_is_only_a_failing_one(stage: Stage) -> None:
    bad, good = Listener(stage, "bad"), Listener(stage, "good")
    attempts = 0

    async def cancel(subject: str, change: str) -> None:
        nonlocal attempts
        attempts += 1
        raise asyncio.CancelledError

    bad.on = cancel
    async with dispatching(stage, bad, good):
        group = await stage.fire(alert())
        await delivered(stage)
    assert good.heard == [(group.id, "opened")]
    assert attempts == 1


async def test_an_event_whose_effect_stands_already_counts_as_heard(stage: Stage) -> None:
    listener = Listener(stage)

    async def done_before(subject: str, change: str) -> None:
        raise AlreadyDone("event-1")

    listener.on = done_before
    async with dispatching(stage, listener):
        await stage.fire(alert())
        await delivered(stage)
    stage.clock.advance(seconds=10**6)
    assert await waiting(stage) == []


async def test_events_of_one_subject_are_told_in_their_order(stage: Stage) -> None:
    listener = Listener(stage)
    running: set[str] = set()

    async def slow(subject: str, change: str) -> None:
        assert subject not in running, "two events of one subject at once"
        running.add(subject)
        await asyncio.sleep(0.001)
        running.discard(subject)

    listener.on = slow
    changes = [f"change {n}" for n in range(12)]
    names = ["INC-1", "INC-2"]
    for name in names:
        await stage.context.incidents.declare(
            name, Severity.SEV3, service="checkout", by=stage.by(stage.dana)
        )
    async with dispatching(stage, listener):
        for change in changes:
            async with stage.database.transaction() as tx:
                for name in names:
                    happening = Happening(kind="incident", subject=name, change=change, at=NOON)
                    await tx.outbox.add(happening)
        await delivered(stage)
    for name in names:
        told = [change for subject, change in listener.heard if subject == name]
        assert told == ["declared", *changes]


async def test_of_several_changes_in_a_row_the_card_shows_only_the_last(stage: Stage) -> None:
    group = await stage.fire(alert())
    for number in range(5):
        await stage.fire(alert(instance=str(number)))
    listener = Listener(stage)
    async with dispatching(stage, listener):
        await delivered(stage)
    assert len(listener.heard) == 6
    [shown] = stage.chat.post_of(card_key(group)).shown
    assert "6 of 6 firing" in text_of(shown)


async def test_what_was_not_told_is_told_after_the_next_start(stage: Stage) -> None:
    first, second = Listener(stage, "plugin"), Listener(stage, "plugin")
    entered = asyncio.Event()

    async def hang(subject: str, change: str) -> None:
        entered.set()
        await asyncio.Event().wait()

    first.on = hang
    async with dispatching(stage, first):
        group = await stage.fire(alert())
        await asyncio.wait_for(entered.wait(), 5)
    assert first.heard == []
    async with dispatching(stage, second):
        await delivered(stage)
    assert second.heard == [(group.id, "opened")]
    stage.chat.post_of(card_key(group))


async def test_an_event_about_nothing_is_dropped(stage: Stage) -> None:
    async with stage.database.transaction() as tx:
        for kind in ("alert", "incident", "run"):
            await tx.outbox.add(Happening(kind=kind, subject="gone", change="opened", at=NOON))
    listener = Listener(stage)
    async with dispatching(stage, listener):
        await delivered(stage)
    assert listener.heard == []


async def test_an_outbox_that_cannot_be_read_ends_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener, failures = Listener(stage), 0
    reading = stage.database.reading

    def broken() -> object:
        nonlocal failures
        failures += 1
        if failures <= 2:
            raise OSError("the disk is away")
        return reading()

    monkeypatch.setattr(stage.database, "reading", broken)
    async with dispatching(stage, listener) as dispatcher:
        async with asyncio.timeout(5):
            while failures < 2:
                dispatcher.wake()
                await asyncio.sleep(0.01)
        await stage.fire(alert())
        await delivered(stage)
    assert len(listener.heard) == 1


async def test_a_message_is_told_to_all_even_if_one_fails(stage: Stage) -> None:
    bad, good = Listener(stage, "bad"), Listener(stage, "good")

    async def fail(subject: str, change: str) -> None:
        raise RuntimeError("no")

    bad.on = fail
    event = MessagePosted(
        id="e", kind="joined", channel=ChannelId("C1"), person=stage.dana, text="",
        at=NOON, happened_at=NOON, ref="C1:1",
    )  # fmt: skip
    async with dispatching(stage, bad, good) as dispatcher:
        await dispatcher.tell(event)
    assert good.heard == [("C1", "joined")]


async def test_a_card_that_cannot_be_posted_is_posted_later(stage: Stage) -> None:
    stage.chat.fail("post", "ratelimited")
    listener = Listener(stage)
    async with dispatching(stage, listener) as dispatcher:
        group = await stage.fire(alert())
        await delivered(stage)
        assert stage.chat.posts == []
        assert listener.heard == [(group.id, "opened")]
        stage.clock.advance(seconds=2)
        dispatcher.wake()
        await delivered(stage)
    assert len(stage.chat.posts) == 1
    assert listener.heard == [(GroupId(group.id), "opened")]


async def test_a_storm_is_worked_off(stage: Stage) -> None:
    """More subjects than are looked at in one go."""
    for number in range(250):
        async with stage.database.transaction() as tx:
            happening = Happening(
                kind="incident", subject=f"INC-{number}", change="x",
                at=NOON - timedelta(seconds=1),
            )  # fmt: skip
            await tx.outbox.add(happening)
    async with dispatching(stage, Listener(stage)):
        await delivered(stage, seconds=20)


async def test_a_card_outlasts_a_long_failure_of_the_chat_platform(stage: Stage) -> None:
    """Given up after two minutes, an alert of an outage would be shown to nobody."""
    stage.chat.fail("post", "unreachable", times=60)
    async with dispatching(stage, Listener(stage)) as dispatcher:
        group = await stage.fire(alert())
        for _ in range(70):
            await delivered(stage)
            stage.clock.advance(seconds=61)
            dispatcher.wake()
        await delivered(stage)
    assert stage.chat.post_of(card_key(group)).shown


async def test_a_chat_platform_that_never_comes_back_is_given_up(stage: Stage) -> None:
    stage.chat.fail("post", "channel_not_found", times=100)
    async with dispatching(stage, Listener(stage)) as dispatcher:
        await stage.fire(alert())
        for _ in range(30):
            await delivered(stage)
            stage.clock.advance(seconds=3600)
            dispatcher.wake()
        await delivered(stage)
    stage.clock.advance(seconds=10**7)
    assert await waiting(stage) == []


async def test_a_subject_with_very_many_events_holds_up_no_other(stage: Stage) -> None:
    async with stage.database.transaction() as tx:
        for number in range(2 * dispatching_module.BATCH + 50):
            happening = Happening(kind="incident", subject="INC-1", change=f"{number}", at=NOON)
            await tx.outbox.add(happening)
    await stage.context.incidents.declare(
        "Checkout is slow", Severity.SEV2, service="checkout", by=stage.by(stage.dana)
    )
    listener, stuck, told = Listener(stage), asyncio.Event(), asyncio.Event()

    async def hang(subject: str, change: str) -> None:
        if subject != "INC-1":
            told.set()
            return
        stuck.set()
        await asyncio.Event().wait()

    listener.on = hang
    async with dispatching(stage, listener):
        await asyncio.wait_for(stuck.wait(), 5)
        await stage.fire(alert())
        await asyncio.wait_for(told.wait(), 5)


async def test_a_card_made_up_for_is_shown_even_if_a_newer_event_showed_it_before(
    stage: Stage,
) -> None:
    """The findings of the first event come late; the second event's card is done already."""
    listener = Listener(stage)

    async def fail(subject: str, change: str) -> None:
        raise RuntimeError("not now")

    listener.on = fail
    stage.chat.fail("post", "unreachable")
    group = await stage.fire(alert())
    async with dispatching(stage, listener) as dispatcher:
        await delivered(stage)
        await stage.fire(alert())
        await delivered(stage)
        listener.name = "late"  # type: ignore[misc]  # what it claims has changed by then
        stage.clock.advance(seconds=4)
        dispatcher.wake()
        await delivered(stage)
    assert "sev2: late says so" in text_of(stage.chat.post_of(card_key(group)).message)


async def test_a_plugin_whose_home_page_fails_costs_nobody_theirs(stage: Stage) -> None:
    class Greeting(Listener):
        @override
        async def home_section(self, viewer: Person) -> Message | None:
            if self.name == "bad":
                raise RuntimeError("no page today")
            return note(f"Hello {viewer.name}") if self.name == "good" else None

    plugins = (Greeting(stage, "bad"), Greeting(stage, "good"), Greeting(stage, "silent"))
    async with dispatching(stage, *plugins) as dispatcher:
        sections = await dispatcher.home(stage.dana)
    assert sections == [note(f"Hello {stage.dana.name}")]
