"""The run's message in every state of its life: one message, redrawn.

Buttons are drawn for everyone, since a message looks the same to all; who may
press them is decided when they are pressed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from bot.domain.messages import (
    Bold,
    Button,
    Buttons,
    Confirm,
    Form,
    Heading,
    Message,
    Moment,
    Mono,
    Part,
    PersonName,
    Span,
    Style,
    Tone,
    duration,
    facts,
    paragraph,
    quiet,
)
from bot.domain.runs import Plan, Run, RunState
from plugins.runbooks.consent import (
    SHORT_DIGEST,
    WHOLE,
    answer_buttons,
    consent,
    consent_facts,
    needs,
    opening,
    vetoable,
)
from plugins.runbooks.forms import form_value
from plugins.runbooks.scope import governed_by, marks
from plugins.runbooks.steps import (
    facts_part,
    outline,
    plan_parts,
    progress_part,
    too_long,
)

STOP = "runbooks.stop"
HALT = "runbooks.halt"
UNDO = "runbooks.undo"
HAPPENED = "runbooks.happened"
NOT_HAPPENED = "runbooks.not_happened"
PICK = "runbooks.pick"

_TONES = {
    RunState.SUCCEEDED: Tone.GOOD,
    RunState.FAILED: Tone.FIRING,
    RunState.IN_DOUBT: Tone.FIRING,
    RunState.DENIED: Tone.MUTED,
    RunState.EXPIRED: Tone.MUTED,
    RunState.CANCELLED: Tone.MUTED,
}


def run_message(run: Run, *, owner: str, at: datetime) -> Message:
    """Draw a run as it stands. `owner` is the team that owns the runbook."""
    headline, parts = _DRAWN[run.state](run, owner, at)
    return Message(
        summary=f"Runbook “{run.title}”: {headline}",
        parts=(Heading(f"Runbook: {run.title}"), *parts, _origin(run)),
        tone=_TONES.get(run.state, Tone.WAITING),
    )


Drawn = tuple[str, tuple[Part, ...]]


def _origin(run: Run) -> Part:
    spans: list[Span] = ["Asked for by ", PersonName(run.requester.id, run.requester.name)]
    if run.plan is None:
        return quiet(*spans, f" · runbook {run.runbook}")
    plan = run.plan
    spans.append(f" · runbook {plan.runbook} version {plan.version} · plan ")
    spans.append(Mono(plan.digest[:SHORT_DIGEST]))
    return quiet(*spans, governed_by(plan))


def _diagnosing(run: Run, owner: str, at: datetime) -> Drawn:
    text = "It is being diagnosed and planned. That only reads; nothing is changed."
    parts = (paragraph(text), Buttons((_stop_button(run, "Cancel"),)))
    return "diagnosing", parts


def _awaiting(run: Run, owner: str, at: datetime) -> Drawn:
    approval, plan = run.approval, run.plan
    if approval is None or plan is None:
        return _diagnosing(run, owner, at)
    parts = (
        opening(run, approval),
        *(() if vetoable(approval) else marks(run)),
        *((facts_part(plan.facts),) if plan.facts else ()),
        *_plan(plan),
        facts(consent_facts(run, approval)),
        answer_buttons(run, approval, _stop_button(run, "Cancel")),
    )
    if vetoable(approval):
        return "begins by itself unless somebody stops it", parts
    return f"waits for approval ({needs(approval)})", parts


def _plan(plan: Plan) -> tuple[Part, ...]:
    if not too_long(plan):
        return tuple(plan_parts(plan.steps))
    text = "The plan is too long for a message. Read all of it before you answer: “Whole plan…”"
    return (outline(plan.steps), paragraph(Bold(text)))


def whole_plan(run: Run) -> Form:
    """Show the whole plan of a run as a form without fields."""
    steps = run.plan.steps if run.plan else ()
    return Form(
        title="Whole plan",
        interaction=WHOLE,
        value=run.id,
        parts=(Heading(run.title), *plan_parts(steps), _origin(run)),
    )


def _approved(run: Run, owner: str, at: datetime) -> Drawn:
    until: tuple[Span, ...] = ()
    if run.approval is not None and run.approval.execute_by is not None:
        until = (" It has to start by ", Moment(run.approval.execute_by), ".")
    parts = (
        paragraph(Bold(_why_it_may(run)), " It starts now.", *until),
        *marks(run),
        progress_part(run, at=at),
        *consent(run),
        Buttons((_stop_button(run, "Stop"), _halt_button(run))),
    )
    return "approved", parts


def _why_it_may(run: Run) -> str:
    if consent(run):
        return "Approved."
    stoppable = run.approval is not None and vetoable(run.approval)
    return "Nobody stopped it." if stoppable else "It needed no approval."


def _under_way(run: Run, owner: str, at: datetime) -> Drawn:
    number = min(run.position + 1, len(run.plan.steps) if run.plan else 1)
    total = len(run.plan.steps) if run.plan else 1
    doing = "verifying" if run.state is RunState.VERIFYING else "running"
    headline = f"{doing} step {number} of {total}"
    stopping = run.stop_requested_by is not None
    end: tuple[Part, ...] = (Buttons((_stop_button(run, "Stop"), _halt_button(run))),)
    if stopping:
        text = "It is being stopped: no further effect begins."
        end = (quiet(text), Buttons((_halt_button(run),)))
    limit: tuple[Part, ...] = ()
    if run.state is RunState.VERIFYING and run.verify_by is not None:
        limit = (quiet("It has to be confirmed by ", Moment(run.verify_by), "."),)
    parts = (
        paragraph(Bold(f"{headline.capitalize()}.")),
        *marks(run),
        progress_part(run, at=at),
        *limit,
        *consent(run),
        *end,
    )
    return "is being stopped" if stopping else headline, parts


def _succeeded(run: Run, owner: str, at: datetime) -> Drawn:
    steps = run.plan.steps if run.plan else ()
    verified = bool(steps) and all(step.verify is not None for step in steps)
    word = "Succeeded and verified." if verified else "Succeeded."
    took = f" It took {_took(run)}." if run.ended_at else ""
    parts = (
        paragraph(Bold(word), took),
        progress_part(run, at=at),
        *consent(run),
        *_buttons(_undo_button(run)),
    )
    return word.lower().rstrip("."), parts


def _failed(run: Run, owner: str, at: datetime) -> Drawn:
    parts = (
        paragraph(Bold("Failed. "), run.reason or "No reason is known."),
        *((progress_part(run, at=at),) if run.plan else ()),
        paragraph(_what_stands(run), f" {owner} owns the runbook." if owner else ""),
        *consent(run),
        *_buttons(_undo_button(run), _again_button(run)),
    )
    return "failed", parts


def _what_stands(run: Run) -> str:
    if run.plan is None or not run.records or all(r.started_at is None for r in run.records):
        return "Nothing was changed."
    if run.undoes:
        return "Nothing more is run by itself. What was done stands and can be taken back."
    return "Nothing more is run by itself; look at the service and take over by hand."


def _denied(run: Run, owner: str, at: datetime) -> Drawn:
    answers = run.approval.answers if run.approval else ()
    denial = next((answer for answer in answers if not answer.approve), None)
    reason: tuple[Span, ...] = (run.reason,)
    if denial is not None:
        reason = (PersonName(denial.person.id, denial.person.name), f": {denial.reason}")
    parts = (paragraph(Bold("Denied. "), *reason), quiet("Nothing was changed."))
    return "denied", parts


def _expired(run: Run, owner: str, at: datetime) -> Drawn:
    parts = (
        paragraph(Bold("Expired. "), _sentence(run.reason or "nobody answered in time")),
        quiet("Nothing was changed. Ask again if it is still needed: the plan will be a new one."),
        *_buttons(_again_button(run)),
    )
    return "expired", parts


def _cancelled(run: Run, owner: str, at: datetime) -> Drawn:
    begun = any(record.started_at is not None for record in run.records)
    parts = (
        paragraph(Bold("Cancelled "), run.reason or "before it began", "."),
        *((progress_part(run, at=at),) if begun else (quiet("Nothing was changed."),)),
        *_buttons(_undo_button(run), _again_button(run)),
    )
    return "cancelled", parts


def _in_doubt(run: Run, owner: str, at: datetime) -> Drawn:
    title = run.step.title if run.step else "the step"
    question = f"It is not known whether “{title}” took effect"
    yes = _settle_button(run, HAPPENED, "It happened")
    no = _settle_button(run, NOT_HAPPENED, "It did not happen")
    parts = (
        paragraph(Bold(f"{question}. "), _sentence(run.reason)),
        progress_part(run, at=at),
        paragraph(
            "It is not tried again by itself, so that it cannot happen twice. Look at the service,"
            " then say what you saw: if it happened, the run goes on to verify it; if not, the run"
            " ends as failed."
        ),
        *consent(run),
        Buttons((yes, no)),
    )
    return "in doubt, a person has to look", parts


def _settle_button(run: Run, interaction: str, label: str) -> Button:
    confirm = Confirm(
        title=f"{label}?", text="You have looked, and this goes on the record.", yes=label
    )
    return Button(label=label, interaction=interaction, value=run.id, confirm=confirm)


def _stop_button(run: Run, label: str) -> Button:
    confirm = None
    if label == "Stop":
        text = "No further effect begins. One that has begun is not interrupted."
        confirm = Confirm(title="Stop this run?", text=text, yes="Stop", no="Go on")
    return Button(label=label, interaction=STOP, value=run.id, confirm=confirm)


def _halt_button(run: Run) -> Button:
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


def _undo_button(run: Run) -> Button | None:
    if not run.undoes:
        return None
    text = "A new plan is made that takes the effects back. It needs an approval, too."
    confirm = Confirm(title="Take it back?", text=text, yes="Make the plan")
    return Button(label="Undo", interaction=UNDO, value=run.id, confirm=confirm)


def _again_button(run: Run) -> Button | None:
    if run.parent is not None:
        return None
    return Button(label="Ask again…", interaction=PICK, value=form_value(run.subject, run.runbook))


def _buttons(*buttons: Button | None) -> tuple[Part, ...]:
    drawn = tuple(button for button in buttons if button is not None)
    return (Buttons(drawn),) if drawn else ()


def _took(run: Run) -> str:
    starts = [record.started_at for record in run.records if record.started_at is not None]
    began = min(starts, default=run.created_at)
    return duration(((run.ended_at or began) - began).total_seconds())


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""


_DRAWN: Mapping[RunState, Callable[[Run, str, datetime], Drawn]] = {
    RunState.DRAFT: _diagnosing,
    RunState.AWAITING: _awaiting,
    RunState.APPROVED: _approved,
    RunState.RUNNING: _under_way,
    RunState.VERIFYING: _under_way,
    RunState.SUCCEEDED: _succeeded,
    RunState.FAILED: _failed,
    RunState.DENIED: _denied,
    RunState.EXPIRED: _expired,
    RunState.CANCELLED: _cancelled,
    RunState.IN_DOUBT: _in_doubt,
}
