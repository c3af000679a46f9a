"""One alert walks the whole way, through the practice page only, as people would walk it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from bot.rehearsal import Rehearsal
from tests.browser.hands import Hands
from tests.scenarios.stage import oracle_faults

pytestmark = pytest.mark.browser

EVIL = "https://evil.example"
REFUSAL = "someone else has to approve"


async def test_an_alert_walks_the_whole_way_on_the_page(rehearsal: Rehearsal, hands: Hands) -> None:
    await hands.visit(f"{rehearsal.server.url}/?as=dana&at=alerts")
    await _break_it(hands)
    await _look_and_acknowledge(hands)
    await _declare(hands)
    await _take_command(hands)
    await _plan_and_approve(hands)
    await _record(hands)
    await _see_it_resolved(hands)
    await _close_and_write_up(hands)
    faults = oracle_faults(rehearsal)
    if faults is None:
        pytest.skip("walked; the published Slack types are not at hand to check the traffic")
    assert faults == []


async def _break_it(hands: Hands) -> None:
    await hands.sees(hands.panel, "healthy")
    await hands.snap("01-quiet")
    await hands.press(hands.panel, "Break it")
    card = hands.message("Firing: CheckoutHighErrorRate")
    await hands.sees(card, "Firing for", "sev2", "tier 1", "Similar:", "EX-", "Checkout worker is")
    assert await card.locator("button.button").all_inner_texts() == [
        "Acknowledge", "Declare incident", "Run runbook…", "Silence", "Details",
    ]  # fmt: skip
    await hands.snap("02-alert-card")


async def _look_and_acknowledge(hands: Hands) -> None:
    card = hands.message("Firing: CheckoutHighErrorRate")
    count = await hands.messages.count()
    await hands.press(card, "Acknowledge")
    await hands.sees(card, "Acknowledged by Dana Ito", "Take over")
    assert await hands.messages.count() == count
    await hands.snap("03-acknowledged")
    await hands.press(card, "Details")
    await hands.sees(hands.modal, "Alert details", "Labels", "checkout", "Timeline")
    await hands.snap("04-details")
    await hands.modal.get_by_role("button", name="Close", exact=True).first.click()
    await hands.gone(hands.modal)
    await hands.press(card, "Silence")
    await hands.sees(hands.modal, "Silence this alert")
    await hands.snap("05-silence")
    await hands.press(hands.modal, "Cancel")
    await hands.gone(hands.modal)


async def _declare(hands: Hands) -> None:
    await hands.press(hands.message("Firing: CheckoutHighErrorRate"), "Declare incident")
    await hands.sees(hands.modal, "Declare an incident", "sev2", "checkout")
    title = hands.modal.get_by_label("What do users notice?")
    assert await title.input_value() == "Checkout answers many customers with an error"
    await title.fill("")
    await hands.submit()
    block = hands.modal.locator(".block-input", has_text="What do users notice?")
    await hands.sees(block.locator(".field-error"), "required")
    await hands.snap("06-declare-refused")
    await title.fill("Checkout refuses orders")
    await hands.submit()
    await hands.gone(hands.modal)
    await hands.sees(hands.page.locator("nav"), "inc-1-checkout-refuses-orders")
    await hands.sees(hands.message("Firing: CheckoutHighErrorRate"), "INC-1")
    await hands.snap("07-declared")
    await hands.go_to("inc-1-")
    card = hands.message("INC-1", "Communications lead")
    await hands.sees(card, "Checkout refuses orders", "investigating", "nobody yet", "Pinned")
    await hands.sees(hands.page.locator(".room-topic"), "INC-1")
    await hands.snap("08-war-room")


async def _take_command(hands: Hands) -> None:
    await hands.become("Marcus Webb")
    card = hands.message("INC-1", "Communications lead")
    await hands.press(card, "Take command")
    await hands.sees(card, "Marcus Webb", "Take over command")
    await hands.sees(hands.message("You are the incident commander"), "Only visible to you")
    await hands.snap("09-commander")


async def _plan_and_approve(hands: Hands) -> None:
    await hands.become("Dana Ito")
    await hands.press(hands.message("INC-1", "Communications lead"), "Run runbook…")
    await hands.sees(hands.modal, "Run a runbook", "Checkout worker is stuck")
    await hands.snap("10-runbook-form")
    await hands.submit()
    await hands.gone(hands.modal)
    plan = hands.message("Checkout worker is stuck", "Asked for by")
    await hands.sees(plan, "waits for approval", "@payments-oncall", "worker of generation 2", "R2")
    await hands.snap("11-plan")

    await hands.press(plan, "Approve")
    await hands.confirm("Approve")
    await hands.sees(hands.message(REFUSAL), "Only visible to you")
    await hands.snap("12-requester-refused")
    await hands.become("Priya Raman")
    await hands.sees(plan, "waits for approval")
    assert await hands.messages.filter(has_text=REFUSAL).count() == 0
    await hands.sees(hands.panel, "stuck, generation 1")
    await hands.snap("13-plan-as-approver")

    await hands.press(plan, "Approve")
    await hands.sees(hands.page.get_by_test_id("confirm"), "Approve this plan?", "R2")
    await hands.snap("14-confirm")
    await hands.confirm("Approve")
    await hands.sees(plan, re.compile("Running|Verifying"))
    await hands.snap("14-verifying-now")
    await hands.sees(plan, "Succeeded and verified", "Approved by Priya Raman")
    await hands.sees(hands.panel, "generation 2", "healthy")
    await hands.coloured(plan, "2eb886")
    await hands.snap("15-succeeded")


async def _record(hands: Hands) -> None:
    await hands.say("The payment provider saw nothing *unusual*")
    said = hands.message("The payment provider saw nothing")
    await hands.react(said, "pushpin")
    await hands.sees(said.locator("[data-reaction=pushpin]"), "1")
    await said.locator("[data-reaction=white_check_mark]").wait_for()
    await hands.say("/incident note Orders are flowing again")
    await hands.sees(hands.message("timeline"), "Only visible to you")
    await hands.snap("16-recorded")
    await hands.become("Lena Fischer")
    await hands.press(hands.page.locator("nav"), "Add channels")
    await hands.page.get_by_role("menuitem", name="Browse channels").click()
    await hands.page.locator(".member", has_text="inc-1-").click()
    await hands.page.get_by_role("button", name="Join channel").click()
    await hands.page.get_by_test_id("composer").wait_for()
    await hands.say("/incident timeline")
    story = hands.message("Timeline of INC-1")
    await hands.sees(
        story, "Only visible to you", "Orders are flowing again", "The payment provider saw nothing"
    )
    await hands.sees(story, "Lena Fischer")
    await hands.snap("17-timeline")


async def _see_it_resolved(hands: Hands) -> None:
    await hands.become("Dana Ito")
    await hands.go_to("alerts")
    card = hands.message("Resolved: CheckoutHighErrorRate")
    await hands.sees(card, "Fired for", "INC-1", "Resolved")
    await hands.coloured(card, "2eb886")
    assert await hands.messages.filter(has_text="CheckoutHighErrorRate").count() == 1
    await hands.snap("18-alert-resolved")
    await hands.sees(hands.page.locator("main .message.is-ephemeral"), "INC-1 is declared")


async def _close_and_write_up(hands: Hands) -> None:
    await hands.page.get_by_test_id("app-home").click()
    home = hands.page.locator(".home")
    await hands.sees(home, "1 incident is open", "INC-1", "Checkout refuses orders", "Marcus Webb")
    await hands.snap("19-home")
    await hands.become("Priya Raman")
    await hands.page.get_by_role("tab", name="Messages").click()
    await hands.sees(hands.message("Checkout worker is stuck"), "needs no approval any more")
    await hands.snap("19-direct-message")
    await hands.become("Marcus Webb")
    await hands.go_to("inc-1-")
    await hands.say("/incident resolve")
    card = hands.message("INC-1", "Communications lead", "Status")
    await hands.coloured(card, "2eb886")
    await hands.sees(card, "resolved")
    await hands.snap("20-resolved")
    await hands.go_to("alerts")
    await hands.coloured(hands.message("INC-1 · Checkout refuses orders"), "2eb886")
    await hands.snap("20-alerts-after")
    await hands.go_to("inc-1-")
    await hands.say("/incident postmortem")
    draft = hands.message("Post-mortem of INC-1", "Show whole")
    await hands.sees(draft, "TTR", "Checkout refuses orders")
    await hands.snap("21-postmortem")
    await hands.press(draft, "Show whole")
    await hands.sees(
        hands.modal,
        "was a sev2 incident", "Impact", "Timeline", "Priya Raman", "Lena Fischer", "Action items",
        "Orders are flowing again", "The payment provider saw nothing", "Checkout worker is stuck",
    )  # fmt: skip
    await hands.snap("22-postmortem-whole")
    await hands.modal.locator(".modal-body").evaluate("body => body.scrollTo(0, 600)")
    await hands.snap("23-postmortem-whole-middle")
    await hands.modal.locator(".modal-body").evaluate("body => body.scrollTo(0, 99999)")
    await hands.snap("24-postmortem-whole-end")


HOSTILE = (
    "<!channel> <@U1> <https://evil.example|https://grafana> <script>window.broken = 1</script>"
    " <img src=x onerror='window.broken = 2'> *bold* _it_ `code` ```pre``` &lt;b&gt; :fire:"
    " @here <#C1> <!date^1^{date}|x> <mailto:a@b.c|m> \N{RIGHT-TO-LEFT OVERRIDE}gnp.exe"
)


def _hostile_alert(base: str) -> dict[str, Any]:
    """Return a webhook in Alertmanager's form, every text of which is out to do harm."""
    started = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
    labels = {"alertname": "Evil *bold* <!channel>", "service": "<@U1>`", "severity": "<!here>`"}
    annotations = {"summary": HOSTILE, "description": HOSTILE, "runbook_url": "javascript:alert(1)"}
    alert = {
        "status": "firing", "labels": {**labels, "note": HOSTILE}, "annotations": annotations,
        "startsAt": started, "endsAt": "0001-01-01T00:00:00Z", "fingerprint": "00000000000000e1",
        "generatorURL": "javascript:window.broken=3//<!channel>|x>",
    }  # fmt: skip
    return {
        "version": "4", "groupKey": f"{{}}:{HOSTILE}", "truncatedAlerts": 0, "status": "firing",
        "receiver": "tocsin", "groupLabels": labels, "commonLabels": labels,
        "commonAnnotations": annotations, "externalURL": f"{base}/<!channel>|evil>",
        "alerts": [alert],
    }  # fmt: skip


async def test_hostile_labels_and_annotations_are_shown_and_do_nothing(
    rehearsal: Rehearsal, hands: Hands
) -> None:
    await hands.visit(f"{rehearsal.server.url}/?as=dana&at=alerts")
    headers = {"Authorization": f"Bearer {rehearsal.hook_token}"}
    async with httpx.AsyncClient(headers=headers) as client:
        url = f"{rehearsal.bot_url}/hooks/alertmanager"
        answer = await client.post(url, json=_hostile_alert(EVIL))
    assert answer.status_code == 202, answer.text

    card = hands.message("Evil *bold*", "Declare incident")
    await _harmless(hands, card)
    await hands.snap("30-hostile-card")
    await hands.press(card, "Details")
    await hands.sees(hands.modal, "Alert details")
    await _harmless(hands, hands.modal)
    await hands.snap("31-hostile-details")
    await hands.modal.get_by_role("button", name="Close", exact=True).first.click()
    await hands.press(card, "Declare incident")
    await hands.sees(hands.modal, "Declare an incident")
    # Nobody judged how bad it is, so a person has to.
    await hands.submit()
    await hands.sees(hands.modal.locator(".block-input.has-error"), "Severity", "required")
    await hands.modal.locator(".block-input", has_text="Severity").get_by_role("button").click()
    await hands.page.get_by_role("option", name="sev4").click()
    await hands.submit()
    await hands.gone(hands.modal)
    await hands.go_to("inc-1-")
    room = hands.message("INC-1", "Communications lead")
    await hands.sees(room, "<!channel> <@U1> <https://evil.example|", "<script>")
    assert await _does_something(hands.page.locator("main")) == []
    await hands.snap("32-hostile-war-room")
    assert await hands.page.evaluate("window.broken") is None


async def _harmless(hands: Hands, place: Any) -> None:
    await hands.sees(
        place, "<!channel> <@U1> <https://evil.example|https://grafana>", "*bold* _it_ `code`",
        "<script>window.broken = 1</script>", "<img src=x onerror='window.broken = 2'>",
        "&lt;b&gt;",
    )  # fmt: skip
    assert await _does_something(place) == []
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in await place.inner_text()
    assert await hands.page.evaluate("window.broken") is None


async def _does_something(place: Any) -> list[str]:
    """Return what in a place mentions, runs, loads, or leads out of where the text says."""
    found: list[str] = await place.evaluate(
        """node => [...node.querySelectorAll('script, img, .mention, .mention-me, a')]
            .filter(one => one.matches('a') ? !/^http:\\/\\/127\\.0\\.0\\.1/.test(one.href) : true)
            .map(one => one.outerHTML)"""
    )
    return found
