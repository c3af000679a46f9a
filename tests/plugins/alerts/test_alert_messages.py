"""What the alert's buttons, lists and details say, by value."""

from dataclasses import replace
from datetime import timedelta

import pytest

from bot.domain.alerts import AlertGroup, AlertStatus, GroupId
from bot.domain.findings import Evidence, Finding, FindingKind
from bot.domain.messages import Link, Paragraph, Quiet, SelectField, Style, TextField
from bot.domain.people import Person, PersonId
from bot.domain.timeline import TimelineEntry, TimelineKind
from plugins.alerts.details import ALERTS_SHOWN, details_form, shared
from plugins.alerts.messages import (
    SPANS,
    acknowledge_button,
    details_button,
    firing_list,
    for_viewer,
    home,
    silence_button,
    silence_form,
)
from tests.fakes import NOON
from tests.stage import alert, text_of

DANA = Person(id=PersonId("U1"), name="Dana Ito")
RAVI = Person(id=PersonId("U2"), name="Ravi Sen")
GROUP = AlertGroup(
    id=GroupId("g1"),
    source="alertmanager",
    group_key="k",
    labels={},
    alerts=(alert(),),
    first_seen=NOON,
    last_seen=NOON,
)
RESOLVED = replace(
    GROUP, alerts=(alert(status=AlertStatus.RESOLVED, ends_at=NOON),), resolved_at=NOON
)
TAKEN = replace(GROUP, acknowledged_by=DANA, acknowledged_at=NOON)
LATER = NOON + timedelta(minutes=5)


def test_an_alert_nobody_has_is_offered_loudly() -> None:
    button = acknowledge_button(GROUP)
    assert button is not None
    assert (button.label, button.value, button.style) == ("Acknowledge", "g1", Style.PRIMARY)


def test_an_alert_somebody_has_can_be_taken_over() -> None:
    button = acknowledge_button(TAKEN)
    assert button is not None
    assert (button.label, button.style) == ("Take over", Style.PLAIN)


def test_a_resolved_alert_can_only_be_looked_at() -> None:
    assert acknowledge_button(RESOLVED) is None
    assert silence_button(RESOLVED) is None
    assert details_button(RESOLVED).value == "g1"


def test_the_silence_form_asks_how_long_and_why() -> None:
    form = silence_form(GROUP, at=NOON)
    length, reason = form.fields
    assert isinstance(length, SelectField)
    assert [option.value for option in length.options] == list(SPANS)
    assert [span.total_seconds() / 60 for span in SPANS.values()] == [30, 60, 240, 1440]
    assert isinstance(reason, TextField)
    assert reason.required


def test_the_silence_form_says_when_it_is_silent_already() -> None:
    silent = replace(GROUP, silenced_until=LATER, silenced_by=DANA)
    assert "silenced until 12:05" in text_of(silence_form(silent, at=NOON))
    assert "silenced until" not in text_of(silence_form(silent, at=LATER))


def test_the_list_says_who_has_what_for_how_long() -> None:
    listed = text_of(firing_list([GROUP, TAKEN], {}, at=LATER))
    assert "2 alerts are firing" in listed
    assert "CheckoutHighErrorRate · checkout · for 5 min · nobody has it" in listed
    assert "Dana Ito has it" in listed


def test_the_list_is_short_and_counts_the_rest() -> None:
    listed = text_of(firing_list([GROUP] * 23, {}, at=NOON))
    assert "And 3 more." in listed


def test_an_empty_list_says_so() -> None:
    assert text_of(firing_list([], {}, at=NOON)) == "No alert is firing."


def test_an_alert_in_the_list_leads_to_its_card() -> None:
    message = firing_list([GROUP], {"g1": "https://chat.example/1"}, at=NOON)
    line = message.parts[1]
    assert isinstance(line, Paragraph)
    assert line.spans[0] == Link("CheckoutHighErrorRate", "https://chat.example/1")


def test_a_home_page_begins_with_what_the_viewer_has() -> None:
    theirs = replace(GROUP, id=GroupId("g2"), acknowledged_by=RAVI)
    mine = replace(GROUP, id=GroupId("g3"), acknowledged_by=DANA)
    assert [g.id for g in for_viewer([theirs, GROUP, mine], DANA.id)] == ["g3", "g1", "g2"]


def test_a_home_page_leaves_out_what_is_silent_and_says_nothing_about_nothing() -> None:
    silent = replace(GROUP, silenced_until=LATER)
    assert home([silent], {}, viewer=DANA.id, at=NOON) is None
    assert home([], {}, viewer=DANA.id, at=NOON) is None
    shown = home([silent, GROUP], {}, viewer=DANA.id, at=NOON)
    assert "1 alert is firing" in text_of(shown)


def test_shared_pairs_are_those_on_which_all_agree() -> None:
    assert shared([{"a": "1", "b": "2"}, {"a": "1", "b": "3"}, {"a": "1"}]) == {"a": "1"}
    assert shared([]) == {}


def test_the_details_show_every_claim_with_its_evidence() -> None:
    finding = Finding(
        kind=FindingKind.RUNBOOK,
        claim="Runbook “Restart the worker” fits",
        evidence=(
            Evidence(kind="runbook", ref="r", label="names the alert"),
            Evidence(kind="link", ref="l", label="its own link", url="https://wiki.example/r"),
        ),
        confidence=0.81,
        model="rules/1",
        detail="Also “Drain the queue”.",
        plugin="runbooks",
    )
    form = details_form(replace(GROUP, findings=(finding,)), [])
    said = text_of(form)
    assert "Runbook: Runbook “Restart the worker” fits (81% sure)" in said
    assert "Also “Drain the queue”." in said
    assert "Evidence: names the alert · its own link" in said
    assert "Method: runbooks · rules/1." in said
    quiet = [part for part in form.parts if isinstance(part, Quiet)]
    assert any(Link("its own link", "https://wiki.example/r") in part.spans for part in quiet)


def test_the_details_show_labels_once_and_differences_per_alert() -> None:
    group = replace(GROUP, alerts=(alert(instance="a"), alert(instance="b")))
    said = text_of(details_form(group, []))
    assert said.count("service: checkout") == 1
    assert "firing since 12:00 · instance: a · graph" in said
    assert "firing since 12:00 · instance: b · graph" in said
    assert "summary: Half of all orders fail" in said


def test_the_details_show_the_first_alerts_and_count_the_rest() -> None:
    ended = tuple(
        alert(instance=str(n), status=AlertStatus.RESOLVED, ends_at=LATER) for n in range(30)
    )
    group = replace(GROUP, alerts=(*ended, alert(instance="fires")), truncated=7)
    said = text_of(details_form(group, []))
    assert said.index("instance: fires") < said.index("instance: 0")
    assert said.count(" · instance: ") == ALERTS_SHOWN
    assert "And 11 more." in said
    assert "The sender left out 7 more." in said


def test_the_details_tell_the_story_with_its_times() -> None:
    entry = TimelineEntry(
        subject="g1",
        at=LATER,
        kind=TimelineKind.ALERT,
        text="acknowledged the alert",
        actor_name="Dana Ito",
    )
    assert "12:05 Dana Ito acknowledged the alert" in text_of(details_form(GROUP, [entry]))


@pytest.mark.parametrize("text", ("<!channel>", "x" * 5_000, "`*_", "\n\n"))
def test_whatever_a_label_says_stays_a_text_of_bounded_length(text: str) -> None:
    group = replace(GROUP, alerts=(alert(instance=text), alert(instance="b")))
    assert len(text_of(details_form(group, []))) < 2_000
