from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.domain.errors import AlreadyDone, Refused
from bot.domain.messages import (
    Button,
    Buttons,
    FieldErrors,
    Form,
    Message,
    TextField,
    Tone,
    note,
    paragraph,
)
from bot.ports import MessageRef
from bot.practice.records import Message as Posted
from bot.slack import listeners
from tests.slack.live import Live, until

FORM = Form(
    title="Declare",
    interaction="incident.declare",
    value="g1",
    fields=(TextField(name="title", label="Title"), TextField(name="why", label="Why")),
)
ANSWERS = {"field:title": "It burns", "field:why": "5xx"}


async def card(live: Live, interaction: str = "alerts.acknowledge") -> Posted:
    button = Button(label="Press", interaction=interaction, value="g1")
    message = Message(summary="c", parts=(Buttons((button,)),), tone=Tone.FIRING)
    await live.adapter.chat.post(live.alerts, message, key="card")
    return live.posted()[-1]


async def test_a_command_reaches_its_verb_and_answers_the_caller_only(live: Live) -> None:
    await live.dana.type("alerts", "/incident Note  a < b by @sam")
    await until(lambda: bool(live.whispers(live.dana)))
    (request,) = live.heard.commands
    assert request.caller.person.name == "Dana Ito"
    assert request.channel == live.alerts
    assert request.text == "a < b by @Sam Reed"
    assert request.words[-1] == f"<@{live.workspace.person('sam').id}>"
    assert request.caller.request.startswith("command:")
    assert live.whispers(live.dana)[0].text.startswith("Noted: a &lt; b")
    assert not live.posted()


async def test_a_command_answers_where_the_bot_is_not_in_the_channel(live: Live) -> None:
    await live.dana.type("general", "/incident nots")
    await until(lambda: bool(live.whispers(live.dana, "general")))
    assert "nots" in str(live.whispers(live.dana, "general")[0].text)


async def test_a_press_carries_value_channel_and_message(live: Live) -> None:
    message = await card(live)
    await live.dana.press(message, "alerts.acknowledge")
    await until(lambda: bool(live.heard.interactions))
    (request,) = live.heard.interactions
    assert request.value == "g1"
    assert request.channel == live.alerts
    assert request.message == MessageRef(channel=live.alerts, id=message.ts)
    assert not live.whispers(live.dana)


@pytest.mark.parametrize(
    ("raised", "words"),
    (
        (Refused("Somebody has it already."), "Somebody has it already."),
        (RuntimeError("secret detail"), "Something went wrong (ref "),
    ),
)
async def test_a_no_and_an_error_become_words(live: Live, raised: Exception, words: str) -> None:
    def fail(request: Any) -> None:
        raise raised

    live.heard.answer = fail
    await live.dana.press(await card(live), "alerts.acknowledge")
    await until(lambda: bool(live.whispers(live.dana)))
    text = live.whispers(live.dana)[0].text
    assert text.startswith(words)
    assert "secret" not in text


async def test_the_same_envelope_twice_is_the_same_request_and_silent(live: Live) -> None:
    done: set[str] = set()

    def once(request: Any) -> Message:
        if request.caller.request in done:
            raise AlreadyDone(request.caller.request)
        done.add(request.caller.request)
        return note("Yours.")

    live.heard.answer = once
    message = await card(live)
    live.workspace.repeat = 2
    await live.dana.press(message, "alerts.acknowledge")
    await until(lambda: len(live.heard.interactions) == 2)
    await until(lambda: bool(live.whispers(live.dana)))
    await live.adapter.stop()
    assert len(done) == 1
    assert len(live.whispers(live.dana)) == 1


async def test_a_button_from_an_older_version_is_answered_politely(live: Live) -> None:
    await live.dana.press(await card(live, "gone.away"), "gone.away")
    await until(lambda: bool(live.whispers(live.dana)))
    assert "older version" in live.whispers(live.dana)[0].text


async def test_a_form_opens_and_its_answers_come_back_with_their_origin(live: Live) -> None:
    live.heard.answer = lambda request: note("Declared.") if request.answers else FORM
    message = await card(live)
    await live.dana.press(message, "alerts.acknowledge")
    await until(lambda: live.dana.modal is not None)
    await live.dana.submit(ANSWERS)
    request = live.heard.interactions[-1]
    assert request.value == "g1"
    assert request.answers == {"title": "It burns", "why": "5xx"}
    assert request.message == MessageRef(channel=live.alerts, id=message.ts)
    assert request.caller.request.startswith("view:")
    assert live.dana.modal is None
    await until(lambda: bool(live.whispers(live.dana)))
    assert live.whispers(live.dana)[0].text == "Declared."


async def test_errors_keep_the_form_open_under_their_fields(live: Live) -> None:
    live.heard.answer = lambda request: FORM
    await live.dana.press(await card(live), "alerts.acknowledge")
    await until(lambda: live.dana.modal is not None)
    live.heard.answer = lambda request: FieldErrors({"why": "Say more."})
    outcome = await live.dana.submit(ANSWERS)
    assert outcome.errors == {"field:why": "Say more."}

    def refuse(request: Any) -> None:
        raise Refused("It is closed.")

    live.heard.answer = refuse
    outcome = await live.dana.submit(ANSWERS)
    assert outcome.errors == {"field:title": "It is closed."}
    assert live.dana.modal is not None


async def test_a_form_answered_by_a_form_is_replaced_by_it(live: Live) -> None:
    second = Form(title="Plan", interaction="runs.approve", value="r1", parts=(paragraph("Steps"),))
    live.heard.answer = lambda request: second if request.answers else FORM
    await live.dana.press(await card(live), "alerts.acknowledge")
    await until(lambda: live.dana.modal is not None)
    await live.dana.submit(ANSWERS)
    assert live.dana.modal
    assert live.dana.modal.body["title"]["text"] == "Plan"


async def test_a_slow_form_is_closed_in_time_and_answered_afterwards(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = asyncio.Event()

    async def slow(request: Any) -> Message:
        await go.wait()
        return note("Done after all.")

    assert listeners.SUBMISSION_DEADLINE < 3
    assert live.adapter._listeners
    monkeypatch.setattr(live.adapter._listeners, "_deadline", 0.05)
    live.heard.answer = lambda request: FORM
    await live.dana.press(await card(live), "alerts.acknowledge")
    await until(lambda: live.dana.modal is not None)
    live.heard.answer = slow
    await live.dana.submit(ANSWERS)
    assert live.dana.modal is None
    go.set()
    await until(lambda: bool(live.whispers(live.dana)))
    assert live.whispers(live.dana)[0].text == "Done after all."


async def test_a_button_in_a_modal_replaces_the_modal(live: Live) -> None:
    button = Button(label="Approve", interaction="runs.approve", value="r1")
    plan = Form(title="Plan", interaction="runs.x", value="r1", parts=(Buttons((button,)),))
    live.heard.answer = lambda request: note("Approved.") if request.value == "r1" else plan
    message = await card(live)
    await live.dana.press(message, "alerts.acknowledge")
    await until(lambda: live.dana.modal is not None)
    assert live.dana.modal
    await live.dana.press(live.dana.modal, "runs.approve")
    await until(lambda: "Approved." in str(live.dana.modal and live.dana.modal.blocks))
    request = live.heard.interactions[-1]
    assert request.message == MessageRef(channel=live.alerts, id=message.ts)


async def test_shortcuts_reach_their_interactions(live: Live) -> None:
    live.heard.answer = lambda request: FORM
    message = await live.dana.say("alerts", "It burns")
    await live.dana.shortcut("incident.note", message=message)
    await until(lambda: live.dana.modal is not None)
    assert live.heard.interactions[0].message == MessageRef(channel=live.alerts, id=message.ts)
    await live.dana.close()
    live.heard.answer = lambda request: note("No incident here.")
    await live.dana.shortcut("incident.new")
    await until(lambda: "No incident here." in str(live.dana.modal and live.dana.modal.blocks))


async def test_what_people_do_is_heard_with_its_own_time(live: Live) -> None:
    message = await live.dana.say("alerts", "restarted it, @sam")
    await until(lambda: len(live.heard.messages) == 1)
    await live.workspace.person("sam").react(message, "pushpin")
    await live.workspace.person("sam").react(message, "eyes")
    await live.workspace.person("kim").join("alerts")
    await until(lambda: len(live.heard.messages) == 3)
    await live.workspace.person("sam").pin(message)
    await live.workspace.person("kim").leave("alerts")
    await until(lambda: len(live.heard.messages) == 5)
    # Each event is handled by itself: they may arrive in another order.
    heard = sorted(live.heard.messages, key=lambda event: (event.kind, event.happened_at))
    joined, left, said, reacted, pinned = heard
    assert [event.kind for event in heard] == ["joined", "left", "message", "pinned", "pinned"]
    assert said.text == reacted.text == pinned.text == "restarted it, @Sam Reed"
    assert said.person == reacted.person == pinned.person
    assert said.ref == reacted.ref == pinned.ref == message.ts
    assert reacted.at == said.at < reacted.happened_at
    assert joined.person.name == left.person.name == "Kim Vale"


async def test_our_own_messages_pins_and_joining_are_not_heard(live: Live) -> None:
    chat = live.adapter.chat
    await chat.pin(await chat.post(live.alerts, note("card"), key="k"))
    await live.adapter.channel_named("general")
    await live.dana.say("alerts", "the end")
    await until(lambda: bool(live.heard.messages))
    assert [event.text for event in live.heard.messages] == ["the end"]


async def test_the_home_page_is_drawn_for_its_visitor_and_again_after_a_press(live: Live) -> None:
    await live.dana.open_home()
    await until(lambda: live.dana.home is not None)
    assert "Hello Dana Ito" in str(live.dana.home and live.dana.home.blocks)


async def test_a_lost_connection_is_made_again(live: Live) -> None:
    await live.server.ask_to_reconnect()
    await until(lambda: any(not c.leaving for c in live.server.socket_mode.connections), seconds=10)
    assert await live.adapter.connected()
    await live.dana.type("alerts", "/incident note still here")
    await until(lambda: bool(live.heard.commands))


def _acknowledged(live: Live) -> bool:
    return live.workspace.envelopes[-1].acked_at is not None


async def test_a_press_is_acknowledged_once_its_handler_has_done_its_work(live: Live) -> None:
    done = asyncio.Event()
    seen: list[bool] = []

    async def work(request: Any) -> None:
        seen.append(_acknowledged(live))
        await done.wait()

    live.heard.answer = work
    message = await card(live)
    pressing = asyncio.create_task(live.dana.press(message, "alerts.acknowledge"))
    await until(lambda: bool(seen))
    assert seen == [False]
    assert not _acknowledged(live)
    done.set()
    await pressing
    await until(lambda: _acknowledged(live))


async def test_a_press_whose_handler_is_slow_is_acknowledged_before_slack_gives_up(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "ACKNOWLEDGE_WITHIN", 0.05)
    done = asyncio.Event()

    async def work(request: Any) -> Any:
        await done.wait()
        return note("Done at last")

    live.heard.answer = work
    message = await card(live)
    await live.dana.press(message, "alerts.acknowledge")
    await until(lambda: _acknowledged(live))
    done.set()
    await until(lambda: bool(live.whispers(live.dana)))
