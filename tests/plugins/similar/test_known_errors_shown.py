"""Where known errors are seen: in lists and pages, on cards, and in the search."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.domain.alerts import AlertGroup
from bot.domain.cards import alert_card
from bot.domain.documents import Because, Reason
from bot.domain.errors import NotFound, Refused
from bot.domain.events import IncidentChanged
from bot.domain.findings import FindingKind
from bot.domain.incidents import Incident, IncidentId, IncidentStatus
from bot.domain.known_errors import Account, Struck
from bot.domain.messages import Form
from bot.domain.people import PersonId
from bot.slack.blocks import render
from bot.slack.forms import Opened, render_form
from plugins.similar.known import KnownErrors, cause_button
from plugins.similar.known_forms import DECIDED, DIFFERENT, NAMED, cause_form, decide_form
from plugins.similar.known_messages import FIX, LISTED, SHOW, Strike, known_list, known_page
from tests.fakes import NOON
from tests.incident_records import INCIDENT, RUN
from tests.plugins.similar.plays import CERTIFICATE, LOCK, Play, known
from tests.slack.oracle import faults_of_blocks, faults_of_call, needs_oracle
from tests.stage import alert, buttons_of, text_of


async def test_the_list_says_how_often_and_what_helps(play: Play) -> None:
    assert "No known error is open" in text_of(await play.type("known"))
    await play.submit(NAMED, await play.incident(), **LOCK)
    await play.submit(NAMED, await play.incident("Two"), **CERTIFICATE)
    play.stage.clock.advance(seconds=3600)
    await play.submit(NAMED, await play.incident("Three"), known="KE-1")
    shown = await play.type("known")
    lines = text_of(shown).splitlines()
    assert lines[0] == "2 known errors are open"
    assert lines[1:5] == [
        "KE-1 The order worker hangs",
        "struck 2 times, last 13:00 · Restart the worker.",
        "KE-2 Certificates expire unseen",
        "struck once, last 12:00 · no workaround is known yet",
    ]
    assert [(b.interaction, b.value) for b in buttons_of(shown)] == [(SHOW, "KE-1"), (SHOW, "KE-2")]


async def test_a_long_list_is_cut_and_says_so(play: Play) -> None:
    incident = await play.incident()
    for number in range(LISTED + 3):
        answers = {**LOCK, "title": f"Cause {number}"}
        await play.submit(DECIDED, incident, decision=DIFFERENT, **answers)
    shown = await play.type("known")
    assert len(buttons_of(shown)) == LISTED
    assert "And 3 more" in text_of(shown)


@pytest.mark.parametrize("word", ("KE-1", "ke1", "1"))
async def test_one_is_shown_with_its_incidents_and_what_became_of_them(
    play: Play, word: str
) -> None:
    incident = await play.incident()
    run = replace(RUN, subject=incident, incident=incident)
    async with play.stage.database.transaction() as tx:
        await tx.runs.add(run, due_at=None)
    await play.submit(NAMED, incident, **LOCK)
    page = await play.type(f"known {word}")
    assert isinstance(page, Form)
    assert page.fields == ()
    shown = text_of(page)
    for text in (
        "KE-1: The order worker hangs", "open · checkout · proposed by Dana Ito", LOCK["cause"],
        LOCK["workaround"], "Struck once", "INC-1 Orders fail", f"“{run.title}” succeeded",
    ):  # fmt: skip
        assert text in shown


async def test_a_person_who_has_left_does_not_hide_the_page(play: Play) -> None:
    await play.submit(NAMED, await play.incident(), **LOCK)
    play.stage.chat.people.pop(PersonId("U001"))
    assert "open · checkout · proposed 12:00" in text_of(await play.type("known KE-1"))


async def test_what_is_fixed_leaves_the_list_and_comes_back_when_it_strikes(play: Play) -> None:
    await play.submit(NAMED, await play.incident(), **LOCK)
    (button,) = buttons_of(await play.press(SHOW, "KE-1"))
    page = await play.press(FIX, button.value)
    assert "thought to be fixed" in text_of(page)
    assert buttons_of(page) == []
    assert "No known error is open" in text_of(await play.type("known"))
    reply = await play.submit(NAMED, await play.incident("Two"), known="KE-1")
    assert "It is open again" in text_of(reply)
    assert "1 known error is open" in text_of(await play.type("known"))


@pytest.mark.parametrize("word", ("KE-0", "KE-", "x", "KE-1 KE-2", "-1", "KE-99999999999"))
async def test_a_word_that_names_no_known_error_is_refused(play: Play, word: str) -> None:
    with pytest.raises(Refused, match="say it like KE-3"):
        await play.type(f"known {word}")


async def test_an_unknown_known_error_is_refused(play: Play) -> None:
    with pytest.raises(NotFound, match="KE-9"):
        await play.type("known KE-9")


async def test_what_people_said_of_an_incident_is_on_its_alerts_card(play: Play) -> None:
    group = await play.stage.fire()
    assert await play.known.finding(group) is None
    incident = await play.incident(group=group.id)
    await play.submit(NAMED, incident, **LOCK)
    now = await play.stage.context.alerts.get(group.id)
    finding = await play.known.finding(now)
    assert finding is not None
    assert finding.claim == "KE-1, The order worker hangs: Restart the worker."
    assert (finding.kind, finding.value, finding.confidence) == (
        FindingKind.KNOWN_ERROR,
        "KE-1",
        None,
    )
    assert finding in now.findings  # what a plugin says later is the very same
    card = text_of(alert_card(now, (), at=play.stage.clock.now()))
    assert f"Known error: {finding.claim}\nnamed by people" in card
    assert f"{group.id}: assessed" in await play.stage.tell()  # so that it is drawn again


async def test_two_reasons_are_enough_for_a_card(play: Play) -> None:
    group = await fired_again(play)
    play.finds("KE-1", 0.87)
    hit = play.stage.search.found.hits[0]
    reasons = tuple(Reason(because=Because.WORDS, text=f"reason {n}") for n in range(5))
    play.stage.search.found = replace(
        play.stage.search.found, hits=(replace(hit, reasons=reasons),)
    )
    finding = await play.known.finding(group)
    assert finding is not None
    assert finding.evidence[0].label == "reason 0; reason 1"


async def fired_again(play: Play) -> AlertGroup:
    """Let a known error be named, and then an alert fire that has no incident."""
    await play.submit(NAMED, await play.incident(), **LOCK)
    return await play.stage.fire()


async def test_an_alert_that_is_surely_a_known_error_says_so_with_its_reason(play: Play) -> None:
    group = await fired_again(play)
    play.finds("KE-1", 0.87)
    finding = await play.known.finding(group)
    assert finding is not None
    assert (finding.value, finding.confidence, finding.model) == ("KE-1", None, "ranker-1")
    assert finding.evidence[0].label == "same alert name"
    assert play.stage.search.asked[-1].names == ("CheckoutHighErrorRate",)


@pytest.mark.parametrize("confidence", (0.0, 0.3, 0.49))
async def test_nothing_is_claimed_of_a_known_error_that_is_not_likely(
    play: Play, confidence: float
) -> None:
    group = await fired_again(play)
    play.finds("KE-1", confidence)
    assert await play.known.finding(group) is None


async def test_a_hit_that_is_no_known_error_any_more_is_not_claimed(play: Play) -> None:
    group = await fired_again(play)
    play.finds("KE-1", 0.9)
    hit = play.stage.search.found.hits[0]
    ghost = replace(hit, document=replace(hit.document, id="KE-77"))
    play.stage.search.found = replace(play.stage.search.found, hits=(ghost,))
    assert await play.known.finding(group) is None


async def test_the_search_has_them_all_after_a_start_by_the_names_of_their_alerts(
    play: Play,
) -> None:
    group = await play.stage.fire(alert("OrdersStuck"))
    await play.submit(NAMED, await play.incident(group=group.id), **LOCK)
    await play.submit(NAMED, await play.incident("Two"), **CERTIFICATE)
    play.stage.search.documents.clear()
    fresh = KnownErrors(play.stage.context)
    await fresh.start()
    documents = play.stage.search.documents
    assert sorted(documents) == ["KE-1", "KE-2"]
    assert documents["KE-1"].names == ("OrdersStuck",)


async def test_names_of_alerts_that_join_an_incident_later_are_learned_within_a_minute(
    play: Play,
) -> None:
    group = await play.stage.fire(alert("OrdersStuck"))
    await play.submit(NAMED, await play.incident(group=group.id), **LOCK)
    documents = play.stage.search.documents
    joined = await play.stage.fire(alert("OrdersStuck"), alert("QueueFull"))
    assert joined.id == group.id
    await play.known.finding(joined)
    assert documents["KE-1"].names == ("OrdersStuck",)  # names are not read for each alert
    play.stage.clock.advance(seconds=60)
    await play.known.finding(joined)
    assert set(documents["KE-1"].names) == {"OrdersStuck", "QueueFull"}
    assert (await play.records())[0].version == 1


async def test_the_search_is_given_only_what_changed(play: Play) -> None:
    group = await play.stage.fire(alert("OrdersStuck"))
    await play.submit(NAMED, await play.incident(group=group.id), **LOCK)
    await play.submit(NAMED, await play.incident("Two"), **CERTIFICATE)
    play.stage.search.documents.clear()
    play.stage.clock.advance(seconds=3600)
    await play.known.finding(group)
    assert play.stage.search.documents == {}
    await play.submit(NAMED, await play.incident("Three"), known="KE-2")
    assert list(play.stage.search.documents) == ["KE-2"]


async def test_another_bot_hears_of_it_by_the_event_or_when_it_next_asks(play: Play) -> None:
    other = KnownErrors(play.stage.context)
    incident = await play.incident()
    await play.submit(NAMED, incident, **LOCK)
    play.stage.search.documents.clear()
    here = await play.stage.context.incidents.get(IncidentId(incident))
    now = play.stage.clock.now()
    await other.on_change(IncidentChanged(id="e", at=now, change="resolved", incident=here))
    assert play.stage.search.documents == {}
    change = "known error proposed"
    await other.on_change(IncidentChanged(id="e", at=now, change=change, incident=here))
    assert list(play.stage.search.documents) == ["KE-1"]


def test_the_card_offers_to_name_the_cause_when_it_may_be_known() -> None:
    def offered(status: IncidentStatus) -> bool:
        made: Incident = replace(INCIDENT, status=status)
        return cause_button(made) is not None

    assert [s.value for s in IncidentStatus if offered(s)] == [
        "identified",
        "monitoring",
        "resolved",
    ]


@needs_oracle
def test_slack_takes_the_longest_forms_and_the_longest_page() -> None:
    longest = [
        replace(known(n, f"{n} " + "ü<&" * 39, "c&" * 1500), workaround="w<" * 1500)
        for n in range(1, 151)
    ]
    account = Account(title="t" * 120, cause="c" * 3000, workaround="w" * 3000)
    incident = replace(INCIDENT, title="<!channel> " * 10)
    strikes = [Strike(incident=incident, runs=("r" * 120,) * 20)] * 40
    forms = (
        cause_form(incident, longest, longest),
        decide_form(incident, account, longest[0]),
        known_page(longest[0], strikes, by="Dana"),
    )
    for form in forms:
        view = render_form(form, opened=Opened(value=form.value), now=NOON)
        assert faults_of_call("views.open", {"trigger_id": "1", "view": view}) == []
    struck = [Struck(known=one, times=99, last=NOON) for one in longest]
    message = render(known_list(struck), now=NOON)
    assert faults_of_blocks("message", message["blocks"]) == []
