from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.domain.messages import Message, Tone, note
from bot.domain.people import ChannelId, PersonId
from bot.ports import ChatError, MessageRef
from bot.slack.chat import EVENT_TYPE
from tests.slack.live import Live


def text_of(message: object) -> str:
    return str(message)


async def test_a_message_is_posted_with_its_key(live: Live) -> None:
    ref = await live.adapter.chat.post(live.alerts, note("It burns"), key="alert:1")
    (message,) = live.posted()
    assert (ref.channel, ref.id) == (live.alerts, message.ts)
    assert message.metadata == {"event_type": EVENT_TYPE, "event_payload": {"key": "alert:1"}}


async def test_a_message_is_found_again_by_its_key_even_in_a_thread(live: Live) -> None:
    chat = live.adapter.chat
    root = await chat.post(live.alerts, note("root"), key="alert:1")
    reply = await chat.post(live.alerts, note("reply"), key="run:1", thread=root)
    assert await chat.find(live.alerts, "alert:1") == root
    assert await chat.find(live.alerts, "run:1") == reply
    assert await chat.find(live.alerts, "run:2") is None


async def test_an_update_replaces_blocks_by_a_coloured_card_and_back(live: Live) -> None:
    chat = live.adapter.chat
    ref = await chat.post(live.alerts, note("It burns"), key="k")
    await chat.update(ref, Message(summary="It burns", tone=Tone.FIRING), key="k")
    message = live.posted()[0]
    assert not message.blocks
    assert message.attachments
    assert message.attachments[0]["color"].lstrip("#") == "a30200"
    await chat.update(ref, note("Over"), key="k")
    message = live.posted()[0]
    assert message.blocks
    assert not message.attachments
    assert await chat.find(live.alerts, "k") == ref


async def test_a_storm_of_updates_becomes_few_calls_and_ends_with_the_last(live: Live) -> None:
    chat = live.adapter.chat
    ref = await chat.post(live.alerts, note("0"), key="k")
    storm = [chat.update(ref, note(str(number)), key="k") for number in range(1, 51)]
    await asyncio.gather(*storm)
    assert live.posted()[0].text == "50"
    assert len(live.calls("chat.update")) <= 2


async def test_a_rate_limit_is_waited_for_and_nothing_is_posted_twice(live: Live) -> None:
    live.workspace.rate_limit("chat.postMessage", 1)
    chat = live.adapter.chat
    await asyncio.gather(*(chat.post(live.alerts, note(str(n)), key=f"k{n}") for n in range(3)))
    assert [message.text for message in live.posted()] == ["0", "1", "2"]
    assert len(live.calls("chat.postMessage")) > 3


async def test_a_whisper_is_seen_by_one_person_only(live: Live) -> None:
    await live.adapter.chat.whisper(live.alerts, PersonId(live.dana.id), note("Only you"))
    assert [message.text for message in live.whispers(live.dana)] == ["Only you"]
    assert not live.whispers(live.workspace.person("sam"))


async def test_a_direct_message_reaches_the_person(live: Live) -> None:
    chat = live.adapter.chat
    ref = await chat.post(await chat.direct(PersonId(live.dana.id)), note("You lead"), key="role:1")
    assert await chat.find(ref.channel, "role:1") == ref


async def test_a_channel_is_created_once_with_its_topic_and_people(live: Live) -> None:
    chat = live.adapter.chat
    first = await chat.create_channel("INC 1: Checkout!", topic="It\nburns " * 100)
    again = await chat.create_channel("INC 1: Checkout!", topic="It burns")
    assert first == again
    channel = live.workspace.channel("inc-1-checkout")
    assert channel.id == first
    assert channel.topic.value == "It burns"
    people = [PersonId(live.dana.id), PersonId("U0NOBODY00"), PersonId(live.app.bot_user_id)]
    await chat.invite(first, people)
    await chat.invite(first, people)
    assert live.dana.id in channel.members


async def test_a_channel_of_somebody_else_is_not_taken(live: Live) -> None:
    with pytest.raises(ChatError, match="name_taken"):
        await live.adapter.chat.create_channel("general", topic="x")


async def test_a_named_channel_is_found_and_joined(live: Live) -> None:
    id = await live.adapter.channel_named("#general")
    channel = live.workspace.channel("general")
    assert id == channel.id
    assert live.app.bot_user_id in channel.members
    assert await live.adapter.channel_named("nowhere") is None


async def test_pins_and_reactions_stay_when_repeated(live: Live) -> None:
    chat = live.adapter.chat
    ref = await chat.post(live.alerts, note("x"), key="k")
    for _ in range(2):
        await chat.pin(ref)
        await chat.react(ref, "white_check_mark")
    assert live.posted()[0].reactions == {"white_check_mark": [live.app.bot_user_id]}


async def test_people_are_looked_up_once_and_bots_are_known(live: Live) -> None:
    chat = live.adapter.chat
    before = len(live.calls("users.info"))
    people = [await chat.person(PersonId(live.dana.id)) for _ in range(3)]
    assert {person.name for person in people} == {"Dana Ito"}
    assert not people[0].bot
    assert len(live.calls("users.info")) - before == 1
    assert (await chat.person(PersonId(live.app.bot_user_id))).bot


async def test_groups_are_asked_by_their_handles(live: Live) -> None:
    chat = live.adapter.chat
    dana, sam = PersonId(live.dana.id), PersonId(live.workspace.person("sam").id)
    assert await chat.members_of("payments-oncall") == (dana,)
    assert await chat.members_of("ghosts") == ()
    assert await chat.groups_of(dana) == {"payments-oncall"}
    assert await chat.groups_of(sam) == frozenset()


async def test_a_member_is_seen_as_they_are_now(live: Live) -> None:
    chat, workspace = live.adapter.chat, live.workspace
    guest = workspace.add_guest("gus", real_name="Gus Moreau")
    foreign = workspace.add_stranger("vera", real_name="Vera Novak", workspace="Northpay")
    workspace.add_channel("shared", members=["vera", "dana"])
    dana = await chat.member(PersonId(live.dana.id))
    assert (dana.guest, dana.stranger, dana.active) == (False, False, True)
    assert (await chat.member(PersonId(guest.id))).guest
    assert (await chat.member(PersonId(foreign.id))).stranger


async def test_a_person_is_found_by_their_address_and_nobody_by_an_unknown_one(live: Live) -> None:
    chat = live.adapter.chat
    address = live.workspace.person("dana").record.email
    assert await chat.with_address(address) == live.dana.id
    assert await chat.with_address("nobody@example.com") is None


async def test_what_people_said_is_read_with_its_author_and_link(live: Live) -> None:
    chat = live.adapter.chat
    root = await live.dana.say("alerts", "a < b, @sam?")
    reply = await live.workspace.person("sam").say("alerts", "yes", thread_ts=root.ts)
    said = await chat.said(MessageRef(channel=live.alerts, id=root.ts))
    assert said
    assert (said.person.name, said.text) == ("Dana Ito", "a < b, @Sam Reed?")
    assert said.at == datetime.fromtimestamp(float(root.ts), UTC)
    assert said.link.startswith("http")
    answer = await chat.said(MessageRef(channel=live.alerts, id=reply.ts))
    assert answer
    assert answer.text == "yes"
    assert await chat.said(MessageRef(channel=live.alerts, id="1.000100")) is None


async def test_slacks_refusal_names_its_reason(live: Live) -> None:
    with pytest.raises(ChatError) as caught:
        await live.adapter.chat.post(ChannelId("C0NOWHERE"), note("x"), key="k")
    assert caught.value.error == "channel_not_found"


async def test_a_public_channel_we_were_put_out_of_is_joined_again_to_speak_there(
    live: Live,
) -> None:
    """Otherwise one careless `/remove` would silence every alert from then on."""
    chat, channel = live.adapter.chat, live.workspace.channel("alerts")
    channel.members.remove(live.app.bot_user_id)
    ref = await chat.post(live.alerts, note("It burns"), key="k")
    assert [message.ts for message in live.posted()] == [ref.id]
    assert live.app.bot_user_id in channel.members
    channel.members.remove(live.app.bot_user_id)
    await chat.pin(ref)
    assert live.app.bot_user_id in channel.members


async def test_one_who_cannot_be_invited_keeps_nobody_else_out(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat, api = live.adapter.chat, live.adapter._api
    sam, call = live.workspace.person("sam"), api.call
    room = await chat.create_channel("inc-9", topic="x")

    async def from_elsewhere(method: str, **arguments: Any) -> Any:
        if arguments.get("users") == live.dana.id:
            raise ChatError("user_team_not_in_channel")
        return await call(method, **arguments)

    monkeypatch.setattr(api, "call", from_elsewhere)
    await chat.invite(room, [PersonId(live.dana.id), PersonId(sam.id)])
    assert sam.id in live.workspace.channel("inc-9").members


async def test_an_invitation_into_a_closed_channel_is_an_error(live: Live) -> None:
    with pytest.raises(ChatError, match="channel_not_found"):
        await live.adapter.chat.invite(ChannelId("C0NOWHERE"), [PersonId(live.dana.id)])
