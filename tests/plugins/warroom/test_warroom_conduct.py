"""Working on an incident: roles, status, notes, the end; by button and by command."""

import pytest

from bot.domain.alerts import Severity
from bot.domain.errors import AlreadyDone, NotFound, Refused
from bot.domain.events import MessagePosted
from bot.domain.incidents import Incident, IncidentId, IncidentStatus, MilestoneKind
from bot.domain.messages import FieldErrors, Form, SelectField
from bot.domain.people import BOT, ChannelId, Person, Role
from bot.domain.timeline import TimelineEntry, TimelineKind
from bot.ports import MessageRef
from plugins.warroom.forms import KEEP_SUBMIT, UPDATE_SUBMIT
from plugins.warroom.keeping import KEEP, SEEN
from plugins.warroom.messages import CLOSE, RESOLVE, TAKE, UPDATE
from plugins.warroom.plugin import Warroom
from tests.fakes import NOON
from tests.stage import Stage, buttons_of, text_of

ONE = IncidentId("INC-1")


@pytest.fixture
async def room(stage: Stage, plugin: Warroom) -> ChannelId:
    """Declare an incident from an alert that fires, and return its channel."""
    group = await stage.fire()
    await stage.context.incidents.declare(
        "Orders fail", Severity.SEV2, service="checkout", by=stage.by(stage.dana), group=group.id
    )
    await stage.tell(plugin)
    channel = (await stage.context.incidents.get(ONE)).channel
    assert channel is not None
    return channel


async def one(stage: Stage) -> Incident:
    return await stage.context.incidents.get(ONE)


async def story(stage: Stage) -> list[TimelineEntry]:
    return list(await stage.context.timelines.of(await one(stage)))


def heard(
    kind: str, channel: ChannelId, person: Person, *, ref: str, text: str = ""
) -> MessagePosted:
    """Make an event of a message written at noon."""
    return MessagePosted(
        id=f"E{ref}",
        kind=kind,
        channel=channel,
        person=person,
        text=text,
        at=NOON,
        happened_at=NOON,
        ref=ref,
    )


async def test_a_role_is_taken_with_its_duty_and_the_card_and_topic_say_so(
    stage: Stage, plugin: Warroom, room: ChannelId
) -> None:
    reply = await stage.press(plugin, TAKE[Role.COMMANDER], by=stage.ravi, value="INC-1")
    assert "decides, delegates" in text_of(reply)
    await stage.tell(plugin)
    card = stage.chat.post_of("incident:INC-1").message
    assert "Incident commander: Ravi Sen" in text_of(card)
    assert "Take over command" in [b.label for b in buttons_of(card)]
    assert stage.chat.channels[room].topic.endswith("commander: Ravi Sen")


async def test_the_topic_is_left_alone_when_it_would_not_change(
    stage: Stage, plugin: Warroom, room: ChannelId
) -> None:
    await stage.press(plugin, TAKE[Role.SCRIBE], by=stage.ravi, value="INC-1")
    await stage.press(plugin, TAKE[Role.COMMUNICATIONS], by=stage.ravi, value="INC-1")
    await stage.tell(plugin)
    assert len(stage.chat.channels[room].topics) == 1


async def test_a_role_is_taken_by_a_command_and_only_for_oneself(
    stage: Stage, plugin: Warroom, room: ChannelId
) -> None:
    await stage.type(plugin, "role Scribe", by=stage.ravi, channel=room)
    assert (await one(stage)).roles == {Role.SCRIBE: stage.ravi}
    with pytest.raises(Refused, match="already"):
        await stage.type(plugin, "role scribe", by=stage.ravi, channel=room)
    with pytest.raises(Refused, match="themselves"):
        await stage.type(plugin, "role commander @dana", by=stage.ravi, channel=room)
    with pytest.raises(Refused, match="Say which role"):
        await stage.type(plugin, "role", by=stage.ravi, channel=room)


async def test_the_severity_changes_the_card_the_topic_and_the_announcement(
    stage: Stage, plugin: Warroom, room: ChannelId
) -> None:
    await stage.type(plugin, "sev 1", by=stage.dana, channel=room)
    await stage.tell(plugin)
    assert "sev1: most users" in text_of(stage.chat.post_of("incident:INC-1").message)
    assert "sev1" in text_of(stage.chat.post_of("announce:INC-1").message)
    assert stage.chat.channels[room].topic.startswith("sev1")
    with pytest.raises(Refused, match="already"):
        await stage.type(plugin, "severity SEV1", by=stage.dana, channel=room)


async def test_the_status_is_shown_and_set(stage: Stage, plugin: Warroom, room: ChannelId) -> None:
    shown = await stage.type(plugin, "status", by=stage.dana, channel=room)
    assert "Status: investigating" in text_of(shown)
    assert buttons_of(shown) == []
    await stage.type(plugin, "status identified", by=stage.dana, channel=room)
    assert (await one(stage)).milestone(MilestoneKind.IDENTIFIED) is not None
    with pytest.raises(Refused, match="is no status"):
        await stage.type(plugin, "status fine I guess", by=stage.dana, channel=room)


async def test_an_update_moves_the_incident_and_keeps_what_is_known(
    stage: Stage, plugin: Warroom, room: ChannelId
) -> None:
    form = await stage.press(plugin, UPDATE, by=stage.dana, value="INC-1")
    assert isinstance(form, Form)
    caller = stage.by(stage.dana)
    answers = {"status": "monitoring", "note": "The worker was restarted."}
    reply = await stage.press(plugin, UPDATE_SUBMIT, by=caller, value=form.value, answers=answers)
    assert text_of(reply) == "INC-1 is now monitoring."
    assert (await one(stage)).status is IncidentStatus.MONITORING
    await stage.press(plugin, UPDATE_SUBMIT, by=caller, value=form.value, answers=answers)
    assert [e.text for e in await story(stage)].count("The worker was restarted.") == 1


async def test_an_update_that_is_refused_writes_nothing(
    stage: Stage, plugin: Warroom, room: ChannelId
) -> None:
    before = await story(stage)
    with pytest.raises(Refused, match="resolve it before closing"):
        await stage.press(
            plugin,
            UPDATE_SUBMIT,
            by=stage.dana,
            value="INC-1",
            answers={"status": "closed", "note": "done"},
        )
    nothing = await stage.press(
        plugin,
        UPDATE_SUBMIT,
        by=stage.dana,
        value="INC-1",
        answers={"status": "investigating", "note": " "},
    )
    assert isinstance(nothing, FieldErrors)
    assert await story(stage) == before


async def test_resolving_while_alerts_fire_is_allowed_and_said(
    stage: Stage, plugin: Warroom, room: ChannelId
) -> None:
    card = stage.chat.post_of("incident:INC-1").message
    resolve = next(b for b in buttons_of(card) if b.interaction == RESOLVE)
    assert resolve.confirm is not None
    assert "Still firing: CheckoutHighErrorRate." in resolve.confirm.text
    reply = await stage.press(plugin, RESOLVE, by=stage.dana, value="INC-1")
    assert "Still firing: CheckoutHighErrorRate." in text_of(reply)
    await stage.tell(plugin)
    assert "resolved" in text_of(stage.chat.post_of("announce:INC-1").message)
    assert stage.chat.channels[room].topic.startswith("resolved · ")
    await stage.press(plugin, CLOSE, by=stage.dana, value="INC-1")
    assert (await one(stage)).status is IncidentStatus.CLOSED


async def test_the_end_by_commands(stage: Stage, plugin: Warroom, room: ChannelId) -> None:
    with pytest.raises(Refused, match="resolve it before closing"):
        await stage.type(plugin, "close", by=stage.dana, channel=room)
    await stage.type(plugin, "resolve", by=stage.dana, channel=room)
    with pytest.raises(Refused, match="already resolved"):
        await stage.type(plugin, "resolve", by=stage.dana, channel=room)
    closed = text_of(await stage.type(plugin, "close", by=stage.dana, channel=room))
    assert closed == "INC-1 is closed. Still firing: CheckoutHighErrorRate."


async def test_a_note_is_on_the_timeline_at_once(
    stage: Stage, plugin: Warroom, room: ChannelId
) -> None:
    caller = stage.by(stage.dana)
    await stage.type(plugin, "note INC-9 looked  like this too", by=caller, channel=room)
    with pytest.raises(AlreadyDone):
        await stage.type(plugin, "note again", by=caller, channel=room)
    with pytest.raises(Refused, match="needs some text"):
        await stage.type(plugin, "note", by=stage.dana, channel=room)
    entry = (await story(stage))[-1]
    assert (entry.kind, entry.text) == (TimelineKind.NOTE, "INC-9 looked  like this too")
    assert entry.actor_name == "Dana Ito"
    told = await stage.type(plugin, "timeline", by=stage.ravi, channel=room)
    assert "Dana Ito: INC-9 looked like this too" in text_of(told)


async def test_elsewhere_the_incident_is_named_first(
    stage: Stage, plugin: Warroom, room: ChannelId
) -> None:
    await stage.type(plugin, "note inc-1 the queue is full", by=stage.dana, channel=stage.alerts)
    assert (await story(stage))[-1].text == "the queue is full"
    await stage.type(plugin, "sev INC-1 3", by=stage.dana, channel=stage.alerts)
    assert (await one(stage)).severity is Severity.SEV3
    with pytest.raises(NotFound, match="INC-77"):
        await stage.type(plugin, "status INC-77", by=stage.dana, channel=stage.alerts)


@pytest.mark.parametrize("verb", ("status", "sev 2", "role scribe", "note x", "timeline", "close"))
async def test_who_names_none_elsewhere_is_told_which_are_open(
    stage: Stage, plugin: Warroom, room: ChannelId, verb: str
) -> None:
    with pytest.raises(Refused, match=r"INC-1 \(Orders fail\)"):
        await stage.type(plugin, verb, by=stage.dana, channel=stage.alerts)


async def test_the_list_names_open_incidents(
    stage: Stage, plugin: Warroom, room: ChannelId
) -> None:
    listed = await stage.type(plugin, "list", by=stage.dana, channel=stage.alerts)
    assert (
        f"INC-1 Orders fail · <{room}>\nsev2 · investigating · checkout · commander: nobody yet"
        in (text_of(listed))
    )
    assert text_of(await plugin.home_section(stage.dana)) == text_of(listed)


async def test_who_joins_is_a_responder_and_on_the_timeline_once(
    stage: Stage, plugin: Warroom, room: ChannelId
) -> None:
    for number in range(2):
        await plugin.on_message(heard("joined", room, stage.ravi, ref=str(number)))
    await plugin.on_message(heard("joined", room, BOT, ref="3"))
    assert (await one(stage)).responders == (stage.dana, stage.ravi)
    joined = [entry for entry in await story(stage) if entry.kind is TimelineKind.JOIN]
    assert [(entry.actor_name, entry.at) for entry in joined] == [("Ravi Sen", NOON)]


async def test_a_pinned_message_is_kept_with_its_time_and_seen_to_be(
    stage: Stage, plugin: Warroom, room: ChannelId
) -> None:
    said = heard("pinned", room, stage.ravi, ref="1763640000.000100", text="It is the queue")
    stage.clock.advance(seconds=600)
    for _ in range(2):
        await plugin.on_message(said)
    kept = [entry for entry in await story(stage) if entry.kind is TimelineKind.PIN]
    assert [(e.text, e.at, e.actor_name) for e in kept] == [("It is the queue", NOON, "Ravi Sen")]
    ref = MessageRef(channel=room, id="1763640000.000100")
    assert stage.chat.reactions == [(ref, SEEN)]


async def test_what_people_write_or_do_elsewhere_is_theirs(
    stage: Stage, plugin: Warroom, room: ChannelId
) -> None:
    before = await story(stage)
    await plugin.on_message(heard("message", room, stage.ravi, ref="1", text="hello"))
    await plugin.on_message(heard("left", room, stage.ravi, ref="2"))
    await plugin.on_message(heard("pinned", stage.alerts, stage.ravi, ref="3", text="x"))
    await plugin.on_message(heard("joined", stage.alerts, stage.ravi, ref="4"))
    assert await story(stage) == before
    assert stage.chat.reactions == []


async def test_the_shortcut_keeps_a_message_of_the_room_as_a_pin_does(
    stage: Stage, plugin: Warroom, room: ChannelId
) -> None:
    ref = stage.chat.say(room, stage.ravi, "It is the queue")
    reply = await stage.press(plugin, KEEP, by=stage.dana, message=ref)
    assert text_of(reply) == "This message is on the timeline of INC-1."
    await plugin.on_message(heard("pinned", room, stage.ravi, ref=ref.id, text="It is the queue"))
    assert [entry.text for entry in await story(stage)].count("It is the queue") == 1


async def test_the_shortcut_asks_elsewhere_which_incident_is_meant(
    stage: Stage, plugin: Warroom, room: ChannelId
) -> None:
    ref = stage.chat.say(stage.alerts, stage.ravi, "We deployed at noon")
    form = await stage.press(plugin, KEEP, by=stage.dana, message=ref)
    assert isinstance(form, Form)
    assert isinstance(form.fields[0], SelectField)
    await stage.press(
        plugin, KEEP_SUBMIT, by=stage.dana, message=ref, answers={"incident": "INC-1"}
    )
    assert "We deployed at noon" in [entry.text for entry in await story(stage)]
    gone = MessageRef(channel=room, id="1.1")
    with pytest.raises(Refused, match="cannot be read"):
        await stage.press(plugin, KEEP, by=stage.dana, message=gone)


async def test_a_message_that_cannot_be_marked_is_on_the_timeline_all_the_same(
    stage: Stage, plugin: Warroom, room: ChannelId
) -> None:
    ref = stage.chat.say(room, stage.ravi, "The queue is full")
    stage.chat.fail("react", "too_many_reactions")
    reply = await stage.press(plugin, KEEP, by=stage.dana, message=ref)
    assert "is on the timeline of INC-1" in text_of(reply)
    assert "The queue is full" in [entry.text for entry in await story(stage)]


@pytest.mark.parametrize("refusal", ("not_in_channel", "channel_not_found"))
async def test_a_message_out_of_reach_is_politely_refused(
    stage: Stage, plugin: Warroom, room: ChannelId, refusal: str
) -> None:
    ref = stage.chat.say(stage.alerts, stage.ravi, "The queue is full")
    stage.chat.fail("said", refusal)
    with pytest.raises(Refused, match="invite me"):
        await stage.press(plugin, KEEP, by=stage.dana, message=ref)


async def test_very_many_open_incidents_are_not_all_listed(stage: Stage, plugin: Warroom) -> None:
    for number in range(60):
        await stage.context.incidents.declare(
            f"Incident {number}", Severity.SEV3, service="", by=stage.by(stage.dana)
        )
    reply = await stage.type(plugin, "list", by=stage.dana, channel=stage.alerts)
    shown = text_of(reply)
    assert "60 incidents are open" in shown
    assert shown.splitlines()[-1] == "And 40 more."
    with pytest.raises(Refused) as refused:
        await stage.type(plugin, "status", by=stage.dana, channel=stage.alerts)
    assert "and 55 more" in refused.value.reason
