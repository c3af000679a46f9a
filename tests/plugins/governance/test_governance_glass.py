"""Breaking the glass in Slack: the form, who hears of it, the review."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.domain.alerts import Severity
from bot.domain.emergencies import BreakGlass
from bot.domain.errors import NotFound, Refused
from bot.domain.messages import FieldErrors, Form, Mention, Message, TextField, Tone
from bot.domain.people import ChannelId, Person
from bot.ports import ChatError
from plugins.governance import glass as says
from plugins.governance.plugin import Governance
from tests.fakes import FakeChannel
from tests.plugins.governance.governance_samples import WHY, governed, incident
from tests.stage import Stage, buttons_of, text_of


async def opened(stage: Stage, plugin: Governance, text: str) -> Form:
    """Let Dana type the verb, and return the form."""
    reply = await stage.type(plugin, f"break-glass {text}", by=stage.dana, channel=stage.alerts)
    assert isinstance(reply, Form)
    return reply


async def submit(
    stage: Stage, plugin: Governance, form: Form, *, by: Person, **answers: str
) -> object:
    given = {says.TYPED: "worker-stuck checkout", says.REASON: WHY, **answers}
    return await stage.press(plugin, form.interaction, by=by, value=form.value, answers=given)


async def broken(stage: Stage, plugin: Governance) -> BreakGlass:
    """Let Dana break the glass, and everybody hear of it."""
    await incident(stage)
    form = await opened(stage, plugin, "INC-1 worker-stuck checkout")
    await submit(stage, plugin, form, by=stage.dana)
    await stage.tell(plugin)
    (glass,) = await stage.context.emergencies.all()
    return glass


async def test_the_form_asks_to_type_the_target_and_keeps_the_reason(stage: Stage) -> None:
    plugin = governed(stage)
    await incident(stage)
    form = await opened(stage, plugin, "INC-1 worker-stuck checkout orders are lost")
    typed, reason = form.fields
    assert isinstance(typed, TextField)
    assert isinstance(reason, TextField)
    assert (typed.initial, reason.initial) == ("", "orders are lost")
    assert "worker-stuck checkout" in text_of(form)
    assert form.value == "INC-1|worker-stuck|checkout"


async def test_in_the_incidents_channel_it_needs_no_id(stage: Stage) -> None:
    plugin = governed(stage)
    made = await incident(stage)
    await stage.context.incidents.open_room(made.id, stage.alerts)
    form = await opened(stage, plugin, "worker-stuck -")
    assert form.value == "INC-1|worker-stuck|"


@pytest.mark.parametrize(
    ("text", "reason"),
    (
        ("", "Say which incident first"),
        ("worker-stuck checkout", "Say which incident first"),
        ("INC-1", "Write it as"),
        ("INC-1 worker-stuck", "Write it as"),
        ("INC-9 worker-stuck checkout", "INC-9"),
        ("INC-1 nothing checkout", "no runbook “nothing”"),
        ("INC-1 disk-full checkout", "has no steps to run"),
        ("INC-1 worker-stuck chekout", "no service in services.toml"),
    ),
)
async def test_what_cannot_be_meant_opens_no_form(stage: Stage, text: str, reason: str) -> None:
    plugin = governed(stage)
    await incident(stage)
    with pytest.raises(Refused, match=reason):
        await opened(stage, plugin, text)


@pytest.mark.parametrize(
    ("answers", "field"),
    (
        ({says.TYPED: ""}, says.TYPED),
        ({says.TYPED: "worker-stuck"}, says.TYPED),
        ({says.TYPED: "worker-stuck  checkout x"}, says.TYPED),
        ({says.REASON: ""}, says.REASON),
        ({says.REASON: "x" * 19}, says.REASON),
        ({says.REASON: f"short{' ' * 40}"}, says.REASON),
    ),
)
async def test_a_slip_is_named_at_its_field_and_breaks_nothing(
    stage: Stage, answers: dict[str, str], field: str
) -> None:
    plugin = governed(stage)
    await incident(stage)
    form = await opened(stage, plugin, "INC-1 worker-stuck checkout")
    reply = await submit(stage, plugin, form, by=stage.dana, **answers)
    assert isinstance(reply, FieldErrors)
    assert set(reply.errors) == {field}
    assert await stage.context.emergencies.all() == []


@pytest.mark.parametrize(
    "value",
    (
        "",
        "INC-1",
        "INC-1|worker-stuck",
        "||",
        "a|b|c|d",
        "|x|y",
        "INC-1|ghost|checkout",
        "INC-9|worker-stuck|checkout",
    ),
)
async def test_a_forged_form_is_refused(stage: Stage, value: str) -> None:
    plugin = governed(stage)
    await incident(stage)
    answers = {says.TYPED: "worker-stuck checkout", says.REASON: WHY}
    with pytest.raises(Refused):
        await stage.press(plugin, says.BREAK, by=stage.dana, value=value, answers=answers)
    assert await stage.context.emergencies.all() == []


async def test_below_sev2_no_glass_is_broken(stage: Stage) -> None:
    plugin = governed(stage)
    await incident(stage, Severity.SEV3)
    form = await opened(stage, plugin, "INC-1 worker-stuck checkout")
    with pytest.raises(Refused, match="sev1 or sev2"):
        await submit(stage, plugin, form, by=stage.dana)


async def test_a_guest_breaks_no_glass(stage: Stage) -> None:
    plugin = governed(stage)
    await incident(stage)
    form = await opened(stage, plugin, "INC-1 worker-stuck checkout")
    with pytest.raises(Refused, match="full members"):
        await submit(stage, plugin, form, by=replace(stage.ravi, guest=True))


async def test_the_answer_says_how_long_and_what_to_do_now(stage: Stage) -> None:
    plugin = governed(stage)
    await incident(stage)
    form = await opened(stage, plugin, "INC-1 worker-stuck checkout")
    reply = await submit(stage, plugin, form, by=stage.dana)
    assert isinstance(reply, Message)
    assert "until 12:15" in text_of(reply)
    assert "Ask for worker-stuck now" in text_of(reply)


async def test_everybody_sees_it_and_each_of_the_security_contact_is_told(stage: Stage) -> None:
    stage.chat.user_groups["security"] = [stage.ravi.id]
    plugin = governed(stage, security_contact="security")
    glass = await broken(stage, plugin)
    public = text_of(stage.chat.post_of(f"glass:{glass.id}").message)
    for piece in ("Dana Ito may run worker-stuck checkout once", WHY, "The security contact"):
        assert piece in public
    page = stage.chat.post_of(f"glass:{glass.id}:{stage.ravi.id}")
    assert stage.chat.channels[page.ref.channel].members == [stage.ravi.id]
    for piece in ("INC-1", WHY, "due by", f"/incident review {glass.id}"):
        assert piece in text_of(page.message)
    parts = [part for post in stage.chat.posts for part in post.message.parts]
    assert not any(isinstance(span, Mention) for p in parts for span in getattr(p, "spans", ()))


async def test_a_channel_can_be_the_security_contact(stage: Stage) -> None:
    channel = ChannelId("#security")
    stage.chat.channels[channel] = FakeChannel(id=channel, name="security", ours=False)
    glass = await broken(stage, governed(stage, security_contact="#security"))
    assert stage.chat.post_of(f"glass:{glass.id}:#security").ref.channel == channel


@pytest.mark.parametrize(
    ("contact", "said"),
    (
        ("", "No security contact is configured"),
        ("nobody", "Nobody is in the security contact nobody"),
    ),
)
async def test_a_contact_that_reaches_nobody_is_not_passed_over_in_silence(
    stage: Stage, contact: str, said: str
) -> None:
    glass = await broken(stage, governed(stage, security_contact=contact))
    assert said in text_of(stage.chat.post_of(f"glass:{glass.id}").message)


async def test_one_who_cannot_be_reached_keeps_nobody_else_from_it_and_is_tried_again(
    stage: Stage,
) -> None:
    stage.chat.user_groups["security"] = [stage.dana.id, stage.ravi.id]
    plugin = governed(stage, security_contact="@security")
    await incident(stage)
    form = await opened(stage, plugin, "INC-1 worker-stuck checkout")
    await submit(stage, plugin, form, by=stage.dana)
    stage.chat.fail("direct", "user_not_found")
    with pytest.raises(ChatError):
        await stage.tell(plugin)
    (glass,) = await stage.context.emergencies.all()
    ravis = f"glass:{glass.id}:{stage.ravi.id}"
    assert {post.key for post in stage.chat.posts} == {ravis, f"glass:{glass.id}"}
    await stage.tell(plugin)
    danas = f"glass:{glass.id}:{stage.dana.id}"
    assert [post.key for post in stage.chat.posts] == [ravis, f"glass:{glass.id}", danas]


async def test_hearing_of_it_twice_tells_it_once(stage: Stage) -> None:
    stage.chat.user_groups["security"] = [stage.ravi.id]
    plugin = governed(stage, security_contact="security")
    glass = await broken(stage, plugin)
    for _ in range(3):
        await Governance(plugin.settings, stage.context)._announcing._paging.update(glass.id)
    assert len(stage.chat.posts) == 2
    assert all(len(post.shown) == 1 for post in stage.chat.posts)


async def test_somebody_else_reviews_it_and_the_messages_turn(stage: Stage) -> None:
    plugin = governed(stage)
    glass = await broken(stage, plugin)
    stage.clock.advance(seconds=16 * 60)
    form = await stage.type(plugin, f"review {glass.id}", by=stage.ravi, channel=stage.alerts)
    assert isinstance(form, Form)
    assert "It was never used." in text_of(form)
    short = await stage.press(
        plugin, form.interaction, by=stage.ravi, value=form.value, answers={says.NOTE: "fine"}
    )
    assert isinstance(short, FieldErrors)
    answers = {says.NOTE: "needed, since nobody else was awake"}
    with pytest.raises(Refused, match="Somebody else"):
        await stage.press(
            plugin, form.interaction, by=stage.dana, value=form.value, answers=answers
        )
    await stage.press(plugin, form.interaction, by=stage.ravi, value=form.value, answers=answers)
    await stage.tell(plugin)
    post = stage.chat.post_of(f"glass:{glass.id}")
    assert "Reviewed by Ravi Sen: needed, since" in text_of(post.message)
    assert post.message.tone is Tone.MUTED
    with pytest.raises(Refused, match="reviewed already"):
        await stage.type(plugin, f"review {glass.id}", by=stage.ravi, channel=stage.alerts)


@pytest.mark.parametrize("text", ("review", "review ghost", "review a b"))
async def test_a_review_needs_a_glass(stage: Stage, text: str) -> None:
    with pytest.raises((Refused, NotFound)):
        await stage.type(governed(stage), text, by=stage.ravi, channel=stage.alerts)


async def test_home_offers_the_review_to_others_and_reminds_who_broke_it(stage: Stage) -> None:
    plugin = governed(stage)
    await broken(stage, plugin)
    assert "Nothing waits for you." in text_of(await plugin.home_section(stage.ravi))
    stage.clock.advance(seconds=16 * 60)
    section = await plugin.home_section(stage.ravi)
    assert "Dana Ito broke the glass for worker-stuck checkout" in text_of(section)
    assert [button.label for button in buttons_of(section)] == ["Review…"]
    assert "Nothing waits for you." in text_of(await plugin.home_section(stage.dana))
    stage.clock.advance(seconds=7 * 86400)
    assert "Overdue since" in text_of(await plugin.home_section(stage.ravi))
    mine = await plugin.home_section(stage.dana)
    assert "Your broken glass is overdue for review." in text_of(mine)
    assert buttons_of(mine) == []
