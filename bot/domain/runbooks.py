"""Runbooks: what a page says, when it fits an alert, and how its parameters get values.

A runbook is read by people and, where it has steps, run through the gate. What
comes from an alert's labels is written by strangers, so a parameter's value is
checked against its kind and pattern and then put in whole: nothing is ever
interpolated into a longer string, be it a query, a URL or an argument.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum

from bot.domain.actions import JSON, Arguments, Risk, Transient
from bot.domain.errors import Refused
from bot.domain.limits import Limits

SECTIONS = ("Meaning", "Impact", "Diagnosis", "Mitigation")
LONGEST_VALUE = 500

_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d{1,9})(ms|s|m|h|d)")
_INTEGER = re.compile(r"[+-]?\d{1,18}")
_SERVICE = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_PLACEHOLDER = re.compile(r"\$\{([a-z][a-z0-9_]*)\}")


class ParameterKind(StrEnum):
    """What sort of value a parameter takes."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    DURATION = "duration"
    ENUM = "enum"
    SERVICE = "service"
    QUANTITY = "quantity"


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """Something a run must know: typed by a person, or taken from an alert's label.

    `label` names that alert label (`from:` in the page). `pattern` must match
    the whole value; `values` lists what an enum allows.
    """

    name: str
    kind: ParameterKind
    label: str | None = None
    required: bool = True
    default: JSON = None
    pattern: str | None = None
    values: tuple[str, ...] = ()
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class Match:
    """Which alerts a runbook is for. Every criterion that is given must hold.

    `tags` are words for the search and never a criterion. Of `any` one has to
    hold. `not_when` is an expression over `labels`; where it holds, the runbook
    does not fit.
    """

    alerts: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    services: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    any: tuple[Match, ...] = ()
    not_when: str = ""


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What a measured number should be. Several bounds must all hold."""

    below: float | None = None
    above: float | None = None
    equals: float | None = None

    def holds(self, value: float | None) -> bool:
        """Say whether a value is as expected; no value, or NaN, never is."""
        if value is None or math.isnan(value):
            return False
        if self.below is not None and not value < self.below:
            return False
        if self.above is not None and not value > self.above:
            return False
        return self.equals is None or value == self.equals

    def __str__(self) -> str:  # type: ignore[explicit-override]  # not in 3.11's typing
        bounds = (("above", self.above), ("below", self.below), ("equal to", self.equals))
        return " and ".join(f"{word} {bound:g}" for word, bound in bounds if bound is not None)


@dataclass(frozen=True, kw_only=True)
class Check:
    """One look at the world by a read-only action; no `expect` means it only informs."""

    id: str
    title: str
    uses: str
    arguments: Arguments
    expect: Expectation | None = None


@dataclass(frozen=True, kw_only=True)
class Verification:
    """How a step proves that it worked.

    The read-only action is asked every `every` seconds until the expectation
    held `consecutive` times in a row, at most `within` seconds long.
    """

    uses: str
    arguments: Arguments
    expect: Expectation
    within: float
    every: float
    consecutive: int


class OnFailure(StrEnum):
    """What becomes of a run when a step fails or cannot be verified."""

    ROLLBACK = "rollback"
    ESCALATE = "escalate"
    CONTINUE = "continue"


class OnUnknown(StrEnum):
    """What is done about an effect of which nobody knows whether it took place."""

    RECONCILE = "reconcile"
    ASK = "ask"


@dataclass(frozen=True, kw_only=True)
class Retry:
    """How often a failed call is made again, after which failures, and when.

    `times` does not count the first call; `wait` is in seconds and doubles.
    """

    times: int
    on: tuple[Transient, ...]
    wait: float


@dataclass(frozen=True, kw_only=True)
class StepUndo:
    """The call that takes a step back, where the page names one itself."""

    uses: str
    arguments: Arguments


@dataclass(frozen=True, kw_only=True)
class Step:
    """One action of a run, with its proof.

    `risk` may raise the action's own floor; None leaves it. `timeout` is in
    seconds. Past a `commit_point` there is no way back, so nothing before it is
    rolled back any more. `explanation` is the page's text for the step. With
    `targets` it is done for each of them, in waves of 1, 2, 4 and so on, with
    `${target}` for its name. It is planned only where the expression `when`
    holds. `undo` goes before the action's own.
    """

    id: str
    title: str
    uses: str
    arguments: Arguments
    risk: Risk | None
    timeout: float
    verify: Verification | None
    commit_point: bool = False
    on_failure: OnFailure = OnFailure.ESCALATE
    explanation: str = ""
    targets: tuple[str, ...] = ()
    when: str = ""
    retry: Retry | None = None
    undo: StepUndo | None = None
    on_unknown: OnUnknown = OnUnknown.RECONCILE


class Outcome(StrEnum):
    """What a rule decides."""

    STEPS = "steps"
    STOP = "stop"
    ESCALATE = "escalate"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One line of `decide`: where the expression holds, this is done.

    With `Outcome.STEPS`, `steps` are the ids of those to do, in the page's
    order. `because` says why, for the people who approve.
    """

    when: str
    outcome: Outcome
    steps: tuple[str, ...] = ()
    because: str = ""


@dataclass(frozen=True, kw_only=True)
class DoneWhen:
    """When a run has helped: an expression over the facts, found out again.

    It is asked every `every` seconds, at most `within` seconds long.
    """

    when: str
    within: float
    every: float


@dataclass(frozen=True, kw_only=True)
class Case:
    """An example that the page brings along: an alert and facts, and what they lead to.

    `facts` are values by check, or None for one that could not be found out.
    `steps` are what is planned, or None where `outcome` is not to run any.
    """

    name: str
    labels: Mapping[str, str]
    parameters: Mapping[str, str]
    facts: Mapping[str, JSON]
    outcome: Outcome
    steps: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ApprovalGroup:
    """So many distinct people of one group must agree."""

    group: str
    count: int = 1


@dataclass(frozen=True, kw_only=True)
class Review:
    """Who last vouched for the page, when, and for how many days that holds."""

    by: str
    at: date
    max_age_days: int

    def stale(self, today: date) -> bool:
        """Say whether the page is due for another look."""
        return today > self.at + timedelta(days=self.max_age_days)


@dataclass(frozen=True, kw_only=True)
class Runbook:
    """One page: for people its four sections, for the machine the rest.

    `preconditions` are checks that have to hold when it is planned and again
    right before each effect. Without `decide` all steps are done.

    `digest` is the SHA-256 (hex) of the file, so that a plan is bound to the
    very text its approvers could read. `path` is relative to the knowledge
    folder. `editor` is who changed the page last, as git knows them (an e-mail
    address), or empty.
    """

    id: str
    version: int
    title: str
    owner: str
    review: Review
    match: Match
    parameters: tuple[Parameter, ...]
    approval: Mapping[Risk, tuple[ApprovalGroup, ...]]
    diagnose: tuple[Check, ...]
    steps: tuple[Step, ...]
    sections: Mapping[str, str]
    path: str
    digest: str
    limits: Limits = field(default_factory=Limits)
    editor: str = ""
    preconditions: tuple[Check, ...] = ()
    decide: tuple[Rule, ...] = ()
    done_when: DoneWhen | None = None
    cases: tuple[Case, ...] = ()

    @property
    def executable(self) -> bool:
        """Say whether the assistant can run it; otherwise it is read and done by hand."""
        return bool(self.steps)


def parse_duration(text: str) -> float:
    """Return the seconds of a duration such as `30s`, `5m`, `180d`.

    One whole number and one unit (ms, s, m, h, d), so that there is one way to
    write each; zero is not a duration.

    Raises:
        ValueError: the text is not of that form.
    """
    found = _DURATION.fullmatch(text)
    if found is None or int(found[1]) == 0:
        raise ValueError(f'"{text}" is not a duration such as 30s, 5m, 2h or 180d')
    return float(int(found[1]) * _SECONDS[found[2]])


def matches(runbook: Runbook, labels: Mapping[str, str]) -> str | None:
    """Say in one short line why a runbook fits an alert, or None where it does not.

    Services narrow down a match by alert name or label: an alert that names no
    service still fits, one that names another does not. Alone, they need the
    alert to name one of them.
    """
    match, name, service = runbook.match, labels.get("alertname"), labels.get("service")
    if match.alerts and name not in match.alerts:
        return None
    if any(labels.get(key) != value for key, value in match.labels.items()):
        return None
    if match.services and service is not None and service not in match.services:
        return None
    if match.alerts:
        return f"alert {name}"
    if match.labels:
        return "label " + ", ".join(f"{key}={value}" for key, value in match.labels.items())
    return f"service {service}" if match.services and service is not None else None


def resolve(
    runbook: Runbook, labels: Mapping[str, str], given: Mapping[str, str]
) -> Mapping[str, JSON]:
    """Return a typed value for every parameter of a runbook.

    What a person gave counts before the alert's label, and that before the
    default. An optional parameter without any of them is None.

    Raises:
        Refused: a value is missing or does not fit, or a name is unknown.
    """
    known = {parameter.name for parameter in runbook.parameters}
    for name in given:
        if name not in known:
            raise Refused(f'{runbook.title} has no parameter "{name}".')
    return {p.name: _resolved(p, labels, given) for p in runbook.parameters}


def _resolved(parameter: Parameter, labels: Mapping[str, str], given: Mapping[str, str]) -> JSON:
    text = given.get(parameter.name, "").strip() or labels.get(parameter.label or "", "")
    if text:
        return typed(parameter, text)
    if parameter.default is not None:
        return typed(parameter, str(parameter.default))
    if parameter.required:
        source = f' (the alert has no label "{parameter.label}")' if parameter.label else ""
        raise Refused(f'Parameter "{parameter.name}" needs a value{source}.')
    return None


def typed(parameter: Parameter, text: str) -> JSON:
    """Turn the text of a value into its type: a duration becomes seconds.

    Raises:
        Refused: the text does not fit the parameter; the reason names both.
    """
    try:
        value = _converted(parameter, text)
    except ValueError as problem:
        raise Refused(f'Parameter "{parameter.name}": {problem}.') from None
    if parameter.pattern is not None and re.fullmatch(parameter.pattern, text) is None:
        raise Refused(
            f'Parameter "{parameter.name}": {_shown(text)} does not match {parameter.pattern}.'
        )
    return value


def _converted(parameter: Parameter, text: str) -> JSON:
    if len(text) > LONGEST_VALUE:
        raise ValueError(f"the value is longer than {LONGEST_VALUE} characters")
    match parameter.kind:
        case ParameterKind.INTEGER:
            return _integer(text)
        case ParameterKind.NUMBER:
            return _number(text)
        case ParameterKind.DURATION:
            seconds = parse_duration(text)
            return int(seconds) if seconds.is_integer() else seconds
        case ParameterKind.ENUM:
            return _one_of(parameter.values, text)
        case ParameterKind.SERVICE:
            return _service(text)
        case ParameterKind.STRING:
            return _string(parameter, text)


def _integer(text: str) -> int:
    if _INTEGER.fullmatch(text) is None:
        raise ValueError(f"{_shown(text)} is not a whole number")
    return int(text)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{_shown(text)} is not a number") from None
    if not math.isfinite(value):
        raise ValueError(f"{_shown(text)} is not a finite number")
    return value


def _one_of(values: tuple[str, ...], text: str) -> str:
    if text not in values:
        raise ValueError(f"{_shown(text)} is not one of {', '.join(values)}")
    return text


def _service(text: str) -> str:
    if _SERVICE.fullmatch(text) is None:
        raise ValueError(f"{_shown(text)} is not the name of a service")
    return text


def _string(parameter: Parameter, text: str) -> str:
    """Refuse what a command line would take for an option, unless a pattern allows it."""
    if not text.isprintable():
        raise ValueError("the value has a line break or an invisible character")
    if parameter.pattern is None and text.startswith("-"):
        raise ValueError(f"{_shown(text)} begins with a dash, like an option of a command")
    return text


def _shown(text: str) -> str:
    return f'"{text}"' if len(text) <= 60 else f'"{text[:57]}…"'


def placeholder(value: str) -> str | None:
    """Return the parameter's name where a value is exactly `${name}`, else None."""
    found = _PLACEHOLDER.fullmatch(value)
    return found[1] if found else None


def substitute(arguments: Arguments, parameters: Mapping[str, JSON]) -> Arguments:
    """Put typed values in the place of values that are exactly `${name}`.

    The value takes the whole place with its own type. An optional argument
    whose parameter is None is left out, so that the action's default counts.

    Raises:
        Refused: a placeholder names no parameter.
    """
    replaced = {key: _replaced(value, parameters) for key, value in arguments.items()}
    return {k: v for k, v in replaced.items() if v is not None or arguments[k] is None}


def _replaced(value: JSON, parameters: Mapping[str, JSON]) -> JSON:
    if isinstance(value, list):
        return [_replaced(item, parameters) for item in value]
    if isinstance(value, dict):
        return {key: _replaced(item, parameters) for key, item in value.items()}
    name = placeholder(value) if isinstance(value, str) else None
    if name is None:
        return value
    if name not in parameters:
        raise Refused(f'The runbook has no parameter "{name}".')
    return parameters[name]
