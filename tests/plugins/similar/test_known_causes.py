"""The same cause again: named by a form, without duplicates, and seen where it helps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.domain.documents import Kind
from bot.domain.errors import NotFound, Refused
from bot.domain.incidents import IncidentId
from bot.domain.known_errors import Account, TitleTaken
from bot.domain.messages import FieldErrors, Form, Message, TextField
from plugins.similar.known import CAUSE
from plugins.similar.known_forms import DECIDED, DIFFERENT, NAMED, UNLINK
from plugins.similar.known_messages import FIX, SHOW
from plugins.similar.known_near import likest, with_title
from tests.plugins.similar.plays import CERTIFICATE, LIKE_LOCK, LOCK, Play, field, known, options
from tests.stage import buttons_of, text_of


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
