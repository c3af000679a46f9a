"""The same cause again: named by a form, without duplicates, and seen where it helps."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from bot.domain.alerts import AlertGroup, GroupId, Severity
from bot.domain.cards import alert_card
from bot.domain.documents import Because, Found, Hit, Kind, Reason
from bot.domain.errors import NotFound, Refused
from bot.domain.events import IncidentChanged
from bot.domain.findings import FindingKind
from bot.domain.incidents import Incident, IncidentId, IncidentStatus
from bot.domain.known_errors import Account, KnownError, Struck, TitleTaken
from bot.domain.messages import FieldErrors, Form, Message, Reply, SelectField, TextField
from bot.domain.people import ChannelId, PersonId
from bot.slack.blocks import render
from bot.slack.forms import Opened, render_form
from plugins.similar.known import CAUSE, KnownErrors, cause_button
from plugins.similar.known_forms import (
    DECIDED,
    DIFFERENT,
    NAMED,
    UNLINK,
    cause_form,
    decide_form,
)
from plugins.similar.known_messages import FIX, LISTED, SHOW, Strike, known_list, known_page
from plugins.similar.known_near import likest, with_title
from tests.fakes import NOON
from tests.incident_records import INCIDENT, RUN
from tests.slack.oracle import faults_of_blocks, faults_of_call, needs_oracle
from tests.stage import Stage, alert, buttons_of, stage_in, text_of

LOCK = {
    "title": "The order worker hangs",
    "cause": "A lock stays taken when the payment provider times out.",
    "workaround": "Restart the worker.",
}
CERTIFICATE = {
    "title": "Certificates expire unseen",
    "cause": "Nobody is told before the gateway certificate runs out.",
    "workaround": "",
}
LIKE_LOCK = {
    "title": "Worker stuck on payments",
    "cause": "When the payment provider times out, the worker keeps its lock.",
    "workaround": "Kill the connection.",
}


class Play:
    """The known errors on a stage, with two incidents in their channels."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.known = KnownErrors(stage.context)
        self.dana = stage.dana

    @property
    def plugin(self) -> Any:
        return cast(Any, self.known)

    async def incident(self, title: str = "Orders fail", *, group: GroupId | None = None) -> str:
        incidents = self.stage.context.incidents
        made = await incidents.declare(
            title, Severity.SEV2, service="checkout", by=self.stage.by(self.dana), group=group
        )
        await incidents.open_room(made.id, ChannelId(f"C-{made.id}"))
        return made.id

    async def submit(self, name: str, incident: str, **answers: str) -> Reply:
        return await self.stage.press(
            self.plugin, name, by=self.dana, value=incident, answers=answers
        )

    async def press(self, name: str, value: str) -> Reply:
        return await self.stage.press(self.plugin, name, by=self.dana, value=value)

    async def type(self, text: str, channel: str = "C-INC-1") -> Reply:
        return await self.stage.type(self.plugin, text, by=self.dana, channel=ChannelId(channel))

    async def records(self) -> list[KnownError]:
        return list(await self.stage.context.known_errors.all())

    def finds(self, id: str, confidence: float | None) -> None:
        """Let the search find a known error it was given, as sure as that."""
        document = self.stage.search.documents[id]
        reason = Reason(because=Because.NAME, text="same alert name")
        hit = Hit(
            document=document, score=1, lexical=9, dense=0.8, matched=(), passage="",
            reasons=(reason,),
        )  # fmt: skip
        self.stage.search.found = Found(hits=(hit,), confidence=confidence, model="ranker-1")


@pytest.fixture
async def play(tmp_path: Path) -> AsyncIterator[Play]:
    async with stage_in(tmp_path) as stage:
        yield Play(stage)


def field(reply: Reply, name: str) -> Any:
    assert isinstance(reply, Form)
    return next(one for one in reply.fields if one.name == name)


def options(reply: Reply, name: str) -> list[str]:
    found = field(reply, name)
    assert isinstance(found, SelectField)
    return [option.value for option in found.options]


async def test_the_first_cause_is_described_in_a_form(play: Play) -> None:
    incident = await play.incident()
    form = await play.type("cause")
    assert isinstance(form, Form)
    assert (form.interaction, form.value) == (NAMED, incident)
    assert [one.name for one in form.fields] == ["title", "cause", "workaround"]
    assert [one.required for one in form.fields] == [True, True, False]
    reply = await play.submit(NAMED, incident, **LOCK)
    assert text_of(reply) == (
        "INC-1 is linked to KE-1 · The order worker hangs. Workaround: Restart the worker."
    )
    (known,) = await play.records()
    assert (known.title, known.incidents, known.services) == (
        LOCK["title"], ("INC-1",), ("checkout",),
    )  # fmt: skip
    assert play.stage.search.documents["KE-1"].kind == Kind.KNOWN_ERROR
    assert play.stage.chat.posts == []


async def test_the_same_cause_again_is_one_choice(play: Play) -> None:
    await play.submit(NAMED, await play.incident(), **LOCK)
    again = await play.incident("Orders fail again")
    form = await play.type("cause INC-2", channel="C-elsewhere")
    assert options(form, "known") == ["KE-1"]
    assert not field(form, "known").required
    await play.submit(NAMED, again, known="KE-1", title="", cause="", workaround="")
    (known,) = await play.records()
    assert known.incidents == ("INC-1", "INC-2")
    assert known.cause == LOCK["cause"]


async def test_what_was_learnt_this_time_is_added_to_the_chosen_one(play: Play) -> None:
    await play.submit(NAMED, await play.incident(), **LOCK)
    again = await play.incident("Orders fail again")
    await play.submit(NAMED, again, known="KE-1", title="", cause="", workaround="Or wait 5 min.")
    assert (await play.records())[0].workaround == "Restart the worker.\n\nOr wait 5 min."


async def test_a_choice_and_a_title_contradict_each_other(play: Play) -> None:
    await play.submit(NAMED, await play.incident(), **LOCK)
    reply = await play.submit(NAMED, await play.incident("Two"), known="KE-1", **CERTIFICATE)
    assert reply == FieldErrors({"title": "Leave the title empty to use KE-1, or choose none."})
    assert (await play.records())[0].incidents == ("INC-1",)


@pytest.mark.parametrize(
    ("name", "value"), (("title", ""), ("cause", "  "), ("title", "?"), ("cause", "c" * 3001))
)
async def test_what_is_missing_or_too_long_is_said_at_its_field(
    play: Play, name: str, value: str
) -> None:
    reply = await play.submit(NAMED, await play.incident(), **{**LOCK, name: value})
    assert isinstance(reply, FieldErrors)
    assert list(reply.errors) == [name]
    assert await play.records() == []


async def test_a_near_cause_is_offered_for_extension_with_all_that_was_typed(play: Play) -> None:
    await play.submit(NAMED, await play.incident(), **LOCK)
    form = await play.submit(NAMED, await play.incident("Two"), **LIKE_LOCK)
    assert isinstance(form, Form)
    assert (form.interaction, form.value) == (DECIDED, "INC-2")
    assert options(form, "decision") == ["KE-1", DIFFERENT]
    assert field(form, "decision").initial == "KE-1"
    typed = {f.name: f.initial for f in form.fields if isinstance(f, TextField)}
    assert typed == LIKE_LOCK
    assert LOCK["cause"] in text_of(form)
    assert len(await play.records()) == 1


async def test_extending_instead_links_and_adds(play: Play) -> None:
    await play.submit(NAMED, await play.incident(), **LOCK)
    second = await play.incident("Two")
    await play.submit(DECIDED, second, decision="KE-1", **LIKE_LOCK)
    (known,) = await play.records()
    assert known.incidents == ("INC-1", "INC-2")
    assert known.title == LOCK["title"]
    assert known.cause.endswith(LIKE_LOCK["cause"])
    assert known.workaround.endswith(LIKE_LOCK["workaround"])


async def test_a_different_cause_becomes_one_of_its_own(play: Play) -> None:
    await play.submit(NAMED, await play.incident(), **LOCK)
    await play.submit(DECIDED, await play.incident("Two"), decision=DIFFERENT, **LIKE_LOCK)
    assert [(k.id, k.incidents) for k in await play.records()] == [
        ("KE-1", ("INC-1",)),
        ("KE-2", ("INC-2",)),
    ]


async def test_a_different_cause_needs_a_title_of_its_own(play: Play) -> None:
    await play.submit(NAMED, await play.incident(), **LOCK)
    same = {**CERTIFICATE, "title": "the order WORKER hangs"}
    second = await play.incident("Two")
    form = await play.submit(NAMED, second, **same)
    assert options(form, "decision")[0] == "KE-1"
    reply = await play.submit(DECIDED, second, decision=DIFFERENT, **same)
    assert isinstance(reply, FieldErrors)
    assert "KE-1 has this title already" in reply.errors["title"]


async def test_an_unlike_cause_is_proposed_without_a_question(play: Play) -> None:
    await play.submit(NAMED, await play.incident(), **LOCK)
    reply = await play.submit(NAMED, await play.incident("Two"), **CERTIFICATE)
    assert isinstance(reply, Message)
    assert len(await play.records()) == 2


async def test_the_search_says_so_where_words_alone_do_not(play: Play) -> None:
    await play.submit(NAMED, await play.incident(), **LOCK)
    play.finds("KE-1", 0.4)  # not sure
    assert isinstance(await play.submit(NAMED, await play.incident("2"), **CERTIFICATE), Message)
    play.finds("KE-1", 0.9)
    other = {"title": "Deadlock", "cause": "Threads block.", "workaround": ""}
    form = await play.submit(NAMED, await play.incident("3"), **other)
    assert options(form, "decision") == ["KE-1", DIFFERENT]


async def test_who_is_slower_by_a_moment_is_offered_the_faster_ones(play: Play) -> None:
    second = await play.incident()
    account = Account(**LOCK)
    await play.stage.context.known_errors.propose(
        account.title, account.cause, "", incident=IncidentId(second), by=play.stage.by(play.dana)
    )
    incident = await play.stage.context.incidents.get(IncidentId(second))
    with pytest.raises(TitleTaken):
        await play.known._proposed(account, incident, by=play.stage.by(play.dana))
    form = await play.known._propose(account, incident, by=play.stage.by(play.dana))
    assert options(form, "decision") == ["KE-1", DIFFERENT]


async def test_a_repeated_submission_is_answered_as_saved_and_does_nothing(play: Play) -> None:
    incident = await play.incident()
    caller = play.stage.by(play.dana)
    first, again = [
        await play.stage.press(play.plugin, NAMED, by=caller, value=incident, answers=LOCK)
        for _ in range(2)
    ]
    assert isinstance(first, Message)
    assert text_of(again) == text_of(first)
    (known,) = await play.records()
    assert known.version == 1


async def test_a_repetition_is_answered_as_saved_after_somebody_added_to_it(play: Play) -> None:
    incident = await play.incident()
    await play.submit(NAMED, incident, **LOCK)
    await play.submit(NAMED, incident, known="KE-1", cause="Only at night.", workaround="Wait.")
    assert isinstance(await play.submit(NAMED, incident, **LOCK), Message)
    assert (await play.records())[0].version == 2


@pytest.mark.parametrize(
    "more",
    ({"workaround": "Kill it."}, {"cause": "A lock stays taken."}, {"title": "Order worker"}),
)
async def test_saying_more_than_stands_there_is_no_repetition(
    play: Play, more: dict[str, str]
) -> None:
    incident = await play.incident()
    await play.submit(NAMED, incident, **LOCK)
    form = await play.submit(NAMED, incident, **{**LOCK, **more})
    assert options(form, "decision") == ["KE-1", DIFFERENT]


async def test_the_same_account_of_another_incident_is_no_repetition(play: Play) -> None:
    await play.submit(NAMED, await play.incident(), **LOCK)
    form = await play.submit(NAMED, await play.incident("Two"), **LOCK)
    assert options(form, "decision") == ["KE-1", DIFFERENT]


@pytest.mark.parametrize("what", ({"guest": True}, {"stranger": True}, {"active": False}))
async def test_only_members_are_shown_the_forms_that_name_causes(
    play: Play, what: dict[str, bool]
) -> None:
    incident = await play.incident()
    await play.submit(NAMED, incident, **LOCK)
    play.dana = replace(play.dana, **what)  # type: ignore[arg-type]  # the fields are all bool
    pressed: tuple[tuple[str, str, dict[str, str]], ...] = (
        (CAUSE, incident, {}),
        (NAMED, incident, LIKE_LOCK),
        (NAMED, incident, {"known": "KE-1", "cause": "More."}),
        (DECIDED, incident, {"decision": "KE-1", **LIKE_LOCK}),
        (DECIDED, incident, {"decision": DIFFERENT, **LIKE_LOCK}),
        (UNLINK, f"{incident} KE-1", {}),
        (FIX, "KE-1", {}),
    )
    for name, value, answers in pressed:
        with pytest.raises(Refused, match="Only full members of this workspace"):
            await play.submit(name, value, **answers)
    with pytest.raises(Refused, match="Only full members of this workspace"):
        await play.type("cause")
    assert [known.version for known in await play.records()] == [1]


async def test_strangers_read_no_causes_and_guests_do(play: Play) -> None:
    await play.submit(NAMED, await play.incident(), **LOCK)
    play.dana = replace(play.dana, guest=True)
    assert "struck once" in text_of(await play.type("known")).lower()
    play.dana = replace(play.dana, stranger=True)
    for typed in ("known", "known KE-1", "known KE-9", "known what"):
        with pytest.raises(Refused, match="people of this workspace only"):
            await play.type(typed)
    with pytest.raises(Refused, match="people of this workspace only"):
        await play.press(SHOW, "KE-1")


async def test_a_wrong_link_can_be_taken_back_where_it_was_made(play: Play) -> None:
    incident = await play.incident()
    await play.submit(NAMED, incident, **LOCK)
    form = await play.type("cause")
    (button,) = buttons_of(form)
    assert (button.interaction, button.value) == (UNLINK, "INC-1 KE-1")
    assert "Named already: KE-1" in text_of(form)
    after = await play.press(UNLINK, button.value)
    assert buttons_of(after) == []
    assert options(after, "known") == ["KE-1"]
    assert (await play.records())[0].incidents == ()


async def test_the_likeliest_come_first_then_the_last_to_strike_and_the_fixed_ones(
    play: Play,
) -> None:
    for number in range(1, 5):
        await play.submit(
            DECIDED,
            await play.incident(f"Incident {number}"),
            decision=DIFFERENT,
            **{**LOCK, "title": f"Cause {number}"},
        )
    await play.press(FIX, "KE-4")
    play.finds("KE-2", 0.1)
    form = await play.press(CAUSE, await play.incident("Another"))
    assert options(form, "known") == ["KE-2", "KE-3", "KE-1", "KE-4"]
    assert field(form, "known").options[-1].label == "KE-4 · Cause 4 (fixed)"
    assert play.stage.search.asked[-1].services == ("checkout",)


async def test_the_form_needs_an_incident(play: Play) -> None:
    with pytest.raises(Refused, match="Say which incident"):
        await play.type("cause", channel="C-elsewhere")
    with pytest.raises(Refused, match="Say which incident"):
        await play.type("cause the lock hangs")
    with pytest.raises(NotFound):
        await play.type("cause INC-99")


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


def known(number: int, title: str, cause: str) -> KnownError:
    return KnownError(
        id=f"KE-{number}", title=title, cause=cause, workaround="", services=(), incidents=(),
        by="person:U1", at=RUN.created_at,
    )  # fmt: skip


def test_two_accounts_are_alike_by_their_telling_words_in_any_form() -> None:
    lock = known(1, LOCK["title"], LOCK["cause"])
    other = known(2, CERTIFICATE["title"], CERTIFICATE["cause"])
    assert likest(Account(title="", cause=LIKE_LOCK["cause"]), [other, lock]) is lock
    assert likest(Account(title="Something failed", cause="There was an error"), [lock]) is None
    assert likest(Account(title="Worker", cause="hangs"), [lock]) is None  # too little to tell
    assert likest(Account(title="", cause=""), [lock, other]) is None
    assert likest(Account(title="x", cause="y"), []) is None


def test_a_title_is_the_same_however_it_is_written() -> None:
    lock = known(1, LOCK["title"], LOCK["cause"])
    assert with_title("the ORDER-worker  hangs.", [lock]) is lock
    assert with_title("The order worker", [lock]) is None


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
