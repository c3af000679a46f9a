"""The run's message once it is over, or while its effects are taken back. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from bot.domain.messages import Bold, Button, Part, PersonName, Span, duration, paragraph, quiet
from bot.domain.records import UNVERIFIED
from bot.domain.runs import Run, RunState, StepRecord, StepState
from bot.ports import OutputTail
from plugins.runbooks.buttons import (
    RUN,
    again_button,
    judge_buttons,
    output_button,
    row,
    undo_button,
)
from plugins.runbooks.consent import consent
from plugins.runbooks.outputs import tail_parts
from plugins.runbooks.steps import progress_part


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A run as it is drawn: with its page's owner, the time, and what its step printed last.

    `halted` says that a kill switch stands in its way.
    """

    run: Run
    owner: str
    at: datetime
    output: OutputTail
    halted: bool = False


Drawn: TypeAlias = tuple[str, tuple[Part, ...]]


def _succeeded(scene: Scene) -> Drawn:
    run = scene.run
    steps = run.plan.steps if run.plan else ()
    checked = bool(steps) and all(step.verify is not None for step in steps)
    failed = any(record.state is StepState.FAILED for record in run.records)
    word = "Succeeded and verified." if checked else "Succeeded."
    word = "Succeeded, although not every step did." if failed else word
    took = f" It took {_took(run)}." if run.ended_at else ""
    parts = (
        paragraph(Bold(word), took),
        progress_part(run, at=scene.at),
        *consent(run),
        *row(undo_button(run), *_looking_back(scene)),
    )
    return word.lower().rstrip("."), parts


def _failed(scene: Scene) -> Drawn:
    run, owner = scene.run, scene.owner
    parts = (
        paragraph(Bold("Failed. "), sentence(run.reason) or "No reason is known."),
        *_steps(scene),
        *tail_parts(scene.output),
        paragraph(_what_stands(run), f" {owner} owns the runbook." if owner else ""),
        *consent(run),
        *row(undo_button(run), again_button(run), *_looking_back(scene)),
    )
    return "failed", parts


def _what_stands(run: Run) -> str:
    if not _touched(run):
        return "Nothing was changed."
    if run.undoes:
        return "Nothing more is run by itself. What was done stands and can be taken back."
    return "Nothing more is run by itself; look at the service and take over by hand."


def _touched(run: Run) -> bool:
    return run.plan is not None and any(r.started_at is not None for r in run.records)


def _rolling_back(scene: Scene) -> Drawn:
    text = "What it has done is being taken back; that has a message of its own."
    parts = (
        paragraph(Bold("Failed, rolling back. "), sentence(scene.run.reason)),
        *_steps(scene),
        *tail_parts(scene.output),
        quiet(text),
        *consent(scene.run),
        *row(output_button(scene.run, scene.output.printed)),
    )
    return "failed, what it has done is being taken back", parts


def _rolled_back(scene: Scene) -> Drawn:
    run, owner = scene.run, scene.owner
    took_over = f" People take over; {owner} owns the runbook." if owner else " People take over."
    parts = (
        paragraph(Bold("Failed and rolled back. "), sentence(run.reason)),
        *_steps(scene),
        paragraph(_taken_back(run), took_over),
        *consent(run),
        *row(again_button(run), *_looking_back(scene)),
    )
    return "failed and was rolled back", parts


def _taken_back(run: Run) -> str:
    standing = _standing(run)
    if not standing:
        return "What it had done is taken back."
    return f"What had a way back is taken back. This stands: {', '.join(standing)}."


def _standing(run: Run) -> list[str]:
    """Name the steps that changed something and have no way back."""
    back = {undo.step for undo in run.undoes}
    records = {record.id: record for record in run.records}
    return [
        f"“{step.title}”"
        for step in (run.plan.steps if run.plan else ())
        if step.risk and step.id not in back and _took_effect(records.get(step.id))
    ]


def _took_effect(record: StepRecord | None) -> bool:
    """Say whether a step did its part; one that was not verified did, as far as is known."""
    if record is None or record.started_at is None:
        return False
    return record.state is StepState.DONE or UNVERIFIED in record.summary


def _denied(scene: Scene) -> Drawn:
    run = scene.run
    answers = run.approval.answers if run.approval else ()
    denial = next((answer for answer in answers if not answer.approve), None)
    reason: tuple[Span, ...] = (run.reason,)
    if denial is not None:
        reason = (PersonName(denial.person.id, denial.person.name), f": {denial.reason}")
    parts = (paragraph(Bold("Denied. "), *reason), quiet("Nothing was changed."))
    return "denied", parts


def _expired(scene: Scene) -> Drawn:
    run = scene.run
    parts = (
        paragraph(Bold("Expired. "), sentence(run.reason or "nobody answered in time")),
        quiet("Nothing was changed. Ask again if it is still needed: the plan will be a new one."),
        *row(again_button(run)),
    )
    return "expired", parts


def _superseded(scene: Scene) -> Drawn:
    run = scene.run
    parts = (
        paragraph(Bold("Superseded. "), sentence(run.reason or "the runbook was changed")),
        quiet("Nothing was changed. Answers to this plan count for nothing any more."),
        *row(again_button(run)),
    )
    return "superseded, the runbook was changed", parts


def _cancelled(scene: Scene) -> Drawn:
    run = scene.run
    needless = run.reason.startswith("nothing to do")
    said = (Bold("Cancelled "), run.reason or "before it began", ".")
    parts = (
        paragraph(sentence(run.reason)) if needless else paragraph(*said),
        *(_steps(scene) if _touched(run) else (quiet("Nothing was changed."),)),
        *row(undo_button(run), again_button(run), output_button(run, scene.output.printed)),
    )
    return "nothing to do" if needless else "cancelled", parts


def _steps(scene: Scene) -> tuple[Part, ...]:
    return (progress_part(scene.run, at=scene.at),) if scene.run.plan else ()


def _looking_back(scene: Scene) -> tuple[Button | None, ...]:
    """Offer the output, and ask whether the page helped; a rollback is no page's doing."""
    run = scene.run
    output = output_button(run, scene.output.printed)
    if run.parent is not None or run.plan is None:
        return (output,)
    return (output, *judge_buttons(f"{RUN}{run.id}", run.runbook))


def _took(run: Run) -> str:
    starts = [record.started_at for record in run.records if record.started_at is not None]
    began = min(starts, default=run.created_at)
    return duration(((run.ended_at or began) - began).total_seconds())


def sentence(text: str) -> str:
    """Write a reason as a sentence of its own."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""


ENDINGS: Mapping[RunState, Callable[[Scene], Drawn]] = {
    RunState.SUCCEEDED: _succeeded,
    RunState.FAILED: _failed,
    RunState.ROLLING_BACK: _rolling_back,
    RunState.ROLLED_BACK: _rolled_back,
    RunState.DENIED: _denied,
    RunState.EXPIRED: _expired,
    RunState.SUPERSEDED: _superseded,
    RunState.CANCELLED: _cancelled,
}
