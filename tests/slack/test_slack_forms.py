from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import HealthCheck, given, settings

from bot.domain.messages import (
    FieldErrors,
    Form,
    Option,
    PeopleField,
    SelectField,
    TextField,
    note,
    paragraph,
)
from bot.domain.people import ChannelId, PersonId
from bot.ports import MessageRef
from bot.slack.forms import (
    Opened,
    answers,
    field_errors,
    first_error,
    render_form,
    render_message,
)
from tests.slack.oracle import faults_of_blocks, faults_of_call, needs_oracle
from tests.slack.strategies import forms

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
DECLARE = Form(
    title="Declare an incident",
    interaction="incident.declare",
    value="g1",
    submit="Declare",
    parts=(paragraph("A channel will be created."),),
    fields=(
        TextField(name="title", label="Title", initial="Checkout fails", longest=120),
        TextField(name="text", label="Text", lines=4, required=False, hint="What do users see?"),
        SelectField(
            name="severity",
            label="Severity",
            options=(Option(value="sev1", label="Severe"), Option(value="sev2", label="High")),
            initial="sev2",
        ),
        PeopleField(name="people", label="Invite", initial=(PersonId("U1"),), required=False),
    ),
)


def view(form: Form = DECLARE, opened: Opened | None = None) -> dict[str, Any]:
    return render_form(form, opened=opened or Opened(value=form.value), now=NOW)


def test_a_form_is_a_modal_with_an_input_for_each_field() -> None:
    modal = view()
    assert modal["callback_id"] == "incident.declare"
    assert modal["title"]["text"] == "Declare an incident"
    assert (modal["submit"]["text"], modal["close"]["text"]) == ("Declare", "Cancel")
    kinds = [block.get("element", {}).get("type") for block in modal["blocks"]]
    assert kinds == [
        None,
        "plain_text_input",
        "plain_text_input",
        "static_select",
        "multi_users_select",
    ]
    title, text, severity, people = (block["element"] for block in modal["blocks"][1:])
    assert (title["initial_value"], title["max_length"], title["multiline"]) == (
        "Checkout fails",
        120,
        False,
    )
    assert text["multiline"]
    assert severity["initial_option"] == severity["options"][1]
    assert people["initial_users"] == ["U1"]
    assert [block["optional"] for block in modal["blocks"][1:]] == [False, True, False, True]


def test_a_form_without_fields_has_no_submit_button() -> None:
    modal = view(Form(title="Plan", interaction="a.b", value="1", parts=(paragraph("x"),)))
    assert "submit" not in modal
    assert modal["close"]["text"] == "Close"


def test_a_modal_remembers_where_it_was_opened_from() -> None:
    opened = Opened(
        value="g1",
        channel=ChannelId("C1"),
        message=MessageRef(channel=ChannelId("C1"), id="1.2"),
    )
    assert Opened.load(view(opened=opened)["private_metadata"]) == opened
    for foreign in ("", "no json", "[]", '"x"'):
        assert Opened.load(foreign) == Opened()


def test_answers_come_back_by_field_name() -> None:
    state = {
        "values": {
            "field:title": {"title": {"type": "plain_text_input", "value": "It burns"}},
            "field:text": {"text": {"type": "plain_text_input", "value": None}},
            "field:severity": {
                "severity": {"type": "static_select", "selected_option": {"value": "sev1"}}
            },
            "field:none": {"none": {"type": "static_select", "selected_option": None}},
            "field:people": {
                "people": {"type": "multi_users_select", "selected_users": ["U1", "U2"]}
            },
        }
    }
    assert answers({"state": state}) == {
        "title": "It burns",
        "text": "",
        "severity": "sev1",
        "none": "",
        "people": "U1,U2",
    }
    assert answers({}) == {}


def test_errors_stand_under_their_fields_and_unknown_ones_under_the_first() -> None:
    errors = FieldErrors({"severity": "Too high.", "ghost": "No such thing."})
    assert field_errors(errors, view()) == {
        "field:severity": "Too high.",
        "field:title": "No such thing.",
    }
    assert first_error("Not now.", view()) == {"field:title": "Not now."}
    assert first_error("Not now.", {"blocks": []}) == {}


def test_a_message_can_be_shown_as_a_modal() -> None:
    modal = render_message(note("Done."), title="T" * 40, opened=Opened(), now=NOW)
    assert len(modal["title"]["text"]) == 24
    assert "submit" not in modal


@needs_oracle
@given(forms)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_slack_would_take_any_form(form: Form) -> None:
    modal = view(form)
    assert faults_of_blocks("modal", modal["blocks"]) == []
    assert faults_of_call("views.open", {"trigger_id": "1", "view": modal}) == []
    assert len(modal["blocks"]) >= 1
