"""The buttons of a run's message. Pure; who may press them is decided when they are pressed."""

from __future__ import annotations

from bot.domain.messages import Button, Buttons, Confirm, Part, Style
from bot.domain.runs import Run
from plugins.runbooks.forms import form_value

STOP = "runbooks.stop"
HALT = "runbooks.halt"
UNDO = "runbooks.undo"
HAPPENED = "runbooks.happened"
NOT_HAPPENED = "runbooks.not_happened"
PICK = "runbooks.pick"
OUTPUT = "runbooks.output"
HELPFUL = "runbooks.helpful"
UNHELPFUL = "runbooks.unhelpful"

RUN = "run:"  # how the subject begins of what people thought of a run


def row(*buttons: Button | None) -> tuple[Part, ...]:
    """Put buttons into a row, without those that are None; no button makes no row."""
    drawn = tuple(button for button in buttons if button is not None)
    return (Buttons(drawn),) if drawn else ()


def cancel_button(run: Run) -> Button:
    """Offer to end a run that has not begun."""
    return Button(label="Cancel", interaction=STOP, value=run.id)


def stop_button(run: Run) -> Button:
    """Offer to stop a run that may be under way."""
    text = (
        "No further effect begins. One that is under way is broken off; whether it took place is "
        "looked up then, or asked."
    )
    confirm = Confirm(title="Stop this run?", text=text, yes="Stop", no="Go on")
    return Button(label="Stop", interaction=STOP, value=run.id, confirm=confirm)


def halt_button(run: Run) -> Button:
    """Offer the kill switch of what the run acts on: it stops others there, too."""
    what = halted_by(run)
    confirm = Confirm(
        title="Pull the kill switch?",
        text=(
            f"At once nothing is run any more for {what}, this run included, until two people "
            "release it."
        ),
        yes="Halt",
        no="Go on",
    )
    return Button(
        label="Halt…", interaction=HALT, value=run.id, style=Style.DANGER, confirm=confirm
    )


def halted_by(run: Run) -> str:
    """Return the scope of the switch that a run's message offers."""
    return f"service:{run.service}" if run.service else f"runbook:{run.runbook}"


def undo_button(run: Run) -> Button | None:
    """Offer to take effects back, where there are any."""
    if not run.undoes:
        return None
    text = "A new plan is made that takes the effects back. It needs an approval, too."
    confirm = Confirm(title="Take it back?", text=text, yes="Make the plan")
    return Button(label="Undo", interaction=UNDO, value=run.id, confirm=confirm)


def again_button(run: Run) -> Button | None:
    """Offer to ask for the same runbook again."""
    if run.parent is not None:
        return None
    return Button(label="Ask again…", interaction=PICK, value=form_value(run.subject, run.runbook))


def settle_button(run: Run, interaction: str, label: str) -> Button:
    """Let a person who has looked say what took place."""
    confirm = Confirm(
        title=f"{label}?", text="You have looked, and this goes on the record.", yes=label
    )
    return Button(label=label, interaction=interaction, value=run.id, confirm=confirm)


def output_button(run: Run, printed: int) -> Button | None:
    """Offer everything the steps printed, where they did."""
    if not printed:
        return None
    return Button(label="Output…", interaction=OUTPUT, value=run.id)


def judge_buttons(subject: str, runbook: str) -> tuple[Button, Button]:
    """Ask whether a runbook helped. The answers stand in no record; they are counted."""
    value = form_value(subject, runbook)
    return (
        Button(label="Helpful", interaction=HELPFUL, value=value),
        Button(label="Not helpful", interaction=UNHELPFUL, value=value),
    )
