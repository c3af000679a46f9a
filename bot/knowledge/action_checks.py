"""Do the actions that runbooks name exist, and do their arguments fit?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from jsonschema import Draft202012Validator, ValidationError

from bot.domain.actions import JSON, Action, Arguments, Effect
from bot.domain.runbooks import Parameter, ParameterKind, Runbook, Step, placeholder, substitute
from bot.knowledge.problems import Problem

_SAMPLES: Mapping[ParameterKind, JSON] = {
    ParameterKind.INTEGER: 1,
    ParameterKind.NUMBER: 1.5,
    ParameterKind.DURATION: 30,
}


@dataclass(frozen=True)
class _Use:
    """One place of a runbook that names an action. `key` leads to its line."""

    key: str
    what: str
    uses: str
    arguments: Arguments
    reads: bool


def runbook_problems(
    runbook: Runbook, lines: Mapping[str, int], references: Mapping[str, Action]
) -> Iterator[Problem]:
    """Name every unknown or unfit action of one runbook."""
    found = (
        Problem(runbook.path, lines.get(use.key, 1), f"{use.what}: {reason}")
        for use in _uses(runbook)
        for reason in _faults(use, runbook.parameters, references.get(use.uses))
    )
    # What is wrong for each of a step's targets is told once.
    yield from dict.fromkeys(found)


def _uses(runbook: Runbook) -> Iterator[_Use]:
    for check in runbook.diagnose:
        yield _Use(check.id, f"check {check.id}", check.uses, check.arguments, reads=True)
    for step in runbook.steps:
        for arguments in _filled(step, runbook.parameters):
            yield _Use(step.id, f"step {step.id}", step.uses, arguments, reads=False)
        if step.verify:
            key, what = f"{step.id}/verify", f"verification of {step.id}"
            yield _Use(key, what, step.verify.uses, step.verify.arguments, reads=True)


def _filled(step: Step, parameters: Sequence[Parameter]) -> Sequence[Arguments]:
    """Return a step's arguments for each of its targets, and parameters left as they stand."""
    unfilled = {p.name: f"${{{p.name}}}" for p in parameters}
    if not step.targets:
        return [step.arguments]
    return [substitute(step.arguments, {**unfilled, "target": t}) for t in step.targets]


def _faults(use: _Use, parameters: Sequence[Parameter], action: Action | None) -> Iterator[str]:
    if action is None:
        yield f"there is no action {use.uses}"
        return
    if use.reads and action.effect is not Effect.READ:
        yield f"{use.uses} changes things; only actions that read belong here"
    samples = {p.name: _SAMPLES.get(p.kind, "sample") for p in parameters}
    given = substitute(use.arguments, samples)
    for error in Draft202012Validator(action.arguments).iter_errors(given):
        if not _about_a_sample(error, use.arguments):
            yield f"{use.uses} does not take {_where(error)}: {error.message}"


def _about_a_sample(error: ValidationError, arguments: Arguments) -> bool:
    """Say whether an error is about a made-up value; its type is real all the same."""
    if error.validator == "type":
        return False
    value: object = arguments
    for part in error.absolute_path:
        value = value[part] if isinstance(value, list | dict | Mapping) else None  # type: ignore[index]
    return _has_placeholder(value, whole=error.validator in ("anyOf", "oneOf", "not", "allOf"))


def _has_placeholder(value: object, *, whole: bool) -> bool:
    if isinstance(value, str):
        return placeholder(value) is not None
    if whole and isinstance(value, Mapping):
        return any(_has_placeholder(part, whole=True) for part in value.values())
    if whole and isinstance(value, list):
        return any(_has_placeholder(part, whole=True) for part in value)
    return False


def _where(error: ValidationError) -> str:
    return ".".join(str(part) for part in error.absolute_path) or "these arguments"
