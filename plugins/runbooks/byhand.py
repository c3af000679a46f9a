"""A step that a person does: what is asked of them, and the form for why it could not be done."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from bot.domain.errors import Refused
from bot.domain.messages import (
    Bold,
    Button,
    Confirm,
    Form,
    Moment,
    Part,
    Style,
    TextField,
    paragraph,
    quiet,
)
from bot.domain.runs import PlannedStep, Run, RunId, StepRecord

DONE = "runbooks.done"
NOT_DONE = "runbooks.not_done"
NOT_DONE_BECAUSE = "runbooks.not_done_because"

NOTE = "note"
_LONGEST_NOTE = 500
_LONGEST_EXPLANATION = 600


def instruction(step: PlannedStep) -> str:
    """Return what a person has to do."""
    told = step.arguments.get("instruction")
    return told if isinstance(told, str) and told.strip() else step.title


def asked_parts(run: Run, step: PlannedStep) -> Iterator[Part]:
    """Show what is to be done by hand, why, and until when."""
    yield paragraph(Bold("To do by hand: "), instruction(step))
    if why := " ".join(step.explanation.split()):
        yield quiet(why if len(why) <= _LONGEST_EXPLANATION else f"{why[:_LONGEST_EXPLANATION]}…")
    records = {record.id: record for record in run.records}
    began = records.get(step.id, StepRecord(id=step.id)).started_at
    if step.timeout and began is not None:
        until = Moment(began + timedelta(seconds=step.timeout))
        yield quiet("Somebody has to do it and say so by ", until, "; after that it is in doubt.")


def answer_buttons(run: Run, step: PlannedStep) -> tuple[Button, Button]:
    """Let whoever did the step say so, or say that it cannot be done."""
    value = f"{run.id}:{step.id}"
    text = "You did it, or saw that it is done. This goes on the record under your name."
    confirm = Confirm(title="Is it done?", text=text, yes="Done")
    done = Button(label="Done", interaction=DONE, value=value, style=Style.PRIMARY, confirm=confirm)
    return done, Button(label="Could not do it…", interaction=NOT_DONE, value=value)


def asked_for(value: str) -> tuple[RunId, str]:
    """Return the run and the step of a button's value.

    Raises:
        Refused: it is not one of ours.
    """
    run, separator, step = value.partition(":")
    if not separator or not run or not step:
        raise Refused("This button is from an older version; look at the run's current message.")
    return RunId(run), step


def reason_form(value: str, run: Run, step: str) -> Form:
    """Ask why a step could not be done; the run goes on as its plan says about a failure."""
    titles = {each.id: each.title for each in (run.plan.steps if run.plan else ())}
    reason = TextField(
        name=NOTE,
        label="What kept it from being done?",
        lines=3,
        longest=_LONGEST_NOTE,
        hint="The record and everybody here see it.",
    )
    return Form(
        title="Could not do it",
        interaction=NOT_DONE_BECAUSE,
        value=value,
        fields=(reason,),
        submit="Say so",
        parts=(paragraph("“", titles.get(step, step), "” counts as failed then."),),
    )
