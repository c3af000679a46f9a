"""The post-mortem plugin: a draft is whispered, told once in the war room, and shown whole."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest

from bot.domain.errors import NotFound, Refused
from bot.domain.events import IncidentChanged
from bot.domain.incidents import Incident, IncidentStatus
from bot.domain.messages import Button, Buttons, Form, Message, Paragraph, Quiet
from bot.domain.people import Caller, ChannelId
from bot.plugin import CommandRequest, InteractionRequest, PluginContext, PluginSettings
from bot.ports import ModelUnavailable
from bot.prompts import JinjaPrompts
from bot.services.incidents import IncidentService
from bot.services.postmortems import PostmortemService
from bot.services.posts import PostService
from bot.storage.sqlite import SqliteDatabase
from plugins.postmortem import PLUGIN
from plugins.postmortem.plugin import PostmortemPlugin
from tests.fakes import FakeChat, FakeClock
from tests.incident_records import CLEO, GROUP, INCIDENT, RUN, TIMELINE, minutes


class Absent:
    """No language model."""

    name = "none"

    async def write(self, prompt: str) -> str:
        raise ModelUnavailable("no language model is configured")


@dataclass
class House:
    """A plugin among real services, and the chat platform it speaks to."""

    plugin: PostmortemPlugin
    chat: FakeChat
    incident: Incident

    def typed(self, *words: str, channel: str = "", request: str = "q1") -> CommandRequest:
        return CommandRequest(
            caller=Caller(person=CLEO, request=request),
            channel=ChannelId(channel) if channel else cast("ChannelId", self.incident.channel),
            words=words,
            text=" ".join(words),
        )

    def pressed(self, value: str, request: str = "q1") -> InteractionRequest:
        return InteractionRequest(caller=Caller(person=CLEO, request=request), value=value)

    async def hears(self, change: str) -> None:
        event = IncidentChanged(id="e1", at=minutes(31), change=change, incident=self.incident)
        await self.plugin.on_incident(event)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    clock, chat = FakeClock(minutes(30)), FakeChat()
    database = SqliteDatabase(tmp_path / "tocsin.db", clock)
    database.open()
    room = await chat.create_channel("inc-1-checkout-is-stuck", topic="")
    incident = replace(INCIDENT, channel=room)
    async with database.transaction() as tx:
        await tx.groups.save(GROUP)
        await tx.incidents.save(incident)
        await tx.runs.add(RUN, due_at=None)
        for entry in TIMELINE:
            await tx.timeline.add(entry)
    services: dict[str, Any] = dict.fromkeys(PluginContext.__dataclass_fields__)
    services |= {
        "incidents": IncidentService(database, clock),
        "postmortems": PostmortemService(database, clock, JinjaPrompts(), Absent()),
        "posts": PostService(database, chat),
        "clock": clock,
        "chat": chat,
    }
    plugin = PLUGIN(PluginSettings(), PluginContext(**services))
    yield House(plugin=plugin, chat=chat, incident=incident)
    await database.close()


def words(message: Message | Form) -> str:
    """Return all running text of a message or form."""
    lines = []
    for part in message.parts:
        if isinstance(part, Paragraph | Quiet):
            lines.append(
                "".join(getattr(s, "text", s if isinstance(s, str) else "") for s in part.spans)
            )
    return "\n".join(lines)


def buttons(message: Message) -> list[Button]:
    return [b for part in message.parts if isinstance(part, Buttons) for b in part.buttons]


async def test_a_typed_command_drafts_and_tells_only_the_person_who_asked(house: House) -> None:
    reply = await house.plugin.ask_for_draft(house.typed())
    assert isinstance(reply, Message)
    assert reply.summary == "The post-mortem of INC-1 is drafted."
    assert house.chat.posts == []


async def test_the_draft_stands_once_in_the_war_room(house: House) -> None:
    await house.plugin.ask_for_draft(house.typed())
    await house.hears("postmortem drafted")
    await house.hears("postmortem drafted")
    post = house.chat.post_of("postmortem:INC-1")
    assert post.ref.channel == house.incident.channel
    assert len(post.shown) == 1
    assert "was run and verified" in words(post.message)
    assert "8 timeline entries" in words(post.message)
    (button,) = buttons(post.message)
    assert (button.label, button.interaction, button.value) == (
        "Show whole",
        "postmortem.show",
        "INC-1",
    )


async def test_a_later_draft_updates_the_message(house: House) -> None:
    await house.plugin.ask_for_draft(house.typed())
    await house.hears("postmortem drafted")
    await house.plugin.press_draft(house.pressed("INC-1", request="q2"))
    await house.hears("postmortem drafted")
    post = house.chat.post_of("postmortem:INC-1")
    assert len(post.shown) == 2
    assert "9 timeline entries" in words(post.message)


async def test_other_changes_of_an_incident_post_nothing(house: House) -> None:
    await house.plugin.ask_for_draft(house.typed())
    await house.hears("resolved")
    assert house.chat.posts == []


async def test_an_incident_without_a_channel_is_drafted_and_not_posted(house: House) -> None:
    await house.plugin.ask_for_draft(house.typed())
    house.incident = replace(house.incident, channel=None)
    await house.hears("postmortem drafted")
    assert house.chat.posts == []


async def test_the_whole_draft_is_shown_as_a_form_to_read(house: House) -> None:
    await house.plugin.ask_for_draft(house.typed())
    form = await house.plugin.show(house.pressed("INC-1"))
    assert isinstance(form, Form)
    assert form.fields == ()
    shown = words(form)
    for text in ("Impact", "Ben approved", "Action items", "Looks like EX-7", "Cleo referred"):
        assert text in shown


async def test_showing_a_draft_that_does_not_exist_is_refused(house: House) -> None:
    with pytest.raises(Refused, match="has no post-mortem yet"):
        await house.plugin.show(house.pressed("INC-1"))


@pytest.mark.parametrize("word", ("INC-1", "inc-1", "1", "INC1"))
async def test_an_incident_can_be_named_from_anywhere(house: House, word: str) -> None:
    reply = await house.plugin.ask_to_catch_up(house.typed(word, channel="C77"))
    assert isinstance(reply, Message)
    assert reply.summary.startswith("INC-1 “Checkout is stuck”")


@pytest.mark.parametrize("word", ("soon", "INC-", "INC-1x", "-1", "INC-99999999999"))
async def test_a_word_that_names_no_incident_is_refused(house: House, word: str) -> None:
    with pytest.raises(Refused, match="say it like INC-1"):
        await house.plugin.ask_for_draft(house.typed(word))


async def test_an_unknown_incident_is_refused(house: House) -> None:
    with pytest.raises(NotFound, match="INC-9"):
        await house.plugin.ask_for_draft(house.typed("INC-9"))


async def test_asking_outside_of_a_war_room_needs_a_name(house: House) -> None:
    with pytest.raises(Refused, match="Say which incident"):
        await house.plugin.ask_to_catch_up(house.typed(channel="C77"))


async def test_a_catch_up_says_who_wrote_it(house: House) -> None:
    reply = await house.plugin.press_catch_up(house.pressed("INC-1"))
    assert isinstance(reply, Message)
    assert "without a language model" in words(reply)
    assert "What happened last" in words(reply)
    assert house.chat.posts == []


def test_a_card_offers_what_fits_its_incident(house: House) -> None:
    def offered(incident: Incident) -> list[str]:
        offers = [i.offer for i in house.plugin.interactions() if i.offer is not None]
        shown = [offer.button(incident) for offer in offers]
        return [button.label for button in shown if button is not None]

    assert offered(INCIDENT) == ["Draft post-mortem"]
    working = replace(INCIDENT, status=IncidentStatus.IDENTIFIED)
    assert offered(working) == ["Catch me up"]


def test_the_command_goes_by_the_names_people_use(house: House) -> None:
    commands = {c.verb: c for c in house.plugin.commands()}
    assert set(commands) == {"postmortem", "catchup"}
    assert {"pm", "post-mortem", "post mortem"} <= set(commands["postmortem"].aliases)
