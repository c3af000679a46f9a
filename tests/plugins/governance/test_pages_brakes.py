"""Approvals, switches, freezes, levels and reviews in the browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.actions import Risk
from bot.domain.alerts import Severity
from bot.domain.approvals import Answer, Place
from bot.domain.autonomy import Autonomy, Level, Tally, wilson_lower
from bot.domain.breakers import Breaker, Trouble
from bot.domain.effects import EffectRecord, EffectState
from bot.domain.emergencies import BreakGlass, PreAuthorisation
from bot.domain.freezes import CalendarFault, Window, WindowKind
from bot.domain.people import Person
from bot.domain.runs import Run, RunState
from bot.domain.switches import Halt
from plugins.governance.views_brakes import lacking, runs_to
from tests.fakes import NOON
from tests.plugins.governance.pages_opened import HOSTILE, MEMBER, RESPONDER, Opened, waiting_run
from tests.stage import Stage, stage_in

SEATS = (Place(group="sre"), Place(group="", count=1))


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage_in(tmp_path) as stage:
        yield stage


@pytest.fixture
def opened(stage: Stage) -> Opened:
    return Opened(stage.context, stage.dana, stage.clock)


async def add(stage: Stage, *runs: Run) -> None:
    async with stage.database.transaction() as tx:
        for run in runs:
            await tx.runs.add(run, due_at=None)


async def break_glass(stage: Stage, *glasses: BreakGlass) -> None:
    async with stage.database.transaction() as tx:
        for glass in glasses:
            await tx.glasses.save(glass.id, glass)


def answer(person: Person, *groups: str, approve: bool = True, reason: str = "") -> Answer:
    return Answer(person=person, approve=approve, at=NOON, groups=frozenset(groups), reason=reason)


def window(title: str, starts: float, ends: float, **changes: object) -> Window:
    """Return a freeze that starts and ends so many days from now."""
    made = Window(
        kind=WindowKind.FREEZE, title=title, starts_at=NOON + timedelta(days=starts),
        ends_at=NOON + timedelta(days=ends), source="company.ics (u1)",
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]  # field names are checked by replace


def glass_of(person: Person, id: str, at: datetime = NOON, **changes: object) -> BreakGlass:
    made = BreakGlass(
        id=id, person=person, incident="INC-7", runbook="worker-stuck", service="checkout",
        reason="Orders are lost and nobody else is awake", at=at,
        expires_at=at + timedelta(minutes=15), review_by=at + timedelta(days=3),
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]  # field names are checked by replace


# An empty house


@pytest.mark.parametrize(
    ("path", "words"),
    (
        ("approvals", "No plan waits for an answer."),
        ("approvals", "Nobody has answered a plan yet."),
        ("switches", "No switch is pulled."),
        ("switches", "no breaker has counted anything"),
        ("freezes", "No window is in force."),
        ("freezes", "Nothing is announced."),
        ("autonomy", "No action has changed anything yet"),
        ("reviews", "No broken glass waits for a review."),
        ("reviews", "Nothing has been reviewed yet."),
        ("reviews", "None is in force, and none is proposed."),
    ),
)
async def test_where_there_is_nothing_the_page_says_so_in_words(
    opened: Opened, path: str, words: str
) -> None:
    assert words in await opened.text(path)


@pytest.mark.parametrize("path", ("approvals", "switches", "freezes", "autonomy", "reviews"))
async def test_what_stands_in_an_address_changes_nothing_where_nothing_is_asked_for(
    opened: Opened, path: str
) -> None:
    assert await opened.html(path, x=HOSTILE) == await opened.html(path)


# Approvals


async def test_a_waiting_plan_shows_who_asked_how_far_it_is_and_what_is_still_needed(
    stage: Stage, opened: Opened
) -> None:
    run = waiting_run(stage.dana, *SEATS, risk=Risk.R3)
    assert run.approval is not None
    half = replace(run.approval, answers=(answer(stage.ravi, "sre"),))
    await add(stage, replace(run, approval=half))
    text = await opened.text("approvals", MEMBER)
    assert "R3 hard to undo, or several services" in text
    assert "Asked for by Dana Ito" in text
    assert "Approved 1 of 2: Ravi Sen" in text
    assert "Still needed 1 other person" in text
    assert "May be felt by storefront Approved" in text
    assert "2026-11-20 12:15:00 UTC (in 15 min)" in text
    assert "Ravi Sen approved Restart a worker" in text


async def test_one_person_of_two_groups_fills_one_place(stage: Stage, opened: Opened) -> None:
    run = waiting_run(stage.dana, Place(group="sre"), Place(group="payments"))
    assert run.approval is not None
    both = replace(run.approval, answers=(answer(stage.ravi, "sre", "payments"),))
    await add(stage, replace(run, approval=both))
    assert "Approved 1 of 2" in await opened.text("approvals")


async def test_a_plan_whose_time_has_passed_says_so_before_anybody_has_ended_it(
    stage: Stage, opened: Opened
) -> None:
    await add(stage, waiting_run(stage.dana, *SEATS))
    stage.clock.advance(seconds=901)
    assert "too late" in await opened.text("approvals")


async def test_plans_that_end_first_come_first(stage: Stage, opened: Opened) -> None:
    later = waiting_run(stage.dana, *SEATS, id="r1", title="Later")
    sooner = waiting_run(stage.dana, *SEATS, id="r2", title="Sooner")
    assert sooner.approval is not None
    soon = replace(sooner.approval, answer_by=NOON + timedelta(minutes=1))
    await add(stage, later, replace(sooner, approval=soon))
    text = await opened.text("approvals")
    assert text.index("Sooner") < text.index("Later")


async def test_a_plan_that_acts_by_itself_says_when(stage: Stage, opened: Opened) -> None:
    run = waiting_run(stage.dana)
    assert run.approval is not None
    veto = replace(run.approval, veto_until=NOON + timedelta(minutes=5))
    await add(stage, replace(run, approval=veto))
    text = await opened.text("approvals")
    assert "Acts unless somebody denies it 2026-11-20 12:05:00 UTC (in 5 min)" in text
    assert "Still needed" not in text


async def test_what_a_plan_would_do_in_detail_is_not_shown_to_every_member(
    stage: Stage, opened: Opened
) -> None:
    await add(stage, waiting_run(stage.dana, *SEATS))
    text = await opened.text("approvals", MEMBER)
    assert "Restart lamp.on@1" in text
    assert "+ new" not in text


async def test_a_denial_stands_with_its_reason(stage: Stage, opened: Opened) -> None:
    run = waiting_run(stage.dana, *SEATS, state=RunState.DENIED)
    assert run.approval is not None
    no = replace(run.approval, answers=(answer(stage.ravi, approve=False, reason="not now"),))
    await add(stage, replace(run, approval=no))
    text = await opened.text("approvals")
    assert "No plan waits for an answer." in text
    assert "Ravi Sen denied Restart a worker not now" in text


# Switches and breakers


async def test_a_pulled_switch_shows_who_why_and_how_far_its_release_is(
    stage: Stage, opened: Opened
) -> None:
    switches = stage.context.switches
    await switches.halt("all is on fire", by=stage.by(stage.dana))
    await switches.halt("bad build", scope="service:checkout", by=stage.by(stage.dana))
    await switches.release(by=stage.by(stage.ravi))
    text = await opened.text("switches", MEMBER)
    assert "everything 2026-11-20 12:00:00 UTC (now) Dana Ito all is on fire 1 of 2: Ravi" in text
    assert "service:checkout" in text
    assert "bad build nobody has asked" in text


async def test_a_switch_by_file_is_shown_too(stage: Stage, opened: Opened) -> None:
    stage.by_file = Halt(by="the file HALT", at=NOON, reason="Slack is down")
    assert "the file HALT Slack is down" in await opened.text("switches")


async def test_breakers_that_hold_something_up_come_first(stage: Stage, opened: Opened) -> None:
    rules = stage.context.breaker_rules
    opened_at = NOON - timedelta(seconds=10)
    rested = NOON - timedelta(seconds=rules.rest)
    breakers = (
        Breaker(action="a.closed", service="", troubles=((opened_at, Trouble.FAILED),)),
        Breaker(action="b.half", service="checkout", opened_at=rested, reason="why half"),
        Breaker(action="c.open", service="checkout", opened_at=opened_at, reason="why open"),
    )
    async with stage.database.transaction() as tx:
        for breaker in breakers:
            await tx.breakers.save(breaker.key, breaker)
    text = await opened.text("switches")
    places = [text.index(words) for words in ("open c.open", "half open b.half", "closed a.closed")]
    assert places == sorted(places)
    assert "last: failed, 10 s ago" in text
    assert "why open" in text


# Freezes


async def test_windows_in_force_and_to_come_stand_apart(stage: Stage, opened: Opened) -> None:
    berlin = datetime.fromisoformat("2026-11-21T10:00:00+01:00")
    stage.calendars.windows = [
        window("Year end", -1, 1),
        window("Sale", 1, 2, services=frozenset({"checkout", "cart"}), teams=frozenset({"web"})),
        window("Far away", 61, 62),
        window("Power", 0.5, 1, kind=WindowKind.MAINTENANCE, starts_at=berlin),
    ]
    text = await opened.text("freezes", MEMBER)
    now, _, coming = text.partition("The next 60 days")
    assert "freeze Year end everything" in now
    assert "Sale" not in now
    assert "freeze Sale cart, checkout; all of web" in coming
    assert "2026-11-21 09:00:00 UTC" in coming
    assert "maintenance Power" in coming
    assert "Year end" not in coming
    assert "Far away" not in text


async def test_a_calendar_that_cannot_be_read_is_said_to_freeze(
    stage: Stage, opened: Opened
) -> None:
    stage.calendars.faults = [CalendarFault(source="broken.ics", reason="it is torn")]
    text = await opened.text("freezes")
    assert "broken.ics: it is torn" in text
    assert "every change of R2 and above is refused" in text


async def test_a_calendar_full_of_windows_does_not_fill_the_page(
    stage: Stage, opened: Opened
) -> None:
    stage.calendars.windows = [window(f"W{n}", 1 + n / 100, 2 + n / 100) for n in range(300)]
    text = await opened.text("freezes")
    assert "100 more are not shown." in text
    assert "W199" in text
    assert "W200" not in text


# Autonomy


async def test_the_matrix_shows_the_record_and_what_the_next_level_takes(
    stage: Stage, opened: Opened
) -> None:
    await stage.context.autonomy.promote(
        "lamp.on", "checkout", Level.L1, reason="watch it for a week", by=stage.by(stage.dana),
        standing=replace(await stage.context.people.standing(stage.dana.id),
                         teams=frozenset({"payments"})),
        team="payments",
    )  # fmt: skip
    await add(stage, waiting_run(stage.dana, state=RunState.FAILED))
    async with stage.database.transaction() as tx:
        await tx.effects.save(
            EffectRecord(
                key="r1:one",
                run="r1",
                uses="lamp.off@1",
                arguments={},
                intended_at=NOON,
                state=EffectState.SUCCEEDED,
                service="checkout",
                subject="group",
                risk=1,
            )
        )
    text = await opened.text("autonomy", RESPONDER)
    assert "lamp.on checkout L1 shadow: recorded, not shown 0 of 0 0.000" in text
    assert "by Dana Ito: watch it for a week" in text
    assert "lamp.off checkout L2 proposes; people run it 0 of 0 0.000" in text
    assert "L3: 35 more verified runs in a row." in text
    assert "L2: a person's word and a reason." in text


@pytest.mark.parametrize(
    ("level", "tally", "words"),
    (
        (Level.L0, (0, 0, 0), "L1: a person's word and a reason."),
        (Level.L2, (0, 0, 0), "L3: 35 more verified runs in a row."),
        (Level.L2, (34, 34, 0), "L3: 1 more verified run in a row."),
        (Level.L2, (35, 35, 0), "L3 is earned: a person may give it, with a reason."),
        (Level.L2, (35, 36, 1), "L3: 17 more verified runs in a row and a record without runs"),
        (Level.L3, (35, 35, 0), "L4: 38 more verified runs in a row."),
        (Level.L3, (73, 73, 0), "L4 is earned"),
        (Level.L2, (400, 401, 1), "L3: a record without runs that nothing verified."),
        (Level.L4, (0, 0, 0), "Nothing; this is the highest level."),
    ),
)
def test_what_the_next_level_takes_is_said_in_runs(
    level: Level, tally: tuple[int, int, int], words: str
) -> None:
    good, total, unlabelled = tally
    assert words in lacking(level, Tally(good=good, total=total, unlabelled=unlabelled))


@given(st.integers(0, 400), st.integers(0, 60), st.sampled_from((0.90, 0.95)))
def test_the_runs_still_needed_are_enough_and_one_less_is_not(
    good: int, bad: int, bound: float
) -> None:
    total = good + bad
    more = runs_to(bound, Tally(good=good, total=total))
    assert wilson_lower(good + more, total + more) >= bound
    assert more == 0 or wilson_lower(good + more - 1, total + more - 1) < bound


# Reviews


async def test_overdue_reviews_come_first(stage: Stage, opened: Opened) -> None:
    await break_glass(
        stage,
        glass_of(stage.dana, "fresh"),
        glass_of(stage.ravi, "late", NOON - timedelta(days=5), run="r9", used_at=NOON),
        glass_of(stage.dana, "done", reviewer=stage.ravi, review="It was right", reviewed_at=NOON),
    )
    text = await opened.text("reviews", RESPONDER)
    waiting, _, rest = text.partition("Reviewed")
    assert waiting.index("overdue due 2026-11-18") < waiting.index("open due 2026-11-23")
    assert "Used 2026-11-20 12:00:00 UTC, run r9" in waiting
    assert "Used not yet; it expires in 15 min" in waiting
    assert "by Ravi Sen It was right" in rest
    assert "done" not in waiting


async def test_a_real_broken_glass_is_shown_as_it_was_broken(stage: Stage, opened: Opened) -> None:
    context = stage.context
    incident = await context.incidents.declare(
        "Orders fail", Severity.SEV1, service="checkout", by=stage.by(stage.dana)
    )
    await context.emergencies.break_glass(
        "worker-stuck", "checkout", incident=incident.id, typed="worker-stuck checkout",
        reason="Orders are lost and nobody is awake", by=stage.by(stage.dana),
    )  # fmt: skip
    stage.clock.advance(seconds=3600)
    text = await opened.text("reviews")
    assert "worker-stuck on checkout" in text
    assert "Used no, it has expired" in text
    assert f"Incident {incident.id}" in text


async def test_standing_authorisations_say_whether_a_second_person_has_given_them(
    stage: Stage, opened: Opened
) -> None:
    proposal = PreAuthorisation(
        id="p1", runbook="worker-stuck", runbook_digest="0" * 64, service="checkout",
        owner="payments", proposed_by=stage.dana, reason="Every night the same", at=NOON,
        expires_at=NOON + timedelta(days=30),
    )  # fmt: skip
    given_one = replace(proposal, id="p2", given_by=stage.ravi, given_at=NOON, service="")
    ended = replace(proposal, id="p3", runbook="gone", expires_at=NOON)
    async with stage.database.transaction() as tx:
        for one in (proposal, given_one, ended):
            await tx.authorisations.save(one.id, one)
    text = await opened.text("reviews")
    assert "in force worker-stuck payments Dana Ito Ravi Sen" in text
    assert "proposed worker-stuck on checkout payments Dana Ito waits for a second person" in text
    assert "gone" not in text


# Hostile words


async def test_hostile_words_in_every_field_stay_words(stage: Stage) -> None:
    villain = replace(stage.dana, name=HOSTILE)
    opened = Opened(stage.context, villain, stage.clock)
    run = waiting_run(
        villain, Place(group=HOSTILE, count=2), title=HOSTILE, incident=HOSTILE, service=HOSTILE
    )
    assert run.approval is not None
    assert run.plan is not None
    step = replace(run.plan.steps[0], title=HOSTILE, uses=HOSTILE)
    plan = replace(
        run.plan, service=HOSTILE, touches=(HOSTILE, f"x{HOSTILE}"), steps=(step,),
        change_type=HOSTILE,
    )  # fmt: skip
    approval = replace(run.approval, answers=(answer(villain, HOSTILE, reason=HOSTILE),))
    await add(stage, replace(run, plan=plan, approval=approval))
    stage.by_file = Halt(scope=HOSTILE, by=HOSTILE, at=NOON, reason=HOSTILE, releases=(villain,))
    stage.calendars.windows = [
        window(HOSTILE, -1, 1, source=HOSTILE, services=frozenset({HOSTILE}),
               teams=frozenset({HOSTILE})),
        window(HOSTILE, 1, 2, source=HOSTILE),
    ]  # fmt: skip
    stage.calendars.faults = [CalendarFault(source=HOSTILE, reason=HOSTILE)]
    await break_glass(
        stage,
        glass_of(villain, HOSTILE, incident=HOSTILE, runbook=HOSTILE, service=HOSTILE,
                 reason=HOSTILE, run=HOSTILE, used_at=NOON),
        glass_of(villain, "2", incident=HOSTILE, reviewer=villain, review=HOSTILE,
                 reviewed_at=NOON),
    )  # fmt: skip
    breaker = Breaker(action=HOSTILE, service=HOSTILE, opened_at=NOON, reason=HOSTILE)
    level = Autonomy(action=HOSTILE, service=HOSTILE, by=HOSTILE, reason=HOSTILE, at=NOON)
    authorisation = PreAuthorisation(
        id="p", runbook=HOSTILE, runbook_digest="", service=HOSTILE, owner=HOSTILE,
        proposed_by=villain, reason=HOSTILE, at=NOON, expires_at=NOON + timedelta(days=1),
        given_by=villain, given_at=NOON,
    )  # fmt: skip
    async with stage.database.transaction() as tx:
        await tx.breakers.save(breaker.key, breaker)
        await tx.autonomy.save(level.key, level)
        await tx.authorisations.save("p", authorisation)
    seen = {}
    for path in ("approvals", "switches", "freezes", "autonomy", "reviews"):
        html = await opened.html(path)  # which holds the page to have no script and no attribute
        assert "<script>" not in html
        assert "&lt;script&gt;" in html
        seen[path] = html.count("{{7*7}}")
    assert min(seen.values()) >= 4, seen
