"""Declaring an incident and opening its war room, with the real storage."""

import asyncio
from dataclasses import replace

import pytest

from bot.domain.alerts import AlertStatus, Severity
from bot.domain.errors import AlreadyDone, Refused
from bot.domain.events import IncidentChanged
from bot.domain.incidents import Incident, IncidentId
from bot.domain.messages import Button, FieldErrors, Form, PeopleField, TextField, note
from bot.domain.people import ChannelId
from bot.plugin import Channels, Place
from bot.ports import ChatError
from plugins.warroom.declaring import DECLARE
from plugins.warroom.forms import DECLARE_SUBMIT
from plugins.warroom.plugin import Warroom
from tests.fakes import NOON, FakeChannel
from tests.stage import Stage, alert, buttons_of, text_of

ANSWERS = {"title": "Orders fail", "severity": "sev2", "service": "checkout", "responders": "U002"}


async def declare(stage: Stage, plugin: Warroom, *, group: str = "") -> Incident:
    """Declare an incident as Dana does, and bring the news."""
    await stage.press(plugin, DECLARE_SUBMIT, by=stage.dana, value=group, answers=ANSWERS)
    await stage.tell(plugin)
    return (await stage.context.incidents.open())[0]


def room(stage: Stage) -> FakeChannel:
    return stage.chat.channel_named("inc-1-orders-fail")


async def test_the_offer_stands_while_the_alert_fires_and_has_no_incident(
    stage: Stage, plugin: Warroom
) -> None:
    offer = next(i.offer for i in plugin.interactions() if i.name == DECLARE)
    assert offer is not None
    assert (offer.place, offer.order) == (Place.ALERT, 20)
    group = await stage.fire()
    button = offer.button(group)
    assert button is not None
    assert (button.label, button.value) == ("Declare incident", group.id)
    assert offer.button(replace(group, incident="INC-1")) is None
    resolved = await stage.fire(alert(status=AlertStatus.RESOLVED, ends_at=NOON))
    assert offer.button(resolved) is None


async def test_the_form_is_filled_from_the_alert_and_the_team_on_call(
    stage: Stage, plugin: Warroom
) -> None:
    stage.chat.user_groups["payments-oncall"] = [stage.ravi.id]
    group = await stage.fire()
    form = await stage.press(plugin, DECLARE, by=stage.dana, value=group.id)
    assert isinstance(form, Form)
    assert (form.interaction, form.value) == (DECLARE_SUBMIT, group.id)
    title, people = form.fields[0], form.fields[3]
    assert isinstance(title, TextField)
    assert title.initial == "Half of all orders fail"
    assert isinstance(people, PeopleField)
    assert people.initial == (stage.ravi.id,)


async def test_a_user_group_that_cannot_be_looked_up_keeps_the_form_from_nobody(
    stage: Stage, plugin: Warroom
) -> None:
    stage.chat.fail("members_of", "ratelimited")
    group = await stage.fire()
    form = await stage.press(plugin, DECLARE, by=stage.dana, value=group.id)
    assert isinstance(form, Form)
    assert isinstance(form.fields[3], PeopleField)
    assert form.fields[3].initial == ()


async def test_the_form_opens_without_an_alert(stage: Stage, plugin: Warroom) -> None:
    shortcut = await stage.press(plugin, DECLARE, by=stage.dana)
    assert isinstance(shortcut, Form)
    for verb in ("declare", "open", "new"):
        typed = await stage.type(plugin, f"{verb} Orders fail", by=stage.dana, channel=stage.alerts)
        assert isinstance(typed, Form)
        assert isinstance(typed.fields[0], TextField)
        assert typed.fields[0].initial == "Orders fail"


@pytest.mark.parametrize(
    ("answers", "wrong"),
    (
        ({**ANSWERS, "title": "  "}, ["title"]),
        ({**ANSWERS, "title": "x" * 500}, ["title"]),
        ({**ANSWERS, "severity": "sev9"}, ["severity"]),
        ({}, ["title", "severity"]),
    ),
)
async def test_what_is_wrong_is_said_at_its_field(
    stage: Stage, plugin: Warroom, answers: dict[str, str], wrong: list[str]
) -> None:
    reply = await stage.press(plugin, DECLARE_SUBMIT, by=stage.dana, answers=answers)
    assert isinstance(reply, FieldErrors)
    assert list(reply.errors) == wrong
    assert await stage.context.incidents.open() == []


async def test_declaring_opens_a_channel_with_its_people_its_topic_and_a_pinned_card(
    stage: Stage, plugin: Warroom
) -> None:
    group = await stage.fire()
    await stage.context.posts.show(f"alert:{group.id}", note("a card"), channel=stage.alerts)
    reply = await stage.press(
        plugin, DECLARE_SUBMIT, by=stage.dana, value=group.id, answers=ANSWERS
    )
    assert "INC-1 is declared" in text_of(reply)
    assert "you and 1 more are invited" in text_of(reply)
    assert f"{group.id}: declared" in await stage.tell(plugin)
    assert room(stage).topics == ["sev2 · checkout · INC-1 · commander: nobody yet"]
    assert room(stage).members == [stage.dana.id, stage.ravi.id]
    card = stage.chat.post_of("incident:INC-1")
    assert card.ref.channel == room(stage).id
    assert card.pins == 1
    assert len(card.shown) == 1
    assert "https://chat.example/" in repr(card.message)
    announced = stage.chat.post_of("announce:INC-1")
    assert announced.ref.channel == stage.alerts
    assert f"<{room(stage).id}>" in text_of(announced.message)
    incident = await stage.context.incidents.get(IncidentId("INC-1"))
    assert incident.channel == room(stage).id
    assert incident.severity is Severity.SEV2
    assert incident.responders == (stage.dana, stage.ravi)


async def test_the_same_event_again_changes_nothing(stage: Stage, plugin: Warroom) -> None:
    incident = await declare(stage, plugin)
    event = IncidentChanged(id="1", at=NOON, change="declared", incident=incident)
    for _ in range(3):
        await plugin.on_incident(event)
    assert len(stage.chat.posts) == 2
    assert len(stage.chat.post_of("incident:INC-1").shown) == 1
    assert stage.chat.calls.count("create_channel") == 1
    assert stage.chat.calls.count("set_topic") == 0


@pytest.mark.parametrize("method", ("create_channel", "invite", "post", "pin"))
async def test_a_room_that_could_not_be_opened_whole_is_finished_the_next_time(
    stage: Stage, plugin: Warroom, method: str
) -> None:
    await stage.press(plugin, DECLARE_SUBMIT, by=stage.dana, answers=ANSWERS)
    incident = (await stage.context.incidents.open())[0]
    event = IncidentChanged(id="1", at=NOON, change="declared", incident=incident)
    stage.chat.fail(method, "fatal_error")
    with pytest.raises(ChatError):
        await plugin.on_incident(event)
    await Warroom(plugin.settings, stage.context).on_incident(event)
    assert stage.chat.post_of("incident:INC-1").pins  # a second pin changes nothing
    assert stage.chat.post_of("announce:INC-1").shown
    assert room(stage).members == [stage.dana.id, stage.ravi.id]
    assert [c.name for c in stage.chat.channels.values() if c.ours] == ["inc-1-orders-fail"]


async def test_news_of_the_alert_and_of_the_incident_at_once_make_one_card(
    stage: Stage, plugin: Warroom
) -> None:
    group = await stage.fire()
    await stage.press(plugin, DECLARE_SUBMIT, by=stage.dana, value=group.id, answers=ANSWERS)
    incident = (await stage.context.incidents.open())[0]
    event = IncidentChanged(id="1", at=NOON, change="declared", incident=incident)
    await asyncio.gather(
        *(plugin.on_incident(event) for _ in range(3)), stage.tell(plugin), stage.tell(plugin)
    )
    assert stage.chat.post_of("incident:INC-1").shown
    assert stage.chat.calls.count("create_channel") == 1


async def test_a_name_that_is_taken_gets_the_date(stage: Stage, plugin: Warroom) -> None:
    stage.chat.add_channel("inc-1-orders-fail")
    incident = await declare(stage, plugin)
    assert incident.channel is not None
    assert stage.chat.channels[incident.channel].name == "inc-1-orders-fail-20261120"


async def test_without_an_alerts_channel_nothing_is_announced(
    stage: Stage, plugin: Warroom
) -> None:
    stage.channels = Channels(alerts=None)
    await declare(stage, plugin)
    assert [post.key for post in stage.chat.posts] == ["incident:INC-1"]


async def test_one_alert_makes_one_incident(stage: Stage, plugin: Warroom) -> None:
    group = await stage.fire()
    caller = stage.by(stage.dana)
    await stage.press(plugin, DECLARE_SUBMIT, by=caller, value=group.id, answers=ANSWERS)
    with pytest.raises(AlreadyDone):
        await stage.press(plugin, DECLARE_SUBMIT, by=caller, value=group.id, answers=ANSWERS)
    with pytest.raises(Refused, match="belongs to INC-1"):
        await stage.press(plugin, DECLARE_SUBMIT, by=stage.ravi, value=group.id, answers=ANSWERS)
    with pytest.raises(Refused, match="belongs to INC-1"):
        await stage.press(plugin, DECLARE, by=stage.ravi, value=group.id)
    assert len(await stage.context.incidents.open()) == 1


async def test_people_who_cannot_be_looked_up_are_still_responders(
    stage: Stage, plugin: Warroom
) -> None:
    answers = {**ANSWERS, "responders": "U404,,U002,U002"}
    await stage.press(plugin, DECLARE_SUBMIT, by=stage.dana, answers=answers)
    (incident,) = await stage.context.incidents.open()
    assert [person.id for person in incident.responders] == ["U001", "U404", "U002"]


async def test_what_other_plugins_offer_is_on_the_card(stage: Stage, plugin: Warroom) -> None:
    asked: list[Place] = []

    def offered(place: Place, subject: Incident) -> list[Button]:
        asked.append(place)
        return [Button(label="Run runbook…", interaction="runbooks.open", value=subject.id)]

    stage.offered = offered
    await declare(stage, plugin)
    card = stage.chat.post_of("incident:INC-1").message
    assert "Run runbook…" in [button.label for button in buttons_of(card)]
    assert set(asked) == {Place.INCIDENT}


async def test_the_card_follows_its_alerts(stage: Stage, plugin: Warroom) -> None:
    group = await stage.fire()
    await declare(stage, plugin, group=group.id)
    assert "(firing)" in text_of(stage.chat.post_of("incident:INC-1").message)
    await stage.fire(alert(status=AlertStatus.RESOLVED, ends_at=NOON))
    await stage.tell(plugin)
    card = stage.chat.post_of("incident:INC-1").message
    assert "(resolved)" in text_of(card)
    assert len(stage.chat.post_of("announce:INC-1").shown) == 1


async def test_an_unknown_channel_has_no_incident(stage: Stage, plugin: Warroom) -> None:
    await declare(stage, plugin)
    assert await stage.context.incidents.of_channel(ChannelId("C999")) is None
    assert await plugin.home_section(stage.dana) is not None


async def test_an_invitation_that_fails_costs_neither_card_nor_announcement(
    stage: Stage, plugin: Warroom
) -> None:
    stage.chat.fail("invite", "unreachable")
    with pytest.raises(ChatError):
        await declare(stage, plugin)
    assert "INC-1" in text_of(stage.chat.post_of("incident:INC-1").message)
    assert "INC-1" in text_of(stage.chat.post_of("announce:INC-1").message)
    await stage.tell(plugin)
    assert room(stage).members == ["U001", "U002"]


@pytest.mark.parametrize("refusal", ("is_archived", "not_in_channel", "channel_not_found"))
async def test_a_closed_room_keeps_the_announcement_from_nobody(
    stage: Stage, plugin: Warroom, refusal: str
) -> None:
    await declare(stage, plugin)
    await stage.context.incidents.rate(IncidentId("INC-1"), Severity.SEV1, by=stage.by(stage.dana))
    stage.chat.fail("update", refusal)
    await stage.tell(plugin)
    assert "sev1" in text_of(stage.chat.post_of("announce:INC-1").message)
