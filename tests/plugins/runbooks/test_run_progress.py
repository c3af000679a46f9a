"""A run while it goes on: its bar, its output, its countdown, what people do by hand."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.domain.actions import Transient
from bot.domain.approvals import Verdict
from bot.domain.errors import Refused
from bot.domain.messages import Code, Form, Mention, Message, Tone
from bot.domain.runbooks import Expectation, Retry, StepUndo
from bot.domain.runs import Goal, Look, Precondition, Run, RunId, RunState, StepRecord, StepState
from bot.ports import OutputSize, OutputTail
from bot.slack.blocks import render
from bot.slack.forms import Opened, render_form
from bot.slack.limits import MESSAGE
from plugins.runbooks.byhand import asked_for, reason_form
from plugins.runbooks.messages import run_message, whole_plan
from plugins.runbooks.outputs import Told, bar, in_order, output_form
from tests.plugins.runbooks.runbook_samples import (
    NOW,
    UNDO,
    approved,
    plan,
    planned_step,
    run,
    step_record,
)
from tests.plugins.runbooks.test_run_messages import buttons, text

STEPS = tuple(planned_step(id=f"s{n}", title=f"Step {n}") for n in range(4))


def draw(made: Run, **output: object) -> Message:
    return run_message(made, owner="payments", at=NOW, output=OutputTail(**output))  # type: ignore[arg-type]  # fields


def under_way(position: int = 2, state: RunState = RunState.RUNNING) -> Run:
    return replace(run(state, plan=plan(*STEPS)), position=position)


@pytest.mark.parametrize(
    ("steps", "position", "drawn"),
    (
        (4, 0, "▱▱▱▱ 0 of 4"),
        (4, 2, "▰▰▱▱ 2 of 4"),
        (4, 4, "▰▰▰▰ 4 of 4"),
        (4, 9, "▰▰▰▰ 4 of 4"),
        (40, 39, "▰▰▰▰▰▰▰▰▰▱ 39 of 40"),
        (40, 1, "▱▱▱▱▱▱▱▱▱▱ 1 of 40"),
    ),
)
def test_the_bar_is_full_only_at_the_end(steps: int, position: int, drawn: str) -> None:
    frozen = plan(*(planned_step(id=f"s{n}") for n in range(steps)))
    made = replace(run(RunState.RUNNING, plan=frozen), position=position)
    assert bar(made, OutputTail()) == drawn


def test_a_run_under_way_shows_its_bar_and_how_far_its_step_is() -> None:
    shown = text(draw(under_way(), progress=0.4))
    assert "Running step 3 of 4.  ▰▰▱▱ 2 of 4, this one 40% done" in shown
    assert "this one" not in text(draw(under_way(state=RunState.VERIFYING), progress=0.98))


def test_the_last_lines_stand_in_a_code_block_and_all_of_it_behind_a_button() -> None:
    message = draw(under_way(), lines=("one", "two *not bold* <@U1>"), printed=70)
    (code,) = [part for part in message.parts if isinstance(part, Code)]
    assert code.text == "one\ntwo *not bold* <@U1>"
    assert buttons(message)["Output…"].value == "r1"
    drawn = json.dumps(render(message, now=NOW))
    assert "rich_text_preformatted" in drawn
    assert "two *not bold* <@U1>" in drawn  # plain text: nothing in it is markup


def test_long_lines_and_many_are_cut_and_the_newest_stay() -> None:
    lines = tuple(f"{n} " + "x" * 400 for n in range(5))
    (code,) = [part for part in draw(under_way(), lines=lines).parts if isinstance(part, Code)]
    assert len(code.text) <= 600
    assert code.text.split("\n")[-1].startswith("4 xxx")


@pytest.mark.parametrize("lines", ((), ("", "  ")))
def test_no_output_takes_no_room(lines: tuple[str, ...]) -> None:
    message = draw(under_way(), lines=lines)
    assert not [part for part in message.parts if isinstance(part, Code)]
    assert "Output…" not in buttons(message)


@pytest.mark.parametrize(
    ("left", "said"),
    (
        (-5, "this is the last look"),
        (30, "less than a minute left"),
        (60, "1 min left"),
        (3_599, "59 min left"),
        (3_660, "1 h 1 min left"),
    ),
)
def test_a_verification_counts_down(left: int, said: str) -> None:
    made = replace(under_way(state=RunState.VERIFYING), verify_by=NOW + timedelta(seconds=left))
    assert f"It has to be confirmed by (time) ({said})." in text(draw(made))


def test_after_the_last_step_it_looks_whether_it_has_helped() -> None:
    made = replace(under_way(4, RunState.VERIFYING), verify_by=NOW + timedelta(seconds=300))
    shown = draw(made)
    assert "Looking whether it has helped.  ▰▰▰▰ 4 of 4" in text(shown)
    assert "(5 min left)" in text(shown)


def by_hand(**changes: object) -> Run:
    step = planned_step(
        id="fail-over",
        title="Fail over the load balancer",
        uses="human.do@1",
        arguments={"instruction": "Move traffic to *eu-2*, then press Done."},
        manual=True,
        timeout=7_200,
        **changes,
    )
    made = run(RunState.MANUAL, plan=plan(STEPS[0], step))
    records = (made.records[0], step_record(StepState.MANUAL, id="fail-over"))
    return replace(made, position=1, records=records)


def test_a_pulled_switch_is_told_to_whoever_would_do_the_step() -> None:
    told = text(run_message(by_hand(), owner="web", at=NOW, halted=True))
    assert "The kill switch is pulled: do not do this now." in told
    assert "kill switch is pulled" not in text(draw(by_hand()))


def test_a_step_by_hand_says_what_to_do_until_when_and_takes_either_answer() -> None:
    message = draw(by_hand())
    shown = text(message)
    assert "Step 2 of 2 waits for a person.  ▰▱ 1 of 2" in shown
    assert "To do by hand: Move traffic to *eu-2*, then press Done." in shown
    assert "Somebody has to do it and say so by (time)" in shown
    assert "By hand  2. Fail over the load balancer" in shown
    assert list(buttons(message)) == ["Done", "Could not do it…", "Stop", "Halt…"]
    assert buttons(message)["Done"].confirm is not None
    for label in ("Done", "Could not do it…"):
        assert asked_for(buttons(message)[label].value) == (RunId("r1"), "fail-over")
    assert "waits for a person" in message.summary


def test_a_step_by_hand_without_a_time_names_none_and_one_without_words_its_title() -> None:
    assert "say so by" not in text(draw(_endless()))
    step = replace(_endless().plan.steps[1], arguments={})  # type: ignore[union-attr]  # it has one
    made = replace(_endless(), plan=plan(STEPS[0], step))
    assert "To do by hand: Fail over the load balancer" in text(draw(made))


def _endless() -> Run:
    made = by_hand()
    assert made.plan is not None
    return replace(made, plan=plan(STEPS[0], replace(made.plan.steps[1], timeout=0)))


def test_a_person_who_could_not_says_why() -> None:
    form = reason_form("r1:fail-over", by_hand(), "fail-over")
    assert form.value == "r1:fail-over"
    assert form.fields[0].required
    drawn = json.dumps(render_form(form, opened=Opened(value=form.value), now=NOW))
    assert "Fail over the load balancer" in drawn


@pytest.mark.parametrize("value", ("", "r1", ":step", "r1:"))
def test_a_button_that_is_not_ours_is_refused(value: str) -> None:
    with pytest.raises(Refused, match="older version"):
        asked_for(value)


FAILED = step_record(StepState.FAILED, ended_at=NOW, summary="not verified")


@pytest.mark.parametrize(
    ("state", "words", "offered"),
    (
        (
            RunState.ROLLING_BACK,
            ("Failed, rolling back. Not verified.", "has a message of its own"),
            [],
        ),
        (
            RunState.ROLLED_BACK,
            ("Failed and rolled back. Not verified.", "What it had done is taken back."),
            ["Ask again…", "Helpful", "Not helpful"],
        ),
    ),
)
def test_what_is_taken_back_says_so(
    state: RunState, words: tuple[str, ...], offered: list[str]
) -> None:
    made = approved(state, reason="not verified", records=(FAILED,), undoes=(UNDO,))
    message = draw(made)
    assert message.tone is Tone.FIRING
    for word in words:
        assert word in text(message)
    assert list(buttons(message)) == offered


def test_what_has_no_way_back_is_not_said_to_be_taken_back() -> None:
    steps = tuple(planned_step(id=f"s{n}", title=f"Step {n}") for n in range(5))
    states = (
        ("s0", StepState.DONE, ""),
        ("s1", StepState.DONE, ""),
        ("s2", StepState.FAILED, "failed, and the plan goes on: it jams"),
        ("s3", StepState.FAILED, "not verified within 90 s: 0.4"),
    )
    records = tuple(
        replace(FAILED, id=id, state=state, summary=summary) for id, state, summary in states
    )
    waiting = StepRecord(id="s4")
    made = replace(
        run(RunState.ROLLED_BACK, plan=plan(*steps)),
        records=(*records, waiting),
        undoes=(replace(UNDO, step="s1"),),
    )
    shown = text(draw(made))
    assert "What had a way back is taken back. This stands: “Step 0”, “Step 3”." in shown


def test_a_plan_whose_page_was_changed_says_so_and_can_be_asked_for_again() -> None:
    made = run(RunState.SUPERSEDED, reason="the runbook was changed; ask for a new plan")
    assert made.approval is not None
    made = replace(made, approval=replace(made.approval, verdict=Verdict.SUPERSEDED))
    message = draw(made)
    assert "Superseded. The runbook was changed; ask for a new plan." in text(message)
    assert "Nothing was changed." in text(message)
    assert list(buttons(message)) == ["Ask again…"]
    assert message.tone is Tone.MUTED


def test_nothing_to_do_is_no_cancellation() -> None:
    made = replace(run(RunState.CANCELLED, reason="nothing to do: the disk is fine"), plan=None)
    message = draw(made)
    assert "Nothing to do: the disk is fine." in text(message)
    assert "Cancelled" not in text(message)
    assert "nothing to do" in message.summary


def test_a_failure_shows_what_its_step_said_last() -> None:
    made = approved(RunState.FAILED, reason="exit status 1", records=(FAILED,))
    message = draw(made, lines=("error: no space left",), printed=9)
    assert [part.text for part in message.parts if isinstance(part, Code)] == [
        "error: no space left"
    ]
    assert "Output…" in buttons(message)


@pytest.mark.parametrize("state", list(RunState))
def test_output_fits_beside_everything_else_and_nobody_is_notified(state: RunState) -> None:
    many = tuple(planned_step(id=f"s{n}", title="T" * 80) for n in range(40))
    made = replace(run(state, plan=plan(*many)), position=20, reason="r" * 500)
    records = tuple(replace(r, summary="s" * 300, started_at=NOW) for r in made.records)
    message = draw(
        replace(made, records=records, verify_by=NOW),
        lines=tuple("x" * 500 for _ in range(5)),
        printed=10**9,
        progress=0.5,
    )
    drawn = render(message, now=NOW)
    blocks = drawn["attachments"][0]["blocks"]
    assert len(blocks) <= MESSAGE.blocks
    assert len(json.dumps(blocks, ensure_ascii=False)) < 13_000
    spans = [span for part in message.parts for span in getattr(part, "spans", ())]
    assert not any(isinstance(span, Mention) for span in spans)


TERMS = replace(
    plan(),
    decided="used > 0.9: the disk is nearly full",
    preconditions=(
        Precondition(
            title="The primary is up",
            uses="postgres.query@1",
            arguments={"query": "select 1"},
            expect=Expectation(equals=1),
        ),
    ),
    done_when=Goal(
        when="facts.used < 0.8",
        looks=(Look(id="used", uses="prometheus.query@1", arguments={}),),
        within=300,
        every=15,
    ),
)


def test_a_plan_says_why_these_steps_what_must_hold_and_when_it_has_helped() -> None:
    shown = text(draw(run(RunState.AWAITING, plan=TERMS)))
    assert "Why these steps  used > 0.9: the disk is nearly full" in shown
    assert (
        "Must hold before every step  The primary is up: "
        "postgres.query@1 (query=select 1) is equal to 1" in shown
    )
    assert "Has helped when  facts.used < 0.8, asked every 15 s for at most 300 s" in shown


def test_terms_too_long_for_the_message_are_read_in_the_form() -> None:
    made = run(RunState.AWAITING, plan=replace(TERMS, decided="because " * 1_000 + "--force"))
    assert "Whole plan…" in buttons(draw(made))
    assert "--force" not in text(draw(made))
    opened = Opened(value="r1")
    shown = json.dumps(render_form(whole_plan(made), opened=opened, now=NOW))
    assert "The primary is up" in shown
    assert "--force" in shown


def test_a_step_says_how_it_is_tried_again_taken_back_and_by_whom_it_is_done() -> None:
    step = planned_step(
        retry=Retry(times=2, on=(Transient.TIMEOUT, Transient.UNREACHABLE), wait=5),
        undo=StepUndo(uses="lamp.set@1", arguments={"to": 3}),
        on_unknown="ask",
        manual=True,
        diff="This action cannot say beforehand what it changes.",
    )
    shown = text(draw(run(RunState.AWAITING, plan=plan(step))))
    assert "After timeout or unreachable it is tried up to 2 times more, after 5 s" in shown
    assert "Taken back by lamp.set@1 (to=3)." in shown
    assert "a person is asked and nothing else looks" in shown
    assert "A person does this by hand. The run waits" in shown
    assert "cannot say beforehand" in shown
    once = planned_step(retry=Retry(times=1, on=(Transient.CONFLICT,), wait=2))
    assert "it is tried once more, after 2 s." in text(
        draw(run(RunState.AWAITING, plan=plan(once)))
    )


def told(step: str, body: str, *, attempt: int = 1, printed: int | None = None) -> Told:
    kept = len(body.split("\n"))
    size = OutputSize(step=step, attempt=attempt, printed=printed or kept, kept=kept)
    return Told(size=size, text=body)


def test_the_whole_output_is_a_form_in_the_plans_order() -> None:
    made = under_way(4, RunState.SUCCEEDED)
    sizes = [told(f"s{n}", "x", attempt=a).size for n in (3, 1) for a in (2, 1)]
    assert [(s.step, s.attempt) for s in in_order(made, sizes)] == [
        ("s1", 1), ("s1", 2), ("s3", 1), ("s3", 2)
    ]  # fmt: skip
    form = output_form(made, [told("s1", "one\ntwo"), told("s3", "three", attempt=2, printed=9)])
    shown = text(Message(summary="", parts=form.parts))
    assert "Step 1\n2 lines\none\ntwo" in shown
    assert "Step 3 · attempt 2\n9 lines, 8 of them not kept\nthree" in shown


def test_of_too_much_the_ends_are_shown_and_what_is_missing_is_counted() -> None:
    made = under_way(4, RunState.SUCCEEDED)
    lines = "\n".join(f"line {n:05} " + "&<>" * 9 for n in range(9_000))
    form = output_form(made, [told("s1", "short"), told("s2", lines), told("s3", lines)])
    view = render_form(form, opened=Opened(value="r1"), now=NOW)
    drawn = json.dumps(view, ensure_ascii=False)
    assert len(view["blocks"]) <= 100
    assert len(drawn) < 250_000
    assert '"short"' in drawn
    assert drawn.count("line 08999") == 2
    assert "9,000 lines" in drawn
    assert "before these not shown here" in drawn
    assert "…" not in "".join(part.text for part in form.parts if isinstance(part, Code))


def test_a_run_that_printed_nothing_says_so() -> None:
    form = output_form(under_way(), [])
    assert isinstance(form, Form)
    assert "printed nothing" in text(Message(summary="", parts=form.parts))


def test_an_instruction_is_read_once_and_never_left_out() -> None:
    told = {"instruction": "Move the traffic."}
    step = planned_step(manual=True, arguments=told, diff="A person: Move the traffic.")
    for diff, times in ((step.diff, 1), ("cut off", 1)):
        shown = text(draw(run(RunState.AWAITING, plan=plan(replace(step, diff=diff)))))
        assert shown.count("Move the traffic.") == times
