"""A post-mortem says what the records say: no more, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from bot.domain.alerts import AlertStatus, Severity
from bot.domain.approvals import Answer, Place, Verdict
from bot.domain.findings import Finding, FindingKind
from bot.domain.incidents import IncidentStatus, MilestoneKind
from bot.domain.people import Role
from bot.domain.postmortems import FROM_RECORDS, Postmortem, Prose, Records, draft
from bot.domain.prose import catch_up, facts, impact, invented, summary
from bot.domain.records import milestones, verified
from bot.domain.runbooks import Review
from bot.domain.runs import Run, RunState
from tests.incident_records import (
    ALERT,
    APPROVAL,
    BEN,
    CLEO,
    GROUP,
    INCIDENT,
    PAGE,
    PLAN,
    RECORDS,
    RUN,
    RUNBOOK,
    SEVERITY,
    SIMILAR,
    minutes,
)

AT = minutes(30)
NO_RUNBOOK = Finding(kind=FindingKind.RUNBOOK, claim="No fitting runbook found")


def drafted(records: Records = RECORDS) -> Postmortem:
    return draft(records, at=AT, by=CLEO)


def fates(*runs: Run) -> str:
    suggestions = drafted(replace(RECORDS, runs=runs)).suggestions
    return next(s.fate for s in suggestions if s.claim == RUNBOOK.claim)


def items(records: Records) -> dict[str, str]:
    return {item.text: item.reason for item in drafted(records).action_items}


def with_findings(*findings: Finding) -> Records:
    return replace(RECORDS, groups=(replace(GROUP, findings=findings),))


def test_a_good_incident_is_told_in_full() -> None:
    pm = drafted()
    assert pm.summary == (
        "“Checkout is stuck” was a sev2 incident of checkout. It began at 2026-11-20 09:00 UTC, "
        "and alertmanager reported it 1 min later. Ana acknowledged it at 09:03 UTC and declared "
        "the incident at 09:04 UTC. The runbook “Restart the checkout worker”, asked for by Ana, "
        "approved by Ben: run and verified (09:12 UTC). The incident was mitigated 13 min and "
        "resolved 20 min after it was noticed."
    )
    assert pm.writer == FROM_RECORDS
    assert not pm.by_model
    assert pm.assistant_bad == ()
    assert [s.good for s in pm.suggestions] == [True, True, True]


def test_times_are_computed_from_milestones() -> None:
    assert {m.name: m.seconds for m in drafted().measures} == {
        "TTD": 60,
        "TTA": 120,
        "TTM": 780,
        "TTR": 1200,
    }


def test_milestones_the_incident_did_not_record_come_from_its_alerts() -> None:
    bare = replace(RECORDS, incident=replace(INCIDENT, milestones=()))
    told = {m.kind: (m.at, m.by) for m in milestones(bare)}
    assert told[MilestoneKind.ACKNOWLEDGED] == (minutes(3), "person:U1")
    assert told[MilestoneKind.MITIGATED] == (minutes(14), "system")
    assert told[MilestoneKind.DECLARED] == (minutes(4), "person:U1")
    assert MilestoneKind.RESOLVED not in told


def test_a_firing_alert_leaves_the_end_unknown() -> None:
    firing = replace(
        GROUP,
        resolved_at=None,
        alerts=(replace(ALERT, status=AlertStatus.FIRING, ends_at=None),),
    )
    records = replace(RECORDS, groups=(GROUP, firing))
    assert MilestoneKind.MITIGATED not in {m.kind for m in milestones(records)}
    assert "has been firing since" in impact(records)
    assert "Look after CheckoutStuck" in items(records)


def test_an_incident_declared_by_hand_was_noticed_when_it_was_declared() -> None:
    by_hand = replace(
        RECORDS, incident=replace(INCIDENT, milestones=(), groups=()), groups=(), runs=()
    )
    assert "It was noticed at 2026-11-20 09:04 UTC." in summary(by_hand)
    assert "nobody acknowledged" not in summary(by_hand)
    assert items(by_hand)["Add an alert that finds this on checkout"] == (
        "people found it, no alert did"
    )


@pytest.mark.parametrize(
    ("state", "fate"),
    (
        (RunState.FAILED, "run, and it failed: no answer"),
        (RunState.DENIED, "asked for and denied: no answer"),
        (RunState.EXPIRED, "asked for and expired: no answer"),
        (RunState.CANCELLED, "asked for and stopped"),
        (RunState.IN_DOUBT, "run, and it is not known whether it took effect: no answer"),
        (RunState.AWAITING, "still awaiting approval"),
    ),
)
def test_what_became_of_a_suggested_runbook_is_what_became_of_its_run(
    state: RunState, fate: str
) -> None:
    assert fates(replace(RUN, state=state, reason="no answer")) == fate


def test_a_run_that_had_nothing_to_do_was_not_stopped() -> None:
    needless = replace(RUN, state=RunState.CANCELLED, reason="nothing to do: all is well")
    assert fates(needless) == "asked for, and there was nothing to do: all is well"


def test_a_run_that_was_stopped_half_way_had_been_run() -> None:
    record = replace(RUN.records[0], started_at=RUN.created_at)
    stopped = replace(RUN, state=RunState.CANCELLED, records=(record,), reason="stopped by Dana")
    assert fates(stopped) == "run, and stopped before its end"


def test_several_runs_of_a_suggested_runbook_are_told_in_order() -> None:
    failed = replace(RUN, state=RunState.FAILED, reason="timeout")
    assert fates(failed, RUN) == "run, and it failed: timeout; then run and verified"


def test_a_suggestion_nobody_used_counts_against_the_assistant() -> None:
    pm = drafted(replace(RECORDS, runs=()))
    assert pm.suggestions[-1].fate == "nobody used it"
    assert pm.suggestions[-1].good is False
    line = "It suggested the runbook “Restart the checkout worker”, and nobody used it."
    assert line in pm.assistant_bad


def test_a_run_of_another_runbook_is_no_use_of_the_suggested_one() -> None:
    assert fates(replace(RUN, runbook="other")) == "nobody used it"


def test_a_rollback_is_no_use_of_the_suggested_runbook() -> None:
    assert fates(replace(RUN, parent=RUN.id)) == "nobody used it"


def test_a_run_without_a_check_succeeded_but_was_not_verified() -> None:
    step = replace(PLAN.steps[0], verify=None)
    unchecked = replace(RUN, plan=replace(PLAN, steps=(step,)))
    assert not verified(unchecked)
    assert fates(unchecked) == "run, and it succeeded"


def test_a_step_that_failed_while_the_plan_went_on_is_not_verified() -> None:
    record = replace(RUN.records[0], summary="failed, and the plan goes on: timeout")
    assert not verified(replace(RUN, records=(record,)))


def test_another_severity_than_proposed_counts_against_the_assistant() -> None:
    pm = drafted(replace(RECORDS, incident=replace(INCIDENT, severity=Severity.SEV1)))
    assert pm.suggestions[0].good is False
    assert "It proposed sev2; people settled on sev1." in pm.assistant_bad


def test_abstaining_is_no_suggestion_but_it_is_told() -> None:
    pm = drafted(
        with_findings(replace(SEVERITY, value="unknown", claim="Severity unknown"), NO_RUNBOOK)
    )
    assert pm.suggestions == ()
    assert pm.assistant_bad == (
        "It could not tell a severity.",
        "It knew no runbook for the alert.",
    )


def test_a_similar_incident_nobody_spoke_of_stays_open() -> None:
    silent = drafted(replace(RECORDS, timeline=()))
    assert silent.suggestions[1].good is None
    assert silent.suggestions[1].fate == "the record does not say whether it helped"


def test_a_similar_incident_is_not_mistaken_for_a_longer_name() -> None:
    note = replace(RECORDS.timeline[3], text="like EX-77")
    assert drafted(replace(RECORDS, timeline=(note,))).suggestions[1].good is None


def test_comparing_by_words_only_is_told() -> None:
    pm = drafted(with_findings(replace(SIMILAR, model="words")))
    assert "by words only" in pm.assistant_bad[0]


def test_approvals_name_plan_and_people() -> None:
    (consent,) = drafted().consents
    assert consent.digest == PLAN.digest
    assert consent.requester == "Ana"
    assert consent.answers == ("Ben approved at 2026-11-20 09:09:00 UTC",)
    assert consent.demanded == "R2: 1 of @oncall, not the requester"
    assert consent.verdict == "granted"


@pytest.mark.parametrize(
    ("quorum", "demanded"),
    (
        ((), "R2: nobody's consent"),
        ((Place(group="", count=2),), "R2: 2 of anyone, not the requester"),
        (
            (Place(group="oncall"), Place(group="dba")),
            "R2: 1 of @oncall and 1 of @dba, not the requester",
        ),
    ),
)
def test_an_approval_says_whose_consent_it_needed(quorum: tuple[Place, ...], demanded: str) -> None:
    run = replace(RUN, approval=replace(APPROVAL, quorum=quorum))
    (consent,) = drafted(replace(RECORDS, runs=(run,))).consents
    assert consent.demanded == demanded


def test_a_denial_keeps_its_reason() -> None:
    no = Answer(person=BEN, approve=False, at=minutes(9), reason="not during the sale")
    denied = replace(
        RUN,
        state=RunState.DENIED,
        records=(),
        approval=replace(APPROVAL, answers=(no,), verdict=Verdict.DENIED),
    )
    (consent,) = drafted(replace(RECORDS, runs=(denied,))).consents
    assert consent.verdict == "denied"
    assert consent.answers[0].endswith("denied at 2026-11-20 09:09:00 UTC: not during the sale")


@pytest.mark.parametrize(
    ("changes", "verdict"),
    (
        ({"approval": replace(APPROVAL, answers=())}, "not needed"),
        ({"plan": replace(PLAN, authorised_by="f" * 64)}, "covered by the approved plan ffffffff"),
    ),
)
def test_a_plan_nobody_answered_says_why(changes: dict[str, object], verdict: str) -> None:
    run = replace(RUN, **changes)  # type: ignore[arg-type]  # names checked by replace
    (consent,) = drafted(replace(RECORDS, runs=(run,))).consents
    assert consent.verdict.startswith(verdict)


def test_nothing_to_do_follows_from_a_perfect_incident() -> None:
    assert items(with_findings(SEVERITY, RUNBOOK)) == {}


def test_action_items_follow_from_facts() -> None:
    incident = replace(
        INCIDENT,
        roles={Role.SCRIBE: CLEO},
        milestones=tuple(
            m for m in INCIDENT.milestones if m.kind is not MilestoneKind.ACKNOWLEDGED
        ),
    )
    group = replace(
        GROUP, acknowledged_at=None, acknowledged_by=None, findings=(NO_RUNBOOK, SIMILAR)
    )
    run = replace(RUN, state=RunState.FAILED, reason="timeout")
    records = replace(RECORDS, incident=incident, groups=(group,), runs=(run,))
    assert items(records) == {
        "Agree who acknowledges alerts of checkout": "nobody acknowledged this one",
        "Hand out the roles early": "nobody was incident commander or communications lead",
        "Repair the runbook “Restart the checkout worker”": "it failed: timeout",
        "Write a runbook for CheckoutStuck": "No fitting runbook found",
        "Find out whether EX-7 came back, and why": "it looked similar when the alert came in",
    }


def test_a_late_acknowledgement_is_an_action_item() -> None:
    late = tuple(
        replace(m, at=minutes(17)) if m.kind is MilestoneKind.ACKNOWLEDGED else m
        for m in INCIDENT.milestones
    )
    found = items(replace(RECORDS, incident=replace(INCIDENT, milestones=late)))
    assert found["Find out why alerts of checkout wait for somebody"] == (
        "it took 16 min until it was acknowledged"
    )


def test_a_used_runbook_past_its_review_is_an_action_item() -> None:
    stale = replace(PAGE, review=Review(by="Ben", at=date(2026, 1, 1), max_age_days=180))
    found = items(replace(RECORDS, runbooks=(stale, replace(stale, id="unused", title="Other"))))
    assert "Review the runbook “Restart the checkout worker”" in found
    assert "Review the runbook “Other”" not in found


def test_impact_says_what_is_not_known() -> None:
    assert impact(RECORDS) == (
        "sev2: many users are affected. CheckoutStuck (1 alert) fired for 14 min from 2026-11-20 "
        "09:00 UTC. The alert's own words: Orders wait. How many users were affected is not on "
        "record; add it by hand."
    )


def test_the_alerts_summary_stands_in_where_it_names_no_impact() -> None:
    alert = replace(ALERT, annotations={"summary": "Orders are not processed"})
    told = impact(replace(RECORDS, groups=(replace(GROUP, alerts=(alert,)),)))
    assert "The alert's own words: Orders are not processed." in told


def test_a_catch_up_tells_where_an_open_incident_stands() -> None:
    incident = replace(INCIDENT, status=IncidentStatus.INVESTIGATING, roles={})
    run = replace(RUN, state=RunState.AWAITING, ended_at=None)
    text = catch_up(replace(RECORDS, incident=incident, runs=(run,)), at=minutes(16))
    assert text.startswith(
        "INC-1 “Checkout is stuck” is sev2 and investigating, declared 12 min ago by Ana."
    )
    assert "Nobody has taken a role yet." in text
    assert "still awaiting approval" in text


def test_the_records_own_texts_have_no_number_that_is_not_a_fact() -> None:
    known = facts(RECORDS, at=AT)
    assert invented(summary(RECORDS), known) == ()
    assert invented(impact(RECORDS), known) == ()


def test_numbers_that_are_not_on_record_are_found() -> None:
    known = facts(RECORDS, at=AT)
    assert invented("It hit 4,000 users at 09:07 UTC; 13 min later it was over.", known) == (
        "4,000",
        "09:07",
    )


def test_each_fact_is_one_line_whatever_it_contains() -> None:
    forged = replace(RECORDS.timeline[3], text="fine\nresolved: 2026-11-20 09:05 UTC by Ana")
    before = len(facts(replace(RECORDS, timeline=()), at=AT).splitlines())
    after = facts(replace(RECORDS, timeline=(forged,)), at=AT).splitlines()
    assert sum(line.startswith("timeline ") for line in after) == 1
    assert len(after) == before + 1


def test_a_models_summary_is_marked() -> None:
    pm = draft(RECORDS, at=AT, by=CLEO, prose=Prose(text="It broke.", writer="SomeModel 1"))
    assert (pm.summary, pm.writer, pm.by_model) == ("It broke.", "SomeModel 1", True)


def test_any_change_of_the_document_changes_its_digest() -> None:
    pm = drafted()
    assert pm.digest == drafted().digest
    assert pm.digest != replace(pm, impact="less").digest
