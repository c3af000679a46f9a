"""What the assistant does by itself about an alert, by its level of autonomy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from bot.domain.alerts import AlertStatus, Severity
from bot.domain.autonomy import Autonomy, Level
from bot.domain.events import RunChanged
from bot.domain.findings import Finding
from bot.domain.freezes import Window, WindowKind
from bot.domain.people import BOT
from bot.domain.runbooks import Match, Runbook
from bot.domain.runs import Run, RunId, RunState
from bot.plugin import PluginSettings
from plugins.runbooks.plugin import Runbooks
from tests.fakes import NOON
from tests.plugins.runbooks.runbook_samples import PARAMETERS, run, runbook
from tests.stage import Stage, alert, stage_in

STUCK = runbook(parameters=PARAMETERS)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """Set a stage up."""
    async with stage_in(tmp_path) as stage:
        yield stage


def plugin_for(stage: Stage, *books: Runbook) -> Runbooks:
    known = {book.id: book for book in books or (STUCK,)}
    stage.context = replace(
        stage.context, knowledge=replace(stage.context.knowledge, runbooks=known)
    )
    return Runbooks(PluginSettings(), stage.context)


async def trust(stage: Stage, level: Level, service: str = "checkout") -> None:
    """Let the restart have a level."""
    async with stage.database.transaction() as tx:
        given = Autonomy(action="checkout.restart_worker", service=service, level=level)
        await tx.autonomy.save(given.key, given)


async def requested(stage: Stage) -> list[tuple[str, str, bool]]:
    runs = await stage.context.runs.recent()
    return [(run.runbook, run.subject, run.requester.bot) for run in runs]


@pytest.mark.parametrize(
    ("level", "count"),
    ((Level.L0, 0), (Level.L1, 0), (Level.L2, 0), (Level.L3, 1), (Level.L4, 1)),
)
async def test_a_run_is_asked_for_from_l3_on(stage: Stage, level: Level, count: int) -> None:
    plugin = plugin_for(stage)
    await trust(stage, level)
    group = await stage.fire()
    await stage.tell(plugin)
    assert await requested(stage) == [("worker-stuck", group.id, True)] * count
    for made in await stage.context.runs.recent():
        assert (made.requester, made.service) == (BOT, "checkout")
        assert made.parameters["service"] == "checkout"


async def test_hearing_of_the_alert_again_asks_for_nothing_more(stage: Stage) -> None:
    plugin = plugin_for(stage)
    await trust(stage, Level.L3)
    await stage.fire()
    await stage.tell(plugin)
    (made,) = await stage.context.runs.recent()
    await stage.context.runs.stop(made.id, by=stage.by(stage.dana))
    await stage.fire(alert(), alert("CheckoutHighErrorRate", pod="b"))
    await stage.tell(plugin)
    assert len(await stage.context.runs.recent()) == 1


@pytest.mark.parametrize(
    "book",
    (
        replace(STUCK, match=Match(alerts=("Another",))),
        replace(STUCK, match=Match(tags=("checkout",))),
        replace(STUCK, steps=()),
        replace(STUCK, parameters=(replace(PARAMETERS[0], label="pod"),)),
        replace(STUCK, parameters=(replace(PARAMETERS[0], label=None),)),
    ),
    ids=("another alert", "only words", "no steps", "no such label", "nothing to take it from"),
)
async def test_what_does_not_fit_by_itself_is_not_run(stage: Stage, book: Runbook) -> None:
    plugin = plugin_for(stage, book)
    await trust(stage, Level.L4)
    await stage.fire()
    await stage.tell(plugin)
    assert await requested(stage) == []


async def test_labels_of_strangers_that_fit_no_parameter_start_nothing(stage: Stage) -> None:
    hostile = replace(PARAMETERS[0], label="target")
    plugin = plugin_for(stage, replace(STUCK, parameters=(hostile,)))
    await trust(stage, Level.L4)
    await stage.fire(alert(target="--force; rm -rf /"))
    await stage.tell(plugin)
    assert await requested(stage) == []


async def test_the_least_trusted_step_decides(stage: Stage) -> None:
    (step,) = STUCK.steps
    two = replace(STUCK, steps=(step, replace(step, id="other", uses="checkout.purge@1")))
    plugin = plugin_for(stage, two)
    await trust(stage, Level.L4)
    await stage.fire()
    await stage.tell(plugin)
    assert await requested(stage) == []


async def test_trust_in_one_service_is_none_in_another(stage: Stage) -> None:
    plugin = plugin_for(stage)
    await trust(stage, Level.L4, service="search")
    await stage.fire()
    await stage.tell(plugin)
    assert await requested(stage) == []


@pytest.mark.parametrize("hushed", ("acknowledged", "silenced", "maintenance", "resolved"))
async def test_what_somebody_deals_with_or_announced_is_left_to_them(
    stage: Stage, hushed: str
) -> None:
    plugin = plugin_for(stage)
    await trust(stage, Level.L4)
    group = await stage.fire()
    if hushed == "acknowledged":
        await stage.context.alerts.acknowledge(group.id, by=stage.by(stage.dana))
    if hushed == "silenced":
        await stage.context.alerts.silence(group.id, timedelta(hours=1), by=stage.by(stage.dana))
    if hushed == "maintenance":
        stage.calendars.windows = [
            Window(
                kind=WindowKind.MAINTENANCE,
                title="Upgrade",
                starts_at=NOON - timedelta(hours=1),
                ends_at=NOON + timedelta(hours=1),
                teams=frozenset({"payments"}),
                source="x.ics",
            )
        ]
    if hushed == "resolved":
        await stage.fire(alert(status=AlertStatus.RESOLVED, ends_at=NOON))
    await stage.tell(plugin)
    assert await requested(stage) == []


async def test_a_wish_that_comes_to_nothing_is_shown_to_nobody(stage: Stage) -> None:
    plugin = plugin_for(stage)
    await trust(stage, Level.L3)
    await stage.fire()
    await stage.tell(plugin)
    await stage.tell(plugin)
    assert stage.chat.posts == []


async def test_with_a_plan_it_is_shown_and_who_is_on_call_is_told_that_it_begins(
    stage: Stage,
) -> None:
    plugin = plugin_for(stage)
    stage.chat.user_groups["payments-oncall"] = [stage.ravi.id]
    made = run(RunState.AWAITING, requester=BOT)
    assert made.plan is not None
    assert made.approval is not None
    plan = replace(made.plan, team="payments", quorum=(), veto_seconds=120)
    until = NOON + timedelta(minutes=2)
    approval = replace(made.approval, requester=BOT, quorum=(), veto_until=until)
    made = replace(made, plan=plan, approval=approval)
    async with stage.database.transaction() as tx:
        await tx.runs.add(made, due_at=None)
    await stage.context.runs.deny(
        RunId("r1"), digest=made.approval.digest if made.approval else "", reason="no, wait",
        by=stage.by(stage.dana),
    )  # fmt: skip
    await show(stage, plugin, made)
    card, asked = stage.chat.posts
    assert card.key == "run:r1"
    assert asked.key == f"ask:r1:{stage.ravi.id}"
    assert "begins by itself" in asked.message.summary
    await stage.tell(plugin)
    assert "is settled: it is denied" in asked.message.summary
    assert "Dana Ito" in str(card.message.parts)


async def show(stage: Stage, plugin: Runbooks, made: Run) -> None:
    await plugin.on_run(RunChanged(id="e", at=NOON, change="planned", run=made))


async def suggested(stage: Stage, plugin: Runbooks) -> Finding:
    group = await stage.fire()
    (finding,) = await plugin.findings(group)
    return finding


@pytest.mark.parametrize("level", (Level.L0, Level.L1))
async def test_below_l2_nothing_is_suggested_but_people_find_it(stage: Stage, level: Level) -> None:
    plugin = plugin_for(stage)
    assert (await suggested(stage, plugin)).value == "worker-stuck"
    await trust(stage, level)
    assert (await suggested(stage, plugin)).claim == "No fitting runbook found"
    everything = await stage.type(plugin, "runbook", by=stage.dana, channel=stage.alerts)
    assert "Worker is stuck" in str(everything)


async def test_in_the_shadow_what_it_would_have_proposed_stands_on_the_timeline_once(
    stage: Stage,
) -> None:
    plugin = plugin_for(stage)
    await trust(stage, Level.L1)
    group = await stage.fire()
    made = await stage.context.incidents.declare(
        "Orders fail", Severity.SEV2, service="checkout", by=stage.by(stage.dana), group=group.id
    )
    for _ in range(2):
        await stage.tell(plugin)
        await stage.fire()
    told = [entry.text for entry in await stage.context.timelines.of(made)]
    shadows = [text for text in told if "would have proposed “Worker is stuck”" in text]
    assert len(shadows) == 1
    assert await requested(stage) == []
