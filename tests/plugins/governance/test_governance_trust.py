"""Autonomy, standing authorisations and breakers, as Slack shows and changes them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from bot.domain.autonomy import Autonomy, Level
from bot.domain.breakers import Breaker, Trouble, note_success, note_trouble
from bot.domain.errors import NotFound, Refused
from bot.domain.events import GovernanceChanged
from bot.domain.messages import Reply
from plugins.governance import notices
from plugins.governance.plugin import Governance
from tests.fakes import NOON
from tests.plugins.governance.governance_samples import STUCK, governed, on_call
from tests.stage import Stage, buttons_of, text_of

LOWER = "autonomy checkout.restart_worker checkout L1 we have to watch it first"
PROPOSE = "authorise worker-stuck checkout 30 it happens every night and is harmless"


async def typed(stage: Stage, plugin: Governance, text: str, *, by: str = "ravi") -> Reply:
    person = {"dana": stage.dana, "ravi": stage.ravi}[by]
    return await stage.type(plugin, text, by=person, channel=stage.alerts)


# Autonomy.


async def test_without_records_the_matrix_says_what_holds_everywhere(stage: Stage) -> None:
    shown = text_of(await typed(stage, governed(stage), "autonomy"))
    assert "Everywhere else it is L2: proposes; people run it." in shown


async def test_who_is_on_call_lowers_a_level_and_the_matrix_shows_it(stage: Stage) -> None:
    plugin = governed(stage)
    on_call(stage, stage.ravi)
    reply = text_of(await typed(stage, plugin, LOWER))
    assert "checkout.restart_worker on checkout is at L1 now" in reply
    shown = text_of(await typed(stage, plugin, "autonomy"))
    assert "L1  checkout.restart_worker on checkout: shadow" in shown
    assert "no runs yet" in shown
    await stage.tell(plugin)
    assert stage.chat.posts == []  # who asks for a change needs no announcement of it


@pytest.mark.parametrize(
    ("text", "reason"),
    (
        ("autonomy checkout.restart_worker", "Write it as"),
        ("autonomy checkout.restart_worker checkout L3", "Write it as"),
        ("autonomy checkout.restrat checkout L1 because I say so", "No runbook uses an action"),
        ("autonomy checkout.restart_worker chekout L1 because I say so", "no service"),
        ("autonomy checkout.restart_worker checkout L5 because I say so", "no level"),
        ("autonomy checkout.restart_worker checkout Lx because I say so", "no level"),
        ("autonomy checkout.restart_worker checkout L3 because I say so", "has to be earned"),
        ("autonomy checkout.restart_worker checkout L1 short", "ten characters"),
        ("autonomy checkout.restart_worker checkout L2 because I say so", "is at L2 there"),
    ),
)
async def test_a_change_that_may_not_be_is_refused_with_its_reason(
    stage: Stage, text: str, reason: str
) -> None:
    plugin = governed(stage)
    on_call(stage, stage.ravi)
    with pytest.raises(Refused, match=reason):
        await typed(stage, plugin, text)


async def test_who_is_not_on_call_changes_no_level(stage: Stage) -> None:
    with pytest.raises(Refused, match="on call"):
        await typed(stage, governed(stage), LOWER)


async def test_lost_autonomy_is_told_quietly_once(stage: Stage) -> None:
    plugin = governed(stage)
    async with stage.database.transaction() as tx:
        given = Autonomy(action="x.y", service="checkout", level=Level.L3, by="Dana", at=NOON)
        await tx.autonomy.save(given.key, given)
        await stage.context.autonomy.demote(
            tx, "x.y@1", "checkout", reason="an effect was rolled back", at=NOON
        )
    await stage.tell(plugin)
    event = GovernanceChanged(id="e", at=NOON, subject=f"autonomy:{given.key}", change="changed")
    await plugin.on_governance(event)
    (post,) = stage.chat.posts
    assert text_of(post.message) == (
        "x.y on checkout: autonomy is back to L2 (proposes; people run it), because an effect was "
        "rolled back."
    )


# Breakers.


def breaker_event(change: str) -> GovernanceChanged:
    return GovernanceChanged(id="e", at=NOON, subject="breaker:x.y|checkout", change=change)


async def keep(stage: Stage, breaker: Breaker) -> None:
    async with stage.database.transaction() as tx:
        await tx.breakers.save(breaker.key, breaker)


async def test_a_breaker_that_opens_and_closes_is_told_quietly(stage: Stage) -> None:
    plugin, rules = governed(stage), stage.context.breaker_rules
    opened = note_trouble(
        Breaker(action="x.y", service="checkout"), Trouble.LOOP, at=NOON, rules=rules
    )
    await keep(stage, opened)
    await plugin.on_governance(breaker_event("opened"))
    await plugin.on_governance(breaker_event("opened"))
    later = NOON + timedelta(seconds=rules.rest)
    await keep(stage, note_success(opened, at=later, rules=rules))
    await plugin.on_governance(replace(breaker_event("closed"), at=later))
    await plugin.on_governance(breaker_event("opened"))  # late, and no news any more
    first, second = (text_of(post.message) for post in stage.chat.posts)
    assert "x.y on checkout is not tried any more: it raised again the alert" in first
    assert "After 30 min an approved trial" in first
    assert "x.y on checkout is tried again" in second


async def test_an_event_about_nothing_known_says_nothing(stage: Stage) -> None:
    plugin = governed(stage)
    for subject in ("breaker:a|b", "autonomy:a|b", "glass:x", "authorisation:x", "moon:x", "x"):
        event = GovernanceChanged(id="e", at=NOON, subject=subject, change="opened")
        await plugin.on_governance(event)
    assert stage.chat.posts == []


# Standing authorisations.


async def test_one_proposes_another_of_the_team_gives_and_everybody_sees_it(stage: Stage) -> None:
    plugin = governed(stage)
    on_call(stage, stage.dana, stage.ravi)
    reply = text_of(await typed(stage, plugin, PROPOSE, by="dana"))
    assert "a second person of payments" in reply
    await stage.tell(plugin)
    (post,) = stage.chat.posts
    assert "waits for a second person of payments" in text_of(post.message)
    give, withdraw = buttons_of(post.message)
    assert (give.label, withdraw.label) == ("Authorise…", "Withdraw…")
    with pytest.raises(Refused, match="a second person"):
        await stage.press(plugin, give.interaction, by=stage.dana, value=give.value)
    assert "Nothing waits" in text_of(await plugin.home_section(stage.dana))
    (mine,) = buttons_of(await plugin.home_section(stage.ravi))
    await stage.press(plugin, mine.interaction, by=stage.ravi, value=mine.value)
    await stage.tell(plugin)
    assert "Authorised in advance by Dana Ito and Ravi Sen." in text_of(post.message)
    (revoke,) = buttons_of(post.message)
    await stage.press(plugin, revoke.interaction, by=stage.dana, value=revoke.value)
    await stage.tell(plugin)
    assert "revoked by Dana Ito" in text_of(post.message)
    assert buttons_of(post.message) == []


async def test_a_page_that_was_edited_meanwhile_is_not_authorised(stage: Stage) -> None:
    plugin = governed(stage)
    on_call(stage, stage.dana, stage.ravi)
    await typed(stage, plugin, PROPOSE, by="dana")
    (proposal,) = await stage.context.emergencies.authorisations()
    edited = governed(stage, replace(STUCK, digest="e" * 64))
    with pytest.raises(Refused, match="edited since"):
        await stage.press(edited, notices.GIVE, by=stage.ravi, value=proposal.id)


@pytest.mark.parametrize("name", (notices.GIVE, notices.REVOKE))
async def test_forged_buttons_do_nothing(stage: Stage, name: str) -> None:
    with pytest.raises(NotFound):
        await stage.press(governed(stage), name, by=stage.ravi, value="ghost")


@pytest.mark.parametrize(
    ("text", "reason"),
    (
        ("authorise", "Write it as"),
        ("authorise worker-stuck checkout 30", "Write it as"),
        ("authorise nothing checkout 30 because", "no runbook"),
        ("authorise worker-stuck chekout 30 because", "no service"),
        ("authorise worker-stuck checkout soon because", "no number of days"),
        ("authorise worker-stuck checkout -3 because", "no number of days"),
        ("authorise worker-stuck checkout ³ because", "no number of days"),
        ("authorise worker-stuck checkout 91 it is long enough a reason", "1 to 90 days"),
    ),
)
async def test_a_proposal_that_makes_no_sense_is_refused(
    stage: Stage, text: str, reason: str
) -> None:
    plugin = governed(stage)
    on_call(stage, stage.ravi)
    with pytest.raises(Refused, match=reason):
        await typed(stage, plugin, text)
