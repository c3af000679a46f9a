"""What holds the assistant back, as people meet it: consent, the kill switch, the record."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.checkpoints import LogProof, read_checkpoint
from bot.domain.merkle import leaf_hash, verify_inclusion
from bot.practice.records import Message
from bot.rehearsal import Rehearsal
from tests.browser.hands import Hands
from tests.scenarios.stage import oracle_faults, restarts, text_of, tocsin

pytestmark = pytest.mark.browser

RUNBOOK = "Checkout's order queue is damaged"
ROOM = "inc-1-"
PLACE = "A plan is approved where it is shown to everybody"
WHO_MAY_NOT = {
    "Gus Moreau": "Guests do not approve.",
    "Vera Novak": "People of other organisations do not approve here.",
    "Dana Ito": "You asked for this run, so someone else has to approve it.",
}


async def test_a_grave_plan_needs_people_of_two_teams_and_one_denial_ends_it(
    rehearsal: Rehearsal, hands: Hands
) -> None:
    await _enter_a_war_room(rehearsal, hands)
    await _ask(hands)
    await _is_denied_by_one(hands)
    await hands.become("Dana Ito")
    await _ask(hands)
    await _waits_for_others_only(hands)
    await _is_refused_from_those_who_may_not(hands)
    await _is_refused_from_elsewhere(rehearsal, hands)
    assert await _rebuilds(rehearsal) == []
    await _is_approved_by_two_teams(hands)
    assert [rebuild["state"] for rebuild in await _rebuilds(rehearsal)] == ["done"]
    assert oracle_faults(rehearsal) in ([], None)


async def _enter_a_war_room(rehearsal: Rehearsal, hands: Hands) -> None:
    await hands.visit(f"{rehearsal.server.url}/?as=dana&at=alerts")
    await hands.say("/incident declare Orders are there twice")
    await hands.sees(hands.modal, "Declare an incident")
    await hands.choose("Severity", "sev2")
    await hands.choose("Service", "checkout")
    await hands.submit()
    await hands.gone(hands.modal)
    await hands.go_to(ROOM)
    await hands.sees(hands.message("INC-1", "Communications lead"), "investigating", "Pinned")
    await hands.say("/invite @owen @marcus @priya @gus @vera ")
    await hands.sees(hands.messages.filter(has_text="joined").last, "Vera Novak")


async def _ask(hands: Hands) -> None:
    half = "Which half of the partitions to rebuild"
    await hands.press(hands.message("INC-1", "Communications lead"), "Run runbook…")
    await hands.sees(hands.modal, "Run a runbook")
    if half not in await hands.modal.inner_text():  # another runbook fits the incident better
        await hands.choose("Runbook", RUNBOOK)
        await hands.submit()
        await hands.sees(hands.modal, half)
    await hands.submit()
    await hands.gone(hands.modal)
    await hands.sees(_plan(hands), "This plan waits for approval.")


def _plan(hands: Hands) -> Any:
    return hands.message(RUNBOOK, "Asked for by")


async def _approve(hands: Hands, name: str) -> None:
    await hands.become(name)
    await _press_approve(hands, _plan(hands))


async def _press_approve(hands: Hands, plan: Any) -> None:
    await hands.press(plan, "Approve")
    await hands.sees(hands.page.get_by_test_id("confirm"), "Approve this plan?", "R3")
    await hands.confirm("Approve")


async def _is_denied_by_one(hands: Hands) -> None:
    plan = _plan(hands)
    await hands.sees(
        plan, "R3", "0 of 2 from anyone but the requester, of different teams", "Answer by",
        "Then to start within", "8 of 16: partition-01", "There is no way back after this step",
        "decided by hard-to-undo",
    )  # fmt: skip
    await hands.snap("40-grave-plan")
    await _approve(hands, "Priya Raman")
    await hands.sees(plan, "1 of 2", re.compile(r"Approved so far by\s*Priya Raman"))
    await hands.snap("41-one-of-two")
    await hands.become("Marcus Webb")
    await hands.press(plan, "Deny…")
    await hands.sees(hands.modal, "Deny this plan", "One denial ends the request.")
    await hands.snap("42-denial-form")
    await hands.modal.get_by_label("Reason").fill("The first half was rebuilt this morning")
    await hands.submit()
    await hands.gone(hands.modal)
    await hands.sees(plan, "Denied. Marcus Webb: The first half was rebuilt this morning")
    assert await plan.get_by_role("button", name="Approve").count() == 0
    await hands.snap("43-denied")


async def _waits_for_others_only(hands: Hands) -> None:
    home = hands.page.locator(".home")
    await hands.page.get_by_test_id("app-home").click()
    await hands.sees(home, "INC-1", "Nothing waits for you.")
    await hands.snap("44-home-of-the-requester")
    await hands.become("Owen Clarke")
    await hands.sees(home, "Waiting for you", RUNBOOK, "Asked for by Dana Ito", "R3", "expires")
    assert await home.get_by_role("button", name="Approve").count() == 0
    await hands.snap("44-home-of-an-approver")
    await hands.become("Gus Moreau")
    await hands.sees(home, "Nothing waits for you.")
    await hands.go_to(ROOM)


async def _is_refused_from_those_who_may_not(hands: Hands) -> None:
    for name, reason in WHO_MAY_NOT.items():
        await _approve(hands, name)
        await hands.sees(hands.message(reason), "Only visible to you")
    await hands.snap("45-refused")
    await hands.sees(_plan(hands), "0 of 2")


async def _is_refused_from_elsewhere(rehearsal: Rehearsal, hands: Hands) -> None:
    """Press the plan's true buttons on copies of it: to a person alone, and in another channel."""
    await hands.become("Priya Raman")
    await hands.page.get_by_test_id("app-home").click()
    await hands.page.get_by_role("tab", name="Messages").click()
    await _copy(rehearsal, rehearsal.workspace.person("priya").id)
    await _press_approve(hands, _plan(hands))
    await hands.sees(hands.message(PLACE), "Only visible to you")
    await hands.snap("46-refused-from-a-direct-message")
    await hands.go_to("northpay")
    await hands.say("/invite @tocsin ")
    await hands.sees(hands.messages.last, "joined")
    await _copy(rehearsal, rehearsal.workspace.channel("northpay").id)
    for name in ("Priya Raman", "Vera Novak"):
        await _approve(hands, name)
        await hands.sees(hands.message(PLACE), "Only visible to you")
    await hands.become("Priya Raman")
    await hands.go_to(ROOM)
    await hands.sees(_plan(hands), "0 of 2")


async def _copy(rehearsal: Rehearsal, channel: str) -> None:
    (app,) = rehearsal.workspace.apps.values()
    client = AsyncWebClient(app.bot_token, base_url=rehearsal.server.api_url)
    if channel.startswith("U"):
        channel = (await client.conversations_open(users=channel))["channel"]["id"]
    plan = _posted_plan(rehearsal)
    attachments = [{"color": a["color"], "blocks": a["blocks"]} for a in plan.attachments or []]
    await client.chat_postMessage(channel=channel, text=RUNBOOK, attachments=attachments)


def _posted_plan(rehearsal: Rehearsal) -> Message:
    channels = rehearsal.workspace.channels.values()
    (room,) = (channel for channel in channels if channel.name.startswith(ROOM))
    return next(m for m in reversed(room.messages.values()) if "waits for approval" in text_of(m))


async def _is_approved_by_two_teams(hands: Hands) -> None:
    plan = _plan(hands)
    await _approve(hands, "Priya Raman")
    await hands.sees(plan, "1 of 2")
    await _approve(hands, "Marcus Webb")
    await hands.sees(plan, re.compile(r"Approved so far by\s*Priya Raman, Marcus Webb"), "1 of 2")
    await hands.snap("47-two-of-one-team")
    await _approve(hands, "Owen Clarke")
    await hands.sees(plan, "Running step 1 of 1")
    await hands.snap("48-running")
    await hands.sees(plan, "Succeeded and verified", "Owen Clarke")
    await hands.snap("49-succeeded")


async def test_a_pulled_switch_ends_a_running_step_within_a_second(
    rehearsal: Rehearsal, hands: Hands
) -> None:
    await _enter_a_war_room(rehearsal, hands)
    await _begin_a_rebuild(hands)
    await hands.become("Priya Raman")
    ended, built = await _halt(rehearsal, hands)
    pulled = await _pulled_at(rehearsal)
    print(f"the effect ended {(ended - pulled).total_seconds():.2f} s after the switch was pulled")
    assert (ended - pulled).total_seconds() < 1
    await _everybody_hears_of_it(hands)
    await _nothing_else_starts(rehearsal, hands)
    await _is_accounted_for(rehearsal, hands, built)
    await _two_people_release_it(hands)
    await hands.become("Dana Ito")
    await _ask(hands)
    assert len(await _rebuilds(rehearsal)) == 1
    assert oracle_faults(rehearsal) in ([], None)


async def _begin_a_rebuild(hands: Hands) -> None:
    await _ask(hands)
    await _approve(hands, "Priya Raman")
    await hands.sees(_plan(hands), "1 of 2")
    await _approve(hands, "Owen Clarke")
    await hands.sees(_plan(hands), "Running step 1 of 1")
    await hands.sees(hands.panel, re.compile("[1-5] of 8"))


async def _halt(rehearsal: Rehearsal, hands: Hands) -> tuple[datetime, int]:
    """Pull the switch; return when the effect ended by the service's clock, and how far it was."""
    await hands.say("/incident halt service:checkout It is the wrong half")
    async with asyncio.timeout(10):
        while (rebuild := (await _rebuilds(rehearsal))[0])["state"] == "building":  # noqa: ASYNC110  # another process
            await asyncio.sleep(0.02)
    assert rebuild["state"] == "stopped", rebuild
    return datetime.fromisoformat(rebuild["ended_at"]), rebuild["built"]


async def _pulled_at(rehearsal: Rehearsal) -> datetime:
    """Return when the switch was pulled by the ledger: the same host, so the same clock."""
    (halted,) = [e for e in await _entries(rehearsal) if e["type"] == "switch.halted"]
    return datetime.fromisoformat(halted["ts"])


async def _everybody_hears_of_it(hands: Hands) -> None:
    await hands.sees(hands.message("is pulled by Priya Raman"), "Only visible to you")
    await hands.snap("50-halted")
    await hands.go_to("alerts")
    told = hands.message("The kill switch of service:checkout is pulled.")
    await hands.sees(told, "Pulled by Priya Raman", "It is the wrong half", "until two people")
    assert await told.locator(".mention").count() == 0
    await hands.snap("51-halted-in-alerts")


async def _nothing_else_starts(rehearsal: Rehearsal, hands: Hands) -> None:
    await hands.become("Dana Ito")
    await hands.go_to(ROOM)
    await hands.press(hands.message("INC-1", "Communications lead"), "Run runbook…")
    await hands.choose("Runbook", "Checkout worker is slow")
    await hands.submit()
    await hands.sees(hands.modal, "Orders the worker may do at once")
    await hands.submit()
    await hands.gone(hands.modal)
    card = hands.message("Checkout worker is slow", "Asked for by")
    await hands.sees(card, "The kill switch of service:checkout is pulled by Priya Raman")
    await card.scroll_into_view_if_needed()
    await hands.snap("52-nothing-else-starts")
    assert await restarts(rehearsal) == []


async def _is_accounted_for(rehearsal: Rehearsal, hands: Hands, built: int) -> None:
    """See the outcome on the card and in the ledger, and no further step in the service."""
    plan = _plan(hands)
    await hands.sees(
        plan, "Failed", "the kill switch was pulled by Priya Raman",
        f"the rebuild stopped after {built} of 8 partitions",
    )  # fmt: skip
    await plan.scroll_into_view_if_needed()
    await hands.snap("53-accounted-for")
    (rebuild,) = await _rebuilds(rehearsal)
    assert (rebuild["state"], rebuild["built"]) == ("stopped", built)
    (outcome,) = [e for e in await _entries(rehearsal) if e["type"] == "action.outcome"]
    assert outcome["outcome"] == "failed"


async def _two_people_release_it(hands: Hands) -> None:
    release = "/incident release service:checkout"
    for name, answer in (
        ("Gus Moreau", "Only full members of this workspace release the kill switch."),
        ("Priya Raman", "It stays pulled until a second person asks too."),
        ("Priya Raman", "You have asked for the release already"),
    ):
        await hands.become(name)
        await hands.say(release)
        await hands.sees(hands.message(answer), "Only visible to you")
    await hands.become("Owen Clarke")
    await hands.page.get_by_test_id("app-home").click()
    home = hands.page.locator(".home")
    await hands.sees(home, "The kill switch of service:checkout is pulled.")
    await hands.snap("54-home-while-halted")
    await hands.press(home, "Release…")
    await hands.confirm("Release")
    await hands.sees(hands.modal, "The kill switch of service:checkout is released.")
    await hands.snap("55-released-from-home")
    await hands.modal.get_by_role("button", name="Close", exact=True).first.click()
    await hands.go_to("alerts")
    await hands.sees(hands.messages.last, "was released by two people")
    await hands.snap("56-released-in-alerts")
    await hands.go_to(ROOM)


PAGES: Mapping[str, Sequence[str]] = {
    "Approvals": (RUNBOOK, "0 of 2", "denied", "<b>Not</b> now & not here"),
    "Switches": ("everything", "Dana Ito", "It is the wrong half", "nobody has asked"),
    "Freezes": ("Year-end freeze", "The next 60 days"),
    "Autonomy": ("all are at L2",),
    "Reviews": ("No broken glass waits for a review.",),
    "Decisions": ("checkout-rebuild-queue", "R3", "two people of different teams"),
    "Policy": ("in force", '@id("hard-to-undo")'),
    "Ledger": ("switch.halted", "approval.denied", "INC-1"),
    "Checkpoint": ("demo.tocsin.example/ledger", "tocsin ledger verify"),
}
FOR_RESPONDERS = ["Approvals", "Switches", "Freezes", "Autonomy", "Reviews", "Decisions"]
PHONE = {"width": 360, "height": 740}


async def test_the_pages_show_the_record_to_those_it_is_for(
    rehearsal: Rehearsal, hands: Hands
) -> None:
    await _make_a_record(rehearsal, hands)
    await _sign_in(rehearsal, hands, "Sofia Lind")
    menu = hands.page.locator("nav.menu")
    for number, (title, words) in enumerate(PAGES.items()):
        await menu.get_by_role("link", name=title, exact=True).click()
        await hands.sees(hands.page.locator("h1"), title)
        await hands.sees(hands.page.locator("main"), *words)
        await hands.snap(f"6{number}-{title.lower()}")
        await _fits_a_phone(hands, f"6{number}-{title.lower()}-on-a-phone")
    await _follow_an_entry_to_its_proof(hands)
    await _follow_a_decision_to_its_rules(hands)
    await _sign_out(hands)
    await _sign_in(rehearsal, hands, "Priya Raman")
    assert await menu.get_by_role("link").all_inner_texts() == FOR_RESPONDERS
    await _others_are_refused(rehearsal, hands)


async def _make_a_record(rehearsal: Rehearsal, hands: Hands) -> None:
    """Have a plan denied and another wait, with the switch pulled, and all of it sealed."""
    await _enter_a_war_room(rehearsal, hands)
    await _ask(hands)
    await hands.become("Marcus Webb")
    await hands.press(_plan(hands), "Deny…")
    await hands.modal.get_by_label("Reason").fill("<b>Not</b> now & not here")
    await hands.submit()
    await hands.sees(_plan(hands), "Denied")
    await hands.become("Dana Ito")
    await _ask(hands)
    await hands.say("/incident halt It is the wrong half")
    await hands.sees(hands.message("is pulled by Dana Ito"), "Only visible to you")


async def _fits_a_phone(hands: Hands, name: str) -> None:
    """See that a page is no wider than a small screen; tables scroll in themselves."""
    wide = hands.page.viewport_size
    await hands.page.set_viewport_size(PHONE)
    await hands.snap(name)
    over = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert await hands.page.evaluate(over) <= 0, name
    await hands.page.set_viewport_size(wide)


async def _follow_an_entry_to_its_proof(hands: Hands) -> None:
    page = hands.page
    await page.locator("nav.menu").get_by_role("link", name="Ledger", exact=True).click()
    await page.get_by_label("Type begins with").fill("approval.")
    await page.get_by_role("button", name="Show").click()
    await page.locator("main tbody").get_by_role("link").first.click()
    await hands.sees(page.locator("main"), "approval.denied", "<b>Not</b> now", "RFC 9162")
    await hands.snap("70-entry")
    await _fits_a_phone(hands, "70-entry-on-a-phone")
    proof = page.get_by_role("link", name="The proof that it is in the ledger")
    async with asyncio.timeout(30):
        while await proof.count() == 0:  # the page of an entry that is not sealed yet
            await asyncio.sleep(0.5)
            await page.reload()
    leaf = await _download(page, page.get_by_role("link", name="The leaf's bytes"))
    text = await _download(page, proof)
    entry = json.loads(leaf)
    found = LogProof.parse(text)
    top = read_checkpoint(found.checkpoint)
    assert (entry["type"], entry["seq"]) == ("approval.denied", found.index)
    assert verify_inclusion(
        leaf_hash(leaf), index=found.index, size=top.size, root=top.root, proof=found.hashes
    )


async def _download(page: Any, link: Any) -> bytes:
    async with page.expect_download() as started:
        await link.click()
    path = Path(await (await started.value).path())
    return path.read_bytes()  # noqa: ASYNC240  # a small local file


async def _follow_a_decision_to_its_rules(hands: Hands) -> None:
    page = hands.page
    await page.locator("nav.menu").get_by_role("link", name="Decisions", exact=True).click()
    await page.locator("main tbody").get_by_role("link").first.click()
    await hands.sees(page.locator("main"), "hard-to-undo", "cedarpy", "checkout.rebuild_queue@1")
    await hands.snap("71-decision")
    await _fits_a_phone(hands, "71-decision-on-a-phone")


async def _sign_in(rehearsal: Rehearsal, hands: Hands, name: str) -> None:
    page = hands.page
    await page.goto(f"{rehearsal.bot_url}/pages/")
    await hands.sees(page.locator("h1"), "Please sign in")
    await hands.snap("57-please-sign-in")
    await page.get_by_role("link", name="Sign in", exact=True).click()
    await hands.sees(page.locator("h1"), "Sign in to Practice")
    await hands.snap("58-sign-in")
    assert await page.get_by_role("button", name="Vera Novak").count() == 0  # a stranger
    await page.get_by_role("button", name=f"Sign in as {name}").click()
    await hands.sees(page.locator(".who"), name)
    await hands.snap("59-pages")


async def _sign_out(hands: Hands) -> None:
    await hands.page.get_by_role("button", name="Sign out").click()
    await hands.sees(hands.page.locator("h1"), "Signed out")


async def _others_are_refused(rehearsal: Rehearsal, hands: Hands) -> None:
    """Refuse a page that is not in the menu, and guests every page.

    In windows of their own, since a browser complains of each refusal on its console.
    Strangers do not come that far: they have no account at the provider.
    """
    for name, path, reason in (
        ("Priya Raman", "ledger", "This page is for auditors."),
        ("Gus Moreau", "approvals", "These pages are for full members of this workspace."),
    ):
        context = await hands.page.context.browser.new_context()
        page = await context.new_page()
        await page.goto(f"{rehearsal.bot_url}/pages/governance/{path}")
        await page.get_by_role("link", name="Sign in", exact=True).click()
        await page.get_by_role("button", name=f"Sign in as {name}").click()
        await hands.sees(page.locator("body"), reason)
        assert await page.locator("main table").count() == 0
        await context.close()


async def _entries(rehearsal: Rehearsal) -> Sequence[Mapping[str, Any]]:
    status, text = await tocsin(rehearsal, "ledger", "show", "--last", "200")
    assert status == 0, text
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


async def _rebuilds(rehearsal: Rehearsal) -> Sequence[Mapping[str, Any]]:
    headers = {"Authorization": f"Bearer {rehearsal.admin_token}"}
    async with httpx.AsyncClient(headers=headers) as client:
        answer = await client.get(f"{rehearsal.checkout_url}/admin/rebuilds")
    return list(answer.raise_for_status().json())
