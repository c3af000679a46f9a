"""The verbs that show: the ledger, freezes, what waits, and the home page."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from bot.domain.errors import NotFound, Refused
from bot.domain.freezes import CalendarFault, Window, WindowKind
from bot.domain.messages import Link, Message, Reply
from bot.domain.people import ChannelId
from bot.domain.runs import Run
from bot.ports import MessageRef, Posted
from bot.slack.blocks import render
from plugins.governance.plugin import Governance
from tests.fakes import NOON
from tests.plugins.governance.governance_samples import governed, incident, on_call, waiting_run
from tests.stage import Stage, buttons_of, text_of


async def typed(stage: Stage, plugin: Governance, text: str) -> Reply:
    """Let Ravi type a verb."""
    return await stage.type(plugin, text, by=stage.ravi, channel=stage.alerts)


async def said(stage: Stage, plugin: Governance, text: str) -> str:
    return text_of(await typed(stage, plugin, text))


def window(title: str, start: float, end: float, **changes: object) -> Window:
    """Make a window by days from now."""
    made = Window(
        kind=WindowKind.FREEZE,
        title=title,
        starts_at=NOON + timedelta(days=start),
        ends_at=NOON + timedelta(days=end),
        source="x.ics",
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # field names are checked by replace


# The ledger.


async def test_the_newest_entries_come_first(stage: Stage) -> None:
    plugin = governed(stage)
    await typed(stage, plugin, "halt it burns")
    await incident(stage)
    lines = (await said(stage, plugin, "audit")).splitlines()
    assert lines[0] == "2 entries of the ledger, newest first"
    assert lines[1].startswith("#1  ")
    assert "incident.declared · INC-1" in lines[1]
    assert "switch.halted · global" in lines[2]


@pytest.mark.parametrize("text", ("audit INC-1", "audit inc1", "audit incident", "audit Incident."))
async def test_the_ledger_is_filtered_by_incident_and_by_type(stage: Stage, text: str) -> None:
    plugin = governed(stage)
    await typed(stage, plugin, "halt it burns")
    await incident(stage)
    shown = await said(stage, plugin, text)
    assert "incident.declared" in shown
    assert "switch.halted" not in shown


async def test_one_entry_is_shown_without_what_it_tells_of_people(stage: Stage) -> None:
    plugin = governed(stage, url="https://tocsin.example/")
    await typed(stage, plugin, "halt secret reason")
    message = await typed(stage, plugin, "audit #0")
    shown = text_of(message)
    assert "Entry #0: switch.halted" in shown
    assert "outcome: global" in shown
    assert "secret" not in shown
    assert "Ravi" not in shown
    assert links(message) == ["https://tocsin.example/pages/governance/entry?seq=0"]


def links(reply: Reply) -> list[str]:
    parts = reply.parts if isinstance(reply, Message) else ()
    found = [span for part in parts for span in getattr(part, "spans", ())]
    return [span.url for span in found if isinstance(span, Link)]


async def test_what_is_no_query_is_refused_and_what_is_not_there_is_said(stage: Stage) -> None:
    plugin = governed(stage)
    with pytest.raises(Refused, match="no incident"):
        await typed(stage, plugin, "audit ; drop table")
    with pytest.raises(NotFound):
        await typed(stage, plugin, "audit #99")
    assert "no such entry" in await said(stage, plugin, "audit key.rotate")


async def test_a_link_keeps_the_filter_and_without_an_address_there_is_none(stage: Stage) -> None:
    plugin = governed(stage, url="https://t.example")
    await incident(stage)
    assert links(await typed(stage, plugin, "audit INC-1")) == [
        "https://t.example/pages/governance/ledger?incident=INC-1"
    ]
    assert links(await typed(stage, governed(stage), "audit INC-1")) == []


# Freezes.


async def test_without_windows_nothing_is_announced(stage: Stage) -> None:
    shown = await said(stage, governed(stage), "freeze")
    assert "No change freeze is in force." in shown
    assert "Nothing is announced for the next 14 days." in shown


async def test_what_is_in_force_what_comes_and_what_is_broken_is_shown(stage: Stage) -> None:
    stage.calendars.windows = [
        window("Year end", -1, 2, services=frozenset({"checkout"}), teams=frozenset({"web"})),
        window("Upgrade", 3, 4, kind=WindowKind.MAINTENANCE),
        window("Far away", 20, 21),
    ]
    stage.calendars.faults = [CalendarFault(source="ops.ics", reason="line 3 is torn")]
    shown = await said(stage, governed(stage), "freeze")
    assert "A change freeze is in force." in shown
    assert "Freeze “Year end” of checkout, team web until" in shown
    assert "Maintenance “Upgrade” of everything from" in shown
    assert "Far away" not in shown
    assert "Counts as a freeze from R2 on: ops.ics" in shown
    assert "line 3 is torn" in shown


async def test_maintenance_alone_is_no_freeze(stage: Stage) -> None:
    stage.calendars.windows = [window("Upgrade", -1, 1, kind=WindowKind.MAINTENANCE)]
    assert "No change freeze is in force." in await said(stage, governed(stage), "freeze")


async def test_a_crowded_calendar_is_cut_visibly(stage: Stage) -> None:
    stage.calendars.windows = [window(f"Freeze {n}", 1 + n / 100, 2) for n in range(50)]
    message = await typed(stage, governed(stage), "freeze")
    assert "And 40 more." in text_of(message)
    assert isinstance(message, Message)
    assert render(message, now=NOON)["blocks"]


# What waits.


async def test_nothing_waits(stage: Stage) -> None:
    plugin = governed(stage)
    assert "Nothing waits for anybody." in await said(stage, plugin, "approvals")
    assert text_of(await plugin.home_section(stage.ravi)) == "Nothing waits for you."


async def shown_at(stage: Stage, run: Run) -> None:
    """Let the run's message stand in the alerts channel."""
    ref = MessageRef(channel=stage.alerts, id="1.1")
    async with stage.database.transaction() as tx:
        await tx.posted.save(
            Posted(key=f"run:{run.id}", channel=ChannelId(stage.alerts), ref=ref, digest="d")
        )


async def test_who_may_approve_finds_the_plan_on_the_home_page_and_approves_it_elsewhere(
    stage: Stage,
) -> None:
    plugin = governed(stage)
    on_call(stage, stage.dana, stage.ravi)
    await shown_at(stage, await waiting_run(stage, stage.dana))
    section = await plugin.home_section(stage.ravi)
    shown = text_of(section)
    assert "Worker is stuck on checkout · R2 (reversible, service-wide) · Show the plan" in shown
    assert "Asked for by Dana Ito · needs 1 @payments-oncall · expires" in shown
    assert links(section) == ["https://chat.example/archives/C001/p11"]
    assert buttons_of(section) == []
    assert "Nothing waits for you." in text_of(await plugin.home_section(stage.dana))


async def test_a_plan_whose_message_cannot_be_linked_is_listed_all_the_same(stage: Stage) -> None:
    plugin = governed(stage)
    on_call(stage, stage.ravi)
    await shown_at(stage, await waiting_run(stage, stage.dana))
    stage.chat.fail("link", "fatal_error")
    assert "Worker is stuck on checkout" in text_of(await plugin.home_section(stage.ravi))


@pytest.mark.parametrize("change", ("guest", "stranger", "bot"))
async def test_who_may_never_approve_is_shown_no_plan(stage: Stage, change: str) -> None:
    plugin = governed(stage)
    on_call(stage, stage.ravi)
    await waiting_run(stage, stage.dana)
    person = replace(stage.ravi, **{change: True})  # type: ignore[arg-type]  # checked by replace
    stage.chat.people[person.id] = person
    assert "Nothing waits for you." in text_of(await plugin.home_section(person))


async def test_everything_that_waits_is_listed_for_everybody(stage: Stage) -> None:
    plugin = governed(stage)
    await waiting_run(stage, stage.dana)
    shown = await said(stage, plugin, "approvals")
    assert "Worker is stuck on checkout" in shown
    assert "needs 1 @payments-oncall" in shown
    assert "approved where they are shown" in shown


async def test_a_long_list_is_cut_visibly_and_fits(stage: Stage) -> None:
    plugin = governed(stage)
    for number in range(30):
        await waiting_run(stage, stage.dana, id=f"r{number}", title="x" * 500)
    message = await typed(stage, plugin, "approvals")
    assert isinstance(message, Message)
    assert "And 25 more." in text_of(message)
    assert len(message.parts) <= 50


@pytest.mark.parametrize("verb", ("audit", "freeze", "approvals", "policy", "autonomy"))
@pytest.mark.parametrize("change", ("guest", "stranger", "bot"))
async def test_guests_and_strangers_read_nothing_of_it(
    stage: Stage, verb: str, change: str
) -> None:
    person = replace(stage.ravi, **{change: True})  # type: ignore[arg-type]  # checked by replace
    with pytest.raises(Refused, match="full members"):
        await stage.type(governed(stage), verb, by=person, channel=stage.alerts)
