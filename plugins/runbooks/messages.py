"""The run's message in every state of its life: one message, redrawn.

Buttons are drawn for everyone, since a message looks the same to all; who may
press them is decided when they are pressed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from bot.domain.messages import (
    Bold,
    Buttons,
    Form,
    Heading,
    Message,
    Moment,
    Mono,
    Part,
    PersonName,
    Span,
    Tone,
    facts,
    paragraph,
    quiet,
)
from bot.domain.runs import Plan, Run, RunState
from bot.ports import OutputTail
from plugins.runbooks import byhand
from plugins.runbooks.buttons import (
    HAPPENED,
    NOT_HAPPENED,
    cancel_button,
    halt_button,
    output_button,
    row,
    settle_button,
    stop_button,
)
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
from plugins.runbooks.endings import ENDINGS, Drawn, Scene, sentence
from plugins.runbooks.outputs import bar, countdown, tail_parts
from plugins.runbooks.scope import governed_by, marks
from plugins.runbooks.steps import (
    facts_part,
    outline,
    plan_parts,
    progress_part,
    too_long,
)
from plugins.runbooks.terms import terms_parts

_TONES = {
    RunState.SUCCEEDED: Tone.GOOD,
    RunState.FAILED: Tone.FIRING,
    RunState.ROLLING_BACK: Tone.FIRING,
    RunState.ROLLED_BACK: Tone.FIRING,
    RunState.IN_DOUBT: Tone.FIRING,
    RunState.DENIED: Tone.MUTED,
    RunState.EXPIRED: Tone.MUTED,
    RunState.SUPERSEDED: Tone.MUTED,
    RunState.CANCELLED: Tone.MUTED,
}
NOTHING = OutputTail()


def run_message(
    run: Run,
    *,
    owner: str,
    at: datetime,
    output: OutputTail = NOTHING,
    halted: bool = False,
) -> Message:
    """Draw a run as it stands.

    `owner` is the team that owns the runbook; `output` what the present step
    printed last, or the one that failed; `halted` says that a kill switch stands
    in its way.
    """
    scene = Scene(run=run, owner=owner, at=at, output=output, halted=halted)
    headline, parts = _DRAWN[run.state](scene)
    return Message(
        summary=f"Runbook “{run.title}”: {headline}",
        parts=(Heading(f"Runbook: {run.title}"), *parts, _origin(run)),
        tone=_TONES.get(run.state, Tone.WAITING),
    )


def _origin(run: Run) -> Part:
    spans: list[Span] = ["Asked for by ", PersonName(run.requester.id, run.requester.name)]
    if run.plan is None:
        return quiet(*spans, f" · runbook {run.runbook}")
    plan = run.plan
    spans.append(f" · runbook {plan.runbook} version {plan.version} · plan ")
    spans.append(Mono(plan.digest[:SHORT_DIGEST]))
    return quiet(*spans, governed_by(plan))


def _diagnosing(scene: Scene) -> Drawn:
    text = "It is being diagnosed and planned. That only reads; nothing is changed."
    return "diagnosing", (paragraph(text), Buttons((cancel_button(scene.run),)))


def _awaiting(scene: Scene) -> Drawn:
    run = scene.run
    approval, plan = run.approval, run.plan
    if approval is None or plan is None:
        return _diagnosing(scene)
    parts = (
        opening(run, approval),
        *(() if vetoable(approval) else marks(run)),
        *((facts_part(plan.facts),) if plan.facts else ()),
        *_plan(plan),
        facts(consent_facts(run, approval)),
        answer_buttons(run, approval, cancel_button(run)),
    )
    if vetoable(approval):
        return "begins by itself unless somebody stops it", parts
    return f"waits for approval ({needs(approval)})", parts


def _plan(plan: Plan) -> tuple[Part, ...]:
    if not too_long(plan):
        return (*terms_parts(plan), *plan_parts(plan.steps))
    text = "The plan is too long for a message. Read all of it before you answer: “Whole plan…”"
    return (outline(plan.steps), paragraph(Bold(text)))


def whole_plan(run: Run) -> Form:
    """Show the whole plan of a run as a form without fields."""
    plan = run.plan
    parts = (*terms_parts(plan), *plan_parts(plan.steps)) if plan else ()
    return Form(
        title="Whole plan",
        interaction=WHOLE,
        value=run.id,
        parts=(Heading(run.title), *parts, _origin(run)),
    )


def _approved(scene: Scene) -> Drawn:
    run = scene.run
    until: tuple[Span, ...] = ()
    if run.approval is not None and run.approval.execute_by is not None:
        until = (" It has to start by ", Moment(run.approval.execute_by), ".")
    parts = (
        paragraph(Bold(_why_it_may(run)), " It starts now.", *until),
        *marks(run),
        progress_part(run, at=scene.at),
        *consent(run),
        Buttons((stop_button(run), halt_button(run))),
    )
    return "approved", parts


def _why_it_may(run: Run) -> str:
    if consent(run):
        return "Approved."
    stoppable = run.approval is not None and vetoable(run.approval)
    return "Nobody stopped it." if stoppable else "It needed no approval."


def _under_way(scene: Scene) -> Drawn:
    run = scene.run
    headline = _doing(run)
    limit = countdown(run, scene.at) if run.state is RunState.VERIFYING else None
    parts = (
        paragraph(Bold(f"{headline[:1].upper()}{headline[1:]}."), f"  {bar(run, scene.output)}"),
        *marks(run),
        progress_part(run, at=scene.at),
        *tail_parts(scene.output),
        *((limit,) if limit else ()),
        *consent(run),
        *_going_on(scene),
    )
    return "is being stopped" if run.stop_requested_by is not None else headline, parts


def _doing(run: Run) -> str:
    total = len(run.plan.steps) if run.plan else 1
    if run.plan is not None and run.step is None:
        return "looking whether it has helped"
    doing = "verifying" if run.state is RunState.VERIFYING else "running"
    return f"{doing} step {min(run.position + 1, total)} of {total}"


def _going_on(scene: Scene) -> tuple[Part, ...]:
    run = scene.run
    output = output_button(run, scene.output.printed)
    if run.stop_requested_by is None:
        return row(stop_button(run), halt_button(run), output)
    text = "It is being stopped: no further effect begins."
    return (quiet(text), *row(halt_button(run), output))


# A press of Done is taken all the same: it says what happened.
HALTED = "The kill switch is pulled: do not do this now."


def _by_hand(scene: Scene) -> Drawn:
    run, step = scene.run, scene.run.step
    if step is None:
        return _under_way(scene)
    number, total = run.position + 1, len(run.plan.steps) if run.plan else 1
    done, could_not = byhand.answer_buttons(run, step)
    output = output_button(run, scene.output.printed)
    parts = (
        paragraph(Bold(f"Step {number} of {total} waits for a person."), f"  {bar(run, NOTHING)}"),
        *([paragraph(Bold(HALTED))] if scene.halted else ()),
        *byhand.asked_parts(run, step),
        *marks(run),
        progress_part(run, at=scene.at),
        *consent(run),
        *row(done, could_not, stop_button(run), halt_button(run), output),
    )
    return f"step {number} of {total} waits for a person", parts


def _in_doubt(scene: Scene) -> Drawn:
    run = scene.run
    title = run.step.title if run.step else "the step"
    question = f"It is not known whether “{title}” took effect"
    yes = settle_button(run, HAPPENED, "It happened")
    no = settle_button(run, NOT_HAPPENED, "It did not happen")
    parts = (
        paragraph(Bold(f"{question}. "), sentence(run.reason)),
        progress_part(run, at=scene.at),
        *tail_parts(scene.output),
        paragraph(
            "It is not tried again by itself, so that it cannot happen twice. Look at the service,"
            f" then say what you saw: {_once_known(run)}."
        ),
        *consent(run),
        *row(yes, no, output_button(run, scene.output.printed)),
    )
    return "in doubt, a person has to look", parts


def _once_known(run: Run) -> str:
    if run.stop_requested_by is not None:
        return (
            "the run ends as stopped, and what happened can be taken back where it has a way back"
        )
    return "if it happened, the run goes on to verify it; if not, the step counts as failed"


_DRAWN: Mapping[RunState, Callable[[Scene], Drawn]] = {
    RunState.DRAFT: _diagnosing,
    RunState.AWAITING: _awaiting,
    RunState.APPROVED: _approved,
    RunState.RUNNING: _under_way,
    RunState.VERIFYING: _under_way,
    RunState.MANUAL: _by_hand,
    RunState.IN_DOUBT: _in_doubt,
    **ENDINGS,
}
