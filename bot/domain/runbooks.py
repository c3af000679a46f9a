"""Runbooks: what a page says, and when it fits an alert.

A runbook is read by people and, where it has steps, run through the gate. What
its parameters take is told in `parameters.py`, what its rules choose in
`deciding.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from bot.domain.actions import JSON, Arguments, Risk, Transient
from bot.domain.expressions import evaluate, parse
from bot.domain.limits import Limits
from bot.domain.parameters import Parameter

SECTIONS = ("Meaning", "Impact", "Diagnosis", "Mitigation")
LONGEST_WAIT = 3600.0  # seconds between two attempts, however often the wait has doubled
_DOUBLINGS = 30  # beyond which a wait is the longest anyway, and a power would overflow


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

    def pause(self, attempts: int) -> float:
        """Return the seconds between an attempt, counted from 1, and the next."""
        doubled = self.wait * 2.0 ** min(attempts - 1, _DOUBLINGS)
        return min(max(doubled, 0.0), LONGEST_WAIT)


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
        return (today - self.at).days > self.max_age_days


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


def matches(runbook: Runbook, labels: Mapping[str, str]) -> str | None:
    """Say in one short line why a runbook fits an alert, or None where it does not.

    Services narrow down a match by alert name or label: an alert that names no
    service still fits, one that names another does not. Alone, they need the
    alert to name one of them. Of what stands under `any` one has to fit. A
    `not_when` that cannot be told, for want of a label, excludes nothing.
    """
    match = runbook.match
    if match.not_when and evaluate(parse(match.not_when), _named(labels)):
        return None
    reasons = [_fits(match, labels), *_alternatives(match, labels)]
    if any(reason is None for reason in reasons):
        return None
    return next((reason for reason in reasons if reason), None)


def alert_names(match: Match) -> tuple[str, ...]:
    """Return every alert name that a match speaks of, each once."""
    inside = (name for each in match.any for name in alert_names(each))
    return tuple(dict.fromkeys((*match.alerts, *inside)))


def _named(labels: Mapping[str, str]) -> Mapping[str, JSON]:
    return {f"labels.{name}": value for name, value in labels.items()}


def _alternatives(match: Match, labels: Mapping[str, str]) -> Sequence[str | None]:
    """Return the reason of the first alternative that fits; nothing where there are none."""
    reasons = [_fits(each, labels) for each in match.any]
    return [next((reason for reason in reasons if reason), None)] if reasons else []


def _fits(match: Match, labels: Mapping[str, str]) -> str | None:
    """Return why a match's own criteria hold: empty where it has none, None where they do not."""
    name, service = labels.get("alertname"), labels.get("service")
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
    if not match.services:
        return ""
    if service is None:
        return "" if match.any else None
    return f"service {service}"
