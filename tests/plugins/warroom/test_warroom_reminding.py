"""The reminder that an incident has no commander: once, late enough, and kept true."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from bot.domain.alerts import Severity
from bot.domain.incidents import Incident, IncidentId
from bot.domain.people import Role
from bot.plugin import JobRun
from plugins.warroom.plugin import Warroom
from tests.fakes import NOON
from tests.stage import Stage, buttons_of, text_of

KEY = "reminder:commander:INC-1"


async def declare(stage: Stage, plugin: Warroom) -> None:
    await stage.context.incidents.declare(
        "Orders fail", Severity.SEV2, service="checkout", by=stage.by(stage.dana)
    )
    await stage.tell(plugin)


async def remind(plugin: Warroom) -> None:
    (job,) = plugin.jobs()
    await job.handler(JobRun(slot=NOON))


async def test_nobody_is_reminded_of_an_incident_that_is_young(
    stage: Stage, plugin: Warroom
) -> None:
    await declare(stage, plugin)
    stage.clock.advance(seconds=599)
    await remind(plugin)
    assert [p for p in stage.chat.posts if p.key == KEY] == []


async def test_the_war_room_is_reminded_once(stage: Stage, plugin: Warroom) -> None:
    await declare(stage, plugin)
    stage.clock.advance(seconds=timedelta(minutes=10).total_seconds())
    for _ in range(3):
        await remind(plugin)
    post = stage.chat.post_of(KEY)
    assert len(post.shown) == 1
    assert [b.label for b in buttons_of(post.shown[0])] == ["Take command"]


async def test_the_reminder_says_so_when_somebody_takes_command(
    stage: Stage, plugin: Warroom
) -> None:
    await declare(stage, plugin)
    stage.clock.advance(seconds=700)
    await remind(plugin)
    await stage.context.incidents.claim_role(
        IncidentId("INC-1"), Role.COMMANDER, by=stage.by(stage.ravi)
    )
    await stage.tell(plugin)
    await remind(plugin)
    shown = stage.chat.post_of(KEY).shown[-1]
    assert "has a commander" in text_of(shown)
    assert buttons_of(shown) == []


async def test_one_room_that_is_closed_keeps_the_reminder_from_no_other(
    stage: Stage, plugin: Warroom
) -> None:
    await declare(stage, plugin)
    await declare(stage, plugin)
    stage.clock.advance(seconds=700)
    stage.chat.fail("post", "is_archived")
    await remind(plugin)
    keys = [p.key for p in stage.chat.posts if p.key.startswith("reminder:")]
    assert keys == [KEY]


async def test_a_commander_found_while_the_reminder_is_sent_makes_it_say_so(
    stage: Stage, plugin: Warroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event is heard before the reminder stands, and so changes nothing about it."""
    await declare(stage, plugin)
    stage.clock.advance(seconds=700)
    open_before = await stage.context.incidents.open()
    await stage.context.incidents.claim_role(
        IncidentId("INC-1"), Role.COMMANDER, by=stage.by(stage.ravi)
    )
    await stage.tell(plugin)

    async def as_before() -> Sequence[Incident]:
        return open_before

    monkeypatch.setattr(stage.context.incidents, "open", as_before)
    await remind(plugin)
    assert "has a commander" in text_of(stage.chat.post_of(KEY).message)
