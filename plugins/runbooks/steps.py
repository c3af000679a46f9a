"""Steps and facts of a plan, as parts of a message: what approvers consent to, whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from bot.domain.actions import Arguments, Risk
from bot.domain.messages import Bold, Code, Mono, Paragraph, Part, Span, duration, paragraph, quiet
from bot.domain.runs import Fact, PlannedCheck, PlannedStep, Run, StepRecord, StepState

MOST_DETAILED = 12  # a message holds 50 blocks, and a step in full takes three

# A message holds some 9,500 characters, the rest of it included. What would be
# cut from a message is read in a form instead: nobody approves what they cannot see.
_LONGEST_PLAN = 6_000

_LONGEST_ARGUMENTS = 600
_LONGEST_WHY = 400
_LONGEST_TITLE = 80
_MARKS = {True: "ok", False: "not ok", None: "noted"}
_ON_FAILURE = {
    "rollback": "If it fails, what this run has done is taken back.",
    "escalate": "If it fails, nothing more is run and people take over.",
    "continue": "If it fails, the next step is run all the same.",
}
_STATES = {
    StepState.WAITING: "To do",
    StepState.RUNNING: "Running",
    StepState.VERIFYING: "Verifying",
    StepState.DONE: "Done",
    StepState.FAILED: "Failed",
    StepState.IN_DOUBT: "In doubt",
    StepState.SKIPPED: "Skipped",
}


def risk_words(risk: Risk) -> str:
    """Name a class of risk with its meaning: `R2 (reversible, service-wide)`."""
    return f"R{int(risk)} ({risk.meaning})"


def facts_part(found: Sequence[Fact]) -> Paragraph:
    """Show what the diagnosis found, one line each, marked by whether it is as it should be."""
    lines: list[Span] = [Bold("Diagnosis")]
    for fact in found:
        lines += ["\n", Bold(_MARKS[fact.ok]), f"  {fact.title}: {fact.summary}"]
    return Paragraph(tuple(lines))


def too_long(steps: Sequence[PlannedStep]) -> bool:
    """Say whether a plan does not fit into a message whole."""
    return sum(len(s.title) + len(s.diff) + len(_small_print(s)) for s in steps) > _LONGEST_PLAN


def outline(steps: Sequence[PlannedStep]) -> Paragraph:
    """List the steps of a plan that is too long for a message, one line each."""
    lines: list[Span] = [Bold("Steps")]
    for number, step in enumerate(steps, start=1):
        title = _shorten(step.title, _LONGEST_TITLE)
        lines.append(f"\n{number}. {title} · {risk_words(step.risk)}")
    return Paragraph(tuple(lines))


def plan_parts(steps: Sequence[PlannedStep]) -> Iterator[Part]:
    """Show every step of a plan, all of it; a very long plan takes one block a step."""
    for number, step in enumerate(steps, start=1):
        if len(steps) <= MOST_DETAILED:
            yield from _in_full(step, number)
        else:
            yield Code(f"{_title(step, number)}\n{step.diff}\n{_small_print(step)}")


def _in_full(step: PlannedStep, number: int) -> Iterator[Part]:
    yield paragraph(
        Bold(f"{number}. {step.title}"), " · ", Mono(step.uses), f" · {risk_words(step.risk)}"
    )
    if step.diff:
        yield Code(step.diff)
    yield quiet(_small_print(step))


def _title(step: PlannedStep, number: int) -> str:
    return f"{number}. {step.title} · {step.uses} · {risk_words(step.risk)}"


def _small_print(step: PlannedStep) -> str:
    lines = (
        f"With {arguments_line(step.arguments)}" if step.arguments else "",
        _shorten(" ".join(step.explanation.split()), _LONGEST_WHY),
        confirmation(step.verify) if step.verify else "Nothing confirms it afterwards.",
        _ON_FAILURE.get(step.on_failure, ""),
    )
    return "\n".join(line for line in lines if line)


def arguments_line(arguments: Arguments) -> str:
    """Write arguments on one line: `expected_generation=4`."""
    line = ", ".join(f"{name}={value}" for name, value in arguments.items())
    return _shorten(line, _LONGEST_ARGUMENTS)


def confirmation(check: PlannedCheck) -> str:
    """Say in one line when a step counts as confirmed."""
    times = f", {check.consecutive} times in a row" if check.consecutive > 1 else ""
    return (
        f"Confirmed when {check.uses} ({arguments_line(check.arguments)}) is {check.expect}{times},"
        f" asked every {duration(check.every)} for at most {duration(check.within)}."
    )


def progress_part(run: Run, *, at: datetime) -> Paragraph:
    """Show how far each step is, with the measured value where one is being verified."""
    lines: list[Span] = []
    records = {record.id: record for record in run.records}
    for number, step in enumerate(run.plan.steps if run.plan else (), start=1):
        record = records.get(step.id, StepRecord(id=step.id))
        lines += ["\n"] if lines else []
        lines += [Bold(_STATES[record.state]), f"  {number}. {step.title}"]
        lines += [f" · {text}" for text in _progress(run, step, record, at) if text]
    return Paragraph(tuple(lines) or ("There are no steps.",))


def _progress(run: Run, step: PlannedStep, record: StepRecord, at: datetime) -> Iterator[str]:
    yield record.summary
    if record.started_at is not None and record.state is not StepState.WAITING:
        yield duration(((record.ended_at or at) - record.started_at).total_seconds())
    if record.state is StepState.VERIFYING and step.verify is not None:
        yield measured(step.verify, record.value, good=run.good_checks)


def measured(check: PlannedCheck, value: float | None, *, good: int) -> str:
    """Hold a measured value against what is expected: `measured 0.4, expected below 0.05`."""
    shown = "nothing yet" if value is None else f"{value:.4g}"
    return f"measured {shown}, expected {check.expect}, {good} of {check.consecutive} in a row"


def _shorten(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1].rstrip()}…"
