"""Steps and facts of a plan, as parts of a message: what approvers consent to, whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from bot.domain.actions import Arguments, Risk
from bot.domain.messages import Bold, Mono, Paragraph, Part, Span, duration, paragraph, quiet
from bot.domain.runbooks import Retry
from bot.domain.runs import Fact, Plan, PlannedCheck, PlannedStep, Run, StepRecord, StepState
from plugins.runbooks import terms
from plugins.runbooks.blocks import LONGEST_BLOCK, code_parts, written
from plugins.runbooks.scope import rollout

MOST_DETAILED = 12  # a message holds 50 blocks, and a step in full takes three

# A message holds some 9,500 characters, the rest of it included. What would be
# cut from a message is read in a form instead: nobody approves what they cannot see.
_LONGEST_PLAN = 6_000
_MOST_STEPS = 40

_LONGEST_ARGUMENTS = 600
_LONGEST_WHY = 800
_LONGEST_SUMMARY = 120
_STEPS_SHOWN = 12
_STEPS_BEFORE = 6
_LONGEST_TITLE = 80
_MARKS = {True: "ok", False: "not ok", None: "noted"}
_ON_FAILURE = {
    "rollback": "If it fails, what this run has done is taken back.",
    "escalate": "If it fails, nothing more is run and people take over.",
    "continue": "If it fails, the next step is run all the same.",
}
_NO_WAY_BACK = "There is no way back after this step: nothing before it is taken back any more."
_STATES = {
    StepState.WAITING: "To do",
    StepState.RUNNING: "Running",
    StepState.VERIFYING: "Verifying",
    StepState.DONE: "Done",
    StepState.FAILED: "Failed",
    StepState.IN_DOUBT: "In doubt",
    StepState.SKIPPED: "Skipped",
    StepState.MANUAL: "By hand",
}
_BY_HAND = "A person does this by hand. The run waits until somebody says that it is done."
_ASKED = "Where nobody knows whether it took effect, a person is asked and nothing else looks."


def risk_words(risk: Risk) -> str:
    """Name a class of risk with its meaning: `R2 (reversible, service-wide)`."""
    return f"R{int(risk)} ({risk.meaning})"


def facts_part(found: Sequence[Fact]) -> Paragraph:
    """Show what the diagnosis found, one line each, marked by whether it is as it should be."""
    lines: list[Span] = [Bold("Diagnosis")]
    for fact in found:
        lines += ["\n", Bold(_MARKS[fact.ok]), f"  {fact.title}: {fact.summary}"]
    return Paragraph(tuple(lines))


def too_long(plan: Plan) -> bool:
    """Say whether a plan does not fit into a message whole, with its terms and facts."""
    found = sum(len(fact.title) + len(fact.summary) for fact in plan.facts) + terms.room(plan)
    steps = [_room(step, number) for number, step in enumerate(plan.steps, start=1)]
    if terms.many(plan) or len(steps) > _MOST_STEPS or max(steps, default=0) > LONGEST_BLOCK:
        return True
    return found + sum(steps) > _LONGEST_PLAN


def _room(step: PlannedStep, number: int) -> int:
    """Say how many characters a step takes; small print writes some signs as five."""
    return len(_title(step, number)) + len(step.diff) + written(_small_print(step))


def outline(steps: Sequence[PlannedStep]) -> Paragraph:
    """List the steps of a plan that is too long for a message, one line each."""
    lines: list[Span] = [Bold("Steps")]
    for number, step in enumerate(steps, start=1):
        title = _shorten(step.title, _LONGEST_TITLE)
        back = " · no way back" if step.commit_point else ""
        lines.append(f"\n{number}. {title} · {risk_words(step.risk)}{back}")
    return Paragraph(tuple(lines))


def plan_parts(steps: Sequence[PlannedStep]) -> Iterator[Part]:
    """Show every step of a plan, all of it; a very long plan takes one block a step."""
    for number, step in enumerate(steps, start=1):
        if len(steps) <= MOST_DETAILED:
            yield from _in_full(step, number)
        else:
            yield from code_parts(f"{_title(step, number)}\n{step.diff}\n{_small_print(step)}")


def _in_full(step: PlannedStep, number: int) -> Iterator[Part]:
    yield paragraph(
        Bold(f"{number}. {step.title}"), " · ", Mono(step.uses), f" · {risk_words(step.risk)}"
    )
    yield from code_parts(step.diff)
    small = _small_print(step)
    if written(small) > LONGEST_BLOCK:
        yield from code_parts(small)
    else:
        yield quiet(small)


def _title(step: PlannedStep, number: int) -> str:
    return f"{number}. {step.title} · {step.uses} · {risk_words(step.risk)}"


def _small_print(step: PlannedStep) -> str:
    lines = (
        f"With {_arguments(step.arguments)}" if _untold(step) else "",
        _first_sentences(" ".join(step.explanation.split()), _LONGEST_WHY),
        _BY_HAND if step.manual else "",
        confirmation(step.verify) if step.verify else "Nothing confirms it afterwards.",
        _again(step.retry) if step.retry else "",
        _ON_FAILURE.get(step.on_failure, ""),
        _ASKED if step.on_unknown == "ask" and step.risk else "",
        f"Taken back by {step.undo.uses} ({_arguments(step.undo.arguments)})." if step.undo else "",
        f"Touches {', '.join(step.targets)}." if len(step.targets) > 1 else "",
        _NO_WAY_BACK if step.commit_point else "",
    )
    return "\n".join(line for line in lines if line)


def _untold(step: PlannedStep) -> bool:
    """Say whether a step has arguments that are not read already; an instruction often is."""
    if not step.manual:
        return bool(step.arguments)
    return any(str(v) not in step.diff for v in step.arguments.values())


def _again(retry: Retry) -> str:
    """Say how often a call that failed is made again, after what, and when."""
    times = "once more" if retry.times == 1 else f"up to {retry.times} times more"
    then = "" if retry.times == 1 else ", then after twice as long each time"
    return f"After {' or '.join(retry.on)} it is tried {times}, after {retry.wait:g} s{then}."


def _arguments(arguments: Arguments) -> str:
    """Write arguments on one line, all of them: `expected_generation=4`."""
    return ", ".join(f"{name}={value}" for name, value in arguments.items())


def confirmation(check: PlannedCheck) -> str:
    """Say in one line when a step counts as confirmed."""
    times = f", {check.consecutive} times in a row" if check.consecutive > 1 else ""
    asked = _shorten(_arguments(check.arguments), _LONGEST_ARGUMENTS)
    return (
        f"Confirmed when {check.uses} ({asked}) is {check.expect}{times},"
        f" asked every {check.every:g} s for at most {check.within:g} s."
    )


def progress_part(run: Run, *, at: datetime) -> Paragraph:
    """Show how far the steps are, with the measured value where one is being verified.

    Of very many steps those around the present one are shown.
    """
    steps = run.plan.steps if run.plan else ()
    first = max(0, min(run.position - _STEPS_BEFORE, len(steps) - _STEPS_SHOWN))
    shown = steps[first : first + _STEPS_SHOWN]
    lines: list[Span] = [f"Rollout: {standing}"] if (standing := rollout(run)) else []
    if first:
        lines += ["\n"] if lines else []
        lines.append(f"{_count(first)} before these")
    records = {record.id: record for record in run.records}
    for number, step in enumerate(shown, start=first + 1):
        record = records.get(step.id, StepRecord(id=step.id))
        lines += ["\n"] if lines else []
        title = _shorten(step.title, _LONGEST_TITLE)
        lines += [Bold(_STATES[record.state]), f"  {number}. {title}"]
        lines += [f" · wave {step.wave}"] if step.wave else []
        lines += [f" · {text}" for text in _progress(run, step, record, at) if text]
        lines += [" · no way back"] if step.commit_point and not run.state.over else []
    after = len(steps) - first - len(shown)
    lines += [f"\n{_count(after)} after these"] if after else []
    return Paragraph(tuple(lines) or ("There are no steps.",))


def _count(steps: int) -> str:
    return "1 step" if steps == 1 else f"{steps} steps"


def _progress(run: Run, step: PlannedStep, record: StepRecord, at: datetime) -> Iterator[str]:
    yield _shorten(record.summary, _LONGEST_SUMMARY)
    if record.started_at is not None and record.state is not StepState.WAITING:
        yield duration(((record.ended_at or at) - record.started_at).total_seconds())
    if record.state is StepState.VERIFYING and step.verify is not None:
        yield measured(step.verify, record.value, good=run.good_checks)


def measured(check: PlannedCheck, value: float | None, *, good: int) -> str:
    """Hold a measured value against what is expected: `measured 0.4, expected below 0.05`."""
    shown = "nothing yet" if value is None else f"{value:.4g}"
    return f"measured {shown}, expected {check.expect}, {good} of {check.consecutive} in a row"


def _first_sentences(text: str, longest: int) -> str:
    """Keep whole sentences where a text is too long: half of one may say the opposite."""
    if len(text) <= longest:
        return text
    end = text.rfind(". ", 0, longest)
    return f"{text[: end + 1]} …" if end > 0 else _shorten(text, longest)


def _shorten(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1].rstrip()}…"
