"""Do the actions that runbooks name exist, do their arguments fit, and may they be used so?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from jsonschema import Draft202012Validator, ValidationError

from bot.domain.actions import JSON, Action, Arguments, Effect
from bot.domain.parameters import FACTS, Parameter, ParameterKind, placeholders, substitute
from bot.domain.runbooks import Runbook, Step
from bot.knowledge.problems import Problem
from bot.knowledge.step_checks import step_faults, way_back_faults

_SAMPLES: Mapping[ParameterKind, JSON] = {
    ParameterKind.INTEGER: 1,
    ParameterKind.NUMBER: 1.5,
    ParameterKind.DURATION: 30,
    ParameterKind.QUANTITY: 1,
}
_MEASURED = {"number", "integer", "boolean"}


class _Place(Enum):
    """What an action may do where it is named."""

    LOOK = "look"
    STEP = "step"
    UNDO = "undo"


@dataclass(frozen=True)
class _Use:
    """One place of a runbook that names an action. `key` leads to its line."""

    key: str
    what: str
    uses: str
    arguments: Arguments
    place: _Place


def runbook_problems(
    runbook: Runbook, lines: Mapping[str, int], references: Mapping[str, Action]
) -> Iterator[Problem]:
    """Name every unknown or unfit action of one runbook, and every step it cannot be used in."""
    found = [
        Problem(runbook.path, lines.get(use.key, 1), f"{use.what}: {reason}")
        for use in _uses(runbook)
        for reason in _faults(use, runbook.parameters, references.get(use.uses))
    ]
    found += [
        Problem(runbook.path, lines.get(step.id, 1), f"step {step.id}: {reason}")
        for step in runbook.steps
        for reason in step_faults(step, references.get(step.uses))
    ]
    found += [
        Problem(runbook.path, lines.get(f"{step.id}/undo", 1), f"undo of {step.id}: {reason}")
        for step, reason in way_back_faults(runbook.steps, references)
    ]
    # What is wrong for each of a step's targets is told once.
    yield from dict.fromkeys(found)


def _uses(runbook: Runbook) -> Iterator[_Use]:
    for check in runbook.diagnose:
        yield _Use(check.id, f"check {check.id}", check.uses, check.arguments, _Place.LOOK)
    for check in runbook.preconditions:
        what = f"precondition {check.id}"
        yield _Use(check.id, what, check.uses, check.arguments, _Place.LOOK)
    for step in runbook.steps:
        yield from _step_uses(step, runbook.parameters)


def _step_uses(step: Step, parameters: Sequence[Parameter]) -> Iterator[_Use]:
    for arguments in _filled(step, step.arguments, parameters):
        yield _Use(step.id, f"step {step.id}", step.uses, arguments, _Place.STEP)
    if step.verify:
        key, what = f"{step.id}/verify", f"verification of {step.id}"
        yield _Use(key, what, step.verify.uses, step.verify.arguments, _Place.LOOK)
    if step.undo:
        for arguments in _filled(step, step.undo.arguments, parameters):
            key, what = f"{step.id}/undo", f"undo of {step.id}"
            yield _Use(key, what, step.undo.uses, arguments, _Place.UNDO)


def _filled(
    step: Step, arguments: Arguments, parameters: Sequence[Parameter]
) -> Sequence[Arguments]:
    """Return arguments for each of a step's targets, and all other values left as they stand."""
    if not step.targets:
        return [arguments]
    names = {*(p.name for p in parameters), *placeholders(arguments)}
    unfilled = {name: f"${{{name}}}" for name in names}
    return [substitute(arguments, {**unfilled, "target": t}) for t in step.targets]


def _faults(use: _Use, parameters: Sequence[Parameter], action: Action | None) -> Iterator[str]:
    if action is None:
        yield f"there is no action {use.uses}"
        return
    if use.place is _Place.LOOK and action.effect is not Effect.READ:
        yield f"{use.uses} changes things; only actions that read belong here"
    if use.place is _Place.LOOK and action.waiting:
        yield f"{use.uses} looks at nothing; it belongs into a step with a verify"
    if use.place is _Place.UNDO and action.effect is Effect.READ:
        yield f"{use.uses} changes nothing, so it takes nothing back"
    samples = {p.name: _SAMPLES.get(p.kind, "sample") for p in parameters}
    samples |= {name: 1 for name in placeholders(use.arguments) if name.startswith(FACTS)}
    given = substitute(use.arguments, samples)
    for error in Draft202012Validator(action.arguments).iter_errors(given):
        if not _about_a_sample(error, use.arguments):
            yield f"{use.uses} does not take {_where(error)}: {error.message[:300]}"


def _about_a_sample(error: ValidationError, arguments: Arguments) -> bool:
    """Say whether an error is about a made-up value; its type is real all the same."""
    value: object = arguments
    for part in error.absolute_path:
        value = value[part] if isinstance(value, list | dict | Mapping) else None  # type: ignore[index]
    named = list(placeholders(value)) if isinstance(value, str) else []
    if error.validator == "type":
        # What a fact will be, a number or true or false, only its check knows.
        wanted: object = error.validator_value
        kinds = wanted if isinstance(wanted, list) else [wanted]
        return bool(named and named[0].startswith(FACTS) and _MEASURED.intersection(kinds))
    if error.validator in ("anyOf", "oneOf", "not", "allOf"):
        return any(True for _ in placeholders(value))
    return bool(named)


def _where(error: ValidationError) -> str:
    return ".".join(str(part) for part in error.absolute_path) or "these arguments"
