"""Buttons, forms and the command, on the real services and the real store."""

from dataclasses import replace
from typing import Any, cast

import pytest

from bot.domain.alerts import AlertStatus
from bot.domain.errors import NotFound, Refused
from bot.domain.events import RunChanged
from bot.domain.incidents import IncidentStatus
from bot.domain.messages import Button, Buttons, FieldErrors, Form, SelectField
from bot.domain.people import ChannelId, Person
from bot.domain.runs import Run, RunId, RunState
from bot.plugin import (
    Place,
)
from bot.ports import ChatError, MessageRef, Posted
from tests.plugins.runbooks.runbook_samples import (
    DANA,
    EVE,
    NOW,
    alert,
    group,
    run,
)
from tests.plugins.runbooks.runbook_world import STUCK, ListSearch, World, fields, incident, labels


async def test_the_form_suggests_a_runbook_and_takes_parameters_from_the_labels(
    world: World,
) -> None:
    await world.keep(group())
    form = await world.press("runbooks.open", "g1")
    found = fields(form)
    choice = found["runbook"]
    assert isinstance(choice, SelectField)
    assert choice.initial == "worker-stuck"
    assert [option.value for option in choice.options] == ["worker-stuck", "disk-full"]
    assert choice.options[0].label == "Worker is stuck · alert CheckoutHighErrorRate"
    assert choice.options[1].label == "Disk is full (to read)"
    assert found["parameter_service"].initial == "checkout"
    assert found["parameter_count"].initial == "4"
    assert form.value == "g1|worker-stuck"


async def test_labels_on_which_alerts_differ_fill_nothing_in(world: World) -> None:
    await world.keep(group(alert(1), alert(2, service="search")))
    form = await world.press("runbooks.open", "g1")
    assert fields(form)["parameter_service"].initial is None


async def test_submitting_asks_for_the_run(world: World) -> None:
    await world.keep(group(incident="INC-1"), incident())
    answers: dict[str, Any] = {
        "runbook": "worker-stuck",
        "parameter_service": "checkout",
        "parameter_count": "5",
    }
    assert await world.press("runbooks.submit", "g1|worker-stuck", **answers) is None
    (made,) = await world.runs()
    assert (made.state, made.subject, made.incident) == (RunState.DRAFT, "g1", "INC-1")
    assert made.parameters == {"service": "checkout", "count": "5"}
    assert made.requester == DANA


async def test_a_wrong_parameter_is_named_at_its_field(world: World) -> None:
    await world.keep(group())
    answers: dict[str, Any] = {
        "runbook": "worker-stuck",
        "parameter_service": "../x",
        "parameter_count": "many",
    }
    reply = await world.press("runbooks.submit", "g1|worker-stuck", **answers)
    assert isinstance(reply, FieldErrors)
    assert set(reply.errors) == {"parameter_service", "parameter_count"}
    assert await world.runs() == []


async def test_a_cleared_parameter_is_not_taken_from_the_label_again(world: World) -> None:
    await world.keep(group())
    with pytest.raises(Refused, match='"service" needs a value'):
        await world.press("runbooks.submit", "g1|worker-stuck", runbook="worker-stuck")


async def test_another_choice_shows_that_runbooks_form_and_a_page_is_read(world: World) -> None:
    await world.keep(group())
    form = await world.press("runbooks.submit", "g1|worker-stuck", runbook="disk-full")
    assert isinstance(form, Form)
    assert form.value == "g1|disk-full"
    assert form.submit == "Read it"
    page = await world.press("runbooks.submit", form.value, runbook="disk-full")
    assert isinstance(page, Form)
    assert page.fields == ()
    assert await world.runs() == []


@pytest.mark.parametrize("value", ("", "g1", "|x", "g1|", "ghost|worker-stuck", "g1|ghost"))
async def test_values_that_are_not_ours_are_refused_politely(world: World, value: str) -> None:
    await world.keep(group())
    with pytest.raises(Refused):
        await world.press("runbooks.pick", value)


async def test_an_approval_counts_with_the_groups_the_person_is_in(world: World) -> None:
    waiting = run(RunState.AWAITING)
    await world.keep(waiting)
    assert waiting.approval is not None
    value = f"r1:{waiting.approval.digest}"
    with pytest.raises(Refused, match="someone else has to approve"):
        await world.press("runbooks.approve", value, DANA)
    with pytest.raises(Refused, match="older plan"):
        await world.press("runbooks.approve", f"r1:{'0' * 64}", EVE)
    assert await world.press("runbooks.approve", value, EVE) is None
    assert (await world.context.runs.get(RunId("r1"))).state is RunState.APPROVED


@pytest.mark.parametrize("value", ("", "r1", ":", "r1:", ":x"))
async def test_a_button_of_an_older_version_is_refused(world: World, value: str) -> None:
    for name in ("runbooks.approve", "runbooks.deny", "runbooks.denied"):
        with pytest.raises(Refused, match="older version"):
            await world.press(name, value, EVE, reason="no")


async def test_a_denial_asks_for_its_reason(world: World) -> None:
    waiting = run(RunState.AWAITING)
    await world.keep(waiting)
    assert waiting.approval is not None
    value = f"r1:{waiting.approval.digest}"
    form = await world.press("runbooks.deny", value, EVE)
    assert isinstance(form, Form)
    assert form.interaction == "runbooks.denied"
    assert isinstance(await world.press("runbooks.denied", form.value, EVE), FieldErrors)
    await world.press("runbooks.denied", form.value, EVE, reason="wrong worker")
    denied = await world.context.runs.get(RunId("r1"))
    assert (denied.state, denied.reason) == (RunState.DENIED, "Eve: wrong worker")


async def test_a_waiting_run_is_cancelled(world: World) -> None:
    await world.keep(run(RunState.AWAITING))
    await world.press("runbooks.stop", "r1")
    assert (await world.context.runs.get(RunId("r1"))).state is RunState.CANCELLED
    with pytest.raises(Refused):
        await world.press("runbooks.undo", "r1")
    with pytest.raises(Refused):
        await world.press("runbooks.happened", "r1")
    with pytest.raises(NotFound):
        await world.press("runbooks.not_happened", "ghost")


PRESSES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("runbooks.happened", "r1", {}),
    ("runbooks.not_happened", "r1", {}),
    ("runbooks.done", "r1:restart", {}),
    ("runbooks.not_done_because", "r1:restart", {"note": "no key"}),
)


@pytest.mark.parametrize(("name", "value", "answers"), PRESSES)
async def test_what_took_place_is_not_taken_from_a_guest_who_goes_by_a_bare_name(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str, value: str, answers: dict[str, Any]
) -> None:
    await world.keep(run(RunState.IN_DOUBT))

    async def guest(id: str) -> Person:
        return replace(EVE, guest=True)

    monkeypatch.setattr(world.chat, "member", guest)
    with pytest.raises(Refused, match="Only full members"):
        await world.press(name, value, EVE, **answers)


@pytest.mark.parametrize(("name", "value", "answers"), PRESSES)
async def test_what_took_place_is_not_taken_from_whom_nobody_can_name(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str, value: str, answers: dict[str, Any]
) -> None:
    await world.keep(run(RunState.IN_DOUBT))

    async def away(id: str) -> Person:
        raise ChatError("no answer")

    monkeypatch.setattr(world.chat, "member", away)
    with pytest.raises(ChatError):
        await world.press(name, value, EVE, **answers)
    assert (await world.context.runs.get(RunId("r1"))).state is RunState.IN_DOUBT


async def test_the_kill_switch_of_the_runs_service_is_pulled_from_its_message(
    world: World,
) -> None:
    await world.keep(run(RunState.RUNNING))
    reply = await world.press("runbooks.halt", "r1", EVE)
    assert "The kill switch of service:checkout is pulled by Eve." in reply.summary
    (halt,) = await world.context.switches.state()
    assert (halt.scope, halt.by) == ("service:checkout", "Eve")
    with pytest.raises(Refused, match="Only full members"):
        await world.press("runbooks.halt", "r1", replace(EVE, stranger=True))
    with pytest.raises(NotFound):
        await world.press("runbooks.halt", "ghost")


def changed(made: Run) -> RunChanged:
    return RunChanged(id="e", at=NOW, change="x", run=made)


async def test_a_run_is_one_message_in_the_thread_of_its_alert(world: World) -> None:
    card = MessageRef(channel=ChannelId("C1"), id="card")
    await world.keep(Posted(key="alert:g1", channel=card.channel, ref=card, digest="d"))
    await world.plugin.on_run(changed(run(RunState.DRAFT)))
    await world.plugin.on_run(changed(run(RunState.DRAFT)))
    await world.plugin.on_run(changed(run(RunState.AWAITING)))
    assert [(key, channel, thread) for key, channel, thread, _ in world.chat.posts] == [
        ("run:r1", ChannelId("C1"), card)
    ]
    assert len(world.chat.updates) == 1


@pytest.mark.parametrize(
    ("changes", "channel"),
    (
        ({"incident": "INC-1"}, "C9"),
        ({"incident": "INC-404"}, "C-alerts"),
        ({"subject": "channel:C5"}, "C5"),
        ({}, "C-alerts"),
    ),
)
async def test_a_run_is_shown_where_people_work(
    world: World, changes: dict[str, Any], channel: str
) -> None:
    await world.keep(group(), incident())
    await world.plugin.on_run(changed(run(RunState.DRAFT, **changes)))
    assert world.chat.posts[0][1] == channel


async def test_the_finding_names_the_page_and_why(world: World) -> None:
    (finding,) = await world.plugin.findings(group())
    assert (finding.claim, finding.value) == ("Worker is stuck", "worker-stuck")
    assert finding.evidence[0].label == "matches alert CheckoutHighErrorRate"


async def test_a_searched_runbook_is_only_said_to_fit_perhaps(world: World) -> None:
    (finding,) = await world.plugin.findings(group(alert(alertname="DiskFullSoon")))
    assert finding.claim == "No fitting runbook found"
    strange = replace(alert(alertname="Odd"), annotations={"summary": "disk full now"})
    (finding,) = await world.plugin.findings(group(strange))
    assert finding.claim == "Disk is full (may fit)"
    assert finding.evidence[0].label == "shares the words Disk, full"


async def test_the_alerts_own_link_is_shown_where_no_page_of_ours_fits(world: World) -> None:
    url = "https://runbooks.example.com/x"
    linked = replace(alert(alertname="Odd"), annotations={"runbook_url": url})
    (finding,) = await world.plugin.findings(group(linked))
    assert finding.evidence[0].url == url


async def test_the_command_lists_what_fits_the_incident_of_the_channel(world: World) -> None:
    await world.keep(group(), incident())
    message = await world.command()
    assert message.summary == "1 runbook"
    assert labels(message) == ["Run…", "Read"]
    row = next(part for part in message.parts if isinstance(part, Buttons))
    assert row.buttons[0].value == "INC-1|worker-stuck"
    form = await world.press("runbooks.pick", row.buttons[0].value)
    assert fields(form)["parameter_service"].initial == "checkout"


async def test_the_command_finds_by_words_and_lists_all_elsewhere(world: World) -> None:
    assert labels(await world.command("disk")) == ["Read"]
    assert "No runbook found" in (await world.command("nothing")).summary
    everything = await world.command(channel=ChannelId("C-other"))
    assert labels(everything) == ["Read", "Run…", "Read"]


async def test_a_page_shows_its_sections(world: World) -> None:
    page = await world.press("runbooks.read", "worker-stuck")
    assert isinstance(page, Form)
    shown = repr(page.parts)
    for piece in (
        "Bold(text='worker')",
        "Mono(text='up')",
        "Link(text='docs', url='https://example.com/a')",
        "1. Look closer\\n2. Act",
        "Code(text='kubectl get pods')",
    ):
        assert piece in shown


async def test_buttons_are_offered_while_something_is_to_be_done(world: World) -> None:
    offers = [i.offer for i in world.plugin.interactions() if i.offer]
    alerts = next(o for o in offers if o.place is Place.ALERT)
    incidents = next(o for o in offers if o.place is Place.INCIDENT)
    assert (alerts.order, incidents.order) == (30, 30)
    button = alerts.button(group())
    assert isinstance(button, Button)
    assert (button.label, button.value) == ("Run runbook…", "g1")
    assert alerts.button(group(alert(status=AlertStatus.RESOLVED))) is None
    assert incidents.button(incident()) is not None
    assert incidents.button(incident(status=IncidentStatus.RESOLVED)) is None


async def test_the_search_knows_every_runbook_from_the_start(world: World) -> None:
    await world.plugin.start()
    kept = {d.id: d for d in cast(ListSearch, world.context.search).kept}
    assert set(kept) == set(world.context.knowledge.runbooks)
    assert kept[STUCK.id].kind == "runbook"
    assert "CheckoutHighErrorRate" in kept[STUCK.id].names
    assert "Mitigation" in kept[STUCK.id].text


@pytest.mark.parametrize("refusal", ("not_in_channel", "channel_not_found", "is_archived"))
async def test_a_run_asked_for_where_we_cannot_speak_is_shown_in_the_alerts_channel(
    world: World, monkeypatch: pytest.MonkeyPatch, refusal: str
) -> None:
    """Otherwise it would wait for approvals that nobody could give."""
    post = world.chat.post

    async def closed(channel: ChannelId, *given: Any, **named: Any) -> MessageRef:
        if channel == "C5":
            raise ChatError(refusal)
        return await post(channel, *given, **named)

    monkeypatch.setattr(world.chat, "post", closed)
    for state in (RunState.DRAFT, RunState.AWAITING):
        await world.plugin.on_run(changed(run(state, subject="channel:C5")))
    assert [channel for _, channel, _, _ in world.chat.posts] == ["C-alerts"]
    assert len(world.chat.updates) == 1
