"""The kill switch as people use it: everything or one scope, and two people for the release."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.domain.errors import Refused
from bot.domain.messages import Mention, Tone
from bot.domain.switches import GLOBAL, Halt
from bot.ports import ChatError
from plugins.governance import switches
from plugins.governance.plugin import Governance, GovernanceSettings
from tests.fakes import NOON
from tests.stage import Stage, buttons_of, text_of


async def typed(stage: Stage, plugin: Governance, text: str, *, by: str = "dana") -> str:
    """Let Dana or Ravi type a verb in the alerts channel, and everybody hear of it."""
    person = {"dana": stage.dana, "ravi": stage.ravi}[by]
    reply = text_of(await stage.type(plugin, text, by=person, channel=stage.alerts))
    await stage.tell(plugin)
    return reply


async def pulled(stage: Stage) -> list[tuple[str, str]]:
    """Return scope and reason of every pulled switch."""
    return [(halt.scope, halt.reason) for halt in await stage.context.switches.state()]


async def test_anyone_stops_all_actions_and_everybody_sees_it(
    stage: Stage, plugin: Governance
) -> None:
    said = await typed(stage, plugin, "halt it makes things worse", by="ravi")
    assert "is pulled by Ravi Sen. No action is run until two people release it." in said
    assert "pulled by Ravi Sen" in await typed(stage, plugin, "halt")
    (post,) = stage.chat.posts
    assert "Pulled by Ravi Sen, 12:00: it makes things worse." in text_of(post.message)
    assert post.message.tone is Tone.FIRING


async def test_two_people_release_it_and_everybody_sees_it(
    stage: Stage, plugin: Governance
) -> None:
    await typed(stage, plugin, "halt it makes things worse", by="ravi")
    said = await typed(stage, plugin, "release", by="ravi")
    assert "stays pulled until a second person asks too" in said
    (post,) = stage.chat.posts
    assert "Ravi Sen asked for its release" in text_of(post.message)
    assert post.message.tone is Tone.FIRING
    with pytest.raises(Refused, match="a second person"):
        await typed(stage, plugin, "release", by="ravi")
    assert await pulled(stage) == [(GLOBAL, "it makes things worse")]
    assert "Actions are run again" in await typed(stage, plugin, "release")
    assert await pulled(stage) == []
    (post,) = stage.chat.posts
    assert "was released by two people" in text_of(post.message)
    assert post.message.tone is Tone.MUTED
    with pytest.raises(Refused, match="is not pulled"):
        await typed(stage, plugin, "release")


async def test_one_service_is_stopped_and_released_alone(stage: Stage, plugin: Governance) -> None:
    await typed(stage, plugin, "halt it is on fire")
    said = await typed(stage, plugin, "halt service:Checkout  orders are lost ")
    assert "The kill switch of service:checkout is pulled by Dana Ito" in said
    assert "No action of service:checkout is run" in said
    assert await pulled(stage) == [
        (GLOBAL, "it is on fire"),
        ("service:checkout", "orders are lost"),
    ]
    assert len(stage.chat.posts) == 2
    assert "/incident release service:checkout" in text_of(stage.chat.posts[1].message)
    await typed(stage, plugin, "release service:checkout")
    said = await typed(stage, plugin, "release Service:checkout", by="ravi")
    assert "Actions of service:checkout are run again, as far as no other switch" in said
    assert await pulled(stage) == [(GLOBAL, "it is on fire")]
    assert "is pulled." in text_of(stage.chat.posts[0].message)


@pytest.mark.parametrize("text", ("servce:checkout it burns", "note: it burns", "global outage"))
async def test_who_mistypes_a_scope_stops_everything(
    stage: Stage, plugin: Governance, text: str
) -> None:
    await typed(stage, plugin, f"halt {text}")
    assert await pulled(stage) == [(GLOBAL, text)]


@pytest.mark.parametrize("scope", ("service:chekout", "team:paymnts", "runbook:nothing"))
async def test_a_name_nobody_knows_is_stopped_with_a_warning(
    stage: Stage, plugin: Governance, scope: str
) -> None:
    said = await typed(stage, plugin, f"halt {scope}")
    kind, name = scope.split(":")
    assert f"But no {kind} {name} is known here" in said
    assert await pulled(stage) == [(scope, "no reason given")]
    assert "But" not in await typed(stage, plugin, "halt service:checkout")
    assert "But" not in await typed(stage, plugin, "halt team:payments")
    assert "But" not in await typed(stage, plugin, "halt plugin:demo")


async def test_a_release_of_what_is_no_scope_says_which_there_are(
    stage: Stage, plugin: Governance
) -> None:
    with pytest.raises(Refused, match="write global, team:<name>"):
        await typed(stage, plugin, "release checkout")


async def test_a_second_pull_takes_the_wish_for_a_release_back(
    stage: Stage, plugin: Governance
) -> None:
    await typed(stage, plugin, "halt it burns")
    await typed(stage, plugin, "release", by="ravi")
    await typed(stage, plugin, "halt it still burns")
    (post,) = stage.chat.posts
    assert "asked for its release" not in text_of(post.message)


async def test_a_file_is_released_on_the_host(stage: Stage, plugin: Governance) -> None:
    stage.by_file = Halt(by="the file /data/HALT", at=NOON, reason="no Slack")
    with pytest.raises(Refused, match="remove the file /data/HALT on the host"):
        await typed(stage, plugin, "release")


async def test_a_guest_stops_nothing(stage: Stage, plugin: Governance) -> None:
    guest = replace(stage.ravi, guest=True)
    with pytest.raises(Refused, match="Only full members"):
        await stage.type(plugin, "halt", by=guest, channel=stage.alerts)
    assert stage.chat.posts == []


async def test_the_switch_works_while_the_chat_platform_does_not(
    stage: Stage, plugin: Governance
) -> None:
    stage.chat.fail("post", "fatal_error")
    reply = await stage.type(plugin, "halt", by=stage.ravi, channel=stage.alerts)
    assert "is pulled by Ravi Sen" in text_of(reply)
    assert await pulled(stage) == [(GLOBAL, "no reason given")]
    with pytest.raises(ChatError):
        await stage.tell(plugin)  # the dispatcher tries again
    await stage.tell(plugin)
    assert "The kill switch is pulled." in text_of(stage.chat.posts[0].message)


async def test_each_pull_has_a_message_of_its_own(stage: Stage, plugin: Governance) -> None:
    for _ in range(2):
        await typed(stage, plugin, "halt it burns")
        await typed(stage, plugin, "release")
        await typed(stage, plugin, "release", by="ravi")
        stage.clock.advance(seconds=60)
    await typed(stage, plugin, "halt it burns")
    tones = [post.message.tone for post in stage.chat.posts]
    assert tones == [Tone.MUTED, Tone.MUTED, Tone.FIRING]


async def test_a_release_nobody_was_told_of_in_between_is_told_late(
    stage: Stage, plugin: Governance
) -> None:
    """A restart forgets nothing: what was pulled when stands in the ledger."""
    await typed(stage, plugin, "halt it burns")
    stage.clock.advance(seconds=3600)
    for person in (stage.dana, stage.ravi):
        await stage.type(plugin, "release", by=person, channel=stage.alerts)
    await stage.tell(Governance(GovernanceSettings(), stage.context))
    (post,) = stage.chat.posts
    assert "was released by two people" in text_of(post.message)


async def test_the_message_mentions_nobody(stage: Stage, plugin: Governance) -> None:
    await typed(stage, plugin, "halt it burns", by="ravi")
    (post,) = stage.chat.posts
    assert not any(
        isinstance(span, Mention)
        for part in post.message.parts
        for span in getattr(part, "spans", ())
    )


async def test_the_home_button_asks_for_the_release(stage: Stage, plugin: Governance) -> None:
    await typed(stage, plugin, "halt service:checkout it burns")
    section = await plugin.home_section(stage.dana)
    (button,) = buttons_of(section)
    assert (button.label, button.value) == ("Release…", "service:checkout")
    for person in (stage.dana, stage.ravi):
        await stage.press(plugin, button.interaction, by=person, value=button.value)
    assert await pulled(stage) == []


@pytest.mark.parametrize("value", ("", "nonsense", "service:", "service:x|y", "GLOBAL\n"))
async def test_a_forged_release_button_releases_nothing(
    stage: Stage, plugin: Governance, value: str
) -> None:
    await typed(stage, plugin, "halt service:checkout it burns")
    with pytest.raises(Refused):
        await stage.press(plugin, switches.RELEASE, by=stage.dana, value=value)
    assert len(await pulled(stage)) == 1


async def test_a_switch_pulled_by_a_file_is_shown_without_a_button(
    stage: Stage, plugin: Governance
) -> None:
    stage.by_file = Halt(by="the file /data/HALT", at=NOON, reason="no Slack")
    section = await plugin.home_section(stage.dana)
    assert "Pulled by the file /data/HALT; whoever removes it" in text_of(section)
    assert buttons_of(section) == []
