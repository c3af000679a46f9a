"""The run's message in every state: what it says, which buttons it has, what it fits into."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.domain.approvals import Answer, Place, Verdict
from bot.domain.messages import (
    Button,
    Buttons,
    Code,
    Elapsed,
    Facts,
    Heading,
    Mention,
    Message,
    Moment,
    Paragraph,
    PersonName,
    Quiet,
    Span,
    Tone,
)
from bot.domain.people import BOT
from bot.domain.runs import Fact, Plan, Run, RunState, StepState
from bot.slack.blocks import render
from bot.slack.forms import Opened, render_form
from plugins.runbooks.buttons import HALT
from plugins.runbooks.consent import DENY, denial_form
from plugins.runbooks.messages import run_message, whole_plan
from plugins.runbooks.steps import measured
from tests.plugins.runbooks.runbook_samples import (
    DANA,
    EVE,
    NOW,
    UNDO,
    approved,
    plan,
    planned_step,
    run,
    step_record,
)


def draw(made) -> Message:  # type: ignore[no-untyped-def]  # a run
    return run_message(made, owner="payments", at=NOW)


def said(span: Span) -> str:
    if isinstance(span, str):
        return span
    if isinstance(span, PersonName):
        return span.name
    if isinstance(span, Moment | Elapsed):
        return "(time)"
    return getattr(span, "text", "")


def text(message: Message) -> str:
    lines: list[str] = []
    for part in message.parts:
        if isinstance(part, Paragraph | Quiet):
            lines.append("".join(said(span) for span in part.spans))
        elif isinstance(part, Heading | Code):
            lines.append(part.text)
        elif isinstance(part, Facts):
            lines += [f"{label}: {''.join(map(said, spans))}" for label, spans in part.pairs]
    return "\n".join(lines)


def buttons(message: Message) -> dict[str, Button]:
    rows = [part for part in message.parts if isinstance(part, Buttons)]
    return {button.label: button for row in rows for button in row.buttons}


def test_a_draft_says_that_nothing_is_changed_and_can_be_cancelled() -> None:
    message = draw(run(RunState.DRAFT, approval=None))
    assert "nothing is changed" in text(message)
    assert list(buttons(message)) == ["Cancel"]


def test_a_waiting_plan_shows_everything_that_is_approved() -> None:
    message = draw(run(RunState.AWAITING))
    shown = text(message)
    for piece in (
        "not ok  Error rate: 0.4 (expected below 0.05)",
        "ok  Queue: 5",
        "1. Restart the worker · checkout.restart_worker@1 · R2 (reversible, service-wide)",
        "- worker 4\n+ worker 5",
        "With expected_generation=4",
        "It hangs.",
        "Confirmed when prometheus.query@1 (query=errors) is below 0.05, 3 times in a row,"
        " asked every 1 s for at most 90 s.",
        "If it fails, nothing more is run and people take over.",
        "Needs: 0 of 1 from @payments-oncall",
        "Answer by: (time)",
        f"plan {plan().digest[:12]}",
        "Asked for by Dana",
    ):
        assert piece in shown
    assert message.tone is Tone.WAITING
    assert "0 of 1 from @payments-oncall" in message.summary


def test_the_buttons_carry_the_run_and_the_digest_that_was_shown() -> None:
    shown = buttons(draw(run(RunState.AWAITING)))
    assert list(shown) == ["Approve", "Deny…", "Cancel"]
    assert shown["Approve"].value == f"r1:{plan().digest}"
    assert shown["Deny…"].value == f"r1:{plan().digest}"
    confirm = shown["Approve"].confirm
    assert confirm is not None
    assert plan().digest[:12] in confirm.text


def test_progress_counts_each_group_and_anyone() -> None:
    waiting = run(RunState.AWAITING)
    assert waiting.approval is not None
    yes = Answer(person=EVE, approve=True, at=NOW, groups=frozenset({"payments-oncall"}))
    quorum = (Place(group="payments-oncall"), Place(group="", count=1))
    approval = replace(waiting.approval, quorum=quorum, answers=(yes,))
    shown = text(draw(replace(waiting, approval=approval)))
    assert "1 of 1 from @payments-oncall and 0 of 1 from anyone but the requester" in shown


def test_an_approved_run_names_the_approver_and_can_be_stopped() -> None:
    message = draw(approved(RunState.APPROVED))
    assert "Approved by Eve" in text(message)
    assert list(buttons(message)) == ["Stop", "Halt…"]


def test_a_running_step_shows_its_time() -> None:
    message = draw(approved(RunState.RUNNING, records=(step_record(StepState.RUNNING),)))
    assert "Running step 1 of 1." in text(message)
    assert "Running  1. Restart the worker · 12 s" in text(message)


def test_a_verification_shows_the_measured_value_against_the_expectation() -> None:
    record = step_record(StepState.VERIFYING, value=0.123456)
    message = draw(
        approved(
            RunState.VERIFYING,
            records=(record,),
            good_checks=2,
            verify_by=NOW + timedelta(minutes=1),
        )
    )
    assert "measured 0.1235, expected below 0.05, 2 of 3 in a row" in text(message)
    assert "Stop" in buttons(message)


def test_no_value_is_not_shown_as_a_number() -> None:
    check = planned_step().verify
    assert check is not None
    assert measured(check, None, good=0).startswith("measured nothing yet")


def test_a_run_that_is_being_stopped_offers_no_second_stop() -> None:
    message = draw(approved(RunState.RUNNING, stop_requested_by=DANA))
    assert "It is being stopped" in text(message)
    assert list(buttons(message)) == ["Halt…"]


def test_success_is_green_and_can_be_undone_where_there_is_an_undo() -> None:
    done = step_record(StepState.DONE, summary="verified: 0 errors", ended_at=NOW)
    made = approved(RunState.SUCCEEDED, records=(done,), ended_at=NOW)
    message = draw(made)
    assert message.tone is Tone.GOOD
    assert "Succeeded and verified. It took 12 s." in text(message)
    assert "Done  1. Restart the worker · verified: 0 errors · 12 s" in text(message)
    asked = ["Helpful", "Not helpful"]
    assert list(buttons(message)) == asked
    assert list(buttons(draw(replace(made, undoes=(UNDO,))))) == ["Undo", *asked]


def test_success_in_spite_of_a_failed_step_claims_no_proof() -> None:
    failed = step_record(
        StepState.FAILED, summary="failed, and the plan goes on: not verified", ended_at=NOW
    )
    message = draw(approved(RunState.SUCCEEDED, records=(failed,), ended_at=NOW))
    assert "verified." not in text(message)
    assert "Succeeded, although not every step did." in text(message)
    assert "verified" not in message.summary


def test_a_stop_says_that_what_is_under_way_is_broken_off() -> None:
    confirm = buttons(draw(approved(RunState.RUNNING)))["Stop"].confirm
    assert confirm is not None
    assert "One that is under way is broken off" in confirm.text


def test_success_without_verification_does_not_claim_one() -> None:
    bare = plan(planned_step(verify=None))
    message = draw(run(RunState.SUCCEEDED, plan=bare))
    assert "verified" not in text(message).splitlines()[1]


def test_a_failure_says_why_what_stands_and_who_owns_the_page() -> None:
    failed = approved(
        RunState.FAILED,
        reason="not verified within 90 s",
        undoes=(UNDO,),
        records=(step_record(StepState.FAILED),),
    )
    message = draw(failed)
    assert message.tone is Tone.FIRING
    shown = text(message)
    assert "Failed. Not verified within 90 s." in shown
    assert "can be taken back" in shown
    assert "payments owns the runbook" in shown
    assert list(buttons(message))[:2] == ["Undo", "Ask again…"]


def test_a_plan_that_could_not_be_made_changed_nothing() -> None:
    message = draw(run(RunState.FAILED, plan=plan(), reason="The dry run failed."))
    assert "Nothing was changed." in text(message)


def test_a_denial_shows_its_reason() -> None:
    waiting = run(RunState.DENIED)
    assert waiting.approval is not None
    no = Answer(person=EVE, approve=False, at=NOW, reason="wrong worker")
    approval = replace(waiting.approval, answers=(no,), verdict=Verdict.DENIED)
    assert "Denied. Eve: wrong worker" in text(draw(replace(waiting, approval=approval)))


@pytest.mark.parametrize("state", (RunState.EXPIRED, RunState.CANCELLED))
def test_an_ended_request_can_be_asked_for_again(state: RunState) -> None:
    message = draw(run(state, reason="by Dana"))
    assert buttons(message)["Ask again…"].value == "g1|worker-stuck"
    assert message.tone is Tone.MUTED


def test_a_doubt_says_what_to_do_and_lets_a_person_settle_it() -> None:
    record = step_record(StepState.IN_DOUBT)
    message = draw(approved(RunState.IN_DOUBT, records=(record,), reason="no answer in 30 s"))
    assert "It is not known whether “Restart the worker” took effect. No answer" in text(message)
    assert list(buttons(message)) == ["It happened", "It did not happen"]
    assert all(button.confirm is not None for button in buttons(message).values())


def test_a_doubt_of_a_stopped_run_promises_no_further_step() -> None:
    made = approved(RunState.IN_DOUBT, records=(step_record(StepState.IN_DOUBT),), reason="?")
    assert "the run goes on to verify it" in text(draw(made))
    stopped = text(draw(replace(made, stop_requested_by=DANA)))
    assert "the run ends as stopped" in stopped
    assert "goes on" not in stopped


@pytest.mark.parametrize("state", list(RunState))
@pytest.mark.parametrize("count", (1, 12, 13, 40))
def test_every_state_fits_into_one_message(state: RunState, count: int) -> None:
    steps = tuple(planned_step(id=f"s{n}", title=f"Step {n}") for n in range(count))
    message = draw(run(state, plan=plan(*steps)))
    assert len(message.parts) <= 50
    assert isinstance(message.parts[0], Heading)
    if state is RunState.AWAITING:
        assert f"Step {count - 1}" in text(message)


def test_a_plan_too_long_for_a_message_is_read_in_a_form_and_nothing_is_cut() -> None:
    steps = tuple(planned_step(id=f"s{n}", diff=f"line {n}\n" * 200) for n in range(9))
    waiting = run(RunState.AWAITING, plan=plan(*steps))
    message = draw(waiting)
    assert len(text(message)) < 9_000
    assert "Read all of it before you answer" in text(message)
    assert next(iter(buttons(message))) == "Whole plan…"
    form = whole_plan(waiting)
    assert [part.text for part in form.parts if isinstance(part, Code)] == [s.diff for s in steps]


@pytest.mark.parametrize("state", list(RunState))
def test_a_run_without_plan_or_approval_can_be_drawn_in_any_state(state: RunState) -> None:
    assert draw(replace(run(state), plan=None, approval=None, records=())).summary


def governed(**changes: Any) -> Plan:
    return replace(plan(), policies=("service-wide", "trial"), **changes)


def test_a_plan_says_who_may_feel_it_and_which_rules_decided() -> None:
    touched = governed(touches=("checkout", "storefront", "cart"))
    shown = text(draw(run(RunState.AWAITING, plan=touched)))
    assert "May be felt by: storefront, cart (2 services)" in shown
    assert "decided by service-wide, trial" in shown
    alone = text(draw(run(RunState.AWAITING, plan=governed(touches=("checkout",)))))
    assert "May be felt by" not in alone


def test_very_many_services_are_counted_rather_than_named() -> None:
    many = governed(touches=("checkout", *(f"service-{n}" for n in range(40))))
    shown = text(draw(run(RunState.AWAITING, plan=many)))
    assert "service-5 and 34 more (40 services)" in shown
    assert "service-6" not in shown


def test_both_expiries_and_those_who_have_approved_so_far_are_shown() -> None:
    waiting = run(RunState.AWAITING)
    assert waiting.approval is not None
    yes = Answer(person=EVE, approve=True, at=NOW)
    quorum = (Place(group="", count=2, teams_differ=True),)
    approval = replace(waiting.approval, quorum=quorum, answers=(yes,))
    message = draw(replace(waiting, approval=approval))
    shown = text(message)
    assert "of 2 from anyone but the requester, of different teams" in shown
    assert "Approved so far by: Eve" in shown
    assert "Answer by: (time)" in shown
    assert "Then to start within: 10 min" in shown
    assert not any(isinstance(span, Mention) for span in spans(message))


def spans(message: Message) -> list[Span]:
    rows = [p.spans for p in message.parts if isinstance(p, Paragraph | Quiet)]
    pairs = [v for p in message.parts if isinstance(p, Facts) for _, v in p.pairs]
    return [span for row in (*rows, *pairs) for span in row]


def vetoable() -> Run:
    frozen = replace(plan(), quorum=(), veto_seconds=120, change_type="normal")
    made = run(RunState.AWAITING, plan=frozen, requester=BOT)
    assert made.approval is not None
    until = NOW + timedelta(seconds=120)
    return replace(made, approval=replace(made.approval, quorum=(), veto_until=until))


def test_what_begins_by_itself_says_when_and_can_be_stopped_with_a_reason() -> None:
    made = vetoable()
    message = draw(made)
    shown = text(message)
    assert "Tocsin does this by itself at (time), 2 min after it was planned, unless" in shown
    assert "Needs" not in shown
    assert message.summary == "Runbook “Worker is stuck”: begins by itself unless somebody stops it"
    (veto,) = buttons(message).values()
    assert (veto.label, veto.interaction) == ("Stop it…", DENY)
    assert veto.value == f"r1:{plan_of(made).digest}"
    form = denial_form(veto.value, made)
    assert (form.title, form.submit) == ("Stop it", "Stop it")


def plan_of(made: Run) -> Plan:
    assert made.plan is not None
    return made.plan


def test_a_run_that_nobody_stopped_does_not_claim_an_approval() -> None:
    shown = text(draw(replace(vetoable(), state=RunState.APPROVED)))
    assert "Nobody stopped it. It starts now." in shown
    assert "Approved" not in shown


def test_broken_glass_and_standing_authorisations_are_marked() -> None:
    glass = governed(quorum=(), break_glass="g1", change_type="emergency")
    shown = text(draw(run(RunState.RUNNING, plan=glass)))
    assert "Emergency change under broken glass." in shown
    assert "emergency change" in shown
    standard = governed(quorum=(), pre_authorised="a1", change_type="standard")
    shown = text(draw(run(RunState.APPROVED, plan=standard)))
    assert "Standard change. Two people authorised it in advance." in shown
    assert "It needed no approval. It starts now." in shown
    needed = governed(pre_authorised="a1", change_type="standard")
    assert "Standard change." not in text(draw(run(RunState.AWAITING, plan=needed)))


def test_a_point_of_no_return_is_seen_before_and_during_the_run() -> None:
    final = plan(planned_step(commit_point=True))
    assert "There is no way back after this step" in text(draw(run(RunState.AWAITING, plan=final)))
    assert "· no way back" in text(draw(run(RunState.RUNNING, plan=final)))
    long = plan(*(planned_step(id=f"s{n}", diff="d" * 900, commit_point=n == 7) for n in range(9)))
    shown = text(draw(run(RunState.AWAITING, plan=long)))
    assert shown.count("no way back") == 1


def rolled_out(*states: StepState) -> Run:
    waves = (1, 2, 2, 3, 3, 3, 3)
    steps = tuple(
        planned_step(id=f"s.{n}", title=f"Restart: c{n}", wave=wave, targets=(f"c{n}",), out_of=9)
        for n, wave in enumerate(waves)
    )
    told = {f"s.{n}": state for n, state in enumerate(states)}
    made = run(RunState.RUNNING, plan=plan(*steps), position=len(states) - 1)
    records = tuple(replace(r, state=told.get(r.id, StepState.WAITING)) for r in made.records)
    return replace(made, records=records)


def test_a_rollout_shows_its_targets_waves_and_how_they_stand() -> None:
    made = rolled_out(StepState.DONE, StepState.DONE, StepState.FAILED)
    shown = text(draw(replace(made, state=RunState.AWAITING)))
    assert "Targets: 7 of 9, in waves of 1, 2, 4: c0, c1, c2, c3, c4, c5 and 1 more" in shown
    shown = text(draw(made))
    assert "Rollout: 2 done, 1 failed, 4 waiting" in shown
    assert "Failed  3. Restart: c2 · wave 2" in shown
    assert "4 skipped" in text(draw(replace(made, state=RunState.FAILED)))


def test_every_target_of_one_step_is_seen_by_approvers() -> None:
    names = tuple(f"db-{n}.internal" for n in range(32))
    shown = text(draw(run(RunState.AWAITING, plan=plan(planned_step(targets=names)))))
    assert all(name in shown for name in names)


def test_the_kill_switch_is_beside_stop_and_asks_first() -> None:
    halt = buttons(draw(approved(RunState.RUNNING)))["Halt…"]
    assert (halt.interaction, halt.value) == (HALT, "r1")
    assert halt.confirm is not None
    assert "service:checkout" in halt.confirm.text
    assert "Halt…" not in buttons(draw(approved(RunState.SUCCEEDED)))


def test_drawing_twice_gives_the_same_message() -> None:
    made = approved(RunState.VERIFYING, records=(step_record(StepState.VERIFYING),))
    assert draw(made) == draw(made)


LONG = "x" * 880 + " --force"


@pytest.mark.parametrize(
    "frozen",
    (
        plan(*(planned_step(id=f"s{n}", title=f"Step {n}.", diff="", explanation="",
                            verify=None, arguments={}) for n in range(47))),
        replace(plan(*(planned_step(id=f"s{n}", title=f"Step {n}.", diff="d" * 230)
                       for n in range(12))),
                facts=tuple(Fact(title=f"Fact {n}", summary="f" * 200, ok=True)
                            for n in range(20))),
        plan(planned_step(title="Step 0.", arguments={"body": LONG})),
        plan(planned_step(title="Step 0.", arguments={"body": "a" * 5_000 + " --force"})),
        plan(*(planned_step(id=f"s{n}", title=f"Step {n}.", 
                            arguments={"q": "&<>" * 60 + " --force"}) for n in range(10))),
        plan(*(planned_step(id=f"s{n}", title=f"Step {n}.", diff="d" * 700 + " --force")
               for n in range(40))),
    ),
    ids=("47 short steps", "a long diagnosis", "a long argument", "a very long argument",
         "signs that are written longer", "40 long steps"),
)  # fmt: skip
def test_nobody_approves_what_cannot_be_seen(frozen: Plan) -> None:
    """On the message as Slack draws it, or else on the form that it says to read."""
    waiting = run(RunState.AWAITING, plan=frozen)
    message = draw(waiting)
    shown = json.dumps(render(message, now=NOW))
    if "Whole plan…" in buttons(message):
        opened = Opened(value="r1")
        shown = json.dumps(render_form(whole_plan(waiting), opened=opened, now=NOW))
    assert all(step.title in shown for step in frozen.steps)
    hidden = [s for s in frozen.steps if "--force" in f"{s.diff}{s.arguments}"]
    assert shown.count("--force") == len(hidden)


def test_the_step_under_way_is_seen_however_many_there_are() -> None:
    steps = tuple(planned_step(id=f"s{n}", title=f"Step {n}.") for n in range(50))
    records = tuple(
        step_record(StepState.DONE, id=s.id, summary="said " * 300) for s in steps[:40]
    ) + tuple(step_record(StepState.RUNNING, id=s.id) for s in steps[40:])
    made = replace(run(RunState.RUNNING, plan=plan(*steps)), records=records, position=40)
    shown = json.dumps(render(draw(made), now=NOW))
    assert "Step 40." in shown
