"""What the war room shows, by value."""

from dataclasses import replace
from datetime import timedelta

from bot.domain.alerts import AlertGroup, AlertStatus, GroupId, Severity
from bot.domain.findings import Finding, FindingKind
from bot.domain.incidents import (
    TITLE_LENGTH,
    Incident,
    IncidentId,
    IncidentStatus,
    Milestone,
    MilestoneKind,
)
from bot.domain.messages import Button, PeopleField, SelectField, TextField, Tone
from bot.domain.people import ChannelId, Person, PersonId, Role
from bot.domain.runs import Run, RunId, RunState
from bot.domain.timeline import TimelineEntry, TimelineKind
from plugins.warroom import messages
from plugins.warroom.forms import Draft, declare_form, draft_of, keep_form, update_form
from plugins.warroom.messages import Surroundings
from tests.fakes import NOON
from tests.stage import alert, buttons_of, text_of

DANA = Person(id=PersonId("U1"), name="Dana Ito")
RAVI = Person(id=PersonId("U2"), name="Ravi Sen")
INCIDENT = Incident(
    id=IncidentId("INC-1"),
    number=1,
    title="Orders fail",
    severity=Severity.SEV2,
    status=IncidentStatus.INVESTIGATING,
    service="checkout",
    declared_by=DANA,
    declared_at=NOON,
    channel=ChannelId("C7"),
    responders=(DANA,),
    milestones=(
        Milestone(kind=MilestoneKind.STARTED, at=NOON - timedelta(minutes=4), by="system"),
    ),
)
RESOLVED = replace(
    INCIDENT,
    status=IncidentStatus.RESOLVED,
    milestones=(
        *INCIDENT.milestones,
        Milestone(kind=MilestoneKind.RESOLVED, at=NOON + timedelta(minutes=9), by="system"),
    ),
)
GROUP = AlertGroup(
    id=GroupId("g1"),
    source="alertmanager",
    group_key="k",
    labels={},
    alerts=(alert(),),
    first_seen=NOON,
    last_seen=NOON,
)
FIRING = Surroundings(alerts=(GROUP,), links={"g1": "https://chat.example/1"})
ENDED = replace(GROUP, alerts=(alert(status=AlertStatus.RESOLVED, ends_at=NOON),))


def labels(buttons: list[Button]) -> list[str]:
    return [button.label for button in buttons]


def test_the_topic_names_what_everybody_must_know() -> None:
    assert messages.topic(INCIDENT) == "sev2 · checkout · INC-1 · commander: nobody yet"


def test_the_topic_says_who_commands_and_that_it_is_over() -> None:
    over = replace(RESOLVED, roles={Role.COMMANDER: RAVI}, service="")
    assert messages.topic(over) == "resolved · sev2 · INC-1 · commander: Ravi Sen"


def test_the_card_tells_where_things_stand() -> None:
    card = messages.card(INCIDENT, FIRING)
    assert text_of(card).splitlines() == [
        "INC-1 · Orders fail",
        "Status: investigating",
        "Severity: sev2: many users are affected",
        "Service: checkout",
        "Incident commander: nobody yet",
        "Scribe: nobody yet",
        "Communications lead: nobody yet",
        "Started: 11:56",
        "Declared: 12:00 by Dana Ito",
        "Alert: CheckoutHighErrorRate (firing)",
    ]
    assert card.tone is Tone.FIRING
    assert card.summary == "INC-1 · Orders fail (sev2, investigating)"


def test_the_card_offers_roles_the_status_and_the_end() -> None:
    offered = Button(label="Run runbook…", interaction="runbooks.open", value="INC-1")
    buttons = buttons_of(messages.card(INCIDENT, FIRING, [offered]))
    assert labels(buttons) == [
        "Take command",
        "Be scribe",
        "Lead communications",
        "Update status…",
        "Run runbook…",
        "Resolve",
    ]
    assert {button.value for button in buttons} == {"INC-1"}
    assert len({button.interaction for button in buttons}) == 6


def test_a_held_role_is_taken_over_after_a_question() -> None:
    button = messages.role_button(replace(INCIDENT, roles={Role.SCRIBE: RAVI}), Role.SCRIBE)
    assert button.label == "Take over as scribe"
    assert button.confirm is not None
    assert "Ravi Sen has this role now" in button.confirm.text


def test_resolving_warns_while_alerts_fire_and_is_allowed() -> None:
    firing = messages.resolve_button(INCIDENT, [GROUP] * 5).confirm
    quiet = messages.resolve_button(INCIDENT, []).confirm
    assert firing is not None
    assert quiet is not None
    names = ", ".join(["CheckoutHighErrorRate"] * 3)
    assert firing.text == f"Still firing: {names} and 2 more."
    assert quiet.text == "No alert of it fires any more."


def test_the_card_of_a_resolved_incident_is_green_and_offers_what_comes_next() -> None:
    offered = Button(label="Post-mortem", interaction="postmortem.draft", value="INC-1")
    card = messages.card(RESOLVED, Surroundings(alerts=(ENDED,)), [offered])
    assert card.tone is Tone.GOOD
    assert labels(buttons_of(card)) == ["Post-mortem", "Close"]
    assert "Resolved: 12:09" in text_of(card)
    closed = messages.card(replace(RESOLVED, status=IncidentStatus.CLOSED), Surroundings())
    assert buttons_of(closed) == []


def test_the_card_lists_runs_and_counts_earlier_ones() -> None:
    run = Run(
        id=RunId("r"),
        runbook="restart",
        title="Restart the worker",
        parameters={},
        requester=DANA,
        subject="INC-1",
        incident="INC-1",
        service=None,
        created_at=NOON,
        state=RunState.SUCCEEDED,
    )
    one = text_of(messages.card(INCIDENT, Surroundings(runs=(run,))))
    assert "Runbooks: Restart the worker (succeeded)" in one
    many = text_of(messages.card(INCIDENT, Surroundings(runs=(run,) * 7)))
    assert "Runbooks: 2 earlier, " in many


def test_the_standing_has_no_buttons() -> None:
    assert buttons_of(messages.standing(INCIDENT, FIRING)) == []


def test_the_announcement_is_one_line_and_leads_to_the_channel() -> None:
    announced = messages.announcement(INCIDENT)
    assert len(announced.parts) == 1
    assert text_of(announced) == "INC-1 · Orders fail\ninvestigating · sev2 · checkout · <C7>"


def test_a_card_is_the_same_until_something_changes() -> None:
    assert messages.card(INCIDENT, FIRING) == messages.card(replace(INCIDENT), FIRING)
    assert messages.announcement(INCIDENT) == messages.announcement(replace(INCIDENT))


def test_a_role_comes_with_its_duty() -> None:
    said = text_of(messages.duty(INCIDENT, Role.COMMANDER))
    assert said.startswith(
        "You are the incident commander of INC-1. The incident commander decides"
    )


def test_the_end_is_confirmed_with_what_still_fires() -> None:
    assert "Still firing: CheckoutHighErrorRate." in text_of(messages.ended(RESOLVED, [GROUP]))
    closed = replace(RESOLVED, status=IncidentStatus.CLOSED)
    assert text_of(messages.ended(closed, [])) == "INC-1 is closed."


def test_the_story_shows_the_last_entries_with_their_times() -> None:
    entries = [
        TimelineEntry(
            subject="INC-1",
            at=NOON + timedelta(minutes=n),
            kind=TimelineKind.NOTE,
            text=f"note {n}\nmore" if n else "x" * 5000,
            actor_name="Dana Ito",
        )
        for n in range(25)
    ]
    told = text_of(messages.story(INCIDENT, entries))
    assert "5 earlier entries are not shown." in told
    assert "12:24 Dana Ito: note 24 more" in told
    assert "note 4 more" not in told
    assert len(text_of(messages.story(INCIDENT, entries[:1]))) < 400
    assert "Nothing is on the timeline" in text_of(messages.story(INCIDENT, []))


def test_the_list_of_open_incidents_says_who_commands() -> None:
    assert text_of(messages.open_list([])) == "No incident is open."
    listed = text_of(messages.open_list([replace(INCIDENT, roles={Role.COMMANDER: RAVI})]))
    assert "1 incident is open" in listed
    assert "INC-1 Orders fail · <C7>\nsev2 · investigating · checkout" in listed
    assert "commander: Ravi Sen" in listed


def test_who_names_no_incident_is_told_which_are_open() -> None:
    assert messages.which([]) == "No incident is open."
    assert "INC-1 (Orders fail)" in messages.which([INCIDENT])


def test_a_draft_takes_over_what_the_alert_tells() -> None:
    finding = Finding(kind=FindingKind.SEVERITY, claim="sev1: …", value="sev1")
    draft = draft_of(replace(GROUP, findings=(finding,)))
    assert draft == Draft(
        group="g1", title="Half of all orders fail", severity=Severity.SEV1, service="checkout"
    )


def test_a_draft_leaves_open_what_the_alert_does_not_tell() -> None:
    unknown = Finding(kind=FindingKind.SEVERITY, claim="not known", value="unknown")
    bare = alert(summary="")
    draft = draft_of(replace(GROUP, alerts=(bare,), findings=(unknown,)))
    assert draft.title == "CheckoutHighErrorRate"
    assert draft.severity is None
    long = draft_of(replace(GROUP, alerts=(alert(summary="x\n" * 500),)))
    assert len(long.title) <= TITLE_LENGTH


def test_the_declare_form_explains_severities_and_is_filled_in() -> None:
    draft = Draft(
        group="g1", title="T", severity=Severity.SEV3, service="legacy", responders=(DANA.id,)
    )
    title, severity, service, people = declare_form(draft, ["checkout"]).fields
    assert isinstance(title, TextField)
    assert (title.initial, title.longest) == ("T", TITLE_LENGTH)
    assert isinstance(severity, SelectField)
    assert severity.options[0].label == "sev1: most users cannot use the service"
    assert severity.initial == "sev3"
    assert isinstance(service, SelectField)
    assert [option.value for option in service.options] == ["checkout", "legacy"]
    assert service.initial == "legacy"
    assert isinstance(people, PeopleField)
    assert people.initial == (DANA.id,)
    assert not people.required


def test_without_a_catalog_the_service_is_typed() -> None:
    for services in ([], [f"service-{n}" for n in range(150)]):
        field = declare_form(Draft(service="checkout"), services).fields[2]
        assert isinstance(field, TextField)
        assert field.initial == "checkout"


def test_the_update_form_starts_from_the_present_status() -> None:
    status = update_form(INCIDENT).fields[0]
    assert isinstance(status, SelectField)
    assert status.initial == "investigating"


def test_the_keep_form_chooses_for_you_only_where_there_is_no_choice() -> None:
    (one,) = keep_form([INCIDENT]).fields
    (two,) = keep_form([INCIDENT, replace(INCIDENT, id=IncidentId("INC-2"))]).fields
    assert isinstance(one, SelectField)
    assert isinstance(two, SelectField)
    assert (one.initial, two.initial) == ("INC-1", None)
